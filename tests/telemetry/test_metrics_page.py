"""A page of metrics is written in each format, whatever one of its parts does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import aiohttp
import prometheus_client
import pytest
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.quota_metrics import AlertCounter, quota_parts
from ingestion_server.web import Report, Stage, serving
from tests.clocks import ManualClock
from tests.telemetry.ledgers import FakeLedger
from tests.telemetry.pages import OPENMETRICS, families, series

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")


class Part:
    """Tell one value, and then fail while it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fails = False

    def collect(self) -> Iterator[Metric]:
        """Yield a gauge."""
        yield GaugeMetricFamily(self.name, "A value.", value=1)
        if self.fails:
            raise ValueError(self.name)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "text/plain;version=1.0.0;escaping=underscores",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            f"{OPENMETRICS};q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            f"{OPENMETRICS}; charset=utf-8; escaping=underscores",
        ),
        (
            "application/openmetrics-text; version=newest",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
    ],
)
def test_the_asker_chooses_the_format(accept: str, content_type: str) -> None:
    page = MetricsPage({"one": Part("one")})(accept)

    assert page[1] == content_type
    assert series(page)["one"] == {(): 1}


def test_a_part_that_fails_is_left_out_wholly_and_counted() -> None:
    bad, good = Part("bad"), Part("good")
    page = MetricsPage({"bad": bad, "good": good})
    bad.fails = True

    told = [series(page("")) for _ in range(2)][-1]

    assert "bad" not in told
    assert told["good"] == {(): 1}
    assert told["ingestion_metrics_failures"]["bad",] == 2
    assert told["ingestion_metrics_failures"]["good",] == 0


def test_a_part_is_logged_each_time_that_it_begins_to_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    part = Part("moody")
    page = MetricsPage({"moody": part})

    for part.fails in (True, True, False, True):
        page("")

    assert [(each.levelno, each.message) for each in caplog.records] == [
        (logging.ERROR, "/metrics lacks its part 'moody'")
    ] * 2


def test_two_pages_share_nothing() -> None:
    first, second = MetricsPage({"one": Part("one")}), MetricsPage({"one": Part("two")})

    assert "two" not in series(first(""))
    assert "one" not in series(second(""))
    assert prometheus_client.REGISTRY.get_sample_value("one") is None


@LINUX
def test_the_process_and_its_python_are_told() -> None:
    told = families(MetricsPage({})(OPENMETRICS))

    assert told["process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert told["process_start_time_seconds"].samples[0].value > 1_700_000_000
    assert told["process_open_fds"].samples[0].value > 2
    assert "process_cpu_seconds" in told
    version = told["python_info"].samples[0].labels["version"]
    assert sys.version.startswith(version)


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
async def test_a_monitoring_system_reads_the_page_over_http(
    clock: ManualClock, accept: str
) -> None:
    page = MetricsPage(quota_parts(FakeLedger(), AlertCounter(), clock.now_ns))

    async with (
        serving("127.0.0.1:0", lambda: Report(Stage.READY), metrics=page) as port,
        aiohttp.ClientSession(headers={"Accept": accept}) as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as reply,
    ):
        told = series((await reply.read(), reply.headers["Content-Type"]))

    assert reply.status == 200
    assert reply.content_type == accept.partition(";")[0]
    assert told["ingestion_quota_limit"]["acme", "key", "day"] == 500
    assert set(told["ingestion_metrics_failures"].values()) == {0}
