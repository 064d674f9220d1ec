"""The file for Prometheus is whole, kept, and removed; a disk that fails is no harm."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingestion_server.discovery.target_file import TargetFile, targets
from tests.clocks import ManualClock

CONTENT = targets("10.0.0.5:8080", {"service": "market", "region": ""})
MINUTE = 60.0


class Paced(ManualClock):
    """Tell when somebody sleeps, since threads take no turns of the loop."""

    def __init__(self) -> None:
        """Stand still."""
        super().__init__(runs=False)
        self.sleeping = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Tell, and wait."""
        self.sleeping.set()
        await super().sleep(seconds)

    async def minute(self) -> None:
        """Let a minute pass, and all be done that is due."""
        self.sleeping.clear()
        await self.advance(MINUTE)
        await self.sleeping.wait()


@asynccontextmanager
async def running(file: TargetFile, clock: Paced) -> AsyncIterator[None]:
    """Run until the block ends."""
    task = asyncio.create_task(file.run(CONTENT))
    try:
        async with asyncio.timeout(30):
            await clock.sleeping.wait()
            yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


def names(folder: Path) -> list[str]:
    """List what is in a folder."""
    return [each.name for each in folder.iterdir()]


def test_a_file_holds_one_target_and_the_labels_that_say_something() -> None:
    assert json.loads(CONTENT) == [
        {"targets": ["10.0.0.5:8080"], "labels": {"service": "market"}}
    ]


async def test_it_is_there_until_it_is_left(tmp_path: Path) -> None:
    path, clock = tmp_path / "targets.json", Paced()
    file = TargetFile(path, clock)
    async with running(file, clock):
        assert path.read_bytes() == CONTENT
        assert file.registered
        assert names(tmp_path) == [path.name]

        await clock.minute()
        assert file.registrations == 1

    await file.leave()

    assert names(tmp_path) == []
    assert not file.registered


async def test_whoever_serves_prometheus_may_read_it(tmp_path: Path) -> None:
    path, clock = tmp_path / "targets.json", Paced()
    (tmp_path / "any").touch()
    async with running(TargetFile(path, clock), clock):
        assert path.stat().st_mode == (tmp_path / "any").stat().st_mode


async def test_what_was_removed_or_changed_is_back_in_a_minute(tmp_path: Path) -> None:
    path, clock = tmp_path / "targets.json", Paced()
    file = TargetFile(path, clock)
    async with running(file, clock):
        path.unlink()
        await clock.minute()
        assert path.read_bytes() == CONTENT

        path.write_bytes(CONTENT + b"more")
        await clock.minute()
        assert path.read_bytes() == CONTENT
        assert file.registrations == 3


async def test_the_file_of_a_server_that_follows_is_not_removed(tmp_path: Path) -> None:
    path, clock = tmp_path / "targets.json", Paced()
    file = TargetFile(path, clock)
    async with running(file, clock):
        pass
    path.write_text("another's")

    await file.leave()

    assert path.read_text() == "another's"


async def test_what_cannot_be_written_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, clock = tmp_path / "later", Paced()
    path = folder / "targets.json"
    file = TargetFile(path, clock)
    async with running(file, clock):
        assert not file.registered
        assert dict(file.failures) == {"unwritable": 1}

        folder.mkdir()
        await clock.minute()

        assert file.registered
    assert caplog.messages == [f"{path} is not written: No such file or directory"]


async def test_a_disk_that_is_full_leaves_what_there_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "targets.json", Paced()
    path.write_text("before")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device", number)

    monkeypatch.setattr(os, "fsync", full)
    file = TargetFile(path, clock)
    async with running(file, clock):
        assert not file.registered

    assert caplog.messages[0] == f"{path} is not written: No space left on device"
    assert names(tmp_path) == [path.name]
    assert path.read_text() == "before"


async def test_what_is_no_file_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "targets.json", Paced()
    os.mkfifo(path)
    file = TargetFile(path, clock)
    async with running(file, clock):
        assert caplog.messages == [f"{path} is not written: it is no file"]

    await file.leave()

    assert path.is_fifo()
    assert caplog.messages[-1] == f"{path} is not removed: it is no file"


async def test_who_never_wrote_removes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    path.touch()

    await TargetFile(path, Paced()).leave()

    assert path.exists()
