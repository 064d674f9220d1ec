"""What is known so far of one instrument whose quote is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    DeadlineExceededError,
    IngestionError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.result import Attempt, Outcome
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ingest.progress import reason_of
from ingestion_server.ingest.quote_turn import Heard
from ingestion_server.registry.verdict import verdict


@dataclass(slots=True, eq=False)
class Case:
    """Keep what is known of one instrument so far."""

    instrument: Instrument
    word: Snapshot | None = None
    provider: str = ""
    live: bool = False
    received_at_ns: int = 0
    late: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    errors: dict[str, ProviderError] = field(default_factory=dict)
    """The last of each vendor."""
    end: IngestionError | None = None
    """What ends it, whatever others could tell: the server stops."""

    @property
    def open(self) -> bool:
        """Return whether a vendor is still to be asked."""
        return self.word is None and not self.late and self.end is None

    def note(self, name: str, heard: Heard) -> None:
        """Note how it went with a vendor."""
        word, error = heard.word, None
        outcome = Outcome.SERVED
        if isinstance(word, Snapshot):
            self.word, self.provider = word, name
            self.received_at_ns = heard.received_at_ns
            self.errors.pop(name, None)
        else:
            error = word
            outcome = _outcome(word, called=bool(heard.calls or heard.shared))
            if isinstance(word, ProviderError):
                self.errors[name] = word
            elif isinstance(word, DeadlineExceededError):
                self.late = True
            else:
                self.end = word
        self.attempts.append(
            Attempt(
                name,
                outcome,
                reason_of(error) if error else "",
                latency_seconds=heard.latency_seconds,
                cost_usd=heard.cost_usd,
                calls=heard.calls,
                shared=heard.shared,
            )
        )

    def skip(self, error: ProviderError) -> None:
        """Note a vendor that cannot be asked."""
        self.errors[error.provider] = error
        attempt = Attempt(error.provider, Outcome.SKIPPED, reason_of(error))
        self.attempts.append(attempt)

    def result(self, *, pinned: bool) -> Snapshot | IngestionError:
        """Return what is known in the end, or the one reason why nothing is."""
        if self.word is not None:
            return self.word
        if self.end is not None:
            return self.end
        if self.late or not (self.errors or self.attempts):
            tried = ", ".join(
                f"{a.provider} {a.outcome.upper()}" for a in self.attempts
            )
            return DeadlineExceededError(
                "the deadline passed while asking: " + tried, attempts=tried
            )
        return verdict(
            list(self.errors.values()), pinned=pinned, symbol=self.instrument.symbol
        )


def _outcome(error: IngestionError, *, called: bool) -> Outcome:
    silent = NoDataUnexplainedError | CapabilityMissingError | SymbolUnknownError
    if called and isinstance(error, silent):
        return Outcome.NO_DATA
    return Outcome.FAILED if called else Outcome.SKIPPED
