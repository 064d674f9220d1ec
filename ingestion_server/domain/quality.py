"""What is noticed about a vendor's rows, and which of them are left out."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import BarSeries, Column

MOST_FLAGS: Final = 100
"""More than this is counted in one last flag."""


class FlagKind(StrEnum):
    """Name what was noticed."""

    ROW_QUARANTINED = "row_quarantined"
    ROW_EMPTY = "row_empty"
    FIELD_ABSENT = "field_absent"
    CALENDAR_UNKNOWN = "calendar_unknown"
    DERIVED = "derived"
    FLAGS_OMITTED = "flags_omitted"
    LABEL_ASSUMED = "label_assumed"
    STALE = "stale"
    DISAGREEMENT = "disagreement"
    UNCONFIRMED = "unconfirmed"


class QualityFlag(msgspec.Struct, frozen=True):
    """Say one thing that was noticed."""

    kind: FlagKind
    detail: str
    time_ns: int | None = None
    """The bar it is about; None if it is about the whole series."""


def sound(series: BarSeries, provider: str) -> tuple[BarSeries, list[QualityFlag]]:
    """
    Leave out the rows that cannot be true, each with its reason.

    A price column that the vendor lacks altogether is no fault of the rows.
    """
    if _flawless(series):
        return series, []
    prices = {
        "open": series.open,
        "high": series.high,
        "low": series.low,
        "close": series.close,
    }
    absent = {name: np.isnan(column) for name, column in prices.items()}
    empty = np.logical_and.reduce(list(absent.values()))
    present = {
        name: column for name, column in prices.items() if not absent[name].all()
    }
    flags = [
        QualityFlag(FlagKind.FIELD_ABSENT, f"{provider} gives no {name} prices")
        for name in prices
        if name not in present and not empty.all()
    ]
    if not empty.all() and (series.volume is None or np.isnan(series.volume).all()):
        flags.append(QualityFlag(FlagKind.FIELD_ABSENT, f"{provider} gives no volume"))
    wrong = np.zeros(len(series), np.bool_)
    for reason, bad in _contradictions(series, present).items():
        flags.extend(
            _row_flag(series, int(row), reason, provider)
            for row in np.flatnonzero(bad & ~wrong & ~empty)
        )
        wrong |= bad
    flags.extend(
        QualityFlag(
            FlagKind.ROW_EMPTY,
            f"{provider} gave a row without prices",
            int(series.open_time_ns[row]),
        )
        for row in np.flatnonzero(empty)
    )
    good = ~(wrong | empty)
    return (series if good.all() else series.take(good)), flags


def _flawless(series: BarSeries) -> bool:
    """Tell whether nothing can be noticed: so it is nearly always, and quickly seen."""
    low, high, volume = series.low, series.high, series.volume
    if volume is None:
        return False
    # Nothing that is compared with NaN is true.
    sound = (low > 0) & (high < np.inf) & (volume >= 0) & (volume < np.inf)
    for body in (series.open, series.close):
        sound &= (low <= body) & (body <= high)
    return bool(sound.all())


def bounded(flags: list[QualityFlag]) -> list[QualityFlag]:
    """
    Return the flags, each once, at most ``MOST_FLAGS`` of them.

    If there are too many, those about the whole series come first.
    """
    flags = list(dict.fromkeys(flags))
    if len(flags) <= MOST_FLAGS:
        return flags
    kept = sorted(flags, key=lambda flag: flag.time_ns is not None)[: MOST_FLAGS - 1]
    omitted = len(flags) - len(kept)
    return [*kept, QualityFlag(FlagKind.FLAGS_OMITTED, f"{omitted} more flags")]


def _contradictions(
    series: BarSeries, present: dict[str, Column]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return, by reason, which rows contradict themselves."""
    none = np.zeros(len(series), np.bool_)
    lacking, not_positive = none.copy(), none.copy()
    with np.errstate(invalid="ignore"):
        for column in present.values():
            lacking |= ~np.isfinite(column)
            not_positive |= column <= 0
        bodies = [present[name] for name in ("open", "close") if name in present]
        low_wrong, high_wrong = none.copy(), none.copy()
        for body in bodies:
            if "low" in present:
                low_wrong |= present["low"] > body
            if "high" in present:
                high_wrong |= present["high"] < body
        crossed = (
            present["low"] > present["high"]
            if {"low", "high"} <= present.keys()
            else none
        )
        volume = series.volume
        negative = none if volume is None else (volume < 0) | np.isinf(volume)
    return {
        "a price is absent or no number": lacking,
        "a price is not positive": not_positive,
        "low is above high": crossed,
        "low is above open or close": low_wrong,
        "high is below open or close": high_wrong,
        "volume is negative or infinite": negative,
    }


def _row_flag(series: BarSeries, row: int, reason: str, provider: str) -> QualityFlag:
    values = ", ".join(
        f"{name} {column[row]:.10g}"
        for name, column in (
            ("open", series.open),
            ("high", series.high),
            ("low", series.low),
            ("close", series.close),
            ("volume", series.volume),
        )
        if column is not None
    )
    return QualityFlag(
        FlagKind.ROW_QUARANTINED,
        f"{provider}: {reason} ({values})",
        int(series.open_time_ns[row]),
    )
