"""What was used is not forgotten, however a server ends, and never overrun."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import pytest

from ingestion_server.client import (
    IngestionClientError,
    QuotaExhaustedError,
    SyncClient,
)
from tests.process.conftest import Run, Start
from tests.process.programs import SANDBOX, START_SECONDS, STOP_SECONDS, Program, got
from tests.waiting import eventually

AV = "alpha_vantage"
ASK: Mapping[str, Any] = {"limit": 5, "adjustment": "raw", "providers": AV}
"""One call of Alpha Vantage, and nobody else may answer."""
FREE_DAY = 25
UNUSABLE = 6
"""The exit status if a folder or an address cannot be used."""
_NUMBERS = itertools.count(2000)


def new_symbol() -> str:
    """Return a stock that nobody asked for: what is known already takes no call."""
    return f"SBX{next(_NUMBERS):04}"


class Sandbox:
    """Talk to simulated vendors in a process of their own."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.url = f"http://{program.line(SANDBOX)[1]}"

    @property
    def stats(self) -> Mapping[str, Any]:
        """Return what Alpha Vantage has counted."""
        return json.loads(got(f"{self.url}/control/stats")[1])[AV]

    @property
    def admitted(self) -> int:
        """Return how many calls its meters have counted."""
        return sum(self.stats["by_day"].values())

    @property
    def today(self) -> int:
        """Return how many of them belong to the present day in New York."""
        day = datetime.now(ZoneInfo("America/New_York")).date().isoformat()
        return self.stats["by_day"].get(day, 0)


class Traffic:
    """Ask for bars from several threads, whatever comes back, while the block lasts."""

    def __init__(
        self, door: str, threads: int, *, pause: float = 0.02, patience: float = 5
    ) -> None:
        self.answered = 0
        self.failures: list[IngestionClientError] = []
        self._door = door
        self._pause = pause
        self._patience = patience
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        symbol = new_symbol()
        with SyncClient(self._door, timeout_seconds=self._patience) as client:
            while not self._over.is_set():
                try:
                    client.fetch(symbol, **ASK)
                    self.answered += 1
                    symbol = new_symbol()
                except IngestionClientError as error:
                    self.failures.append(error)
                self._over.wait(self._pause)


@pytest.fixture
def sandbox(start: Start) -> Callable[[str], Sandbox]:
    """Start simulated vendors of which Alpha Vantage has a plan."""

    def begin(plan: str) -> Sandbox:
        return Sandbox(start("sandbox", "--port", "0", "--alpha-vantage-plan", plan))

    return begin


@pytest.fixture
def kept(serve: Start, tmp_path: Path, calendar_cache: Path) -> Start:
    """Start servers that all keep their ledger in one folder."""

    def begin(sandbox: Sandbox, plan: str) -> Program:
        return serve(
            *("--sandbox-url", sandbox.url, "--state", tmp_path / "state"),
            settings={
                "INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN": plan,
                # Computed once for all: each takes seconds.
                "INGESTION_CALENDARS__CACHE_FOLDER": str(calendar_cache),
            },
        )

    return begin


def used(door: str, name: str) -> int:
    """Return how much of a window a server counts, calls under way included."""
    with SyncClient(door, timeout_seconds=START_SECONDS) as client:
        windows = client.quotas([AV]).windows
    (window,) = [one for one in windows if one.name == name]
    return window.used + window.reserved


# One call a second until the day is full, and four starts: half a minute.
@pytest.mark.timeout(150)
def test_a_server_that_is_killed_three_times_does_not_overrun_the_free_day(
    sandbox: Callable[[str], Sandbox], kept: Start
) -> None:
    vendors = sandbox("free")
    for calls in (3, 6, 9):
        program = kept(vendors, "free")
        door, _ = program.addresses()
        assert used(door, "day") >= vendors.today
        with Traffic(door, 4):
            eventually(lambda calls=calls: vendors.admitted >= calls)
            program.send(signal.SIGKILL)
            program.ended(STOP_SECONDS)

    door, _ = kept(vendors, "free").addresses()
    known = used(door, "day")
    with Traffic(door, 4) as traffic:
        eventually(
            lambda: any(
                isinstance(failure, QuotaExhaustedError) and "'day'" in str(failure)
                for failure in traffic.failures
            ),
            90,
        )

    stats = vendors.stats
    assert known >= 9
    assert stats["violations"] == 0
    assert max(stats["by_day"].values()) <= FREE_DAY
    # Of each run that was killed, one call may be counted that never arrived.
    assert vendors.admitted >= FREE_DAY - 3
    assert used(door, "day") == FREE_DAY


@pytest.mark.timeout(150)
def test_a_server_that_is_killed_three_times_does_not_overrun_a_rolling_window(
    sandbox: Callable[[str], Sandbox], kept: Start
) -> None:
    plan = "60per5s"
    vendors = sandbox(plan)
    # Each time in the midst of a window that is nearly full.
    for calls in (50, 100, 150):
        program = kept(vendors, plan)
        door, _ = program.addresses()
        with Traffic(door, 12):
            eventually(lambda calls=calls: vendors.admitted >= calls)
            program.send(signal.SIGKILL)
            program.ended(STOP_SECONDS)

    door, _ = kept(vendors, plan).addresses()
    with Traffic(door, 12):
        eventually(lambda: vendors.admitted >= 220)

    assert vendors.stats["violations"] == 0


# A minute by the real clock: what a strict window makes of real jitter shows only
# over many of its lengths, and no clock of a test's own has that.
@pytest.mark.timeout(150)
def test_a_minute_of_backlog_has_no_violation(
    sandbox: Callable[[str], Sandbox], kept: Start
) -> None:
    plan = "60per5s"
    vendors = sandbox(plan)
    door, _ = kept(vendors, plan).addresses()
    batch = _Batch(door)

    with batch, Traffic(door, 2, pause=0.5, patience=20) as urgent:
        time.sleep(60)
        stats = vendors.stats

    assert stats["violations"] == 0
    # 720 and the first 60 would fit; a busy machine may be slower.
    assert stats["calls"] > 500
    assert urgent.answered > 60
    assert batch.answered > 200
    assert urgent.failures == []


class _Batch:
    """Keep calls that are not urgent waiting, while the block lasts."""

    def __init__(self, door: str) -> None:
        self.answered = 0
        self._door = door
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        symbols = [f"SBX{number:04}" for number in range(100, 1100)]
        with (
            SyncClient(self._door) as client,
            contextlib.closing(
                client.fetch_batch(symbols, timeout_seconds=90, **ASK)
            ) as items,
        ):
            for item in items:
                self.answered += item.error is None
                if self._over.is_set():
                    return


def test_what_was_used_is_known_after_an_orderly_stop(
    sandbox: Callable[[str], Sandbox], kept: Start
) -> None:
    vendors = sandbox("free")
    program = kept(vendors, "free")
    door, _ = program.addresses()
    with SyncClient(door, timeout_seconds=START_SECONDS) as client:
        for _ in range(2):
            client.fetch(new_symbol(), **ASK)
    ended = program.stopped()

    door, _ = kept(vendors, "free").addresses()

    assert (ended.status, "Traceback" in ended.complaints) == (0, False)
    assert used(door, "day") == vendors.today
    assert vendors.admitted == 2


def test_calls_of_vendors_that_are_gone_are_given_back(
    sandbox: Callable[[str], Sandbox], kept: Start
) -> None:
    vendors = sandbox("free")
    door, _ = kept(vendors, "free").addresses()
    with SyncClient(door, timeout_seconds=START_SECONDS) as client:
        client.fetch("MSFT", **ASK)
        vendors.program.send(signal.SIGKILL)
        vendors.program.ended(STOP_SECONDS)
        # Over the connection that was open, a call may have left for all we know.
        with pytest.raises(IngestionClientError):
            client.fetch("AAPL", **ASK)
        before = used(door, "day")

        for _ in range(3):
            with pytest.raises(IngestionClientError):
                client.fetch("AAPL", **ASK)

    assert 1 <= before <= 2
    assert used(door, "day") == before


def test_a_second_server_with_the_same_ledger_does_not_start(
    sandbox: Callable[[str], Sandbox], kept: Start, tmp_path: Path
) -> None:
    vendors = sandbox("free")
    first = kept(vendors, "free")
    door, _ = first.addresses()

    told = kept(vendors, "free").ended(START_SECONDS)

    assert told.status == UNUSABLE
    assert told.output == ""
    assert "Traceback" not in told.complaints
    assert f"another server uses {tmp_path / 'state'}" in told.complaints
    assert "--state" in told.complaints
    assert len(told.complaints.splitlines()) == 1
    # The first is none the worse for it, and leaves the folder to the next.
    assert used(door, "day") == 0
    assert first.stopped().status == 0
    kept(vendors, "free").addresses()


@pytest.mark.parametrize("damage", ["text", "middle", "foreign"])
def test_a_ledger_that_cannot_be_read_is_left_as_it_is(
    sandbox: Callable[[str], Sandbox], kept: Start, tmp_path: Path, damage: str
) -> None:
    vendors = sandbox("free")
    program = kept(vendors, "free")
    program.addresses()
    program.stopped()
    file = tmp_path / "state" / "ledger.sqlite3"
    spoil(file, damage)
    before = file.read_bytes()

    told = kept(vendors, "free").ended(START_SECONDS)

    assert told.status == UNUSABLE
    assert told.output == ""
    assert "Traceback" not in told.complaints
    assert str(file) in told.complaints
    assert "away" in told.complaints
    assert file.read_bytes() == before


def spoil(file: Path, damage: str) -> None:
    """Make of a ledger what no server can read."""
    assert file.is_file()
    match damage:
        case "text":
            file.write_text("no database at all\n" * 500)
        case "middle":
            content = bytearray(file.read_bytes())
            content[200:] = b"\xa5" * (len(content) - 200)
            file.write_bytes(content)
        case _:
            file.unlink()
            with contextlib.closing(sqlite3.connect(file)) as other:
                other.execute("create table customers (name text)")


def test_a_folder_that_cannot_be_written_ends_the_start(
    sandbox: Callable[[str], Sandbox],
    serve: Start,
    read_only: Path,
    calendar_cache: Path,
) -> None:
    vendors = sandbox("free")

    told = serve(
        *("--sandbox-url", vendors.url, "--state", read_only),
        settings={"INGESTION_CALENDARS__CACHE_FOLDER": str(calendar_cache)},
    ).ended(START_SECONDS)

    assert told.status == UNUSABLE
    assert told.output == ""
    assert "Traceback" not in told.complaints
    assert str(read_only) in told.complaints
    assert "--state" in told.complaints


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Mount a folder that nobody can write, not even who may do all else."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.name != "posix" or mount is None or umount is None:
        pytest.skip("there is no mount here")
    made = subprocess.run(  # noqa: S603
        [mount, "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS,
    )
    if made.returncode:
        pytest.skip(f"cannot mount a read-only folder: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([umount, folder], check=True, timeout=STOP_SECONDS)  # noqa: S603


def test_the_command_line_shows_what_is_left(
    sandbox: Callable[[str], Sandbox], kept: Start, run: Run
) -> None:
    vendors = sandbox("free")
    door, _ = kept(vendors, "free").addresses()
    with SyncClient(door, timeout_seconds=START_SECONDS) as client:
        client.fetch("MSFT", **ASK)

    table = run("quota", "--target", door)
    plain = run("quota", "--json", "--target", door)
    named = run("quota", "-p", "yahoo", "--json", "--target", door)

    assert (table.status, table.complaints) == (0, "")
    for word in (AV, "day", "second", "yahoo", "1", "25"):
        assert word in table.output
    assert (plain.status, plain.complaints) == (0, "")
    both = json.loads(plain.output)
    (day,) = [one for one in both["quotas"]["windows"] if one["name"] == "day"]
    assert (day["used"], day["limit"], day["remaining"]) == ("1", "25", "24")
    assert len(both["quotas"]["windows"]) == len(both["forecast"]["windows"]) == 5
    (window,) = json.loads(named.output)["quotas"]["windows"]
    assert window["provider"] == "yahoo"


def test_the_command_line_tells_of_a_vendor_that_is_not_there(
    house: tuple[str, str], run: Run
) -> None:
    told = run("quota", "--provider", "iex", "--target", house[0])

    assert told.status == 2
    assert "iex" in told.complaints
    assert "Traceback" not in told.complaints


def test_a_file_where_the_folder_should_be_ends_the_start(
    sandbox: Callable[[str], Sandbox], kept: Start, tmp_path: Path
) -> None:
    vendors = sandbox("free")
    (tmp_path / "state").write_text("not a folder")

    told = kept(vendors, "free").ended(START_SECONDS)

    assert told.status == UNUSABLE
    assert told.output == ""
    assert "Traceback" not in told.complaints
    assert str(tmp_path / "state") in told.complaints
    assert "--state" in told.complaints
