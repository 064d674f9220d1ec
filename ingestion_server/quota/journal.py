"""
What must survive a restart, as those who write and read it see it.

A call is an entry, written down before it leaves; now and then the entries of a vendor
are summed up in a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, final

from typing_extensions import override

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import State


class JournalError(Exception):
    """Say that the file cannot be used, and what to do about it."""


class Entry(NamedTuple):
    """Be one call that was written down, or taken back."""

    refund: bool
    number: int
    at: Instant
    units: int
    batch: bool


class CredentialRecord(NamedTuple):
    """Hold what is known of one key."""

    id: int
    state: State | None
    entries: Sequence[Entry]
    """What came after the state."""


class VendorRecord(NamedTuple):
    """Hold what is known of one vendor."""

    id: int
    state: State | None
    same_boot: bool | None
    """
    Whether the machine was not started since, so that the seconds go on.

    None = nobody knows.
    """
    as_of: Instant | None
    """The latest moment that was written down; None = nothing was."""
    credentials: Mapping[str, CredentialRecord]


class Journal(Protocol):
    """Write down what is used."""

    def debit(
        self, credential: int, number: int, at: Instant, units: int, *, batch: bool
    ) -> None:
        """
        Write down a call, before it leaves.

        Raises:
            JournalError: It is not written.

        """
        ...

    def refund(self, credential: int, number: int, at: Instant, units: int) -> None:
        """Write down that a call never left; if that fails, a restart counts it."""
        ...

    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        """
        Sum up what was written down of a vendor.

        Raises:
            JournalError: It is not written; the entries are still there.

        """
        ...


@final
class NoJournal(Journal):
    """Write nothing down: for vendors that end with the process."""

    @override
    def debit(
        self, credential: int, number: int, at: Instant, units: int, *, batch: bool
    ) -> None:
        """Do nothing."""

    @override
    def refund(self, credential: int, number: int, at: Instant, units: int) -> None:
        """Do nothing."""

    @override
    def save(
        self, vendor: int, state: State, credentials: Mapping[int, State], at: Instant
    ) -> None:
        """Do nothing."""
