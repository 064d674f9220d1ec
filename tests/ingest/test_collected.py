"""What was gathered, and who signs for it."""

from __future__ import annotations

import numpy as np
import pytest

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import DAY_NS, HOUR_NS, Interval
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.ingest.collected import Collected, sources, states
from ingestion_server.ingest.scope import SETTLING_NS
from tests.builders import NEW_YORK, bars, dates, grid_of, ns
from tests.ingest.making import ACME, RECEIVED, ZENITH, june, piece


def test_of_a_time_that_two_pieces_have_the_earlier_piece_keeps_it() -> None:
    collected = Collected()
    added = [
        collected.add(piece(ACME, june(3, 4, close=1.0))),
        collected.add(piece(ZENITH, june(4, 5, close=2.0))),
        collected.add(piece(ZENITH, june(3, 4, 5, close=3.0))),
    ]

    series, owners = collected.series()

    assert added == [2, 1, 0]
    assert series.close.tolist() == [1.0, 1.0, 2.0]
    assert owners.tolist() == [0, 0, 1]


def test_a_piece_in_disorder_is_put_in_order() -> None:
    collected = Collected()
    collected.add(piece(ACME, june(5, 3, 5)))

    series, owners = collected.series()

    assert dates(series.open_time_ns) == ["2024-06-03", "2024-06-05"]
    assert len(owners) == len(series)


def test_nothing_gathered_is_an_empty_series() -> None:
    collected = Collected()

    series, owners = collected.series()

    assert len(series) == len(owners) == len(collected.times_ns()) == 0
    assert collected.currency == ""
    assert sources(collected, series, owners, Interval.DAY_1, now_ns=RECEIVED) == []
    assert len(states(collected, series, owners, None, Interval.DAY_1)) == 0


def test_flags_and_first_trades_of_empty_pieces_are_kept() -> None:
    flag = QualityFlag(FlagKind.ROW_EMPTY, "a row without prices", 1)
    collected = Collected()

    added = collected.add(piece(ACME, june(), first_trade="2024-06-05", flags=[flag]))

    assert added == 0
    assert collected.pieces == []
    assert collected.flags == [flag]
    assert collected.first_trade_ns == ns("2024-06-05")


def test_of_several_first_trades_the_earliest_counts() -> None:
    collected = Collected()
    for first in ("2024-06-05", "2024-06-03", None, "2024-06-04"):
        collected.add(piece(ACME, june(), first_trade=first))

    assert collected.first_trade_ns == ns("2024-06-03")


def test_the_unit_is_the_first_that_a_vendor_names() -> None:
    collected = Collected()
    collected.add(piece(ACME, june(3), currency=""))
    collected.add(piece(ZENITH, june(4), currency="USD"))

    assert collected.currency == "USD"


def test_each_stretch_is_signed_by_who_served_it() -> None:
    collected = Collected()
    collected.add(piece(ACME, june(3, 4, 7), received_at_ns=1))
    collected.add(piece(ZENITH, june(5, 6), received_at_ns=2, derivation="computed"))
    series, owners = collected.series()

    signed = sources(collected, series, owners, Interval.DAY_1, now_ns=RECEIVED)

    assert [
        (s.provider, *dates([s.start_ns, s.end_ns]), s.received_at_ns, s.derivation)
        for s in signed
    ] == [
        (ACME, "2024-06-03", "2024-06-05", 1, ""),
        (ZENITH, "2024-06-05", "2024-06-07", 2, "computed"),
        (ACME, "2024-06-07", "2024-06-08", 1, ""),
    ]


def test_a_month_is_signed_until_the_next() -> None:
    collected = Collected()
    collected.add(piece(ACME, june(1)))
    series, owners = collected.series()

    (source,) = sources(collected, series, owners, Interval.MONTH_1, now_ns=RECEIVED)

    assert dates([source.start_ns, source.end_ns]) == ["2024-06-01", "2024-07-01"]


@pytest.mark.parametrize(
    ("late_ns", "state"), [(0, BarState.FINAL), (-1, BarState.PARTIAL)]
)
def test_a_bar_is_final_if_it_was_received_after_it_had_settled(
    late_ns: int, state: BarState
) -> None:
    close = ns("2024-06-03 16:00", NEW_YORK)
    collected = Collected()
    collected.add(piece(ACME, june(3), received_at_ns=close + SETTLING_NS + late_ns))
    series, owners = collected.series()
    grid = grid_of([ns("2024-06-03")], close - ns("2024-06-03"))

    found = states(collected, series, owners, grid, Interval.DAY_1)

    assert found.tolist() == [state]
    assert found.dtype == np.uint8


def test_a_bar_that_is_on_no_grid_is_over_at_the_end_of_its_label() -> None:
    received = ns("2024-06-03 15:00") + SETTLING_NS
    collected = Collected()
    collected.add(
        piece(
            ACME,
            bars(ns("2024-06-03 14:00") + np.arange(2) * HOUR_NS),
            received_at_ns=received,
        )
    )
    series, owners = collected.series()

    for grid in (None, grid_of(np.empty(0)), grid_of([0])):
        found = states(collected, series, owners, grid, Interval.HOUR_1)
        assert found.tolist() == [BarState.FINAL, BarState.PARTIAL]


def test_each_bar_is_judged_by_when_its_own_piece_came() -> None:
    collected = Collected()
    collected.add(piece(ACME, june(3), received_at_ns=0))
    collected.add(piece(ZENITH, june(4), received_at_ns=RECEIVED + DAY_NS))
    series, owners = collected.series()

    found = states(collected, series, owners, None, Interval.DAY_1)

    assert found.tolist() == [BarState.PARTIAL, BarState.FINAL]
