"""Counts are kept in place, by several servers at once, and are not kept for ever."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.service_counts import MINUTE_NS, Counts, Facts
from ingestion_server.domain.service_packing import packed, unpacked
from ingestion_server.ports.reporting import CountedStretch, Stint
from ingestion_server.store import report_places
from ingestion_server.store.reports import opened_reports
from tests.store.postgres import Postgres

pytestmark = pytest.mark.usefixtures("nothing_blocks")

HOUR = 480_000
DAY = 24 * 60
NOW_NS = (HOUR + 10 * DAY) * MINUTE_NS


def counted(
    minute: int, answered: int, *, stint: str = "a", failed: int = 0
) -> CountedStretch:
    """Return a minute of one RPC."""
    failures = {"LATE": failed} if failed else {}
    counts = Counts(answered=answered, failures=failures)
    return CountedStretch(minute, 1, stint, packed(Facts(rpcs={"A/One": counts})))


def stint(name: str, start: float, end: float) -> Stint:
    """Return a stint between two minutes."""
    return Stint(name, int(start * MINUTE_NS), int(end * MINUTE_NS))


def read(row: CountedStretch) -> tuple[int, int, str, int]:
    """Return a row with how many calls were answered."""
    facts = unpacked(row.packed)
    assert facts is not None
    return row.start_minute, row.minutes, row.stint, facts.rpcs["A/One"].answered


async def done(where: Path | str, statement: str) -> None:
    """Do something behind the server's back."""
    url = where if isinstance(where, str) else f"sqlite+aiosqlite:///{where}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


async def test_nothing_is_known_at_first(where: Path | str) -> None:
    async with opened_reports(where) as store:
        kept = await store.read(0, HOUR)

    assert (kept.counted, kept.stints, kept.since_ns) == ([], [], None)


async def test_what_is_kept_again_takes_the_place_of_what_was_there(
    where: Path | str,
) -> None:
    async with opened_reports(where) as store:
        await store.keep([stint("a", HOUR, HOUR)], [counted(HOUR, 1)])
        await store.keep(
            [stint("a", HOUR, HOUR + 1)], [counted(HOUR, 3), counted(HOUR + 1, 1)]
        )

    async with opened_reports(where) as store:
        kept = await store.read(HOUR, HOUR + 60)

    assert sorted(map(read, kept.counted)) == [
        (HOUR, 1, "a", 3),
        (HOUR + 1, 1, "a", 1),
    ]
    assert kept.stints == [stint("a", HOUR, HOUR + 1)]
    assert kept.since_ns == HOUR * MINUTE_NS


async def test_only_what_overlaps_is_read(where: Path | str) -> None:
    async with opened_reports(where) as store:
        rows = [counted(HOUR + each, 1) for each in range(10)]
        await store.keep([stint("a", HOUR, HOUR + 10)], rows)

        kept = await store.read(HOUR + 3, HOUR + 5)

    assert [row.start_minute for row in kept.counted] == [HOUR + 3, HOUR + 4]


async def test_a_day_that_could_not_be_kept_is_kept_at_once(where: Path | str) -> None:
    async with opened_reports(where) as store:
        rows = [counted(HOUR + each, 1) for each in range(DAY)]
        await store.keep([stint("a", HOUR, HOUR + DAY)], rows)
        await store.keep([stint("a", HOUR, HOUR + DAY)], rows)

        assert len((await store.read(HOUR, HOUR + DAY)).counted) == DAY


async def test_servers_that_share_a_database_add_up(where: Path | str) -> None:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(opened_reports(where)) for _ in range(3)
        ]
        # Tables that another is making as well are there the next time.
        await stores[0].keep([], [])
        await asyncio.gather(
            *(
                store.keep(
                    [stint(name, HOUR, HOUR + 1)], [counted(HOUR, 1, stint=name)]
                )
                for name, store in zip("abc", stores, strict=True)
            )
        )

        kept = await stores[0].read(HOUR, HOUR + 1)

    assert sorted(map(read, kept.counted)) == [
        (HOUR, 1, each, 1) for each in ("a", "b", "c")
    ]
    assert len(kept.stints) == 3


async def test_minutes_of_two_days_ago_become_hours(where: Path | str) -> None:
    fresh = HOUR + 10 * DAY - 60
    async with opened_reports(where) as store:
        await store.keep(
            [stint("a", HOUR, fresh + 60), stint("b", HOUR, HOUR + 50)],
            [
                counted(HOUR, 1),
                # Two of three fail, here and there together.
                counted(HOUR + 7, 1, failed=1),
                counted(HOUR + 7, 0, stint="b", failed=1),
                counted(HOUR + 59, 2, stint="b"),
                counted(HOUR + 60, 8),
                counted(fresh, 5),
            ],
        )
        await store.tidy(NOW_NS, 90)
        # And what was away for long comes late.
        await store.keep([], [counted(HOUR + 3, 10, stint="b")])
        await store.tidy(NOW_NS, 90)

        kept = await store.read(HOUR, HOUR + 10 * DAY)

    assert sorted(map(read, kept.counted)) == [
        (HOUR, 60, "", 14),
        (HOUR + 60, 60, "", 8),
        (fresh, 1, "a", 5),
    ]
    facts = unpacked(min(kept.counted, key=read).packed)
    assert facts is not None
    assert facts.bad_minutes == 1 << 7


async def test_servers_that_tidy_at_once_count_nothing_twice(where: Path | str) -> None:
    rows = [counted(HOUR + each, 1) for each in range(600)]
    async with (
        opened_reports(where) as one,
        opened_reports(where) as other,
    ):
        await one.keep([stint("a", HOUR, HOUR + 600)], rows)
        # Whoever is too late says so.
        await asyncio.gather(
            one.tidy(NOW_NS, 90), other.tidy(NOW_NS, 90), return_exceptions=True
        )
        await one.tidy(NOW_NS, 90)

        kept = await one.read(HOUR, HOUR + 600)

    assert sorted(map(read, kept.counted)) == [
        (HOUR + each * 60, 60, "", 60) for each in range(10)
    ]


async def test_what_is_too_old_is_forgotten(where: Path | str) -> None:
    async with opened_reports(where) as store:
        await store.keep(
            [
                stint("old", HOUR, HOUR + 1),
                stint("new", HOUR + 9 * DAY, HOUR + 10 * DAY),
            ],
            [counted(HOUR, 1), counted(HOUR + 9 * DAY, 1)],
        )

        await store.tidy(NOW_NS, 3)

        kept = await store.read(0, HOUR + 10**6)
    assert [row.start_minute for row in kept.counted] == [HOUR + 9 * DAY]
    assert [each.name for each in kept.stints] == ["new"]
    assert kept.since_ns == (HOUR + 9 * DAY) * MINUTE_NS


async def test_many_restarts_of_two_days_ago_are_few_rows(where: Path | str) -> None:
    crashing = [stint(f"s{each}", HOUR + each, HOUR + each + 0.5) for each in range(50)]
    apart = stint("apart", HOUR + 60, HOUR + 61)
    fresh = [stint(name, HOUR + 10 * DAY - 1, HOUR + 10 * DAY) for name in "xy"]
    async with opened_reports(where) as store:
        await store.keep([*crashing, apart, *fresh], [])

        await store.tidy(NOW_NS, 90)

        kept = await store.read(HOUR, HOUR + 11 * DAY)
    assert sorted((each.started_ns, each.until_ns) for each in kept.stints) == sorted(
        (each.started_ns, each.until_ns)
        for each in (stint("", HOUR, HOUR + 49.5), apart, *fresh)
    )


async def test_damaged_counts_stay_as_they_are(where: Path | str) -> None:
    damaged = CountedStretch(HOUR + 1, 1, "a", b"rubbish")
    async with opened_reports(where) as store:
        await store.keep([], [counted(HOUR, 1), damaged, counted(HOUR + 60, 2)])

        await store.tidy(NOW_NS, 90)

        kept = await store.read(HOUR, HOUR + DAY)
    assert sorted((row.start_minute, row.minutes) for row in kept.counted) == [
        (HOUR, 1),
        (HOUR + 1, 1),
        (HOUR + 60, 60),
    ]


async def test_counts_of_a_newer_version_are_left_alone(where: Path | str) -> None:
    async with opened_reports(where) as store:
        await store.keep([], [counted(HOUR, 1)])
        await done(where, "update ingestion_report_store set version = 2")

        with pytest.raises(StateUnavailableError, match="newer version"):
            await store.keep([], [counted(HOUR, 2)])

        await done(where, "update ingestion_report_store set version = 1")
        (row,) = (await store.read(HOUR, HOUR + 1)).counted
    assert read(row) == (HOUR, 1, "a", 1)


async def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "reports.sqlite"
    async with opened_reports(path) as store:
        await store.keep([], [counted(HOUR, 1)])
        await asyncio.to_thread(shutil.rmtree, path.parent)

        await store.keep([], [counted(HOUR, 2)])

        (row,) = (await store.read(HOUR, HOUR + 1)).counted
    assert read(row) == (HOUR, 1, "a", 2)


async def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    async with opened_reports(tmp_path / "reports" / "reports.sqlite") as store:
        with pytest.raises(StateUnavailableError, match="cannot be used: File exists"):
            await store.keep([], [])


async def test_a_file_that_somebody_else_writes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_places, "WAIT_SECONDS", 0.05)
    path = tmp_path / "reports.sqlite"
    async with opened_reports(path) as store:
        await store.keep([], [])
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        async with engine.connect() as other:
            await other.exec_driver_sql("begin immediate")
            with pytest.raises(StateUnavailableError, match="used by another program"):
                await store.keep([], [counted(HOUR, 1)])
        await engine.dispose()

        await store.keep([], [counted(HOUR, 1)])


async def test_a_database_that_is_not_there_is_told_without_its_password(
    postgres_server: Postgres,
) -> None:
    url = postgres_server.url("nowhere")

    async with opened_reports(url) as store:
        with pytest.raises(StateUnavailableError) as caught:
            await store.read(0, 1)

    assert "create the database" in caught.value.message
    assert "pa55" not in caught.value.message


async def test_a_url_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(StateUnavailableError, match="must be postgresql"):
        async with opened_reports("mysql://nowhere"):
            pass
