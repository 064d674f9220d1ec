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

import logging
import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self, final

import msgspec
from typing_extensions import override

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.journal import (
    CredentialRecord,
    Entry,
    Journal,
    JournalError,
    VendorRecord,
)
from ingestion_server.quota.journal_file import (
    APPLICATION,
    FILE_NAME,
    LOCK_NAME,
    VERSION,
    connected,
    create,
    locked,
    on_disk,
    told_in_words,
)
from ingestion_server.quota.meter import State

_LONG_LOG: Final = 256
"""Writes; each takes a page of 4 kB in the log."""
_OPEN_SECONDS: Final = 1.0
"""How long to wait at the start for somebody else who writes."""
_Failure: Final = (sqlite3.Error, OverflowError)
"""What writing may raise; numbers of more than 64 bits are no business of SQLite."""

_log: Final = logging.getLogger(__name__)


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
        self._on_disk: list[tuple[int, int] | None] = []
        self._lost = False
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
        lock = locked(folder / LOCK_NAME)
        try:
            with told_in_words(path):
                if not path.exists():
                    create(path)
                connection = connected(path, wait_seconds=_OPEN_SECONDS)
        except JournalError:
            lock.close()
            raise
        journal = cls(path, connection, lock)
        try:
            with told_in_words(path):
                journal._prepare(boot, anchor_ns)
                journal._on_disk = on_disk(path)
        except JournalError:
            journal.close()
            raise
        return journal

    def hurry(self) -> None:
        """Wait for nobody from now on, since all calls would wait as well."""
        self._connection.execute("pragma busy_timeout = 0")

    def look(self) -> None:
        """
        See whether the file is still in its place; in a thread.

        What is written into one that was deleted or replaced is forgotten with it, so
        nothing is, until it is back.
        """
        try:
            lost = on_disk(self.path) != self._on_disk
        except OSError:
            # Nobody knows; what cannot be written says so itself.
            return
        if lost and not self._lost:
            _log.error("%s", self._gone())
        if self._lost and not lost:
            _log.warning("%s is back", self.path)
        self._lost = lost

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
        if self._lost:
            raise self._gone()
        try:
            self._cursor.execute(
                "insert into entry (credential, refund, number, seconds, wall_ns,"
                " steady_ns, units, batch) values (?, 0, ?, ?, ?, ?, ?, ?)",
                (credential, number, *at, units, batch),
            )
            self._writes += 1
        except _Failure as error:
            raise self._unwritable(error) from error

    @override
    def refund(self, credential: int, number: int, at: Instant, units: int) -> None:
        """Write down that a call never left."""
        # Without it a restart would count the call: more careful than need be.
        with suppress(*_Failure):
            self._cursor.execute(
                "insert into entry (credential, refund, number, seconds, wall_ns,"
                " steady_ns, units, batch) values (?, 1, ?, ?, ?, ?, ?, 0)",
                (credential, number, *at, units),
            )
            self._writes += 1

    @override
    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        """Sum up what was written down of a vendor."""
        if self._lost:
            raise self._gone()
        try:
            self._connection.execute("begin immediate")
            try:
                self._connection.execute(
                    "update vendor set state = ?, boot = ?, seconds = ?, wall_ns = ?,"
                    " steady_ns = ? where id = ?",
                    (_encoded(state), self.boot, *at, vendor),
                )
                self._connection.executemany(
                    "update credential set state = ? where id = ?",
                    [(_encoded(each), id_) for id_, each in credentials.items()],
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
        except _Failure as error:
            raise self._unwritable(error) from error
        self._writes += 1

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
        with told_in_words(self.path):
            run = self._connection.execute
            run("begin immediate")
            run(
                "insert or ignore into vendor (provider, realm) values (?, ?)",
                (provider, realm),
            )
            id_, state, boot, *as_of = run(
                "select id, state, boot, seconds, wall_ns, steady_ns from vendor"
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
            known_state = _decoded(state)
        moments = [entry.at for each in credentials.values() for entry in each.entries]
        if state is not None:
            moments.append(Instant(*as_of))
        return VendorRecord(
            id_,
            known_state,
            boot == self.boot if boot and self.boot else None,
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
        self.look()
        if self._lost:
            return
        with (
            suppress(sqlite3.Error),
            closing(connected(self.path, wait_seconds=0.0)) as connection,
        ):
            connection.execute("pragma wal_checkpoint(passive)")

    def _prepare(self, boot: str, anchor_ns: int) -> None:
        run = self._connection.execute
        # Before anything is changed: it may belong to somebody else.
        (application,) = run("pragma application_id").fetchone()
        (version,) = run("pragma user_version").fetchone()
        (tables,) = run("select count(*) from sqlite_master").fetchone()
        if not tables:
            # It is put in its place with its tables in it.
            raise sqlite3.DatabaseError("it is empty")
        if application != APPLICATION:
            raise JournalError(
                f"{self.path} is not a ledger of this server; move it away, or "
                "choose another folder (--state DIR)"
            )
        if version > VERSION:
            raise JournalError(
                f"{self.path} was written by a newer version of this server; "
                "use that one, or another folder (--state DIR)"
            )
        run("pragma journal_mode = wal")
        run("pragma synchronous = normal")
        # Done by ``checkpoint``: it waits for the disk, and calls must not.
        run("pragma wal_autocheckpoint = 0")
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

    def _unwritable(self, error: Exception) -> JournalError:
        return JournalError(f"{self.path} cannot be written: {error}")

    def _gone(self) -> JournalError:
        return JournalError(
            f"{self.path} or its log was deleted, moved or replaced while the server "
            "was running; put it back, or restart the server, which will then know "
            "only what is in its place"
        )


def _encoded(state: State) -> bytes:
    blob = msgspec.msgpack.encode(state)
    return zlib.crc32(blob).to_bytes(4, "big") + blob


def _decoded(blob: bytes | None) -> State | None:
    if blob is None:
        return None
    # SQLite checks its pages' order and not what is in them.
    if int.from_bytes(blob[:4], "big") != zlib.crc32(blob[4:]):
        raise ValueError("a state does not match its checksum")
    return msgspec.msgpack.decode(blob[4:], type=State)
