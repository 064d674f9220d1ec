"""
Everything that can go wrong, as facts.

    IngestionError
    ├── CallerError                    the request is at fault
    │   ├── InvalidQueryError          a field is wrong
    │   ├── CallerThrottledError       more at once than the server takes
    │   ├── SubscriberTooSlowError     a stream is read slower than data come
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

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    from ingestion_server.domain.result import Attempt


class Violation(NamedTuple):
    """Name a wrong field and what it should have been."""

    field: str
    description: str


class IngestionError(Exception):
    """Be the root of every failure of ours."""

    reason: ClassVar[str] = "INTERNAL"
    """The ErrorInfo reason that callers see."""

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        """When trying again can help; None if it cannot, or nobody knows."""
        self.tried: tuple[Attempt, ...] = ()
        """What was tried with each vendor, in vain."""

    @property
    def calls(self) -> int:
        """Return how many calls of vendors were made in vain."""
        return sum(attempt.calls for attempt in self.tried)

    @property
    def cost_usd(self) -> Decimal:
        """Return what they cost."""
        return sum((attempt.cost_usd for attempt in self.tried), Decimal(0))

    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars, without secrets."""
        return {}


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


class ProviderError(IngestionError):
    """Say what one vendor did to one call."""

    transient: ClassVar[bool] = False
    """Whether the same call may succeed a moment later."""
    trips_breaker: bool = False
    """Whether it is a sign that the vendor is broken."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.provider = provider

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider}


class SymbolUnknownError(ProviderError):
    """Say that a vendor definitely does not know the symbol."""

    reason = "SYMBOL_UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        symbol: str = "",
        suggestions: Sequence[str] = (),
    ) -> None:
        super().__init__(message, provider=provider)
        self.symbol = symbol
        self.suggestions = tuple(suggestions)
        """Symbols that may have been meant, the likeliest first."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        facts = {"providers": self.provider, "symbol": self.symbol}
        if self.suggestions:
            facts["suggestions"] = ",".join(self.suggestions)
        return facts


class NoDataUnexplainedError(ProviderError):
    """Say that a vendor gave nothing, and that nobody can tell why."""

    reason = "NO_DATA_UNEXPLAINED"


class QuotaExhaustedError(ProviderError):
    """Say that a vendor may not be called before ``retry_after_seconds``."""

    reason = "QUOTA_EXHAUSTED"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        window: str,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(
            message, provider=provider, retry_after_seconds=retry_after_seconds
        )
        self.window = window
        """Name of the window that is used up, for example ``day``."""
        self.others: tuple[QuotaExhaustedError, ...] = ()
        """The other vendors' windows that are used up as well."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider, "window": self.window}


class CostLimitError(ProviderError):
    """Say that a call would cost more than the caller allows."""

    reason = "COST_LIMIT_EXCEEDED"

    def __init__(self, message: str, *, provider: str, price_usd: str) -> None:
        super().__init__(message, provider=provider)
        self.price_usd = price_usd
        """What the next call would cost."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider, "price_usd": self.price_usd}


class LedgerUnavailableError(ProviderError):
    """Say that a call was held back because it could not be written down first."""

    reason = "LEDGER_UNAVAILABLE"


class CredentialsRefusedError(ProviderError):
    """Say that a vendor refuses our key, or that we have none."""

    reason = "CREDENTIALS_REFUSED"


class SessionExpiredError(ProviderError):
    """Say that the vendor wants a new cookie or crumb first."""

    reason = "CREDENTIALS_REFUSED"


class EntitlementMissingError(ProviderError):
    """Say that our plan with the vendor does not include a feature."""

    reason = "ENTITLEMENT_MISSING"

    def __init__(self, message: str, *, provider: str, feature: str) -> None:
        super().__init__(message, provider=provider)
        self.feature = feature

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"provider": self.provider, "feature": self.feature}


class CapabilityMissingError(ProviderError):
    """Say that a vendor cannot do this at all."""

    reason = "CAPABILITY_MISSING"

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message, provider=provider)
        self.reasons = {provider: message} if provider else {}
        """What each vendor lacks."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return dict(self.reasons)


class MalformedPayloadError(ProviderError):
    """Say that a vendor's answer cannot be read."""

    reason = "MALFORMED_PAYLOAD"
    trips_breaker = True


class ProviderUnavailableError(ProviderError):
    """Say that a vendor failed, timed out or cannot be reached."""

    reason = "ALL_PROVIDERS_FAILED"
    transient = True
    trips_breaker = True
    silent: bool = False
    """Whether it took all the time it was given, and said nothing."""

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"providers": self.provider}


class BreakerOpenError(ProviderError):
    """Say that a vendor rests after failures."""

    reason = "ALL_PROVIDERS_FAILED"

    @override
    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars."""
        return {"providers": self.provider}


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
