"""Failures that are the request's own fault; see ``errors`` for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from typing_extensions import override

from ingestion_server.domain.root_error import IngestionError


class Violation(NamedTuple):
    """Name a wrong field and what it should have been."""

    field: str
    description: str


class CallerError(IngestionError):
    """Blame the request."""


class InvalidQueryError(CallerError):
    """Name every wrong field of the request."""

    reason = "INVALID_QUERY"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"fields": ",".join(dict.fromkeys(v.field for v in self.violations))}


class CallerThrottledError(CallerError):
    """Refuse a call because the server has enough of them."""

    reason = "CALLER_THROTTLED"

    def __init__(self, message: str, *, limit: int, retry_after_seconds: float) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.limit = limit

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"limit": str(self.limit)}


class SubscriberTooSlowError(CallerError):
    """End a stream whose caller chose that rather than to lose anything unsaid."""

    reason = "SUBSCRIBER_TOO_SLOW"

    def __init__(self, message: str, *, pending: int) -> None:
        super().__init__(message, retry_after_seconds=0.0)
        self.pending = pending
        """How many items had not been read."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"pending": str(self.pending)}


class JobUnknownError(CallerError):
    """Say that there is no such job."""

    reason = "JOB_UNKNOWN"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"there is no job {job_id!r}; it may have been deleted, and "
            "`ingestion-server jobs list` shows those that are there"
        )
        self.job_id = job_id

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"job_id": self.job_id}


class JobStateConflictError(CallerError):
    """Say that a job in this state cannot do that, and what can be done."""

    reason = "JOB_STATE_CONFLICT"

    def __init__(self, message: str, *, job_id: str, state: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.state = state

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"job_id": self.job_id, "state": self.state}


class DeadlineExceededError(CallerError):
    """Say what had been tried when the caller's time was over."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, message: str, *, attempts: str = "") -> None:
        super().__init__(message)
        self.attempts = attempts

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"attempts": self.attempts}
