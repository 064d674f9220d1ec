"""What can be set of traces, and of where they and metrics are sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from ingestion_server.app.sections import Section
from ingestion_server.app.words import Collector, Expected, Unset

_PROTOCOLS = {"http/protobuf": "http"}
"""What OpenTelemetry calls the ones that we call otherwise."""


def _pairs(text: str) -> str:
    """Take ``name=value`` pairs with commas between, as OpenTelemetry writes them."""
    for pair in text.split(","):
        name, sign, _ = pair.partition("=")
        if pair.strip() and not (name.strip() and sign):
            raise ValueError("not a name with its value")
    if not text.isprintable():
        raise ValueError("more than names and values")
    return text.strip()


def _secret_pairs(secret: SecretStr) -> SecretStr:
    return SecretStr(_pairs(secret.get_secret_value()))


def _often(seconds: float) -> float:
    if seconds and seconds < 1:
        raise ValueError("more often than is good for a collector")
    return seconds


def _protocol(value: object) -> object:
    return _PROTOCOLS.get(value, value) if isinstance(value, str) else value


class TelemetrySettings(Section):
    """Send what the server does to a collector of OpenTelemetry."""

    otlp_endpoint: Annotated[Collector | None, Unset("nothing is sent")] = None
    """Where the collector listens; also read from OTEL_EXPORTER_OTLP_ENDPOINT."""
    otlp_protocol: Annotated[
        Literal["grpc", "http"],
        BeforeValidator(_protocol),
        Expected("one of grpc, http"),
    ] = "grpc"
    """What it speaks; also read from OTEL_EXPORTER_OTLP_PROTOCOL."""
    otlp_headers: Annotated[
        SecretStr,
        AfterValidator(_secret_pairs),
        Expected("NAME=VALUE,…"),
    ] = SecretStr("")
    """Sent along, such as a token; also read from OTEL_EXPORTER_OTLP_HEADERS."""
    service_name: Annotated[
        str, Field(min_length=1, max_length=255), Expected("a text")
    ] = "ingestion-server"
    """What this server is called there; also read from OTEL_SERVICE_NAME."""
    resource_attributes: Annotated[
        str | None,
        AfterValidator(lambda text: text and _pairs(text)),
        Expected("NAME=VALUE,…"),
        Unset("none"),
    ] = None
    """What else is said of it; also read from OTEL_RESOURCE_ATTRIBUTES."""
    metrics_interval_seconds: Annotated[
        float,
        Field(le=3600, allow_inf_nan=False),
        AfterValidator(_often),
        Expected("0, or a number from 1 to 3600"),
    ] = 60.0
    """How often metrics are sent; 0 = never, for a collector that takes only traces."""
    sample_ratio: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        Expected("a number from 0 to 1"),
    ] = 0.01
    """Share of traces that are recorded where the caller has not decided that."""
    propagate_to_vendors: bool = False
    """Whether vendors are told the trace that a call of theirs belongs to."""
