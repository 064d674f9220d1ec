"""
Corporate actions, and the adjustments that follow from them.

This is the one place where RAW, SPLIT and SPLIT_DIVIDEND are turned into each other,
whichever vendor the bars came from. A price before a split of ratio r is divided by
r and its volume multiplied; a price before a dividend is multiplied by
``1 - amount / close before the ex-date``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import replace

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, Column
from ingestion_server.domain.interval import Times

_SIGNIFICANT_DIGITS: Final = 12
"""Computed prices are rounded here: more digits are noise of binary fractions."""
_EXACT_POWERS: Final = (-22, 22)
"""Exponents of ten whose powers are exact as binary fractions."""


@dataclass(frozen=True, slots=True, eq=False)
class CorporateActions:
    """
    Hold every split, and every dividend's effect, of one instrument.

    Days are ex-dates at 00:00 UTC, ascending. Nothing after ``known_until_ns`` is
    known.
    """

    split_days_ns: Times
    split_ratios: Column
    """New shares per old share: 4.0 for 4:1."""
    dividend_days_ns: Times
    dividend_factors: Column
    """``1 - amount / close before the ex-date``, both in the same adjustment."""
    known_until_ns: int
    complete_dividends: bool = True
    """False where dividends are not known, so SPLIT_DIVIDEND cannot be computed."""

    def split_factors(self, days_ns: Times, basis_ns: int) -> Column:
        """Return, per day, the ratio of all splits after it, up to the basis."""
        return _product_after(self.split_days_ns, self.split_ratios, days_ns, basis_ns)

    def dividend_effects(self, days_ns: Times, basis_ns: int) -> Column:
        """Return, per day, the factor of all dividends after it, up to the basis."""
        return _product_after(
            self.dividend_days_ns, self.dividend_factors, days_ns, basis_ns
        )


def adjusted(
    series: BarSeries,
    actions: CorporateActions,
    *,
    given: Adjustment,
    wanted: Adjustment,
    days_ns: Times,
    basis_ns: int,
) -> BarSeries:
    """
    Turn bars of one adjustment into another.

    ``days_ns`` is the session date of each bar, ``basis_ns`` the time up to which
    SPLIT and SPLIT_DIVIDEND prices are adjusted: for bars of a vendor that adjusts,
    when it answered.
    """
    if given is wanted or not len(series):
        return series
    price = np.ones(len(series))
    volume = np.ones(len(series))
    if given is Adjustment.RAW or wanted is Adjustment.RAW:
        splits = actions.split_factors(days_ns, basis_ns)
        price, volume = (
            (price / splits, splits)
            if given is Adjustment.RAW
            else (splits, 1 / splits)
        )
    if Adjustment.SPLIT_DIVIDEND in {given, wanted}:
        effects = actions.dividend_effects(days_ns, basis_ns)
        price = (
            price * effects if wanted is Adjustment.SPLIT_DIVIDEND else price / effects
        )
    return replace(
        series,
        open=_scaled(series.open, price),
        high=_scaled(series.high, price),
        low=_scaled(series.low, price),
        close=_scaled(series.close, price),
        volume=None if series.volume is None else _scaled(series.volume, volume),
    )


def dividend_factors(
    dividend_days_ns: Times, amounts: Column, closes: BarSeries
) -> tuple[Times, Column]:
    """
    Return the dividends whose effect can be told, and the effect of each.

    ``amounts`` and ``closes`` (daily bars) must be in the same adjustment on the
    day before each ex-date.
    """
    before = np.searchsorted(closes.open_time_ns, dividend_days_ns) - 1
    known = before >= 0
    previous = closes.close[np.maximum(before, 0)] if len(closes) else amounts * np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = 1 - amounts / previous
    known &= np.isfinite(factors) & (factors > 0) & (factors <= 1)
    return dividend_days_ns[known], factors[known]


def _product_after(
    action_days: Times, ratios: Column, days: Times, basis_ns: int
) -> Column:
    """Return, per day, the product of the ratios of later actions up to the basis."""
    counted = int(np.searchsorted(action_days, basis_ns, side="right"))
    # products[i] is the product of ratios[i:counted].
    products = np.append(np.cumprod(ratios[:counted][::-1])[::-1], 1.0)
    first_after = np.searchsorted(action_days[:counted], days, side="right")
    return np.asarray(products[first_after], np.float64)


def _scaled(values: Column, factors: Column) -> Column:
    """Return the products, rounded; what has no action after it stays as it is."""
    products = values * factors
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(products)))
    magnitude = np.where(np.isfinite(magnitude), magnitude, 0)
    decimals = np.clip(_SIGNIFICANT_DIGITS - 1 - magnitude, *_EXACT_POWERS)
    # Only a power of ten that is exact gives the double nearest to the decimal.
    up = 10.0 ** np.maximum(decimals, 0)
    down = 10.0 ** np.maximum(-decimals, 0)
    rounded = np.round(products / down * up) / up * down
    return np.where(factors == 1, values, rounded)
