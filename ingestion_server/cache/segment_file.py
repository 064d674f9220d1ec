"""
The file in which series outlive the process: an embedded SQLite database.

It is written behind: ``kill -9`` loses about a second, which vendors can be asked for
again. So a file that is not ours, torn or of another version is no failure either, but
moved aside, and what is in one is believed only as far as it makes sense.

Everything here blocks, and belongs into one thread.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, final

import msgspec

from ingestion_server.cache import database
from ingestion_server.cache.finals import Block, Finals
from ingestion_server.cache.packing import (
    head_of,
    packed,
    read_head,
    restored,
    unpacked,
)
from ingestion_server.cache.saved import Saved
from ingestion_server.cache.series import SeriesKey

FILE_NAME: Final = "bars.sqlite3"
_FULL: Final = 0.95
"""Of the limit; the rest is for pages that are free and not yet given back."""
_ROOMY: Final = 0.85
"""Of the limit; so that not every new bar has to make room."""

_log: Final = logging.getLogger(__name__)


class FileError(Exception):
    """Nothing can be read from the file, or written into it, for now."""


class Change(NamedTuple):
    """Say what is to be written of one series."""

    key: SeriesKey
    saved: Saved | None
    """None = it is forgotten."""


@final
class SegmentFile:
    """Keep series in a file, those used last."""

    def __init__(self, folder: Path, *, realm: str, limit_bytes: int) -> None:
        """
        Set up; nothing is opened yet.

        Args:
            folder: where it is; made if need be.
            realm: apart from others, such as a simulator's address; empty = the world.
            limit_bytes: how much it may hold.

        """
        self.path = folder / FILE_NAME
        self.limit_bytes = limit_bytes
        self.bytes = 0
        """How long it was when it was last used, SQLite's log included."""
        self._realm = realm
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    @property
    def is_open(self) -> bool:
        """Return whether it can be used: not after a failure, until opened again."""
        return self._connection is not None

    def open(self) -> None:
        """
        Open the file, or a new one if it is none of ours, or broken.

        Raises:
            FileError: None can be used.

        """
        with self._told_in_words():
            try:
                self._connection = database.opened(self.path)
            except sqlite3.DatabaseError as error:
                if not database.broken(error):
                    raise
                self._begin_anew(error)
                self._connection = database.opened(self.path)
            self._inode = database.inode(self.path)
            with database.transaction(self._connection):
                self._make_room(self._connection)
            self._measure(self._connection)

    def load(self, key: SeriesKey, *, most_bytes: int) -> Saved | None:
        """
        Return what was saved of a series, without what makes no sense.

        Args:
            key: the series.
            most_bytes: more than this is not read.

        Raises:
            FileError: The file cannot be read.

        """
        finals = Finals(key.interval, {})
        with self._told_in_words():
            run = self._opened().execute
            found = run(
                "select id, head from series"
                " where realm = ? and name = ? and bytes <= ?",
                (self._realm, _name(key), most_bytes),
            ).fetchone()
            if found is None:
                return None
            id_, blob = found
            try:
                head = read_head(blob)
                rows = run("select number, bars from block where series = ?", (id_,))
                blocks = dict(_sound(rows, finals, set(head.numbers)))
                saved = restored(head, blocks)
            except ValueError as error:
                _log.warning("%s: a series is dropped: %s", self.path, error)
                return None
        lost = set(head.numbers) - blocks.keys()
        for number in lost:
            # What is not believed is asked for again.
            saved.coverage.cut(*finals.span_of(number))
        if lost:
            _log.warning("%s: %d broken blocks are dropped", self.path, len(lost))
        return saved

    def save(
        self, changes: Sequence[Change], used: Iterable[SeriesKey], now_ns: int
    ) -> list[SeriesKey]:
        """
        Write what has changed, and make room for it.

        Args:
            changes: of series, each once.
            used: other series that were used.
            now_ns: the wall clock.

        Returns:
            The series that must be written as a whole, since what the changes build
            on is not there any more.

        Raises:
            FileError: The file cannot be written; perhaps some changes are.

        """
        lacking = []
        with self._told_in_words():
            connection = self._opened()
            if self._inode != database.inode(self.path):
                raise FileNotFoundError("it was deleted, moved or replaced")
            for key, saved in changes:
                with database.transaction(connection):
                    if not self._write(connection, key, saved, now_ns):
                        lacking.append(key)
            with database.transaction(connection):
                connection.executemany(
                    "update series set used = ? where realm = ? and name = ?",
                    [(now_ns, self._realm, _name(key)) for key in used],
                )
            self._measure(connection)
        return lacking

    def close(self) -> None:
        """Close the file; what is in it stays."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _write(
        self,
        connection: sqlite3.Connection,
        key: SeriesKey,
        saved: Saved | None,
        now_ns: int,
    ) -> bool:
        """Write one series, and return whether what it builds on is there."""
        run = connection.execute
        place = (self._realm, _name(key))
        found = run(
            "select id from series where realm = ? and name = ?", place
        ).fetchone()
        if found is not None and (saved is None or saved.anew):
            database.delete(connection, found[0])
            found = None
        if saved is None:
            return True
        if found is None:
            if not saved.anew:
                return False
            found = run(
                "insert into series (realm, name, head, bytes, used)"
                " values (?, ?, x'', 0, 0) returning id",
                place,
            ).fetchone()
        (id_,) = found
        connection.executemany(
            "insert or replace into block (series, number, bars) values (?, ?, ?)",
            ((id_, number, packed(block)) for number, block in saved.blocks.items()),
        )
        run(
            "update series set head = ?, used = ?, bytes = (select"
            " coalesce(sum(length(bars)), 0) from block where series = series.id)"
            " where id = ?",
            (head_of(saved), now_ns, id_),
        )
        self._make_room(connection, latest=id_)
        return True

    def _make_room(self, connection: sqlite3.Connection, latest: int = 0) -> None:
        """Delete what was used longest ago; the latest only if all else is gone."""
        if database.used_bytes(connection) <= self.limit_bytes * _FULL:
            return
        rows = connection.execute(
            "select id from series order by id = ?, used", (latest,)
        ).fetchall()
        for (id_,) in rows:
            database.delete(connection, id_)
            if database.used_bytes(connection) <= self.limit_bytes * _ROOMY:
                break

    def _measure(self, connection: sqlite3.Connection) -> None:
        """Note how long the file is, and give back what it does not need."""
        self.bytes = database.length(self.path)
        if self.bytes > self.limit_bytes:
            # Not execute(): that takes one step, and each step gives one page back.
            connection.executescript("pragma incremental_vacuum")
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()
            self.bytes = database.length(self.path)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise FileNotFoundError("it is not open")
        return self._connection

    def _begin_anew(self, error: Exception) -> None:
        aside = database.move_aside(self.path)
        _log.warning(
            "%s cannot be used (%s); it is now %s, and a new one begins",
            self.path,
            error,
            aside.name,
        )

    @contextmanager
    def _told_in_words(self) -> Iterator[None]:
        """Tell what is wrong with the file, and close it: it is to be opened again."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            if database.broken(error):
                with suppress(OSError):
                    self._begin_anew(error)
            reason = error.strerror if isinstance(error, OSError) else None
            raise FileError(
                f"bars cannot be kept in {self.path}: {reason or error}"
            ) from error


def _sound(
    rows: Iterable[tuple[int, bytes]], finals: Finals, numbers: set[int]
) -> Iterator[tuple[int, Block]]:
    """Yield the blocks that make sense, by their numbers."""
    for number, blob in rows:
        with suppress(ValueError):
            block = unpacked(blob)
            if number in numbers and finals.holds(number, block):
                yield number, block


def _name(key: SeriesKey) -> str:
    return msgspec.json.encode(key).decode()
