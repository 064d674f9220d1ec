"""How a channel to the server behaves: retries, keepalive, size of messages, TLS."""

from __future__ import annotations

import json
from typing import Final

import grpc

from ingestion_server.client.tracing import TracedAioChannel, TracedChannel

_MEGABYTE: Final = 1024 * 1024

# gRPC itself retries, so the caller's deadline bounds all attempts together. A batch
# or a watch is not retried: its answers may be half consumed. The server's own
# UNAVAILABLE ("every vendor failed") is retried too, unless its trailers hold
# grpc-retry-pushback-ms: -1; two more attempts within a second do no harm.
_SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [
                {"service": f"marketdata.ingestion.v1.{service}", "method": method}
                for service, method in (
                    ("IngestionService", "Fetch"),
                    ("IngestionService", "GetQuotes"),
                    ("QuotaService", "ListQuotas"),
                    ("QuotaService", "ForecastQuota"),
                    ("ProviderService", "ListProviders"),
                    ("ProviderService", "GetProvider"),
                    # Done twice, it is as if it were done once.
                    ("ProviderService", "UpdateProvider"),
                    ("ProviderService", "ExplainRoute"),
                    ("JobService", "GetJob"),
                    ("JobService", "ListJobs"),
                    ("JobService", "PauseJob"),
                    ("JobService", "ResumeJob"),
                    ("JobService", "CancelJob"),
                    ("ReportService", "GetSlaReport"),
                    # Not CreateJob, which without a key would create another one,
                    # nor those that tell what they did: done again, it is nothing.
                    # Not BenchmarkProviders, which would spend its quota again.
                )
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.2s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

OPTIONS: Final[tuple[tuple[str, int | str], ...]] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # A peer that vanished without a word is noticed within 40 seconds. Servers count
    # pings without data as abuse from the third one on; gRPC sends two at most.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # 50,000 bars with every column are 3 MB, and gRPC's default is 4.
    ("grpc.max_receive_message_length", 64 * _MEGABYTE),
    # A server that is starting is found soon after it has started.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def sync_channel(
    target: str, credentials: grpc.ChannelCredentials | None
) -> grpc.Channel:
    """Open a channel for threads."""
    if credentials is None:
        return TracedChannel(grpc.insecure_channel(target, options=OPTIONS))
    return TracedChannel(grpc.secure_channel(target, credentials, options=OPTIONS))


def async_channel(
    target: str, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    """Open a channel for the running event loop."""
    if credentials is None:
        return TracedAioChannel(grpc.aio.insecure_channel(target, options=OPTIONS))
    return TracedAioChannel(
        grpc.aio.secure_channel(target, credentials, options=OPTIONS)
    )


def usual_credentials(
    credentials: grpc.ChannelCredentials | None, *, secure: bool
) -> grpc.ChannelCredentials | None:
    """Take TLS with the public certificate authorities if none other is named."""
    if credentials is None and secure:
        return grpc.ssl_channel_credentials()
    return credentials
