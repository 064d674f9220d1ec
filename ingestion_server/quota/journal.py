"""
The one file that must survive: what was used, written before the call leaves.

It is an embedded SQLite database, by the standard library: a commit takes 10 µs, an
object-relational mapper on top would take several times that, on the way of every
call. Each call is one row, and now and then the rows of a vendor are summed up in a
state. ``kill -9`` loses nothing, since a commit has reached the operating system; a
power failure may lose the last second.

Who opens the file holds a lock on another one beside it as long as the process
lives, since two servers with one file would each believe to be the only one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self, final

import msgspec
from typing_extensions import override

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import State

FILE_NAME: Final = "ledger.sqlite3"
LOCK_NAME: Final = "ledger.lock"
_VERSION: Final = 1
_LONG_LOG: Final = 256
"""Writes; each takes a page of 4 kB in the log."""
_SCHEMA: Final = """
create table vendor (
  id integer primary key,
  provider text not null,
  realm text not null,
  state blob,
  boot text not null default '',
  seconds real not null default 0,
  wall_ns integer not null default 0,
  unique (provider, realm)
) strict;
create table credential (
  id integer primary key,
  vendor integer not null references vendor,
  identity text not null,
  state blob,
  unique (vendor, identity)
) strict;
create table entry (
  id integer primary key,
  credential integer not null references credential,
  refund integer not null,
  number integer not null,
  seconds real not null,
  wall_ns integer not null,
  steady_ns integer not null,
  units integer not null,
  batch integer not null
) strict;
create table session (boot text not null, anchor_ns integer not null) strict;
"""


class JournalError(Exception):
    """Say that the file cannot be used, and what to do about it."""


class Entry(NamedTuple):
    """Be one call that was written down, or taken back."""

    refund: bool
    number: int
    at: Instant
    units: int
    batch: bool


class CredentialRecord(NamedTuple):
    """Hold what is known of one key."""

    id: int
    state: State | None
    entries: Sequence[Entry]
    """What came after the state."""


class VendorRecord(NamedTuple):
    """Hold what is known of one vendor."""

    id: int
    state: State | None
    same_boot: bool
    """Whether the machine was not started since, so that the seconds go on."""
    as_of: Instant | None
    """The latest moment that was written down; None = nothing was."""
    credentials: Mapping[str, CredentialRecord]


class Journal(Protocol):
    """Write down what is used."""

    def debit(
        self, credential: int, number: int, at: Instant, units: int, *, batch: bool
    ) -> None:
        """
        Write down a call, before it leaves.

        Raises:
            JournalError: It is not written.

        """
        ...

    def refund(self, credential: int, number: int, at: Instant) -> None:
        """Write down that a call never left; what fails is only told to the log."""
        ...

    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        """
        Sum up what was written down of a vendor.

        Raises:
            JournalError: It is not written; the entries are still there.

        """
        ...


@final
class NoJournal(Journal):
    """Write nothing down: for vendors that end with the process."""

    @override
    def debit(
        self, credential: int, number: int, at: Instant, units: int, *, batch: bool
    ) -> None:
        """Do nothing."""

    @override
    def refund(self, credential: int, number: int, at: Instant) -> None:
        """Do nothing."""

    @override
    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        """Do nothing."""


@final
class SqliteJournal(Journal):
    """Write into a file."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: sqlite3.Connection
    ) -> None:
        self.path = path
        self._connection = connection
        self._cursor = connection.cursor()
        self._lock = lock
        self._writes = 0
        self.boot = ""
        self.anchor_ns = 0

    @classmethod
    def open(cls, folder: Path, *, boot: str, anchor_ns: int) -> Self:
        """
        Open the file of a folder, which is made if need be.

        Args:
            folder: where it is.
            boot: which start of the machine this is; empty = nobody knows.
            anchor_ns: what the wall clock said when the steady clock stood at zero,
                unless the file knows better of the same start.

        Raises:
            JournalError: It is not ours, corrupt, read-only, or in use.

        """
        path = folder / FILE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"cannot keep the ledger in {folder}: {error.strerror or error}; "
                "choose another folder with --state DIR (state.folder)"
            ) from error
        lock = _locked(folder / LOCK_NAME)
        try:
            with _told(path):
                connection = sqlite3.connect(
                    path, isolation_level=None, check_same_thread=False, timeout=1.0
                )
        except JournalError:
            lock.close()
            raise
        journal = cls(path, connection, lock)
        try:
            with _told(path):
                journal._prepare(boot, anchor_ns)
        except JournalError:
            journal.close()
            raise
        return journal

    def close(self) -> None:
        """Close the file; what is in it stays."""
        for each in (self._connection, self._lock):
            with suppress(sqlite3.Error):
                each.close()

    @override
    def debit(
        self, credential: int, number: int, at: Instant, units: int, *, batch: bool
    ) -> None:
        """Write down a call, before it leaves."""
        try:
            self._cursor.execute(
                "insert into entry (credential, refund, number, seconds, wall_ns,"
                " steady_ns, units, batch) values (?, 0, ?, ?, ?, ?, ?, ?)",
                (credential, number, *at, units, batch),
            )
            self._writes += 1
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    @override
    def refund(self, credential: int, number: int, at: Instant) -> None:
        """Write down that a call never left."""
        # Without it a restart would count the call: more careful than need be.
        with suppress(sqlite3.Error):
            self._cursor.execute(
                "insert into entry (credential, refund, number, seconds, wall_ns,"
                " steady_ns, units, batch) values (?, 1, ?, ?, ?, ?, 0, 0)",
                (credential, number, *at),
            )

    @override
    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        """Sum up what was written down of a vendor."""
        encode = msgspec.msgpack.encode
        try:
            self._connection.execute("begin immediate")
            try:
                self._connection.execute(
                    "update vendor set state = ?, boot = ?, seconds = ?, wall_ns = ?"
                    " where id = ?",
                    (encode(state), self.boot, at.seconds, at.wall_ns, vendor),
                )
                self._connection.executemany(
                    "update credential set state = ? where id = ?",
                    [(encode(each), id_) for id_, each in credentials.items()],
                )
                self._connection.executemany(
                    "delete from entry where credential = ?",
                    [(id_,) for id_ in credentials],
                )
                self._connection.execute("commit")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("rollback")
                raise
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def vendor(self, provider: str, realm: str, identity: str) -> VendorRecord:
        """
        Return what is known of a vendor, and make room for a key of it.

        Args:
            provider: its id.
            realm: apart from others, such as a simulator's address; empty = the world.
            identity: of the key; it need not tell the key.

        Raises:
            JournalError: It cannot be read.

        """
        with _told(self.path):
            run = self._connection.execute
            run("begin immediate")
            run(
                "insert or ignore into vendor (provider, realm) values (?, ?)",
                (provider, realm),
            )
            id_, state, boot, seconds, wall_ns = run(
                "select id, state, boot, seconds, wall_ns from vendor"
                " where provider = ? and realm = ?",
                (provider, realm),
            ).fetchone()
            run(
                "insert or ignore into credential (vendor, identity) values (?, ?)",
                (id_, identity),
            )
            run("commit")
            credentials = {
                name: CredentialRecord(each, _decoded(known), self._entries(each))
                for each, name, known in run(
                    "select id, identity, state from credential where vendor = ?",
                    (id_,),
                ).fetchall()
            }
        moments = [entry.at for each in credentials.values() for entry in each.entries]
        if state is not None:
            moments.append(Instant(seconds, wall_ns, wall_ns))
        return VendorRecord(
            id_,
            _decoded(state),
            bool(boot) and boot == self.boot,
            max(moments, default=None),
            credentials,
        )

    @property
    def long(self) -> bool:
        """Return whether the log of SQLite has grown enough to begin anew."""
        return self._writes >= _LONG_LOG

    def checkpoint(self) -> None:
        """
        Let the log of SQLite begin anew; in a thread, since it waits for the disk.

        Writers go on meanwhile.
        """
        self._writes = 0
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(self.path, timeout=0.0)) as connection,
        ):
            connection.execute("pragma wal_checkpoint(passive)")

    def _prepare(self, boot: str, anchor_ns: int) -> None:
        run = self._connection.execute
        run("pragma journal_mode = wal")
        run("pragma synchronous = normal")
        # Done by ``checkpoint``: it waits for the disk, and calls must not.
        run("pragma wal_autocheckpoint = 0")
        (version,) = run("pragma user_version").fetchone()
        if version > _VERSION:
            raise JournalError(
                f"{self.path} was written by a newer version of this server; "
                "use that one, or another folder (--state DIR)"
            )
        if version == 0:
            (tables,) = run("select count(*) from sqlite_master").fetchone()
            if tables:
                raise JournalError(
                    f"{self.path} is not a ledger of this server; move it away, or "
                    "choose another folder (--state DIR)"
                )
            self._connection.executescript(
                f"begin; {_SCHEMA} pragma user_version = {_VERSION}; commit;"
            )
        ((verdict,),) = run("pragma quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        known = run("select boot, anchor_ns from session").fetchone()
        if boot and known is not None and known[0] == boot:
            anchor_ns = known[1]
        else:
            run("begin immediate")
            run("delete from session")
            run("insert into session values (?, ?)", (boot, anchor_ns))
            run("commit")
        self.boot, self.anchor_ns = boot, anchor_ns

    def _entries(self, credential: int) -> list[Entry]:
        rows = self._connection.execute(
            "select refund, number, seconds, wall_ns, steady_ns, units, batch"
            " from entry where credential = ? order by id",
            (credential,),
        )
        return [
            Entry(bool(refund), number, Instant(*at), units, bool(batch))
            for refund, number, *at, units, batch in rows
        ]

    def _unwritable(self, error: sqlite3.Error) -> JournalError:
        return JournalError(f"{self.path} cannot be written: {error}")


def _decoded(blob: bytes | None) -> State | None:
    return None if blob is None else msgspec.msgpack.decode(blob, type=State)


def _locked(path: Path) -> sqlite3.Connection:
    """Hold a lock that ends with the process, however it ends."""
    try:
        lock = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=0.0
        )
    except sqlite3.Error as error:
        raise JournalError(
            f"cannot lock {path}: {error}; choose another folder with --state DIR "
            "(state.folder)"
        ) from error
    try:
        lock.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" in str(error):
            raise JournalError(
                f"another server uses {path.parent}: two that share a ledger would "
                "not know of each other's calls; stop it, or give this one a folder "
                "of its own with --state DIR (state.folder)"
            ) from error
        raise JournalError(
            f"cannot lock {path}: {error}; choose a folder that can be written with "
            "--state DIR (state.folder)"
        ) from error
    except sqlite3.DatabaseError as error:
        lock.close()
        raise JournalError(f"cannot lock {path}: {error}; delete it") from error
    return lock


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell what is wrong with the file, and what to do."""
    try:
        yield
    except (sqlite3.OperationalError, PermissionError) as error:
        raise JournalError(
            f"cannot use {path}: {error}; choose a folder that can be written with "
            "--state DIR (state.folder)"
        ) from error
    except (
        sqlite3.DatabaseError,
        msgspec.MsgspecError,
        TypeError,
        ValueError,
    ) as error:
        raise JournalError(
            f"{path} is corrupt ({error}), so nobody knows what was used of today's "
            "quota; restore it from a backup, or move it away once the vendors' "
            "windows have turned, and start again"
        ) from error
