"""
Measure what it takes to reserve a call when there is room, and to hear of its answer.

One account has only a window of a second, which is not written down; the others a
rolling minute and a fixed day, and write into a file on the disk, as a server does.
The reference is the least that writing down can take: a bare `insert` of the same
columns into such a file. Rounds of all follow each other, so that all of them meet the
same machine; each figure is the median of the rounds.

Time between calls is not waited for: the clock is put forward, so that the windows
hold a few hundred calls, and some are under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, final

from benchmarks.results import Results, at_most
from ingestion_server.ports.budget import Budget, Period, Window, WindowKind
from ingestion_server.ports.quota import Debit, Lane, Quota
from ingestion_server.quota.journal_file import FILE_NAME
from ingestion_server.quota.ledger import Ledger, Place, Setup

ROUNDS: Final = 7
CALLS: Final = 2048
"""Of each round; so it sums up four times what was written down."""
APART_SECONDS: Final = 0.2
UNDER_WAY: Final = 8
MOST_MICROSECONDS: Final = {
    "reserve_second": 20.0,
    "reserve_durable": 20.0,
    # It has to fit twice as many meters: those of its share as well.
    "reserve_durable_batch": 25.0,
    "arrived_durable": 20.0,
}
# The usual temporary folder may be one in memory.
DISK: Final = Path("/var/tmp")  # noqa: S108 - a folder of our own is made in it
BEGINS_NS: Final = 1_763_996_400 * 10**9
"""2025-11-24 10:00 in New York: the day does not turn while this runs."""

SECOND: Final = Budget(windows=(Window(name="second", limit=100, seconds=1.0),))
MINUTE_AND_DAY: Final = Budget(
    windows=(
        Window(name="minute", limit=1200, seconds=60.0),
        Window(
            name="day",
            limit=1_000_000,
            kind=WindowKind.FIXED,
            period=Period.DAY,
            reset_zone="America/New_York",
        ),
    )
)


class Spent(NamedTuple):
    """Be the microseconds of one call in one round."""

    median: float
    """Of the time that passes."""
    mean: float
    """Of processor time, with its share of what is done only now and then."""


@final
class Stopwatch:
    """
    Time calls one by one.

    A median is the same beside other programs, a mean is not: so that is of processor
    time. Nothing in it waits, for the mode that the file is in leaves that to a thread.
    """

    def __init__(self) -> None:
        self._passed: list[int] = []
        self._used: list[int] = []
        self._began = self._began_used = 0

    def start(self) -> None:
        """Begin with a call."""
        self._began_used = time.thread_time_ns()
        self._began = time.perf_counter_ns()

    def stop(self) -> None:
        """End with it."""
        passed = time.perf_counter_ns() - self._began
        self._used.append(time.thread_time_ns() - self._began_used)
        self._passed.append(passed)

    def spent(self) -> Spent:
        """Return what a call takes."""
        return Spent(
            statistics.median(self._passed) / 1000, statistics.mean(self._used) / 1000
        )


@final
class ShiftedClock:
    """Tell the machine's time, put forward by hand."""

    def __init__(self) -> None:
        self._wall_ns = BEGINS_NS - time.time_ns()
        self._seconds = 0.0

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC."""
        return time.time_ns() + self._wall_ns

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic() + self._seconds

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)

    def put_forward(self, seconds: float) -> None:
        """Let so many seconds have passed."""
        self._wall_ns += round(seconds * 1e9)
        self._seconds += seconds


def measured() -> Results:
    """Measure all in turn, and judge them."""
    folder = DISK if DISK.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as chosen:
        spent = asyncio.run(_spent(Path(chosen)))
    found = {}
    # The mean is what counts: nothing is left out of it but other programs.
    for suffix, number in (("", 1), ("_p50", 0)):
        middle = {
            name: statistics.median(each[number] for each in rounds)
            for name, rounds in spent.items()
        }
        for name, most in MOST_MICROSECONDS.items():
            found[name + suffix] = at_most(middle[name], "µs", middle["insert"], most)
    return found


async def _spent(folder: Path) -> dict[str, list[Spent]]:
    clock = ShiftedClock()
    setups = [
        Setup("brief", "plan", SECOND, kept=False),
        Setup("durable", "plan", MINUTE_AND_DAY, "key"),
    ]
    spent = defaultdict[str, list[Spent]](list)
    with (
        contextlib.closing(Ledger(setups, clock=clock, place=Place(folder))) as ledger,
        _bare(folder) as bare,
    ):
        brief, durable = (ledger.accounts[name] for name in ("brief", "durable"))
        for _ in range(ROUNDS):
            for name, quota, lane in (
                ("second", brief, Lane.INTERACTIVE),
                ("durable", durable, Lane.INTERACTIVE),
                ("durable_batch", durable, Lane.BATCH),
            ):
                reserved, arrived = await _called(quota, lane, clock)
                spent[f"reserve_{name}"].append(reserved)
                spent[f"arrived_{name}"].append(arrived)
            spent["insert"].append(_inserted(bare))
            # In a server a thread does this, every second in which so much was written.
            _checkpoint(folder / FILE_NAME)
            _checkpoint(folder / "bare.sqlite3")
    return spent


async def _called(quota: Quota, lane: Lane, clock: ShiftedClock) -> tuple[Spent, Spent]:
    reserved, arrived = Stopwatch(), Stopwatch()
    under_way = deque[Debit]()
    for _ in range(CALLS):
        clock.put_forward(APART_SECONDS)
        reserved.start()
        debit = await quota.reserve("bars:1d", longest_wait_seconds=0.0, lane=lane)
        reserved.stop()
        under_way.append(debit)
        if len(under_way) > UNDER_WAY:
            debit = under_way.popleft()
            arrived.start()
            quota.arrived(debit, {})
            arrived.stop()
    for debit in under_way:
        quota.arrived(debit, {})
    return reserved.spent(), arrived.spent()


def _inserted(bare: sqlite3.Connection) -> Spent:
    inserted = Stopwatch()
    cursor = bare.cursor()
    for number in range(CALLS):
        row = (1, 0, number, time.monotonic(), BEGINS_NS, BEGINS_NS, 1, 0)
        inserted.start()
        cursor.execute(
            "insert into entry (credential, refund, number, seconds, wall_ns,"
            " steady_ns, units, batch) values (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        inserted.stop()
    bare.execute("delete from entry")
    return inserted.spent()


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a file with the ledger's own table, and nothing around it."""
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as ledger:
        (table,) = ledger.execute(
            "select sql from sqlite_master where name = 'entry'"
        ).fetchone()
    with contextlib.closing(
        sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    ) as bare:
        bare.execute("pragma journal_mode = wal")
        bare.execute("pragma synchronous = normal")
        bare.execute("pragma wal_autocheckpoint = 0")
        bare.execute(table)
        yield bare


def _checkpoint(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma wal_checkpoint(passive)")
