"""Who writes a vendor's calls down, and says when that does not work."""

from __future__ import annotations

import logging
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import LedgerUnavailableError
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.journal import Journal, JournalError
from ingestion_server.quota.meter import State

_WRITE_AGAIN_SECONDS: Final = 5.0
_ENTRIES: Final = 512
"""After so many calls they are summed up; a file that only grows is slow to read."""

_log: Final = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True):
    """Say where in the journal a vendor is."""

    vendor: int = 0
    credential: int = 0


@final
class Scribe:
    """Write the calls of one vendor down, and sum them up now and then."""

    def __init__(self, provider: str, journal: Journal) -> None:
        """Begin with nothing written."""
        self.place = Place()
        self._provider = provider
        self._journal = journal
        self._entries = 0
        # What could not be written when it last was to be.
        self._unwritten: set[str] = set()

    @property
    def full(self) -> bool:
        """Return whether it is time to sum up."""
        return self._entries >= _ENTRIES

    def debit(self, number: int, lane: Lane, units: int, now: Instant) -> None:
        """
        Write down a call, before it leaves.

        Raises:
            LedgerUnavailableError: It is not written.

        """
        try:
            self._journal.debit(
                self.place.credential, number, now, units, batch=lane is Lane.BATCH
            )
        except JournalError as error:
            self._failed("call", error)
            raise LedgerUnavailableError(
                f"calls to {self._provider} are held back, because a restart would "
                f"forget them: {error}",
                provider=self._provider,
                retry_after_seconds=_WRITE_AGAIN_SECONDS,
            ) from error
        self._entries += 1
        if self._unwritten:
            self._worked("call")

    def refund(self, number: int, units: int, now: Instant) -> None:
        """Write down that a call never left."""
        self._journal.refund(self.place.credential, number, now, units)

    def save(self, state: State, of_key: State, now: Instant) -> bool:
        """
        Sum up what was written down, and return whether that worked.

        What fails is told to the log, once, and tried again after as many calls.
        """
        self._entries = 0
        place = self.place
        try:
            self._journal.save(place.vendor, state, {place.credential: of_key}, now)
        except JournalError as error:
            self._failed("sum", error)
            return False
        self._worked("sum")
        return True

    def _failed(self, what: str, error: JournalError) -> None:
        if not self._unwritten:
            _log.error("%s: %s", self._provider, error)
        self._unwritten.add(what)

    def _worked(self, what: str) -> None:
        if what in self._unwritten:
            self._unwritten.remove(what)
            if not self._unwritten:
                _log.warning("%s: the ledger can be written again", self._provider)
