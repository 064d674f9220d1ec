"""
The typed Python client that users import.

It speaks the contract and nothing else: every answer is a `Bars` with numpy columns
and the truth about them, every failure one of the classes in `client.errors`. It knows
no other room of the server, so it can live without it.
"""

from ingestion_server.client.aio import Client
from ingestion_server.client.bars import Bars
from ingestion_server.client.batch import BatchItem
from ingestion_server.client.blocking import SyncClient
from ingestion_server.client.errors import (
    AllProvidersFailedError,
    CallerThrottledError,
    CapabilityMissingError,
    ConfigurationError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    FieldViolation,
    IngestionClientError,
    InternalError,
    InvalidOptionError,
    InvalidQueryError,
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
    SymbolUnknownError,
    UnexpectedStatusError,
)
from ingestion_server.client.provenance import (
    Attempt,
    MissingInterval,
    QualityFlag,
    Source,
)
from ingestion_server.client.request import Query
from ingestion_server.client.vocabulary import BarState, Completeness

__all__ = [
    "AllProvidersFailedError",
    "Attempt",
    "BarState",
    "Bars",
    "BatchItem",
    "CallerThrottledError",
    "CapabilityMissingError",
    "Client",
    "Completeness",
    "ConfigurationError",
    "CredentialsRefusedError",
    "DeadlineExceededError",
    "EntitlementMissingError",
    "FieldViolation",
    "IngestionClientError",
    "InternalError",
    "InvalidOptionError",
    "InvalidQueryError",
    "LimitError",
    "MalformedPayloadError",
    "MissingInterval",
    "NoDataError",
    "NoDataUnexplainedError",
    "PinnedProviderFailedError",
    "ProviderError",
    "QualityFlag",
    "Query",
    "QuotaExhaustedError",
    "ServerError",
    "ServerStoppingError",
    "ServerUnreachableError",
    "Source",
    "SymbolUnknownError",
    "SyncClient",
    "UnexpectedStatusError",
]
