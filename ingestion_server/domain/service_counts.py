"""How calls ended and how long they took, counted so that counts can be added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ingestion_server.domain.latencies import place_of
from ingestion_server.domain.service_level import Fault

MINUTE_NS: Final = 60 * 10**9
HOUR_MINUTES: Final = 60
_OTHERS: Final = "OTHER"
_MOST_REASONS: Final = 64
"""Reasons are those of the contract; whoever makes up more shall not fill a disk."""


class Counts(msgspec.Struct, array_like=True, gc=False):
    """Hold how the calls of one RPC or of one vendor ended."""

    answered: int = 0
    caller_faults: int = 0
    """Those that failed, and no promise counts."""
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    """The others that failed, by reason."""
    places: dict[int, int] = msgspec.field(default_factory=dict)
    """How long the answered ones took, see ``latencies``."""
    longest_seconds: float = 0.0
    bad_minutes: int = 0
    """A bit for each minute in which most calls failed; the lowest is the first."""

    @property
    def promised(self) -> int:
        """Return how many calls count for what is promised."""
        return self.answered + sum(self.failures.values())

    def hear_answer(self, seconds: float | None) -> None:
        """Count a call that was answered; None = how long it took says nothing."""
        self.answered += 1
        if seconds is not None:
            place, places = place_of(seconds), self.places
            places[place] = places.get(place, 0) + 1
            if seconds > self.longest_seconds:  # noqa: PLR1730 - each call pays
                self.longest_seconds = seconds

    def hear_failure(self, fault: Fault, reason: str) -> None:
        """Count a call that failed, by the caller's fault or by the server's."""
        if fault is Fault.CALLER:
            self.caller_faults += 1
        else:
            failures = self.failures
            if reason not in failures and len(failures) >= _MOST_REASONS:
                reason = _OTHERS
            failures[reason] = failures.get(reason, 0) + 1

    def add(self, more: Counts, minutes_later: int = 0) -> None:
        """Add what was counted elsewhere, or so many minutes later."""
        self.answered += more.answered
        self.caller_faults += more.caller_faults
        for reason, count in more.failures.items():
            self.failures[reason] = self.failures.get(reason, 0) + count
        for place, count in more.places.items():
            self.places[place] = self.places.get(place, 0) + count
        self.longest_seconds = max(self.longest_seconds, more.longest_seconds)
        self.bad_minutes |= more.bad_minutes << minutes_later


class Facts(msgspec.Struct, array_like=True, gc=False):
    """Hold all that was counted in a stretch of time."""

    rpcs: dict[str, Counts] = msgspec.field(default_factory=dict)
    providers: dict[str, Counts] = msgspec.field(default_factory=dict)
    bad_minutes: int = 0
    """As ``Counts`` has it, of all RPCs together."""

    def add(self, more: Facts, minutes_later: int = 0) -> None:
        """Add what was counted elsewhere, or so many minutes later."""
        for into, added in ((self.rpcs, more.rpcs), (self.providers, more.providers)):
            for name, counts in added.items():
                into.setdefault(name, Counts()).add(counts, minutes_later)
        self.bad_minutes |= more.bad_minutes << minutes_later

    def judge(self) -> None:
        """Note of whom most calls failed; for facts of one minute, and all of them."""
        for counts in (*self.rpcs.values(), *self.providers.values()):
            counts.bad_minutes = _is_bad(counts)
        self.bad_minutes = _is_bad(total(self.rpcs))


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Hold what was counted in a minute, or in an hour."""

    start_minute: int
    """Whole minutes since 1970 UTC."""
    minutes: int
    """How long it is: 1 or ``HOUR_MINUTES``."""
    facts: Facts


def total(counts: Mapping[str, Counts]) -> Counts:
    """Return the sum; which minutes were bad is not told by that of the parts."""
    found = Counts()
    for each in counts.values():
        found.add(each)
    found.bad_minutes = 0
    return found


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """
    Add up what several servers counted at the same time; oldest first.

    Minutes are judged when they are whole: half of the calls of one server are not
    half of all. What is given is used up.
    """
    found: dict[tuple[int, int], Facts] = {}
    for each in stretches:
        key = each.start_minute, each.minutes
        if key in found:
            found[key].add(each.facts)
        else:
            found[key] = each.facts
    for (_, minutes), facts in found.items():
        if minutes == 1:
            facts.judge()
    return [Stretch(*key, found[key]) for key in sorted(found)]


def hour_of(hour_minute: int, stretches: Iterable[Stretch]) -> Stretch:
    """Return all that was counted in an hour; what is given is used up."""
    facts = Facts()
    for each in joined(stretches):
        facts.add(each.facts, each.start_minute - hour_minute)
    return Stretch(hour_minute, HOUR_MINUTES, facts)


def _is_bad(counts: Counts) -> int:
    return int(counts.answered * 2 < counts.promised)
