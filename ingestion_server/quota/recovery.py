"""
What an account knows again after a restart.

Budgets change between runs: another plan, other settings. What was used of a window is
not forgotten for that. A window that is the same but for its name, its limit or its
margin goes on. One that has a new kind, length or zone begins with what was used of the
old one, as if that had been used just now. And of those that the budget does not have,
what is known is kept until it is over, and so it is of other keys.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.budget import Window, WindowKind
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.account import OF_KEY, Account
from ingestion_server.quota.admission import LONG_AGO, Turn, admit
from ingestion_server.quota.closure import dumped
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.journal import (
    CredentialRecord,
    Entry,
    Journal,
    VendorRecord,
)
from ingestion_server.quota.line import Line, counts_in, described
from ingestion_server.quota.meter import Passage, State
from ingestion_server.quota.scribe import Place

_SHORT_SECONDS: Final = 3600.0
_MOST_PARKED: Final = 32
"""Windows of other budgets that are kept for a vendor, and for each key."""

_log: Final = logging.getLogger(__name__)


class _Old(NamedTuple):
    """Be a window as it was written down."""

    line: Line
    state: State
    live: bool
    """Whether it was in force in the last run of its key."""


class _Known(NamedTuple):
    """Hold the windows of a vendor, or of a key, that the present budget lacks."""

    old: list[_Old]

    @property
    def live(self) -> list[Line]:
        """Return those of the last run."""
        return [each.line for each in self.old if each.live]

    def parked(self, now: Instant) -> list[State]:
        """Return what must be kept: of each as long as anything counts in it."""
        for each in self.old:
            each.line.relax(now)
        lines = [each.line for each in self.old if _matters(each.line, now)]
        lines.sort(key=lambda line: line.clear_at_ns(now) or 0)
        return [line.dump() for line in lines[-_MOST_PARKED:]]


def recover(
    account: Account,
    record: VendorRecord,
    identity: str,
    *,
    journal: Journal,
    line_of: Callable[[Window], Line],
    now: Instant,
) -> None:
    """
    Tell a new account what is written down, and sum that up.

    Calls that were under way when the last run ended may have arrived until now, so
    they count from now on.

    Args:
        account: is told.
        record: what is written down of the vendor.
        identity: of the key in use.
        journal: where it is summed up.
        line_of: makes an empty window.
        now: the present moment.

    Raises:
        JournalError: It cannot be summed up.
        KeyError, TypeError, ValueError: It makes no sense.

    """
    passage = _passage(record, now)
    used = record.credentials[identity]
    of_vendor = _known(record.state, line_of)
    keys = {
        each.id: _known(each.state, line_of) for each in record.credentials.values()
    }
    if record.state is not None:
        account.spend.restore(record.state["spend"])
        account.history.restore(record.state["history"], offset_seconds=0.0)
    for of_key, state in ((False, record.state), (True, used.state)):
        if state is not None:
            turn, count = _closed(state["closure"], record, now)
            account.closure.resume(turn, count, of_key=of_key)
    for of_key, known in ((False, of_vendor), (True, keys[used.id])):
        lines = [each for each in account.lines if _is_of_key(each) is of_key]
        _inherit(lines, known)
    shared = [line for line in account.lines if not _is_of_key(line)] + of_vendor.live
    counting = {id_: shared + known.live for id_, known in keys.items()}
    counting[used.id] += [line for line in account.lines if _is_of_key(line)]
    _replay_all(account, record.credentials.values(), counting)
    if not record.same_boot:
        # Rates of late are told by a clock that has started anew.
        account.history.restore(account.history.dump())
    gone = [each.line for known in (of_vendor, *keys.values()) for each in known.old]
    for line in (*account.lines, *gone):
        line.resume(passage, now)
    _carry(account, [*of_vendor.old, *keys[used.id].old], now)
    account.park(of_vendor.parked(now), of_key=False)
    account.park(keys[used.id].parked(now), of_key=True)
    account.settle_at(Place(record.id, used.id))
    others = {
        each.id: _rested(each.state, keys[each.id], record, now)
        for each in record.credentials.values()
        # Else what is written down of it is as true as before.
        if each.id != used.id and (each.entries or not record.same_boot)
    }
    journal.save(
        record.id, account.dump(), {used.id: account.dump_of_key(), **others}, now
    )


def _is_of_key(line: Line) -> bool:
    return line.window.scope in OF_KEY


def _matters(line: Line, now: Instant) -> bool:
    return bool(line.used(now)) or line.lowered


def _known(state: State | None, line_of: Callable[[Window], Line]) -> _Known:
    old = []
    for live in (True, False) if state is not None else ():
        assert state is not None  # noqa: S101 - else there is nothing to go through
        for each in state["lines" if live else "parked"]:
            line = line_of(described(each))
            line.restore(each)
            old.append(_Old(line, each, live))
    return _Known(old)


def _inherit(lines: Sequence[Line], known: _Known) -> None:
    """Let windows go on that are the same, whatever they are called; forget theirs."""
    heirs = list(lines)
    for by_name in (True, False):
        for line in [*heirs]:
            found = next(
                (
                    old
                    for old in known.old
                    if _what(old.line.window) == _what(line.window)
                    and (not by_name or old.line.window.name == line.window.name)
                ),
                None,
            )
            if found is not None:
                line.restore(found.state)
                known.old.remove(found)
                heirs.remove(line)


def _what(window: Window) -> tuple[object, ...]:
    fixed = window.kind is WindowKind.FIXED
    span = (window.period, window.reset_zone) if fixed else (window.seconds,)
    return (window.kind, window.counts, window.scope, *span)


def _is_like(window: Window, old: Window) -> bool:
    """Return whether a window may be what has become of another."""
    if window.counts is not old.counts:
        # A number of calls tells nothing about units.
        return False
    zoned = window.period is not None and window.period is old.period
    return window.name == old.name or (zoned and window.scope is old.scope)


def _carry(account: Account, gone: Iterable[_Old], now: Instant) -> None:
    """Begin windows with what was used of those they took the place of."""
    for old in gone:
        used, window = old.line.used(now), old.line.window
        heirs = [each for each in account.lines if _is_like(each.window, window)]
        for line in heirs:
            line.fill(used, now)
        if used and old.live:
            _log.info(
                "%s: of the window %r, which has changed or gone, %d of %d %s are "
                "used; %s",
                account.provider,
                window.name,
                used,
                old.line.limit,
                window.counts,
                f"so {' and '.join(repr(each.window.name) for each in heirs)} begins "
                "with these"
                if heirs
                else "that is kept until it is over",
            )


def _rested(
    state: State | None, known: _Known, record: VendorRecord, now: Instant
) -> State:
    """Return what is known of a key that is not in use."""
    turn, count = (LONG_AGO, 0)
    if state is not None:
        turn, count = _closed(state["closure"], record, now)
    return {
        "closure": dumped(turn, count),
        "lines": [],
        "parked": known.parked(now),
    }


def _passage(record: VendorRecord, now: Instant) -> Passage:
    as_of = record.as_of
    if record.same_boot or as_of is None:
        return lambda seconds, _: seconds

    def across(seconds: float, window_seconds: float) -> float:
        return now.seconds - _passed(record, as_of, seconds, window_seconds, now)

    return across


def _passed(
    record: VendorRecord,
    as_of: Instant,
    seconds: float,
    window_seconds: float,
    now: Instant,
) -> float:
    """Return for how long a moment of another start of the machine is over, surely."""
    # Whoever set the wall clock in that run may have been right or wrong.
    then_ns = max(as_of.wall_ns, as_of.steady_ns)
    since = (now.wall_ns - then_ns) / SECOND_NS + as_of.seconds - seconds
    if window_seconds <= _SHORT_SECONDS:
        # The wall clock may have been set meanwhile. But the machine has run for so
        # long since, by a clock that nobody sets; that is long enough to ask no more.
        ran = now.seconds
        if record.same_boot is None and seconds <= now.seconds:
            # Perhaps it has not been started since.
            ran -= seconds
        since = min(since, ran)
    return max(since, 0.0)


def _in_order(credentials: Iterable[CredentialRecord]) -> list[tuple[int, Entry]]:
    entries = [(each.id, entry) for each in credentials for entry in each.entries]
    return sorted(entries, key=lambda pair: pair[1].at.seconds)


def _closed(closure: State, record: VendorRecord, now: Instant) -> tuple[Turn, int]:
    count: int = closure["count"]
    if closure["turn"] is None or record.as_of is None:
        return LONG_AGO, count
    until_seconds, window = closure["turn"]
    if record.same_boot:
        return Turn(until_seconds, window), count
    left = until_seconds - record.as_of.seconds
    gone = _passed(record, record.as_of, record.as_of.seconds, left, now)
    return Turn(now.seconds + left - gone, window), count


def _replay_all(
    account: Account,
    credentials: Iterable[CredentialRecord],
    counting: dict[int, list[Line]],
) -> None:
    debits: dict[int, Entry] = {}
    # Only the last run's key can have entries, since each start sums up all of them.
    # So their numbers are those of the calls that its states knew to be under way.
    for credential, entry in _in_order(credentials):
        if entry.refund:
            debit = debits.get(entry.number, entry)
            _take_back(account, counting[credential], entry, debit.at)
        else:
            debits[entry.number] = entry
            _replay(account, counting[credential], entry)


def _take_back(
    account: Account, lines: Sequence[Line], entry: Entry, left_at: Instant
) -> None:
    for slot in (slot for line in lines for slot in line.slots):
        slot.meter.refund(entry.number, entry.at)
    account.spend.take_back(entry.units, left_at.wall_ns)


def _replay(account: Account, lines: Sequence[Line], entry: Entry) -> None:
    lane, at = Lane.BATCH if entry.batch else Lane.INTERACTIVE, entry.at
    slots = [slot for line in lines for slot in counts_in(line, lane)]
    admit(slots, entry.number, entry.units, at)
    account.spend.add(entry.units, at.wall_ns)
    account.history.add(1, entry.units, at.seconds, at.wall_ns)
