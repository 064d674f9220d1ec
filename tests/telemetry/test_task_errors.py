"""What goes wrong where nobody looks is counted, and told."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from ingestion_server.telemetry.task_errors import TaskErrors


async def forgotten() -> None:
    """Let a task fail that nobody waits for."""

    async def fails() -> None:
        raise ValueError("a defect")

    task = asyncio.create_task(fails(), name="errand")
    await asyncio.wait((task,))
    del task
    gc.collect()


async def test_a_task_that_failed_unheard_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = TaskErrors()

    async with errors.caught(asyncio.get_running_loop()):
        await forgotten()
        await forgotten()

    assert errors.count == 2
    record = caplog.records[0]
    assert (record.name, record.levelno) == ("ingestion_server.loop", logging.ERROR)
    assert "Task exception was never retrieved" in record.getMessage()
    assert "errand" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_a_callback_that_fails_is_counted() -> None:
    errors, loop = TaskErrors(), asyncio.get_running_loop()

    async with errors.caught(loop):
        loop.call_soon({}.__getitem__, "missing")
        await asyncio.sleep(0)

    assert errors.count == 1


async def test_who_heard_before_hears_again_afterwards() -> None:
    loop, heard = asyncio.get_running_loop(), list[str]()
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))

    async with TaskErrors().caught(loop):
        loop.call_exception_handler({"message": "within"})
    loop.call_exception_handler({"message": "after"})

    assert heard == ["after"]


async def test_a_log_that_cannot_be_written_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space is left")

    monkeypatch.setattr(logging.getLogger("ingestion_server.loop"), "error", full)
    errors, loop = TaskErrors(), asyncio.get_running_loop()

    async with errors.caught(loop):
        loop.call_exception_handler({"message": "within"})

    assert errors.count == 1
