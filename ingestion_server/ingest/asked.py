"""How it went with one vendor."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CostLimitError,
    DeadlineExceededError,
    IngestionError,
    NoDataUnexplainedError,
    QuotaExhaustedError,
)
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import Outcome
from ingestion_server.ingest.collected import Piece
from ingestion_server.ports.policy import CallTally


class Landed(msgspec.Struct, frozen=True, eq=False):
    """Hold what the calls of one vendor brought, for all who wait for it."""

    spans: Sequence[Span]
    """What the vendor was asked for; more than was wanted, if that tells something."""
    live: Piece | None
    """What it gave."""
    recalled: Piece | None = None
    """What was known before, and turned out to be good still."""
    error: IngestionError | None = None
    by_limit: bool = False
    """Whether the error is only of the limits of the one who asked."""
    changed: bool = False
    """Whether something that had been known before is no longer so."""

    @property
    def failed(self) -> bool:
        """Tell whether not everything came."""
        return self.error is not None


class Asked(msgspec.Struct, frozen=True, eq=False):
    """Hold how it went with one vendor, for one request."""

    provider: str
    gaps: Sequence[Span]
    landings: Sequence[Landed]
    tally: CallTally
    latency_seconds: float
    error: IngestionError | None = None
    shared: bool = False
    hedge: bool = False

    def pieces(self, spans: Sequence[Span]) -> list[Piece]:
        """Return what came of the spans, what is known from before first."""
        found = [each.recalled for each in self.landings if each.recalled is not None]
        found.extend(each.live for each in self.landings if each.live is not None)
        return [piece.within(spans) for piece in found]

    @property
    def given_anew(self) -> list[Span]:
        """Return the stretches of which the vendor gave what it has."""
        return [
            span
            for each in self.landings
            if each.live is not None
            for span in each.spans
        ]

    @property
    def changed(self) -> bool:
        """Tell whether something that had been known before is no longer so."""
        return any(each.changed for each in self.landings)

    def outcome(self, new: int, error: IngestionError | None) -> Outcome:
        """Return what became of it, if so many bars were new."""
        if new:
            return Outcome.SERVED
        if isinstance(error, NoDataUnexplainedError | CapabilityMissingError):
            return Outcome.NO_DATA
        tally = self.tally
        called = tally.calls or tally.shared_calls or self.shared
        return Outcome.FAILED if called else Outcome.SKIPPED


def by_limit(error: IngestionError) -> bool:
    """Tell whether an error comes of what the caller may spend, in time or money."""
    limits = DeadlineExceededError | QuotaExhaustedError | CostLimitError
    return isinstance(error, limits) or isinstance(error.__cause__, CostLimitError)
