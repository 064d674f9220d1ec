"""What landed, for planners; and vendors that reach back only so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    ProviderError,
    StateUnavailableError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Interval
from ingestion_server.domain.jobs import JobSpec
from ingestion_server.domain.landed import LandedBars
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult
from ingestion_server.ingest.jobs.estimating import Estimator
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.planning import Planned, Planner
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.jobs import Holding, Landed
from ingestion_server.ports.provider import BarAsk, Capability, Page
from tests.builders import ns
from tests.ingest.vendors import Market, Shop

START = ns("2024-01-01")


@dataclass
class Disk:
    """Have landed what a test says."""

    spans: dict[str, list[Span]] = field(default_factory=dict)
    """By symbol."""
    broken: set[str] = field(default_factory=set)

    async def land(self, holding: Holding, span: Span, result: BarResult) -> Landed:
        """Land nothing."""
        raise NotImplementedError

    async def covered(self, holding: Holding, span: Span) -> Sequence[Span]:
        """Tell what has landed."""
        symbol = holding.instrument.symbol
        if symbol in self.broken:
            raise StateUnavailableError(f"{symbol}/2024.parquet is no Parquet file")
        inside = [
            Span(max(each.start_ns, span.start_ns), min(each.end_ns, span.end_ns))
            for each in self.spans.get(symbol, [])
        ]
        return [each for each in inside if each.start_ns < each.end_ns]

    async def read(self, holding: Holding, span: Span) -> LandedBars:
        """Read nothing."""
        raise NotImplementedError


@dataclass
class Archive(Shop):
    """Sell bars of any length, each call of so many days, and not of long ago."""

    days_a_call: int | None = None
    """None = all at once."""
    reach_days: float | None = None
    only: frozenset[str] = frozenset()
    """Symbols it knows; empty = all."""
    interval: Interval = Interval.DAY_1

    @property
    def capabilities(self) -> Sequence[Capability]:
        """Reach back so far."""
        given = Adjustment.RAW if self.action_calls else Adjustment.SPLIT
        return [
            Capability(
                frozenset({AssetClass.EQUITY}),
                frozenset({self.interval}),
                frozenset({given}),
                oldest_seconds=self.reach_days and self.reach_days * 86_400,
            )
        ]

    def spelling(self, instrument: Instrument) -> str | None:
        """Spell what it knows."""
        known = not self.only or instrument.symbol in self.only
        return instrument.symbol if known else None

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Take as many calls as there are stretches."""
        length = ask.span.end_ns - ask.span.start_ns
        step = self.days_a_call * DAY_NS if self.days_a_call else max(length, 1)
        return [
            self._request("BARS", number, span=ask.span)
            for number in range(-(-length // step))
        ]


@dataclass
class Together:
    """Tell days of several instruments at once."""

    most_symbols: int = 100
    together: list[int] = field(default_factory=list)

    def fits(self, ask: BarAsk) -> bool:
        """Take whatever is asked."""
        del ask
        return True

    def batch_request(self, asks: Sequence[BarAsk]) -> HttpRequest:
        """Make one call of it."""
        if len({ask.span for ask in asks}) > 1:
            raise CapabilityMissingError("too different", provider=asks[0].interval)
        self.together.append(len(asks))
        return HttpRequest("acme", "https://acme.example/batch", feature="BARS")

    def read_batch(
        self, response: HttpResponse, asks: Sequence[BarAsk]
    ) -> Mapping[BarAsk, Page | ProviderError]:
        """Never be asked."""
        raise NotImplementedError


class PlanningDesk:
    """Plan over a market."""

    def __init__(self, *shops: Shop, ranked: bool = False, at_once: int = 8) -> None:
        """Set up; ``ranked`` tells that an operator chose the order."""
        self.market = Market(*shops, ranked=ranked)
        self.disk = Disk()
        self.planner = Planner(
            self.market.fetcher,
            self.market.vendors,
            Estimator(
                self.market.vendors,
                self.market.ledger,
                self.market.standings,
                limits=JobLimits(units_at_once=at_once),
            ),
            landing=self.disk,
            clock=self.market.clock,
        )

    @property
    def now_ns(self) -> int:
        """Tell the time."""
        return self.market.clock.now_ns()

    async def plan(self, spec: JobSpec, told_until_ns: int | None = None) -> Planned:
        """Plan a first run."""
        return await self.planner.plan(
            spec,
            job_id="job",
            run=1,
            first_number=1,
            now_ns=self.now_ns,
            told_until_ns=told_until_ns,
        )


def seconds_until(now_ns: int, then_ns: int | None) -> float:
    """Tell how long that takes."""
    assert then_ns is not None
    return (then_ns - now_ns) / SECOND_NS
