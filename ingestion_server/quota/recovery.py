"""What an account knows again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.account import OF_KEY, Account
from ingestion_server.quota.admission import LONG_AGO, Turn, admit
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.journal import (
    CredentialRecord,
    Entry,
    Journal,
    VendorRecord,
)
from ingestion_server.quota.line import Line, counts_in
from ingestion_server.quota.meter import Passage, State
from ingestion_server.quota.scribe import Place

_SHORT_SECONDS: Final = 3600.0


def recover(
    account: Account,
    record: VendorRecord,
    identity: str,
    *,
    journal: Journal,
    lines_of_key: Callable[[], Sequence[Line]],
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
        lines_of_key: makes empty windows, for a key that is not in use.
        now: the present moment.

    Raises:
        JournalError: It cannot be summed up.
        KeyError, TypeError, ValueError: It makes no sense.

    """
    passage = _passage(record, now)
    shared = [line for line in account.lines if line.window.scope not in OF_KEY]
    lines = {
        each.id: (
            [line for line in account.lines if line.window.scope in OF_KEY]
            if name == identity
            else lines_of_key()
        )
        for name, each in record.credentials.items()
    }
    if record.state is not None:
        _restore(account, record.state, record, now)
        _restore_lines(shared, record.state)
    for each in record.credentials.values():
        if each.state is not None:
            _restore_lines(lines[each.id], each.state)
    debits: dict[int, Entry] = {}
    # Only the last run's key can have entries, since each start sums up all of them.
    # So their numbers are those of the calls that its states knew to be under way.
    for credential, entry in _in_order(record.credentials.values()):
        counting = [*shared, *lines[credential]]
        if entry.refund:
            debit = debits.get(entry.number, entry)
            _take_back(account, counting, entry, debit.at)
        else:
            debits[entry.number] = entry
            _replay(account, counting, entry)
    if not record.same_boot:
        # Rates of late are told by a clock that has started anew.
        account.history.restore(account.history.dump())
    for line in [*shared, *(line for each in lines.values() for line in each)]:
        line.resume(passage, now)
    account.settle_at(Place(record.id, record.credentials[identity].id))
    journal.save(
        record.id,
        account.dump(),
        {id_: _dumped(each) for id_, each in lines.items()},
        now,
    )


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


def _restore(
    account: Account, state: State, record: VendorRecord, now: Instant
) -> None:
    account.spend.restore(state["spend"])
    account.history.restore(state["history"], offset_seconds=0.0)
    closure = state["closure"]
    account.closure.resume(_closed(closure["turn"], record, now), closure["count"])


def _closed(
    closed: tuple[float, str] | None, record: VendorRecord, now: Instant
) -> Turn:
    if closed is None or record.as_of is None:
        return LONG_AGO
    until_seconds, window = closed
    if record.same_boot:
        return Turn(until_seconds, window)
    left = until_seconds - record.as_of.seconds
    gone = _passed(record, record.as_of, record.as_of.seconds, left, now)
    return Turn(now.seconds + left - gone, window)


def _restore_lines(lines: Sequence[Line], state: State) -> None:
    for line in lines:
        if line.window.name in state["lines"]:
            line.restore(state["lines"][line.window.name])


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


def _dumped(lines: Sequence[Line]) -> State:
    return {"lines": {line.window.name: line.dump() for line in lines}}
