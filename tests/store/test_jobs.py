"""Jobs are kept as they are, in either database, whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.jobs import (
    JobState,
    JobTally,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.domain.result import Missing
from ingestion_server.ports.jobs import Cursor, JobStore
from ingestion_server.store.jobs import opened
from tests.store.work import all_units, ended, job, landed, summed, units

pytestmark = pytest.mark.usefixtures("nothing_blocks")

ENDED = [UnitState.LANDED, UnitState.PARTIAL, UnitState.FAILED]


@pytest_asyncio.fixture
async def store(where: Path | str) -> AsyncIterator[JobStore]:
    """Open an empty store."""
    async with opened(where) as made:
        yield made


async def took(store: JobStore, limit: int = 100, *, now_ns: int = 0) -> list[int]:
    """Take units of the first run; return their numbers."""
    taken = await store.take("one", 1, now_ns=now_ns, limit=limit)
    assert all(unit.state is UnitState.RUNNING for unit in taken)
    return [unit.number for unit in taken]


class TestKeeping:
    """What was kept is there after a restart, and is the same."""

    async def test_everything_of_a_job_and_its_units_comes_back(
        self, where: Path | str
    ) -> None:
        kept = job(
            client_key="key",
            name="nightly",
            state=JobState.PAUSED_QUOTA,
            detail="wait",
            run=3,
            run_ended_ns=8,
            resumes_at_ns=9,
            next_run_ns=10,
        )
        unit = Unit(
            job_id="one",
            number=7,
            run=3,
            symbol="не",
            start_ns=-(2**62),
            end_ns=2**62,
            state=UnitState.PARTIAL,
            attempts=4,
            last_reason="NO_DATA_UNEXPLAINED: none",
            retry_at_ns=77,
            bars=12,
            providers=("yahoo",),
            landed_at_ns=78,
            already_landed=True,
            missing=(Missing(1, 2, "lost"),),
            calls=5,
            cost_usd=Decimal("0.10000000000000000001"),
        )
        async with opened(where) as store:
            assert await store.create(kept, [unit]) == kept

        async with opened(where) as store:
            assert await store.job("one") == kept
            assert await store.by_client_key("key") == kept
            # It has landed, and so it has a place among what readers are told.
            told = msgspec.structs.replace(unit, landing=1)
            assert await all_units(store, run=3) == [told]
            assert await store.landings("one", after=0, limit=9) == [told]
            assert await store.last_number("one") == 7

    async def test_what_is_not_there_is_not_made_up(self, store: JobStore) -> None:
        assert await store.job("none") is None
        assert await store.by_client_key("none") is None
        assert await store.last_number("none") == 0
        assert await store.take("none", 1, now_ns=0, limit=9) == []
        assert await store.retry("none", 1) == 0
        assert await store.counts("none", 1) == UnitCounts()
        assert await store.landings("none", after=0, limit=9) == []
        assert await store.acknowledged("none", "") == Cursor()

    async def test_a_job_is_saved_but_for_its_spec(self, store: JobStore) -> None:
        await store.create(job(), [])
        changed = job(state=JobState.PAUSED, detail="by hand", updated_ns=6)
        spec = msgspec.structs.replace(changed.spec, symbols=("OTHER",))

        await store.save(msgspec.structs.replace(changed, spec=spec))

        assert await store.job("one") == changed

    async def test_words_that_no_database_takes_are_kept_as_far_as_they_can(
        self, store: JobStore
    ) -> None:
        rubbish = "a\0b\ud800"
        await store.create(
            job(client_key="k\0", name="n\0", detail=rubbish),
            [msgspec.structs.replace(units(1)[0], symbol=rubbish)],
        )
        unit = (await store.take("one", 1, now_ns=0, limit=1))[0]
        await store.keep_unit(
            msgspec.structs.replace(
                ended(unit, UnitState.PARTIAL, rubbish),
                missing=(Missing(1, 2, rubbish),),
            )
        )
        await store.acknowledge("one", "c\0", Cursor(1, 2))

        (kept,) = await all_units(store)
        assert {kept.symbol, kept.last_reason, kept.missing[0].reason} == {"a\ufffdb?"}
        found = await store.by_client_key("k\0")
        assert found is not None
        assert (found.detail, found.name) == ("a\ufffdb?", "n\ufffd")
        assert await store.acknowledged("one", "c\0") == Cursor(1, 2)
        assert await store.job("one\0") is None

    async def test_a_number_that_is_too_large_is_refused_and_nothing_is_kept(
        self, store: JobStore
    ) -> None:
        far = msgspec.structs.replace(units(1)[0], end_ns=2**63)

        with pytest.raises(StateUnavailableError):
            await store.create(job(), [far])

        assert await store.job("one") is None

    async def test_thousands_of_units_are_kept_in_one_go(self, store: JobStore) -> None:
        many = units(2_345)
        await store.create(job(), many)

        assert await all_units(store) == many
        assert await store.counts("one", 1) == UnitCounts(pending=2_345)


class TestCreating:
    """A request may come twice."""

    async def test_the_same_client_key_is_the_same_job(self, store: JobStore) -> None:
        first = job(client_key="key")
        await store.create(first, units(1))

        again = await store.create(
            job("two", client_key="key"), units(3, "two", first=5)
        )

        assert again == first
        assert await store.job("two") is None
        assert await all_units(store, "two") == []

    async def test_of_many_at_once_one_is_created(self, store: JobStore) -> None:
        answers = await asyncio.gather(
            *(
                store.create(job(f"j{n}", client_key="key"), units(2, f"j{n}"))
                for n in range(10)
            )
        )

        assert len({answer.job_id for answer in answers}) == 1
        assert await store.jobs([], "", before=None, limit=99) == answers[:1]

    async def test_without_a_key_each_is_a_job_of_its_own(
        self, store: JobStore
    ) -> None:
        await store.create(job("one"), [])
        await store.create(job("two"), [])

        assert len(await store.jobs([], "", before=None, limit=99)) == 2

    async def test_a_job_whose_answer_was_lost_is_not_created_twice(
        self, store: JobStore
    ) -> None:
        await store.create(job("other"), [])
        await store.create(job(), units(2))

        assert await store.create(job(), units(2)) == job()

        assert await store.counts("one", 1) == UnitCounts(pending=2)


class TestListing:
    """Jobs are listed page by page, the latest first."""

    async def test_pages_hold_all_jobs_once(self, store: JobStore) -> None:
        for n in range(7):
            await store.create(job(f"j{n}", created_ns=n // 2), [])

        pages: list[list[str]] = []
        before = None
        while page := await store.jobs([], "", before=before, limit=3):
            pages.append([each.job_id for each in page])
            before = page[-1].created_ns, page[-1].job_id

        assert pages == [["j6", "j5", "j4"], ["j3", "j2", "j1"], ["j0"]]

    async def test_they_are_found_by_state_and_by_how_their_name_begins(
        self, store: JobStore
    ) -> None:
        names = ["100% a", "100_ b", "100% C", "Night", "night", ""]
        for n, name in enumerate(names):
            state = JobState.PAUSED if n % 2 else JobState.RUNNING
            await store.create(job(f"j{n}", created_ns=n, name=name, state=state), [])

        async def found(prefix: str, *states: JobState) -> list[str]:
            jobs = await store.jobs(states, prefix, before=None, limit=99)
            return [each.name for each in jobs]

        assert await found("100%") == ["100% C", "100% a"]
        assert await found("nigh") == ["night"]
        assert await found("", JobState.PAUSED) == ["", "Night", "100_ b"]
        assert await found("1", JobState.RUNNING, JobState.CANCELLED) == [
            "100% C",
            "100% a",
        ]

    async def test_their_symbols_are_left_out_if_that_is_wanted(
        self, store: JobStore
    ) -> None:
        await store.create(job(), [])

        (brief,) = await store.jobs([], "", before=None, limit=9, with_symbols=False)

        spec = msgspec.structs.replace(job().spec, symbols=())
        assert brief == job(spec=spec)


class TestRuns:
    """A job runs again and again, and its units are counted on."""

    async def test_another_run_has_units_of_its_own(self, store: JobStore) -> None:
        await store.create(job(), units(2))
        second = job(run=2, run_started_ns=50)

        await store.begin_run(second, units(3, run=2, first=3))

        assert await store.job("one") == second
        assert await store.last_number("one") == 5
        assert await store.counts("one", 1) == UnitCounts(pending=2)
        assert await store.counts("one", 2) == UnitCounts(pending=3)
        assert [unit.number for unit in await all_units(store, run=2)] == [3, 4, 5]

    async def test_a_run_that_has_begun_is_not_begun_again(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(2))
        await took(store, 1)

        await store.begin_run(job(detail="again"), units(9))

        assert await store.job("one") == job()
        assert await store.counts("one", 1) == UnitCounts(pending=1, running=1)

    async def test_units_are_told_by_state_page_by_page(self, store: JobStore) -> None:
        await store.create(job(), units(6))
        await took(store, 4)
        await store.keep_unit(ended(units(6)[1], UnitState.FAILED))

        async def page(after: int, limit: int, *states: UnitState) -> list[int]:
            found = await store.units("one", 1, states, after=after, limit=limit)
            return [unit.number for unit in found]

        open_ = (UnitState.RUNNING, UnitState.PENDING)
        assert await page(0, 3, *open_) == [1, 3, 4]
        assert await page(4, 3, *open_) == [5, 6]
        assert await page(0, 9, UnitState.FAILED) == [2]
        assert await page(0, 9) == []


class TestTaking:
    """Each unit is worked on by one, when its time has come."""

    async def test_the_first_come_first(self, store: JobStore) -> None:
        await store.create(job(), units(5))

        assert await took(store, 2) == [1, 2]
        assert await took(store, 2) == [3, 4]
        assert await took(store, 2) == [5]
        assert await took(store, 2) == []

    async def test_what_is_tried_again_later_waits_for_its_time(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(3))
        for unit in await store.take("one", 1, now_ns=0, limit=2):
            await store.keep_unit(
                msgspec.structs.replace(
                    unit,
                    state=UnitState.PENDING,
                    attempts=1,
                    retry_at_ns=100 * unit.number,
                )
            )

        assert (await store.counts("one", 1)).retry_at_ns is None
        assert await took(store, now_ns=99) == [3]
        assert (await store.counts("one", 1)).retry_at_ns == 100
        assert await took(store, now_ns=99) == []
        assert await took(store, now_ns=100) == [1]
        (again,) = await store.take("one", 1, now_ns=200, limit=9)
        assert (again.number, again.attempts, again.retry_at_ns) == (2, 1, None)

    async def test_the_one_that_may_be_tried_first_is_told_without_being_taken(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(3))
        for unit in await store.take("one", 1, now_ns=0, limit=3):
            waiting = msgspec.structs.replace(
                unit, state=UnitState.PENDING, retry_at_ns=500 - unit.number
            )
            await store.keep_unit(waiting)

        first = await store.first_due("one", 1)

        assert first is not None
        assert (first.number, first.retry_at_ns) == (3, 497)
        assert await took(store, now_ns=497) == [3]
        assert await store.first_due("one", 2) is None
        assert await store.first_due("none", 1) is None

    async def test_those_that_wait_are_tried_at_once_by_request_after_the_others(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(4))
        for unit in await store.take("one", 1, now_ns=0, limit=3):
            state = UnitState.FAILED if unit.number == 3 else UnitState.PENDING
            waiting = msgspec.structs.replace(unit, state=state, retry_at_ns=500)
            await store.keep_unit(waiting)
        before = await store.counts("one", 1)

        await store.hasten("one", 1, now_ns=100)

        after = await store.counts("one", 1)
        assert (after.pending, after.failed) == (before.pending, before.failed)
        for number in (4, 1, 2):
            (taken,) = await store.take("one", 1, now_ns=100, limit=1)
            assert taken.number == number

    async def test_none_is_given_to_two(self, store: JobStore) -> None:
        await store.create(job(), units(200))
        taken: list[int] = []

        async def take_all() -> None:
            while numbers := await took(store, 7):
                taken.extend(numbers)

        await asyncio.gather(*(take_all() for _ in range(12)))

        assert sorted(taken) == list(range(1, 201))
        assert await store.counts("one", 1) == UnitCounts(running=200)


class TestLanding:
    """What has landed has a place among the landings, and keeps it."""

    async def test_places_have_no_holes_and_outlive_a_restart(
        self, where: Path | str
    ) -> None:
        async with opened(where) as store:
            await store.create(job(), units(40))
            taken = await store.take("one", 1, now_ns=0, limit=30)
            kept = await asyncio.gather(
                *(
                    store.keep_unit(
                        ended(unit, UnitState.FAILED)
                        if unit.number % 3 == 0
                        else landed(unit)
                    )
                    for unit in taken
                )
            )
            assert sorted(unit.landing for unit in kept if unit.landing) == [
                *range(1, 21)
            ]

        async with opened(where) as store:
            told = await store.landings("one", after=0, limit=15)
            told = [*told, *await store.landings("one", after=15, limit=15)]
            assert [unit.landing for unit in told] == [*range(1, 21)]
            assert {unit.number for unit in told} == {
                number for number in range(1, 31) if number % 3
            }
            (unit,) = await store.take("one", 1, now_ns=0, limit=1)
            assert (await store.keep_unit(landed(unit))).landing == 21

    async def test_what_lands_after_a_retry_is_told_again_and_never_lost(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(3))
        for unit in await store.take("one", 1, now_ns=0, limit=3):
            await store.keep_unit(ended(unit, ENDED[unit.number - 1]))

        assert await store.retry("one", 1) == 2

        assert await store.counts("one", 1) == UnitCounts(landed=1, pending=2)
        again = await store.take("one", 1, now_ns=0, limit=9)
        assert [(unit.number, unit.attempts) for unit in again] == [(2, 0), (3, 0)]
        assert again[1].last_reason
        assert [u.number for u in await store.landings("one", after=0, limit=9)] == [
            1,
            2,
        ]
        await store.keep_unit(ended(again[0], UnitState.FAILED))
        assert (await store.keep_unit(landed(again[1]))).landing == 3
        assert [u.number for u in await store.landings("one", after=0, limit=9)] == [
            1,
            2,
            3,
        ]
        assert await store.retry("one", 1) == 1
        (last,) = await store.take("one", 1, now_ns=0, limit=9)
        assert (await store.keep_unit(landed(last))).landing == 4
        assert [u.number for u in await store.landings("one", after=1, limit=9)] == [
            3,
            2,
        ]

    async def test_what_is_worked_on_can_be_put_back(self, store: JobStore) -> None:
        await store.create(job(), units(4))
        await store.begin_run(job(run=2), units(2, run=2, first=5))
        await took(store, 3)
        await store.take("one", 2, now_ns=0, limit=1)
        await store.keep_unit(landed(units(1)[0]))

        await store.release("one", to=UnitState.PENDING)

        counts = await store.counts("one", 1)
        assert (counts.landed, counts.pending, counts.running) == (1, 3, 0)
        assert await store.counts("one", 2) == UnitCounts(pending=2)
        assert await took(store) == [2, 3, 4]

    async def test_what_has_not_ended_is_cancelled_with_its_job(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(4))
        await took(store, 2)
        await store.keep_unit(ended(units(1)[0], UnitState.FAILED))

        await store.release("one", to=UnitState.CANCELLED)

        assert await store.counts("one", 1) == UnitCounts(failed=1, cancelled=3)
        assert [unit.state for unit in await all_units(store)] == [
            UnitState.FAILED,
            *[UnitState.CANCELLED] * 3,
        ]
        assert await took(store) == []


async def test_the_sums_of_many_jobs_are_read_in_one_go(store: JobStore) -> None:
    known = [job(f"job {number}") for number in range(1_200)]
    for each in known[:3]:
        await store.create(each, units(4, each.job_id))
    later = msgspec.structs.replace(known[1], run=2)
    await store.begin_run(later, units(2, later.job_id, run=2, first=5))
    (unit,) = await store.take(known[2].job_id, 1, now_ns=9, limit=1)
    await store.keep_unit(landed(unit))
    (only,) = units(1, known[3].job_id)
    await store.create(known[3], [msgspec.structs.replace(only, retry_at_ns=77)])

    # One of them has begun another run since it was read; most were never there.
    sums = await store.counts_of(known)
    newer = await store.counts_of([later])
    none = await store.counts_of([])

    assert list(sums) == [await store.counts(each.job_id, each.run) for each in known]
    assert [each.pending for each in sums[:5]] == [4, 4, 3, 1, 0]
    assert (sums[2].landed, sums[3].retry_at_ns) == (1, 77)
    assert [each.pending for each in newer] == [2]
    assert not none


async def test_the_sum_is_that_of_the_units_whatever_is_done(store: JobStore) -> None:
    draw = random.Random(7)  # noqa: S311 - nothing depends on it
    await store.create(job(), units(40))

    async def step(at: int) -> None:
        match draw.randrange(9):
            case 0:
                await store.release("one", to=UnitState.PENDING)
            case 1:
                await store.retry("one", 1)
            case _:
                for unit in await store.take("one", 1, now_ns=at, limit=3):
                    state = draw.choice([*ENDED, UnitState.PENDING])
                    await store.keep_unit(
                        msgspec.structs.replace(
                            landed(unit, bars=draw.randrange(9)),
                            state=state,
                            already_landed=draw.random() < 0.3,
                            retry_at_ns=at + draw.randrange(9)
                            if state is UnitState.PENDING
                            else None,
                        )
                    )

    for at in range(40):
        await step(at)
        assert await store.counts("one", 1) == summed(await all_units(store))
    await store.release("one", to=UnitState.CANCELLED)
    assert await store.counts("one", 1) == summed(await all_units(store))


class TestConsumers:
    """Each consumer has a place of its own, and never goes back."""

    async def test_it_only_goes_forward(self, store: JobStore) -> None:
        await store.create(job(), [])
        for at in [Cursor(3, 1), Cursor(2, 9), Cursor(3, 2), Cursor(3, 1)]:
            await store.acknowledge("one", "", at)

        assert await store.acknowledged("one", "") == Cursor(3, 2)
        assert await store.acknowledged("one", "other") == Cursor()

    async def test_of_many_at_once_the_farthest_counts(self, store: JobStore) -> None:
        await store.create(job(), [])

        await asyncio.gather(
            *(store.acknowledge("one", "me", Cursor(n % 17, n)) for n in range(50))
        )

        assert await store.acknowledged("one", "me") == Cursor(16, 33)


class TestDeleting:
    """A job that is forgotten leaves nothing, and does not come back."""

    async def test_nothing_of_it_is_left_and_the_others_stay(
        self, store: JobStore
    ) -> None:
        await store.create(job(client_key="key"), units(3))
        await store.create(job("two"), units(2, "two"))
        (unit,) = await store.take("one", 1, now_ns=0, limit=1)
        await store.acknowledge("one", "", Cursor(1, 1))

        await store.delete("one")

        # Whoever still worked on it comes late.
        assert await store.keep_unit(landed(unit)) == landed(unit)
        await store.save(job())
        await store.begin_run(job(run=2), units(2, run=2, first=9))
        await store.acknowledge("one", "", Cursor(1, 1))
        await store.release("one", to=UnitState.PENDING)
        assert await store.job("one") is None
        assert await all_units(store) == []
        assert await store.last_number("one") == 0
        assert await store.acknowledged("one", "") == Cursor()
        assert await store.counts("two", 1) == UnitCounts(pending=2)
        await store.create(job(client_key="key"), units(1))
        assert await store.counts("one", 1) == UnitCounts(pending=1)


async def test_callers_that_give_up_leave_nothing_half_done(store: JobStore) -> None:
    draw = random.Random(5)  # noqa: S311 - nothing depends on it
    await store.create(job(), units(300))
    for _ in range(40):
        tasks = [asyncio.create_task(took(store, 5)) for _ in range(3)]
        for _ in range(draw.randrange(60)):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    await store.release("one", to=UnitState.PENDING)

    assert await store.counts("one", 1) == UnitCounts(pending=300)
    assert len(await took(store, 999)) == 300


class TestLeaving:
    async def test_who_leaves_in_the_middle_holds_up_nobody(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(20))
        draw = random.Random(5)  # noqa: S311 - no secret

        for _ in range(300):
            asked = asyncio.create_task(store.counts("one", 1))
            for _ in range(draw.randrange(8)):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert await store.job("one") == job()

    async def test_what_was_begun_is_done_though_its_caller_left(
        self, store: JobStore
    ) -> None:
        await store.create(job(), units(20))

        taking = asyncio.create_task(store.take("one", 1, now_ns=9, limit=5))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

        async with asyncio.timeout(10):
            while (await store.counts("one", 1)).running != 5:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)


class TestTally:
    """All jobs are summed up."""

    async def test_there_may_be_none(self, store: JobStore) -> None:
        assert await store.tally() == JobTally({}, dict.fromkeys(UnitState, 0))

    async def test_jobs_count_by_state_and_units_of_their_latest_run(
        self, store: JobStore
    ) -> None:
        first, other = job(), job("other")
        await store.create(first, units(3))
        await store.create(other, units(2, job_id="other"))
        await store.create(job("third", state=JobState.COMPLETED), [])
        (unit, *_) = await store.take("other", 1, now_ns=0, limit=1)
        await store.keep_unit(landed(unit))
        again = msgspec.structs.replace(first, run=2, state=JobState.PAUSED)
        await store.begin_run(again, units(1, run=2, first=4))

        tally = await store.tally()

        assert tally.jobs == {
            JobState.RUNNING: 1,
            JobState.PAUSED: 1,
            JobState.COMPLETED: 1,
        }
        assert tally.units == {
            **dict.fromkeys(UnitState, 0),
            UnitState.PENDING: 2,
            UnitState.LANDED: 1,
        }
