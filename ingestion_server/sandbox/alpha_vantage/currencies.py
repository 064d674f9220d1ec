"""Currencies and coins: daily and longer, intraday, and the exchange rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ingestion_server.sandbox import listings
from ingestion_server.sandbox.alpha_vantage import table as tables
from ingestion_server.sandbox.alpha_vantage.table import Ask, Table
from ingestion_server.sandbox.bars import Bars
from ingestion_server.sandbox.days import MINUTE_NS, SECOND_NS, time_texts
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind

_FX_DECIMALS: Final = 5
_VOLUME_DECIMALS: Final = 8
_REFRESHED_EVERY_NS: Final = 5 * MINUTE_NS


@dataclass(frozen=True, slots=True)
class Pair:
    """Name the two sides of a pair as the caller wrote them."""

    base: str
    quote: str


def day_table(history: History, pair: Pair, period: str, ask: Ask) -> Table:
    """Return FX_… or DIGITAL_CURRENCY_… DAILY, WEEKLY or MONTHLY."""
    bars = ask.rows(tables.by_period(history.days(ask.now_ns), period))
    word = period.capitalize()
    if history.instrument.kind is Kind.CURRENCY:
        meta = {
            "1. Information": f"Forex {word} Prices (open, high, low, close)",
            "2. From Symbol": pair.base,
            "3. To Symbol": pair.quote,
        }
        size = ["Output Size"] if period == "DAILY" else []
        meta |= _numbered(4, [*size, "Last Refreshed", "Time Zone"], ask)
        key = f"Time Series FX ({word})"
    else:
        meta = {
            "1. Information": f"{word} Prices and Volumes for Digital Currency",
            **_coin_names(pair),
        }
        meta |= _numbered(6, ["Last Refreshed", "Time Zone"], ask)
        key = f"Time Series (Digital Currency {word})"
    return Table(meta, key, tables.day_labels(bars), _columns(history, bars))


def intraday_table(history: History, pair: Pair, interval: str, ask: Ask) -> Table:
    """Return FX_INTRADAY or CRYPTO_INTRADAY, stamped in UTC, thirty days."""
    size, now_ns = tables.INTERVALS[interval], ask.now_ns
    labels = history.sessions.labels_ns
    first = int(np.searchsorted(labels, now_ns - tables.MONTH_NS))
    minutes = history.minutes(first, len(labels), now_ns, extended=False)
    slot = minutes.start_ns // (size * MINUTE_NS)
    bars = minutes.grouped(slot)
    bars = replace(bars, start_ns=np.unique(slot) * (size * MINUTE_NS))
    bars = ask.rows(bars)
    tail = ["Last Refreshed", "Interval", "Output Size", "Time Zone"]
    if history.instrument.kind is Kind.CURRENCY:
        meta = {
            "1. Information": f"FX Intraday ({interval}) Time Series",
            "2. From Symbol": pair.base,
            "3. To Symbol": pair.quote,
            **_numbered(4, tail, ask, interval),
        }
        key = f"Time Series FX ({interval})"
    else:
        meta = {
            "1. Information": f"Crypto Intraday ({interval}) Time Series",
            **_coin_names(pair),
            **_numbered(6, tail, ask, interval),
        }
        key = f"Time Series Crypto ({interval})"
    stamps = tables.intraday_labels(bars, size, ask.label)
    return Table(meta, key, stamps, _columns(history, bars))


def rate_document(history: History, pair: Pair, now_ns: int) -> dict[str, str]:
    """Return CURRENCY_EXCHANGE_RATE: the last price, with no spread."""
    price = f"{history.days(now_ns).close[-1]:.8f}"
    return {
        "1. From_Currency Code": pair.base,
        "2. From_Currency Name": _full_name(pair.base),
        "3. To_Currency Code": pair.quote,
        "4. To_Currency Name": _full_name(pair.quote),
        "5. Exchange Rate": price,
        "6. Last Refreshed": time_texts(np.array([now_ns]))[0],
        "7. Time Zone": "UTC",
        "8. Bid Price": price,
        "9. Ask Price": price,
    }


def _columns(history: History, bars: Bars) -> dict[str, list[str]]:
    instrument = history.instrument
    columns = tables.price_columns(bars, _decimals(instrument))
    if instrument.pays_volume:
        coins = bars.volume.astype(np.float64) * instrument.volume_unit
        columns["volume"] = tables.fixed(coins, _VOLUME_DECIMALS)
    return columns


def _decimals(instrument: Instrument) -> int:
    if instrument.kind is Kind.CURRENCY:
        return _FX_DECIMALS
    return instrument.decimals


def _coin_names(pair: Pair) -> dict[str, str]:
    return {
        "2. Digital Currency Code": pair.base,
        "3. Digital Currency Name": _full_name(pair.base),
        "4. Market Code": pair.quote,
        "5. Market Name": _full_name(pair.quote),
    }


def _full_name(code: str) -> str:
    if code in listings.COINS:
        return listings.COINS[code][0]
    return listings.CURRENCIES[code][0]


def _numbered(
    place: int, names: Sequence[str], ask: Ask, interval: str = ""
) -> dict[str, str]:
    refreshed = ask.now_ns // _REFRESHED_EVERY_NS * _REFRESHED_EVERY_NS
    texts = {
        "Last Refreshed": time_texts(np.array([refreshed // SECOND_NS * SECOND_NS]))[0],
        "Interval": interval,
        "Output Size": ask.size,
        "Time Zone": "UTC",
    }
    return {f"{place + i}. {name}": texts[name] for i, name in enumerate(names)}
