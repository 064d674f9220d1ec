"""Operators see how many RPCs there are, how long they take, and how they end."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ingestion_server.ports.hooks import RpcDetails
from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.rpc_metrics import RpcMeter, rpc_parts
from tests.hearing import tell
from tests.telemetry.pages import OPENMETRICS, families, series

FETCH = "marketdata.ingestion.v1.IngestionService/Fetch"
STREAM = "marketdata.ingestion.v1.IngestionService/StreamQuotes"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def over(
    rpc: str = "IngestionService/Fetch",
    *,
    code: str = "OK",
    reason: str = "",
    seconds: float = 0.02,
    lasting: bool = False,
    sampled: bool = False,
) -> RpcDetails:
    """Return what is told of an RPC."""
    return RpcDetails(
        rpc=rpc,
        is_lasting=lasting,
        seconds=seconds,
        code=code,
        request_id="abc",
        trace_id=TRACE,
        is_sampled=sampled,
        reason=reason,
    )


def page_of(meter: RpcMeter, started: Mapping[str, int] | None = None) -> MetricsPage:
    """Return a page that tells of RPCs."""
    return MetricsPage(
        rpc_parts(
            meter,
            lambda: started or {},
            lambda: {"calls": 1, "watchers": 0, "streams": 2},
            lambda: {"calls": 256, "watchers": 64, "streams": 2048},
        )
    )


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_each_end_is_counted_with_whose_fault_it_was(accept: str) -> None:
    meter = RpcMeter()
    tell(meter, over())
    tell(meter, over())
    tell(meter, over(code="INVALID_ARGUMENT", reason="INVALID_QUERY"))
    tell(meter, over(code="UNAVAILABLE", reason="PROVIDERS_EXHAUSTED"))
    tell(meter, over("IngestionService/StreamQuotes", code="CANCELLED", lasting=True))

    told = families(page_of(meter)(accept))["ingestion_rpc_ended"]

    assert {
        (
            sample.labels["grpc_method"],
            sample.labels["grpc_status"],
            sample.labels["reason"],
            sample.labels["fault"],
        ): sample.value
        for sample in told.samples
    } == {
        (FETCH, "OK", "", "nobody"): 2,
        (FETCH, "INVALID_ARGUMENT", "INVALID_QUERY", "caller"): 1,
        (FETCH, "UNAVAILABLE", "PROVIDERS_EXHAUSTED", "server"): 1,
        (STREAM, "CANCELLED", "", "caller"): 1,
    }


def test_how_long_lasting_ones_took_is_not_told() -> None:
    meter = RpcMeter()
    tell(meter, over(seconds=1.5))
    tell(meter, over(seconds=2.5))
    tell(meter, over("IngestionService/StreamQuotes", seconds=9000.0, lasting=True))

    told = families(page_of(meter)(""))["grpc_server_call_duration_seconds"]

    assert {s.labels["grpc_method"] for s in told.samples} == {FETCH}
    buckets = {s.labels.get("le"): s.value for s in told.samples if "le" in s.labels}
    assert buckets["2.0"] == 1
    assert buckets["+Inf"] == 2


def test_a_recorded_trace_can_be_found_from_a_duration() -> None:
    meter = RpcMeter()
    tell(meter, over(seconds=0.02, sampled=True))
    tell(meter, over(seconds=3.0))

    told = families(page_of(meter)(OPENMETRICS))["grpc_server_call_duration_seconds"]

    exemplars = [s.exemplar for s in told.samples if s.exemplar]
    assert [(e.labels, e.value) for e in exemplars] == [({"trace_id": TRACE}, 0.02)]


def test_the_older_format_has_no_exemplars() -> None:
    meter = RpcMeter()
    tell(meter, over(sampled=True))

    body, _ = page_of(meter)("text/plain")

    assert TRACE not in body.decode()


def test_a_method_has_its_rows_before_it_is_called() -> None:
    meter = RpcMeter()
    meter.expect(FETCH)

    told = series(page_of(meter)(""))

    assert told["grpc_server_call_started"] == {(FETCH,): 0}
    assert told["ingestion_rpc_ended"] == {("nobody", FETCH, "OK", ""): 0}


def test_what_is_promised_is_told_from_0_so_that_the_first_outage_is_seen() -> None:
    meter = RpcMeter()
    meter.promise(
        FETCH,
        [("UNAVAILABLE", "ALL_PROVIDERS_FAILED"), ("NOT_FOUND", "SYMBOL_UNKNOWN")],
    )

    page = page_of(meter)("")

    assert series(page)["ingestion_rpc_ended"] == {
        ("server", FETCH, "UNAVAILABLE", "ALL_PROVIDERS_FAILED"): 0
    }
    samples = families(page)["grpc_server_call_duration_seconds"].samples
    assert samples
    assert {sample.value for sample in samples} == {0}


def test_who_is_inside_is_told_beside_how_many_may_be() -> None:
    page = page_of(RpcMeter(), {"IngestionService/Fetch": 7})

    told = series(page(""))

    assert told["grpc_server_call_started"] == {(FETCH,): 7}
    assert told["ingestion_rpc_in_flight"] == {
        ("calls",): 1,
        ("watchers",): 0,
        ("streams",): 2,
    }
    assert told["ingestion_rpc_in_flight_limit"]["streams",] == 2048
