"""A collector of OpenTelemetry is sent what the page tells, or nobody minds."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ingestion_server.ports.hooks import RpcDetails
from ingestion_server.telemetry.export_metrics import ExportCounter
from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.otlp import metric_exporter
from ingestion_server.telemetry.otlp_metrics import MetricsExport
from ingestion_server.telemetry.rpc_metrics import RpcMeter, rpc_parts
from tests.hearing import tell
from tests.telemetry.collector import MetricsCollector, listening, points
from tests.telemetry.pages import families

TRACE = "0af7651916cd43dd8448eb211c80319c"
FETCH = "marketdata.ingestion.v1.IngestionService/Fetch"
RESOURCE = {"service.name": "under-test"}
WELL = (MetricExportResult.SUCCESS, MetricExportResult.SUCCESS)


class Some(Collector):
    """Be a part of a page."""

    def collect(self) -> Iterator[Metric]:
        """Yield one of each kind that has a unit."""
        yield CounterMetricFamily("acme_things", "Things.", 7)
        gauge = GaugeMetricFamily("acme_size_bytes", "Size.", labels=("place",))
        gauge.add_metric(("disk",), 12.5)
        yield gauge


def page() -> MetricsPage:
    """Return a page with calls of several lengths on it."""
    meter = RpcMeter()
    for seconds, sampled in ((0.002, False), (0.3, True), (120.0, False)):
        tell(
            meter,
            RpcDetails(
                "IngestionService/Fetch",
                is_lasting=False,
                seconds=seconds,
                code="OK",
                request_id="abc",
                trace_id=TRACE,
                is_sampled=sampled,
            ),
        )
    rpcs = rpc_parts(meter, dict, dict, dict)
    return MetricsPage({**rpcs, "some": Some()})


class Turns:
    """Let the next round begin when a test says so."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        """Wait for the turn."""
        del seconds
        await self._turns.acquire()

    def next(self) -> None:
        """Let one more round begin."""
        self._turns.release()


@asynccontextmanager
async def exporting(
    exporter: MetricExporter,
    counter: ExportCounter,
) -> AsyncIterator[Turns]:
    """Send the page whenever it is its turn."""
    turns = Turns()
    export = MetricsExport(
        page().families,
        exporter,
        RESOURCE,
        counter,
        interval_seconds=60,
        sleep=turns.sleep,
    )
    async with asyncio.timeout(30):
        async with export.running():
            yield turns
        await export.ended()


async def grpc_exporter(port: int, headers: Mapping[str, str] | None = None) -> Any:
    """Return what sends to a port of this machine."""
    url = f"http://127.0.0.1:{port}"
    return await asyncio.to_thread(metric_exporter, url, "grpc", headers or {})


async def test_the_collector_is_told_what_the_page_tells() -> None:
    collector = MetricsCollector()
    async with (
        listening(collector) as port,
        exporting(
            await grpc_exporter(port, {"authorization": "x"}), ExportCounter()
        ) as turn,
    ):
        turn.next()
        sent = await collector.next()

    told = families(page()(""))
    assert points(sent["acme_things_total"]) == {(): 7}
    assert sent["acme_things_total"].sum.is_monotonic
    assert points(sent["acme_size_bytes"]) == {("disk",): 12.5}
    assert sent["acme_size_bytes"].unit == "By"
    assert sent["acme_size_bytes"].description == "Size."
    assert set(sent) == {
        family.name + ("_total" if family.type == "counter" else "")
        for family in told.values()
        if family.samples
    }
    assert collector.resource["service.name"] == "under-test"
    assert collector.metadata["authorization"] == "x"


async def test_a_histogram_has_the_same_buckets_there() -> None:
    collector = MetricsCollector()
    async with (
        listening(collector) as port,
        exporting(await grpc_exporter(port), ExportCounter()) as turn,
    ):
        turn.next()
        sent = await collector.next()

    name = "grpc_server_call_duration_seconds"
    (point,) = sent[name].histogram.data_points
    told = {
        sample.labels.get("le"): sample.value
        for sample in families(page()(""))[name].samples
        if sample.name.endswith("_bucket")
    }
    cumulated, total = {}, 0
    limits = [*map(str, point.explicit_bounds), "+Inf"]
    for limit, count in zip(limits, point.bucket_counts, strict=True):
        total += count
        cumulated[limit] = float(total)
    assert cumulated == told
    assert point.count == 3
    assert point.sum == pytest.approx(120.302)
    assert sent[name].unit == "s"
    (exemplar,) = point.exemplars
    assert exemplar.trace_id.hex() == TRACE
    assert exemplar.as_double == 0.3


class Moody(MetricExporter):
    """Answer what it is told to, and note whether it was closed."""

    def __init__(self, *results: MetricExportResult | Exception) -> None:
        super().__init__()
        self.left = list(results)
        self.closed = threading.Event()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 0, **kwargs: Any
    ) -> MetricExportResult:
        """Answer."""
        del metrics_data, timeout_millis, kwargs
        result = self.left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def force_flush(self, timeout_millis: float = 0) -> bool:
        """Do nothing."""
        del timeout_millis
        return True

    def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
        """Be closed."""
        del timeout_millis, kwargs
        self.closed.set()


async def test_failures_are_counted_and_a_defect_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failure = MetricExportResult.FAILURE
    bug = ValueError("cannot be encoded")
    exporter = Moody(failure, bug, bug, failure, MetricExportResult.SUCCESS)
    counter = ExportCounter()
    with caplog.at_level(logging.WARNING):
        async with exporting(exporter, counter) as turn:
            for _ in range(4):
                turn.next()
                await turned(counter)

    assert counter.failures == 4
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert exporter.closed.is_set()


async def turned(counter: ExportCounter) -> None:
    """Wait until one more failure was counted."""
    before = counter.failures
    while counter.failures == before:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


async def test_a_page_that_cannot_be_read_is_counted_and_the_next_one_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns, counter, exporter = Turns(), ExportCounter(), Moody(*WELL)
    pages = [ZeroDivisionError(), ZeroDivisionError(), [], []]

    def read() -> Any:
        found = pages.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    export = MetricsExport(
        read, exporter, RESOURCE, counter, interval_seconds=60, sleep=turns.sleep
    )
    async with asyncio.timeout(30):
        async with export.running():
            for _ in range(2):
                turns.next()
                await turned(counter)
        await export.ended()

    assert counter.failures == 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert len(exporter.left) == 1


async def test_a_collector_that_speaks_http_is_told_the_same() -> None:
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/metrics", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        exporter = await asyncio.to_thread(metric_exporter, url, "http", {})
        counter = ExportCounter()
        async with exporting(exporter, counter):
            pass
    finally:
        await runner.cleanup()

    collector = MetricsCollector()
    collector.requests += map(ExportMetricsServiceRequest.FromString, bodies)
    assert counter.failures == 0
    assert points(collector.latest["acme_things_total"]) == {(): 7}


async def test_a_collector_that_comes_back_is_told_again() -> None:
    collector, counter = MetricsCollector(), ExportCounter()
    async with listening(collector) as port:
        pass
    async with exporting(await grpc_exporter(port), counter) as turn:
        turn.next()
        await turned(counter)
        async with listening(collector, port):
            turn.next()
            sent = await collector.next()

    assert points(sent["acme_things_total"]) == {(): 7}
    assert counter.failures == 1


async def test_the_end_does_not_wait_for_a_collector_that_hangs() -> None:
    collector = MetricsCollector()
    collector.well.clear()
    loop = asyncio.get_running_loop()
    async with listening(collector) as port:
        async with exporting(await grpc_exporter(port), ExportCounter()) as turn:
            turn.next()
            async with asyncio.timeout(20):
                await collector.came.wait()
            began = loop.time()
        took = loop.time() - began
        collector.well.set()

    assert took < 4.0


async def test_a_collector_that_was_away_is_not_tried_again_at_the_end() -> None:
    exporter = Moody(MetricExportResult.FAILURE)
    counter = ExportCounter()
    async with exporting(exporter, counter) as turn:
        turn.next()
        await turned(counter)

    assert exporter.closed.is_set()
    assert counter.failures == 1


async def test_the_last_ones_leave_while_all_else_ends() -> None:
    collector = MetricsCollector()
    collector.well.clear()
    async with asyncio.timeout(30), listening(collector) as port:
        export = MetricsExport(
            page().families,
            await grpc_exporter(port),
            RESOURCE,
            ExportCounter(),
            interval_seconds=60,
        )
        async with export.running():
            pass
        # The block is over, and what it sent has not been taken.
        await collector.came.wait()
        collector.well.set()
        await export.ended()
        assert points(collector.latest["acme_things_total"]) == {(): 7}


async def test_the_last_ones_are_sent_at_the_end() -> None:
    collector = MetricsCollector()
    async with listening(collector) as port:
        async with exporting(await grpc_exporter(port), ExportCounter()):
            pass
        assert points(collector.latest["acme_things_total"]) == {(): 7}
