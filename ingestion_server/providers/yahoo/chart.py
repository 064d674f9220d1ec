"""Charts, from bytes to columns."""

from __future__ import annotations

from typing import Final, NamedTuple
from zoneinfo import ZoneInfoNotFoundError

import numpy as np
from msgspec.structs import replace

from ingestion_server.domain.bars import BarSeries, Column, ascending, empty_series
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import SECOND_NS, Times, day_labels, labels
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.kit.decimals import shortest_of_float32
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.yahoo.declarations import CODES, NAME, granularity
from ingestion_server.providers.yahoo.live import live_row_merged
from ingestion_server.providers.yahoo.payload import (
    FARTHEST_SECONDS,
    Meta,
    Quote,
    Result,
    decoded,
    malformed,
    single_result,
)
from ingestion_server.providers.yahoo.symbols import same, spelling

_NO_ZONE: Final = (ZoneInfoNotFoundError, ValueError, OSError)
"""What unknown, forbidden and impossible names of zones end in."""


class Rows(NamedTuple):
    """Hold a chart's rows as they stand, ascending by stamp."""

    stamps_ns: Times
    series: BarSeries
    unstamped: int
    """Rows that had no stamp, and are left out."""


def read_bars(body: bytes, ask: BarAsk) -> Page:
    """Read one chart; raises ``MalformedPayloadError`` for whatever is none."""
    result = single_result(decoded(body))
    if result is None:
        return Page(empty_series())
    check_meant(result.meta, ask.instrument, CODES.get(ask.interval))
    rows = read_rows(result)
    series = rows.series
    zone = zone_of(result.meta, ask.instrument)
    if len(series) and not ask.interval.intraday:
        days = labels(local_times(rows.stamps_ns, zone), ask.interval)
        series = replace(series, open_time_ns=days)
    return Page(
        live_row_merged(series, ask, result.meta),
        currency=result.meta.currency or "",
        volume_unit=_volume_unit(result.meta, ask.instrument),
        first_trade_ns=_first_trade(result.meta, zone),
        flags=[_unstamped(rows.unstamped)] if rows.unstamped else [],
    )


def check_meant(meta: Meta, instrument: Instrument, code: str | None) -> None:
    """Raise ``MalformedPayloadError`` for another symbol's or interval's chart."""
    asked = spelling(instrument) or ""
    if meta.symbol is not None and not same(meta.symbol, asked):
        raise malformed(f"the chart of {meta.symbol[:32]} instead of {asked}")
    given = granularity(meta.data_granularity or "")
    if given and given != code:
        raise malformed(f"bars of {given[:32]} instead of {code}")


def read_rows(result: Result) -> Rows:
    """Read the columns of a chart, rows without a stamp left out."""
    stamps = result.timestamp or []
    if not stamps:
        return Rows(np.empty(0, np.int64), empty_series(), 0)
    try:
        seconds = np.array(stamps, np.float64)
    except OverflowError as error:
        raise malformed("a stamp that is no time") from error
    stamped = ~np.isnan(seconds)
    if not np.all(np.abs(seconds[stamped]) < FARTHEST_SECONDS):
        raise malformed("a stamp that is no time")
    quotes = result.indicators.quote
    quote = quotes[0] if quotes else Quote()
    prices = [
        _column(values, len(stamps))[stamped]
        for values in (quote.open, quote.high, quote.low, quote.close)
    ]
    # All at once: for a chart of some days, most of the time is lost between columns.
    opens, highs, lows, closes = np.split(
        shortest_of_float32(np.concatenate(prices)), len(prices)
    )
    volume = None if quote.volume is None else _column(quote.volume, len(stamps))
    series = ascending(
        BarSeries(
            seconds[stamped].astype(np.int64) * SECOND_NS,
            open=opens,
            high=highs,
            low=lows,
            close=closes,
            volume=None if volume is None else volume[stamped],
        )
    )
    return Rows(series.open_time_ns, series, int((~stamped).sum()))


def zone_of(meta: Meta, instrument: Instrument) -> str:
    """Return the exchange's time zone: as the chart names it, or as we know it."""
    venue = instrument.venue
    return meta.exchange_timezone_name or (venue.zone if venue else "")


def local_times(stamps_ns: Times, zone: str) -> Times:
    """Return the exchange's wall clock, or raise ``MalformedPayloadError``."""
    try:
        return local_from_utc(stamps_ns, zone)
    except _NO_ZONE as error:
        raise malformed(f"no time zone that exists: {zone[:40]!r}") from error


def _column(values: list[float | None] | None, length: int) -> Column:
    if values is None:
        return np.full(length, np.nan)
    if len(values) != length:
        raise malformed(f"{length} stamps and {len(values)} values")
    return np.array(values, np.float64)


def _volume_unit(meta: Meta, instrument: Instrument) -> str:
    """Return what volume counts: of crypto, the currency and not the coins [M]."""
    crypto = instrument.asset_class is AssetClass.CRYPTO
    return meta.currency or instrument.pair[1] if crypto else ""


def _unstamped(count: int) -> QualityFlag:
    return QualityFlag(
        FlagKind.ROW_QUARANTINED, f"{NAME} gave {count} rows without a time"
    )


def _first_trade(meta: Meta, zone: str) -> int | None:
    seconds = meta.first_trade_date
    if seconds is None or abs(seconds) >= FARTHEST_SECONDS:
        return None
    stamp = np.array([seconds * SECOND_NS], np.int64)
    try:
        return int(day_labels(local_from_utc(stamp, zone))[0])
    except _NO_ZONE:
        return None
