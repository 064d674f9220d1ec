"""The bodies of ``/quote`` and ``/stock/bidask``."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Float64
from ingestion_server.sandbox.days import MINUTE_NS, SECOND_NS
from ingestion_server.sandbox.finnhub.candles import split_adjusted
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.prints import Prints
from ingestion_server.sandbox.tape import Tape

UNKNOWN: Final[dict[str, object]] = {
    "c": 0,
    "d": None,
    "dp": None,
    "h": 0,
    "l": 0,
    "o": 0,
    "pc": 0,
    "t": 0,
}
"""Also of what does not exist, with status 200."""
NO_BID: Final[dict[str, object]] = {"a": 0, "av": 0, "b": 0, "bv": 0, "t": 0}
_AFTER_THE_CLOSE_S: Final = 3
"""Recorded: the last price is that old."""
_DIGITS: Final = 5
_MILLISECOND_NS: Final = 1_000_000
_LOT: Final = 100
_LOTS: Final = 9


async def quote_document(
    history: History, tape: Tape, now_ns: int
) -> dict[str, object]:
    """Return today so far, the last trade included, or the last day."""
    count = history.session_count(now_ns)
    if not count:
        return UNKNOWN
    days = split_adjusted(history, now_ns)
    opened_ns = int(history.sessions.opens_ns[count - 1])
    opening, prices = float(days.open[-1]), days.close[-1:]
    high, low = float(days.high[-1]), float(days.low[-1])
    before = float(days.close[-2:][0])
    time_s = int(history.sessions.closes_ns[count - 1]) // SECOND_NS
    time_s = min(time_s + _AFTER_THE_CLOSE_S, now_ns // SECOND_NS)
    if history.running(now_ns):
        minute_ns = now_ns // MINUTE_NS * MINUTE_NS
        prints = await _latest(
            history, tape, max(opened_ns, minute_ns - MINUTE_NS), now_ns
        )
        past = history.minutes(count - 1, count, minute_ns, extended=False)
        told = np.concatenate((past.high, past.low, prints.price))
        if not len(told):
            # Open, but not a trade yet: the day before is still the last.
            return await quote_document(history, tape, opened_ns)
        high, low = float(told.max()), float(told.min())
        prices = prints.price if len(prints) else past.close
        opening = float(past.open[0] if len(past) else prints.price[0])
        if len(prints):
            time_s = int(prints.time_ns[-1]) // SECOND_NS
    return _document(prices, opening, high, low, before, time_s)


async def bid_document(history: History, tape: Tape, now_ns: int) -> dict[str, object]:
    """Return the best bid and ask around the last trade, sizes in shares."""
    minute_ns = now_ns // MINUTE_NS * MINUTE_NS
    prints = await _latest(history, tape, minute_ns - MINUTE_NS, now_ns)
    if not len(prints):
        return NO_BID
    price, time_ns = float(prints.price[-1]), int(prints.time_ns[-1])
    tick = 10.0**-history.instrument.decimals
    lots = time_ns // _MILLISECOND_NS
    return {
        "a": round(price + tick, _DIGITS),
        "av": _LOT * (1 + lots % _LOTS),
        "b": round(price - tick, _DIGITS),
        "bv": _LOT * (1 + lots // _LOTS % _LOTS),
        "t": time_ns // _MILLISECOND_NS,
    }


async def _latest(history: History, tape: Tape, from_ns: int, now_ns: int) -> Prints:
    return await tape.prints(history.instrument, from_ns, now_ns + 1)


def _document(
    prices: Float64, opening: float, high: float, low: float, before: float, time_s: int
) -> dict[str, object]:
    price = float(prices[-1])
    change = price - before
    return {
        "c": round(price, _DIGITS),
        "d": round(change, _DIGITS),
        "dp": round(100 * change / before, 4),
        "h": round(high, _DIGITS),
        "l": round(low, _DIGITS),
        "o": round(opening, _DIGITS),
        "pc": round(before, _DIGITS),
        "t": time_s,
    }
