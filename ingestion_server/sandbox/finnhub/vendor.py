"""Finnhub's REST side: paths below ``/api/v1``, a key, and what its plan allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from ingestion_server.sandbox import catalogue, damage
from ingestion_server.sandbox.days import (
    DAY_NS,
    FIRST_DAY,
    LAST_DAY,
    SECOND_NS,
    label_ns,
)
from ingestion_server.sandbox.faults import FINNHUB, Fault
from ingestion_server.sandbox.finnhub import reference, refusals, ticks
from ingestion_server.sandbox.finnhub.candles import (
    NO_DATA,
    RESOLUTIONS,
    Asked,
    candle_document,
)
from ingestion_server.sandbox.finnhub.plan import (
    FREE,
    Meters,
    invalid,
    misspelt,
    plan_of,
)
from ingestion_server.sandbox.finnhub.quote import (
    NO_BID,
    UNKNOWN,
    bid_document,
    quote_document,
)
from ingestion_server.sandbox.finnhub.refusals import KIND, RefusedError, wrong
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.tape import Tape
from ingestion_server.sandbox.wire import TEXT, Call, Reply, json_reply

PREFIX: Final = "/api/v1"
_DIGITS: Final = 12
"""More than any time in seconds or number of rows has; milliseconds have more."""
_MOST: Final = 10**_DIGITS
_LATEST_S: Final = LAST_DAY * DAY_NS // SECOND_NS
_CANDLES: Final = {
    "/stock/candle": frozenset({Kind.EQUITY, Kind.ETF, Kind.INDEX}),
    "/forex/candle": frozenset({Kind.CURRENCY}),
    "/crypto/candle": frozenset({Kind.CRYPTOCURRENCY}),
}
_SHARES: Final = frozenset({Kind.EQUITY, Kind.ETF})
_PREMIUM: Final = frozenset(
    {*_CANDLES, "/stock/tick", "/stock/bidask", "/stock/split", "/stock/dividend"}
)
_WISHES: Final = ("mic", "securityType", "currency")
_SCOPES: Final = {
    "/quote": "quote",
    "/stock/tick": "tick",
    "/search": "reference",
    "/stock/symbol": "reference",
    "/stock/bidask": "reference",
    "/stock/split": "reference",
    "/stock/dividend": "reference",
} | dict.fromkeys(_CANDLES, "candle")


@dataclass(frozen=True, slots=True)
class _Question:
    """Hold one call while it is answered."""

    path: str
    query: Mapping[str, str]
    now_ns: int
    faults: Sequence[Fault]

    def text(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.query.get(name, "")
        if not value:
            raise wrong(name)
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        """Return a whole number that must be there."""
        value = self.text(name)
        if not value.isdecimal() or len(value) > _DIGITS:
            raise wrong(name)
        if not least <= int(value) <= most:
            raise wrong(name)
        return int(value)

    def label_ns(self, name: str) -> int:
        """Return a date that must be there, at 00:00 UTC."""
        try:
            label = label_ns(date.fromisoformat(self.text(name)).isoformat())
        except ValueError:
            raise wrong(name) from None
        # The market has prices on no other days.
        return min(max(label, FIRST_DAY * DAY_NS), (LAST_DAY - 2) * DAY_NS)


class Finnhub:
    """Answer as Finnhub does."""

    def __init__(self, market: Market, tape: Tape, options: SandboxOptions) -> None:
        self._market = market
        self._tape = tape
        self._plan = options.finnhub_plan
        self._meters = Meters(options.finnhub_plan)
        self._answers: Mapping[str, Callable[[_Question], Awaitable[object]]] = {
            "/quote": self._quote,
            "/search": _search,
            "/stock/symbol": _symbols,
            "/stock/tick": self._ticks,
            "/stock/bidask": self._bid,
            "/stock/split": self._splits,
            "/stock/dividend": self._dividends,
        } | dict.fromkeys(_CANDLES, self._candles)

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return FINNHUB

    def owns(self, path: str) -> bool:
        """Tell whether a path is one of Finnhub's."""
        return path.startswith(f"{PREFIX}/")

    def scope(self, call: Call) -> str:
        """Return ``candle``, ``tick``, ``quote``, ``reference`` or nothing."""
        return _SCOPES.get(_path(call), "")

    def counted_as(self, call: Call) -> str:
        """Return the path below the prefix, or ``other`` for one that is unknown."""
        path = _path(call)
        return path if path in _SCOPES else "other"

    def symbols(self, call: Call) -> frozenset[str]:
        """Return the symbol of the call."""
        symbol = call.query.get("symbol", "").upper()
        return frozenset({symbol} if symbol else ())

    @property
    def zone(self) -> str:
        """Return UTC: no limit of Finnhub's turns with a date."""
        return "UTC"

    def metered_by(self, call: Call) -> str:
        """Return the key; a call without one that is known is refused for that."""
        key = _key(call)
        return "" if invalid(key) or misspelt(key) else key

    def over_limit(self, call: Call) -> Reply | None:
        """Meter the call by its key."""
        key = self.metered_by(call)
        if not key or self._meters.of(key).admitted(call.now_ns):
            return None
        return self._signed(refusals.over_limit(), call)

    def refusal(self, fault: Fault, call: Call) -> Reply | None:
        """Return the body of a fault that replaces the answer."""
        reply = refusals.of_fault(fault) or damage.whole_reply(fault)
        return reply and self._signed(reply, call)

    def forget_calls(self) -> None:
        """Empty the meters."""
        self._meters.forget()

    async def answer(self, call: Call, faults: Sequence[Fault]) -> Reply:
        """Answer one call by its path."""
        question = _Question(_path(call), call.query, call.now_ns, faults)
        try:
            self._check(question, _key(call))
            document = await self._answers[question.path](question)
        except RefusedError as refused:
            return self._signed(refused.reply, call)
        return self._signed(json_reply(document, kind=KIND), call)

    def _check(self, question: _Question, key: str) -> None:
        if question.path not in self._answers:
            raise RefusedError(Reply(b"404 page not found\n", 404, TEXT))
        if not key:
            raise RefusedError(refusals.no_key())
        if invalid(key):
            raise RefusedError(refusals.bad_key())
        if wrong_ending := misspelt(key):
            raise RefusedError(refusals.bad_key(wrong_ending))
        if plan_of(key, self._plan) == FREE and not _free(question):
            raise RefusedError(refusals.premium())

    def _signed(self, reply: Reply, call: Call) -> Reply:
        key = self.metered_by(call)
        told = self._meters.of(key).headers(call.now_ns) if key else ()
        return replace(reply, headers=(*reply.headers, *told), brotli=True)

    async def _history(
        self, question: _Question, kinds: frozenset[Kind]
    ) -> History | None:
        instrument = _instrument(question.text("symbol"))
        if instrument is None or instrument.kind not in kinds:
            return None
        history = await self._market.history(instrument)
        return history if history.session_count(question.now_ns) else None

    async def _quote(self, question: _Question) -> object:
        history = await self._history(question, frozenset(Kind))
        if history is None:
            return UNKNOWN
        return await quote_document(history, self._tape, question.now_ns)

    async def _bid(self, question: _Question) -> object:
        history = await self._history(question, _SHARES)
        if history is None:
            return NO_BID
        return await bid_document(history, self._tape, question.now_ns)

    async def _candles(self, question: _Question) -> object:
        resolution = question.text("resolution")
        if resolution not in RESOLUTIONS:
            raise wrong("resolution")
        asked = Asked(
            resolution,
            min(question.whole("from", 0, _MOST), _LATEST_S),
            min(question.whole("to", 0, _MOST), _LATEST_S),
            question.now_ns,
        )
        history = await self._history(question, _CANDLES[question.path])
        if history is None:
            return NO_DATA
        return candle_document(history, asked, question.faults)

    async def _ticks(self, question: _Question) -> object:
        day_ns = question.label_ns("date")
        limit = question.whole("limit", 1, ticks.MOST_ROWS)
        skip = question.whole("skip", 0, _MOST)
        history = await self._history(question, _SHARES)
        if history is None:
            return ticks.no_ticks(question.text("symbol"), skip)
        asked = ticks.Asked(day_ns, limit, skip, question.now_ns)
        return await ticks.tick_document(history, self._tape, asked, question.faults)

    async def _splits(self, question: _Question) -> object:
        dates = question.label_ns("from"), question.label_ns("to")
        history = await self._history(question, _SHARES)
        if history is None:
            return []
        symbol = history.instrument.symbol
        return reference.split_documents(history, symbol, *dates, question.now_ns)

    async def _dividends(self, question: _Question) -> object:
        dates = question.label_ns("from"), question.label_ns("to")
        history = await self._history(question, _SHARES)
        if history is None:
            return []
        symbol = history.instrument.symbol
        return reference.dividend_documents(history, symbol, *dates, question.now_ns)


async def _search(question: _Question) -> object:
    exchange = question.query.get("exchange", "")
    return reference.search_document(question.text("q"), exchange)


async def _symbols(question: _Question) -> object:
    wishes = (question.query.get(name, "") for name in _WISHES)
    return reference.symbol_documents(question.text("exchange"), *wishes)


def _free(question: _Question) -> bool:
    # A free key has what trades in the US, and nothing of the premium paths.
    if question.path in _PREMIUM:
        return False
    if question.path == "/stock/symbol":
        return question.query.get("exchange", "US") == "US"
    instrument = _instrument(question.query.get("symbol", ""))
    return instrument is None or instrument.venue.calendar == "XNYS"


def _instrument(symbol: str) -> Instrument | None:
    return catalogue.for_finnhub(symbol.upper())


def _path(call: Call) -> str:
    return call.path.removeprefix(PREFIX).rstrip("/")


def _key(call: Call) -> str:
    return call.query.get("token", "") or call.headers.get("X-Finnhub-Token", "")
