"""When a job is done is told by what was thought of it, and nobody waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from ingestion_server.domain.interval import DAY_NS
from ingestion_server.domain.jobs import JobSpec, JobState
from ingestion_server.domain.jobs import UnitState as State
from ingestion_server.ingest.jobs import outlook
from tests.ingest.jobs.workshop import END, START, Workshop

MANY = [f"S{number}" for number in range(9_000)]


class Slow:
    """Think of what is left only when a test says so."""

    def __init__(self, shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        """By the first symbol of a job."""
        self.thought: list[str] = []
        self.units: list[int] = []
        self.most = self._now = 0
        self._remaining: Callable[..., Awaitable[Any]] = shop.planning.planner.remaining
        monkeypatch.setattr(shop.planning.planner, "remaining", self.remaining)

    async def remaining(self, spec: JobSpec, units: Any, **told: Any) -> Any:
        """Think, once that is allowed."""
        name = spec.symbols[0]
        self.thought.append(name)
        self.units.append(len(units))
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if name in self.gates:
                await self.gates[name].wait()
        finally:
            self._now -= 1
        return await self._remaining(spec, units, **told)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Open a shop whose callers have all the time they need."""
    have_patience(monkeypatch, 15)
    return Workshop(runs=False)


def have_patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have callers wait so long."""
    monkeypatch.setattr(outlook, "_PATIENCE_SECONDS", seconds)
    monkeypatch.setattr(outlook, "_SHORT_PATIENCE_SECONDS", seconds)


async def thoughts_end() -> None:
    """Wait until nothing is thought of any more."""
    tasks = asyncio.all_tasks()
    await asyncio.gather(*(each for each in tasks if "outlook" in each.get_name()))


async def test_who_asks_is_not_kept_waiting_by_a_long_thought(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    slow.gates["A"] = asyncio.Event()
    async with shop.open() as desk:
        shop.keep("A", job_id="one")
        shop.keep("B", job_id="two")

        have_patience(monkeypatch, 0.01)
        at_first = await desk.get("one")
        have_patience(monkeypatch, 15)
        other = await desk.get("two")
        slow.gates["A"].set()
        await thoughts_end()
        later = await desk.get("one")

    assert at_first.progress.finishes_at_ns is None
    assert other.progress.finishes_at_ns is not None
    assert later.progress.finishes_at_ns is not None
    # What was thought is believed.
    assert slow.thought == ["A", "B"]


async def test_what_was_foreseen_is_told_while_it_is_thought_of_anew(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    async with shop.open() as desk:
        shop.keep("A")
        before = await desk.get("one")
        slow.gates["A"] = asyncio.Event()
        await shop.clock.advance(60)

        have_patience(monkeypatch, 0.01)
        again = [await desk.get("one") for _ in range(3)]
        slow.gates["A"].set()
        await thoughts_end()
        anew = await desk.get("one")

    told = before.progress.finishes_at_ns
    assert told is not None
    assert [each.progress.finishes_at_ns for each in again] == [told] * 3
    assert anew.progress.finishes_at_ns is not None
    # One thought at a time of each job, however many ask.
    assert slow.thought == ["A", "A"]


async def test_units_that_end_meanwhile_are_counted(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    slow.gates["A"] = asyncio.Event()
    async with shop.open() as desk:
        shop.keep("A", "B")
        asking = asyncio.create_task(desk.get("one"))
        await shop.until(lambda: slow.thought)
        ended = msgspec.structs.replace(shop.unit(1), state=State.LANDED)
        await shop.store.keep_unit(ended)
        slow.gates["A"].set()
        view = await asking

    assert (view.progress.counts.landed, view.progress.counts.left) == (1, 1)


async def test_a_job_whose_state_has_changed_is_thought_of_anew(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    async with shop.open() as desk:
        shop.keep("A", "B")
        await desk.get("one")
        for number in range(3):
            waits = msgspec.structs.replace(
                shop.job(), state=JobState.PAUSED_QUOTA, updated_ns=number
            )
            await shop.store.save(waits)
            await desk.get("one")
            await desk.get("one")

    assert slow.thought == ["A"] * 4


async def test_few_are_thought_of_at_once(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    gate = asyncio.Event()
    async with shop.open() as desk:
        for number in range(20):
            slow.gates[f"S{number}"] = gate
            shop.keep(f"S{number}", job_id=str(number))
        have_patience(monkeypatch, 0.01)
        await asyncio.gather(*(desk.get(str(number)) for number in range(20)))
        most = slow.most
        gate.set()
        await thoughts_end()
        views = [await desk.get(str(number)) for number in range(20)]

    assert most == slow.most == 2
    assert all(view.progress.finishes_at_ns for view in views)


async def test_a_vast_job_is_judged_by_a_sample(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    async with shop.open() as desk:
        shop.keep(*MANY)
        vast = await desk.get("one")
        shop.keep(*MANY[:2_000], job_id="two")
        large = await desk.get("two")

    now_ns = shop.clock.now_ns()
    ends_ns = [each.progress.finishes_at_ns for each in (vast, large)]
    assert None not in ends_ns
    longer, shorter = ((end_ns or 0) - now_ns for end_ns in ends_ns)
    assert longer == pytest.approx(4.5 * shorter, rel=0.02)
    assert slow.units == [4_000, 2_000]


async def test_a_new_job_is_told_as_it_was_planned(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    shop.vendors.gate = asyncio.Event()
    async with shop.open() as desk:
        spec = JobSpec(("A", "B"), START, END)
        made = await desk.create(spec, client_key="", name="", dry_run=False)

    assert made.plan is not None
    assert made.progress is not None
    assert made.progress.finishes_at_ns == made.plan.finishes_at_ns is not None
    assert not slow.thought


async def test_thoughts_end_with_the_server(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    slow.gates["A"] = asyncio.Event()
    before = asyncio.all_tasks()
    async with shop.open() as desk:
        shop.keep("A")
        have_patience(monkeypatch, 0.01)
        await desk.get("one")
        assert asyncio.all_tasks() > before

    assert asyncio.all_tasks() == before


async def test_a_defect_in_thinking_is_logged_and_the_job_is_told(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def remaining(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shop.planning.planner, "remaining", remaining)
    async with shop.open() as desk:
        shop.keep("A")
        view = await desk.get("one")

    assert view.progress.counts.pending == 1
    assert view.progress.finishes_at_ns is None
    assert "the end of job one cannot be foreseen" in caplog.text


async def test_what_a_thought_says_of_a_run_is_not_told_of_the_next(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(shop, monkeypatch)
    async with shop.open() as desk:
        shop.keep("A")
        first = await desk.get("one")
        slow.gates["A"] = asyncio.Event()
        begun = msgspec.structs.replace(shop.job(), run=2, updated_ns=DAY_NS)
        await shop.store.begin_run(
            begun, [msgspec.structs.replace(shop.unit(1), number=2, run=2)]
        )
        have_patience(monkeypatch, 0.01)
        second = await desk.get("one")

    assert first.progress.finishes_at_ns is not None
    assert second.progress.finishes_at_ns is None
