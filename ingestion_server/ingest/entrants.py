"""Who takes part in a benchmark, and who is left out: it spends what is plentiful."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import inf
from typing import Final

import msgspec

from ingestion_server.domain.errors import (
    CostLimitError,
    NoDataUnexplainedError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ingest.candidates import Candidate, Vendor, candidates, kind_of
from ingestion_server.ingest.explaining import exhausted, resting
from ingestion_server.ingest.making import Task, wanted_adjustment
from ingestion_server.ingest.questions import Question
from ingestion_server.ingest.vendor import ask_of, requests_of
from ingestion_server.ports.budget import Counts
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, Transport
from ingestion_server.ports.quota import (
    Calls,
    Lane,
    Ledger,
    Planned,
    Quota,
    WindowUse,
)

_SHORT_SECONDS: Final = 60.0
"""Windows up to this length are waited for, and may be used up."""
_KEPT_SHARE: Final = 0.5
"""How much of each longer window must be left for those who need it."""


class Demand(msgspec.Struct, frozen=True):
    """Be the calls for a question, and what each weighs; one entry per call."""

    bars: tuple[Calls, ...]
    actions: tuple[Calls, ...] = ()
    """Needed once for each instrument."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """Be a vendor that takes part."""

    name: str
    quota: Quota
    demands: Mapping[int, Demand]
    """By the number of the question."""
    unable: Mapping[int, ProviderError]
    """Why it cannot answer the other questions."""


class Registrar:
    """Decide who takes part, and when each may be asked again."""

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        ledger: Ledger,
        transport: Transport | None,
        clock: Clock,
    ) -> None:
        """Choose among vendors, by what the ledger says is left."""
        self._vendors = vendors
        self._ledger = ledger
        self._transport = transport
        self._clock = clock

    async def entrant(
        self, name: str, questions: Sequence[Question], rounds: int
    ) -> Entrant | ProviderError:
        """Return a vendor that can be asked all it knows, or why it is left out."""
        demands: dict[int, Demand] = {}
        unable: dict[int, ProviderError] = {}
        for number, question in enumerate(questions):
            found = self._demand(name, question)
            if isinstance(found, ProviderError):
                unable[number] = found
            else:
                demands[number] = found
        if not demands:
            return next(iter(unable.values()))
        quota = self._vendors[name].quota
        calls = tuple(_all(demands, questions, rounds))
        price = quota.price_usd(*_endpoints(calls))
        if price:
            return CostLimitError(
                f"the calls would cost {price} US dollars, and a benchmark spends no "
                "money",
                provider=name,
                price_usd=str(price),
            )
        entrant = Entrant(name, quota, demands, unable)
        waits = await self.turn_seconds(entrant, next(iter(demands)))
        if waits > _SHORT_SECONDS:
            return exhausted(name, waits)
        return self._shortage(entrant, calls) or entrant

    def shortage(self, entrant: Entrant, number: int) -> QuotaExhaustedError | None:
        """Return why a question is not asked now: others may have called meanwhile."""
        return self._shortage(entrant, entrant.demands[number].bars)

    async def turn_seconds(self, entrant: Entrant, number: int) -> float:
        """
        Return how long the first call for a question would wait for its turn.

        Infinity means longer than is foreseen.
        """
        bars = entrant.demands[number].bars
        first = bars[0] if bars else Calls(endpoint="", calls=1)
        planned = Planned(
            provider=entrant.name,
            endpoint=first.endpoint,
            calls=1,
            lane=Lane.BATCH,
            times=first.times,
        )
        (turn,) = await self._ledger.foresee([planned])
        if turn.finishes_at_ns is None:
            return inf
        return max(turn.finishes_at_ns - self._clock.now_ns(), 0) / SECOND_NS

    def _demand(self, name: str, question: Question) -> Demand | ProviderError:
        query = question.query
        if question.scope.surely_empty:
            return NoDataUnexplainedError(
                "no bar can exist in this range", provider=name
            )
        (found,) = candidates(
            [name],
            self._vendors,
            query,
            question.scope,
            transport=self._transport,
            now_ns=self._clock.now_ns(),
        )
        if isinstance(found, ProviderError):
            return found
        try:
            return resting(found, kind_of(query.instrument)) or self._calls(
                found, question
            )
        except ProviderError as error:
            return error

    def _calls(self, candidate: Candidate, question: Question) -> Demand:
        query, provider = question.query, candidate.vendor.provider
        task = Task(
            query,
            candidate.recipe,
            [question.scope.span],
            question.sessions,
            candidate.now_ns,
        )
        refused = candidate.vendor.refusals.at(self._clock.monotonic())
        bars = requests_of(provider, task, ask_of(task, refused))
        given, wanted = candidate.recipe.adjustment, wanted_adjustment(task)
        actions = (
            ()
            if given is wanted
            else provider.action_requests(
                query.instrument, frozenset({given, wanted}), task.now_ns
            )
        )
        return Demand(tuple(map(_call, bars)), tuple(map(_call, actions)))

    def _shortage(
        self, entrant: Entrant, calls: Sequence[Calls]
    ) -> QuotaExhaustedError | None:
        units = entrant.quota.units(*_endpoints(calls))
        for use in self._ledger.uses():
            if use.provider != entrant.name:
                continue
            for window in use.windows:
                needed = len(calls) if window.counts is Counts.CALLS else units
                if _too_little(window, needed):
                    return _scarce(window, needed)
        return None


def _all(
    demands: Mapping[int, Demand], questions: Sequence[Question], rounds: int
) -> Iterator[Calls]:
    """Yield each call, if none has to be made again."""
    known: set[Instrument] = set()
    for number, demand in demands.items():
        yield from demand.bars * rounds
        instrument = questions[number].query.instrument
        if demand.actions and instrument not in known:
            known.add(instrument)
            yield from demand.actions


def _call(request: HttpRequest) -> Calls:
    return Calls(endpoint=request.feature, calls=1, times=request.times)


def _endpoints(calls: Iterable[Calls]) -> Iterator[str]:
    """Yield what calls ask for, as often as each of them weighs."""
    for each in calls:
        yield from repeat(each.endpoint, each.times)


def _too_little(window: WindowUse, needed: int) -> bool:
    # What is merely our own caution is no promise to anybody.
    if not window.tracked or window.seconds <= _SHORT_SECONDS:
        return False
    return window.remaining - needed < window.limit * _KEPT_SHARE


def _scarce(window: WindowUse, needed: int) -> QuotaExhaustedError:
    return QuotaExhaustedError(
        f"{window.remaining} of {window.limit} {window.counts} are left in the window "
        f"{window.window!r}, and the questions take {needed}; at least half must "
        "stay for others",
        provider=window.provider,
        window=window.window,
    )
