"""When a call fits all windows together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.ports.budget import Counts, Period, Window, WindowKind
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.admission import (
    GRANTED,
    LONG_AGO,
    Decision,
    Outlook,
    RefusedUntil,
    Turn,
    WaitUntil,
    admit,
    decide,
    fits,
    waits,
)
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Line, Slot, counts_in
from tests.clocks import NOW_NS

NOW = Instant(0.0, NOW_NS, NOW_NS)
SECOND = Window(name="second", limit=1, seconds=1.0, margin_seconds=0.0)
MINUTE = Window(name="minute", limit=5, seconds=60.0, margin_seconds=0.0)
UNITS = Window(
    name="units", limit=20, seconds=60.0, counts=Counts.UNITS, margin_seconds=0.0
)
DAY = Window(
    name="day",
    limit=25,
    kind=WindowKind.FIXED,
    period=Period.DAY,
    reset_zone="America/New_York",
)


def slots(
    *windows: Window, share: float = 0.0, lane: Lane = Lane.BATCH
) -> Sequence[Slot]:
    """Return what calls must fit."""
    lines = [
        Line(window, interactive_share=share, call_seconds=10.0) for window in windows
    ]
    return [slot for line in lines for slot in counts_in(line, lane)]


def test_without_windows_a_call_fits_at_once() -> None:
    assert waits([], 1, LONG_AGO, NOW) == Turn(0.0, "")
    assert fits([], 1, NOW)


def test_the_window_that_is_free_last_is_named() -> None:
    both = slots(MINUTE, SECOND)
    for second in range(4):
        admit(both, second, 1, NOW.at(float(second)))
    assert waits(both, 1, LONG_AGO, NOW.at(3.0)) == Turn(4.0, "second")

    admit(both, 4, 1, NOW.at(4.0))

    assert waits(both, 1, LONG_AGO, NOW.at(4.0)) == Turn(60.0, "minute")


def test_nothing_leaves_while_the_vendor_wants_to_be_left_alone() -> None:
    turn = Turn(300.0, "unpublished")

    assert waits(slots(MINUTE), 1, turn, NOW) == turn
    assert waits(slots(MINUTE), 1, turn, NOW.at(300.0)) == Turn(300.0, "")
    assert waits(slots(MINUTE), 1, Turn(math.inf, "x"), NOW) == Turn(math.inf, "x")


def test_what_never_fits_has_no_turn() -> None:
    assert waits(slots(MINUTE, UNITS), 21, LONG_AGO, NOW) == Turn(math.inf, "units")
    assert not fits(slots(MINUTE, UNITS), 21, NOW)


def test_windows_count_calls_or_units() -> None:
    both = slots(MINUTE, UNITS)
    admit(both, 1, 15, NOW)

    assert fits(both, 5, NOW)
    assert not fits(both, 6, NOW)
    assert fits(both, 1, NOW, calls=4)
    assert not fits(both, 1, NOW, calls=5)
    assert waits(both, 6, LONG_AGO, NOW) == Turn(60.0, "units")


def test_a_turn_that_falls_just_before_midnight_waits_for_midnight() -> None:
    both = slots(MINUTE, DAY)
    midnight = datetime(2025, 1, 11, 5, tzinfo=UTC)
    # The minute is free again 30 ms before midnight.
    ns = int(midnight.timestamp()) * 10**9 - 60_030_000_000
    moment = Instant(0.0, ns, ns)
    for number in range(5):
        admit(both, number, 1, moment)

    turn = waits(both, 1, LONG_AGO, moment)

    assert turn.window == "day"
    assert turn.at_seconds == pytest.approx(60.53, abs=1e-5)
    assert fits(both, 1, moment.at(turn.at_seconds))


@pytest.mark.parametrize(
    ("at_seconds", "decision"),
    [
        (0.0, GRANTED),
        (-math.inf, GRANTED),
        (5.0, WaitUntil(Turn(5.0, "w"))),
        (5.1, RefusedUntil(Turn(5.1, "w"))),
        (math.inf, RefusedUntil(Turn(math.inf, "w"))),
    ],
)
def test_a_call_leaves_waits_or_is_refused(
    at_seconds: float, decision: Decision
) -> None:
    found = decide(Turn(at_seconds, "w"), NOW, 5.0)

    assert type(found) is type(decision)
    assert found == decision


def test_an_outlook_gives_each_call_of_a_queue_its_own_turn() -> None:
    pair = slots(Window(name="pair", limit=2, seconds=10.0, margin_seconds=0.0))
    outlook = Outlook(pair, LONG_AGO)

    turns = [outlook.book(Lane.BATCH, 1, NOW).at_seconds for _ in range(5)]

    assert turns == [0.0, 0.0, 10.0, 10.0, 20.0]
    assert outlook.next_turn(Lane.BATCH, 1, NOW) == Turn(20.0, "pair")
    assert pair[0].meter.used(NOW) == 0


def test_an_outlook_begins_when_the_vendor_may_be_called_again() -> None:
    outlook = Outlook(slots(MINUTE), Turn(7.0, "closed"))

    assert outlook.book(Lane.BATCH, 1, NOW) == Turn(7.0, "closed")


def test_what_has_no_turn_is_not_booked() -> None:
    outlook = Outlook(slots(UNITS), LONG_AGO)

    assert outlook.book(Lane.BATCH, 21, NOW) == Turn(math.inf, "units")
    assert outlook.next_turn(Lane.BATCH, 20, NOW) == Turn(0.0, "")


def test_interactive_calls_need_not_fit_what_batch_calls_share() -> None:
    outlook = Outlook(slots(MINUTE, share=0.4), LONG_AGO)

    turns = [outlook.book(Lane.BATCH, 1, NOW).at_seconds for _ in range(4)]

    assert turns == [0.0, 0.0, 0.0, 60.0]
    outlook = Outlook(slots(MINUTE, share=0.4), LONG_AGO)
    turns = [outlook.book(Lane.INTERACTIVE, 1, NOW).at_seconds for _ in range(6)]
    assert turns == [0.0] * 5 + [60.0]


@pytest.mark.parametrize(
    ("units", "most", "booked"), [(1, 0, 0), (1, 3, 3), (1, 99, 5), (9, 99, 2)]
)
def test_as_many_as_fit_are_booked_together(units: int, most: int, booked: int) -> None:
    outlook = Outlook(slots(MINUTE, UNITS), LONG_AGO)

    assert outlook.book_more(Lane.BATCH, units, most, NOW) == booked

    left = outlook.book_more(Lane.BATCH, units, 99, NOW)
    assert booked + left == min(5, 20 // units)


@pytest.mark.parametrize("kind", [WindowKind.ROLLING, WindowKind.BUCKET])
@given(st.integers(1, 50), st.integers(1, 7), st.integers(0, 60))
def test_booking_together_is_booking_one_by_one(
    kind: WindowKind, limit: int, units: int, most: int
) -> None:
    window = Window(
        name="w",
        limit=limit,
        kind=kind,
        seconds=60.0,
        counts=Counts.UNITS,
        margin_seconds=0.0,
    )
    one_by_one = slots(window)
    count = 0
    while count < most and fits(one_by_one, units, NOW):
        admit(one_by_one, None, units, NOW)
        count += 1

    outlook = Outlook(slots(window), LONG_AGO)
    together = outlook.book_more(Lane.BATCH, units, most, NOW)

    # A bucket is empty a trifle earlier if its tokens are summed up one by one.
    rounded = kind is WindowKind.BUCKET
    assert count <= together <= count + rounded


windows = st.lists(
    st.one_of(
        st.builds(
            Window,
            name=st.sampled_from("abc"),
            limit=st.integers(1, 6),
            kind=st.sampled_from([WindowKind.ROLLING, WindowKind.BUCKET]),
            seconds=st.floats(0.001, 5000.0),
            counts=st.sampled_from(Counts),
            margin_seconds=st.one_of(st.none(), st.floats(0.0, 1.0)),
        ),
        st.builds(
            Window,
            name=st.sampled_from("abc"),
            limit=st.integers(1, 6),
            kind=st.just(WindowKind.FIXED),
            period=st.sampled_from(Period),
            reset_zone=st.sampled_from(["UTC", "America/Havana", "Asia/Beirut"]),
            counts=st.sampled_from(Counts),
            margin_seconds=st.one_of(st.none(), st.floats(0.0, 40.0)),
        ),
    ),
    max_size=4,
)


@given(
    windows,
    st.sampled_from([0.0, 0.1, 0.9]),
    st.lists(st.tuples(st.sampled_from(Lane), st.integers(1, 4)), max_size=25),
    # Machines have run for minutes or for years, and fractions are rounded.
    st.floats(0.0, 3e8),
    st.integers(10**18, 2 * 10**18),
)
def test_at_its_turn_a_call_fits_everywhere(
    limits: list[Window],
    share: float,
    calls: list[tuple[Lane, int]],
    seconds: float,
    wall_ns: int,
) -> None:
    now = Instant(seconds, wall_ns, wall_ns)
    lines = [Line(each, interactive_share=share, call_seconds=10.0) for each in limits]
    for number, (lane, units) in enumerate(calls):
        mine = [slot for line in lines for slot in counts_in(line, lane)]

        turn = waits(mine, units, LONG_AGO, now)

        if turn.at_seconds < math.inf:
            now = now.at(turn.at_seconds)
            assert fits(mine, units, now)
            admit(mine, number, units, now)
