"""Yahoo Finance on one origin: chart, quote, crumb, and the way to a cookie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ingestion_server.sandbox import catalogue, damage
from ingestion_server.sandbox.days import SECOND_NS
from ingestion_server.sandbox.faults import YAHOO, Fault, named
from ingestion_server.sandbox.limits import RollingWindow
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.wire import HTML, Call, Reply, json_reply
from ingestion_server.sandbox.yahoo import refusals
from ingestion_server.sandbox.yahoo.chart import chart_document
from ingestion_server.sandbox.yahoo.consent import QUOTE_PAGE, Visitors
from ingestion_server.sandbox.yahoo.quote import quote_document
from ingestion_server.sandbox.yahoo.refusals import KIND, RefusedError

CHART: Final = "/v8/finance/chart/"
QUOTE: Final = "/v7/finance/quote"
CRUMB: Final = "/v1/test/getcrumb"
_SCOPES: Final = {
    "/": "home",
    QUOTE: "quote",
    CRUMB: "crumb",
    "/consent": "consent",
    "/v2/collectConsent": "consent",
    "/copyConsent": "consent",
}
_METERED: Final = frozenset({"chart", "quote", "crumb"})
"""Calls to the query hosts; the pages that hand out cookies are not metered."""


class Yahoo:
    """Answer as Yahoo Finance does."""

    def __init__(self, market: Market, options: SandboxOptions) -> None:
        self._market = market
        self._per_second = options.yahoo_per_second
        self._visitors = Visitors(options.seed)
        self._windows: dict[str, RollingWindow] = {}

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return YAHOO

    def owns(self, path: str) -> bool:
        """Tell whether a path is one of Yahoo's."""
        return _scope(path) != ""

    def scope(self, call: Call) -> str:
        """Return ``chart``, ``quote``, ``crumb``, ``consent`` or ``home``."""
        return _scope(call.path)

    def counted_as(self, call: Call) -> str:
        """Return the path without the symbol in it."""
        if self.scope(call) == "chart":
            return CHART.rstrip("/")
        return "/quote" if QUOTE_PAGE.fullmatch(call.path) else call.path

    def symbols(self, call: Call) -> frozenset[str]:
        """Return the symbol of a chart or page, or all symbols of a quote call."""
        match self.scope(call):
            case "chart":
                return frozenset({call.path.removeprefix(CHART)})
            case "quote":
                return frozenset(_quoted(call))
            case _:
                page = QUOTE_PAGE.fullmatch(call.path)
                return frozenset({page[1]} if page else ())

    @property
    def zone(self) -> str:
        """Return UTC: no limit of Yahoo's is known to turn with a date."""
        return "UTC"

    def metered_by(self, call: Call) -> str:
        """Return the caller's address, for calls to the query hosts."""
        return call.client if self.scope(call) in _METERED else ""

    def over_limit(self, call: Call) -> Reply | None:
        """Meter the call by the caller's address."""
        client = self.metered_by(call)
        if not client:
            return None
        window = self._windows.setdefault(
            client, RollingWindow(self._per_second, SECOND_NS)
        )
        if not window.has_room(call.now_ns):
            return damage.too_many(None)
        window.take(call.now_ns)
        return None

    def refusal(self, fault: Fault, call: Call) -> Reply | None:
        """Return the body of a fault that replaces the answer."""
        match fault.name:
            case "not_found":
                return refusals.not_found().reply
            case "status_422":
                begin = _digits(call.query.get("period1"))
                end = _digits(call.query.get("period2"))
                interval = call.query.get("interval", "1d")
                why = "The requested range must be within the last 30 days."
                return refusals.unprocessable(interval, begin, end, why).reply
            case "empty" if self.scope(call) == "quote":
                return _quotes([])
            case _:
                # An empty chart still has its meta, so the chart makes it.
                return damage.whole_reply(fault)

    def forget_calls(self) -> None:
        """Empty the meters; cookies stay good."""
        self._windows.clear()

    async def answer(self, call: Call, faults: Sequence[Fault]) -> Reply:
        """Answer one call by its path."""
        match self.scope(call):
            case "chart":
                return await self._chart(call, faults)
            case "quote":
                return await self._quote(call)
            case "crumb":
                return self._visitors.crumb(call)
            case "home":
                required = named(faults, "consent_required") is not None
                return self._visitors.home(consent_required=required)
            case _:
                return self._consent(call)

    async def _chart(self, call: Call, faults: Sequence[Fault]) -> Reply:
        required = named(faults, "crumb_required") is not None
        if required and not self._visitors.may_pass(call):
            return refusals.unauthorized("Invalid Crumb")
        symbol = call.path.removeprefix(CHART).upper()
        try:
            instrument = catalogue.for_yahoo(symbol)
            if instrument is None:
                raise refusals.not_found()
            history = await self._market.history(instrument)
            if not history.session_count(call.now_ns):
                raise refusals.not_found()
            document = chart_document(history, symbol, call.query, call.now_ns, faults)
        except RefusedError as refused:
            return refused.reply
        return json_reply(document, kind=KIND)

    async def _quote(self, call: Call) -> Reply:
        if not self._visitors.may_pass(call):
            return refusals.unauthorized("Invalid Crumb")
        quotes: list[dict[str, object]] = []
        for symbol in _quoted(call):
            # Unknown symbols are silently missing.
            if (instrument := catalogue.for_yahoo(symbol)) is not None:
                history = await self._market.history(instrument)
                if history.session_count(call.now_ns):
                    quotes.append(quote_document(history, symbol, call.now_ns))
        return _quotes(quotes)

    def _consent(self, call: Call) -> Reply:
        match call.path, call.method:
            case "/consent", "GET":
                return self._visitors.begin(call)
            case "/v2/collectConsent", "GET":
                return self._visitors.form(call)
            case "/v2/collectConsent", "POST":
                return self._visitors.agree(call)
            case "/copyConsent", "GET":
                return self._visitors.copy(call)
            case _, "GET":
                return self._visitors.page(call)
            case _:
                return Reply(b"<html><body>Not Allowed</body></html>", 405, HTML)


def _scope(path: str) -> str:
    if path.startswith(CHART) and len(path) > len(CHART):
        return "chart"
    if QUOTE_PAGE.fullmatch(path):
        return "consent"
    return _SCOPES.get(path, "")


def _quoted(call: Call) -> list[str]:
    symbols = call.query.get("symbols", "").upper().split(",")
    return [symbol for symbol in symbols if symbol]


def _quotes(quotes: list[dict[str, object]]) -> Reply:
    return json_reply({"quoteResponse": {"result": quotes, "error": None}}, kind=KIND)


def _digits(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
