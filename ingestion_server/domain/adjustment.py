"""For which corporate actions prices are adjusted, and which hours bars cover."""

from __future__ import annotations

from enum import StrEnum


class Adjustment(StrEnum):
    """Name the corporate actions that prices are adjusted for."""

    RAW = "raw"
    SPLIT = "split"
    SPLIT_DIVIDEND = "split_dividend"


class TradingHours(StrEnum):
    """Name the hours that intraday bars cover."""

    REGULAR = "regular"
    EXTENDED = "extended"
