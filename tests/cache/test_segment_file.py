"""What is known of final bars outlives the process, whatever becomes of the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ingestion_server.cache.segment_file import FILE_NAME, SegmentFile
from ingestion_server.cache.segments import Segments
from ingestion_server.cache.series import SeriesKey, Terms
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.ports.caching import CacheCounts
from tests.cache import deliveries as of
from tests.clocks import ManualClock

DAY = 20_098
OTHER = msgspec.structs.replace(of.KEY, provider="other")


def numbered(number: int) -> SeriesKey:
    return msgspec.structs.replace(of.KEY, provider=f"acme{number}")


@asynccontextmanager
async def opened(
    folder: Path,
    clock: ManualClock,
    *,
    realm: str = "",
    limit_bytes: int = 50_000_000,
    memory_bytes: int = 10_000_000,
) -> AsyncIterator[Segments]:
    """Be one life of a server."""
    file = SegmentFile(folder, realm=realm, limit_bytes=limit_bytes)
    memory = Segments(limit_bytes=memory_bytes, counts=CacheCounts(), file=file)
    async with memory.keeping(clock):
        yield memory


def change(folder: Path, statement: str) -> None:
    """Change the file behind the server's back."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        connection.execute(statement)
        connection.commit()


def empty(folder: Path) -> None:
    """Delete all files."""
    for each in folder.iterdir():
        each.unlink()


def aside(folder: Path) -> list[str]:
    """Return the names of files that were moved aside."""
    return [each.name for each in folder.glob("*.broken-*")]


async def until(happened: Callable[[], bool]) -> None:
    """Let the thread work until something has happened."""
    while not happened():  # noqa: ASYNC110 - what a thread does sets no event
        await asyncio.sleep(0)


def count(folder: Path, table: str) -> int:
    """Count the rows that are in the file."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        (rows,) = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608
    return int(rows)


async def test_final_bars_and_their_truth_are_there_after_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    flags = [
        QualityFlag(FlagKind.FIELD_ABSENT, "acme gives no volume"),
        QualityFlag(FlagKind.ROW_QUARANTINED, "low is above high", of.at(2)),
    ]
    terms = Terms("USD", "lots", "computed", 900.0)
    async with opened(tmp_path, clock) as memory:
        for close in (103.0, 113.0):
            memory.keep(
                of.KEY,
                of.delivery(
                    of.span(0, 10),
                    of.series(
                        {0: 100.0, 1: 101.0, 3: close, 4: float("nan"), 9: 1.0},
                        volume=None,
                    ),
                    terms=terms,
                    day=DAY,
                    flags=flags,
                    first_trade_ns=of.at(-1000),
                ),
            )
        before = of.look(memory, of.span(0, 20), day=DAY)

    async with opened(tmp_path, clock) as memory:
        assert of.look(memory, of.span(0, 20)) is None
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 20), day=DAY)

        assert known is not None
        assert before is not None
        assert known.series.open_time_ns.tolist() == before.series.open_time_ns.tolist()
        assert np.array_equal(known.series.close, before.series.close, equal_nan=True)
        assert known.series.volume is None
        assert of.states(known) == [1, 1, BarState.REVISED, 1, 1]
        assert known.received_at_ns == before.received_at_ns
        assert of.minutes(known.covered) == [(0, 10)]
        assert known.terms == terms
        assert known.flags == flags
        assert known.first_trade_ns == of.at(-1000)
        assert known.verified
        assert known.sample == before.sample
        later = of.look(memory, of.span(0, 20), day=DAY + 1)
        assert later is not None
        assert not later.verified


async def test_what_can_still_change_and_what_was_absent_is_asked_for_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(
            of.KEY,
            of.delivery(
                of.span(0, 10),
                {0: 100.0, 1: 101.0, 9: 109.0},
                settled=8,
                absent=[of.span(3, 5)],
            ),
        )

    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 10))

    assert of.closes(known) == {0: 100.0, 1: 101.0}
    assert known is not None
    assert of.minutes(known.covered) == [(0, 3), (5, 8)]


async def test_a_new_bar_does_not_rewrite_the_years_before_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        bars = dict.fromkeys(range(10000), 100.0)
        memory.keep(of.KEY, of.delivery(of.span(0, 10_000), bars))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        before = dict(connection.execute("select number, bars from block"))

    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        memory.keep(of.KEY, of.delivery(of.span(10_000, 10_001), {10_000: 101.0}))
        known = of.look(memory, of.span(0, 20_000))
        # Nothing but the last block is there to be written.
        change(tmp_path, "update block set bars = x'00' where number < 1e9")
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        after = of.look(memory, of.span(0, 20_000))

    assert len(before) >= 5
    assert len(of.closes(known)) == 10_001
    assert 10_000 in of.closes(after)
    assert len(of.closes(after)) <= 2048


async def test_what_changed_is_written_within_a_second_or_so(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 100.0}))
        assert count(tmp_path, "series") == 0
        await clock.advance(1.0)
        await until(lambda: count(tmp_path, "series") == 2)

        assert memory.use(of.NOW_NS).file_bytes > 0
        assert memory.use(of.NOW_NS).limit_file_bytes == 50_000_000


async def test_kill_9_leaves_a_file_that_can_be_read(
    tmp_path: Path, clock: ManualClock
) -> None:
    program = f"""
import asyncio, pathlib
from tests.cache import deliveries as of
from tests.cache.test_segment_file import opened
from tests.clocks import ManualClock

async def run():
    clock = ManualClock()
    async with opened(pathlib.Path({str(tmp_path)!r}), clock) as memory:
        for minute in range(1_000_000):
            span = of.span(minute, minute + 1)
            memory.keep(of.KEY, of.delivery(span, {{minute: 1.0}}))
            await clock.sleep(1.0)
            print(minute, flush=True)

asyncio.run(run())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(200):
        await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    await process.communicate()

    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 1_000_000))

    assert known is not None
    assert len(known.series)
    assert of.minutes(known.covered) == [(0, len(known.series))]


@pytest.mark.parametrize("damage", ["rubbish", "torn", "foreign", "newer", "no table"])
async def test_a_file_that_cannot_be_used_is_moved_aside(
    damage: str,
    tmp_path: Path,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(tmp_path, clock) as memory:
        bars = dict.fromkeys(range(20000), 100.0)
        memory.keep(of.KEY, of.delivery(of.span(0, 20_000), bars))
    path = tmp_path / FILE_NAME
    (tmp_path / f"{FILE_NAME}.broken-1").write_bytes(b"former")
    match damage:
        case "rubbish":
            path.write_bytes(os.urandom(100_000))
        case "torn":
            path.write_bytes(path.read_bytes()[:5000])
        case "foreign":
            change(tmp_path, "pragma application_id = 7")
        case "newer":
            change(tmp_path, "pragma user_version = 99")
        case _:
            change(tmp_path, "drop table block")

    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 100.0}))
        await clock.advance(1.0)
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 20_000))
        await clock.advance(10.0)
        await until(lambda: not memory.use(of.NOW_NS).file_problem)
    async with opened(tmp_path, clock) as memory:
        await memory.ready(OTHER)
        other = of.look(memory, of.span(0, 2), key=OTHER)

    assert known is None or not len(known.series)
    assert of.closes(other) == {0: 100.0}
    assert len(aside(tmp_path)) == 1
    assert aside(tmp_path) != [f"{FILE_NAME}.broken-1"]
    assert sum("it is now" in line for line in caplog.messages) == 1


async def test_what_makes_no_sense_in_the_file_is_asked_for_again(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, clock) as memory:
        bars = dict.fromkeys(range(6000), 100.0)
        memory.keep(of.KEY, of.delivery(of.span(0, 6000), bars))
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 100.0}))
    change(
        tmp_path,
        "update block set bars = zeroblob(length(bars)) where number ="
        " (select min(number) + 1 from block)",
    )
    change(tmp_path, "update series set head = x'01' where name like '%other%'")

    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        await memory.ready(OTHER)
        known = of.look(memory, of.span(0, 6000))

        assert of.look(memory, of.span(0, 2), key=OTHER) is None
        assert known is not None
        covered = {
            minute for a, b in of.minutes(known.covered) for minute in range(a, b)
        }
        assert covered == of.closes(known).keys()
        assert len(covered) == 6000 - 2048
        assert memory.use(of.NOW_NS).file_problem == ""
    assert len(caplog.messages) == 2


async def test_without_a_folder_all_goes_on_in_memory_until_there_is_one(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    folder.write_text("in the way")
    async with opened(folder, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        await memory.ready(OTHER)

        assert of.closes(of.look(memory, of.span(0, 2))) == {0: 100.0}
        assert str(folder) in memory.use(of.NOW_NS).file_problem
        for _ in range(5):
            await clock.advance(2.0)
        assert len(caplog.messages) == 1
        folder.unlink()
        await clock.advance(60.0)
        await until(lambda: not memory.use(of.NOW_NS).file_problem)
        assert "again" in caplog.messages[-1]
    async with opened(folder, clock) as memory:
        await memory.ready(of.KEY)
        assert of.closes(of.look(memory, of.span(0, 2))) == {0: 100.0}


async def test_what_could_not_be_written_is_written_once_that_works(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        await clock.advance(1.0)
        await until(lambda: count(tmp_path, "series") == 1)
        change(
            tmp_path,
            "create trigger full before insert on block"
            " begin select raise(abort, 'the disk is full'); end",
        )
        memory.keep(of.KEY, of.delivery(of.span(2, 4), {2: 102.0}))
        await clock.advance(1.0)
        await until(lambda: "disk is full" in memory.use(of.NOW_NS).file_problem)
        change(tmp_path, "drop trigger full")
        await clock.advance(60.0)
        await until(lambda: not memory.use(of.NOW_NS).file_problem)
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 4))

    assert of.closes(known) == {0: 100.0, 2: 102.0}


async def test_a_file_that_is_deleted_meanwhile_begins_anew_with_whole_series(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        await clock.advance(1.0)
        await until(lambda: count(tmp_path, "series") == 1)
        empty(tmp_path)
        memory.keep(of.KEY, of.delivery(of.span(2, 4), {2: 102.0}))
        await clock.advance(1.0)
        await until(lambda: "deleted" in memory.use(of.NOW_NS).file_problem)
        await clock.advance(60.0)
        await until(lambda: not memory.use(of.NOW_NS).file_problem)
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 4))

    assert of.closes(known) == {0: 100.0, 2: 102.0}


async def test_the_file_is_bounded_and_forgets_what_was_used_longest_ago(
    tmp_path: Path, clock: ManualClock
) -> None:
    bars = dict.fromkeys(range(1000), 100.0)
    for number in range(12):
        async with opened(tmp_path, clock, limit_bytes=500_000) as memory:
            await memory.ready(numbered(0))
            of.look(memory, of.span(0, 1), key=numbered(0))
            memory.keep(numbered(number), of.delivery(of.span(0, 1000), bars))
        clock.pass_by(1.0)
    known = set()
    async with opened(tmp_path, clock, limit_bytes=500_000) as memory:
        for number in range(12):
            await memory.ready(numbered(number))
            if of.look(memory, of.span(0, 1), key=numbered(number)) is not None:
                known.add(number)

    assert (tmp_path / FILE_NAME).stat().st_size <= 500_000
    assert {0, 11, 10} <= known
    assert 1 not in known
    assert len(known) >= 5


async def test_realms_do_not_know_of_each_other(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock, realm="sandbox") as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        assert of.look(memory, of.span(0, 2)) is None
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 200.0}))
    async with opened(tmp_path, clock, realm="sandbox") as memory:
        await memory.ready(of.KEY)
        assert of.closes(of.look(memory, of.span(0, 2))) == {0: 100.0}


async def test_a_series_is_read_once_however_many_want_it(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
    reads: list[SeriesKey] = []
    load = SegmentFile.load

    def counted(file: SegmentFile, key: SeriesKey, *, most_bytes: int) -> object:
        reads.append(key)
        return load(file, key, most_bytes=most_bytes)

    monkeypatch.setattr(SegmentFile, "load", counted)
    async with opened(tmp_path, clock) as memory:
        impatient = asyncio.create_task(memory.ready(of.KEY))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(*(memory.ready(of.KEY) for _ in range(100)))
        assert of.closes(of.look(memory, of.span(0, 2))) == {0: 100.0}
        for _ in range(3):
            await memory.ready(of.KEY)
            await memory.ready(OTHER)

    assert reads == [of.KEY, OTHER]


async def test_what_came_while_the_file_was_read_is_not_overwritten(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 100.0}))

    async with opened(tmp_path, clock) as memory:
        reads = [asyncio.create_task(memory.ready(key)) for key in (of.KEY, OTHER)]
        await asyncio.sleep(0)
        memory.keep(of.KEY, of.delivery(of.span(5, 6), {5: 200.0}))
        memory.drop(OTHER)
        await asyncio.gather(*reads)
        await memory.ready(OTHER)
        assert of.closes(of.look(memory, of.span(0, 9))) == {5: 200.0}
        assert of.look(memory, of.span(0, 9), key=OTHER) is None
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        await memory.ready(OTHER)
        assert of.closes(of.look(memory, of.span(0, 9))) == {5: 200.0}
        assert of.look(memory, of.span(0, 9), key=OTHER) is None


async def test_what_had_to_leave_memory_comes_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    bars = dict.fromkeys(range(1000), 100.0)
    async with opened(tmp_path, clock, memory_bytes=400_000) as memory:
        for number in range(10):
            memory.keep(numbered(number), of.delivery(of.span(0, 1000), bars))
        # It left last, and is not yet in the file.
        assert of.look(memory, of.span(0, 9), key=numbered(3)) is None
        await memory.ready(numbered(3))
        assert of.look(memory, of.span(0, 9), key=numbered(3)) is not None
        await clock.advance(1.0)
        await until(lambda: count(tmp_path, "series") >= 7)
        assert of.look(memory, of.span(0, 9), key=numbered(4)) is None
        await memory.ready(numbered(4))
        assert of.look(memory, of.span(0, 9), key=numbered(4)) is not None
        use = memory.use(of.NOW_NS)

    assert use.bytes <= 400_000
    assert use.counts.evictions == 6
    assert use.series == 6
    assert use.bars == 6000


async def test_a_series_that_was_dropped_is_gone_from_the_file_too(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        await clock.advance(1.0)
        await until(lambda: count(tmp_path, "series") == 1)
        memory.drop(of.KEY)
        await memory.ready(of.KEY)
        assert of.look(memory, of.span(0, 2)) is None

    assert count(tmp_path, "series") == 0
    assert count(tmp_path, "block") == 0


async def test_prices_of_another_basis_replace_those_in_the_file(
    tmp_path: Path, clock: ManualClock
) -> None:
    bars = dict.fromkeys(range(5000), 100.0)
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 5000), bars, day=DAY))
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        split = of.delivery(of.span(0, 5), dict.fromkeys(range(5), 50.0), day=DAY + 1)
        assert memory.keep(of.KEY, split).rebased
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 5000), day=DAY + 1)

    assert of.closes(known) == dict.fromkeys(range(5), 50.0)
    assert known is not None
    assert known.verified
    assert of.minutes(known.covered) == [(0, 5)]


async def test_a_file_that_breaks_while_it_is_read_begins_anew(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
    async with opened(tmp_path, clock) as memory:
        change(tmp_path, "drop table block")
        await memory.ready(of.KEY)
        assert of.look(memory, of.span(0, 2)) is None
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 200.0}))
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        assert of.closes(of.look(memory, of.span(0, 2))) == {0: 200.0}


async def test_a_server_that_looks_only_keeps_what_it_looks_at(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 100.0}))
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 100.0}))
    clock.pass_by(100.0)
    async with opened(tmp_path, clock) as memory:
        await memory.ready(of.KEY)
        for _ in range(60):
            await clock.advance(1.0)
        await until(lambda: used(tmp_path) == ["acme"])


def used(folder: Path) -> list[str]:
    """Return the vendors whose series was used last."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        rows = connection.execute(
            "select json_extract(name, '$.provider') from series"
            " where used > (select min(used) from series)"
        )
        return [provider for (provider,) in rows]
