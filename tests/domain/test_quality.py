"""One bad row loses one row, and says why."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from ingestion_server.domain.bars import BarSeries, empty_series
from ingestion_server.domain.quality import (
    MOST_FLAGS,
    FlagKind,
    QualityFlag,
    bounded,
    sound,
)
from tests.builders import bars, days

NAN = np.nan


def spoiled(column: str, value: float, row: int = 1) -> BarSeries:
    """Make five bars, one of which has another value."""
    series = days("2024-05-06", 5)
    values = getattr(series, column).copy()
    values[row] = value
    return replace(series, **{column: values})


def kinds(flags: list[QualityFlag]) -> list[FlagKind]:
    """Give the kinds of flags."""
    return [flag.kind for flag in flags]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("low", 99.5, "low is above open or close"),
        ("low", 200.0, "low is above high"),
        ("high", 99.5, "high is below open or close"),
        ("close", 300.0, "high is below open or close"),
        ("open", NAN, "a price is absent or no number"),
        ("high", np.inf, "a price is absent or no number"),
        ("close", -np.inf, "a price is absent or no number"),
        ("low", 0.0, "a price is not positive"),
        ("low", -1.0, "a price is not positive"),
        ("volume", -1.0, "volume is negative or infinite"),
        ("volume", np.inf, "volume is negative or infinite"),
    ],
)
def test_a_row_that_cannot_be_true_is_left_out_with_its_reason(
    column: str, value: float, reason: str
) -> None:
    series = spoiled(column, value)

    good, flags = sound(series, "acme")

    assert np.delete(series.open_time_ns, 1).tolist() == good.open_time_ns.tolist()
    assert kinds(flags) == [FlagKind.ROW_QUARANTINED]
    assert flags[0].detail.startswith(f"acme: {reason} (open ")
    assert flags[0].time_ns == series.open_time_ns[1]


def test_a_row_with_two_faults_is_left_out_once() -> None:
    series = replace(spoiled("low", -1.0), volume=np.array([1.0, -1.0, 1.0, 1.0, 1.0]))

    good, flags = sound(series, "acme")

    assert len(good) == 4
    assert kinds(flags) == [FlagKind.ROW_QUARANTINED]


def test_good_rows_are_returned_as_they_are() -> None:
    series = days("2024-05-06", 5)

    good, flags = sound(series, "acme")

    assert good is series
    assert flags == []


@pytest.mark.parametrize("volume", [0.0, NAN])
def test_a_volume_of_nothing_and_one_that_is_not_known_are_sound(volume: float) -> None:
    good, flags = sound(spoiled("volume", volume), "acme")

    assert len(good) == 5
    assert flags == []


def test_a_flat_bar_is_sound() -> None:
    flat = np.full(1, 5.0)

    good, flags = sound(
        BarSeries(np.zeros(1, np.int64), flat, flat, flat, flat, flat), "a"
    )

    assert len(good) == 1
    assert flags == []


def test_columns_that_a_vendor_lacks_altogether_are_flagged_and_no_fault() -> None:
    none = np.full(5, NAN)
    series = replace(days("2024-05-06", 5), open=none, high=none, low=none)

    good, flags = sound(series, "acme")

    assert len(good) == 5
    assert kinds(flags) == [FlagKind.FIELD_ABSENT] * 3
    assert [flag.detail for flag in flags] == [
        "acme gives no open prices",
        "acme gives no high prices",
        "acme gives no low prices",
    ]


def test_of_closes_alone_a_bad_one_is_still_left_out() -> None:
    none = np.full(5, NAN)
    series = replace(spoiled("close", -1.0), open=none, high=none, low=none)

    good, _ = sound(series, "acme")

    assert len(good) == 4


def test_an_empty_series_gives_no_cause_for_complaint() -> None:
    good, flags = sound(empty_series(), "acme")

    assert len(good) == 0
    assert flags == []


def test_a_row_without_prices_is_empty_and_not_wrong() -> None:
    series = bars([10, 20, 30], [1000.0, NAN, 1000.0], volume=[1.0, 0.0, 1.0])

    good, flags = sound(series, "acme")

    assert good.open_time_ns.tolist() == [10, 30]
    assert kinds(flags) == [FlagKind.ROW_EMPTY]
    assert flags[0].time_ns == 20


def test_rows_that_are_all_empty_do_not_mean_that_columns_are_absent() -> None:
    good, flags = sound(bars([10, 20], NAN), "acme")

    assert len(good) == 0
    assert kinds(flags) == [FlagKind.ROW_EMPTY] * 2


def test_few_flags_are_kept_in_their_order_each_once() -> None:
    first, second = (QualityFlag(FlagKind.ROW_EMPTY, name, 1) for name in "ab")

    assert bounded([second, first, second]) == [second, first]
    assert bounded([]) == []


def test_many_flags_are_counted_in_the_last() -> None:
    flags = [
        QualityFlag(FlagKind.ROW_EMPTY, "empty", n) for n in range(MOST_FLAGS + 50)
    ]

    kept = bounded(flags)

    assert len(kept) == MOST_FLAGS
    assert kept[:-1] == flags[: MOST_FLAGS - 1]
    assert kept[-1] == QualityFlag(FlagKind.FLAGS_OMITTED, "51 more flags")


def test_exactly_as_many_flags_as_fit_are_all_kept() -> None:
    flags = [QualityFlag(FlagKind.ROW_EMPTY, "empty", n) for n in range(MOST_FLAGS)]

    assert bounded(flags) == flags


def test_flags_about_the_whole_series_outlast_those_about_rows() -> None:
    whole = QualityFlag(FlagKind.DERIVED, "computed")
    flags = [
        QualityFlag(FlagKind.ROW_EMPTY, "empty", n) for n in range(MOST_FLAGS + 50)
    ]

    assert bounded([*flags, whole])[0] == whole


@pytest.mark.parametrize("volume", [None, NAN])
def test_a_vendor_that_gives_no_volume_is_flagged_once(volume: float | None) -> None:
    good, flags = sound(bars([10, 20], volume=volume), "acme")

    assert len(good) == 2
    assert flags == [QualityFlag(FlagKind.FIELD_ABSENT, "acme gives no volume")]
