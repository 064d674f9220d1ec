"""IEX Cloud: paths below ``/stable``, a key, and a budget of messages."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from ingestion_server.sandbox import catalogue, damage
from ingestion_server.sandbox.days import (
    DAY_NS,
    FIRST_DAY,
    LAST_DAY,
    label_ns,
    local_label_ns,
)
from ingestion_server.sandbox.faults import IEX_CLOUD, Fault
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.iex_cloud import charts, reference, refusals
from ingestion_server.sandbox.iex_cloud.plan import Meters, invalid
from ingestion_server.sandbox.iex_cloud.quote import quote_document
from ingestion_server.sandbox.iex_cloud.refusals import KIND, RefusedError
from ingestion_server.sandbox.instrument import Kind
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.tape import Tape
from ingestion_server.sandbox.wire import Call, Reply, json_reply

_OWN: Final = re.compile(r"/(?:stable|v1|beta)/((?:stock|account)/.+?)/?")
_STOCK: Final = re.compile(r"stock/([^/]+)/([a-z-]+)(?:/(.+))?")
_BATCH: Final = "stock/market/batch"
_USAGE: Final = "account/usage"
_SHARES: Final = frozenset({Kind.EQUITY, Kind.ETF})
_US: Final = "XNYS"
_MOST_SYMBOLS: Final = 100
_MOST_DIGITS: Final = 6
_USUAL_RANGE: Final = "1m"
_SCOPES: Final = {
    "chart": "chart",
    "intraday-prices": "chart",
    "quote": "quote",
    "splits": "reference",
    "dividends": "reference",
}


@dataclass(frozen=True, slots=True)
class _Question:
    """Hold one call while it is answered."""

    history: History
    rest: str
    """What of the path follows the kind of data; a range."""
    query: Mapping[str, str]
    now_ns: int
    faults: Sequence[Fault]


_Answer = tuple[object, int]
"""A document, and the messages that it costs."""


class IexCloud:
    """Answer as IEX Cloud did."""

    def __init__(self, market: Market, tape: Tape, options: SandboxOptions) -> None:
        self._market = market
        self._tape = tape
        self._meters = Meters(options.iex_cloud_messages)
        self._answers: Mapping[str, Callable[[_Question], Awaitable[_Answer]]] = {
            "chart": _chart,
            "intraday-prices": _intraday,
            "quote": self._quote,
            "splits": _splits,
            "dividends": _dividends,
        }

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return IEX_CLOUD

    def owns(self, path: str) -> bool:
        """Tell whether a path is one of IEX Cloud's."""
        return _OWN.fullmatch(path) is not None

    def scope(self, call: Call) -> str:
        """Return ``chart``, ``quote``, ``reference`` or nothing."""
        return _SCOPES.get(self.counted_as(call), "")

    def counted_as(self, call: Call) -> str:
        """Return the kind of data, ``batch``, ``usage``, or ``other``."""
        path = _path(call)
        if path in {_BATCH, _USAGE}:
            return path.rpartition("/")[2]
        found = _STOCK.fullmatch(path)
        return found[2] if found is not None and found[2] in _SCOPES else "other"

    def symbols(self, call: Call) -> frozenset[str]:
        """Return the symbols of the call."""
        if _path(call) == _BATCH:
            return frozenset(_several(call))
        found = _STOCK.fullmatch(_path(call))
        return frozenset() if found is None else frozenset({found[1].upper()})

    @property
    def zone(self) -> str:
        """Return UTC, by whose months messages are counted."""
        return "UTC"

    def metered_by(self, call: Call) -> str:
        """Return the key; a call without one that is known is refused for that."""
        key = _key(call)
        return "" if invalid(key) else key

    def over_limit(self, call: Call) -> Reply | None:
        """Meter the pace of the address, and whether the key has any messages left."""
        key = self.metered_by(call)
        if not key:
            return None
        if not self._meters.keeps_pace(call.client, call.now_ns):
            return refusals.too_fast()
        if _path(call) != _USAGE and not self._meters.of(key).has_room(1, call.now_ns):
            return refusals.over_budget()
        return None

    def refusal(self, fault: Fault, call: Call) -> Reply | None:
        """Return the body of a fault that replaces the answer; it costs nothing."""
        del call
        return refusals.of_fault(fault) or damage.whole_reply(fault)

    def forget_calls(self) -> None:
        """Empty the meters."""
        self._meters.forget()

    async def answer(self, call: Call, faults: Sequence[Fault]) -> Reply:
        """Answer one call by its path, and count its messages."""
        try:
            key = _checked(call)
            account = self._meters.of(key)
            if _path(call) == _USAGE:
                return self._usage(key, call.now_ns)
            document, messages = await self._told(call, faults)
        except RefusedError as refused:
            return refused.reply
        if not account.has_room(messages, call.now_ns):
            return refusals.over_budget()
        account.take(messages, call.now_ns)
        told = (
            ("iexcloud-messages-used", str(messages)),
            ("iexcloud-premium-messages-used", "0"),
            ("iexcloud-credits-used", str(messages)),
            ("iexcloud-premium-credits-used", "0"),
        )
        return replace(json_reply(document, kind=KIND), headers=told)

    def _usage(self, key: str, now_ns: int) -> Reply:
        account = self._meters.of(key)
        used = account.used(now_ns)
        by_day = account.by_day(now_ns)
        messages = {
            "dailyUsage": {day.replace("-", ""): str(n) for day, n in by_day.items()},
            "monthlyUsage": used,
            "monthlyPayAsYouGo": 0,
            "tokenUsage": {key: str(used)},
            "keyUsage": {},
        }
        return json_reply({"messages": messages, "rules": []}, kind=KIND)

    async def _told(self, call: Call, faults: Sequence[Fault]) -> _Answer:
        path = _path(call)
        if path == _BATCH:
            return await self._batch(call, faults)
        found = _STOCK.fullmatch(path)
        if found is None or found[2] not in self._answers:
            raise RefusedError(refusals.sentence(404, "Not Found"))
        history = await self._history(found[1], call.now_ns)
        if history is None:
            raise RefusedError(refusals.unknown_symbol())
        return await self._answers[found[2]](
            _Question(history, found[3] or "", call.query, call.now_ns, faults)
        )

    async def _batch(self, call: Call, faults: Sequence[Fault]) -> _Answer:
        symbols = _several(call)
        types = [each for each in call.query.get("types", "").split(",") if each]
        if len(symbols) > _MOST_SYMBOLS:
            raise RefusedError(refusals.sentence(413, "Maximum number of symbols"))
        if not symbols or not types or not set(types) <= self._answers.keys():
            raise RefusedError(refusals.wrong())
        told: dict[str, dict[str, object]] = {}
        messages = 0
        for symbol in symbols:
            history = await self._history(symbol, call.now_ns)
            if history is None:
                continue
            question = _Question(
                history, call.query.get("range", ""), call.query, call.now_ns, faults
            )
            told[symbol] = {}
            for each in types:
                told[symbol][each], cost = await self._answers[each](question)
                messages += cost
        return told, messages

    async def _history(self, symbol: str, now_ns: int) -> History | None:
        instrument = catalogue.listed_as(symbol.upper())
        if instrument is None or instrument.kind not in _SHARES:
            return None
        if instrument.venue.calendar != _US:
            return None
        history = await self._market.history(instrument)
        return history if history.session_count(now_ns) else None

    async def _quote(self, question: _Question) -> _Answer:
        return await quote_document(question.history, self._tape, question.now_ns), 1


async def _chart(question: _Question) -> _Answer:
    kind, _, day = question.rest.partition("/")
    if kind == "date":
        day_ns = _day_ns(day)
        if question.query.get("chartByDay") == "true":
            rows = charts.one_day(
                question.history, day_ns, question.now_ns, question.faults
            )
            return rows, charts.PER_DAY * len(rows)
        rows = charts.minute_rows(
            question.history, day_ns, question.now_ns, question.faults
        )
        return rows, charts.PER_MINUTES if rows else 0
    if (question.rest or _USUAL_RANGE) not in charts.RANGES:
        raise RefusedError(refusals.bad_key())
    asked = charts.Asked(
        question.rest or _USUAL_RANGE,
        _last(question.query.get("chartLast", "")),
        question.query.get("includeToday") == "true",
        question.query.get("sort") == "desc",
        question.now_ns,
    )
    rows = charts.day_rows(question.history, asked, question.faults)
    return rows, charts.PER_DAY * len(rows)


async def _intraday(question: _Question) -> _Answer:
    rows = charts.minute_rows(question.history, None, question.now_ns, question.faults)
    return rows, min(len(rows), charts.PER_MINUTES)


async def _splits(question: _Question) -> _Answer:
    rows = reference.split_rows(question.history, _since_ns(question), question.now_ns)
    return rows, reference.PER_ROW * len(rows)


async def _dividends(question: _Question) -> _Answer:
    rows = reference.dividend_rows(
        question.history, _since_ns(question), question.now_ns
    )
    return rows, reference.PER_ROW * len(rows)


def _since_ns(question: _Question) -> int:
    today_ns = local_label_ns(question.now_ns, question.history.sessions.zone)
    name = question.rest or _USUAL_RANGE
    if name not in charts.RANGES:
        # Recorded of dividends: no complaint, and no rows.
        return LAST_DAY * DAY_NS
    return charts.begin_ns(name, today_ns)


def _day_ns(text: str) -> int:
    try:
        found = label_ns(date.fromisoformat(text).isoformat())
    except ValueError:
        raise RefusedError(refusals.wrong()) from None
    # The market has prices on no other days.
    return min(max(found, FIRST_DAY * DAY_NS), (LAST_DAY - 2) * DAY_NS)


def _last(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > _MOST_DIGITS or not int(text):
        raise RefusedError(refusals.wrong())
    return int(text)


def _several(call: Call) -> list[str]:
    symbols = call.query.get("symbols", "").upper().split(",")
    return list(dict.fromkeys(filter(None, symbols)))


def _checked(call: Call) -> str:
    key = _key(call)
    if not key:
        raise RefusedError(refusals.no_key())
    if invalid(key):
        raise RefusedError(refusals.bad_key())
    return key


def _path(call: Call) -> str:
    found = _OWN.fullmatch(call.path)
    return "" if found is None else found[1]


def _key(call: Call) -> str:
    return call.query.get("token", "")
