"""Readiness falls and rises slowly, for what makes callers fail and nothing else."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion_server.app.readiness import (
    FALL_SECONDS,
    LAG_LOOKS,
    LOOK_SECONDS,
    RISE_SECONDS,
    Readiness,
    Settled,
    unavailable,
    unwritable,
)
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.provider import Lifecycle
from ingestion_server.ports.routing import BreakerView, Health, ProviderReport, Score
from ingestion_server.web import Stage
from tests.clocks import ManualClock
from tests.port.small_disks import mounted

NOW_NS = 1_000_000_000
PATIENCE_SECONDS = 30


def health(position: BreakerPosition, **more: Any) -> Health:
    """Tell of one kind of data of a vendor."""
    told = {"samples": 3.0, "retry_at_ns": None, **more}
    return Health(
        kind="bars:equity",
        samples=told["samples"],
        score=Score(1.0, judged=True, factors=()),
        p50_seconds=None,
        p95_seconds=None,
        last_success_ns=None,
        last_failure_ns=None,
        last_failure="",
        breaker=BreakerView(position=position, retry_at_ns=told["retry_at_ns"]),
    )


def vendor(name: str, *kinds: Health, unusable: str = "") -> ProviderReport:
    """Tell of one vendor."""
    return ProviderReport(
        name=name,
        lifecycle=Lifecycle(),
        enabled=not unusable,
        priority=10,
        priority_configured=False,
        unusable_reason=unusable,
        capabilities=(),
        feed_delay_seconds=None,
        plan="free",
        monthly_usd=Decimal(0),
        per_unit_usd=Decimal(0),
        health=kinds,
    )


OPEN = health(BreakerPosition.OPEN)
WELL = vendor("well", health(BreakerPosition.CLOSED))


def test_a_state_falls_after_a_while_and_rises_after_a_longer_one() -> None:
    settled = Settled()
    told = [settled(ok=True, now_seconds=0.0)]
    told += [settled(ok=False, now_seconds=at) for at in (1.0, 2.9, 3.0)]
    told += [settled(ok=True, now_seconds=at) for at in (4.0, 8.9, 9.0)]

    assert told == [True, True, True, False, False, False, True]
    assert (FALL_SECONDS, RISE_SECONDS) == (2.0, 5.0)


def test_a_state_that_flickers_stays_as_it_is() -> None:
    settled = Settled()
    settled(ok=True, now_seconds=0.0)

    told = [settled(ok=at % 2 == 0, now_seconds=float(at)) for at in range(1, 60)]

    assert set(told) == {True}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (vendor("off", unusable="an operator switched it off"), "switched it off"),
        (vendor("ill", OPEN), "breakers are open"),
        (vendor("ill", OPEN, health(BreakerPosition.CLOSED, samples=0.0)), "breakers"),
        (vendor("ill", health(BreakerPosition.OPEN, retry_at_ns=NOW_NS + 1)), "open"),
    ],
)
def test_while_one_vendor_can_be_asked_nobody_is_turned_away(
    other: ProviderReport, why: str
) -> None:
    assert unavailable([other, WELL], NOW_NS) == ""
    assert why in unavailable([other], NOW_NS)


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        (health(BreakerPosition.HALF_OPEN),),
        (OPEN, health(BreakerPosition.CLOSED)),
        # Whoever comes next is the probe: without callers, it would rest for ever.
        (health(BreakerPosition.OPEN, retry_at_ns=NOW_NS),),
    ],
    ids=["never asked", "on probation", "one kind", "rest is over"],
)
def test_a_vendor_that_may_answer_is_hope(kinds: tuple[Health, ...]) -> None:
    assert unavailable([vendor("v", *kinds)], NOW_NS) == ""


def test_without_any_vendor_nobody_can_be_asked_and_each_says_why() -> None:
    told = unavailable([vendor("a", unusable="no key"), vendor("b", OPEN)], NOW_NS)

    assert told == "no vendor can be asked (a: no key; b: its breakers are open)"


def test_a_folder_that_is_gone_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "state"

    told = unwritable(folder)

    assert told == f"{folder} cannot be written: No such file or directory"


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    assert unwritable(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_so_is_room_on_it(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with mounted(folder, size="64k"):
        fill = folder / "fill"
        fill.write_bytes(bytes(64 * 1024))

        full = unwritable(folder)
        fill.unlink()

        assert full == f"{folder} cannot be written: No space left on device"
        assert unwritable(folder) == ""


class Watch:
    """Have a loop whose lag a test decides."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lag = 0.0
        self.vendors = [WELL]
        self.readiness = Readiness(
            lambda: self.vendors,
            ledger_folder=None,
            lag_seconds=lambda: self.lag,
            clock=ManualClock(),
            monotonic=lambda: self.now,
        )

    def look(self, looks: int, *, lag: float) -> list[bool]:
        """Look so often, each time so many seconds later than meant."""
        told = []
        for _ in range(looks):
            self.now += max(LOOK_SECONDS, lag)
            self.lag += lag
            told.append(self.readiness.look())
        return told


def test_a_loop_that_stands_still_for_most_of_half_a_minute_is_told() -> None:
    watch = Watch()
    watch.look(LAG_LOOKS, lag=0.9)

    report = watch.readiness.report(Stage.READY, {})

    (late,) = [check for check in report.checks if not check.ok]
    assert late.name == "event loop"
    assert late.why == "it stood still for 27.0 of the last 30.0 s"


def test_a_loop_that_is_busy_or_stalls_once_turns_nobody_away() -> None:
    watch = Watch()

    busy = watch.look(2 * LAG_LOOKS, lag=0.5)
    once = watch.look(1, lag=15.0) + watch.look(10, lag=0.0)

    assert set(busy + once) == {True}


async def test_whoever_asks_hears_of_the_fall_and_of_the_rise() -> None:
    watch, told = Watch(), list[bool]()
    clock = ManualClock()
    readiness = Readiness(
        lambda: watch.vendors,
        ledger_folder=None,
        lag_seconds=lambda: 0.0,
        clock=clock,
        monotonic=clock.monotonic,
    )

    async def tell(ready: bool) -> None:  # noqa: FBT001 - as the port has it
        told.append(ready)

    running = asyncio.create_task(readiness.run(tell))
    try:
        for vendors, seconds in (([WELL], 5), ([], 5), ([WELL], 10)):
            watch.vendors = vendors or [vendor("off", unusable="off")]
            for _ in range(seconds):
                await clock.advance(LOOK_SECONDS)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert told == [False, True]
    assert readiness.report(Stage.READY, {}).stage is Stage.READY


def test_a_server_that_stops_says_that_and_not_what_else_is_wrong() -> None:
    watch = Watch()
    watch.vendors = []
    watch.vendors = [vendor("off", unusable="off")]
    watch.look(5, lag=0.0)

    assert watch.readiness.report(Stage.READY, {}).stage is Stage.UNREADY
    assert watch.readiness.report(Stage.STOPPING, {}).stage is Stage.STOPPING


async def test_looks_that_fail_turn_nobody_away_and_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vendors, told = [vendor("off", unusable="off")], list[bool]()
    is_broken = False

    def looked_at() -> list[ProviderReport]:
        if is_broken:
            raise KeyError("gone")
        return vendors

    clock = ManualClock()
    readiness = Readiness(
        looked_at,
        ledger_folder=None,
        lag_seconds=lambda: 0.0,
        clock=clock,
        monotonic=clock.monotonic,
    )

    async def tell(ready: bool) -> None:  # noqa: FBT001 - as the port has it
        told.append(ready)

    running = asyncio.create_task(readiness.run(tell))
    try:
        await clock.advance(LOOK_SECONDS)
        is_broken = True
        for _ in range(3):
            await clock.advance(LOOK_SECONDS)
        blind = readiness.report(Stage.READY, {}).stage
        is_broken = False
        for _ in range(3):
            await clock.advance(LOOK_SECONDS)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert blind is Stage.READY
    assert told == [False, True, False]
    assert [record.getMessage() for record in caplog.records] == [
        "readiness cannot be judged"
    ]


def test_a_disk_that_tells_only_at_the_end_that_it_is_full_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def full(number: int) -> None:
        close(number)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "close", full)
    told = unwritable(tmp_path)
    monkeypatch.undo()

    assert told == f"{tmp_path} cannot be written: Disk quota exceeded"
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, clock = threading.Event(), ManualClock(runs=False)

    def hang(folder: Path) -> str:
        assert folder == tmp_path
        answer.wait(PATIENCE_SECONDS)
        return ""

    monkeypatch.setattr("ingestion_server.app.readiness.unwritable", hang)
    readiness = Readiness(
        lambda: [WELL],
        ledger_folder=tmp_path,
        lag_seconds=lambda: 0.0,
        clock=clock,
        monotonic=clock.monotonic,
    )
    running = asyncio.create_task(readiness.run(lambda _: asyncio.sleep(0)))
    try:
        for _ in range(10):
            await clock.advance(LOOK_SECONDS)
        silent = [check for check in readiness.checks if not check.ok]
        was_ready = readiness.ready
    finally:
        answer.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [check.why for check in silent] == [f"{tmp_path} does not answer"]
    assert not was_ready
