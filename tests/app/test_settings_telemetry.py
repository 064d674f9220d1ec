"""Telemetry is set as other programs are told it, and tells no token."""

from __future__ import annotations

import pytest

from ingestion_server.app.presentation import effective
from ingestion_server.app.settings import SettingsError, load_settings
from ingestion_server.app.tracing import resource_of

STANDARD = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20t0k3n,x-tenant=a",
    "OTEL_SERVICE_NAME": "prices",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,team=data",
}


def test_by_default_nothing_is_sent() -> None:
    telemetry = load_settings(environ={}).telemetry

    assert telemetry.otlp_endpoint is None
    assert not telemetry.propagate_to_vendors


def test_the_variables_of_opentelemetry_are_read() -> None:
    settings = load_settings(environ=STANDARD)

    telemetry = settings.telemetry
    assert telemetry.otlp_endpoint == "http://collector:4318"
    assert telemetry.otlp_protocol == "http"
    assert telemetry.service_name == "prices"
    assert settings.origin("telemetry.otlp_endpoint") == "OTEL_EXPORTER_OTLP_ENDPOINT"
    resource = resource_of(settings)
    assert resource["service.name"] == "prices"
    assert resource["deployment.environment"] == "test"
    assert resource["service.instance.id"]
    assert resource["service.version"]


def test_our_own_variables_win_over_them() -> None:
    ours = {
        "INGESTION_TELEMETRY__OTLP_ENDPOINT": "https://ours:4317",
        "INGESTION_TELEMETRY__OTLP_PROTOCOL": "grpc",
        "INGESTION_TELEMETRY__SERVICE_NAME": "ours",
    }

    telemetry = load_settings(environ={**STANDARD, **ours}).telemetry

    assert telemetry.otlp_endpoint == "https://ours:4317"
    assert (telemetry.otlp_protocol, telemetry.service_name) == ("grpc", "ours")


def test_headers_are_a_secret() -> None:
    settings = load_settings(environ=STANDARD)

    shown = {each.key: each.text for each in effective(settings)}
    assert "t0k3n" not in repr(shown) + repr(settings)
    assert shown["telemetry.otlp_headers"] == "********"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "a url"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:pw@collector:4317", "a url"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "one of grpc, http"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "t0k3n", "NAME=VALUE"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "NAME=VALUE"),
        ("INGESTION_TELEMETRY__SAMPLE_RATIO", "2", "a number from 0 to 1"),
        (
            "INGESTION_TELEMETRY__METRICS_INTERVAL_SECONDS",
            "0.5",
            "0, or a number from 1 to 3600",
        ),
    ],
)
def test_what_is_wrong_is_told_with_the_name_it_was_found_by(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={variable: value})

    told = str(caught.value)
    assert variable in told
    assert f"expected {expected}" in told
    assert "t0k3n" not in told
    assert ":pw@" not in told
