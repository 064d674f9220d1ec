"""The door closes on those who would never leave by themselves."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from ingestion_server.domain.errors import ServerStoppingError
from ingestion_server.ports.hooks import RpcDetails
from ingestion_server.ports.tracing import here
from ingestion_server.service.admission import Context, Door


async def fails() -> None:
    """Fail."""
    raise ValueError("so it is")


async def test_work_is_done_while_the_door_is_open() -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    await Door(1).while_open(work())

    assert done.is_set()


async def test_the_failure_of_work_is_raised() -> None:
    with pytest.raises(ValueError, match="so it is"):
        await Door(1).while_open(fails())


async def test_work_is_given_up_when_the_door_closes() -> None:
    door = Door(1)
    begun = asyncio.Event()
    given_up = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    waiting = asyncio.ensure_future(door.while_open(work()))
    await begun.wait()
    door.close()

    with pytest.raises(ServerStoppingError):
        await waiting
    assert given_up.is_set()


async def test_no_work_is_done_behind_a_closed_door() -> None:
    door = Door(1)
    door.close()

    with pytest.raises(ServerStoppingError):
        await door.while_open(asyncio.Event().wait())


async def test_who_is_cancelled_takes_the_work_along() -> None:
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    waiting = asyncio.ensure_future(Door(1).while_open(work()))
    await begun.wait()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert given_up.is_set()


class NoMetadata:
    """Be a call of which nothing is told."""

    def invocation_metadata(self) -> Any:
        """Return nothing."""
        return ()


async def test_a_defect_of_a_listener_costs_nobody_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[RpcDetails] = []

    def broken(details: RpcDetails) -> None:
        raise ZeroDivisionError(details.rpc)

    door = Door(1, hooks=[broken, heard.append])
    async with door.call(cast("Context", NoMetadata()), "IngestionService/Fetch"):
        pass

    assert [details.code for details in heard] == ["OK"]
    assert here() is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
