"""How traces are recorded, if there is a collector to send them to."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Final

from ingestion_server.app.redaction import blank_of
from ingestion_server.app.settings import Settings
from ingestion_server.app.version import version
from ingestion_server.telemetry.otlp import pairs, span_exporter

if TYPE_CHECKING:
    from ingestion_server.telemetry.traces import Traces

_INSTANCE: Final = str(uuid.uuid4())
"""The same for traces and metrics, or nobody could tell which belong together."""


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncIterator[Traces | None]:
    """Record traces while the block lasts; None = there is nowhere to send them."""
    chosen = settings.telemetry
    if chosen.otlp_endpoint is None:
        yield None
        return
    # It takes a fiftieth of a second and megabytes.
    from ingestion_server.telemetry.traces import Traces  # noqa: PLC0415

    traces = Traces(
        span_exporter(
            chosen.otlp_endpoint,
            chosen.otlp_protocol,
            pairs(chosen.otlp_headers.get_secret_value()),
        ),
        resource_of(settings),
        ratio=chosen.sample_ratio,
        blank=blank_of(settings),
    )
    try:
        yield traces
    finally:
        await asyncio.to_thread(traces.close)


def resource_of(settings: Settings) -> Mapping[str, str]:
    """Return what telemetry says of this server."""
    chosen = settings.telemetry
    return {
        "service.instance.id": _INSTANCE,
        "service.version": version(),
        **pairs(chosen.resource_attributes or ""),
        "service.name": chosen.service_name,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": metadata.version("opentelemetry-sdk"),
    }
