"""The file that must survive: what is wrong with it is said, and nothing is made up."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from ingestion_server.domain.errors import LedgerUnavailableError
from ingestion_server.ports.budget import Budget
from ingestion_server.quota.account import Account
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.journal import JournalError
from ingestion_server.quota.journal_file import FILE_NAME, LOCK_NAME
from ingestion_server.quota.ledger import Ledger, Place, Setup
from ingestion_server.quota.sqlite_journal import SqliteJournal
from tests.clocks import ManualClock
from tests.quota.desk import DAY, MINUTE, take

NOW = Instant(1000.0, 1_736_519_400_000_000_000, 1_736_519_400_000_000_000)
PAGE = 4096


def opened(folder: Path, boot: str = "first") -> SqliteJournal:
    """Open the file of a folder."""
    return SqliteJournal.open(folder, boot=boot, anchor_ns=7)


def filled(folder: Path, *, calls: int = 300) -> None:
    """Leave a ledger with a state and calls after it, as a kill would."""
    journal = opened(folder)
    vendor = journal.vendor("acme", "", "key")
    credential = vendor.credentials["key"].id
    journal.save(vendor.id, {"what": "x" * 9000}, {credential: {"it": 1}}, NOW)
    for number in range(calls):
        journal.debit(credential, number, NOW, 3, batch=True)
    journal.refund(credential, 1, NOW, 3)
    journal.close()


def refusal(folder: Path) -> str:
    """Return why the file is not used, once nothing was made anew."""
    before = (folder / FILE_NAME).read_bytes()
    with pytest.raises(JournalError) as caught:
        opened(folder).vendor("acme", "", "key")
    assert (folder / FILE_NAME).read_bytes() == before
    return str(caught.value)


def overwritten(folder: Path, at: int, data: bytes) -> None:
    """Overwrite a part of the file."""
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    filled(tmp_path, calls=2)

    vendor = opened(tmp_path).vendor("acme", "", "key")

    assert vendor.state == {"what": "x" * 9000}
    assert vendor.same_boot is True
    assert vendor.as_of == NOW
    (key,) = vendor.credentials.values()
    assert key.state == {"it": 1}
    assert [(e.refund, e.number, e.units, e.batch) for e in key.entries] == [
        (False, 0, 3, True),
        (False, 1, 3, True),
        (True, 1, 3, False),
    ]
    assert key.entries[0].at == NOW


def test_vendors_realms_and_keys_are_apart(tmp_path: Path) -> None:
    filled(tmp_path)
    journal = opened(tmp_path)

    assert journal.vendor("acme", "sandbox", "key").state is None
    assert journal.vendor("other", "", "key").state is None
    assert journal.vendor("acme", "", "new").credentials["new"].state is None
    assert {*journal.vendor("acme", "", "new").credentials} == {"key", "new"}


@pytest.mark.parametrize(
    ("boot", "same", "anchor_ns"),
    [("first", True, 7), ("second", False, 8), ("", None, 8)],
)
def test_another_start_of_the_machine_is_told_apart(
    tmp_path: Path, boot: str, same: object, anchor_ns: int
) -> None:
    filled(tmp_path)

    journal = SqliteJournal.open(tmp_path, boot=boot, anchor_ns=8)

    assert journal.vendor("acme", "", "key").same_boot is same
    assert journal.anchor_ns == anchor_ns


class TestWrongFiles:
    """None of them is taken for an empty ledger."""

    @pytest.mark.parametrize(
        "damage",
        [
            lambda folder: overwritten(folder, 0, b"\0" * 100),
            lambda folder: overwritten(folder, 20, b"\xff" * 40),
            lambda folder: overwritten(folder, 2 * PAGE, b"\xff" * PAGE),
            lambda folder: overwritten(folder, 2 * PAGE, bytes(PAGE)),
            lambda folder: overwritten(folder, 6 * PAGE, b"\xff" * PAGE),
        ],
        ids=["no header", "a wrong header", "garbage", "a hole", "garbage behind"],
    )
    def test_a_corrupt_file_is_refused(
        self, tmp_path: Path, damage: Callable[[Path], None]
    ) -> None:
        filled(tmp_path)
        damage(tmp_path)

        said = refusal(tmp_path)

        assert str(tmp_path / FILE_NAME) in said
        assert "corrupt" in said
        assert "restore it from a backup, or move" in said

    @pytest.mark.parametrize("size", [0, 1, 50, PAGE, 3 * PAGE + 17])
    def test_a_truncated_file_is_refused(self, tmp_path: Path, size: int) -> None:
        filled(tmp_path)
        with (tmp_path / FILE_NAME).open("r+b") as file:
            file.truncate(size)

        assert "corrupt" in refusal(tmp_path)

    def test_letters_that_are_changed_within_a_state_are_noticed(
        self, tmp_path: Path
    ) -> None:
        filled(tmp_path)
        data = (tmp_path / FILE_NAME).read_bytes()
        overwritten(tmp_path, data.index(b"x" * 100), b"y")

        assert "checksum" in refusal(tmp_path)

    def test_a_state_that_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        filled(tmp_path)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            file.execute("update vendor set state = x'00'")
            file.commit()

        assert "corrupt" in refusal(tmp_path)

    def test_a_state_that_makes_no_sense_is_refused(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        filled(tmp_path)

        with pytest.raises(JournalError, match=r"what .* tells of acme makes no sense"):
            ledger(tmp_path, clock)

        # Whoever is refused holds no lock.
        opened(tmp_path).close()

    def test_a_database_of_somebody_else_is_refused_and_left_as_it_is(
        self, tmp_path: Path
    ) -> None:
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            file.execute("create table cookies (name text)")
            file.execute("pragma user_version = 1")

        assert "is not a ledger of this server" in refusal(tmp_path)

    def test_a_file_of_a_newer_version_is_refused(self, tmp_path: Path) -> None:
        filled(tmp_path)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            file.execute("pragma user_version = 2")

        assert "newer version" in refusal(tmp_path)

    def test_a_log_without_its_file_is_not_thrown_away(self, tmp_path: Path) -> None:
        (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"calls")

        with pytest.raises(JournalError, match="is gone, but"):
            opened(tmp_path)

        assert (tmp_path / f"{FILE_NAME}-wal").read_bytes() == b"calls"

    def test_a_start_that_was_interrupted_is_made_again(self, tmp_path: Path) -> None:
        (tmp_path / f"{FILE_NAME}.new").write_bytes(b"half")
        (tmp_path / f"{FILE_NAME}-wal").touch()

        opened(tmp_path).close()

        assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, LOCK_NAME}

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(JournalError, match="cannot keep the ledger in"):
            opened(tmp_path / "file" / "folder")

    def test_a_lock_that_is_no_file_of_ours_is_told(self, tmp_path: Path) -> None:
        (tmp_path / LOCK_NAME).write_bytes(b"no database at all" * 100)

        with pytest.raises(JournalError, match=r"cannot lock .*; delete it"):
            opened(tmp_path)

        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        (tmp_path / LOCK_NAME).mkdir()
        with pytest.raises(JournalError, match="cannot lock"):
            opened(tmp_path)

    def test_a_file_that_is_a_folder_is_told(self, tmp_path: Path) -> None:
        (tmp_path / FILE_NAME).mkdir()

        with pytest.raises(JournalError, match="cannot use"):
            opened(tmp_path)


class TestTwoServers:
    """One file has one server."""

    def test_a_second_one_is_refused_and_told_why(self, tmp_path: Path) -> None:
        first = opened(tmp_path)

        with pytest.raises(JournalError, match=r"another server uses .*--state DIR"):
            opened(tmp_path)

        first.close()
        opened(tmp_path).close()

    def test_the_lock_ends_with_the_process_however_it_ends(
        self, tmp_path: Path
    ) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from ingestion_server.quota.sqlite_journal import SqliteJournal\n"
            "from ingestion_server.quota.instant import Instant\n"
            "journal = SqliteJournal.open(Path(sys.argv[1]), boot='b', anchor_ns=1)\n"
            "key = journal.vendor('acme', '', 'key').credentials['key'].id\n"
            "journal.debit(key, 1, Instant(1.0, 2, 3), 4, batch=False)\n"
            "print('written', flush=True)\n"
            "sys.stdin.read()\n"
        )
        with subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "written\n"
            with pytest.raises(JournalError, match="another server"):
                opened(tmp_path)

            other.send_signal(signal.SIGKILL)
            other.wait(timeout=10.0)

        key = opened(tmp_path).vendor("acme", "", "key").credentials["key"]
        assert [(each.number, each.at, each.units) for each in key.entries] == [
            (1, Instant(1.0, 2, 3), 4)
        ]


def ledger(folder: Path, clock: ManualClock) -> Ledger:
    """Open a ledger of one vendor."""
    budget = Budget(windows=(MINUTE, msgspec.structs.replace(DAY, limit=9999)))
    return Ledger(
        [Setup("acme", "free", budget, "key")],
        clock=clock,
        place=Place(folder, boot="first"),
    )


def used(book: Ledger) -> list[int]:
    """Return what is counted in each window."""
    return [use.used + use.reserved for use in book.uses()[0].windows]


async def until_held_back(acme: Account, clock: ManualClock) -> int:
    """Call until that cannot be written any more; return how often it could."""
    for calls in range(1000):
        clock.pass_by(61.0)
        try:
            await take(acme)
        except LedgerUnavailableError:
            return calls
    raise AssertionError("nothing was ever held back")


@contextmanager
def mounted(folder: Path, *, size: str) -> Iterator[Callable[[str], None]]:
    """Have a file system of one's own, and something that mounts it otherwise."""

    def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own words
            [tool, *arguments, str(folder)],
            check=False,
            capture_output=True,
            text=True,
        )

    tool = shutil.which("mount")
    done = tool and mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")
    if not tool or not done or done.returncode:
        pytest.skip("only a user who may mount can fill a file system or close it")

    def again(options: str) -> None:
        assert mount("-o", f"remount,{options}").returncode == 0

    try:
        yield again
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


class TestDisks:
    """A disk that cannot be written holds calls back, and forgets none."""

    def test_a_folder_that_cannot_be_written_is_told_at_the_start(
        self, tmp_path: Path
    ) -> None:
        with mounted(tmp_path, size="8m") as remount:
            filled(tmp_path)
            remount("ro")

            with pytest.raises(JournalError, match="--state DIR"):
                opened(tmp_path)

    async def test_a_disk_that_fills_up_and_is_emptied(
        self, tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        with mounted(tmp_path, size="400k") as _:
            book = await asyncio.to_thread(ledger, tmp_path, clock)
            acme = book.accounts["acme"]
            await take(acme, 2)
            ballast = tmp_path / "ballast"
            # What a log has taken it keeps, so there may be room for a few more.
            with pytest.raises(OSError, match="No space left"):
                ballast.write_bytes(bytes(1 << 20))
            before = 2 + await until_held_back(acme, clock)
            with pytest.raises(LedgerUnavailableError):
                await take(acme)
            held = used(book)

            ballast.unlink()
            await take(acme, 2)

            assert held[1] == before
            assert used(book)[1] == before + 2
            assert [each.levelname for each in caplog.records] == ["ERROR", "WARNING"]
            assert "full" in caplog.messages[0]
            assert "can be written again" in caplog.messages[1]
            book.close()
            again = await asyncio.to_thread(ledger, tmp_path, clock)
            assert used(again)[1] == before + 2
            again.close()

    async def test_a_file_that_may_not_grow_is_a_full_disk(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        book = await asyncio.to_thread(ledger, tmp_path, clock)
        acme = book.accounts["acme"]
        file = book._file  # noqa: SLF001 - nothing but SQLite itself can be that full
        assert file is not None
        file._connection.execute("pragma max_page_count = 1")  # noqa: SLF001
        await until_held_back(acme, clock)
        with pytest.raises(LedgerUnavailableError, match="full"):
            await take(acme)
        count = used(book)[1]

        file._connection.execute("pragma max_page_count = 100000")  # noqa: SLF001
        await take(acme)

        assert used(book)[1] == count + 1
        book.close()


def test_a_log_that_has_grown_begins_anew(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    key = journal.vendor("acme", "", "key").credentials["key"].id
    for number in range(256):
        assert not journal.long
        journal.debit(key, number, NOW, 1, batch=False)
    assert journal.long
    log = tmp_path / f"{FILE_NAME}-wal"
    size = log.stat().st_size

    journal.checkpoint()
    for number in range(100):
        journal.debit(key, number, NOW, 1, batch=False)

    assert not journal.long
    assert log.stat().st_size == size
    journal.close()


class TestLostFiles:
    """A file that is not there any more is not written into."""

    @pytest.mark.parametrize("name", [FILE_NAME, f"{FILE_NAME}-wal"])
    @pytest.mark.parametrize("replaced", [True, False])
    def test_it_is_said_and_nothing_is_written_until_it_is_back(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        name: str,
        *,
        replaced: bool,
    ) -> None:
        journal = opened(tmp_path)
        vendor = journal.vendor("acme", "", "key")
        key = vendor.credentials["key"].id
        journal.look()
        (tmp_path / name).rename(tmp_path / "elsewhere")
        if replaced:
            shutil.copy(tmp_path / "elsewhere", tmp_path / name)

        for _ in range(2):
            journal.checkpoint()
            journal.look()
            with pytest.raises(JournalError, match="restart the server"):
                journal.debit(key, 1, NOW, 1, batch=False)
            with pytest.raises(JournalError, match="put it back"):
                journal.save(vendor.id, {}, {}, NOW)
        assert (tmp_path / name).exists() is replaced
        (tmp_path / "elsewhere").rename(tmp_path / name)
        journal.look()
        journal.debit(key, 2, NOW, 1, batch=False)

        assert [each.levelname for each in caplog.records] == ["ERROR", "WARNING"]
        assert len(journal.vendor("acme", "", "key").credentials["key"].entries) == 1
        journal.close()

    def test_what_cannot_be_looked_at_is_not_lost(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(path: Path) -> None:
            raise OSError(5, "Input/output error", str(path))

        journal = opened(tmp_path)
        key = journal.vendor("acme", "", "key").credentials["key"].id
        monkeypatch.setattr(Path, "stat", broken)

        journal.look()

        journal.debit(key, 1, NOW, 1, batch=False)
        journal.close()

    async def test_calls_are_held_back_within_a_second(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        book = await asyncio.to_thread(ledger, tmp_path, clock)
        acme = book.accounts["acme"]
        async with book.keeping():
            await take(acme)
            await asyncio.to_thread((tmp_path / FILE_NAME).unlink)

            async def until_held() -> str:
                while True:
                    await clock.advance(1.0)
                    await asyncio.sleep(0.01)
                    try:
                        await take(acme)
                    except LedgerUnavailableError as error:
                        return str(error)

            said = await asyncio.wait_for(until_held(), 10)
        assert "was deleted, moved or replaced" in said
        assert not await asyncio.to_thread((tmp_path / FILE_NAME).exists)


async def test_somebody_else_who_writes_holds_calls_back_and_nobody_up(
    tmp_path: Path, clock: ManualClock
) -> None:
    book = await asyncio.to_thread(ledger, tmp_path, clock)
    acme = book.accounts["acme"]
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as shell:
        shell.execute("begin immediate")
        begin = time.perf_counter()
        for _ in range(10):
            with pytest.raises(LedgerUnavailableError, match="locked"):
                await take(acme)
        book.save()
        assert time.perf_counter() - begin < 0.5
        shell.execute("rollback")

    await take(acme)
    book.close()


def test_a_number_that_is_too_large_is_told(tmp_path: Path) -> None:
    journal = opened(tmp_path)

    with pytest.raises(JournalError, match="too large"):
        journal.debit(1, 1, NOW, 1 << 64, batch=False)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.save(1, {"count": 1 << 64}, {}, NOW)
    journal.refund(1, 1, NOW, 1 << 64)
    journal.close()


def test_what_is_closed_cannot_be_written(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.close()

    with pytest.raises(JournalError, match="cannot be written"):
        journal.debit(1, 1, NOW, 1, batch=False)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.save(1, {}, {}, NOW)
    # Without it a restart counts the call: that is no reason to fail.
    journal.refund(1, 1, NOW, 1)
