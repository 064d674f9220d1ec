"""The price of every day: a seeded walk that returns to its trend."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingestion_server.domain.sessions import Sessions
from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.days import DAY_NS, FIRST_DAY, LAST_DAY, Int64, label_ns
from ingestion_server.sandbox.instrument import Instrument, Walk
from ingestion_server.sandbox.seeding import generator

_ANCHOR_DAY: Final = label_ns("2025-01-01") // DAY_NS - FIRST_DAY
_MEMORY: Final = 0.997
"""What a day keeps of yesterday's distance to the trend; bounds the walk."""
_DAYS_PER_YEAR: Final = 365.25
_DAYS: Final = LAST_DAY - FIRST_DAY
_GAP: Final = 0.3
"""Overnight step, as a part of the daily volatility."""
_SPREAD: Final = 0.6
"""How far high and low leave open and close, in daily volatilities."""
_FINE_DECIMALS: Final = 4


def log_prices(seed: int, instrument: Instrument) -> Float64:
    """
    Return the logarithm of the last price of every calendar day.

    Every date has a price whether it is a session or not, so a calendar that
    differs in one holiday leaves all other closes as they are.
    """
    prices = _log_walk(seed, instrument.walk)
    if instrument.against is not None:
        prices = prices - _log_walk(seed, instrument.against)
    return prices


def day_bars(
    seed: int, instrument: Instrument, sessions: Sessions, splits_ahead: Float64
) -> Bars:
    """
    Return one as-traded bar per session.

    ``splits_ahead`` is, per session, the product of all later split ratios: what
    one share of that day has become.
    """
    log_price = log_prices(seed, instrument)
    labels = sessions.labels_ns
    day = labels // DAY_NS - FIRST_DAY
    before = np.concatenate((day[:1] - 1, day[:-1])) if len(day) else day
    normal = generator(seed, instrument.symbol, "days").standard_normal((_DAYS, 4))[day]
    volatility = instrument.walk.volatility or _quoted_volatility(instrument)

    close = np.exp(log_price[day]) * splits_ahead
    gap = np.exp(normal[:, 0] * volatility * _GAP)
    opening = np.exp(log_price[before]) * splits_ahead * gap
    decimals = price_decimals(close, instrument)
    opening, close = _rounded(opening, decimals), _rounded(close, decimals)
    spread = np.abs(normal[:, 1:3]) * volatility * _SPREAD
    high = _rounded(np.maximum(opening, close) * (1 + spread[:, 0]), decimals)
    low = _rounded(np.minimum(opening, close) * (1 - spread[:, 1]), decimals)
    volume = (
        instrument.volume
        / instrument.volume_unit
        / splits_ahead
        * np.exp(0.4 * normal[:, 3])
    )
    return Bars(
        start_ns=sessions.opens_ns,
        label_ns=labels,
        anchor_ns=sessions.opens_ns,
        regular=np.ones(len(labels), dtype=np.bool_),
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=volume.astype(np.int64),
    )


def price_decimals(close: Float64, instrument: Instrument) -> Int64:
    """Return the decimals of each day's prices: more below one."""
    fine = max(instrument.decimals, _FINE_DECIMALS)
    return np.where(close >= 1, instrument.decimals, fine).astype(np.int64)


def _log_walk(seed: int, walk: Walk) -> Float64:
    trend: Float64 = np.arange(-_ANCHOR_DAY, _DAYS - _ANCHOR_DAY, dtype=np.float64)
    trend = trend * (walk.growth / _DAYS_PER_YEAR)
    trend += float(np.log(walk.level))
    if not walk.volatility:
        return trend
    steps = generator(seed, walk.key, "walk").standard_normal(_DAYS) * walk.volatility
    away: Float64 = trend + _returning(steps)
    return away


def _returning(steps: Float64) -> Float64:
    # x[t] = memory * x[t-1] + step[t], written as a running sum. The powers reach
    # e^46, far inside a double, and old steps fade below its precision.
    powers = _MEMORY ** np.arange(len(steps))
    returning: Float64 = np.cumsum(steps / powers) * powers
    return returning


def _quoted_volatility(instrument: Instrument) -> float:
    return instrument.against.volatility if instrument.against else 0.01


def _rounded(values: Float64, decimals: Int64) -> Float64:
    scale = 10.0**decimals
    rounded: Float64 = np.maximum(np.rint(values * scale), 1) / scale
    return rounded
