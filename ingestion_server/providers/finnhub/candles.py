"""
Candles, from bytes to columns.

``{"s": "ok", "t": [...], "o": [...], "h": [...], "l": [...], "c": [...], "v": [...]}``
with times in epoch seconds and prices as widened float32 [R].
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.bars import BarSeries, Column, ascending, empty_series
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import SECOND_NS, Interval, Times, labels
from ingestion_server.kit.decimals import shortest_of_float32
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.finnhub.payloads import (
    FARTHEST_SECONDS,
    decoded,
    malformed,
    said_nothing,
)
from ingestion_server.providers.finnhub.requests import lead_ns
from ingestion_server.providers.finnhub.symbols import currency

_Numbers = list[float | None]


class _Candles(msgspec.Struct):
    s: str = ""
    t: list[int] | None = None
    o: _Numbers | None = None
    h: _Numbers | None = None
    l: _Numbers | None = None  # noqa: E741 - the vendor's name
    c: _Numbers | None = None
    v: _Numbers | None = None


_decoder: Final = msgspec.json.Decoder(_Candles)


def read_bars(body: bytes, ask: BarAsk) -> Page:
    """
    Read one page of bars; without any if the vendor says that it has none.

    Raises:
        NoDataUnexplainedError: It is an empty object.
        MalformedPayloadError: It holds no candles.

    """
    series = read_series(body, ask.instrument.asset_class, ask.interval)
    crypto = ask.instrument.asset_class is AssetClass.CRYPTO
    return Page(
        series,
        currency(ask.instrument),
        volume_unit=ask.instrument.pair[0] if crypto else "",
    )


def read_series(body: bytes, asset_class: AssetClass, interval: Interval) -> BarSeries:
    """
    Return the bars of an answer, ascending, labelled as the house labels them.

    Of currencies, what the vendor calls volume counts changes of price, which is no
    volume, and is left out.

    Raises:
        NoDataUnexplainedError: It is an empty object.
        MalformedPayloadError: It holds no candles.

    """
    candles = decoded(_decoder, body, "candles")
    if candles.s == "no_data":
        return empty_series()
    if candles == _Candles():
        raise said_nothing("candles")
    if candles.s != "ok" or candles.t is None:
        raise malformed(f"candles in the state {candles.s[:32]!r} without any times")
    times = _times(candles.t, asset_class, interval)
    length = len(times)
    prices = [_column(each, length) for each in (candles.o, candles.h, candles.l)]
    prices.append(_column(candles.c, length))
    opens, highs, lows, closes = np.split(
        shortest_of_float32(np.concatenate(prices)), len(prices)
    )
    silent = asset_class is AssetClass.FX or candles.v is None
    return ascending(
        BarSeries(
            times,
            open=opens,
            high=highs,
            low=lows,
            close=closes,
            volume=None if silent else _column(candles.v, length),
        )
    )


def _times(stamps: list[int], asset_class: AssetClass, interval: Interval) -> Times:
    if not all(abs(stamp) < FARTHEST_SECONDS for stamp in stamps):
        raise malformed("a candle that is at no time")
    times = np.array(stamps, np.int64) * SECOND_NS
    if interval.intraday:
        return times
    return labels(times + lead_ns(asset_class, interval), interval)


def _column(values: _Numbers | None, length: int) -> Column:
    given = 0 if values is None else len(values)
    if given != length:
        raise malformed(f"{length} times and {given} values")
    return np.array(values or [], np.float64)
