"""What is missing, and what the next vendor is asked for."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.bars import empty_series
from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.domain.interval import DAY_NS, HOUR_NS, Interval
from ingestion_server.domain.result import Attempt, Outcome
from tests.builders import bars, ns, span
from tests.ingest.making import ACME, NOW, ZENITH, june, piece, progress, silent


def test_at_first_everything_is_asked_for() -> None:
    fresh = progress()

    assert fresh.gaps() == [fresh.scope.span]
    assert fresh.lacking() == "10 of 10"


def test_then_only_what_is_missing() -> None:
    begun = progress()
    begun.collected.add(piece(ACME, june(5, 6, 10, 14)))

    assert begun.gaps() == [
        span("2024-06-03", "2024-06-05"),
        span("2024-06-07", "2024-06-08"),
        span("2024-06-11", "2024-06-14"),
    ]
    assert begun.lacking() == "6 of 10"


def test_and_nothing_when_all_is_there() -> None:
    done = progress()
    done.collected.add(piece(ACME, june(3, 4, 5, 6, 7)))
    done.collected.add(piece(ZENITH, june(10, 11, 12, 13, 14)))

    assert done.gaps() == []
    assert done.missing() == []
    assert done.lacking() == ""


def test_bars_before_the_first_trade_are_not_missing() -> None:
    begun = progress()
    begun.collected.add(piece(ACME, june(6, 7, 10, 11), first_trade="2024-06-06"))

    assert begun.gaps() == [span("2024-06-12", "2024-06-15")]


def test_what_was_never_traded_is_asked_of_nobody_else() -> None:
    begun = progress()
    begun.collected.add(piece(ACME, empty_series(), first_trade="2024-06-20"))

    assert begun.gaps() == []


def test_a_first_trade_long_ago_does_not_explain_why_nothing_came() -> None:
    begun = progress()
    begun.collected.add(piece(ACME, empty_series(), first_trade="1980-12-12"))

    assert begun.gaps() == [begun.scope.span]


def test_where_nothing_is_due_the_next_is_still_asked_for_the_current_bar() -> None:
    running = progress("2024-06-03", None, now_ns=ns("2024-06-03 15:00"))
    running.collected.add(piece(ACME, empty_series(), first_trade="1980-12-12"))

    assert running.gaps() == [running.scope.span]


def test_a_bar_that_is_not_due_yet_is_not_missing() -> None:
    running = progress("2024-06-03", None, now_ns=ns("2024-06-04 15:00"))
    running.collected.add(piece(ACME, june(3)))

    assert running.gaps() == []


def test_without_a_calendar_nothing_is_known_to_be_missing() -> None:
    unknown = progress(symbol="^NOBODY")
    unknown.collected.add(piece(ACME, june(5)))

    assert unknown.due() is None
    assert unknown.holes() == unknown.gaps() == []
    assert unknown.lacking() == ""


def test_bars_on_the_far_side_of_the_last_so_many_are_not_missing() -> None:
    begun = progress(None, "2024-06-15 00:00", limit=3)
    begun.collected.add(piece(ACME, june(12, 13, 14)))
    extended = progress(None, "2024-06-15 00:00", limit=3)
    extended.collected.add(piece(ACME, june(13, 14, 15)))

    assert begun.gaps() == []
    assert extended.gaps() == []


def test_bars_on_the_far_side_of_the_first_so_many_are_not_missing() -> None:
    begun = progress(limit=3)
    begun.collected.add(piece(ACME, june(2, 3, 4)))

    assert begun.gaps() == []


def test_a_hole_among_the_first_so_many_is_missing() -> None:
    begun = progress(limit=3)
    begun.collected.add(piece(ACME, june(3, 5)))

    assert begun.gaps() == [span("2024-06-04", "2024-06-05")]


def test_many_holes_are_asked_for_in_four_stretches() -> None:
    begun = progress("2024-01-01", "2024-06-29")
    weekly = bars(ns("2024-01-03") + np.arange(20) * 7 * DAY_NS)
    begun.collected.add(piece(ACME, weekly))

    gaps = begun.gaps()

    assert len(begun.holes()) == 21
    assert len(gaps) == 4
    assert gaps[0].start_ns == begun.holes()[0].start_ns
    assert gaps[-1].end_ns == begun.holes()[-1].end_ns


def test_very_many_holes_are_one_stretch() -> None:
    begun = progress("2024-01-01", "2024-06-29")
    begun.collected.add(
        piece(ACME, bars(ns("2024-01-02") + np.arange(90) * 2 * DAY_NS))
    )

    holes = begun.holes()

    assert len(holes) > 40
    assert [(g.start_ns, g.end_ns) for g in begun.gaps()] == [
        (holes[0].start_ns, holes[-1].end_ns)
    ]


def test_the_nearest_holes_are_joined_first() -> None:
    begun = progress("2024-06-03", "2024-06-29", symbol="BTC/USD")
    there = [4, 5, 6, 8, 10, 11, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26]
    begun.collected.add(piece(ACME, june(*there)))

    assert begun.gaps() == [
        span("2024-06-03", "2024-06-04"),
        span("2024-06-07", "2024-06-14"),
        span("2024-06-17", "2024-06-18"),
        span("2024-06-27", "2024-06-28"),
    ]


@given(st.sets(st.integers(0, 179), min_size=1))
def test_the_gaps_are_few_ascending_and_hold_every_hole(there: set[int]) -> None:
    begun = progress("2024-01-01", "2024-06-28", symbol="BTC/USD")
    opens = ns("2024-01-01") + np.array(sorted(there), np.int64) * DAY_NS
    begun.collected.add(piece(ACME, bars(opens)))

    holes, gaps = begun.holes(), begun.gaps()

    assert len(gaps) <= 4
    edges = [edge for gap in gaps for edge in (gap.start_ns, gap.end_ns)]
    assert edges == sorted(set(edges))
    assert all(
        any(g.start_ns <= h.start_ns and h.end_ns <= g.end_ns for g in gaps)
        for h in holes
    )


def test_what_is_missing_says_what_each_vendor_said() -> None:
    begun = progress()
    begun.collected.add(piece(ACME, june(3, 4, 5, 6, 7, 10, 11, 12, 13)))
    begun.attempts.append(Attempt(ACME, Outcome.SERVED, "PARTIAL: 1 of 10"))
    begun.attempts.append(Attempt(ZENITH, Outcome.SERVED))

    (missing,) = begun.missing()

    assert (missing.start_ns, missing.end_ns) == (ns("2024-06-14"), ns("2024-06-15"))
    assert missing.reason == "acme: PARTIAL: 1 of 10; zenith: gave no such bar"


def test_countless_holes_are_named_in_a_bounded_list() -> None:
    begun = progress(
        "2024-01-01", "2024-06-28", symbol="BTC/USD", interval=Interval.HOUR_1
    )
    every_other = bars(ns("2024-01-01") + np.arange(2000) * 2 * HOUR_NS)
    begun.collected.add(piece(ACME, every_other))

    missing, holes = begun.missing(), begun.holes()

    assert len(holes) == 2000
    assert len(missing) == 500
    assert missing[-1].end_ns == holes[-1].end_ns
    assert missing[-1].start_ns == holes[499].start_ns
    assert missing[-1].reason.startswith("1501 stretches")


def test_a_vendor_that_was_not_asked_is_an_attempt_too() -> None:
    begun = progress()

    begun.skipped(ProviderUnavailableError("acme rests", provider=ACME))

    assert begun.attempts == [
        Attempt(ACME, Outcome.SKIPPED, "ALL_PROVIDERS_FAILED: acme rests")
    ]
    assert [error.provider for error in begun.errors] == [ACME]


def test_the_summary_says_who_was_tried_and_who_is_pending() -> None:
    begun = progress(now_ns=NOW)
    begun.skipped(silent(ACME))
    begun.begun(ZENITH)

    assert begun.summary() == "acme SKIPPED, zenith pending"


def test_a_vendor_that_is_given_up_is_told_with_what_it_cost() -> None:
    made = progress()
    tally = made.begun(ACME)
    tally.calls, tally.cost_usd = 2, Decimal("0.02")

    made.given_up(ACME, Outcome.FAILED, "DEADLINE_EXCEEDED: too late")

    assert made.attempts == [
        Attempt(
            ACME,
            Outcome.FAILED,
            "DEADLINE_EXCEEDED: too late",
            cost_usd=Decimal("0.02"),
            calls=2,
        )
    ]


def test_beginning_anew_forgets_nothing_that_was_spent() -> None:
    made = progress()
    tally = made.begun(ACME)

    assert made.anew(made.scope).tallies == [tally]
