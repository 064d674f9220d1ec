"""What sends telemetry to a collector; loaded only where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

Protocol = Literal["grpc", "http"]
_SECONDS: Final = 5.0
"""How long sending may take, with all tries of it."""
TRACES_PATH: Final = "/v1/traces"
"""Where a collector that speaks HTTP takes spans."""
METRICS_PATH: Final = "/v1/metrics"
"""The same for metrics."""


def span_exporter(
    endpoint: str, protocol: Protocol, headers: Mapping[str, str]
) -> SpanExporter:
    """Return what sends spans to a collector; nothing is connected yet."""
    if protocol == "http":
        # Each of the two takes a twelfth of a second and megabytes.
        from opentelemetry.exporter.otlp.proto.http import (  # noqa: PLC0415
            trace_exporter as http,
        )

        return http.OTLPSpanExporter(
            endpoint + TRACES_PATH, headers=dict(headers), timeout=_SECONDS
        )
    from opentelemetry.exporter.otlp.proto.grpc import (  # noqa: PLC0415
        trace_exporter as grpc,
    )

    return grpc.OTLPSpanExporter(endpoint, headers=_lowered(headers), timeout=_SECONDS)


def metric_exporter(
    endpoint: str, protocol: Protocol, headers: Mapping[str, str]
) -> MetricExporter:
    """Return what sends metrics to a collector; nothing is connected yet."""
    if protocol == "http":
        from opentelemetry.exporter.otlp.proto.http import (  # noqa: PLC0415
            metric_exporter as http,
        )

        return http.OTLPMetricExporter(
            endpoint + METRICS_PATH, headers=dict(headers), timeout=_SECONDS
        )
    from opentelemetry.exporter.otlp.proto.grpc import (  # noqa: PLC0415
        metric_exporter as grpc,
    )

    return grpc.OTLPMetricExporter(
        endpoint, headers=_lowered(headers), timeout=_SECONDS
    )


def pairs(text: str) -> Mapping[str, str]:
    """Read ``name=value,…``, in which values are percent-encoded."""
    found = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in found}


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as gRPC takes them."""
    return {name.lower(): value for name, value in headers.items()}
