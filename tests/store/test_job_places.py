"""Where jobs are kept: what is wrong with it is said, and nothing is harmed."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.jobs import UnitCounts, UnitState
from ingestion_server.ports.jobs import JobStore
from ingestion_server.store import postgres_place, sqlite_place
from ingestion_server.store.jobs import FILE_NAME, opened
from tests.store.postgres import PASSWORD, Postgres
from tests.store.work import all_units, job, landed, summed, units

pytestmark = pytest.mark.usefixtures("nothing_blocks")


async def refusal(where: Path | str, realm: str = "") -> str:
    """Return why a store is not opened."""
    with pytest.raises(StateUnavailableError) as caught:
        async with opened(where, realm=realm):
            pass
    return caught.value.message


async def done(where: Path | str, statement: str) -> None:
    """Do something behind the server's back."""
    url = where if isinstance(where, str) else f"sqlite+aiosqlite:///{where}"
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


class TestOneServer:
    """Jobs belong to one server, one version and one world."""

    async def test_a_second_server_is_refused_until_the_first_has_gone(
        self, where: Path | str
    ) -> None:
        async with opened(where) as store:
            await store.create(job(), units(2))

            said = await refusal(where)

            assert "another server has the jobs in" in said
            assert await store.counts("one", 1) == UnitCounts(pending=2)

        async with opened(where) as store:
            assert await store.job("one") == job()

    async def test_tables_of_a_newer_version_are_refused(
        self, where: Path | str
    ) -> None:
        async with opened(where):
            pass
        await done(where, "update ingestion_store set version = 2")

        said = await refusal(where)

        assert (
            "by a newer version of this server (their tables are of version 2" in said
        )
        await done(where, "update ingestion_store set version = 1")
        async with opened(where):
            pass

    async def test_jobs_for_simulated_vendors_are_never_run_with_real_ones(
        self, where: Path | str
    ) -> None:
        async with opened(where, realm="simulated"):
            pass

        told = await refusal(where)
        assert "are for simulated vendors, and would now be run with real ven" in told
        async with opened(where, realm="simulated"):
            pass


_KILLED = """
import asyncio, sys
from itertools import count
from pathlib import Path
from ingestion_server.store.jobs import opened
from tests.store.work import job, landed, units

async def main(where):
    async with opened(where) as store:
        await store.create(job(), units(1000))
        for run in count(2):
            for unit in await store.take("one", 1, now_ns=0, limit=2):
                kept = await store.keep_unit(landed(unit))
                print("landed", kept.landing, flush=True)
            first = await store.last_number("one") + 1
            print("begins", run, flush=True)
            await store.begin_run(job(run=run), units(500, run=run, first=first))
            print("begun", run, flush=True)

where = sys.argv[1]
asyncio.run(main(where if "://" in where else Path(where)))
"""


@pytest.mark.parametrize("lines", [1, 8, 17, 30])
async def test_after_kill_9_all_is_there_that_was_said_and_no_half_run(
    where: Path | str, lines: int
) -> None:
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _KILLED,
        str(where),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    said = [(await other.stdout.readline()).split() for _ in range(lines)]

    other.send_signal(signal.SIGKILL)
    said += [line.split() for line in (await other.stdout.read()).splitlines()]
    await other.wait()

    landings = [int(number) for what, number in said if what == b"landed"]
    runs = [int(number) for what, number in said if what == b"begun"]
    async with opened(where) as store:
        told = [
            unit.landing for unit in await store.landings("one", after=0, limit=9999)
        ]
        assert told == [*range(1, len(told) + 1)]
        assert len(told) in {len(landings), len(landings) + 1}
        kept = await store.job("one")
        assert kept is not None
        assert kept.run in {max(runs, default=1), max(runs, default=1) + 1}
        assert len(await all_units(store, run=kept.run)) == (
            500 if kept.run > 1 else 1000
        )
        assert await all_units(store, run=kept.run + 1) == []
        assert await store.last_number("one") == 500 + 500 * kept.run
        assert await store.counts("one", 1) == summed(await all_units(store))
        await store.release("one", to=UnitState.PENDING)
        assert (await store.counts("one", 1)).pending == 1000 - len(told)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for those who will not go."""
    monkeypatch.setattr(postgres_place, "PATIENCE_SECONDS", 1)


@contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[None]:
    """Have a file system of one's own."""
    mount = shutil.which("mount")
    arguments = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if (
        not mount
        or subprocess.run(  # noqa: S603 - our own words
            [mount, *arguments], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("only a user who may mount can fill a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


async def _until_full(store: JobStore) -> tuple[int, str]:
    """Begin runs until one cannot be kept; return which, and what was said."""
    for run in range(2, 99):
        try:
            await store.begin_run(job(run=run), units(200, run=run, first=run * 1000))
        except StateUnavailableError as error:
            return run, error.message
    raise AssertionError("the disk never filled up")


class TestFile:
    """An embedded database is in a file."""

    async def test_it_is_made_with_its_folder_where_that_was_said(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "of" / "mine?#%" / FILE_NAME

        async with opened(path) as store:
            await store.create(job(), units(1))

        assert {each.name for each in path.parent.iterdir()} == {
            FILE_NAME,
            f"{FILE_NAME}.lock",
        }

    async def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        said = await refusal(tmp_path / "file" / "state" / FILE_NAME)

        assert f"cannot keep jobs in {tmp_path / 'file' / 'state' / FILE_NAME}" in said
        assert "Not a directory; choose another folder with --state DIR" in said

    async def test_a_folder_in_its_place_is_told(self, tmp_path: Path) -> None:
        (tmp_path / FILE_NAME).mkdir()

        said = await refusal(tmp_path / FILE_NAME)

        assert "unable to open database file; choose another folder" in said

    async def test_what_is_no_database_is_told_and_left(self, tmp_path: Path) -> None:
        path = tmp_path / FILE_NAME
        path.write_bytes(b"no database at all" * 999)

        said = await refusal(path)

        assert f"{path} is not a database, or a damaged one; restore it from" in said
        assert path.read_bytes() == b"no database at all" * 999

    async def test_what_is_damaged_within_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / FILE_NAME
        async with opened(path) as store:
            await store.create(job(), units(2000))
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096 * 20)
            file.write(b"\xff" * (size - 4096 * 20))

        async with opened(path) as store:
            with pytest.raises(StateUnavailableError, match=r"jobs.sqlite is not a"):
                await all_units(store)

    async def test_a_database_of_somebody_else_is_left_as_it_is(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / FILE_NAME
        with closing(sqlite3.connect(path)) as file:
            file.execute("create table cookies (name text)")
        before = path.read_bytes()

        said = await refusal(path)

        assert f"{path} is a database of another program; move it away" in said
        assert path.read_bytes() == before

    async def test_a_lock_that_is_no_file_of_ours_is_told(self, tmp_path: Path) -> None:
        (tmp_path / f"{FILE_NAME}.lock").mkdir()

        assert "cannot keep jobs in" in await refusal(tmp_path / FILE_NAME)

    async def test_a_disk_that_fills_up_is_told_and_nothing_is_lost(
        self, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path, size="1m"):
            async with opened(tmp_path / FILE_NAME) as store:
                await store.create(job(), units(9))
                ballast = tmp_path / "ballast"
                with suppress(OSError):
                    ballast.write_bytes(bytes(2 << 20))

                run, said = await _until_full(store)
                kept = await store.job("one")

                path = tmp_path / FILE_NAME
                assert said == f"{path} cannot be written: the disk is full; make room"
                assert kept is not None
                assert kept.run == run - 1
                assert await store.counts("one", run) == UnitCounts()
                ballast.unlink()
                many = units(200, run=run, first=run * 1000)
                await store.begin_run(job(run=run), many)
                assert await store.counts("one", run) == UnitCounts(pending=200)

            async with opened(tmp_path / FILE_NAME) as store:
                assert await all_units(store, run=run) == many

    async def test_a_file_that_was_taken_away_is_not_written_into(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / FILE_NAME
        async with opened(path) as store:
            await store.create(job(), [])
            path.rename(tmp_path / "elsewhere")

            with pytest.raises(StateUnavailableError, match="put it back, or restart"):
                await store.save(job(detail="changed"))
            shutil.copy(tmp_path / "elsewhere", path)
            with pytest.raises(StateUnavailableError, match="moved or replaced"):
                await store.save(job(detail="changed"))

            (tmp_path / "elsewhere").rename(path)
            await store.save(job(detail="back"))
            assert await store.job("one") == job(detail="back")

    async def test_another_program_that_keeps_it_locked_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_place, "WAIT_SECONDS", 0.1)
        path = tmp_path / FILE_NAME
        async with opened(path) as store:
            await store.create(job(), units(1))
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("begin immediate")
                with pytest.raises(StateUnavailableError, match="by another program"):
                    await store.take("one", 1, now_ns=0, limit=1)
            assert len(await store.take("one", 1, now_ns=0, limit=1)) == 1


class TestPostgres:
    """A PostgreSQL may be away, or refuse us; its password is never told."""

    async def test_what_it_refuses_is_told_without_the_password(
        self, postgres_server: Postgres
    ) -> None:
        wrong = await refusal(postgres_server.url("postgres", password="wr0ng"))
        absent = await refusal(postgres_server.url("nowhere"))
        unknown = await refusal(postgres_server.url("postgres", query="?sslmode=no"))

        place = f"PostgreSQL 127.0.0.1:{postgres_server.port}"
        assert f"{place}/postgres refuses the user or the password of store." in wrong
        assert f"{place}/nowhere is not there; create the database" in absent
        assert "'sslmode'); TLS is asked for by ?ssl=require" in unknown
        for said in (wrong, absent, unknown):
            assert not re.search("wr0ng|pa55", said)

    async def test_one_that_cannot_be_reached_is_told(self) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            said = await refusal(Postgres(port).url("jobs"))

        assert f"PostgreSQL 127.0.0.1:{port}/jobs cannot be reached: " in said
        assert "Connect call failed" in said
        assert "start it, or mend store.url (INGESTION_STORE__URL)" in said

    @pytest.mark.parametrize(
        "url",
        [
            f"mysql://me:{PASSWORD}@host/jobs",
            f"postgresql://me:{PASSWORD}@host/jobs",
            f"postgresql+asyncpg://me:{PASSWORD}@host:port/jobs",
            "nonsense",
        ],
    )
    async def test_what_is_no_url_of_one_is_told(self, url: str) -> None:
        said = await refusal(url)

        assert "must be postgresql+asyncpg://USER:PASSWORD@HOST:PORT/DATABASE" in said
        assert "pa55" not in said

    async def test_without_its_driver_it_is_said_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "asyncpg", None)

        said = await refusal(Postgres(1).url("jobs"))

        assert "needs asyncpg, which is not installed: pip install 'ing" in said

    async def test_a_user_who_may_make_no_tables_is_told(
        self, postgres_server: Postgres
    ) -> None:
        name = await asyncio.to_thread(postgres_server.new_database)
        await postgres_server.run("drop schema public", database=name)

        said = await refusal(postgres_server.url(name))

        assert f"/{name} cannot be used: no schema has been selected" in said

    async def test_cut_connections_are_made_anew_and_nobody_notices(
        self, postgres_server: Postgres
    ) -> None:
        name = await asyncio.to_thread(postgres_server.new_database)
        async with opened(postgres_server.url(name)) as store:
            await store.create(job(), units(4))
            await _cut(postgres_server, name)

            taken = await store.take("one", 1, now_ns=0, limit=2)

            assert len(taken) == 2
            assert "another server" in await refusal(postgres_server.url(name))

    async def test_who_has_lost_the_lock_to_another_server_changes_nothing(
        self, postgres_server: Postgres
    ) -> None:
        name = await asyncio.to_thread(postgres_server.new_database)
        url = postgres_server.url(name)
        async with opened(url) as store:
            await store.create(job(), units(4))
            await _cut(postgres_server, name)
            async with opened(url) as other:
                with pytest.raises(StateUnavailableError, match="another server has"):
                    await store.take("one", 1, now_ns=0, limit=2)
                assert await other.counts("one", 1) == UnitCounts(pending=4)

            (unit,) = await store.take("one", 1, now_ns=0, limit=1)
            assert (await store.keep_unit(landed(unit))).landing == 1

    async def test_who_gives_up_waiting_for_the_lock_does_not_have_it(
        self, postgres_server: Postgres
    ) -> None:
        name = await asyncio.to_thread(postgres_server.new_database)
        url = postgres_server.url(name)
        async with opened(url) as store:
            await store.create(job(), units(4))
            await _cut(postgres_server, name)
            async with opened(url):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await store.take("one", 1, now_ns=0, limit=2)

                with pytest.raises(StateUnavailableError, match="another server has"):
                    await store.take("one", 1, now_ns=0, limit=2)


async def _cut(server: Postgres, database: str) -> None:
    """Cut all connections to a database off."""
    connection: asyncpg.Connection = await server.connected()
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
            database,
        )
        # They are gone once nobody has the lock any more.
        while await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = $1", database
        ):
            pass
    finally:
        await connection.close()
