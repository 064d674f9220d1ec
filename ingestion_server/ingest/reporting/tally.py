"""What is counted in this process, minute by minute, until it is kept."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.service_counts import MINUTE_NS, Counts, Facts
from ingestion_server.domain.service_level import Fault, fault_of
from ingestion_server.domain.service_packing import packed
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import CANCELLED, OK, CallDetails, OnRpc, RpcDetails
from ingestion_server.ports.reporting import CountedStretch, Stint

MOST_MINUTES: Final = 1_440
"""Kept in memory while they cannot be kept elsewhere: a day, a few megabytes."""
_MOST_STINTS: Final = 1_000
_LONGEST_SILENCE_NS: Final = 3 * MINUTE_NS
"""Who was silent for longer slept, or the clock was set: it was not running."""
_ASKED_FOR: Final = frozenset(
    {
        CANCELLED,
        "CAPABILITY_MISSING",
        "DEADLINE_EXCEEDED",
        "ENTITLEMENT_MISSING",
        "INVALID_QUERY",
        "NO_DATA_UNEXPLAINED",
        "SYMBOL_UNKNOWN",
    }
)
"""Outcomes that say nothing of a vendor, unless it was silent."""


class Due(msgspec.Struct, frozen=True):
    """Hold what is to be kept."""

    stints: Sequence[Stint]
    counted: Sequence[CountedStretch]


def _new_name() -> str:
    return uuid.uuid4().hex


@final
class Tally(OnRpc):
    """
    Count how RPCs and calls of vendors end; what listens costs them next to nothing.

    Each is counted in the minute of the wall clock in which it ended. Where that
    clock goes back, or leaps, another stint begins, so that nothing that was counted
    already is written over.
    """

    def __init__(
        self, clock: Clock, *, new_name: Callable[[], str] = _new_name
    ) -> None:
        """Begin now; ``new_name`` makes names that nobody else has."""
        self._clock = clock
        self._new_name = new_name
        self._lost_minutes = 0
        self._lost_until_minute = 0
        self._ended: dict[tuple[str, int], CountedStretch] = {}
        self._past: list[Stint] = []
        now_ns = clock.now_ns()
        self._stint = Stint(new_name(), now_ns, now_ns)
        self._seen_ns = now_ns
        self._minute = now_ns // MINUTE_NS
        self._facts = Facts()

    def lost_minutes(self, since_minute: int) -> int:
        """Return how many minutes could not be kept; 0 if all were before that one."""
        return self._lost_minutes if self._lost_until_minute >= since_minute else 0

    @override
    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        """Count an RPC that was answered."""
        if self._clock.now_ns() // MINUTE_NS != self._minute:
            self._turn()
        rpcs = self._facts.rpcs
        counts = rpcs.get(rpc)
        if counts is None:
            counts = rpcs[rpc] = Counts()
        counts.hear_answer(seconds)

    @override
    def failed(self, details: RpcDetails) -> None:
        """Count an RPC that was not."""
        if self._clock.now_ns() // MINUTE_NS != self._minute:
            self._turn()
        counts = self._facts.rpcs.setdefault(details.rpc, Counts())
        counts.hear_failure(
            fault_of(details.code, details.reason), details.reason or details.code
        )

    def hear_call(self, details: CallDetails) -> None:
        """Count a call of a vendor."""
        if self._clock.now_ns() // MINUTE_NS != self._minute:
            self._turn()
        counts = self._facts.providers.setdefault(details.provider, Counts())
        if details.outcome == OK:
            counts.hear_answer(details.seconds)
        else:
            counts.hear_failure(_blamed(details), details.outcome)

    def due(self) -> Due:
        """Return all that is not known to be kept; what is given is not changed."""
        self._turn()
        stints = (*self._past, self._current())
        counted = list(self._ended.values())
        if last := self._counted():
            counted.append(last)
        return Due(stints, counted)

    def kept(self, due: Due) -> None:
        """Forget what is kept and cannot change any more."""
        for each in due.counted:
            key = each.stint, each.start_minute
            # Its minute may have gone on, and ended, while that was written.
            if self._ended.get(key) is each:
                del self._ended[key]
        self._past = [each for each in self._past if each not in due.stints]

    def look(self) -> None:
        """See what time it is, for want of calls: who looks was not asleep."""
        self._turn()

    def _turn(self) -> None:
        """See what the wall clock says: another minute, or another time altogether."""
        now_ns = self._clock.now_ns()
        minute = now_ns // MINUTE_NS
        # A clock that is set right by a second may be a minute behind for a moment.
        if minute < self._minute - 1 or now_ns - self._seen_ns > _LONGEST_SILENCE_NS:
            self._end_minute()
            self._past.append(self._current())
            del self._past[:-_MOST_STINTS]
            self._stint = Stint(self._new_name(), now_ns, now_ns)
            self._seen_ns, self._minute = now_ns, minute
        elif minute > self._minute:
            self._end_minute()
            self._minute = minute
        self._seen_ns = max(self._seen_ns, now_ns)

    def _end_minute(self) -> None:
        if last := self._counted():
            self._ended[last.stint, last.start_minute] = last
            self._facts = Facts()
        while len(self._ended) > MOST_MINUTES:
            lost = next(iter(self._ended))
            del self._ended[lost]
            self._lost_minutes += 1
            self._lost_until_minute = lost[1]

    def _counted(self) -> CountedStretch | None:
        if not self._facts.rpcs and not self._facts.providers:
            return None
        return CountedStretch(self._minute, 1, self._stint.name, packed(self._facts))

    def _current(self) -> Stint:
        return msgspec.structs.replace(self._stint, until_ns=self._seen_ns)


def _blamed(details: CallDetails) -> Fault:
    """Return who is to blame for a vendor's call that failed, the vendor being us."""
    if details.outcome in _ASKED_FOR and not details.vendor_failed:
        return Fault.CALLER
    return Fault.SERVER
