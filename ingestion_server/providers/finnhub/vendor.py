"""Finnhub in one glance; how it is done lies in the modules beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import Span
from ingestion_server.ports.batching import BarBatching
from ingestion_server.ports.budget import Budget
from ingestion_server.ports.http import HttpRequest, HttpResponse
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
from ingestion_server.providers.finnhub import (
    actions,
    candles,
    complaints,
    declarations,
    recordings,
    requests,
    symbols,
)
from ingestion_server.providers.finnhub.quotes import FinnhubQuoting
from ingestion_server.providers.finnhub.search import FinnhubSearch
from ingestion_server.providers.finnhub.streaming import FREE_SYMBOLS, FinnhubStreaming
from ingestion_server.providers.finnhub.trades import FinnhubTrades


@final
class Finnhub:
    """
    Be Finnhub: trades as they happen and quotes; with premium plans, all that is past.

    ``plan`` is what the key was bought for; None = the free one.
    """

    name: str = declarations.NAME
    hosts: frozenset[str] = declarations.HOSTS
    lifecycle: Lifecycle = declarations.LIFECYCLE
    plans: Mapping[str, Budget] = declarations.PLANS
    default_plan: str = declarations.DEFAULT_PLAN
    endpoints: frozenset[str] = declarations.ENDPOINTS
    capabilities: Sequence[Capability] = declarations.CAPABILITIES
    feed_delay_seconds: float | None = None
    """Of its bars the vendor does not say."""
    needs_key: bool = True
    quoting: Quoting | None = FinnhubQuoting()
    trade_history: TradeHistory | None = FinnhubTrades()
    batching: BarBatching | None = None
    symbol_search: SymbolSearch | None = FinnhubSearch()
    secret_parameters: frozenset[str] = declarations.SECRET_PARAMETERS

    def __init__(self, *, plan: str | None = None) -> None:
        free = plan in {None, declarations.DEFAULT_PLAN}
        self.streaming: Streaming | None = FinnhubStreaming(
            FREE_SYMBOLS if free else None
        )

    def spelling(self, instrument: Instrument) -> str | None:
        """Return the vendor's own symbol, or None if it cannot mean the instrument."""
        return symbols.spelling(instrument)

    def names_unit(self, instrument: Instrument) -> bool:
        """Tell that no reply names a unit: it is known for pairs and US listings."""
        return bool(symbols.currency(instrument))

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Return the requests whose pages together cover the span."""
        return requests.bar_requests(ask)

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Read one page of bars; raises only ``ProviderError``."""
        return candles.read_bars(response.body, ask)

    def action_requests(
        self, instrument: Instrument, adjustments: frozenset[Adjustment], now_ns: int
    ) -> Sequence[HttpRequest]:
        """Return the requests that tell all corporate actions; empty if none can."""
        return requests.action_requests(instrument, adjustments, now_ns)

    def read_actions(
        self,
        responses: Sequence[HttpResponse],
        instrument: Instrument,  # noqa: ARG002 - no reply says what it is about
    ) -> CorporateActions:
        """Read the answers to ``action_requests``, in their order."""
        return actions.read_actions(responses)

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add the key; called next to the wire."""
        return requests.signed(request, credentials)

    def check(self, request: HttpRequest, response: HttpResponse) -> None:
        """Raise the classified error if the answer is a complaint."""
        complaints.check(request, response)

    def greet(self, credentials: Credentials) -> None:
        """Return None: there is nothing to exchange before the first question."""

    def identity(
        self,
        url: str,
        body: bytes,  # noqa: ARG002 - the url says it all
    ) -> Identity | None:
        """Say which resource a recorded url holds."""
        return recordings.identity(url)

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Return the time that a recorded body of bars covers; None if it has none."""
        return recordings.body_span(url, body)

    def told_at_ns(self, body: bytes) -> int | None:
        """Return the time of the latest trade that a quote tells."""
        return recordings.told_at_ns(body)
