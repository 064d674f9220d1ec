"""What callers ask of reports, and what they are told."""

from __future__ import annotations

import pytest
from marketdata.ingestion.v1 import report_service_pb2

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.ports.reporting import (
    Downtime,
    LatencyQuantiles,
    ReportQuery,
    ServiceLevel,
    SlaReport,
)
from ingestion_server.service.moments import timestamp
from ingestion_server.service.report_decoding import report_query_of
from ingestion_server.service.report_encoding import report_of
from ingestion_server.service.vendor_decoding import Vendors

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
NOW_NS = 20_000 * DAY_NS + 1
KNOWN = Vendors(["yahoo", "finnhub"])


def level(calls: int, latency: LatencyQuantiles | None = None) -> ServiceLevel:
    """Return how calls ended."""
    return ServiceLevel(
        calls=calls,
        answered=calls,
        caller_faults=0,
        failures={},
        success_ratio=1.0 if calls else None,
        market_hours_availability=None,
        latency=latency,
        objective=0.999,
        error_budget_left=1.0 if calls else None,
    )


def asked(**request: object) -> ReportQuery:
    """Return what a request means."""
    message = report_service_pb2.GetSlaReportRequest(**request)
    return report_query_of(message, KNOWN, NOW_NS)


def test_the_last_day_is_usual() -> None:
    assert asked() == ReportQuery(NOW_NS - DAY_NS, NOW_NS)


def test_a_day_before_the_end_is_usual() -> None:
    end_ns = NOW_NS - 3 * DAY_NS

    assert asked(end=timestamp(end_ns)) == ReportQuery(end_ns - DAY_NS, end_ns)


def test_all_that_is_named_is_taken() -> None:
    query = asked(
        start=timestamp(5),
        end=timestamp(NOW_NS + DAY_NS),
        providers=["yahoo", "yahoo"],
        objective=0.9,
    )

    assert query == ReportQuery(5, NOW_NS + DAY_NS, ("yahoo",), 0.9)


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(InvalidQueryError) as caught:
        asked(
            start=timestamp(NOW_NS),
            providers=["", "nobody"],
            objective=float("inf"),
        )

    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["start", "providers", "providers", "objective"]


def test_a_report_is_told_whole_and_vendors_in_their_order() -> None:
    report = SlaReport(
        start_ns=60 * SECOND_NS,
        end_ns=120 * SECOND_NS,
        overall=level(3, LatencyQuantiles(0.001, 0.5, 1.25, 60.0)),
        rpcs={"A/Two": level(2), "A/One": level(1)},
        providers={"gone": level(1), "finnhub": level(0), "yahoo": level(2)},
        downtimes=[Downtime(61 * SECOND_NS, 62 * SECOND_NS)],
        incomplete_reason="the disk is full",
    )

    answer = report_of(report, ["yahoo", "finnhub"])

    assert (answer.start.seconds, answer.end.seconds) == (60, 120)
    assert [each.rpc for each in answer.rpcs] == ["A/Two", "A/One"]
    assert [each.provider for each in answer.providers] == ["yahoo", "finnhub", "gone"]
    latency = answer.overall.latency
    assert [
        each.ToMilliseconds()
        for each in (latency.p50, latency.p95, latency.p99, latency.max)
    ] == [1, 500, 1_250, 60_000]
    nothing = answer.providers[1].level
    assert not nothing.HasField("success_ratio")
    assert not nothing.HasField("market_hours_availability")
    assert not nothing.HasField("latency")
    assert not nothing.HasField("error_budget_left")
    assert answer.downtimes[0].end.seconds == 62
    assert answer.incomplete_reason == "the disk is full"
