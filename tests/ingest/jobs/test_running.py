"""Jobs go on whatever happens, and do nothing twice and nothing that was not wanted."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    QuotaExhaustedError,
    StateUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.jobs import JobSpec, JobState, Schedule
from ingestion_server.domain.jobs import UnitState as State
from ingestion_server.domain.query import SourceMode, SourcePolicy
from tests.ingest.jobs.workshop import START, Workshop

MANY = [f"S{number}" for number in range(20)]
DAILY = Schedule(cron="0 18 * * *")


def unknown() -> SymbolUnknownError:
    return SymbolUnknownError("nobody knows it", provider="acme", symbol="A")


def failed() -> AllProvidersFailedError:
    return AllProvidersFailedError("acme is down", facts={})


def quota(seconds: float) -> QuotaExhaustedError:
    return QuotaExhaustedError(
        "acme has no calls left",
        provider="acme",
        window="day",
        retry_after_seconds=seconds,
    )


class TestHalting:
    """What is under way is ended, and nothing more is begun."""

    async def test_a_pause_is_not_lost_to_the_end_of_the_run(self) -> None:
        shop = Workshop(runs=False)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin("A", "B")
            await shop.until(lambda: len(shop.vendors.asked) == 2)
            await desk.pause("one")
            shop.vendors.gate.set()
            await shop.until(lambda: shop.states() == [State.LANDED, State.LANDED])
            await shop.clock.advance(600)
            paused = shop.job()

            await desk.resume("one")
            ended = await shop.ended()

        assert paused.state is JobState.PAUSED
        assert ended.state is JobState.COMPLETED

    async def test_units_that_were_not_begun_wait_while_a_job_is_paused(self) -> None:
        shop = Workshop(runs=False, units_at_once=2)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin(*MANY)
            await shop.until(lambda: len(shop.vendors.asked) == 2)
            await desk.pause("one")
            shop.vendors.gate.set()
            await shop.clock.advance(600)
            states = shop.states()

            await desk.resume("one")
            await shop.ended()

        assert states == [State.LANDED] * 2 + [State.PENDING] * 18
        assert sorted(shop.vendors.asked) == sorted(MANY)

    async def test_a_pause_whose_caller_left_is_obeyed_as_it_is_kept(self) -> None:
        shop = Workshop(runs=False, units_at_once=1)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin(*MANY)
            await shop.until(lambda: shop.vendors.asked)
            kept = asyncio.Event()
            shop.store.slow["save"] = kept.wait
            pause = asyncio.create_task(desk.pause("one"))
            await shop.halted(JobState.PAUSED)
            pause.cancel()
            await asyncio.gather(pause, return_exceptions=True)
            del shop.store.slow["save"]
            shop.vendors.gate.set()
            await shop.clock.advance(600)

        assert shop.job().state is JobState.PAUSED
        assert shop.vendors.asked == ["S0"]

    async def test_a_cancelled_job_ends_even_what_is_under_way(self) -> None:
        shop = Workshop(runs=False, units_at_once=2)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin(*MANY)
            await shop.until(lambda: len(shop.vendors.asked) == 2)

            view = await desk.cancel("one")

            assert shop.runner.jobs == 0
        assert view.job.state is JobState.CANCELLED
        assert set(shop.states()) == {State.CANCELLED}
        assert not shop.vendors.under_way.total()

    async def test_a_job_can_be_deleted_although_nothing_else_can_be_kept(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin("A", "B")
            await shop.until(lambda: len(shop.vendors.asked) == 2)
            await desk.pause("one")
            shop.store.broken.add("release")

            await desk.delete("one")

            assert shop.runner.jobs == 0
        assert not shop.store.kept


class TestStarting:
    """Whatever was under way when the server ended is done anew, and no more."""

    async def test_what_was_being_worked_on_at_a_crash_is_worked_on_anew(self) -> None:
        shop = Workshop()
        shop.keep("A", "B", "C")
        for number, state in ((1, State.LANDED), (2, State.RUNNING)):
            unit = msgspec.structs.replace(shop.unit(number), state=state)
            shop.store.work["one"][number] = unit
        async with shop.open():
            job = await shop.ended()

        assert job.state is JobState.COMPLETED
        assert shop.vendors.asked == ["B", "C"]

    async def test_what_landed_at_a_crash_and_was_not_noted_is_not_asked_for(
        self,
    ) -> None:
        shop = Workshop(units_at_once=1)
        async with shop.open():
            await shop.begin("A", "B")
            shop.store.broken.add("keep_unit")
            await shop.until(lambda: shop.landing.whole["A"])
        assert shop.states() == [State.PENDING, State.PENDING]
        shop.store.broken.clear()

        async with shop.open():
            await shop.ended()

        assert shop.vendors.asked == ["A", "B"]
        assert shop.states() == [State.LANDED, State.LANDED]

    async def test_a_server_that_ends_leaves_what_was_under_way_to_the_next(
        self,
    ) -> None:
        shop = Workshop(units_at_once=2)
        shop.vendors.gate = asyncio.Event()
        async with shop.open():
            await shop.begin(*MANY)
            await shop.until(lambda: len(shop.vendors.asked) == 2)
        left = shop.states()
        shop.vendors.gate.set()
        async with shop.open():
            job = await shop.ended()

        assert left == [State.PENDING] * 20
        assert job.state is JobState.COMPLETED
        assert len(shop.vendors.asked) == 22

    async def test_a_server_ends_although_its_disk_is_full(self) -> None:
        shop = Workshop()
        shop.vendors.gate = asyncio.Event()
        async with shop.open():
            await shop.begin("A", "B")
            await shop.until(lambda: len(shop.vendors.asked) == 2)
            shop.store.broken.add("release")
        shop.store.broken.clear()
        shop.vendors.gate.set()

        async with shop.open():
            job = await shop.ended()

        assert job.state is JobState.COMPLETED

    async def test_jobs_that_have_ended_are_left_alone(self) -> None:
        shop = Workshop()
        for state in (JobState.COMPLETED, JobState.INCOMPLETE, JobState.CANCELLED):
            shop.keep("A", job_id=state, state=state)
        async with shop.open():
            assert shop.runner.jobs == 0


class TestTogether:
    """Many units and many jobs are bounded, and fair to each other."""

    async def test_jobs_share_what_may_be_under_way(self) -> None:
        shop = Workshop(most_units_at_once=3)
        shop.vendors.gate = asyncio.Event()
        async with shop.open():
            await shop.begin(*MANY, job_id="one")
            await shop.begin(*(f"T{each}" for each in range(20)), job_id="two")
            await shop.until(lambda: len(shop.vendors.asked) == 3)
            shop.vendors.gate.set()
            await shop.ended("one")
            await shop.ended("two")

        assert shop.vendors.most == 3
        # The second did not wait for the first to end.
        halfway = shop.vendors.asked[:20]
        assert sum(symbol.startswith("T") for symbol in halfway) >= 5

    async def test_a_unit_that_fails_stops_no_other(self) -> None:
        shop = Workshop()
        shop.vendors.next["S3"] = [unknown()]
        async with shop.open():
            await shop.begin(*MANY)
            job = await shop.ended()

        assert job.state is JobState.INCOMPLETE
        assert "of one unit nothing could be had" in job.detail
        assert shop.states().count(State.LANDED) == 19
        assert shop.unit(4).last_reason == "SYMBOL_UNKNOWN: nobody knows it"

    async def test_a_unit_that_meets_a_defect_stops_no_other_and_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop = Workshop(attempts=2)
        shop.vendors.next["S3"] = [ZeroDivisionError(), ZeroDivisionError()]
        async with shop.open():
            await shop.begin(*MANY)
            job = await shop.ended()

        assert job.state is JobState.INCOMPLETE
        assert shop.states().count(State.LANDED) == 19
        assert shop.unit(4).last_reason == (
            "INTERNAL: a defect of this server (ZeroDivisionError); its log has it"
        )
        assert len(shop.vendors.asked) == 21
        assert "unit 4 of job one met a defect" in caplog.text

    async def test_ten_thousand_units_are_done_once_each(self) -> None:
        shop = Workshop(units_at_once=64)
        symbols = [f"S{number}" for number in range(10_000)]
        async with shop.open():
            await shop.begin(*symbols)
            job = await shop.ended()

        assert job.state is JobState.COMPLETED
        assert sorted(shop.vendors.asked) == sorted(symbols)
        assert shop.vendors.most <= 64


class TestWaiting:
    """A job waits as long as it has to, and goes on by itself."""

    async def test_quota_that_comes_back_in_seconds_is_waited_for(self) -> None:
        shop = Workshop()
        shop.vendors.next["A"] = [quota(5), quota(5)]
        began = shop.clock.monotonic()
        async with shop.open():
            await shop.begin("A")
            await shop.until(lambda: shop.unit().retry_at_ns)
            states = {shop.job().state}
            await shop.ended()

        assert states == {JobState.RUNNING}
        assert 10 <= shop.clock.monotonic() - began < 30
        # Waits are no tries.
        assert shop.unit().attempts == 1

    async def test_quota_that_is_gone_for_hours_pauses_the_job_until_it_is_back(
        self,
    ) -> None:
        shop = Workshop(runs=False, units_at_once=1)
        for symbol in ("A", "B"):
            shop.vendors.next[symbol] = [quota(7200)]
        async with shop.open():
            await shop.begin("A", "B")
            paused = await shop.halted(JobState.PAUSED_QUOTA)
            await shop.clock.advance(7000)
            asked = list(shop.vendors.asked)
            await shop.clock.advance(300)
            job = await shop.ended()

        assert paused.resumes_at_ns == paused.updated_ns + 7200 * SECOND_NS
        assert paused.detail == "acme has no calls left"
        assert asked == ["A", "B"]
        assert job.state is JobState.COMPLETED
        assert job.resumes_at_ns is None

    async def test_units_without_quota_hold_up_no_others(self) -> None:
        shop = Workshop(runs=False, units_at_once=2)
        for symbol in MANY[:15]:
            shop.vendors.next[symbol] = [quota(7200)]
        async with shop.open():
            await shop.begin(*MANY)
            paused = await shop.halted(JobState.PAUSED_QUOTA)
            states = shop.states()
            await shop.clock.advance(7201)
            job = await shop.ended()

        assert states == [State.PENDING] * 15 + [State.LANDED] * 5
        assert paused.resumes_at_ns == paused.updated_ns + 7200 * SECOND_NS
        assert job.state is JobState.COMPLETED
        assert len(shop.vendors.asked) == 35
        assert {shop.unit(each).attempts for each in range(1, 21)} == {1}

    async def test_a_job_is_not_paused_while_a_unit_is_about_to_be_tried_again(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        shop.vendors.next["A"] = [quota(7200)]
        shop.vendors.next["B"] = [failed()]
        async with shop.open():
            await shop.begin("A", "B")
            await shop.until(lambda: shop.unit(2).retry_at_ns)
            await shop.clock.advance(0)
            first = shop.job().state
            await shop.clock.advance(10)
            await shop.halted(JobState.PAUSED_QUOTA)

        assert first is JobState.RUNNING
        assert shop.states() == [State.PENDING, State.LANDED]

    async def test_the_first_quota_to_be_back_ends_the_pause(self) -> None:
        shop = Workshop(runs=False)
        for symbol, seconds in (("A", 7200), ("B", 3600)):
            shop.vendors.next[symbol] = [quota(seconds)]
        async with shop.open():
            await shop.begin("A", "B")
            first = await shop.halted(JobState.PAUSED_QUOTA)
            await shop.clock.advance(3601)
            await shop.until(lambda: shop.states() == [State.PENDING, State.LANDED])
            second = await shop.halted(JobState.PAUSED_QUOTA)

        assert first.resumes_at_ns == first.created_ns + 3600 * SECOND_NS
        assert second.resumes_at_ns == first.created_ns + 7200 * SECOND_NS
        assert shop.vendors.asked == ["A", "B", "B"]

    async def test_ten_thousand_units_without_quota_are_not_all_tried_to_find_that_out(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        symbols = [f"S{number}" for number in range(10_000)]
        for number, symbol in enumerate(symbols):
            shop.vendors.next[symbol] = [quota(7200 - number % 2 * 60)]
        async with shop.open():
            await shop.begin(*symbols)
            paused = await shop.halted(JobState.PAUSED_QUOTA)

        assert 200 <= len(shop.vendors.asked) < 250
        assert paused.resumes_at_ns == paused.created_ns + 7140 * SECOND_NS
        assert State.RUNNING not in shop.states()

    async def test_a_server_that_was_killed_knows_what_units_wait_for(self) -> None:
        shop = Workshop(runs=False)
        shop.keep("A")
        retry_at_ns = shop.clock.now_ns() + 7200 * SECOND_NS
        shop.store.work["one"][1] = msgspec.structs.replace(
            shop.unit(),
            retry_at_ns=retry_at_ns,
            last_reason="QUOTA_EXHAUSTED: acme has no calls left",
        )
        async with shop.open():
            paused = await shop.halted(JobState.PAUSED_QUOTA)

        assert paused.resumes_at_ns == retry_at_ns
        assert paused.detail == "acme has no calls left"
        assert not shop.vendors.asked

    async def test_a_wall_clock_that_is_set_back_keeps_no_job_waiting_for_quota(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        shop.vendors.next["A"] = [quota(7200)]
        async with shop.open():
            await shop.begin("A")
            await shop.halted(JobState.PAUSED_QUOTA)
            await shop.clock.advance(0)
            shop.clock.jump(-86_400)
            await shop.clock.advance(7300)
            job = await shop.ended()

        assert job.state is JobState.COMPLETED

    async def test_who_resumes_a_job_that_waits_for_quota_need_not_wait(self) -> None:
        shop = Workshop(runs=False)
        shop.vendors.next["A"] = [quota(7200)]
        async with shop.open() as desk:
            await shop.begin("A")
            await shop.halted(JobState.PAUSED_QUOTA)
            await desk.resume("one")
            job = await shop.ended()

        assert job.state is JobState.COMPLETED

    async def test_a_pause_of_somebody_outlasts_the_return_of_the_quota(self) -> None:
        shop = Workshop(runs=False)
        shop.vendors.next["A"] = [quota(7200)]
        async with shop.open() as desk:
            await shop.begin("A")
            await shop.halted(JobState.PAUSED_QUOTA)
            view = await desk.pause("one")
            await shop.clock.advance(10_000)

        assert shop.job().state is JobState.PAUSED
        assert view.job.resumes_at_ns is None

    async def test_a_wall_clock_that_is_set_back_keeps_no_unit_waiting(self) -> None:
        shop = Workshop(runs=False)
        shop.vendors.next["A"] = [failed()]
        async with shop.open():
            await shop.begin("A")
            await shop.until(lambda: shop.unit().retry_at_ns)
            await shop.clock.advance(0)
            shop.clock.jump(-86_400)
            await shop.clock.advance(70)
            job = await shop.ended()

        assert job.state is JobState.COMPLETED

    async def test_a_job_that_cannot_be_kept_is_held_up_says_so_and_goes_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.ERROR)
        shop = Workshop(runs=False, units_at_once=1)
        async with shop.open() as desk:
            shop.store.broken.add("keep_unit")
            await shop.begin("A", "B", "C")
            await shop.until(lambda: shop.runner.held_up("one"))
            shop.store.broken.add("take")
            await shop.clock.advance(600)
            view = await desk.get("one")
            asked = list(shop.vendors.asked)
            shop.store.broken.clear()
            await shop.clock.advance(5)
            await shop.ended()
            ended = await desk.get("one")

        assert "held up" in view.job.detail
        assert "jobs.sqlite: the disk is full; make room" in view.job.detail
        assert asked == ["A"]
        # It had landed, and was not asked for again.
        assert shop.vendors.asked == ["A", "B", "C"]
        assert ended.job.detail == ""
        assert caplog.text.count("is held up") == 1

    async def test_a_job_that_was_held_up_and_is_paused_says_that_it_is_paused(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        async with shop.open() as desk:
            shop.store.broken.add("take")
            await shop.begin("A")
            await shop.until(lambda: shop.runner.held_up("one"))
            await desk.pause("one")
            await shop.clock.advance(10)
            view = await desk.get("one")

        assert view.job.detail == "paused by request; ResumeJob goes on"

    async def test_a_full_disk_pauses_the_job_and_brings_nothing_in_vain(self) -> None:
        shop = Workshop(runs=False, units_at_once=2)
        full = OSError(28, "No space left on device")
        for _ in range(2):
            shop.landing.failing.setdefault("", []).append(no_room(full))
        async with shop.open() as desk:
            await shop.begin(*MANY)
            paused = await shop.halted(JobState.PAUSED)
            await shop.clock.advance(3600)
            asked = len(shop.vendors.asked)
            await desk.resume("one")
            job = await shop.ended()

        assert paused.detail == "no room in bars; make room; then ResumeJob goes on"
        assert asked == 2
        assert job.state is JobState.COMPLETED
        assert {shop.unit(each).attempts for each in range(1, 21)} == {1}


class TestTryingAgain:
    """RetryFailed is heard whenever it comes."""

    async def test_it_is_heard_while_the_run_ends(self) -> None:
        shop = Workshop()
        shop.vendors.next["A"] = [unknown()]
        async with shop.open() as desk:
            retrying: list[asyncio.Task[object]] = []

            async def retry() -> None:
                del shop.store.slow["counts"]
                retrying.append(asyncio.create_task(desk.retry_failed("one")))
                for _ in range(20):
                    await asyncio.sleep(0)

            shop.store.slow["counts"] = retry
            await shop.begin("A", "B")
            await shop.until(lambda: retrying)
            await retrying[0]
            await shop.until(lambda: shop.job().state is JobState.COMPLETED)

        assert shop.vendors.asked == ["A", "B", "A"]

    async def test_it_is_heard_while_nobody_looks_any_more(self) -> None:
        shop = Workshop()
        shop.vendors.next["A"] = [unknown()]
        async with shop.open() as desk:
            await shop.begin("A")
            going_on = asyncio.Event()

            async def wait_if_ended() -> None:
                if shop.job().state.ended:
                    del shop.store.slow["job"]
                    await going_on.wait()

            shop.store.slow["job"] = wait_if_ended
            await shop.until(lambda: "job" not in shop.store.slow)
            await desk.retry_failed("one")
            going_on.set()
            await shop.until(lambda: shop.job().state is JobState.COMPLETED)

        assert shop.states() == [State.LANDED]

    async def test_it_goes_on_with_what_was_to_be_tried_when_the_server_was_killed(
        self,
    ) -> None:
        shop = Workshop()
        shop.keep("A", "B", state=JobState.INCOMPLETE)
        async with shop.open() as desk:
            view, _ = await desk.retry_failed("one")
            await shop.until(lambda: shop.job().state is JobState.COMPLETED)

        assert view.job.state is JobState.RUNNING

    async def test_of_a_job_that_lacks_nothing_it_changes_nothing(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            await shop.begin("A")
            await shop.ended()
            view, count = await desk.retry_failed("one")

        assert count == 0
        assert view.job.state is JobState.COMPLETED


class TestRepeating:
    """A schedule is kept, whatever else happens."""

    async def test_what_was_missed_during_a_long_run_is_made_up_for_at_its_end(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        shop.vendors.gate = asyncio.Event()
        async with shop.open():
            await begun(shop)
            await shop.until(lambda: shop.vendors.asked)
            await shop.clock.advance(3 * 86_400)
            shop.vendors.gate.set()
            await shop.until(lambda: shop.job().run == 2)
            await shop.halted(JobState.SCHEDULED)
            await shop.clock.advance(3600)

        job = shop.job()
        assert job.run == 2
        assert job.next_run_ns is not None
        assert job.next_run_ns > shop.clock.now_ns()

    async def test_a_job_that_was_paused_in_a_run_ends_it_when_it_is_resumed(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        shop.vendors.next["A"] = [unknown()]
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await begun(shop)
            await shop.until(lambda: shop.vendors.asked)
            await desk.pause("one")
            shop.vendors.gate.set()
            await shop.until(lambda: shop.states() == [State.FAILED])
            await desk.resume("one")
            job = await shop.halted(JobState.SCHEDULED)

        assert job.run_ended_ns is not None
        assert "of one unit nothing could be had" in job.detail

    async def test_a_run_that_cannot_be_planned_is_said_and_the_next_is_awaited(
        self,
    ) -> None:
        shop = Workshop(runs=False)
        async with shop.open():
            policy = SourcePolicy(SourceMode.PINNED, ("gone",))
            await begun(shop, state=JobState.SCHEDULED, policy=policy)
            due_ns = shop.job().next_run_ns
            assert due_ns is not None
            await shop.clock.advance(86_400)
            job = shop.job()

        assert job.state is JobState.SCHEDULED
        assert job.run == 1
        assert "could not be planned (INVALID_QUERY" in job.detail
        assert job.next_run_ns == due_ns + DAY_NS

    async def test_a_run_that_cannot_be_kept_is_begun_when_it_can_be(self) -> None:
        shop = Workshop(runs=False)
        async with shop.open() as desk:
            await begun(shop, state=JobState.SCHEDULED)
            shop.store.broken.add("begin_run")
            await shop.clock.advance(86_400)
            held_up = await desk.get("one")
            shop.store.broken.clear()
            await shop.clock.advance(5)
            await shop.until(lambda: shop.job().run == 2)

        assert held_up.job.run == 1
        assert "make room" in held_up.job.detail


async def begun(
    shop: Workshop,
    state: JobState = JobState.RUNNING,
    policy: SourcePolicy | None = None,
) -> None:
    """Begin a job that runs every day."""
    spec = JobSpec(("A",), START, schedule=DAILY, policy=policy or SourcePolicy())
    now_ns = shop.clock.now_ns()
    next_run_ns = now_ns - now_ns % DAY_NS + 18 * 3600 * SECOND_NS
    await shop.begin("A", spec=spec, state=state, next_run_ns=next_run_ns)


def no_room(full: OSError) -> Exception:
    """Fail as a full disk does."""
    error = StateUnavailableError("no room in bars; make room")
    error.__cause__ = full
    return error
