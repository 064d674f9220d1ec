"""An event loop that stands still is seen, told and counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from itertools import chain, count, repeat

import pytest

from ingestion_server.telemetry.loop_lag import (
    BUCKETS_SECONDS,
    PERIOD_SECONDS,
    LoopLag,
    processor_wait,
)
from ingestion_server.telemetry.loop_metrics import loop_parts
from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.task_errors import TaskErrors
from tests.telemetry.pages import OPENMETRICS, families, series

NO_WAIT, SINCE = ", 0 of them for want of a processor", "since the last line"
NOTHING_LEFT = "nothing is left to happen"


class LateLoop:
    """Wake sleepers so much too late, one time after the other."""

    def __init__(self, lags_seconds: Sequence[float]) -> None:
        """Begin at no time in particular."""
        self.now = 100.0
        self.slept: list[float] = []
        self._lags = chain(lags_seconds, repeat(None))

    def monotonic(self) -> float:
        """Tell the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let it pass, and more; in the end, be cancelled."""
        self.slept.append(seconds)
        lag = next(self._lags)
        if lag is None:
            raise asyncio.CancelledError(NOTHING_LEFT)
        self.now += seconds + lag


async def watched(*lags_seconds: float, waits_seconds: float = 0.0) -> LoopLag:
    """Return what was measured of such lags, and waits for a processor during each."""
    loop, waited = LateLoop(lags_seconds), count(7.0, waits_seconds)
    lag = LoopLag(
        monotonic=loop.monotonic,
        sleep=loop.sleep,
        waited=lambda: next(waited),
        worked=loop.monotonic,
    )
    with pytest.raises(asyncio.CancelledError, match=NOTHING_LEFT):
        await lag.watch()
    return lag


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines of log."""
    return [record.getMessage() for record in caplog.records]


async def test_lags_are_counted_by_their_size_and_the_longest_is_kept() -> None:
    lag = await watched(0.0, 0.003, 0.3, 0.02, 9.0)

    by_limit = dict(zip(BUCKETS_SECONDS, lag.counts(), strict=False))
    assert (by_limit[0.001], by_limit[0.005], by_limit[0.1]) == (1, 2, 3)
    assert (by_limit[5], lag.counts()[-1]) == (4, 5)
    assert lag.longest_seconds == pytest.approx(9.0)
    assert lag.total_seconds == pytest.approx(9.323)


async def test_a_stall_is_a_warning_that_says_how_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await watched(0.09, 0.25)

    assert told(caplog) == [
        "the event loop stood still for 250 ms, 0 of them for want of a processor"
    ]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "ingestion_server.loop"
    assert record.facts == {
        "seconds": pytest.approx(0.25),
        "waited_seconds": 0.0,
        "left_out": 0,
    }


async def test_what_a_processor_was_waited_for_is_told_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lag = await watched(0.01, 0.28, waits_seconds=0.15)

    assert told(caplog) == [
        "the event loop stood still for 280 ms, 150 of them for want of a processor"
    ]
    assert lag.longest_seconds == pytest.approx(0.28)
    assert lag.longest_own_seconds == pytest.approx(0.13)


async def test_who_only_waits_for_a_processor_is_measured_and_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lag = await watched(0.01, 0.2, waits_seconds=0.15)

    assert not told(caplog)
    assert lag.longest_seconds == pytest.approx(0.2)


def test_the_kernel_tells_what_a_processor_was_waited_for() -> None:
    assert 0.0 <= processor_wait() <= processor_wait()


async def test_there_is_one_line_a_minute_and_the_next_counts_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    quiet = [0.0] * round(60 / PERIOD_SECONDS)

    await watched(0.2, 0.3, 0.4, *quiet, 0.5, 0.6, *quiet, 0.7)

    assert told(caplog) == [
        f"the event loop stood still for 200 ms{NO_WAIT}",
        f"the event loop stood still for 500 ms{NO_WAIT} (and 2 times {SINCE})",
        f"the event loop stood still for 700 ms{NO_WAIT} (and 1 times {SINCE})",
    ]


async def test_a_loop_with_nothing_to_do_is_looked_at_less_often() -> None:
    loop, work = LateLoop([0.0] * 6), iter([0.0, 0.0, 0.0, 0.1, 0.2, 0.2, 0.2])
    lag = LoopLag(monotonic=loop.monotonic, sleep=loop.sleep, worked=lambda: next(work))
    with pytest.raises(asyncio.CancelledError, match=NOTHING_LEFT):
        await lag.watch()

    assert loop.slept == [0.05, 0.25, 0.25, 0.05, 0.05, 0.25, 0.25]


async def test_a_log_that_cannot_be_written_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space is left")

    monkeypatch.setattr(logging.getLogger("ingestion_server.loop"), "warning", full)

    assert (await watched(0.2, 0.2)).counts()[-1] == 2


async def test_a_loop_that_is_really_held_up_is_found_out() -> None:
    lag = LoopLag(quiet_seconds=0.0)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(lag.watch())
        await asyncio.sleep(0)
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        await asyncio.sleep(0.01)
        watching.cancel()

    assert lag.longest_seconds > 0.2


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_the_page_tells_of_lags_and_of_errors(accept: str) -> None:
    lag, errors = await watched(0.0, 0.3), TaskErrors()

    page = MetricsPage(loop_parts(lag, errors))(accept)

    lags = {
        (sample.name.rpartition("_")[2], *sample.labels.values()): sample.value
        for sample in families(page)["ingestion_event_loop_lag_seconds"].samples
    }
    assert lags["bucket", "0.1"] == 1
    assert lags["bucket", "+Inf"] == lags[("count",)] == 2
    assert lags[("sum",)] == pytest.approx(0.3)
    for name in ("longest_stall", "longest_own_stall"):
        longest = series(page)[f"ingestion_event_loop_{name}_seconds"][()]
        assert longest == pytest.approx(0.3)
    assert series(page)["ingestion_unhandled_task_errors"][()] == 0
