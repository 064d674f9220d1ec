"""
Failures of the client, one class per `ErrorReason`, grouped by what helps.

    IngestionClientError
    ├── InvalidQueryError             mend the query; .violations names the fields
    │   └── InvalidOptionError        a ValueError too: the server was not asked
    ├── NoDataError                   ask for something else
    │   ├── SymbolUnknownError
    │   └── NoDataUnexplainedError
    ├── JobError                      look at the jobs that there are
    │   ├── JobUnknownError
    │   └── JobStateConflictError     the message says what can be done instead
    ├── LimitError                    come back after .retry_delay
    │   ├── QuotaExhaustedError
    │   ├── CallerThrottledError
    │   └── SubscriberTooSlowError    or read faster
    ├── ProviderError                 try later, or let other vendors answer
    │   ├── AllProvidersFailedError
    │   ├── PinnedProviderFailedError
    │   └── MalformedPayloadError
    ├── ConfigurationError            mend the server's keys, plans or vendors
    │   ├── CapabilityMissingError
    │   ├── CostLimitExceededError    or allow more with max_cost_usd
    │   ├── CredentialsRefusedError
    │   └── EntitlementMissingError
    ├── DeadlineExceededError         give it more time
    ├── ServerError                   the server itself is the trouble
    │   ├── InternalError
    │   ├── LedgerUnavailableError
    │   ├── ServerStoppingError
    │   ├── StateUnavailableError
    │   └── ServerUnreachableError    nobody answered at the target
    └── UnexpectedStatusError         a status that the contract does not know

A reason that is newer than this client becomes the group its status code belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import grpc
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """Say what is wrong with one field of a query."""

    field: str
    """Name of the field in the request, for example ``start``."""
    description: str
    """What is wrong with it, in plain words."""


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """Hold what a failure tells besides its message."""

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    """The status code on the wire."""
    reason: str = ""
    """An `ErrorReason` without its prefix; empty if the server did not say."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The facts, for example ``{"provider": "yahoo"}``."""
    retry_delay: timedelta | None = None
    """When to come back; None if waiting does not help or nobody knows."""
    violations: tuple[FieldViolation, ...] = ()
    """The wrong fields of the query."""
    request_id: str = ""
    """Finds the request in the server's log; empty if the server did not say."""
    trace_id: str = ""
    """Finds its trace, if that was recorded; empty if the server did not say."""


class IngestionClientError(Exception):
    """Something kept the client from answering."""

    def __init__(self, message: str, details: FailureDetails | None = None) -> None:
        # Both go to `args`, so that a failure survives pickling.
        super().__init__(message, details)
        self.message = message
        self.details = details or FailureDetails()
        for violation in self.violations:
            self.add_note(f"{violation.field}: {violation.description}")
        if self.retry_delay is not None:
            self.add_note(f"Retry in {self.retry_delay.total_seconds():g} s.")
        if self.request_id:
            self.add_note(f"Request {self.request_id} in the server's log.")

    @override
    def __str__(self) -> str:
        return self.message

    @property
    def code(self) -> grpc.StatusCode:
        """The status code on the wire."""
        return self.details.code

    @property
    def reason(self) -> str:
        """An `ErrorReason` without its prefix; empty if the server did not say."""
        return self.details.reason

    @property
    def metadata(self) -> Mapping[str, str]:
        """The facts, for example ``{"provider": "yahoo"}``."""
        return MappingProxyType(dict(self.details.metadata))

    @property
    def retry_delay(self) -> timedelta | None:
        """When to come back; None if waiting does not help or nobody knows."""
        return self.details.retry_delay

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """The wrong fields of the query."""
        return self.details.violations

    @property
    def request_id(self) -> str:
        """Finds the request in the server's log; empty if the server did not say."""
        return self.details.request_id

    @property
    def trace_id(self) -> str:
        """Finds its trace, if that was recorded; empty if the server did not say."""
        return self.details.trace_id


class InvalidQueryError(IngestionClientError):
    """A field of the query is wrong."""


class InvalidOptionError(InvalidQueryError, ValueError):
    """An option is none of those that exist, so the server was not asked."""


class NoDataError(IngestionClientError):
    """There are no data to be had."""


class SymbolUnknownError(NoDataError):
    """No vendor knows the symbol, and at least one said so definitely."""

    @property
    def suggestions(self) -> tuple[str, ...]:
        """Symbols that may have been meant, the likeliest first; often none."""
        return tuple(filter(None, self.metadata.get("suggestions", "").split(",")))


class NoDataUnexplainedError(NoDataError):
    """The vendors answered without data, and nobody can tell why."""


class JobError(IngestionClientError):
    """A job is not there, or not in a state for this."""


class JobUnknownError(JobError):
    """There is no job with this id; it may have been deleted."""


class JobStateConflictError(JobError):
    """A job in this state cannot do that."""


class LimitError(IngestionClientError):
    """Too much was asked for in too short a time."""


class QuotaExhaustedError(LimitError):
    """The quota of every eligible vendor is used up."""


class CallerThrottledError(LimitError):
    """This client sends more than the server takes at once."""


class SubscriberTooSlowError(LimitError):
    """A stream was ended because it was read slower than data came."""


class ProviderError(IngestionClientError):
    """The vendors failed."""


class AllProvidersFailedError(ProviderError):
    """Every vendor failed or is resting after failures."""


class PinnedProviderFailedError(ProviderError):
    """The pinned vendor failed; no other one was asked."""


class MalformedPayloadError(ProviderError):
    """A vendor sent something unreadable, and no other could answer."""


class ConfigurationError(IngestionClientError):
    """The server is not set up for this query."""


class CapabilityMissingError(ConfigurationError):
    """No configured vendor can do this at all."""


class CostLimitExceededError(ConfigurationError):
    """Every vendor that could answer would cost more than `max_cost_usd` allows."""


class CredentialsRefusedError(ConfigurationError):
    """Every vendor refuses the server's credentials."""


class EntitlementMissingError(ConfigurationError):
    """The server's plans with the vendors do not include this."""


class DeadlineExceededError(IngestionClientError):
    """The time given to the call is over."""


class ServerError(IngestionClientError):
    """The server itself is the trouble."""


class InternalError(ServerError):
    """The server has a defect; the request id finds it in its log."""


class LedgerUnavailableError(ServerError):
    """The server cannot write down what it uses of the vendors, so it asks none."""


class ServerStoppingError(ServerError):
    """The server is stopping."""


class StateUnavailableError(ServerError):
    """The server cannot keep a change over a restart, so it made none."""


class ServerUnreachableError(ServerError):
    """Nobody answered at the target."""


class UnexpectedStatusError(IngestionClientError):
    """The answer is a status that the contract does not know."""


BY_REASON: Final[Mapping[str, type[IngestionClientError]]] = MappingProxyType(
    {
        "INVALID_QUERY": InvalidQueryError,
        "SYMBOL_UNKNOWN": SymbolUnknownError,
        "NO_DATA_UNEXPLAINED": NoDataUnexplainedError,
        "JOB_UNKNOWN": JobUnknownError,
        "JOB_STATE_CONFLICT": JobStateConflictError,
        "QUOTA_EXHAUSTED": QuotaExhaustedError,
        "CALLER_THROTTLED": CallerThrottledError,
        "SUBSCRIBER_TOO_SLOW": SubscriberTooSlowError,
        "ALL_PROVIDERS_FAILED": AllProvidersFailedError,
        "PINNED_PROVIDER_FAILED": PinnedProviderFailedError,
        "CAPABILITY_MISSING": CapabilityMissingError,
        "COST_LIMIT_EXCEEDED": CostLimitExceededError,
        "CREDENTIALS_REFUSED": CredentialsRefusedError,
        "ENTITLEMENT_MISSING": EntitlementMissingError,
        "DEADLINE_EXCEEDED": DeadlineExceededError,
        "MALFORMED_PAYLOAD": MalformedPayloadError,
        "INTERNAL": InternalError,
        "LEDGER_UNAVAILABLE": LedgerUnavailableError,
        "SERVER_STOPPING": ServerStoppingError,
        "STATE_UNAVAILABLE": StateUnavailableError,
    }
)
"""The class of each reason the contract publishes."""

BY_CODE: Final[Mapping[grpc.StatusCode, type[IngestionClientError]]] = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: InvalidQueryError,
        grpc.StatusCode.NOT_FOUND: NoDataError,
        grpc.StatusCode.RESOURCE_EXHAUSTED: LimitError,
        grpc.StatusCode.UNAVAILABLE: ProviderError,
        grpc.StatusCode.FAILED_PRECONDITION: ConfigurationError,
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
        grpc.StatusCode.INTERNAL: ServerError,
    }
)
"""The group of a reason that this client does not know yet."""
