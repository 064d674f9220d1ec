"""One vendor asked for quotes: in as few calls as can be, shared with all who ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CostLimitError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    LedgerUnavailableError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    ServerStoppingError,
    SessionExpiredError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ingest.asked import by_limit
from ingestion_server.ingest.asking import HASTE_SECONDS
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.quote_checks import checked
from ingestion_server.ingest.quote_flights import Flight, Landing, QuoteFlights, Told
from ingestion_server.ingest.quote_turn import Heard, Turn
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.policy import CallTally
from ingestion_server.ports.tracing import follow, span

_KEPT_FOR_OTHERS: Final = 0.5
"""With less quota than this left, one question about many takes no more of it."""
_OF_THE_VENDOR: Final = (
    CostLimitError,
    CredentialsRefusedError,
    LedgerUnavailableError,
    QuotaExhaustedError,
    SessionExpiredError,
)
"""Refusals that the next call would meet as well, whatever it is about."""


@final
class QuoteAsker:
    """Ask one vendor, once for all who want the same at the same time."""

    def __init__(self, clock: Clock, flights: QuoteFlights) -> None:
        """Set up; ``flights`` own the calls."""
        self._clock = clock
        self._flights = flights

    def known(self, name: str, instrument: Instrument) -> Heard | None:
        """Return what a vendor told a moment ago; None if nothing."""
        told = self._flights.known(name, instrument)
        if told is None:
            return None
        return Heard(told.word, told.received_at_ns, shared=True)

    async def ask(
        self, turn: Turn, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Heard]:
        """Return what the vendor tells of each, or why it tells nothing."""
        heard: dict[Instrument, Heard] = {}
        left = list(instruments)
        while left:
            refusals: list[ProviderError] = []
            async with asyncio.TaskGroup() as group:
                boarded: list[Instrument] = []
                for flight, mine in self._under_way(turn, left, heard):
                    group.create_task(self._boarded(turn, flight, mine, heard))
                    boarded.extend(mine)
                rest = [i for i in left if i not in heard and i not in set(boarded)]
                size = turn.quoting.most_symbols
                for start in range(0, len(rest), size):
                    chunk = rest[start : start + size]
                    group.create_task(
                        self._asked(turn, chunk, heard, refusals, first=not start)
                    )
            # What failed only by another's limits, or another was quicker to ask for.
            left = [instrument for instrument in left if instrument not in heard]
        return heard

    def _under_way(
        self,
        turn: Turn,
        instruments: Sequence[Instrument],
        heard: dict[Instrument, Heard],
    ) -> list[tuple[Flight, list[Instrument]]]:
        """Return others' calls, and what each will bring; note what is known."""
        found: dict[int, tuple[Flight, list[Instrument]]] = {}
        for instrument in instruments:
            known = self.known(turn.name, instrument)
            flight = self._flights.over(turn.name, turn.lane, instrument)
            if known is not None:
                heard[instrument] = known
            elif flight is not None:
                found.setdefault(id(flight), (flight, []))[1].append(instrument)
        return list(found.values())

    async def _boarded(
        self,
        turn: Turn,
        flight: Flight,
        wanted: Sequence[Instrument],
        heard: dict[Instrument, Heard],
    ) -> None:
        """Wait for a call that another request began."""
        began = self._clock.monotonic()
        with span("shared call", link=flight.origin) as part:
            follow(part, flight.origin)
            told, limited = await self._landed(turn, flight, wanted)
        if limited:
            return
        seconds = self._clock.monotonic() - began
        for instrument in wanted:
            word = told[instrument]
            heard[instrument] = Heard(
                word.word, word.received_at_ns, latency_seconds=seconds, shared=True
            )

    async def _asked(
        self,
        turn: Turn,
        chunk: Sequence[Instrument],
        heard: dict[Instrument, Heard],
        refusals: list[ProviderError],
        *,
        first: bool,
    ) -> None:
        """Make one call, unless the vendor has refused one of this question."""
        began = self._clock.monotonic()
        tally = CallTally()
        async with turn.purse.places:
            # Others may have begun to ask meanwhile: theirs are waited for later.
            chunk = [i for i in chunk if self._unasked(turn, i)]
            if not chunk:
                return
            refusal = next(iter(refusals), None) or self._refusal(turn, first=first)
            if refusal is None:
                told = await self._flown(turn, chunk, tally)
                turn.purse.spent_usd += tally.cost_usd
            else:
                told = _all(chunk, refusal)
        seconds = self._clock.monotonic() - began
        for instrument in chunk:
            word = told[instrument]
            heard[instrument] = Heard(
                word.word, word.received_at_ns, tally.calls, tally.cost_usd, seconds
            )
            if isinstance(word.word, _OF_THE_VENDOR):
                refusals.append(word.word)

    def _unasked(self, turn: Turn, instrument: Instrument) -> bool:
        """Tell whether nobody is told, or is being told, of an instrument."""
        over = self._flights.over(turn.name, turn.lane, instrument)
        return over is None and self._flights.known(turn.name, instrument) is None

    def _refusal(self, turn: Turn, *, first: bool) -> ProviderError | None:
        spare = turn.vendor.quota.headroom() >= _KEPT_FOR_OTHERS
        if first or not turn.thrifty or spare:
            return None
        return CapabilityMissingError(
            "tells too few symbols a call: the rest of its quota is kept for others",
            provider=turn.name,
        )

    async def _flown(
        self, turn: Turn, chunk: Sequence[Instrument], tally: CallTally
    ) -> Mapping[Instrument, Told]:
        try:
            request = turn.quoting.quote_request(chunk)
            now = self._clock.monotonic()
            if request.feature in turn.vendor.refusals.at(now):
                raise EntitlementMissingError(
                    f"the plan with {turn.name} does not include {request.feature}",
                    provider=turn.name,
                    feature=request.feature,
                )
            allowance = Allowance(
                turn.deadline,
                turn.longest_quota_wait_seconds,
                turn.kind,
                last_resort=turn.last_resort,
                lane=turn.lane,
                most_cost_usd=turn.purse.left_usd,
                tally=tally,
            )

            async def fly() -> Landing:
                return await self._called(turn, request, chunk, allowance)

            flight = self._flights.begun(turn.name, turn.lane, chunk, fly)
        except (ProviderError, ServerStoppingError) as error:
            return _all(chunk, error)
        told, _ = await self._landed(turn, flight, chunk)
        return told

    async def _landed(
        self, turn: Turn, flight: Flight, wanted: Sequence[Instrument]
    ) -> tuple[Mapping[Instrument, Told], bool]:
        """Return what a call brought in time, and whether its own limits ended it."""
        left = turn.deadline - self._clock.monotonic()
        try:
            # A little later than the call itself ends, which says best whose fault
            # it was; what others wait for as well goes on without us.
            async with asyncio.timeout(left + HASTE_SECONDS):
                landing = await self._flights.landed(flight)
        except TimeoutError:
            late = DeadlineExceededError(
                f"the deadline passed while {turn.name} was asked", attempts=turn.name
            )
            return _all(wanted, self._judged(turn, late)), False
        except ServerStoppingError as error:
            return _all(wanted, error), False
        told = landing.told
        if any(isinstance(told[i].word, DeadlineExceededError) for i in wanted):
            return {
                instrument: Told(self._judged(turn, each.word))
                if isinstance(each.word, DeadlineExceededError)
                else each
                for instrument, each in told.items()
            }, landing.by_limit
        return told, landing.by_limit

    @staticmethod
    def _judged(turn: Turn, late: DeadlineExceededError) -> IngestionError:
        """Return whose fault it is that there is no answer in time."""
        if turn.last_resort:
            return late
        error = ProviderUnavailableError(
            f"{turn.name} did not answer in its share of the time", provider=turn.name
        )
        error.__cause__ = late
        return error

    async def _called(
        self,
        turn: Turn,
        request: HttpRequest,
        chunk: Sequence[Instrument],
        allowance: Allowance,
    ) -> Landing:
        """Make the call; what it raises is what it brought."""

        def read(response: HttpResponse) -> dict[Instrument, Told]:
            told = turn.quoting.read_quotes(response, chunk)
            return dict(self._signed(turn, response.received_at_ns, chunk, told))

        try:
            told = await turn.vendor.exchange(request, read, allowance=allowance)
        except (ProviderError, DeadlineExceededError) as error:
            if isinstance(error, EntitlementMissingError) and (
                error.feature == request.feature
            ):
                ends_at = self._clock.monotonic() + DAY_NS / SECOND_NS
                turn.vendor.refusals.until[error.feature] = ends_at
            now = self._clock.monotonic()
            return Landing(_all(chunk, error, at_seconds=now), by_limit(error))
        return Landing(told)

    def _signed(
        self,
        turn: Turn,
        received_at_ns: int,
        chunk: Sequence[Instrument],
        told: Mapping[Instrument, Snapshot | ProviderError],
    ) -> Iterator[tuple[Instrument, Told]]:
        now = self._clock.monotonic()
        for instrument in chunk:
            word = told.get(instrument)
            if word is None:
                word = NoDataUnexplainedError(
                    f"{turn.name} told nothing of {instrument.symbol}, and not why",
                    provider=turn.name,
                )
            elif isinstance(word, Snapshot):
                word = checked(
                    word,
                    symbol=instrument.symbol,
                    provider=turn.name,
                    received_at_ns=received_at_ns,
                )
            yield instrument, Told(word, received_at_ns, now)


def _all(
    instruments: Sequence[Instrument], error: IngestionError, *, at_seconds: float = 0.0
) -> dict[Instrument, Told]:
    return dict.fromkeys(instruments, Told(error, at_seconds=at_seconds))
