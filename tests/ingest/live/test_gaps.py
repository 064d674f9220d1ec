"""What is missing in a gap, and when nobody can be believed about it."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from ingestion_server.domain.ticks import Trade
from ingestion_server.ingest.live.gaps import Verdict, missing_trades
from tests.ingest.live.ticks import MILLI, TEN, trade

Row = tuple[int, float, float | None]


def row(each: Trade) -> Row:
    """Tell a trade by what it is compared by."""
    return each.time_ns, each.price, each.size


def rows(trades: list[Trade] | tuple[Trade, ...]) -> Counter[Row]:
    """Count equal trades."""
    return Counter(map(row, trades))


def judged(
    before: list[Trade],
    after: list[Trade],
    fetched: list[Trade],
) -> Verdict:
    """Judge the gap between the last trade before and the first after."""
    from_ns = max((each.time_ns for each in before), default=TEN)
    to_ns = min((each.time_ns for each in after), default=from_ns) + 1
    return missing_trades(before, after, fetched, from_ns, to_ns)


def test_what_the_stream_did_not_bring_is_missing() -> None:
    lost = [trade(2.0), trade(1.0), trade(2.0)]
    before, after = [trade(-1.0), trade(0.0)], [trade(3.0), trade(4.0)]

    verdict = judged(before, after, [*before, *lost, *after])

    assert verdict.verified
    assert [each.time_ns - TEN for each in verdict.missing] == [
        1000 * MILLI,
        2000 * MILLI,
        2000 * MILLI,
    ]


def test_a_gap_in_which_nothing_took_place_is_verified() -> None:
    before, after = [trade(0.0)], [trade(3.0)]

    verdict = judged(before, after, [*before, *after])

    assert verdict == Verdict(verified=True)


def test_equal_trades_in_the_instant_of_the_cut_are_counted() -> None:
    before, after = [trade(0.0), trade(0.0)], [trade(3.0), trade(4.0)]

    verdict = judged(before, after, [trade(0.0)] * 3 + [trade(3.0)] * 2 + [trade(4.0)])

    assert verdict.verified
    assert [each.time_ns - TEN for each in verdict.missing] == [0, 3000 * MILLI]


def test_the_same_trade_seen_on_both_sides_of_the_cut_is_two() -> None:
    verdict = judged([trade(0.0)], [trade(0.0), trade(1.0)], [trade(0.0), trade(1.0)])

    assert not verdict.verified


def test_a_size_that_is_not_told_is_not_zero() -> None:
    before, after = [trade(0.0, size=None)], [trade(3.0)]

    assert not judged(before, after, [trade(0.0, size=0.0), *after]).verified


def test_a_side_of_which_nothing_is_known_verifies_nothing() -> None:
    known = [trade(0.0)]

    assert "before" in judged([], known, known).reason
    assert "after" in judged(known, [], known).reason


def test_a_history_that_lags_behind_the_stream_is_not_believed() -> None:
    before, after = [trade(0.0)], [trade(3.0), trade(4.0)]

    verdict = judged(before, after, [*before, trade(1.0), trade(3.0)])

    assert not verdict.verified
    assert verdict.reason == (
        "the vendor's history lacks 1 of 3 trades that its stream brought"
    )


def test_a_history_that_tells_pages_twice_is_not_believed() -> None:
    before, after = [trade(-2.0), trade(-1.0), trade(0.0)], [trade(3.0), trade(4.0)]

    verdict = judged(before, after, [*before, *before, trade(1.0), *after])

    assert not verdict.verified
    assert "more often" in verdict.reason


def test_a_late_trade_that_came_after_the_cut_is_not_missing() -> None:
    before, after = [trade(0.0)], [trade(3.0), trade(1.0), trade(4.0)]

    verdict = missing_trades(
        before,
        after,
        [trade(0.0), trade(1.0), trade(3.0), trade(4.0)],
        TEN,
        TEN + 3000 * MILLI + 1,
    )

    assert verdict == Verdict(verified=True)


@st.composite
def tapes(draw: st.DrawFn) -> list[Trade]:
    """Draw trades in the order of their times, many of them equal."""
    steps = draw(st.lists(st.integers(0, 2), min_size=2, max_size=30))
    tape, now = [], 0
    for step in steps:
        now += step
        price = draw(st.sampled_from([100.0, 100.5]))
        size = draw(st.sampled_from([None, 0.0, 100.0]))
        tape.append(trade(now / 1000, price, size))
    return tape


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[Trade], list[Trade], list[Trade]]:
    """Draw a tape: known, lost, and known again."""
    tape = draw(tapes())
    first = draw(st.integers(1, len(tape) - 1))
    second = draw(st.integers(first, len(tape) - 1))
    return tape[:first], tape[first:second], tape[second:]


@given(cuts(), st.randoms(use_true_random=False))
def test_exactly_what_was_lost_is_missing_in_whatever_order_it_is_told(
    cut, random
) -> None:
    before, lost, after = cut
    fetched = [*before, *lost, *after]
    for told in (before, after, fetched):
        random.shuffle(told)

    verdict = judged(before, after, fetched)

    assert verdict.verified
    assert rows(verdict.missing) == rows(lost)
    times = [each.time_ns for each in verdict.missing]
    assert times == sorted(times)


@given(cuts(), st.data())
def test_a_history_that_omits_what_the_stream_brought_is_never_believed(
    cut, data
) -> None:
    before, lost, after = cut
    fetched = [*before, *lost, *after]
    for index in sorted(
        data.draw(st.sets(st.integers(0, len(fetched) - 1), min_size=1)), reverse=True
    ):
        del fetched[index]
    assume(rows([*before, *after]) - rows(fetched))

    assert not judged(before, after, fetched).verified


@given(cuts(), st.lists(st.integers(-50, 150), max_size=5))
def test_what_took_place_outside_of_the_gap_is_no_part_of_it(cut, moments) -> None:
    before, lost, after = cut
    low = min(each.time_ns for each in before)
    high = max(each.time_ns for each in after)
    others = [
        each
        for each in (trade(moment / 1000, 99.0) for moment in moments)
        if not low <= each.time_ns <= high
    ]

    verdict = judged(before, after, [*others, *before, *lost, *after])

    assert verdict.verified
    assert rows(verdict.missing) == rows(lost)
