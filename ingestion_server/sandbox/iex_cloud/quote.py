"""The body of ``/quote``."""

from __future__ import annotations

from typing import Final

from ingestion_server.sandbox.days import MINUTE_NS, date_texts
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.tape import Tape

_MILLISECOND_NS: Final = 1_000_000
_DIGITS: Final = 4
_LOT: Final = 100
_SHARE: Final = 0.025
_NONE: Final = dict.fromkeys(
    (
        "delayedPrice",
        "delayedPriceTime",
        "extendedPrice",
        "extendedChange",
        "extendedChangePercent",
        "extendedPriceTime",
        "marketCap",
        "peRatio",
        "week52High",
        "week52Low",
        "ytdChange",
    )
)
"""What nobody asks a simulation for; the vendor has nulls there out of hours."""


async def quote_document(
    history: History, tape: Tape, now_ns: int
) -> dict[str, object]:
    """Return today so far, the last trade included, or the last day."""
    count = history.session_count(now_ns)
    days = history.days(now_ns)
    running = history.running(now_ns)
    closed_ns = int(history.sessions.closes_ns[count - 1])
    time_ns, price = closed_ns, float(days.close[-1])
    if running:
        minute_ns = now_ns // MINUTE_NS * MINUTE_NS
        begin_ns = max(int(history.sessions.opens_ns[count - 1]), minute_ns - MINUTE_NS)
        prints = await tape.prints(history.instrument, begin_ns, now_ns + 1)
        time_ns = minute_ns
        if len(prints):
            time_ns, price = int(prints.time_ns[-1]), float(prints.price[-1])
    before = days.at(slice(-2, -1)) if len(days) > 1 else days
    shares = float(history.split_factor(before.label_ns, now_ns)[-1])
    previous = round(float(before.close[-1]) / shares, _DIGITS)
    change = price - previous
    tick = 10.0**-history.instrument.decimals
    return {
        "symbol": history.instrument.symbol,
        "companyName": history.instrument.name,
        "calculationPrice": "tops" if running else "close",
        "open": float(days.open[-1]),
        "openTime": int(history.sessions.opens_ns[count - 1]) // _MILLISECOND_NS,
        "close": None if running else price,
        "closeTime": None if running else closed_ns // _MILLISECOND_NS,
        "high": max(float(days.high[-1]), price),
        "low": min(float(days.low[-1]), price),
        "latestPrice": price,
        "latestSource": "IEX real time price" if running else "Close",
        "latestTime": date_texts(days.label_ns[-1:])[0],
        "latestUpdate": time_ns // _MILLISECOND_NS,
        "latestVolume": int(days.volume[-1]),
        "iexRealtimePrice": price,
        "iexRealtimeSize": _LOT,
        "iexLastUpdated": time_ns // _MILLISECOND_NS,
        "previousClose": previous,
        "change": round(change, _DIGITS),
        "changePercent": round(change / previous, 5),
        "iexMarketPercent": _SHARE,
        "iexVolume": int(days.volume[-1] * _SHARE),
        "avgTotalVolume": int(days.volume[-1]),
        # Recorded: nothing is offered out of hours.
        "iexBidPrice": round(price - tick, _DIGITS) if running else 0,
        "iexBidSize": _LOT if running else 0,
        "iexAskPrice": round(price + tick, _DIGITS) if running else 0,
        "iexAskSize": _LOT if running else 0,
    } | _NONE
