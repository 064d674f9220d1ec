"""
The typed Python client that users import.

It speaks the contract and nothing else: every answer is a `Bars` with numpy columns
and the truth about them, every failure one of the classes in `client.errors`. It knows
no other room of the server, so it can live without it.
"""

from ingestion_server.client.aio import Client
from ingestion_server.client.bars import Bars
from ingestion_server.client.batch import BatchItem
from ingestion_server.client.benchmarks import (
    Benchmark,
    BenchmarkAnswer,
    ProviderAgreement,
    ProviderBenchmark,
)
from ingestion_server.client.blocking import SyncClient
from ingestion_server.client.cache_use import CacheUse
from ingestion_server.client.errors import (
    AllProvidersFailedError,
    CallerThrottledError,
    CapabilityMissingError,
    ConfigurationError,
    CostLimitExceededError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    FieldViolation,
    IngestionClientError,
    InternalError,
    InvalidOptionError,
    InvalidQueryError,
    JobError,
    JobStateConflictError,
    JobUnknownError,
    LedgerUnavailableError,
    LimitError,
    MalformedPayloadError,
    NoDataError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
    ProviderError,
    QuotaExhaustedError,
    ServerError,
    ServerStoppingError,
    ServerUnreachableError,
    StateUnavailableError,
    SubscriberTooSlowError,
    SymbolUnknownError,
    UnexpectedStatusError,
)
from ingestion_server.client.job_reading import JobResult
from ingestion_server.client.job_request import JobOptions
from ingestion_server.client.job_results import Results, SyncResults
from ingestion_server.client.job_values import (
    CreatedJob,
    Job,
    JobChanges,
    JobPlan,
    JobProgress,
    JobSpec,
    JobUnit,
    PlanFailure,
    ProviderPlan,
)
from ingestion_server.client.jobs_aio import Jobs
from ingestion_server.client.jobs_blocking import SyncJobs
from ingestion_server.client.provenance import (
    Attempt,
    MissingInterval,
    QualityFlag,
    Source,
)
from ingestion_server.client.provider_request import BenchmarkOptions
from ingestion_server.client.providers import (
    Breaker,
    Provider,
    ProviderCapability,
    ProviderChanges,
    ProviderEvent,
    ProviderHealth,
    Providers,
    Route,
    RouteCandidate,
    ScoreFactor,
)
from ingestion_server.client.quota_request import PlannedCalls
from ingestion_server.client.quotas import (
    PlanForecast,
    QuotaAlert,
    QuotaChanges,
    QuotaForecast,
    QuotaProvider,
    Quotas,
    QuotaSpend,
    QuotaWindow,
    WindowForecast,
)
from ingestion_server.client.quotes_request import QuotesOptions
from ingestion_server.client.quotes_snapshot import QuoteSnapshot, QuoteSnapshots
from ingestion_server.client.reports import (
    Downtime,
    Latency,
    ServiceLevel,
    SlaReport,
)
from ingestion_server.client.reports_aio import Reports
from ingestion_server.client.reports_blocking import SyncReports
from ingestion_server.client.request import Query
from ingestion_server.client.stream_course import StreamMessage
from ingestion_server.client.stream_items import (
    LiveBar,
    Quote,
    StreamEvent,
    StreamItem,
    Trade,
)
from ingestion_server.client.stream_request import StreamOptions
from ingestion_server.client.streaming import Stream, SyncStream
from ingestion_server.client.vocabulary import BarState, Completeness

__all__ = [
    "AllProvidersFailedError",
    "Attempt",
    "BarState",
    "Bars",
    "BatchItem",
    "Benchmark",
    "BenchmarkAnswer",
    "BenchmarkOptions",
    "Breaker",
    "CacheUse",
    "CallerThrottledError",
    "CapabilityMissingError",
    "Client",
    "Completeness",
    "ConfigurationError",
    "CostLimitExceededError",
    "CreatedJob",
    "CredentialsRefusedError",
    "DeadlineExceededError",
    "Downtime",
    "EntitlementMissingError",
    "FieldViolation",
    "IngestionClientError",
    "InternalError",
    "InvalidOptionError",
    "InvalidQueryError",
    "Job",
    "JobChanges",
    "JobError",
    "JobOptions",
    "JobPlan",
    "JobProgress",
    "JobResult",
    "JobSpec",
    "JobStateConflictError",
    "JobUnit",
    "JobUnknownError",
    "Jobs",
    "Latency",
    "LedgerUnavailableError",
    "LimitError",
    "LiveBar",
    "MalformedPayloadError",
    "MissingInterval",
    "NoDataError",
    "NoDataUnexplainedError",
    "PinnedProviderFailedError",
    "PlanFailure",
    "PlanForecast",
    "PlannedCalls",
    "Provider",
    "ProviderAgreement",
    "ProviderBenchmark",
    "ProviderCapability",
    "ProviderChanges",
    "ProviderError",
    "ProviderEvent",
    "ProviderHealth",
    "ProviderPlan",
    "Providers",
    "QualityFlag",
    "Query",
    "QuotaAlert",
    "QuotaChanges",
    "QuotaExhaustedError",
    "QuotaForecast",
    "QuotaProvider",
    "QuotaSpend",
    "QuotaWindow",
    "Quotas",
    "Quote",
    "QuoteSnapshot",
    "QuoteSnapshots",
    "QuotesOptions",
    "Reports",
    "Results",
    "Route",
    "RouteCandidate",
    "ScoreFactor",
    "ServerError",
    "ServerStoppingError",
    "ServerUnreachableError",
    "ServiceLevel",
    "SlaReport",
    "Source",
    "StateUnavailableError",
    "Stream",
    "StreamEvent",
    "StreamItem",
    "StreamMessage",
    "StreamOptions",
    "SubscriberTooSlowError",
    "SymbolUnknownError",
    "SyncClient",
    "SyncJobs",
    "SyncReports",
    "SyncResults",
    "SyncStream",
    "Trade",
    "UnexpectedStatusError",
    "WindowForecast",
]
