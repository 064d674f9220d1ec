"""Answers as they went over the wire, for the same question once more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, final

import msgspec

from ingestion_server.ports.caching import CacheCounts
from ingestion_server.ports.clock import Clock

_MOST_QUESTION_BYTES: Final = 4096
"""A longer one is not kept: it would take more than its answer is worth."""
_ENTRY_BYTES: Final = 400
"""What a reply takes beside its bytes, and each signature again."""


class Signature(msgspec.Struct, frozen=True):
    """Be one source of a reply, of which only the age changes."""

    encoded: bytes
    """All of it up to its age, whose value is its end."""
    age_seconds: float | None
    """When the reply was made; None for what has no age."""


class Reply(msgspec.Struct, frozen=True):
    """Be an answer without what is true of one request only."""

    encoded: bytes
    signatures: tuple[Signature, ...]

    @property
    def size_bytes(self) -> int:
        """Return about what it takes."""
        signed = sum(len(signature.encoded) for signature in self.signatures)
        return len(self.encoded) + signed + _ENTRY_BYTES * (1 + len(self.signatures))


class _Entry(NamedTuple):
    reply: Reply
    kept_at: float
    ends_at: float
    generation: int
    size_bytes: int


@final
class EncodedReplies:
    """
    Keep the replies that were used last, within so many bytes, until they end.

    A reply ends when its time is over, and when ``generation`` changes: then what is
    known is no longer what it was made of.
    """

    def __init__(
        self,
        limit_bytes: int,
        clock: Clock,
        *,
        generation: Callable[[], int],
        counts: CacheCounts,
    ) -> None:
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._generation = generation
        self._counts = counts
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Return about what all of it takes, the questions included."""
        return self._held_bytes

    @property
    def generation(self) -> int:
        """Return what an answer is made of that is looked for from now on."""
        return self._generation()

    def find(self, question: bytes) -> tuple[Reply, float] | None:
        """Return the reply to a question and how old it is in seconds, and count it."""
        entry = self._entries.get(question)
        if entry is None:
            return None
        now = self._clock.monotonic()
        if now >= entry.ends_at or entry.generation != self._generation():
            self._drop(question)
            return None
        self._entries.move_to_end(question)
        self._counts.hits += 1
        self._counts.encoded_hits += 1
        return entry.reply, now - entry.kept_at

    def keep(
        self,
        question: bytes,
        reply: Reply,
        *,
        good_for_seconds: float,
        generation: int,
    ) -> None:
        """
        Keep what a question was answered with, if that is good for a while.

        ``generation`` is the one from before the answer was made, since things may have
        changed meanwhile.
        """
        if good_for_seconds <= 0 or len(question) > _MOST_QUESTION_BYTES:
            return
        size = len(question) + reply.size_bytes
        if size > self.limit_bytes or generation != self._generation():
            return
        self._drop(question)
        now = self._clock.monotonic()
        self._entries[question] = _Entry(
            reply, now, now + good_for_seconds, generation, size
        )
        self._held_bytes += size
        while self._held_bytes > self.limit_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._held_bytes -= oldest.size_bytes

    def _drop(self, question: bytes) -> None:
        entry = self._entries.pop(question, None)
        if entry is not None:
            self._held_bytes -= entry.size_bytes
