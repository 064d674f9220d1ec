"""What units of work take: calls, money, and time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple, final

import msgspec

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import HOUR_NS, SECOND_NS
from ingestion_server.domain.jobs import ProviderPlan
from ingestion_server.domain.query import Span
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.pieces import Load, Piece
from ingestion_server.ports.provider import BarAsk
from ingestion_server.ports.quota import Calls, Ledger, Planned, PlannedForecast
from ingestion_server.registry.standing import Standings

_SOON_NS: Final = HOUR_NS
"""What has its turn within this waits for no window of a day or a month."""
_CALL_SECONDS: Final = 0.5
"""How long a call is thought to take of a vendor of which nobody knows."""
_TURN: Final = 500


class Work(NamedTuple):
    """Be one unit's worth of work."""

    instrument: Instrument
    piece: Piece


class Estimate(msgspec.Struct, frozen=True):
    """Be what some work takes, if nothing fails."""

    providers: tuple[ProviderPlan, ...]
    """The most units first."""
    soon: Mapping[str, int]
    """How many calls of each vendor have their turn soon."""
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

    async def estimate(self, works: Sequence[Work], *, now_ns: int) -> Estimate:
        """Return what some work takes; every piece has a vendor."""
        by_vendor: defaultdict[str, list[Work]] = defaultdict(list)
        for work in works:
            by_vendor[work.piece.provider].append(work)
        found: list[ProviderPlan] = []
        soon: dict[str, int] = {}
        for name, its in by_vendor.items():
            loads = await self._loads(name, its)
            forecast = await self._foresee(name, loads, now_ns)
            soon[name] = 0 if forecast is None else forecast.fits
            found.append(self._plan(name, its, loads, forecast, now_ns))
        found.sort(key=lambda plan: (-plan.units, plan.provider))
        ends = [plan.finishes_at_ns for plan in found]
        known = [end for end in ends if end is not None]
        return Estimate(
            tuple(found),
            soon,
            max(known, default=now_ns) if len(known) == len(ends) else None,
        )

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
        if finishes_at_ns is not None:
            view = self._standings.view(name, works[0].piece.kind)
            call_ns = int((view.p50_seconds or _CALL_SECONDS) * SECOND_NS)
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

    async def _foresee(
        self, name: str, loads: Counter[Load], now_ns: int
    ) -> PlannedForecast | None:
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
            finish_by_ns=now_ns + _SOON_NS,
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
        return min(work.piece.shared_by, self._limits.most_units_at_once)

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
