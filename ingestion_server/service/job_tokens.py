"""
Where a page or a reader goes on: text that callers need not understand.

A text says what it is for, and is good for that alone: the cursor of one job is none
of another, nor is a page of other filters. It has no secret and no age, so it outlives
every restart; its check only tells what was made up or cut.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Collection
from hashlib import blake2b
from typing import Final

import msgspec

from ingestion_server.domain.jobs import JobState, UnitState
from ingestion_server.ports.jobs import Cursor

_VERSION: Final = b"\x01"
_CHECK_BYTES: Final = 6
_LONGEST_TEXT: Final = 128
_CURSOR: Final = struct.Struct(">qq")
_NUMBER: Final = struct.Struct(">q")
_CURSORS: Final = b"cursor"
_UNIT_PAGES: Final = b"unit page"
_JOB_PAGES: Final = b"job page"


def cursor_text(cursor: Cursor, job_id: str) -> str:
    """Return a place among what has landed for a job, as callers hold it."""
    return _sealed(_CURSORS, _CURSOR.pack(*cursor), [job_id])


def cursor_read(text: str, job_id: str) -> Cursor | None:
    """Return the place that a cursor of a job names; None if it is none of it."""
    content = _opened(_CURSORS, text, [job_id])
    return None if content is None else Cursor(*_CURSOR.unpack(content))


def unit_page_text(after: int, job_id: str, states: Collection[UnitState]) -> str:
    """Return where a page of units begins: after a number."""
    return _sealed(_UNIT_PAGES, _NUMBER.pack(after), [job_id, *sorted(states)])


def unit_page_read(text: str, job_id: str, states: Collection[UnitState]) -> int | None:
    """Return the number that a page of units comes after; None if it is no such."""
    content = _opened(_UNIT_PAGES, text, [job_id, *sorted(states)])
    if content is None:
        return None
    (after,) = _NUMBER.unpack(content)
    return int(after)


def job_page_text(
    before: tuple[int, str], states: Collection[JobState], name_prefix: str
) -> str:
    """Return where a page of jobs begins: before a creation time and an id."""
    created_ns, job_id = before
    content = _NUMBER.pack(created_ns) + job_id.encode()
    return _sealed(_JOB_PAGES, content, [name_prefix, *sorted(states)])


def job_page_read(
    text: str, states: Collection[JobState], name_prefix: str
) -> tuple[int, str] | None:
    """Return the time and the id that a page comes before; None if it is no such."""
    content = _opened(_JOB_PAGES, text, [name_prefix, *sorted(states)])
    if content is None:
        return None
    (created_ns,) = _NUMBER.unpack_from(content)
    return created_ns, content[_NUMBER.size :].decode()


def _sealed(kind: bytes, content: bytes, good_for: list[str]) -> str:
    named = _VERSION + content
    bound = named + msgspec.json.encode(good_for)
    check = blake2b(bound, digest_size=_CHECK_BYTES, person=kind).digest()
    return base64.urlsafe_b64encode(named + check).decode().rstrip("=")


def _opened(kind: bytes, text: str, good_for: list[str]) -> bytes | None:
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        told = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    content = told[len(_VERSION) : -_CHECK_BYTES]
    # Written anew, since reading base64 forgives what nobody of ours has written.
    return content if _sealed(kind, content, good_for) == text else None
