"""Callers wait for their turn, and a strict vendor never complains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.provider import Window
from ingestion_server.quota.rolling import Cooldown, RollingQuota
from tests.clocks import ManualClock
from tests.quota.vendors import DAY, MINUTE, SECOND, local_date, violations

FOREVER = float("inf")


def quota(clock: ManualClock, *windows: Window, margin: float = 0.02) -> RollingQuota:
    """Make a quota of a vendor."""
    return RollingQuota("acme", windows, clock, margin_seconds=margin)


async def refused(reservation: Awaitable[object]) -> QuotaExhaustedError:
    """Return the refusal, which must come."""
    with pytest.raises(QuotaExhaustedError) as caught:
        await reservation
    return caught.value


async def test_ten_idle_minutes_earn_no_more_than_the_limit(clock: ManualClock) -> None:
    acme = quota(clock, MINUTE)
    clock.pass_by(600.0)

    for _ in range(5):
        await acme.reserve(longest_wait_seconds=0.0)
    error = await refused(acme.reserve(longest_wait_seconds=60.0))

    assert error.window == "minute"
    assert error.provider == "acme"
    assert "(5 of 5 calls used)" in error.message
    assert error.retry_after_seconds == pytest.approx(60.02)
    assert acme.available_in() == pytest.approx(60.02)


async def test_a_call_that_one_window_refuses_costs_nothing_in_another(
    clock: ManualClock,
) -> None:
    acme = quota(clock, MINUTE, SECOND)
    await acme.reserve(longest_wait_seconds=0.0)

    for _ in range(10):
        assert (await refused(acme.reserve(longest_wait_seconds=0.5))).window == (
            "second"
        )

    assert [(use.window, use.used) for use in acme.usage()] == [
        ("minute", 1),
        ("second", 1),
    ]


async def test_waiters_leave_in_the_order_they_came(clock: ManualClock) -> None:
    acme = quota(clock, Window("pair", 2, 10.0))
    left: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await acme.reserve(longest_wait_seconds=60.0)
        left.append((number, clock.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(one(number))
        await clock.advance(10.0)
        assert acme.available_in() == pytest.approx(10.04)
        await clock.advance(60.0)

    assert [number for number, _ in left] == [0, 1, 2, 3, 4]
    assert [at for _, at in left] == pytest.approx(
        [1000.0, 1000.0, 1010.02, 1010.02, 1020.04]
    )


async def test_who_would_wait_too_long_behind_the_queue_is_told_at_once(
    clock: ManualClock,
) -> None:
    acme = quota(clock, Window("pair", 2, 10.0))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(acme.reserve(longest_wait_seconds=60.0))
        await clock.advance(0.0)

        error = await refused(acme.reserve(longest_wait_seconds=15.0))

        await clock.advance(11.0)
    assert error.retry_after_seconds == pytest.approx(20.04)


async def test_a_cancelled_waiter_leaves_no_debit_and_no_gap(
    clock: ManualClock,
) -> None:
    acme = quota(clock, Window("single", 1, 10.0), margin=0.0)
    await acme.reserve(longest_wait_seconds=0.0)
    waiting = [
        asyncio.create_task(acme.reserve(longest_wait_seconds=60.0)) for _ in range(4)
    ]
    await clock.advance(5.0)

    waiting[0].cancel()
    waiting[2].cancel()
    await clock.advance(5.0)

    assert [task.done() for task in waiting] == [True, True, True, False]
    assert waiting[1].result().at_seconds == 1010.0
    await clock.advance(10.0)
    assert waiting[3].result().at_seconds == 1020.0
    assert acme.available_in() == 10.0


async def test_a_waiter_cancelled_as_its_turn_comes_leaves_no_debit(
    clock: ManualClock,
) -> None:
    acme = quota(clock, Window("single", 1, 10.0), margin=0.0)
    await acme.reserve(longest_wait_seconds=0.0)
    waiter = asyncio.create_task(acme.reserve(longest_wait_seconds=60.0))
    await clock.advance(5.0)
    clock.pass_by(5.0)

    waiter.cancel()
    await clock.advance(0.0)

    assert waiter.cancelled()
    assert acme.available_in() == 0.0


async def test_a_refund_lets_the_first_in_the_queue_leave_early(
    clock: ManualClock,
) -> None:
    acme = quota(clock, MINUTE)
    debits = [await acme.reserve(longest_wait_seconds=0.0) for _ in range(5)]
    waiter = asyncio.create_task(acme.reserve(longest_wait_seconds=100.0))
    await clock.advance(1.0)

    acme.refund(debits[2])
    await clock.advance(0.0)

    assert waiter.result().at_seconds == 1001.0


async def test_time_lost_by_a_busy_loop_does_not_crowd_the_calls_behind(
    clock: ManualClock,
) -> None:
    acme = quota(clock, Window("single", 1, 10.0))
    left: list[float] = []

    async def one() -> None:
        left.append((await acme.reserve(longest_wait_seconds=60.0)).at_seconds)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(one())
        await clock.advance(1.0)
        clock.pass_by(12.0)
        await clock.advance(30.0)

    assert left == pytest.approx([1000.0, 1013.0, 1023.02])


async def test_after_a_retry_after_nothing_leaves_before_it(clock: ManualClock) -> None:
    acme = quota(clock, MINUTE)

    acme.penalise(retry_after_seconds=120.0, window="unpublished")
    error = await refused(acme.reserve(longest_wait_seconds=100.0))
    await clock.advance(120.0)
    again = await refused(acme.reserve(longest_wait_seconds=0.0))
    await clock.advance(0.02)
    await acme.reserve(longest_wait_seconds=0.0)

    assert error.window == "unpublished"
    assert error.retry_after_seconds == pytest.approx(120.02)
    assert again.retry_after_seconds == pytest.approx(0.02)


async def test_a_shorter_ban_does_not_end_a_longer_one(clock: ManualClock) -> None:
    acme = quota(clock, MINUTE)

    acme.penalise(retry_after_seconds=120.0, window="unpublished")
    acme.penalise(retry_after_seconds=1.0, window="unpublished")

    assert acme.available_in() == pytest.approx(120.02)


async def test_without_retry_after_the_pause_doubles_up_to_an_hour_until_a_success(
    clock: ManualClock,
) -> None:
    acme = quota(clock, MINUTE)
    pauses = []
    for _ in range(6):
        # All that were under way are refused, and that counts once.
        for _ in range(3):
            acme.penalise(retry_after_seconds=None, window="unpublished")
            acme.note_success()
        pauses.append(acme.available_in())
        await clock.advance(acme.available_in())
    assert pauses == [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0]

    acme.note_success()
    acme.penalise(retry_after_seconds=0.0, window="unpublished")

    assert acme.available_in() == 300.0


async def test_a_cooldown_may_be_chosen(clock: ManualClock) -> None:
    acme = RollingQuota(
        "acme", [], clock, cooldown=Cooldown(first_seconds=1.0, most_seconds=1.5)
    )

    acme.penalise(retry_after_seconds=None, window="unpublished")
    await clock.advance(1.0)
    acme.penalise(retry_after_seconds=None, window="unpublished")

    assert acme.available_in() == 1.5


async def test_a_window_that_the_vendor_calls_full_is_full(clock: ManualClock) -> None:
    acme = quota(clock, MINUTE, DAY)

    acme.penalise(retry_after_seconds=None, window="minute")
    assert acme.available_in() == pytest.approx(60.02)
    acme.penalise(retry_after_seconds=None, window="day")

    error = await refused(acme.reserve(longest_wait_seconds=0.25))
    assert error.window == "day"
    assert error.retry_after_seconds == pytest.approx(14.5 * 3600 + 0.02)


async def test_a_ban_sends_away_who_would_wait_too_long_and_keeps_the_patient(
    clock: ManualClock,
) -> None:
    acme = quota(clock, Window("single", 1, 10.0))
    await acme.reserve(longest_wait_seconds=0.0)
    patient = asyncio.create_task(acme.reserve(longest_wait_seconds=3600.0))
    hasty = asyncio.create_task(acme.reserve(longest_wait_seconds=30.0))
    await clock.advance(1.0)

    acme.penalise(retry_after_seconds=300.0, window="unpublished")
    assert acme.available_in() == pytest.approx(310.04)
    await clock.advance(0.0)

    assert isinstance(hasty.exception(), QuotaExhaustedError)
    assert not patient.done()
    await clock.advance(300.1)
    assert patient.result().at_seconds == pytest.approx(1301.02)


async def test_a_ban_sends_the_first_in_the_queue_away_too(clock: ManualClock) -> None:
    acme = quota(clock, Window("single", 1, 10.0))
    await acme.reserve(longest_wait_seconds=0.0)
    first = asyncio.create_task(acme.reserve(longest_wait_seconds=30.0))
    await clock.advance(1.0)

    acme.penalise(retry_after_seconds=300.0, window="unpublished")
    error = await refused(first)

    assert error.retry_after_seconds == pytest.approx(300.02)


async def test_a_day_turns_at_midnight_in_new_york(clock: ManualClock) -> None:
    acme = quota(clock, DAY)
    for _ in range(25):
        await acme.reserve(longest_wait_seconds=0.0)
    error = await refused(acme.reserve(longest_wait_seconds=0.25))

    waiter = asyncio.create_task(acme.reserve(longest_wait_seconds=FOREVER))
    await clock.advance(14.5 * 3600)
    assert not waiter.done()
    await clock.advance(0.02)

    assert error.window == "day"
    assert error.retry_after_seconds == pytest.approx(14.5 * 3600 + 0.02)
    assert local_date(waiter.result().at_ns) == "2025-01-11"
    assert acme.usage()[0].used == 1


async def test_a_clock_that_is_set_back_frees_nothing(clock: ManualClock) -> None:
    acme = quota(clock, MINUTE, DAY, margin=0.0)
    for _ in range(5):
        await acme.reserve(longest_wait_seconds=0.0)

    clock.jump(-86_400.0)

    assert acme.available_in() == 60.0
    assert [use.used for use in acme.usage()] == [5, 5]


async def test_a_clock_that_is_set_forward_ends_the_wait_for_midnight(
    clock: ManualClock,
) -> None:
    acme = quota(clock, DAY)
    for _ in range(25):
        await acme.reserve(longest_wait_seconds=0.0)
    waiter = asyncio.create_task(acme.reserve(longest_wait_seconds=FOREVER))
    await clock.advance(1.0)

    clock.jump(86_400.0)
    await clock.advance(60.0)

    assert waiter.done()


async def test_a_wait_that_turns_out_longer_than_allowed_is_given_up(
    clock: ManualClock,
) -> None:
    acme = quota(clock, DAY)
    for _ in range(25):
        await acme.reserve(longest_wait_seconds=0.0)
    waiter = asyncio.create_task(acme.reserve(longest_wait_seconds=15 * 3600.0))
    await clock.advance(1.0)

    clock.jump(-7200.0)
    await clock.advance(60.0)

    assert (await refused(waiter)).window == "day"


async def test_a_limit_is_used_in_full(clock: ManualClock) -> None:
    acme = quota(clock, Window("tens", 10, 5.0))
    left: list[float] = []

    async def eager() -> None:
        while True:
            left.append((await acme.reserve(longest_wait_seconds=60.0)).at_seconds)

    task = asyncio.create_task(eager())
    await clock.advance(500.0)
    task.cancel()

    assert len(left) >= 0.99 * 1000


STARTS = st.lists(st.floats(0.0, 30.0), min_size=1, max_size=40)
WINDOWS = st.lists(
    st.builds(
        Window,
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 5),
        st.sampled_from([0.1, 1.0, 7.5, 60.0]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(gaps=STARTS, windows=WINDOWS, data=st.data())
async def test_a_strict_vendor_sees_no_violation(
    gaps: list[float], windows: list[Window], data: st.DataObject
) -> None:
    """Whatever the arrivals, the patience and the jitter: the limit holds, in order."""
    clock = ManualClock()
    acme = quota(clock, *windows)
    jitter = data.draw(
        st.lists(st.floats(0.0, 0.015), min_size=len(gaps), max_size=len(gaps))
    )
    patience = data.draw(
        st.lists(
            st.sampled_from([0.0, 0.5, 20.0, FOREVER]),
            min_size=len(gaps),
            max_size=len(gaps),
        )
    )
    left: list[tuple[int, float]] = []
    refusals: list[bool] = []

    async def one(number: int, start: float) -> None:
        await clock.sleep(start)
        began = clock.monotonic()
        try:
            debit = await acme.reserve(longest_wait_seconds=patience[number])
        except QuotaExhaustedError as e:
            # At once, and only those who would have had to wait longer.
            refusals.append((e.retry_after_seconds or 0.0) > patience[number])
            refusals.append(clock.monotonic() == began)
        else:
            left.append((number, debit.at_seconds))
            assert debit.at_seconds == clock.monotonic()
            assert debit.at_seconds - began <= patience[number] + 1e-6

    starts = list(accumulate(gap if gap > 5 else 0.0 for gap in gaps))
    async with asyncio.TaskGroup() as tasks:
        for number, start in enumerate(starts):
            tasks.create_task(one(number, start))

    assert all(refusals)
    assert [number for number, _ in left] == sorted(number for number, _ in left)
    assert violations([at + jitter[number] for number, at in left], windows) == []


@settings(max_examples=30, deadline=None)
@given(windows=WINDOWS, calls=st.integers(1, 30))
async def test_nobody_waits_longer_than_the_windows_demand(
    windows: list[Window], calls: int
) -> None:
    """Calls that queue leave at the first moments that a strict vendor allows."""
    clock = ManualClock()
    acme = quota(clock, *windows, margin=0.0)
    expected: list[float] = []
    for index in range(calls):
        moments = [
            expected[index - window.calls] + window.seconds
            for window in windows
            if index >= window.calls
        ]
        expected.append(max([1000.0, *moments]))

    async with asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(acme.reserve(longest_wait_seconds=FOREVER))
            for _ in range(calls)
        ]

    left = [task.result().at_seconds for task in waiting]
    assert left == pytest.approx(expected, abs=1e-6)


async def test_a_call_that_travels_long_counts_from_its_arrival(
    clock: ManualClock,
) -> None:
    """A burst queues for connections; the vendor's window begins when it arrives."""
    acme = quota(clock, SECOND)
    debit = await acme.reserve(longest_wait_seconds=0.0)
    clock.pass_by(0.9)

    acme.arrived(debit)

    assert acme.available_in() == pytest.approx(1.02)
