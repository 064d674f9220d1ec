"""What people are told of jobs is true, whoever changes them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import numpy as np
import pytest

from ingestion_server.domain.errors import (
    CallerThrottledError,
    InvalidQueryError,
    JobStateConflictError,
    JobUnknownError,
    StateUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.interval import MINUTE_NS, Interval
from ingestion_server.domain.jobs import JobSpec, JobState
from ingestion_server.domain.jobs import UnitState as State
from ingestion_server.domain.landed import LandedSource
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.ingest.jobs.desk import MOST_RESULT_BARS, JobDesk
from ingestion_server.ports.jobs import Cursor, JobNews, Result
from tests.ingest.jobs.workshop import END, START, Workshop

MANY = [f"S{number}" for number in range(40)]
SPEC = JobSpec(("AAPL", "MSFT"), START, END)


def unknown() -> SymbolUnknownError:
    return SymbolUnknownError("nobody knows it", provider="acme", symbol="A")


async def results(
    desk: JobDesk,
    *,
    acknowledged: Cursor | None = None,
    after: Cursor | None = None,
    follow: bool = False,
    consumer: str = "",
) -> list[Result]:
    """Read all results."""
    told = desk.results(
        "one", consumer, acknowledged=acknowledged, after=after, follow=follow
    )
    async with aclosing(told):
        return [each async for each in told]


async def watched(desk: JobDesk, interval_seconds: float = 0.05) -> list[JobNews]:
    """Watch until the end."""
    async with desk.watch("one", interval_seconds=interval_seconds) as news:
        return [each async for each in news]


async def test_what_jobs_have_landed_is_summed_up() -> None:
    shop = Workshop()
    async with shop.open() as desk:
        before = await desk.tally()
        for _ in range(2):
            made = await desk.create(SPEC, client_key="", name="", dry_run=False)
            assert made.job is not None
            await shop.ended(made.job.job_id)
        after = await desk.tally()
        landed = (await desk.get(made.job.job_id)).progress.counts

    assert (dict(before.jobs), before.bars_landed) == ({}, 0)
    assert after.jobs == {JobState.COMPLETED: 2}
    assert after.units == {State.LANDED: 4}
    # The second found all of it there.
    assert landed.bars == 0
    assert after.bars_landed > 0


class TestCreating:
    """A job is there, or it is not."""

    async def test_a_job_is_begun_once_it_is_kept(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            made = await desk.create(SPEC, client_key="", name="it", dry_run=False)
            assert made.job is not None
            job = await shop.ended(made.job.job_id)

        assert made.created
        assert made.plan is not None
        assert made.plan.units == 2
        assert job.name == "it"
        assert sorted(shop.vendors.asked) == ["AAPL", "MSFT"]

    async def test_a_job_whose_caller_left_as_it_was_kept_is_begun(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            shop.store.slow["create"] = asyncio.Event().wait
            creating = asyncio.create_task(
                desk.create(SPEC, client_key="k", name="", dry_run=False)
            )
            await shop.until(lambda: shop.store.kept)
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
            (job_id,) = shop.store.kept
            job = await shop.ended(job_id)

        assert job.state is JobState.COMPLETED

    async def test_a_job_that_cannot_be_kept_is_refused_and_does_nothing(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            shop.store.broken.add("create")
            with pytest.raises(StateUnavailableError, match="make room"):
                await desk.create(SPEC, client_key="", name="", dry_run=False)
            await shop.until(lambda: not shop.runner.jobs)

        assert not shop.vendors.asked

    async def test_a_key_that_two_requests_bring_at_once_means_one_job(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            made = await asyncio.gather(
                *(
                    desk.create(SPEC, client_key="k", name="", dry_run=False)
                    for _ in range(5)
                )
            )
            (job_id,) = shop.store.kept
            await shop.ended(job_id)

        assert {each.job.job_id for each in made if each.job} == {job_id}
        assert sum(each.created for each in made) == 1
        assert len(shop.vendors.asked) == 2

    async def test_a_key_that_means_something_else_is_refused(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            await desk.create(SPEC, client_key="k", name="", dry_run=False)
            other = msgspec.structs.replace(SPEC, symbols=("AAPL",))
            with pytest.raises(InvalidQueryError) as refused:
                await desk.create(other, client_key="k", name="", dry_run=True)

        (violation,) = refused.value.violations
        assert violation.field == "client_key"

    async def test_more_jobs_than_may_be_under_way_are_refused(self) -> None:
        shop = Workshop(most_jobs=1)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await desk.create(SPEC, client_key="", name="", dry_run=False)
            with pytest.raises(CallerThrottledError, match="1 jobs have not ended"):
                await desk.create(SPEC, client_key="", name="", dry_run=False)
            planned = await desk.create(SPEC, client_key="", name="", dry_run=True)

        assert planned.job is None
        assert planned.plan is not None


class TestWatching:
    """Whoever watches hears of every end, and of the end of all."""

    async def test_every_unit_that_ends_is_told_once(self) -> None:
        shop = Workshop()
        shop.vendors.next["S7"] = [unknown()]
        async with shop.open() as desk:
            shop.keep(*MANY)
            watching = asyncio.create_task(watched(desk))
            await asyncio.sleep(0)
            shop.runner.begin("one")
            news = await watching

        told = [unit.number for each in news for unit in each.units]
        assert sorted(told) == list(range(1, 41))
        assert news[-1].view.job.state is JobState.INCOMPLETE
        assert news[-1].view.progress.counts.landed == 39
        landed = [each.view.progress.counts.landed for each in news]
        assert landed == sorted(landed)

    async def test_a_job_that_has_ended_is_told_once(self) -> None:
        shop = Workshop()
        shop.keep("A", state=JobState.CANCELLED)
        async with shop.open() as desk:
            (news,) = await watched(desk)

        assert news.view.job.state is JobState.CANCELLED
        assert not news.units

    async def test_whoever_watches_hears_that_the_job_was_deleted(self) -> None:
        shop = Workshop(runs=False)
        async with shop.open() as desk:
            shop.keep("A", state=JobState.PAUSED)
            watching = asyncio.create_task(watched(desk))
            following = asyncio.create_task(results(desk, follow=True))
            for _ in range(20):
                await asyncio.sleep(0)
            await desk.delete("one")
            await shop.clock.advance(1)
            for told in (watching, following):
                with pytest.raises(JobUnknownError):
                    await told
            assert shop.runner.bulletins.of("one") is None

    async def test_a_watcher_who_leaves_leaves_nothing_behind(self) -> None:
        shop = Workshop(runs=False)
        async with shop.open() as desk:
            shop.keep("A", state=JobState.PAUSED)
            watching = asyncio.create_task(watched(desk))
            for _ in range(20):
                await asyncio.sleep(0)
            assert shop.runner.bulletins.of("one") is not None
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

            assert shop.runner.bulletins.of("one") is None

    async def test_watching_what_is_not_there_is_refused(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            with pytest.raises(JobUnknownError):
                await watched(desk)


class TestListing:
    """All jobs of a page are told with their sums."""

    async def test_each_job_is_told_with_the_sum_of_its_own_units(self) -> None:
        shop = Workshop(runs=False)
        async with shop.open() as desk:
            for number in range(3):
                job_id, symbols = str(number), MANY[: number + 1]
                shop.keep(*symbols, job_id=job_id, state=JobState.PAUSED, name="it")
            views = await desk.list((), "it", before=None, limit=10)
            none = await desk.list((), "another", before=None, limit=10)

        told = [(each.job.job_id, each.progress.counts.pending) for each in views]
        assert told == [("2", 3), ("1", 2), ("0", 1)]
        assert not none


class TestReading:
    """Results are told from any place on, and never in other pieces."""

    @pytest.fixture
    async def desk(self) -> AsyncIterator[JobDesk]:
        """Have landed 12,000 minutes of one symbol, and then 3 of another."""
        shop = Workshop()
        spec = JobSpec(("A", "B"), START, END, interval=Interval.MINUTE_1)
        shop.keep("A", "B", spec=spec, state=JobState.COMPLETED)
        for number, (symbol, count) in enumerate((("A", 12_000), ("B", 3)), 1):
            times = (START + np.arange(count) * MINUTE_NS).tolist()
            shop.landing.closes[symbol] = dict.fromkeys(times, float(number))
            middle_ns, end_ns = times[count // 2], times[-1] + MINUTE_NS
            shop.landing.by[symbol] = [
                LandedSource("acme", times[0], middle_ns, 1, derived=False),
                LandedSource("other", middle_ns, end_ns, 1, derived=False),
            ]
            shop.store.work["one"][number] = msgspec.structs.replace(
                shop.unit(number),
                end_ns=end_ns,
                state=State.LANDED,
                landing=number,
            )
        async with shop.open() as desk:
            yield desk

    async def test_a_long_unit_comes_in_several_messages(self, desk: JobDesk) -> None:
        told = await results(desk)

        assert [tuple(each.cursor) for each in told] == [(1, 1), (1, 2), (1, 3), (2, 1)]
        assert [each.more for each in told] == [True, True, False, False]
        sizes = [len(each.bars.series) for each in told]
        assert sizes == [MOST_RESULT_BARS, MOST_RESULT_BARS, 2_000, 3]
        times = np.concatenate([each.bars.series.open_time_ns for each in told[:3]])
        assert (np.diff(times) == MINUTE_NS).all()

    async def test_each_message_signs_its_own_bars(self, desk: JobDesk) -> None:
        told = await results(desk)

        signed = [
            [
                (each.provider, each.start_ns, each.end_ns)
                for each in result.bars.sources
            ]
            for result in told[:3]
        ]
        firsts = [int(each.bars.series.open_time_ns[0]) for each in told]
        middle_ns = START + 6_000 * MINUTE_NS
        assert signed == [
            [("acme", START, firsts[1] - MINUTE_NS + 1)],
            [
                ("acme", firsts[1], middle_ns),
                ("other", middle_ns, firsts[2] - MINUTE_NS + 1),
            ],
            [("other", firsts[2], START + 12_000 * MINUTE_NS)],
        ]

    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    async def test_reading_goes_on_in_the_middle_of_a_unit(
        self, desk: JobDesk, count: int
    ) -> None:
        told = await results(desk)

        rest = await results(desk, after=told[count - 1].cursor)
        acknowledged = await results(desk, acknowledged=told[count - 1].cursor)
        later = await results(desk)
        somebody_else = await results(desk, consumer="risk")

        expected = [each.cursor for each in told[count:]]
        assert [each.cursor for each in rest] == expected
        assert [each.cursor for each in acknowledged] == expected
        assert [each.cursor for each in later] == expected
        assert len(somebody_else) == 4

    async def test_what_was_acknowledged_is_never_taken_back(
        self, desk: JobDesk
    ) -> None:
        await results(desk, acknowledged=Cursor(1, 3))
        told = await results(desk, acknowledged=Cursor(1, 1))

        assert [tuple(each.cursor) for each in told] == [(2, 1)]

    async def test_what_was_acknowledged_can_be_read_once_more(
        self, desk: JobDesk
    ) -> None:
        await results(desk, acknowledged=Cursor(2, 1))

        assert len(await results(desk, after=Cursor())) == 4


async def test_results_are_followed_over_several_landings() -> None:
    shop = Workshop()
    async with shop.open() as desk:
        shop.keep(*MANY)
        following = asyncio.create_task(results(desk, follow=True))
        await asyncio.sleep(0)
        shop.runner.begin("one")
        told = await following

    assert [each.cursor.landing for each in told] == list(range(1, 41))
    assert {len(each.bars.series) for each in told} == {10}


class TestEnding:
    """What has ended stays so, and says what can be done instead."""

    @pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.INCOMPLETE])
    async def test_a_job_that_has_ended_is_neither_paused_nor_resumed_nor_cancelled(
        self, state: JobState
    ) -> None:
        shop = Workshop()
        shop.keep("A", state=state)
        async with shop.open() as desk:
            for change in (desk.pause, desk.resume, desk.cancel):
                with pytest.raises(JobStateConflictError, match=f"is {state} and"):
                    await change("one")

        assert shop.job().state is state

    async def test_a_cancelled_job_is_cancelled_again_but_not_tried_again(self) -> None:
        shop = Workshop()
        shop.keep("A", state=JobState.CANCELLED)
        async with shop.open() as desk:
            view = await desk.cancel("one")
            with pytest.raises(JobStateConflictError, match="create another job"):
                await desk.retry_failed("one")

        assert view.job.state is JobState.CANCELLED
        # A server that was killed in the middle may have left it.
        assert shop.states() == [State.CANCELLED]

    async def test_a_job_that_runs_is_not_deleted(self) -> None:
        shop = Workshop()
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin("A")
            with pytest.raises(JobStateConflictError, match="cancel or pause it first"):
                await desk.delete("one")

        assert shop.store.kept

    async def test_a_job_that_is_paused_is_deleted_with_what_is_under_way(self) -> None:
        shop = Workshop()
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin("A", "B")
            await shop.until(lambda: len(shop.vendors.asked) == 2)
            await desk.pause("one")
            await desk.delete("one")

            assert shop.runner.jobs == 0
        assert not shop.store.kept
        assert not shop.vendors.under_way.total()

    async def test_nothing_is_known_of_a_job_that_was_never_there(self) -> None:
        shop = Workshop()
        async with shop.open() as desk:
            for change in (desk.pause, desk.resume, desk.cancel, desk.delete, desk.get):
                with pytest.raises(JobUnknownError):
                    await change("one")
            with pytest.raises(JobUnknownError):
                await results(desk)


class TestForeseeing:
    """When a job is done is told as far as that can be known."""

    async def test_it_is_told_while_a_job_goes_on_and_not_afterwards(self) -> None:
        shop = Workshop(runs=False)
        shop.vendors.gate = asyncio.Event()
        async with shop.open() as desk:
            await shop.begin("A", "B")
            await shop.until(lambda: len(shop.vendors.asked) == 2)
            running = await desk.get("one")
            paused = await desk.pause("one")
            shop.vendors.gate.set()
            await desk.resume("one")
            await shop.ended()
            ended = await desk.get("one")

        assert running.progress.finishes_at_ns is not None
        assert running.progress.counts.running == 2
        assert paused.progress.finishes_at_ns is None
        assert ended.progress.finishes_at_ns is None

    async def test_a_job_that_is_slower_than_its_vendors_is_foreseen_as_it_goes(
        self,
    ) -> None:
        shop = Workshop(runs=False, units_at_once=1)
        async with shop.open() as desk:
            shop.vendors.gate = asyncio.Event()
            await shop.begin(*MANY)
            for count in range(1, 5):
                await shop.until(lambda count=count: len(shop.vendors.asked) == count)
                await shop.clock.advance(30)
                gate, shop.vendors.gate = shop.vendors.gate, asyncio.Event()
                gate.set()
            await shop.until(lambda: len(shop.vendors.asked) == 5)
            await shop.clock.advance(30)
            view = await desk.get("one")

        assert view.progress.units_per_second == pytest.approx(1 / 40)
        assert view.progress.finishes_at_ns is not None
        left = (view.progress.finishes_at_ns - shop.clock.now_ns()) / 1e9
        assert left == pytest.approx(36 * 40)

    async def test_a_job_whose_vendor_is_gone_is_told_without(self) -> None:
        shop = Workshop(runs=False)
        shop.vendors.gate = asyncio.Event()
        policy = SourcePolicy(SourceMode.PINNED, ("gone",))
        async with shop.open() as desk:
            spec = JobSpec(("A",), START, END, policy=policy)
            await shop.begin("A", spec=spec)
            view = await desk.get("one")

        assert view.job.state is JobState.RUNNING
        assert view.progress.finishes_at_ns is None
