"""The file of series: made, opened, and what may be wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

VERSION: Final = 1
APPLICATION: Final = 0x42415253
"""Written into the file's head, so that no other program's file is taken for ours."""
_WAIT_SECONDS: Final = 1.0
"""How long to wait for somebody else who writes."""
_LOG_BYTES: Final = 4 * 1024 * 1024
"""What SQLite's log shrinks to; it may be longer for a while."""
_SCHEMA: Final = """
create table if not exists series (
  id integer primary key,
  realm text not null,
  name text not null,
  head blob not null,
  bytes integer not null,
  used integer not null,
  unique (realm, name)
) strict;
create index if not exists series_used on series (used);
create table if not exists block (
  series integer not null references series,
  number integer not null,
  bars blob not null,
  unique (series, number)
) strict;
"""


def opened(path: Path) -> sqlite3.Connection:
    """
    Open a file, and make it ours if it is empty.

    Raises:
        sqlite3.Error: It cannot be used; if ``broken``, not ever.
        OSError: Its folder cannot be made.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_SECONDS)
    try:
        run = connection.execute
        # Before anything is changed: it may belong to somebody else.
        if _is_empty(connection):
            run("pragma auto_vacuum = incremental")
            connection.executescript(
                f"begin immediate; {_SCHEMA} pragma user_version = {VERSION};"
                f" pragma application_id = {APPLICATION}; commit;"
            )
        run("pragma journal_mode = wal")
        run("pragma synchronous = normal")
        run(f"pragma journal_size_limit = {_LOG_BYTES}")
        # Some damage shows itself only when something is read.
        run("select count(*) from series").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Tell whether it is a new file; one of somebody else is a broken one."""
    run = connection.execute
    # All at one moment: somebody else may be making it ours just now.
    run("begin")
    try:
        tables = {name for (name,) in run("select name from sqlite_master")}
        (application,) = run("pragma application_id").fetchone()
        (version,) = run("pragma user_version").fetchone()
    finally:
        run("rollback")
    if not tables:
        return True
    if application != APPLICATION:
        raise sqlite3.DatabaseError("it is not a file of this server")
    if version != VERSION:
        raise sqlite3.DatabaseError(f"it is of version {version}, not {VERSION}")
    if not {"series", "block"} <= tables:
        raise sqlite3.DatabaseError("it lacks a table")
    return False


def broken(error: BaseException) -> bool:
    """Tell whether a file can never be used again, unlike one on a full disk."""
    return type(error) is sqlite3.DatabaseError


def move_aside(path: Path) -> Path:
    """
    Move a broken file out of the way; of several the last one stays.

    Raises:
        OSError: It cannot be moved.

    """
    for former in path.parent.glob(f"{path.name}.broken-*"):
        former.unlink()
    aside = path.with_name(f"{path.name}.broken-{int(path.stat().st_mtime)}")
    path.rename(aside)
    for log in ("-wal", "-shm"):
        path.with_name(path.name + log).unlink(missing_ok=True)
    return aside


def inode(path: Path) -> tuple[int, int]:
    """
    Tell a file from any other that is put in its place.

    Raises:
        OSError: It is not there.

    """
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def length(path: Path) -> int:
    """Return how long a file and its log are."""
    found = 0
    for each in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):
            found += each.stat().st_size
    return found


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how long the file would be without the pages that are free."""
    run = connection.execute
    (pages,) = run("pragma page_count").fetchone()
    (free,) = run("pragma freelist_count").fetchone()
    (size,) = run("pragma page_size").fetchone()
    return int((pages - free) * size)


def delete(connection: sqlite3.Connection, id_: int) -> None:
    """Delete a series."""
    connection.execute("delete from block where series = ?", (id_,))
    connection.execute("delete from series where id = ?", (id_,))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("rollback")
        raise
