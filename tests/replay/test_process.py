"""Replay by the real command, in a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
)

from tests.port.house import closes, pinned
from tests.replay.charts import FIRST_WEEK, keep_chart
from tests.replay.vendors import ABSENT, RECORDINGS

COMMAND = Path(sys.executable).with_name("ingestion-server")
SERVING = re.compile(r"SERVING grpc=(127\.0\.0\.1:\d+) http=127\.0\.0\.1:\d+\n")
PATIENCE_SECONDS = 20

pytestmark = pytest.mark.skipif(
    not COMMAND.exists(), reason="the command is not installed beside this Python"
)


@asynccontextmanager
async def serving(folder: Path, home: Path) -> AsyncIterator[Process]:
    """Start the command with nothing in its environment but where to keep things."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        "--replay",
        folder,
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        cwd=home,
        env={"HOME": str(home), "INGESTION_CALENDARS__CACHE_FOLDER": str(home)},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize(
    ("which", "start", "end", "expected"),
    [
        ("ours", "2024-03-04", "2024-03-06", [1.5, 1.5]),
        pytest.param(
            *("shared", "2020-08-31", "2020-09-02", [129.04, 134.18]),
            marks=pytest.mark.skipif(not RECORDINGS.is_dir(), reason=ABSENT),
        ),
    ],
)
async def test_the_command_answers_from_a_folder_and_stops_cleanly(
    calendar_cache: Path,
    tmp_path: Path,
    which: str,
    start: str,
    end: str,
    expected: list[float],
) -> None:
    keep_chart(tmp_path, "one", FIRST_WEEK, 1.5)
    folder = RECORDINGS if which == "shared" else tmp_path
    request = json_format.ParseDict(
        {
            "symbol": "AAPL",
            "start": f"{start}T00:00:00Z",
            "end": f"{end}T00:00:00Z",
            "source_policy": pinned("yahoo"),
        },
        ingestion_service_pb2.FetchRequest(),
    )

    async with serving(folder, calendar_cache) as process:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        told = SERVING.fullmatch(line)
        assert told, line
        async with grpc.aio.insecure_channel(told[1]) as channel:
            stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
            answer = await stub.Fetch(request, timeout=PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        rest, log = await process.communicate()

    assert closes(answer) == expected
    assert process.returncode == 0, log.decode()
    assert rest == b""
    assert b"Traceback" not in log


async def test_the_command_says_what_is_wrong_with_a_folder(
    calendar_cache: Path, tmp_path: Path
) -> None:
    async with serving(tmp_path / "nowhere", calendar_cache) as process:
        out, log = await process.communicate()

    assert process.returncode
    assert b"SERVING" not in out
    assert b"no such folder" in log.replace(b"\n", b" ")
    assert b"Traceback" not in log
