"""Callers wait for their turn, in order, and what is said of a vendor is believed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import final

import pytest
from typing_extensions import override

from ingestion_server.domain.errors import LedgerUnavailableError
from ingestion_server.ports.budget import Budget, Counts, Period, Window, WindowKind
from ingestion_server.ports.quota import AlertKind, Lane
from ingestion_server.quota.account import Account, Cooldown, Tell
from ingestion_server.quota.instant import Instant, Timekeeper
from ingestion_server.quota.journal import Journal, JournalError
from ingestion_server.quota.line import Line
from ingestion_server.quota.meter import State
from tests.clocks import ManualClock
from tests.quota.desk import (
    DAY,
    FOREVER,
    MINUTE,
    SECOND,
    Crowd,
    account,
    ledger,
    most,
    refused,
    rolling,
    take,
)

SINGLE = rolling("single", 1, 10.0, margin=0.0)
PAIR = rolling("pair", 2, 10.0)
DAY_OF_THOUSANDS = Window(
    name="day", limit=5000, kind=WindowKind.FIXED, period=Period.DAY
)


@final
class Paper(Journal):
    """Remember what is written, unless it is full."""

    def __init__(self) -> None:
        self.full = False
        self.full_for_sums = False
        self.lines: list[str] = []
        self.sums = 0

    @override
    def debit(
        self, credential: int, number: int, at: Instant, units: int, *, batch: bool
    ) -> None:
        self._write(f"debit {number}")

    @override
    def refund(self, credential: int, number: int, at: Instant, units: int) -> None:
        self._write(f"refund {number} of {units}")

    @override
    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        self.sums += 1
        if self.full or self.full_for_sums:
            raise JournalError("the disk is full")
        self.lines.clear()

    def _write(self, line: str) -> None:
        if self.full:
            raise JournalError("the disk is full")
        self.lines.append(line)


def written(clock: ManualClock, paper: Paper, *windows: Window) -> Account:
    """Return an account that writes on paper."""
    return Account(
        "acme",
        "free",
        Budget(windows=windows),
        [Line(each, interactive_share=0.1, call_seconds=10.0) for each in windows],
        clock=clock,
        time=Timekeeper(clock),
        journal=paper,
        on_tell=lambda _: None,
    )


class TestRefusals:
    """Who would wait too long is told at once, and costs nothing."""

    async def test_ten_idle_minutes_earn_no_more_than_the_limit(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE)
        clock.pass_by(600.0)

        await take(acme, 5)
        error = await refused(take(acme, wait=60.0))

        assert (error.provider, error.window) == ("acme", "minute")
        assert "(5 of 5 calls used)" in error.message
        assert error.retry_after_seconds == pytest.approx(60.02)
        assert acme.available_in() == pytest.approx(60.02)

    async def test_a_call_that_one_window_refuses_costs_nothing_in_another(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(MINUTE, SECOND)))
        acme = book.accounts["acme"]
        await take(acme)

        for _ in range(10):
            assert (await refused(take(acme, wait=0.5))).window == "second"

        assert [each.used + each.reserved for each in book.uses()[0].windows] == [1, 1]

    async def test_who_would_wait_too_long_behind_the_queue_is_told_at_once(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, PAIR)
        crowd = Crowd(acme, clock)
        for number in range(4):
            crowd.come(f"{number}")
        await clock.advance(0.0)

        error = await refused(take(acme, wait=15.0))

        assert error.retry_after_seconds == pytest.approx(20.04)
        assert acme.waiting() == {Lane.INTERACTIVE: 2, Lane.BATCH: 0}
        await crowd.home()

    async def test_what_a_queue_will_use_is_known_after_calls_that_found_none(
        self, clock: ManualClock
    ) -> None:
        """A forecast that was made for one queue must not be used for the next."""
        acme = account(clock, rolling("ten", 10, 60.0, margin=0.0), share=0.0)
        crowd = Crowd(acme, clock)
        debits = await take(acme, 10)
        crowd.come("first")
        await clock.advance(0.0)
        for debit in debits:
            acme.refund(debit)
        await clock.advance(0.0)
        await take(acme, 9)

        crowd.come("second")
        await clock.advance(0.0)
        error = await refused(take(acme, wait=50.0))

        assert crowd.names == ["first"]
        assert error.retry_after_seconds == pytest.approx(60.0)
        await crowd.home()

    async def test_a_call_that_never_fits_is_refused_without_a_time(
        self, clock: ManualClock
    ) -> None:
        units = rolling("units", 10, 60.0, counts=Counts.UNITS)
        acme = account(clock, units, weights={"chart": 11})

        error = await refused(
            take(acme, lane=Lane.BATCH, endpoint="chart", wait=FOREVER)
        )

        assert error.retry_after_seconds is None
        assert "can never fit" in error.message

    async def test_no_share_is_kept_that_the_heaviest_batch_call_would_need(
        self, clock: ManualClock
    ) -> None:
        units = rolling("units", 10, 60.0, counts=Counts.UNITS)
        acme = account(clock, units, weights={"chart": 10})

        (debit,) = await take(acme, lane=Lane.BATCH, endpoint="chart")

        assert debit.units == 10


class TestOrder:
    """First come, first served, within a lane."""

    async def test_waiters_leave_in_the_order_they_came(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, PAIR)
        crowd = Crowd(acme, clock)

        for number in range(5):
            crowd.come(f"{number}", wait=60.0)
        await clock.advance(10.0)
        assert acme.available_in() == pytest.approx(10.04)
        await clock.advance(60.0)

        assert crowd.names == ["0", "1", "2", "3", "4"]
        assert crowd.times == pytest.approx([1000.0, 1000.0, 1010.02, 1010.02, 1020.04])

    async def test_who_comes_while_others_wait_does_not_pass_them(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SINGLE)
        crowd = Crowd(acme, clock)
        crowd.come("taken")
        crowd.come("first")
        await clock.advance(5.0)
        clock.pass_by(5.0)

        # There is room, and nobody who waits has noticed so far.
        crowd.come("late")
        await clock.advance(0.0)

        assert crowd.names == ["taken", "first"]
        await clock.advance(10.0)
        assert crowd.names == ["taken", "first", "late"]

    async def test_interactive_calls_pass_batch_calls(self, clock: ManualClock) -> None:
        acme = account(clock, SECOND)
        crowd = Crowd(acme, clock)
        crowd.come("taken")
        for name in ("b1", "b2"):
            crowd.come(name, lane=Lane.BATCH)
        for name in ("i1", "i2"):
            crowd.come(name)
        crowd.come("b3", lane=Lane.BATCH)

        await clock.advance(10.0)

        assert crowd.names == ["taken", "i1", "i2", "b1", "b2", "b3"]

    async def test_what_waits_before_an_interactive_call_is_not_what_waits_in_batch(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SINGLE)
        crowd = Crowd(acme, clock)
        crowd.come("taken")
        for number in range(100):
            crowd.come(f"b{number}", lane=Lane.BATCH)
        await clock.advance(1.0)

        assert acme.available_in() == pytest.approx(9.0)
        crowd.come("i", wait=9.0)
        await clock.advance(0.0)
        assert acme.available_in() == pytest.approx(19.0)
        await clock.advance(9.0)

        assert crowd.names == ["taken", "i"]
        await crowd.home()

    async def test_a_batch_call_that_is_passed_is_told_when_its_turn_is_too_late(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SECOND)
        crowd = Crowd(acme, clock)
        crowd.come("taken")
        crowd.come("batch", lane=Lane.BATCH, wait=1.5)
        await clock.advance(0.1)

        crowd.come("passes")
        await clock.advance(0.0)

        assert [name for name, _ in crowd.refused] == ["batch"]
        assert crowd.refused[0][1].retry_after_seconds == pytest.approx(1.94)
        await clock.advance(3.0)
        assert crowd.names == ["taken", "passes"]

    async def test_batch_calls_behind_the_first_hear_of_those_that_pass_at_once(
        self, clock: ManualClock
    ) -> None:
        """Those that find room without waiting delay the queue as well."""
        acme = account(clock, rolling("ten", 10, 60.0, margin=0.0), share=0.5)
        crowd = Crowd(acme, clock)
        await take(acme, 5, lane=Lane.BATCH)
        clock.pass_by(30.0)
        for number in range(5):
            crowd.come(f"b{number}", lane=Lane.BATCH, wait=40.0)
        await clock.advance(1.0)

        # Five find room at once, and four more just before the queue notices its own.
        await take(acme, 5)
        clock.pass_by(29.0)
        await take(acme, 4)
        await clock.advance(0.3)

        assert crowd.names == ["b0"]
        assert [name for name, _ in crowd.refused] == ["b1", "b2", "b3", "b4"]

    async def test_a_heavy_call_at_the_head_does_not_starve(
        self, clock: ManualClock
    ) -> None:
        units = rolling("units", 10, 10.0, counts=Counts.UNITS)
        acme = account(clock, units, share=0.0, weights={"chart": 8})
        crowd = Crowd(acme, clock)

        async def light() -> None:
            for number in range(200):
                crowd.come(f"l{number}")
                await clock.advance(0.5)

        await take(acme, 5)
        crowd.come("heavy", endpoint="chart")
        await light()

        assert crowd.names[0] == "heavy"
        assert crowd.times[0] == pytest.approx(1010.02)
        await crowd.home()

    @pytest.mark.parametrize(("limit", "kept"), [(1, 0), (25, 2), (75, 7)])
    async def test_batch_calls_never_take_what_is_kept(
        self, clock: ManualClock, limit: int, kept: int
    ) -> None:
        book = ledger(clock, Budget(windows=(rolling("some", limit, 60.0),)))
        acme = book.accounts["acme"]

        assert await most(acme, Lane.BATCH) == limit - kept
        assert await most(acme, Lane.INTERACTIVE) == kept
        assert book.uses()[0].windows[0].kept == kept

    async def test_what_interactive_calls_took_is_not_kept_again(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("some", 25, 60.0))

        assert await most(acme, Lane.INTERACTIVE) == 25
        assert await most(acme, Lane.BATCH) == 0


class TestConnections:
    """No more calls are let go than there are connections to leave by."""

    async def test_who_finds_none_free_leaves_as_soon_as_one_is(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE, most_under_way=2)
        crowd = Crowd(acme, clock)
        first, second = await take(acme, 2)
        for name in ("b", "i", "last"):
            lane = Lane.BATCH if name == "b" else Lane.INTERACTIVE
            crowd.come(name, lane=lane)
        await clock.advance(1.0)
        assert crowd.names == []

        acme.arrived(first, {})
        await clock.advance(1.0)
        assert crowd.names == ["i"]
        acme.refund(second)
        await clock.advance(1.0)

        assert crowd.names == ["i", "last"]
        assert acme.waiting() == {Lane.INTERACTIVE: 0, Lane.BATCH: 1}
        await crowd.home()

    async def test_nobody_passes_who_waits_for_one(self, clock: ManualClock) -> None:
        acme = account(clock, MINUTE, most_under_way=1)
        crowd = Crowd(acme, clock)
        (debit,) = await take(acme)
        crowd.come("first")
        await clock.advance(0.0)

        acme.arrived(debit, {})
        crowd.come("late")
        await clock.advance(0.0)

        assert crowd.names == ["first"]
        await crowd.home()

    async def test_who_loses_patience_is_told_how_many_are_under_way(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("many", 50, 60.0), most_under_way=2)
        crowd = Crowd(acme, clock)
        await take(acme, 2)
        # Those behind are not kept waiting by the patience of those before.
        waits = {"first": 50.0, "second": 0.0, "third": 20.0, "fourth": 10.0}
        for name, wait in waits.items():
            crowd.come(name, wait=wait)
        ended = []
        for seconds in (0.0, 9.99, 0.01, 10.0, 30.0):
            await clock.advance(seconds)
            ended.append([name for name, _ in crowd.refused])
            crowd.refused[:] = []

        assert ended == [["second"], [], ["fourth"], ["third"], ["first"]]
        error = await refused(take(acme))
        assert (error.provider, error.window) == ("acme", "connections")
        assert "2 calls are under way" in error.message
        assert error.retry_after_seconds == 1.0

    async def test_who_is_ahead_of_others_is_not_hurried_by_who_has_left(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE, most_under_way=1)
        crowd = Crowd(acme, clock)
        (debit,) = await take(acme)
        crowd.come("first", wait=10.0)
        crowd.come("second", wait=30.0)
        await clock.advance(1.0)
        acme.arrived(debit, {})
        await clock.advance(28.9)
        assert crowd.names == ["first"]
        assert crowd.refused == []

        await clock.advance(0.1)

        assert [name for name, _ in crowd.refused] == ["second"]

    async def test_nobody_knows_when_one_comes_free(self, clock: ManualClock) -> None:
        acme = account(clock, MINUTE, most_under_way=1)
        crowd = Crowd(acme, clock)
        await take(acme)
        crowd.come("waits")
        await clock.advance(0.0)

        assert acme.available_in() == 0.0
        await crowd.home()

    async def test_a_window_that_is_full_is_told_at_once_all_the_same(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE, most_under_way=5)
        await take(acme, 5)

        error = await refused(take(acme, wait=50.0))

        assert error.window == "minute"

    async def test_who_is_late_because_none_was_free_is_told_by_the_window(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, PAIR, most_under_way=1)
        crowd = Crowd(acme, clock)
        (debit,) = await take(acme)
        for name, wait in {"a": 30.0, "b": 15.0, "c": 40.0}.items():
            crowd.come(name, wait=wait)
        await clock.advance(8.0)

        # Those behind were to leave ten seconds after it, and it has left late.
        acme.arrived(debit, {})
        await clock.advance(0.3)

        assert crowd.names == ["a"]
        assert [(name, error.window) for name, error in crowd.refused] == [
            ("b", "pair")
        ]
        await crowd.home()

    async def test_a_thousand_who_wait_for_one_keep_nobody_busy(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("many", 5000, 60.0), most_under_way=16)
        crowd = Crowd(acme, clock)
        debits = await take(acme, 16)
        for number in range(1000):
            crowd.come(f"{number}", wait=30.0 + number)
        await clock.advance(0.0)
        clock.slept.clear()

        await clock.advance(29.0)
        assert clock.slept == []
        for debit in debits:
            acme.arrived(debit, {})
        await clock.advance(0.0)

        assert len(crowd.names) == 16
        # Each that leaves, and each that is first in its place, looks once.
        assert len(clock.slept) <= 17
        await crowd.home()


class TestThousands:
    """
    What one who comes, passes or leaves costs does not grow with the queue.

    By the processor's time, which other processes do not take. To foresee the queue
    anew for each took 15 seconds on a machine that now takes a tenth of one; half of
    a second leaves it room to be slow, and not to grow with the square.
    """

    NUMBER = 2000
    # 0.1 s by itself, 0.55 s while the coverage of a whole run is measured; it was 15 s
    # when each arrival looked at all the others.
    MOST_SECONDS = 2.0

    async def test_lanes_that_alternate_do_not_hold_up_the_loop(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SECOND, rolling("minute", 60, 60.0), DAY_OF_THOUSANDS)
        crowd = Crowd(acme, clock)
        await take(acme)
        lanes = list(Lane)
        for number in range(self.NUMBER):
            crowd.come(f"{number}", lane=lanes[number % 2])
        began = time.process_time()

        await asyncio.sleep(0)

        assert time.process_time() - began < self.MOST_SECONDS
        assert sum(acme.waiting().values()) == self.NUMBER
        # What the next is told is nearly true at once, and true a moment later: as if
        # nobody had passed the others, a tenth less is kept from them than will be.
        now = Timekeeper(clock).now()
        turn = acme.outlook(now).next_turn(Lane.BATCH, 1, now)
        true = turn.at_seconds - now.seconds
        error = await refused(take(acme, lane=Lane.BATCH))
        assert error.retry_after_seconds == pytest.approx(true, rel=0.05)
        clock.pass_by(0.3)
        error = await refused(take(acme, lane=Lane.BATCH))
        assert error.retry_after_seconds == pytest.approx(true - 0.3, abs=0.01)
        await crowd.home()

    async def test_those_who_give_up_and_are_followed_by_others_neither(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SECOND, DAY_OF_THOUSANDS)
        crowd = Crowd(acme, clock)
        await take(acme)
        for number in range(self.NUMBER):
            crowd.come(f"{number}", lane=Lane.BATCH)
        await asyncio.sleep(0)
        began = time.process_time()

        for number in range(200):
            crowd.tasks[f"{2 * number}"].cancel()
            crowd.come(f"more {number}", lane=Lane.BATCH)
            await asyncio.sleep(0)

        assert time.process_time() - began < self.MOST_SECONDS
        await asyncio.sleep(0)
        assert acme.waiting()[Lane.BATCH] == self.NUMBER
        await crowd.home()

    async def test_those_who_pass_and_are_followed_by_others_neither(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("many", 1000, 3000.0), share=0.5)
        crowd = Crowd(acme, clock)
        await take(acme, 500, lane=Lane.BATCH)
        for number in range(self.NUMBER):
            crowd.come(f"{number}", lane=Lane.BATCH)
        await asyncio.sleep(0)
        began = time.process_time()

        for number in range(200):
            await take(acme)
            crowd.come(f"more {number}", lane=Lane.BATCH)
            await asyncio.sleep(0)

        assert time.process_time() - began < self.MOST_SECONDS
        assert acme.waiting()[Lane.BATCH] == self.NUMBER + 200
        await crowd.home()


class TestLeaving:
    """Who gives up leaves no trace, and nobody waits for nothing."""

    async def test_a_cancelled_waiter_leaves_no_debit_and_no_gap(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SINGLE)
        crowd = Crowd(acme, clock)
        await take(acme)
        for name in "abcd":
            crowd.come(name)
        await clock.advance(5.0)

        crowd.tasks["a"].cancel()
        crowd.tasks["c"].cancel()
        await clock.advance(15.0)

        assert crowd.left == [("b", 1010.0), ("d", 1020.0)]
        assert acme.available_in() == 10.0
        assert acme.waiting() == {Lane.INTERACTIVE: 0, Lane.BATCH: 0}

    async def test_a_waiter_cancelled_as_its_turn_comes_leaves_no_debit(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SINGLE)
        crowd = Crowd(acme, clock)
        await take(acme)
        crowd.come("one")
        await clock.advance(5.0)
        clock.pass_by(5.0)

        crowd.tasks["one"].cancel()
        await clock.advance(0.0)

        assert crowd.tasks["one"].cancelled()
        assert acme.available_in() == 0.0

    async def test_a_call_that_never_left_lets_the_first_in_the_queue_leave_early(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(MINUTE, DAY)))
        acme = book.accounts["acme"]
        crowd = Crowd(acme, clock)
        debits = await take(acme, 5)
        crowd.come("first", wait=100.0)
        await clock.advance(1.0)

        acme.refund(debits[2])
        acme.refund(debits[2])
        await clock.advance(0.0)

        assert crowd.left == [("first", 1001.0)]
        assert [use.reserved for use in book.uses()[0].windows] == [5, 5]
        assert book.uses()[0].spend.units == 5

    async def test_a_call_that_was_answered_cannot_be_taken_back(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, SINGLE)
        (debit,) = await take(acme)
        acme.arrived(debit, {})

        acme.refund(debit)
        acme.arrived(debit, {})

        assert acme.available_in() == 10.0

    async def test_time_lost_by_a_busy_loop_does_not_crowd_the_calls_behind(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("single", 1, 10.0))
        crowd = Crowd(acme, clock)
        for name in "abc":
            crowd.come(name, wait=60.0)
        await clock.advance(1.0)

        clock.pass_by(12.0)
        await clock.advance(30.0)

        assert crowd.times == pytest.approx([1000.0, 1013.0, 1023.02])

    async def test_a_call_that_travels_long_counts_from_its_answer(
        self, clock: ManualClock
    ) -> None:
        """A burst queues for connections; the vendor's window begins when it comes."""
        acme = account(clock, SECOND)
        (debit,) = await take(acme)
        clock.pass_by(0.9)

        acme.arrived(debit, {})

        assert acme.available_in() == pytest.approx(1.02)

    async def test_a_thousand_who_wait_keep_nobody_busy(self) -> None:
        """By the real clock, since what is measured is real: the processor's time."""
        clock = _Real()
        acme = Account(
            "acme",
            "free",
            Budget(windows=(MINUTE,)),
            [Line(MINUTE, interactive_share=0.1, call_seconds=10.0)],
            clock=clock,
            time=Timekeeper(clock),
            journal=Paper(),
            on_tell=lambda _: None,
        )
        await take(acme, 5)
        tasks = [
            asyncio.create_task(take(acme, lane=lane, wait=FOREVER))
            for lane in Lane
            for _ in range(500)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sum(acme.waiting().values()) == 1000
        naps, used = clock.naps, time.process_time()

        # Nothing is waited for here: it is the idling itself that is measured.
        await asyncio.sleep(1.0)

        # A busy loop would use all of the second. A tenth of it is what a slow
        # machine's own housekeeping never needs.
        assert time.process_time() - used < 0.1
        assert clock.naps == naps
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        assert sum(acme.waiting().values()) == 0
        assert clock.asleep == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


@final
class _Real:
    """Tell the real time, and count the naps."""

    def __init__(self) -> None:
        self.naps = 0
        self.asleep = 0

    def now_ns(self) -> int:
        """Return the wall clock."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return the steady clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.naps += 1
        self.asleep += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.asleep -= 1

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """Nobody asks for one here."""
        return asyncio.timeout(seconds)


class TestClosures:
    """A vendor that says "not now" is left alone."""

    async def test_after_a_retry_after_nothing_leaves_before_it(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE)

        acme.penalise(retry_after_seconds=120.0, window="unpublished")
        error = await refused(take(acme, wait=100.0))
        await clock.advance(120.0)
        again = await refused(take(acme))
        await clock.advance(0.02)
        await take(acme)

        assert error.window == "unpublished"
        assert error.retry_after_seconds == pytest.approx(120.02)
        assert again.retry_after_seconds == pytest.approx(0.02)

    async def test_a_shorter_closure_does_not_end_a_longer_one(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE)

        acme.penalise(retry_after_seconds=120.0, window="unpublished")
        acme.penalise(retry_after_seconds=1.0, window="unpublished")

        assert acme.available_in() == pytest.approx(120.02)

    @pytest.mark.parametrize("seconds", [1e12, float("inf")])
    async def test_no_word_of_a_vendor_closes_it_for_years(
        self, clock: ManualClock, seconds: float
    ) -> None:
        acme = account(clock, MINUTE)

        acme.penalise(retry_after_seconds=seconds, window="unpublished")

        assert acme.available_in() == 32 * 86_400.0

    async def test_without_a_time_the_pause_doubles_up_to_an_hour_until_a_success(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE)
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

    async def test_a_cooldown_may_be_chosen(self, clock: ManualClock) -> None:
        acme = account(clock, cooldown=Cooldown(first_seconds=1.0, most_seconds=1.5))

        acme.penalise(retry_after_seconds=None, window="unpublished")
        await clock.advance(1.0)
        acme.penalise(retry_after_seconds=None, window="unpublished")

        assert acme.available_in() == 1.5

    async def test_a_window_that_the_vendor_calls_full_is_full(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE, DAY)

        acme.penalise(retry_after_seconds=None, window="minute")
        assert acme.available_in() == pytest.approx(60.02)
        acme.penalise(retry_after_seconds=None, window="day")

        error = await refused(take(acme, wait=0.25))
        assert error.window == "day"
        assert error.retry_after_seconds == pytest.approx(14.5 * 3600 + 0.5, abs=0.1)

    async def test_a_closure_sends_away_who_would_wait_too_long_and_keeps_the_patient(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("single", 1, 10.0))
        crowd = Crowd(acme, clock)
        await take(acme)
        crowd.come("patient", wait=3600.0)
        crowd.come("hasty", wait=30.0)
        await clock.advance(1.0)

        acme.penalise(retry_after_seconds=300.0, window="unpublished")
        assert acme.waiting()[Lane.INTERACTIVE] == 1
        assert acme.available_in() == pytest.approx(310.04)
        await clock.advance(0.0)

        assert [name for name, _ in crowd.refused] == ["hasty"]
        await clock.advance(300.1)
        assert crowd.left == [("patient", pytest.approx(1301.02))]

    async def test_a_closure_sends_the_first_in_the_queue_away_too(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, rolling("single", 1, 10.0))
        crowd = Crowd(acme, clock)
        await take(acme)
        crowd.come("first", wait=30.0)
        await clock.advance(1.0)

        acme.penalise(retry_after_seconds=300.0, window="unpublished")
        await clock.advance(0.0)

        assert crowd.refused[0][1].retry_after_seconds == pytest.approx(300.02)

    async def test_a_refusal_is_summed_up_at_once(self, clock: ManualClock) -> None:
        paper = Paper()
        acme = written(clock, paper, MINUTE)

        acme.penalise(retry_after_seconds=5.0, window="minute")

        assert paper.sums == 1

    async def test_a_refusal_of_what_fitted_is_told_with_what_was_counted(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))
        await take(book.accounts["acme"], 3)

        book.accounts["acme"].penalise(retry_after_seconds=None, window="day")
        book.accounts["acme"].penalise(retry_after_seconds=None, window="day")

        (alert,) = book.alerts(0)
        assert alert.kind is AlertKind.VIOLATION
        assert (alert.window, alert.used, alert.limit) == ("day", 3, 25)

    async def test_a_vendor_that_publishes_nothing_cannot_be_wronged(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(MINUTE,), published=False))

        book.accounts["acme"].penalise(retry_after_seconds=1.0, window="minute")

        assert book.alerts(0) == []
        use = book.uses()[0]
        assert "'minute'" in use.closed_reason
        assert use.closed_until_ns == clock.now_ns() + 1_020_000_000


class TestClocks:
    """Whoever sets the wall clock frees nothing."""

    async def test_a_day_turns_at_midnight_in_new_york(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))
        acme = book.accounts["acme"]
        crowd = Crowd(acme, clock)
        await take(acme, 25)
        error = await refused(take(acme, wait=0.25))

        crowd.come("tomorrow")
        await clock.advance(14.5 * 3600)
        assert crowd.left == []
        await clock.advance(0.6)

        assert error.window == "day"
        assert crowd.names == ["tomorrow"]
        use = book.uses()[0].windows[0]
        # Those of yesterday were never answered, but cannot arrive today any more.
        assert use.used + use.reserved == 1

    @pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0, -3600.0])
    async def test_a_clock_that_is_set_frees_nothing(
        self, clock: ManualClock, seconds: float
    ) -> None:
        acme = account(clock, DAY)
        await take(acme, 25)

        clock.jump(seconds)

        assert (await refused(take(acme, wait=3600.0))).window == "day"

    async def test_a_wait_that_turns_out_longer_than_allowed_is_given_up(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, DAY)
        crowd = Crowd(acme, clock)
        await take(acme, 25)
        for name in "ab":
            crowd.come(name, wait=15 * 3600.0)
        await clock.advance(1.0)

        clock.jump(-7200.0)
        await clock.advance(61.0)

        assert [name for name, _ in crowd.refused] == ["a", "b"]
        assert crowd.refused[1][1].window == "day"


TOLD = Window(
    name="minute",
    limit=10,
    seconds=60.0,
    limit_header="x-limit",
    remaining_header="x-left",
    reset_header="x-reset",
)


class TestHeaders:
    """What answers tell makes us more careful, and never less."""

    async def test_less_may_be_left_than_was_thought_but_never_more(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(TOLD,)))
        acme = book.accounts["acme"]
        first, second = await take(acme, 2)

        acme.arrived(first, {"x-left": "9"})
        assert book.uses()[0].windows[0].remaining == 8
        # Others used two; the second of ours may not be in it.
        acme.arrived(second, {"x-left": "4"})

        assert book.uses()[0].windows[0].remaining == 4

    async def test_a_limit_may_be_lower_than_was_thought_but_never_higher(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(TOLD,)))
        acme = book.accounts["acme"]
        first, second = await take(acme, 2)

        acme.arrived(first, {"x-limit": "4"})
        acme.arrived(second, {"x-limit": "1000"})

        assert book.uses()[0].windows[0].limit == 4
        assert await most(acme, Lane.INTERACTIVE) == 2

    async def test_a_vendor_with_nothing_left_is_left_alone_until_its_reset(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, TOLD)
        crowd = Crowd(acme, clock)
        (debit,) = await take(acme)

        acme.arrived(debit, {"x-left": "0", "x-reset": "30"})
        crowd.come("one", wait=29.0)
        await clock.advance(0.0)

        assert acme.closed is not None
        assert crowd.refused[0][1].retry_after_seconds is not None

    async def test_those_who_wait_hear_that_less_is_left(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, TOLD)
        crowd = Crowd(acme, clock)
        (debit,) = await take(acme)
        clock.pass_by(50.0)
        await take(acme, 9)
        for name in "ab":
            crowd.come(name, wait=65.0)
        await clock.advance(1.0)

        # Ten fitted, and one does: the first to leave now is the last that left.
        acme.arrived(debit, {"x-limit": "1"})
        await clock.advance(0.3)

        assert [name for name, _ in crowd.refused] == ["b"]
        await clock.advance(60.0)
        assert crowd.names == ["a"]

    async def test_a_call_may_cost_more_than_was_thought(
        self, clock: ManualClock
    ) -> None:
        budget = Budget(
            windows=(rolling("units", 100, 60.0, counts=Counts.UNITS),),
            price_per_unit_usd=Decimal("0.5"),
            used_header="x-used",
        )
        book = ledger(clock, budget)
        acme = book.accounts["acme"]
        cheap, dear = await take(acme, 2)

        assert acme.arrived(cheap, {"x-used": "0"}) == 0
        assert acme.arrived(dear, {"x-used": "5"}) == Decimal(2)

        use = book.uses()[0]
        assert use.windows[0].used == 6
        assert use.spend.metered_usd == Decimal(3)
        assert acme.charges
        assert acme.price_usd("quote") == Decimal("0.5")

    async def test_a_limit_that_is_told_no_more_is_over(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, TOLD, share=0.0)
        (debit,) = await take(acme)
        acme.arrived(debit, {"x-limit": "4"})
        await take(acme, 3)
        await refused(take(acme))
        changes = acme.changes

        clock.pass_by(61.0)

        # Four fit at once, and the next one looks again.
        await take(acme, 10)
        await refused(take(acme))
        assert acme.changes == changes + 11

    @pytest.mark.parametrize(("most_units", "windows"), [(100, 2), (1_000_000, 0)])
    async def test_no_header_makes_a_call_cost_more_than_all_there_is(
        self,
        clock: ManualClock,
        caplog: pytest.LogCaptureFixture,
        most_units: int,
        windows: int,
    ) -> None:
        budget = Budget(
            windows=(
                rolling("units", 100, 60.0, counts=Counts.UNITS),
                rolling("more", 1000, 90.0, counts=Counts.UNITS),
            )[:windows],
            price_per_unit_usd=Decimal(1),
            used_header="x-used",
        )
        acme = ledger(clock, budget).accounts["acme"]
        for _ in range(3):
            (debit,) = await take(acme)
            extra = acme.arrived(debit, {"x-used": "999999999999"})
            assert extra == most_units
            clock.pass_by(50.0 if not windows else 61.0)

        said = [each for each in caplog.messages if "999999999998 units" in each]
        assert len(said) == (3 if windows else 2)


class TestWriting:
    """What cannot be written down does not leave."""

    async def test_a_call_is_written_down_and_so_is_that_it_never_left(
        self, clock: ManualClock
    ) -> None:
        paper = Paper()
        acme = written(clock, paper, MINUTE)

        debit, _ = await take(acme, 2)
        acme.refund(debit)

        assert paper.lines == ["debit 1", "debit 2", "refund 1 of 1"]

    async def test_a_window_of_a_second_is_not_worth_writing(
        self, clock: ManualClock
    ) -> None:
        paper = Paper()

        await take(written(clock, paper, SECOND))

        assert paper.lines == []

    async def test_what_costs_money_is_written_down_whatever_the_windows_are(
        self, clock: ManualClock
    ) -> None:
        paper = Paper()
        acme = Account(
            "acme",
            "metered",
            Budget(price_per_unit_usd=Decimal(1)),
            [],
            clock=clock,
            time=Timekeeper(clock),
            journal=paper,
            on_tell=lambda _: None,
        )

        (debit,) = await take(acme)

        assert debit.cost_usd == 1
        assert paper.lines == ["debit 1"]

    async def test_a_full_disk_holds_calls_back_and_counts_nothing(
        self, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        paper = Paper()
        acme = written(clock, paper, MINUTE)
        paper.full = True

        for _ in range(20):
            with pytest.raises(LedgerUnavailableError) as caught:
                await take(acme)
        assert caught.value.retry_after_seconds == 5.0
        assert "a restart would forget them" in str(caught.value)
        paper.full = False
        await take(acme, 5)

        levels = [each.levelno for each in caplog.records]
        assert levels == [logging.ERROR, logging.WARNING]
        assert "the disk is full" in caplog.messages[0]
        assert caplog.messages[1] == "acme: the ledger can be written again"
        assert acme.spend.spend(clock.now_ns(), 0).units == 5

    async def test_who_waits_when_the_disk_is_full_is_told_and_the_next_may_go_on(
        self, clock: ManualClock
    ) -> None:
        paper = Paper()
        acme = written(clock, paper, SINGLE)
        await take(acme)
        waiting = [asyncio.create_task(take(acme, wait=FOREVER)) for _ in range(3)]
        await clock.advance(5.0)

        paper.full = True
        await clock.advance(5.0)

        assert [
            isinstance(task.exception(), LedgerUnavailableError) for task in waiting
        ] == [True] * 3
        assert acme.waiting()[Lane.INTERACTIVE] == 0

    async def test_what_cannot_be_summed_up_is_not_tried_again_for_each_call(
        self, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        paper = Paper()
        acme = written(clock, paper, rolling("many", 10_000, 60.0))
        paper.full_for_sums = True

        await take(acme, 1100)
        assert paper.sums == 2
        assert len(caplog.records) == 1
        paper.full_for_sums = False
        assert acme.save(Timekeeper(clock).now())

        assert caplog.messages[1:] == ["acme: the ledger can be written again"]


class TestAlerts:
    """An operator hears that a window fills, and not again for each call."""

    async def told(self, clock: ManualClock, window: Window, weight: int) -> list[Tell]:
        """Return what is told of 40 calls, one each minute."""
        heard: list[Tell] = []
        acme = Account(
            "acme",
            "free",
            Budget(windows=(window,), weights={"*": weight}),
            [Line(window, interactive_share=0.0, call_seconds=10.0)],
            clock=clock,
            time=Timekeeper(clock),
            journal=Paper(),
            on_tell=heard.append,
        )
        for _ in range(40):
            await take(acme, wait=FOREVER) if acme.available_in() == 0 else None
            await clock.advance(60.0)
        return heard

    @pytest.mark.parametrize("weight", [1, 30])
    async def test_it_is_told_at_80_and_at_95_percent_once(
        self, clock: ManualClock, weight: int
    ) -> None:
        window = Window(name="day", limit=40, kind=WindowKind.FIXED, period=Period.DAY)

        heard = await self.told(clock, window, weight)

        assert [(each.kind, each.used) for each in heard] == [
            (AlertKind.USED_80_PERCENT, 32),
            (AlertKind.USED_95_PERCENT, 38),
        ]

    async def test_a_window_that_is_meant_to_be_full_is_not_worth_a_word(
        self, clock: ManualClock
    ) -> None:
        assert await self.told(clock, rolling("minute", 1, 60.0), 1) == []


class TestHeadroom:
    """How much is left tells whether a vendor is worth sparing."""

    async def test_it_is_that_of_the_tightest_long_window(
        self, clock: ManualClock
    ) -> None:
        acme = account(clock, MINUTE, rolling("hour", 10, 3600.0), DAY)

        await take(acme, 5)

        # The minute is full, as it is meant to be.
        assert acme.headroom() == pytest.approx(0.5)

    @pytest.mark.parametrize(
        "budget",
        [
            Budget(),
            Budget(windows=(SECOND,)),
            Budget(windows=(DAY,), published=False),
        ],
        ids=["no window", "a short one", "none that is published"],
    )
    async def test_where_nothing_is_known_to_run_out_all_is_left(
        self, clock: ManualClock, budget: Budget
    ) -> None:
        acme = ledger(clock, budget).accounts["acme"]

        await take(acme)

        assert acme.headroom() == 1.0
