"""The file of the ledger: made, locked, and what is wrong with it in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ingestion_server.quota.journal import JournalError

FILE_NAME: Final = "ledger.sqlite3"
LOCK_NAME: Final = "ledger.lock"
VERSION: Final = 1
APPLICATION: Final = 0x51554F54
"""Written into the file's head, so that no other program's file is taken for ours."""
_SCHEMA: Final = """
create table vendor (
  id integer primary key,
  provider text not null,
  realm text not null,
  state blob,
  boot text not null default '',
  seconds real not null default 0,
  wall_ns integer not null default 0,
  steady_ns integer not null default 0,
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


def connected(path: Path, *, wait_seconds: float) -> sqlite3.Connection:
    """Open a file that is there; never make one."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=wait_seconds,
    )


def log_of(path: Path) -> Path:
    """Return where SQLite keeps what it has not yet put into a file."""
    return path.with_name(f"{path.name}-wal")


def on_disk(path: Path) -> list[tuple[int, int] | None]:
    """Tell a file and its log from any others that are put in their place."""
    found: list[tuple[int, int] | None] = []
    for each in (path, log_of(path)):
        try:
            stat = each.stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_dev, stat.st_ino))
    return found


def create(path: Path) -> None:
    """
    Put an empty ledger in its place, wholly or not at all.

    So a file that is there and empty was emptied by somebody: that is no new one.
    """
    log = log_of(path)
    if log.exists() and log.stat().st_size:
        raise JournalError(
            f"{path} is gone, but {log.name} is there: what was used of today's quota "
            f"may be in it; restore the one, or move both away once the vendors' "
            "windows have turned"
        )
    log.unlink(missing_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript(
            f"begin; {_SCHEMA} pragma user_version = {VERSION};"
            f" pragma application_id = {APPLICATION}; commit;"
        )
    new.rename(path)


def locked(path: Path) -> sqlite3.Connection:
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
        # Nothing is ever written into it, so it needs no file for taking that back.
        lock.execute("pragma journal_mode = memory")
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
def told_in_words(path: Path) -> Iterator[None]:
    """Tell what is wrong with the file, and what to do."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
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
            f"quota; restore it from a backup, or move {path.name}* away once the "
            "vendors' windows have turned, and start again"
        ) from error
