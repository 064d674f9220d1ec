"""
What a vendor is to the house: declarations, and pure functions.

A vendor never touches the network or the clock: it builds requests, is handed
answers, and reads them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.query import Span
from ingestion_server.ports.budget import Budget
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.searching import SymbolSearch
from ingestion_server.ports.stream import Quoting, Streaming, TradeHistory

if TYPE_CHECKING:
    # It speaks of questions and pages, which are here.
    from ingestion_server.ports.batching import BarBatching


class Lifecycle(msgspec.Struct, frozen=True):
    """Say whether a vendor still serves."""

    stage: str = "active"
    """``active``, ``deprecated`` or ``retired``."""
    since: str = ""
    """ISO date of the last change; empty if it was always so."""


class Capability(msgspec.Struct, frozen=True):
    """Say what a vendor serves as it is, without our computing anything."""

    asset_classes: frozenset[AssetClass]
    intervals: frozenset[Interval]
    adjustments: frozenset[Adjustment]
    """As the vendor's own bars are adjusted; for kinds without actions, RAW."""
    extended_hours: bool = False
    oldest_seconds: float | None = None
    """How far back from now bars reach; None = no such limit."""
    earliest_ns: int | None = None
    """Before this the vendor has nothing; None = unknown."""


class BarAsk(msgspec.Struct, frozen=True):
    """Ask a vendor for bars that it serves as they are."""

    instrument: Instrument
    interval: Interval
    adjustment: Adjustment
    span: Span
    """Labels wanted; the vendor may give more."""
    now_ns: int
    """When the question is asked; for a recording, when it was recorded."""
    hours: TradingHours = TradingHours.REGULAR
    refused: frozenset[str] = frozenset()
    """Features that the plan turned out not to include."""


class Page(msgspec.Struct, frozen=True, eq=False):
    """Hold the bars of one answer, ascending, labelled as the house labels them."""

    series: BarSeries
    currency: str = ""
    """Unit of the prices as the vendor names it; empty if it does not."""
    volume_unit: str = ""
    """What volume counts where it is no shares or contracts: ``BTC`` or ``USD``."""
    first_trade_ns: int | None = None
    """When the instrument was first traded, if the vendor says."""
    flags: list[QualityFlag] = msgspec.field(default_factory=list)


class Credentials(msgspec.Struct, frozen=True):
    """Hold what a vendor wants to see; never logged."""

    key: str = ""
    crumb: str = ""
    cookies: tuple[tuple[str, str], ...] = ()


class Identity(msgspec.Struct, frozen=True):
    """Say which resource a request means, for finding it among recordings."""

    resource: frozenset[tuple[str, str]]
    """What must be equal: function, symbol, interval, …."""
    window: frozenset[tuple[str, str]] = frozenset()
    """Parts that choose a stretch of time and must be equal too, such as a month."""


class Provider(Protocol):
    """Be one vendor."""

    @property
    def name(self) -> str:
        """Return the id, in snake case."""
        ...

    @property
    def hosts(self) -> frozenset[str]:
        """Return the hosts that requests and redirects may go to."""
        ...

    @property
    def lifecycle(self) -> Lifecycle:
        """Return whether the vendor still serves."""
        ...

    @property
    def plans(self) -> Mapping[str, Budget]:
        """Return what each plan allows and costs, by the plan's name."""
        ...

    @property
    def default_plan(self) -> str:
        """Return the plan that is assumed where none is configured."""
        ...

    @property
    def endpoints(self) -> frozenset[str]:
        """
        Return all that a budget may give a weight.

        These are the features of all requests, a greeting's included, and their parts
        before ``:``, such as ``chart:1d`` and ``chart``.
        """
        ...

    @property
    def capabilities(self) -> Sequence[Capability]:
        """Return what is served natively."""
        ...

    @property
    def feed_delay_seconds(self) -> float | None:
        """Return how late the data are; None if the vendor does not say."""
        ...

    @property
    def needs_key(self) -> bool:
        """Return whether a key is needed."""
        ...

    @property
    def secret_parameters(self) -> frozenset[str]:
        """Return the query parameters that must never be shown or recorded."""
        ...

    @property
    def streaming(self) -> Streaming | None:
        """Return its live stream; None if it has none."""
        ...

    @property
    def quoting(self) -> Quoting | None:
        """Return what tells the latest quotes; None if nothing does."""
        ...

    @property
    def trade_history(self) -> TradeHistory | None:
        """Return what tells the trades of the past; None if nothing does."""
        ...

    @property
    def batching(self) -> BarBatching | None:
        """Return what tells bars of several instruments at once; None if nothing."""
        ...

    @property
    def symbol_search(self) -> SymbolSearch | None:
        """Return what finds symbols that are like another; None if nothing does."""
        ...

    def spelling(self, instrument: Instrument) -> str | None:
        """Return the vendor's own symbol, or None if it cannot mean the instrument."""
        ...

    def names_unit(self, instrument: Instrument) -> bool:
        """Tell whether the unit of the instrument's prices will be known."""
        ...

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Return the requests whose pages together cover the span."""
        ...

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Read one page of bars; raises only ``ProviderError``."""
        ...

    def action_requests(
        self, instrument: Instrument, adjustments: frozenset[Adjustment], now_ns: int
    ) -> Sequence[HttpRequest]:
        """Return the requests that tell all corporate actions; empty if none can."""
        ...

    def read_actions(
        self, responses: Sequence[HttpResponse], instrument: Instrument
    ) -> CorporateActions:
        """
        Read the answers to ``action_requests``, in their order.

        Raises ``CapabilityMissingError`` if they do not tell the whole history.
        """
        ...

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add what the vendor wants to see; called next to the wire."""
        ...

    def check(self, request: HttpRequest, response: HttpResponse) -> None:
        """Raise the classified error if the answer is a complaint."""
        ...

    def greet(
        self, credentials: Credentials
    ) -> Generator[HttpRequest, HttpResponse, Credentials] | None:
        """
        Return the exchange that yields fresh credentials; None if there is none.

        It is sent each answer; a request that could not be answered is thrown in as
        ``ProviderUnavailableError``.
        """
        ...

    def identity(self, url: str, body: bytes) -> Identity | None:
        """Say which resource a recorded url (and, where it is silent, body) holds."""
        ...

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Return the time that a recorded body of bars covers; None if it has none."""
        ...

    def told_at_ns(self, body: bytes) -> int | None:
        """
        Return the latest time that a recorded body of bars says it knows of.

        None if it does not say. It was not recorded earlier.
        """
        ...
