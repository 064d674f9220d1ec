"""Yahoo, as the house sees a vendor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlsplit

import msgspec

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import MalformedPayloadError, ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
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
from ingestion_server.providers.yahoo import (
    actions,
    chart,
    complaints,
    declarations,
    payload,
    requests,
    session,
    symbols,
)
from ingestion_server.providers.yahoo.quoting import YahooQuoting
from ingestion_server.providers.yahoo.streaming import YahooStreaming

_CHART_PATH: Final = "/v8/finance/chart/"
_DISTINCT: Final = frozenset({"symbols", "q", "date", "modules"})
"""Parameters by which pages of one path differ."""
_WITHOUT_CRUMB: Final = frozenset({declarations.SESSION, declarations.STREAM})
_USER_AGENT: Final = "Mozilla/5.0"
"""The clients' default names are refused outright [I]."""


@final
class Yahoo:
    """Be Yahoo's charts, quotes and stream."""

    name: str = declarations.NAME
    hosts: frozenset[str] = declarations.HOSTS
    lifecycle: Lifecycle = declarations.LIFECYCLE
    plans: Mapping[str, Budget] = declarations.PLANS
    default_plan: str = declarations.DEFAULT_PLAN
    endpoints: frozenset[str] = declarations.ENDPOINTS
    capabilities: Sequence[Capability] = declarations.CAPABILITIES
    feed_delay_seconds: float | None = declarations.FEED_DELAY_SECONDS
    needs_key: bool = False
    streaming: Streaming | None = YahooStreaming()
    quoting: Quoting | None = YahooQuoting()
    trade_history: TradeHistory | None = None
    batching: BarBatching | None = None
    symbol_search: SymbolSearch | None = None
    secret_parameters: frozenset[str] = frozenset({"crumb"})

    def spelling(self, instrument: Instrument) -> str | None:
        """Return Yahoo's symbol, or None if it has none."""
        return symbols.spelling(instrument)

    def names_unit(self, instrument: Instrument) -> bool:
        """Tell that the unit is always named."""
        del instrument
        return True

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Return the requests whose pages cover the span."""
        return requests.bar_requests(ask)

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Read one chart."""
        return chart.read_bars(response.body, ask)

    def action_requests(
        self, instrument: Instrument, adjustments: frozenset[Adjustment], now_ns: int
    ) -> Sequence[HttpRequest]:
        """Return the one request that tells splits, dividends and closes."""
        del adjustments  # one call tells them all
        if not instrument.asset_class.adjustable:
            return ()
        return (requests.history_request(instrument, now_ns),)

    def read_actions(
        self, responses: Sequence[HttpResponse], instrument: Instrument
    ) -> CorporateActions:
        """Read the whole history's actions."""
        return actions.read_actions(responses[0], instrument)

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add cookie and crumb, once there are any; a greeting brings its own."""
        headers = (*request.headers, ("User-Agent", _USER_AGENT))
        params = request.params
        if request.feature not in _WITHOUT_CRUMB:
            if credentials.cookies:
                headers += (("Cookie", session.cookie_header(credentials.cookies)),)
            if credentials.crumb:
                params += (("crumb", credentials.crumb),)
        return msgspec.structs.replace(request, headers=headers, params=params)

    def check(self, request: HttpRequest, response: HttpResponse) -> None:
        """Raise the classified error if the answer is a complaint."""
        if request.feature == declarations.SESSION:
            complaints.check_greeting(response)
        else:
            complaints.check(response)

    def greet(self, credentials: Credentials) -> session.Exchange:
        """Return the exchange that yields a cookie and its crumb."""
        del credentials  # what was refused is of no further use
        return session.greet()

    def identity(self, url: str, body: bytes) -> Identity | None:
        """Say which chart a url means; a missing symbol is read from the body."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.hostname not in self.hosts and url:
            return None
        if url and not parts.path.startswith(_CHART_PATH):
            return _page_identity(parts)
        symbol = unquote(parts.path.removeprefix(_CHART_PATH))
        interval = parse_qs(parts.query).get("interval", [""])[0]
        if not symbol or not interval:
            meta = _meta(body)
            symbol = symbol or (meta.symbol if meta else None) or ""
            interval = interval or (meta.data_granularity if meta else None) or ""
        if not symbol or not interval:
            return None
        interval = declarations.granularity(interval)
        return Identity(
            frozenset({("chart", _canonical(symbol)), ("interval", interval)})
        )

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Return the time from the first to after the last row of a chart."""
        del url
        try:
            result = payload.single_result(payload.decoded(body))
            rows = None if result is None else chart.read_rows(result)
        except ProviderError:
            return None
        if rows is None or not len(rows.stamps_ns):
            return None
        return Span(int(rows.stamps_ns[0]), int(rows.stamps_ns[-1]) + 1)

    def told_at_ns(self, body: bytes) -> int | None:
        """Return the time of the last trade, or of the last row if that is later."""
        span, meta = self.body_span("", body), _meta(body)
        trade = meta.regular_market_time if meta else None
        told = [span.end_ns - 1] if span else []
        if trade is not None and abs(trade) < payload.FARTHEST_SECONDS:
            told.append(trade * SECOND_NS)
        return max(told, default=None)


def _canonical(symbol: str) -> str:
    return symbols.spelling(symbols.instrument_of(symbol)) or symbol.upper()


def _page_identity(parts: SplitResult) -> Identity | None:
    """Other pages mean what their path says; those without data are left out."""
    if len(parts.path) <= 1:
        return None
    query = parse_qsl(parts.query)
    return Identity(
        frozenset(
            {("path", parts.path), *(pair for pair in query if pair[0] in _DISTINCT)}
        )
    )


def _meta(body: bytes) -> payload.Meta | None:
    try:
        result = payload.single_result(payload.decoded(body))
    except MalformedPayloadError:
        return None
    return None if result is None else result.meta
