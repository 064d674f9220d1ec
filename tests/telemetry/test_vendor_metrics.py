"""Operators see how vendors are asked, how they do, and whether they can be asked."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from ingestion_server.ports.hooks import CallDetails
from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.provider import Lifecycle
from ingestion_server.ports.routing import (
    BreakerView,
    Factor,
    Health,
    ProviderReport,
    Score,
)
from ingestion_server.ports.tracing import NO_SPAN, Here, Span, enter
from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.vendor_metrics import VendorMeter, vendor_parts
from tests.telemetry.pages import OPENMETRICS, families, series

KIND = "bars:equity"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CLOSED = BreakerState(BreakerPosition.CLOSED, 0)
OPEN = BreakerState(BreakerPosition.OPEN, 5, "it hung", 9.0, 4.0)
ACME = ProviderReport(
    name="acme",
    lifecycle=Lifecycle(),
    enabled=True,
    priority=1,
    priority_configured=False,
    unusable_reason="",
    capabilities=(),
    feed_delay_seconds=None,
    plan="free",
    monthly_usd=Decimal(0),
    per_unit_usd=Decimal(0),
    health=[
        Health(
            kind=KIND,
            samples=10.0,
            score=Score(
                0.9,
                judged=True,
                factors=(
                    Factor("success", 0.8, 0.5, "80 %"),
                    Factor("latency", 1.0, 0.5, "quick"),
                ),
            ),
            p50_seconds=0.1,
            p95_seconds=0.2,
            last_success_ns=None,
            last_failure_ns=None,
            last_failure="",
            breaker=BreakerView(position=BreakerPosition.CLOSED),
        )
    ],
)


def page_of(
    meter: VendorMeter | None = None,
    *,
    report: ProviderReport = ACME,
    state: BreakerState = CLOSED,
    waits: float = 0.0,
) -> MetricsPage:
    """Return a page that tells of one vendor."""
    return MetricsPage(
        vendor_parts(
            VendorMeter() if meter is None else meter,
            lambda: [report],
            lambda: {("acme", KIND): state},
            lambda: {"acme": waits},
        )
    )


def call(outcome: str = "ok", seconds: float = 0.2) -> CallDetails:
    """Return what is told of a call."""
    return CallDetails("acme", "TIME_SERIES_DAILY", seconds, outcome, kind=KIND)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_attempts_are_counted_by_outcome(accept: str) -> None:
    meter = VendorMeter()
    for outcome in ("ok", "ok", "PROVIDER_UNAVAILABLE", "CANCELLED"):
        meter.ended(call(outcome))

    told = families(page_of(meter)(accept))["ingestion_vendor_attempts"]

    assert {s.labels["outcome"]: s.value for s in told.samples} == {
        "ok": 2,
        "PROVIDER_UNAVAILABLE": 1,
        "CANCELLED": 1,
    }
    assert {(s.labels["provider"], s.labels["kind"]) for s in told.samples} == {
        ("acme", KIND)
    }


def test_a_vendor_has_its_rows_before_it_is_asked() -> None:
    told = series(page_of()(""))

    assert told["ingestion_vendor_attempts"] == {(KIND, "ok", "acme"): 0}
    assert told["ingestion_vendor_in_flight"] == {(KIND, "acme"): 0}


def test_what_is_on_its_way_is_told_until_it_is_over() -> None:
    meter = VendorMeter()
    page = page_of(meter)

    over = [meter.left("acme", KIND) for _ in range(2)]
    during = series(page(""))
    for end in over:
        end()

    assert during["ingestion_vendor_in_flight"] == {(KIND, "acme"): 2}
    assert series(page(""))["ingestion_vendor_in_flight"] == {(KIND, "acme"): 0}


class Recorded(Span):
    """Be a span that is recorded."""

    is_recorded = True
    span_id = "b7ad6b7169203331"


def test_a_recorded_trace_can_be_found_from_a_duration() -> None:
    meter = VendorMeter()
    enter(Here("abc", TRACE, Recorded()))
    meter.ended(call(seconds=0.2))
    enter(Here("abd", "f" * 32, NO_SPAN))
    meter.ended(call(seconds=7.0))
    enter(None)
    meter.ended(call(seconds=40.0))

    name = "ingestion_vendor_attempt_duration_seconds"
    told = families(page_of(meter)(OPENMETRICS))[name]

    exemplars = [s.exemplar for s in told.samples if s.exemplar]
    assert [(e.labels, e.value) for e in exemplars] == [({"trace_id": TRACE}, 0.2)]
    buckets = {s.labels.get("le"): s.value for s in told.samples}
    assert buckets["0.25"] == 1
    assert buckets["+Inf"] == 3


def test_the_score_is_told_with_its_factors() -> None:
    told = series(page_of()(""))

    assert told["ingestion_vendor_score"] == {(KIND, "acme"): 0.9}
    assert told["ingestion_vendor_score_factor"] == {
        ("success", KIND, "acme"): 0.8,
        ("latency", KIND, "acme"): 1.0,
    }


@pytest.mark.parametrize(
    ("page", "available"),
    [
        (page_of(), 1),
        (page_of(waits=59.0), 1),
        (page_of(waits=61.0), 0),
        (page_of(state=OPEN), 0),
        (page_of(report=msgspec.structs.replace(ACME, enabled=False)), 0),
        (page_of(report=msgspec.structs.replace(ACME, unusable_reason="no key")), 0),
    ],
    ids=["well", "busy", "used up", "resting", "switched off", "no key"],
)
def test_whether_a_vendor_would_be_asked_is_told(
    page: MetricsPage, available: float
) -> None:
    told = series(page(""))

    assert told["ingestion_vendor_available"] == {(KIND, "acme"): available}
