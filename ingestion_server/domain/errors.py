"""
Everything that can go wrong, as facts.

    IngestionError
    ├── CallerError                    the request is at fault
    │   ├── InvalidQueryError          a field is wrong
    │   ├── CallerThrottledError       more at once than the server takes
    │   ├── SubscriberTooSlowError     a stream is read slower than data come
    │   ├── JobUnknownError            there is no such job
    │   ├── JobStateConflictError      the job's state does not allow it
    │   └── DeadlineExceededError      the caller's time is over
    ├── ProviderError                  one vendor, one call
    │   ├── SymbolUnknownError         the vendor does not know the symbol
    │   ├── NoDataUnexplainedError     the vendor says nothing, and not why
    │   ├── QuotaExhaustedError        the vendor, or our ledger, says: not now
    │   ├── CostLimitError             it would cost more than the caller allows
    │   ├── LedgerUnavailableError     the call cannot be written down first
    │   ├── CredentialsRefusedError    our key is wrong or absent
    │   ├── SessionExpiredError        the vendor wants us to greet it anew
    │   ├── EntitlementMissingError    the plan does not include it
    │   ├── CapabilityMissingError     the vendor cannot do this at all
    │   ├── MalformedPayloadError      the vendor sent rubbish
    │   ├── ProviderUnavailableError   the vendor failed or cannot be reached
    │   └── BreakerOpenError           the vendor rests after failures
    ├── RouteError                     all vendors together
    │   ├── AllProvidersFailedError
    │   └── PinnedProviderFailedError
    ├── StateUnavailableError          what must survive a restart cannot be kept
    └── ServerStoppingError            the server is on its way out

An error carries facts for machines and one sentence for people; what a caller sees
of it is decided by one table in the service.
"""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from ingestion_server.domain.caller_errors import (
    CallerError,
    CallerThrottledError,
    DeadlineExceededError,
    InvalidQueryError,
    JobStateConflictError,
    JobUnknownError,
    SubscriberTooSlowError,
    Violation,
)
from ingestion_server.domain.provider_errors import (
    BreakerOpenError,
    CapabilityMissingError,
    CostLimitError,
    CredentialsRefusedError,
    EntitlementMissingError,
    LedgerUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SessionExpiredError,
    SymbolUnknownError,
)
from ingestion_server.domain.root_error import IngestionError

__all__ = [
    "AllProvidersFailedError",
    "BreakerOpenError",
    "CallerError",
    "CallerThrottledError",
    "CapabilityMissingError",
    "CostLimitError",
    "CredentialsRefusedError",
    "DeadlineExceededError",
    "EntitlementMissingError",
    "IngestionError",
    "InvalidQueryError",
    "JobStateConflictError",
    "JobUnknownError",
    "LedgerUnavailableError",
    "MalformedPayloadError",
    "NoDataUnexplainedError",
    "PinnedProviderFailedError",
    "ProviderError",
    "ProviderUnavailableError",
    "QuotaExhaustedError",
    "RouteError",
    "ServerStoppingError",
    "SessionExpiredError",
    "StateUnavailableError",
    "SubscriberTooSlowError",
    "SymbolUnknownError",
    "Violation",
]


class RouteError(IngestionError):
    """Say what became of a request after all vendors were asked."""

    def __init__(
        self,
        message: str,
        *,
        facts: Mapping[str, str],
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self._facts = dict(facts)

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return dict(self._facts)


class AllProvidersFailedError(RouteError):
    """Say that no vendor could answer."""

    reason = "ALL_PROVIDERS_FAILED"


class PinnedProviderFailedError(RouteError):
    """Say that the one vendor that was allowed failed."""

    reason = "PINNED_PROVIDER_FAILED"


class StateUnavailableError(IngestionError):
    """Say that nothing was changed, because it could not be kept."""

    reason = "STATE_UNAVAILABLE"


class ServerStoppingError(IngestionError):
    """Say that this server is on its way out."""

    reason = "SERVER_STOPPING"
