"""A page of metrics, as a monitoring system reads it."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def families(page: tuple[bytes, str]) -> Mapping[str, Metric]:
    """Read a page by its content type."""
    body, content_type = page
    strict = content_type.startswith("application/openmetrics-text")
    parse = openmetrics_families if strict else text_string_to_metric_families
    return {family.name: family for family in parse(body.decode())}


def series(page: tuple[bytes, str]) -> Mapping[str, Mapping[tuple[str, ...], float]]:
    """Return the values of each metric by those of its labels, in their order."""
    return {
        family.name: {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in families(page).values()
    }
