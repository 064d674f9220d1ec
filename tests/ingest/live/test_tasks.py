"""Work beside the streams ends with them, and a defect of it ends nothing else."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.ingest.live.tasks import Tasks


async def test_a_defect_is_told_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = asyncio.Event()

    async def breaks() -> None:
        raise ValueError("a defect")

    async def works() -> None:
        done.set()

    tasks = Tasks()
    tasks.spawn(breaks(), "filling")
    tasks.spawn(works(), "asking")
    await done.wait()
    await tasks.end()

    assert "filling met a defect" in caplog.text


async def test_what_is_under_way_is_cancelled_and_waited_for() -> None:
    ended: list[str] = []

    async def lasts(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    tasks = Tasks()
    tasks.spawn(lasts("first"), "first")
    await asyncio.sleep(0)
    # The second has not begun yet when it is cancelled.
    tasks.spawn(lasts("second"), "second")
    await tasks.end()

    assert ended == ["first"]
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint(
        {"first", "second"}
    )
