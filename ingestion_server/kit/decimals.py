"""Decimals as vendors publish them, out of the binary numbers they send."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingestion_server.domain.bars import Column

_DIGITS_OF_FLOAT32: Final = (6, 7, 8, 9)
_POWERS_OF_TEN: Final = np.array([10.0**exponent for exponent in range(23)])
"""All that are exact. Looked up, since computing them takes longer than the rest."""
_CENTS: Final = 100.0
_LARGEST_OF_CENTS: Final = 65_536.0
"""
Below, float32 are less than a cent apart, so at most one number of whole cents becomes
the float32, and whatever else does has more digits. Nearly all prices are of this kind.
"""
_SMALLEST: Final = 1e-13
_LARGEST: Final = 1e22
"""
Outside of these the powers of ten are not exact, and the smallest float32 have fewer
digits; such values are no prices, so the slow way over their text will do.
"""


def shortest_of_float32(values: Column) -> Column:
    """
    Return the shortest decimal of each widened float32.

    185.9199981689453 is 185.92 sent as float32 and widened. A value that is no exact
    float32 stays as it is, because it was not sent that way; so do NaN and infinity.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
        widened = narrow.astype(np.float64) == values
        size = np.abs(values)
        cents = np.round(values * _CENTS) / _CENTS
        open_ = widened & (values != 0)
        fits = open_ & (size < _LARGEST_OF_CENTS) & (cents.astype(np.float32) == narrow)
        best = np.where(fits, cents, values)
        open_ &= ~fits
        if not open_.any():
            return best
        near = (size >= _SMALLEST) & (size < _LARGEST)
        far = open_ & ~near & np.isfinite(values)
        if far.any():
            best[far] = narrow[far].astype(np.str_).astype(np.float64)
        rest = np.flatnonzero(open_ & near)
        wide, sent = values[rest], narrow[rest]
        magnitude = np.floor(np.log10(size[rest])).astype(np.int64)
        for digits in _DIGITS_OF_FLOAT32:
            exponent = digits - 1 - magnitude
            # Dividing by an exact power of ten gives the double nearest to the
            # decimal; multiplying by a negative power would not.
            up = _POWERS_OF_TEN[np.maximum(exponent, 0)]
            down = _POWERS_OF_TEN[np.maximum(-exponent, 0)]
            candidate = np.round(wide * up / down) / up * down
            fits = candidate.astype(np.float32) == sent
            best[rest[fits]] = candidate[fits]
            if fits.all():
                break
            # Most prices have few digits, so the later rounds are for a few only.
            rest, wide, sent, magnitude = (
                each[~fits] for each in (rest, wide, sent, magnitude)
            )
    return best
