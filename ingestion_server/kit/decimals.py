"""Decimals as vendors publish them, out of the binary numbers they send."""

from __future__ import annotations

from typing import Final

import numpy as np

from ingestion_server.domain.bars import Column

_DIGITS_OF_FLOAT32: Final = (6, 7, 8, 9)
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
        near = (size >= _SMALLEST) & (size < _LARGEST)
        magnitude = np.floor(np.log10(np.where(near, size, 1.0)))
        best = values.copy()
        far = widened & ~near & np.isfinite(values) & (values != 0)
        if far.any():
            best[far] = narrow[far].astype(np.str_).astype(np.float64)
        open_ = widened & near
        for digits in _DIGITS_OF_FLOAT32:
            if not open_.any():
                break
            exponent = digits - 1 - magnitude
            # Dividing by an exact power of ten gives the double nearest to the
            # decimal; multiplying by a negative power would not.
            up = 10.0 ** np.maximum(exponent, 0)
            down = 10.0 ** np.maximum(-exponent, 0)
            candidate = np.round(values * up / down) / up * down
            fits = open_ & (candidate.astype(np.float32) == narrow)
            best = np.where(fits, candidate, best)
            open_ &= ~fits
    return best
