"""What units of work take: calls, money, and time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.jobs import ProviderPlan
from ingestion_server.domain.query import Span
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.pieces import Load
from ingestion_server.ingest.jobs.rehearsing import (
    Allotted,
    Pace,
    Rehearsal,
    Work,
    seats_of,
)
from ingestion_server.ports.provider import BarAsk
from ingestion_server.ports.quota import Calls, Ledger, Planned, PlannedForecast
from ingestion_server.registry.standing import Standings

_CALL_SECONDS: Final = 0.5
"""How long a call is thought to take of a vendor of which nobody knows."""
_TURN: Final = 500


class Estimate(msgspec.Struct, frozen=True):
    """Be what some work takes, if nothing fails."""

    providers: tuple[ProviderPlan, ...]
    """The most units first."""
    order: Sequence[int]
    """The places of all work: what waits for a window of a day or longer comes last."""
    finishes_at_ns: int | None
    """Of all of it; None = farther than can be foreseen."""

    @property
    def calls(self) -> int:
        """Return how many calls that is."""
        return sum(each.calls for each in self.providers)

    @property
    def cost_usd(self) -> Decimal:
        """Return what they cost beyond flat prices."""
        return sum((each.cost_usd for each in self.providers), Decimal(0))


@final
class Estimator:
    """Say what work takes of vendors whose quotas are what they are."""

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        ledger: Ledger,
        standings: Standings,
        *,
        limits: JobLimits,
    ) -> None:
        """``limits`` tell how many units a job has under way."""
        self._vendors = vendors
        self._ledger = ledger
        self._standings = standings
        self._limits = limits
        self._rehearsing = asyncio.Lock()

    async def estimate(self, works: Sequence[Work], *, now_ns: int) -> Estimate:
        """Return what some work takes; every piece has a vendor."""
        kinds = {piece.provider: piece.kind for work in works for piece in work.pieces}
        if len(kinds) > 1:
            allotted = await self._rehearsed(works, kinds)
        else:
            allotted = Allotted([work.piece for work in works], range(len(works)))
        by_vendor: defaultdict[str, list[Work]] = defaultdict(list)
        beyond: defaultdict[str, list[Work]] = defaultdict(list)
        for place, (work, piece) in enumerate(zip(works, allotted.pieces, strict=True)):
            served = Work(work.instrument, (piece,))
            by_vendor[piece.provider].append(served)
            if place not in allotted.rehearsed:
                beyond[piece.provider].append(served)
        found: list[ProviderPlan] = []
        for name in dict.fromkeys((*by_vendor, *allotted.loads)):
            loads = await self._loads(name, beyond[name])
            loads.update(allotted.loads.get(name, ()))
            forecast = await self._foresee(name, loads)
            found.append(self._plan(name, by_vendor[name], loads, forecast, now_ns))
        found.sort(key=lambda plan: (-plan.units, plan.provider))
        ends = [plan.finishes_at_ns for plan in found]
        known = [end for end in ends if end is not None]
        return Estimate(
            tuple(found),
            allotted.order,
            max(known, default=now_ns) if len(known) == len(ends) else None,
        )

    async def _rehearsed(
        self, works: Sequence[Work], kinds: Mapping[str, str]
    ) -> Allotted:
        """Return who serves what; ``kinds`` are the kinds of data by vendor."""
        async with self._rehearsing:
            paces = {
                name: Pace(self._ledger.turns(name), self._call_seconds(name, kind))
                for name, kind in kinds.items()
            }
            rehearsal = Rehearsal(
                works, paces, limits=self._limits, loads_of=self._loads_of
            )
            # It may take a processor for a second.
            return await asyncio.to_thread(rehearsal.run)

    def _call_seconds(self, name: str, kind: str) -> float:
        return self._standings.view(name, kind).p50_seconds or _CALL_SECONDS

    def _plan(
        self,
        name: str,
        works: Sequence[Work],
        loads: Counter[Load],
        forecast: PlannedForecast | None,
        now_ns: int,
    ) -> ProviderPlan:
        calls = loads.total()
        finishes_at_ns: int | None = now_ns
        if forecast is not None:
            finishes_at_ns = forecast.finishes_at_ns
        if finishes_at_ns is not None and works:
            seconds = self._call_seconds(name, works[0].piece.kind)
            call_ns = int(seconds * SECOND_NS)
            # The last has its turn, and is answered; or quota does not matter.
            together = max(map(self._together, works))
            rounds = -(-calls // max(self._limits.units_at_once // together, 1))
            finishes_at_ns = max(
                finishes_at_ns + (call_ns if calls else 0), now_ns + rounds * call_ns
            )
        return ProviderPlan(
            provider=name,
            units=len(works),
            calls=calls,
            cost_usd=Decimal(0) if forecast is None else forecast.cost_usd,
            finishes_at_ns=finishes_at_ns,
        )

    async def _foresee(self, name: str, loads: Counter[Load]) -> PlannedForecast | None:
        if not loads:
            return None
        first, *others = [
            Calls(endpoint=load.endpoint, calls=calls, times=load.times)
            for load, calls in loads.items()
        ]
        planned = Planned(
            provider=name,
            endpoint=first.endpoint,
            calls=first.calls,
            times=first.times,
            then=others,
        )
        (forecast,) = await self._ledger.foresee([planned])
        return forecast

    async def _loads(self, name: str, works: Sequence[Work]) -> Counter[Load]:
        """Return the calls of one vendor, by kind."""
        loads: Counter[Load] = Counter()
        acted: set[Instrument] = set()
        shared: defaultdict[tuple[Span, int], list[Work]] = defaultdict(list)
        for count, work in enumerate(works):
            if count % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            piece = work.piece
            if work.instrument not in acted:
                acted.add(work.instrument)
                loads.update(piece.action_loads)
            if piece.ask is None:
                loads.update(piece.loads)
            else:
                shared[piece.span, self._together(work)].append(work)
        for (_, most), its in shared.items():
            rest = iter(its)
            while together := list(islice(rest, most)):
                loads.update(self._loads_of(name, together))
                await asyncio.sleep(0)
        return loads

    def _together(self, work: Work) -> int:
        """Return how many can share its call: no more than are under way at a time."""
        return seats_of(work.piece, self._limits)

    def _loads_of(self, name: str, works: Sequence[Work]) -> Iterable[Load]:
        """Return the calls for stretches that can share one."""
        alone = [load for work in works for load in work.piece.loads]
        vendor = self._vendors.get(name)
        batching = None if vendor is None else vendor.provider.batching
        asks = [ask for work in works if (ask := _ask(work)) is not None]
        if batching is None or len(asks) == 1:
            return alone
        try:
            request = batching.batch_request(asks)
        except ProviderError:
            return alone
        return (Load(request.feature, request.times),)


def _ask(work: Work) -> BarAsk | None:
    ask = work.piece.ask
    if ask is None:
        return None
    return msgspec.structs.replace(ask, instrument=work.instrument)
