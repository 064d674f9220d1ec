"""Vendors that sell bars by the call, and a server that asks them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Self

import msgspec
import numpy as np

from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.errors import CredentialsRefusedError, ProviderError
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.query import (
    BarQuery,
    Priority,
    SourceMode,
    SourcePolicy,
    Span,
)
from ingestion_server.domain.result import BarResult
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.asked import Landed
from ingestion_server.ingest.call_meter import CallMeter
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.coaches import Coaches
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.flights import Flights
from ingestion_server.ingest.hedging import Hedges
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.shelf import ActionsCache, ActionsShelf
from ingestion_server.ingest.walk import Walker
from ingestion_server.policies.breaker import Breaker
from ingestion_server.policies.limits import BreakerLimits, PolicyLimits
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.batching import BarBatching
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.ports.policy import BreakerPosition, BreakerState, Call, Send
from ingestion_server.ports.provider import (
    BarAsk,
    Capability,
    Credentials,
    Identity,
    Lifecycle,
    Page,
)
from ingestion_server.ports.searching import SymbolSearch
from ingestion_server.ports.stream import Quoting, Streaming, TradeHistory
from ingestion_server.quota.ledger import Ledger, Setup
from ingestion_server.registry.selection import Listing
from ingestion_server.registry.standing import Standings
from tests.builders import ns
from tests.clocks import ManualClock
from tests.ingest.making import CALENDAR, NOW, RECEIVED, june

CENT = Decimal("0.01")
TEN_DAYS = (3, 4, 5, 6, 7, 10, 11, 12, 13, 14)
"""Of June 2024; these are what a query asks for."""
NO_TIMES = np.array([], np.int64)


@dataclass
class Shop:
    """Sell daily bars of equities, in so many calls, by the call."""

    name: str
    cents: int = 0
    days: Sequence[int] = TEN_DAYS
    calls: int = 1
    windows: Sequence[Window] = ()
    action_calls: int = 0
    """How many calls tell splits; with 0, bars are adjusted for them already."""
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    plans: Mapping[str, Budget] = field(default_factory=dict)
    default_plan: str = ""
    endpoints: frozenset[str] = frozenset({"BARS", "SPLITS"})
    feed_delay_seconds: float | None = None
    needs_key: bool = False
    streaming: Streaming | None = None
    quoting: Quoting | None = None
    trade_history: TradeHistory | None = None
    batching: BarBatching | None = None
    symbol_search: SymbolSearch | None = None
    secret_parameters: frozenset[str] = frozenset()

    @property
    def hosts(self) -> frozenset[str]:
        """Own one host."""
        return frozenset({f"{self.name}.example"})

    @property
    def capabilities(self) -> Sequence[Capability]:
        """Serve days as they were traded, or adjusted for splits."""
        given = Adjustment.RAW if self.action_calls else Adjustment.SPLIT
        return [
            Capability(
                frozenset({AssetClass.EQUITY}),
                frozenset({Interval.DAY_1}),
                frozenset({given}),
            )
        ]

    @property
    def budget(self) -> Budget:
        """Charge for each call."""
        return Budget(windows=tuple(self.windows), price_per_unit_usd=self.cents * CENT)

    def spelling(self, instrument: Instrument) -> str | None:
        """Spell as the house does."""
        return instrument.symbol

    def names_unit(self, instrument: Instrument) -> bool:
        """Know it."""
        del instrument
        return True

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Cover any span with the same calls."""
        return [self._request("BARS", n, span=ask.span) for n in range(self.calls)]

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Give all days with each call, of which those asked for are taken."""
        del response, ask
        return Page(self.series(), currency="USD")

    def series(self) -> BarSeries:
        """Give the days that are sold."""
        return june(*self.days)

    def action_requests(
        self, instrument: Instrument, adjustments: frozenset[Adjustment], now_ns: int
    ) -> Sequence[HttpRequest]:
        """Ask for splits."""
        del instrument, adjustments, now_ns
        return [self._request("SPLITS", n) for n in range(self.action_calls)]

    def read_actions(
        self, responses: Sequence[HttpResponse], instrument: Instrument
    ) -> CorporateActions:
        """Tell of none."""
        del responses, instrument
        none = np.array([], np.float64)
        return CorporateActions(NO_TIMES, none, NO_TIMES, none, NOW + DAY_NS)

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add nothing, but refuse if there is no key and there should be one."""
        if self.needs_key and not credentials.key:
            raise CredentialsRefusedError(
                f"{self.name} needs a key", provider=self.name
            )
        return request

    def check(self, request: HttpRequest, response: HttpResponse) -> None:
        """Never complain."""

    def greet(
        self, credentials: Credentials
    ) -> Generator[HttpRequest, HttpResponse, Credentials] | None:
        """Need no greeting."""
        del credentials

    def identity(self, url: str, body: bytes) -> Identity | None:
        """Never be recorded."""
        raise NotImplementedError

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Never be recorded."""
        raise NotImplementedError

    def told_at_ns(self, body: bytes) -> int | None:
        """Never be recorded."""
        raise NotImplementedError

    def _request(
        self, feature: str, number: int, *, span: Span | None = None
    ) -> HttpRequest:
        return HttpRequest(
            self.name,
            f"https://{self.name}.example/{feature}/{number}",
            feature=feature,
            span=span,
        )


@dataclass
class Wire:
    """Carry what is asked; fail or hang where told."""

    asked: list[str] = field(default_factory=list)
    """As ``acme BARS``."""
    failures: dict[str, list[ProviderError]] = field(default_factory=dict)
    """What befalls the next calls of a kind."""
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """What calls of a kind wait for."""
    left: bool | None = None
    """What is known of whether calls left."""

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """Answer, in time or not."""
        del timeout_seconds
        if trip is not None:
            trip.left = self.left
        kind = f"{request.provider} {request.feature}"
        self.asked.append(kind)
        if kind in self.held:
            await self.held[kind].wait()
        if self.failures.get(kind):
            raise self.failures[kind].pop(0)
        return HttpResponse(status=200, body=b"", received_at_ns=RECEIVED)

    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Be live."""
        del request


class OneCalendar:
    """Know one exchange."""

    async def sessions(self, calendar: str) -> Sessions | None:
        """Tell its sessions, whatever it is called."""
        del calendar
        return CALENDAR


class Market:
    """Join real rooms around shops; to be entered before use."""

    def __init__(self, *shops: Shop, ranked: bool = False, shared: int = 0) -> None:
        """
        Build all of it.

        ``ranked`` tells that an operator chose the order; if some are ``shared``, so
        many of the first have the same priority.
        """
        self.clock = ManualClock(NOW)
        self.wire = Wire()
        self.calls: list[Call] = []
        self.cache: ActionsCache = BoundedCache(100, self.clock)
        self.standings = Standings(self.clock)
        self.meter = CallMeter()
        setups = [Setup(shop.name, "plan", shop.budget) for shop in shops]
        self.ledger = Ledger(setups, clock=self.clock)
        self.vendors = {shop.name: self._vendor(shop) for shop in shops}
        self.breakers = {
            name: BreakerState(BreakerPosition.CLOSED, 0) for name in self.vendors
        }
        """Where breakers are said to stand; calls have others, which never open."""
        equals = dict.fromkeys(list(self.vendors)[:shared], 10)
        self.ranking = Ranking(
            Listing(tuple(self.vendors), ranked=ranked, priorities=equals),
            self.standings,
            self.clock,
            random=Random(7).random,  # noqa: S311 - no secret
        )
        self.flights: Flights[Landed] = Flights()
        self.coaches = Coaches(self.clock)
        hedges = Hedges(self.standings)
        self.fetcher = Fetcher(
            self.vendors,
            Walker(
                self.clock,
                self.flights,
                None,
                hedges,
                self.ranking,
                most_calls=3,
                coaches=self.coaches,
            ),
            calendars=OneCalendar(),
            transport=self.wire,
            clock=self.clock,
        )

    async def __aenter__(self) -> Self:
        """Let corporate actions be loaded."""
        await self.cache.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what is still being loaded."""
        await self.flights.__aexit__(None, None, None)
        await self.coaches.__aexit__(None, None, None)
        await self.cache.__aexit__(None, None, None)

    async def fetch(
        self,
        *providers: str,
        mode: SourceMode = SourceMode.ANY,
        most_cents: float | None = None,
        seconds: float = 30.0,
        priority: Priority = Priority.INTERACTIVE,
    ) -> BarResult:
        """Ask for the ten days."""
        most = None if most_cents is None else most_cents / 100
        policy = SourcePolicy(mode, providers, max_cost_usd=most)
        query = msgspec.structs.replace(QUERY, policy=policy, priority=priority)
        return await self.fetcher.fetch(query, budget_seconds=seconds, most_bars=1000)

    def _vendor(self, shop: Shop) -> Vendor:
        quota = self.ledger.accounts[shop.name]
        breaker = Breaker(BreakerLimits(), self.clock)

        def steps(kind: str, send: Send) -> Send:
            async def seen(call: Call) -> HttpResponse:
                self.calls.append(call)
                return await send(call)

            policies = standard_policies(
                PolicyLimits(),
                self.clock,
                breaker=breaker,
                quota=quota,
                kind=kind,
                hooks=[self.standings, self.meter],
            )
            return pipeline(policies, seen)

        return Vendor(
            shop,
            Exchange(shop, self.wire, steps, key=""),
            ActionsShelf(shop.name, self.cache, self.clock, keep_seconds=3600.0),
            quota,
            breaker=lambda _kind: self.breakers[shop.name],
        )


QUERY = BarQuery(
    instrument("AAPL"),
    Interval.DAY_1,
    start_ns=ns("2024-06-03"),
    end_ns=ns("2024-06-15"),
)
