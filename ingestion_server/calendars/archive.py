"""One computed calendar as the bytes of an ``.npz`` file; no pickles, no trust."""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ingestion_server.domain.sessions import Sessions

FORMAT: Final = 1
"""Counts the incompatible changes of what is in the file."""
DAY_NS: Final = 86_400_000_000_000
"""One day of labels."""

_HORIZON_NS: Final = 180 * DAY_NS
# Seventy-five years of XNYS are 0.8 MB before compression: whatever is larger than
# this is not ours, and shall not be read into memory.
_LARGEST_FILE: Final = 16_000_000
_COLUMNS: Final = ("labels", "opens", "closes", "break_starts", "break_ends")


class CorruptArchiveError(Exception):
    """Say that bytes are not the calendar that was asked for."""


@dataclass(frozen=True, slots=True)
class Computed:
    """Hold the answer of one computation."""

    sessions: Sessions
    """The answer itself."""
    exhausted: bool
    """
    Whether the library knows nothing later than this. Some exchanges publish their
    holidays one year at a time; computing those again before the library is
    upgraded yields the same.
    """

    def fresh(self, now_ns: int) -> bool:
        """Tell whether another computation would be of no use yet."""
        return self.exhausted or self.sessions.covers_until_ns - now_ns >= _HORIZON_NS


def library_version() -> str:
    """
    Find the version of ``exchange_calendars`` without importing it.

    That of pandas is part of it, because it decides the outcome, too: see
    ``compute``.
    """
    return "-pandas".join(_version(name) for name in ("exchange_calendars", "pandas"))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def file_name(calendar: str, library: str) -> str:
    """
    Name the file of one calendar, for a calendar name that was validated.

    No two valid names share a file, because no valid name contains a tilde. (They
    may on a case-insensitive disk; hence the name is in the file as well.)
    """
    version = re.sub(r"[^A-Za-z0-9.+-]", "~", library)
    return f"v{FORMAT}-{version}-{calendar.replace('/', '~')}.npz"


def encode(computed: Computed, library: str) -> bytes:
    """Write one calendar into bytes."""
    sessions = computed.sessions
    about = (sessions.calendar, sessions.zone, library)
    covers = (
        sessions.covers_from_ns,
        sessions.covers_until_ns,
        int(computed.exhausted),
    )
    target = io.BytesIO()
    np.savez_compressed(
        target,
        about=np.array(about, dtype=np.str_),
        covers=np.array(covers, dtype=np.int64),
        labels=sessions.labels_ns,
        opens=sessions.opens_ns,
        closes=sessions.closes_ns,
        break_starts=sessions.break_starts_ns,
        break_ends=sessions.break_ends_ns,
    )
    return target.getvalue()


def decode(data: bytes, calendar: str, library: str) -> Computed:
    """
    Read what :func:`encode` wrote, and believe nothing.

    Raises:
        CorruptArchiveError: if the bytes are damaged, or belong to something else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            about = archive["about"]
            covers = archive["covers"]
            columns = [archive[name] for name in _COLUMNS]
    # Damaged bytes fail in zipfile, zlib, struct, tokenize or numpy, with a dozen
    # types that nobody lists; all of them mean the same.
    except Exception as e:
        raise CorruptArchiveError(f"unreadable ({type(e).__name__}: {e})") from e
    if about.dtype.kind != "U" or about.shape != (3,):
        raise CorruptArchiveError("it does not say what it holds")
    name, zone, version = about.tolist()
    if (name, version) != (calendar, library) or not zone:
        raise CorruptArchiveError(f"it holds {name!r} by library version {version}")
    if covers.dtype != np.int64 or covers.shape != (3,):
        raise CorruptArchiveError("it does not say which dates it covers")
    for column in columns:
        if column.dtype != np.int64 or column.shape != (columns[0].size,):
            raise CorruptArchiveError("the columns differ in type or length")
        column.flags.writeable = False  # shared by everybody who asks
    covers_from, covers_until, exhausted = covers.tolist()
    labels, opens, closes, break_starts, break_ends = columns
    sessions = Sessions(
        calendar=calendar,
        zone=zone,
        labels_ns=labels,
        opens_ns=opens,
        closes_ns=closes,
        break_starts_ns=break_starts,
        break_ends_ns=break_ends,
        covers_from_ns=covers_from,
        covers_until_ns=covers_until,
    )
    if not _plausible(sessions):
        raise CorruptArchiveError("the sessions are empty, unordered or overlapping")
    return Computed(sessions, exhausted=bool(exhausted))


def _plausible(sessions: Sessions) -> bool:
    """Check the promises of :class:`Sessions`, which searches rely on."""
    labels = sessions.labels_ns
    if not labels.size:
        return False
    breaks = sessions.break_starts_ns != -1
    return bool(
        sessions.covers_from_ns <= labels[0]
        and labels[-1] < sessions.covers_until_ns
        and np.all(np.diff(labels) > 0)
        and np.all(labels % DAY_NS == 0)
        and np.all(sessions.opens_ns < sessions.closes_ns)
        and np.all(sessions.closes_ns[:-1] <= sessions.opens_ns[1:])
        and np.array_equal(breaks, sessions.break_ends_ns != -1)
        and np.all((sessions.break_starts_ns < sessions.break_ends_ns)[breaks])
    )


def read(path: Path, calendar: str, library: str) -> Computed | None:
    """Read the file of a calendar; None if there is none of any use."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            return None
        return decode(data, calendar, library)
    except (OSError, CorruptArchiveError):
        return None  # it is computed again, and overwritten


def write(path: Path, data: bytes) -> None:
    """
    Put a file in its place as a whole or not at all.

    There is no fsync: what a power cut leaves behind fails its checksum.

    Raises:
        OSError: if the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
        os.replace(temporary, path)  # noqa: PTH105 - the other half is a string
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
