"""The clocks of this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ingestion_server.app import clock
from ingestion_server.app.clock import SystemClock, boot_id, since_boot

KERNEL = Path("/proc/sys/kernel/random/boot_id")
HAS_BOOT_CLOCK = hasattr(time, "CLOCK_BOOTTIME")


@pytest.mark.skipif(not HAS_BOOT_CLOCK, reason="this system has no such clock")
def test_seconds_count_from_the_start_of_the_machine_time_asleep_included() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)

    now = SystemClock().monotonic()

    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_where_no_clock_counts_sleep_the_usual_one_is_told() -> None:
    before = time.monotonic()

    now = since_boot(None)()

    assert before <= now <= time.monotonic()


def test_seconds_never_go_back() -> None:
    seen = [SystemClock().monotonic() for _ in range(100)]

    assert seen == sorted(seen)


def test_the_wall_clock_is_that_of_the_system() -> None:
    before = time.time_ns()

    now = SystemClock().now_ns()

    assert before <= now <= time.time_ns()


async def test_sleeping_lets_others_run() -> None:
    await SystemClock().sleep(0)


@pytest.mark.skipif(not KERNEL.exists(), reason="this system does not tell")
def test_a_start_of_the_machine_has_one_name() -> None:
    told = boot_id()

    assert told
    assert told == boot_id() == KERNEL.read_text().strip()


def test_without_its_line_feed_it_is_as_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "boot_id"
    file.write_text("c0ffee\n")
    monkeypatch.setattr(clock, "_BOOT_ID", file)

    assert boot_id() == "c0ffee"


@pytest.mark.parametrize("content", [None, "schön".encode("latin-1")])
def test_where_nobody_tells_it_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "boot_id"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(clock, "_BOOT_ID", file)

    assert boot_id() == ""
