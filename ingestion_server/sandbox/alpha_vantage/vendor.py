"""Alpha Vantage behind one path: ``GET /query?function=…&apikey=…``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ingestion_server.sandbox import catalogue, damage
from ingestion_server.sandbox.alpha_vantage import (
    currencies,
    reference,
    refusals,
    stocks,
)
from ingestion_server.sandbox.alpha_vantage import table as tables
from ingestion_server.sandbox.alpha_vantage.currencies import Pair
from ingestion_server.sandbox.alpha_vantage.plan import (
    FREE,
    PREMIUM_FUNCTIONS,
    QUOTA_ZONE,
    Meters,
    misspelt,
    plan_of,
)
from ingestion_server.sandbox.alpha_vantage.refusals import (
    RefusedError,
    information,
    invalid_call,
)
from ingestion_server.sandbox.alpha_vantage.table import Ask, Table
from ingestion_server.sandbox.faults import ALPHA_VANTAGE, Fault, named
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.wire import Call, Reply

PATH: Final = "/query"
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_STOCK_DAYS: Final = re.compile(r"TIME_SERIES_((?:DAILY|WEEKLY|MONTHLY)(?:_ADJUSTED)?)")
_PAIR_DAYS: Final = re.compile(r"(FX|DIGITAL_CURRENCY)_(DAILY|WEEKLY|MONTHLY)")
_SIZED: Final = frozenset({"DAILY", "DAILY_ADJUSTED"})
_REFERENCE: Final = frozenset(
    {"SPLITS", "DIVIDENDS", "GLOBAL_QUOTE", "SYMBOL_SEARCH", "CURRENCY_EXCHANGE_RATE"}
)
_INTRADAY: Final = frozenset({"TIME_SERIES_INTRADAY", "FX_INTRADAY", "CRYPTO_INTRADAY"})
_SYMBOL_PARAMETERS: Final = ("symbol", "from_symbol", "from_currency")


@dataclass(frozen=True, slots=True)
class _Question:
    """Hold one call while it is answered."""

    function: str
    query: Mapping[str, str]
    now_ns: int
    faults: Sequence[Fault]

    def flag(self, name: str) -> bool:
        """Return a parameter that is true unless told otherwise."""
        value = self.query.get(name, "true").lower()
        if value not in ("true", "false"):
            raise invalid_call(self.function)
        return value == "true"

    def interval(self) -> str:
        """Return the interval of an intraday call."""
        value = self.query.get("interval", "")
        if value not in tables.INTERVALS:
            raise invalid_call(self.function)
        return value

    def full(self) -> bool:
        """Tell whether all rows are asked for."""
        size = self.query.get("outputsize", "compact")
        if size not in ("compact", "full"):
            raise invalid_call(self.function)
        return size == "full"


class AlphaVantage:
    """Answer as Alpha Vantage does."""

    def __init__(self, market: Market, options: SandboxOptions) -> None:
        self._market = market
        self._options = options
        self._meters = Meters(options.alpha_vantage_plan)

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return ALPHA_VANTAGE

    def scope(self, call: Call) -> str:
        """Return ``series`` for functions with rows of bars, else ``reference``."""
        return "series" if _has_rows(_function(call)) else "reference"

    def counted_as(self, call: Call) -> str:
        """Return the function, or ``other`` for one that does not exist."""
        function = _function(call)
        known = _has_rows(function) or function in _REFERENCE
        return function if known else "other"

    def symbols(self, call: Call) -> frozenset[str]:
        """Return the stock, or the first side of a pair."""
        found = (call.query.get(name, "").upper() for name in _SYMBOL_PARAMETERS)
        return frozenset(symbol for symbol in found if symbol)

    @property
    def zone(self) -> str:
        """Return the zone in which the quota's day turns."""
        return QUOTA_ZONE

    def metered_by(self, call: Call) -> str:
        """Return the key; a call without one is refused for that."""
        return call.query.get("apikey", "")

    def over_limit(self, call: Call) -> Reply | None:
        """Meter the call by its key."""
        key = self.metered_by(call)
        return self._meters.refused(key, call.now_ns) if key else None

    def refusal(self, fault: Fault, call: Call) -> Reply | None:
        """Return the body of a fault that replaces the answer."""
        key = call.query.get("apikey", "")
        return damage.whole_reply(fault) or refusals.of_fault(
            fault, _function(call), key
        )

    def forget_calls(self) -> None:
        """Empty the meters."""
        self._meters.forget()

    async def answer(self, call: Call, faults: Sequence[Fault]) -> Reply:
        """Answer one call; complaints are JSON whatever ``datatype`` says."""
        question = _Question(_function(call), call.query, call.now_ns, faults)
        try:
            self._check(question)
            reply = await self._reply(question)
        except RefusedError as refused:
            return refused.reply
        if named(faults, "information_beside") is None or reply.body[:1] != b"{":
            return reply
        document = msgspec.json.decode(reply.body) | {"Information": refusals.DAILY}
        return tables.indented(document)

    def _check(self, question: _Question) -> None:
        key = question.query.get("apikey", "")
        if not key:
            raise RefusedError(refusals.error_message(refusals.BAD_KEY))
        if wrong := misspelt(key):
            raise RefusedError(refusals.error_message(refusals.bad_ending(wrong)))
        if plan_of(key, self._options.alpha_vantage_plan) != FREE:
            return
        wants_full = question.query.get("outputsize") == "full"
        if question.function in PREMIUM_FUNCTIONS or (
            wants_full and not self._options.free_full
        ):
            raise RefusedError(information(refusals.PREMIUM))

    async def _reply(self, question: _Question) -> Reply:
        if question.function in _REFERENCE:
            return await self._reference(question)
        table = await self._table(question)
        return table.csv() if question.query.get("datatype") == "csv" else table.json()

    async def _table(self, question: _Question) -> Table:
        function = question.function
        if match := _STOCK_DAYS.fullmatch(function):
            return await self._stock_days(question, match[1])
        if match := _PAIR_DAYS.fullmatch(function):
            return await self._pair_days(question, match[1], match[2])
        if function == "TIME_SERIES_INTRADAY":
            return await self._stock_intraday(question)
        if function in _INTRADAY:
            return await self._pair_intraday(question)
        raise invalid_call(function)

    async def _stock_days(self, question: _Question, what: str) -> Table:
        full = question.full() if what in _SIZED else True
        instrument, symbol = _stock(question)
        history = await self._history(question, instrument)
        return stocks.day_table(history, symbol, what, self._ask(question, full=full))

    async def _stock_intraday(self, question: _Question) -> Table:
        month = question.query.get("month", "")
        if month and not _MONTH.fullmatch(month):
            raise invalid_call(question.function)
        asked = stocks.IntradayQuery(
            interval=question.interval(),
            month=month,
            adjusted=question.flag("adjusted"),
            extended=question.flag("extended_hours"),
        )
        ask = self._ask(question, full=question.full())
        instrument, symbol = _stock(question)
        history = await self._history(question, instrument)
        return stocks.intraday_table(history, symbol, asked, ask)

    async def _pair_days(self, question: _Question, family: str, period: str) -> Table:
        sized = family == "FX" and period == "DAILY"
        full = question.full() if sized else True
        instrument, pair = _pair(question, coins=family != "FX")
        history = await self._history(question, instrument)
        ask = self._ask(question, full=full)
        return currencies.day_table(history, pair, period, ask)

    async def _pair_intraday(self, question: _Question) -> Table:
        interval, full = question.interval(), question.full()
        instrument, pair = _pair(question, coins=question.function[0] == "C")
        history = await self._history(question, instrument)
        ask = self._ask(question, full=full)
        return currencies.intraday_table(history, pair, interval, ask)

    async def _history(self, question: _Question, instrument: Instrument) -> History:
        history = await self._market.history(instrument)
        if not history.session_count(question.now_ns):
            # Not listed yet: as unknown as any other symbol.
            raise invalid_call(question.function)
        return history

    def _ask(self, question: _Question, *, full: bool) -> Ask:
        label = self._options.alpha_vantage_label
        return Ask(question.now_ns, full, label, question.faults)

    async def _reference(self, question: _Question) -> Reply:
        match question.function:
            case "GLOBAL_QUOTE":
                return await self._quote(question)
            case "SYMBOL_SEARCH":
                return _search(question)
            case "CURRENCY_EXCHANGE_RATE":
                return await self._rate(question)
            case what:
                return await self._events(question, what)

    async def _events(self, question: _Question, what: str) -> Reply:
        instrument, symbol = _stock(question)
        history = await self._history(question, instrument)
        rows = reference.event_documents(history, what, question.now_ns)
        if question.query.get("datatype") == "csv":
            header = list(rows[0]) if rows else []
            return tables.csv_reply(header, [list(row.values()) for row in rows])
        return tables.indented({"symbol": symbol, "data": rows})

    async def _quote(self, question: _Question) -> Reply:
        symbol = question.query.get("symbol", "").upper()
        instrument = catalogue.for_alpha_vantage(symbol)
        document: dict[str, str] = {}
        if instrument is not None:
            history = await self._history(question, instrument)
            document = reference.quote_document(history, symbol, question.now_ns)
        if question.query.get("datatype") == "csv":
            rows = [list(document.values())] if document else []
            return tables.csv_reply(reference.QUOTE_CSV, rows)
        return tables.indented({"Global Quote": document})

    async def _rate(self, question: _Question) -> Reply:
        base = question.query.get("from_currency", "").upper()
        quote = question.query.get("to_currency", "").upper()
        instrument = catalogue.coin_pair(base, quote) or catalogue.currency_pair(
            base, quote
        )
        if instrument is None:
            raise invalid_call(question.function)
        history = await self._history(question, instrument)
        document = currencies.rate_document(history, Pair(base, quote), question.now_ns)
        return tables.indented({"Realtime Currency Exchange Rate": document})


def _search(question: _Question) -> Reply:
    keywords = question.query.get("keywords", "")
    if not keywords:
        raise invalid_call(question.function)
    found = catalogue.stocks_matching(keywords)
    rows = reference.match_documents(found, keywords, question.now_ns)
    if question.query.get("datatype") == "csv":
        return tables.csv_reply(
            reference.SEARCH_CSV, [list(row.values()) for row in rows]
        )
    return tables.indented({"bestMatches": rows})


def _stock(question: _Question) -> tuple[Instrument, str]:
    symbol = question.query.get("symbol", "").upper()
    instrument = catalogue.for_alpha_vantage(symbol)
    if instrument is None:
        raise invalid_call(question.function)
    return instrument, symbol


def _pair(question: _Question, *, coins: bool) -> tuple[Instrument, Pair]:
    first, second = ("symbol", "market") if coins else ("from_symbol", "to_symbol")
    pair = Pair(
        question.query.get(first, "").upper(), question.query.get(second, "").upper()
    )
    found = catalogue.coin_pair if coins else catalogue.currency_pair
    instrument = found(pair.base, pair.quote)
    if instrument is None:
        raise invalid_call(question.function)
    return instrument, pair


def _function(call: Call) -> str:
    return call.query.get("function", "").upper()


def _has_rows(function: str) -> bool:
    return bool(
        function in _INTRADAY
        or _STOCK_DAYS.fullmatch(function)
        or _PAIR_DAYS.fullmatch(function)
    )
