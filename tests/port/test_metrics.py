"""What happens behind the port stands on the page, and at a collector, bounded."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from marketdata.ingestion.v1 import ingestion_service_pb2, ingestion_service_pb2_grpc

from ingestion_server.app.lifecycle import Addresses, served
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import load_settings
from ingestion_server.client import Client, IngestionClientError
from tests.telemetry.collector import MetricsCollector, listening, points
from tests.telemetry.pages import OPENMETRICS, families

SERVICE = "marketdata.ingestion.v1.IngestionService"
FETCH = f"{SERVICE}/Fetch"
PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)
Labels = Mapping[str, str]


@dataclass
class Watched:
    """Look at a server as a monitoring system does."""

    addresses: Addresses
    web: aiohttp.ClientSession
    client: Client

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page."""
        url = f"http://{self.addresses.http}/metrics"
        async with self.web.get(url, headers={"Accept": accept or "*/*"}) as reply:
            assert reply.status == 200
            return await reply.read(), reply.headers["Content-Type"]

    async def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one series; None if there is none."""
        for family in families(await self.page()).values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    async def until(self, right: Callable[[float], bool], name: str, **of: str) -> None:
        """Wait until a series has a value that is right."""
        async with asyncio.timeout(30):
            while True:
                value = await self.value(name, **of)
                if value is not None and right(value):
                    return
                await asyncio.sleep(0.02)

    async def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Return which series there are."""
        return {
            (sample.name, frozenset(sample.labels.items()))
            for family in families(await self.page()).values()
            for sample in family.samples
        }


@asynccontextmanager
async def watching(calendars: Path, **settings: str) -> AsyncIterator[Watched]:
    """Have a server with simulated vendors."""
    environ = {
        "INGESTION_CALENDARS__CACHE_FOLDER": str(calendars),
        "INGESTION_GRPC__ADDRESS": "127.0.0.1:0",
        "INGESTION_HTTP__ADDRESS": "127.0.0.1:0",
        "INGESTION_SANDBOX__TRADES_PER_SECOND": "20",
        **{f"INGESTION_{name}": value for name, value in settings.items()},
    }
    chosen = load_settings(config_file=None, overrides={}, environ=environ)
    async with (
        served(chosen, Mode(sandbox=True), lambda _: None) as addresses,
        aiohttp.ClientSession() as web,
        Client(addresses.grpc) as client,
    ):
        yield Watched(addresses, web, client)


async def test_a_fetch_is_seen_and_so_is_what_it_asked_of_a_vendor(
    calendar_cache: Path,
) -> None:
    async with watching(calendar_cache) as w:
        assert await w.value("grpc_server_call_started_total", grpc_method=FETCH) == 0
        await w.client.fetch("MSFT", limit=5, providers=["yahoo"])

        ok = {"grpc_method": FETCH, "grpc_status": "OK"}
        yahoo = {"provider": "yahoo", "kind": "bars:equity"}
        await w.until(
            lambda n: n == 1,
            "ingestion_rpc_ended_total",
            **ok,
            reason="",
            fault="nobody",
        )
        assert await w.value("grpc_server_call_started_total", grpc_method=FETCH) == 1
        assert await w.value("grpc_server_call_duration_seconds_count", **ok) == 1
        name = "ingestion_vendor_attempts_total"
        assert await w.value(name, **yahoo, outcome="ok") == 1
        name = "ingestion_vendor_attempt_duration_seconds_count"
        assert await w.value(name, **yahoo) == 1
        assert await w.value("ingestion_vendor_in_flight", **yahoo) == 0
        assert await w.value("ingestion_vendor_available", **yahoo) == 1
        score = await w.value("ingestion_vendor_score", **yahoo)
        assert score is not None
        assert 0 < score <= 1


async def test_a_fetch_that_fails_is_seen_with_its_reason_and_whose_fault_it_is(
    calendar_cache: Path,
) -> None:
    async with watching(calendar_cache) as w:
        with pytest.raises(IngestionClientError):
            await w.client.fetch("NOSUCHXYZ", limit=5, providers=["yahoo"])
        url = f"{w.addresses.sandbox}/control/yahoo"
        async with w.web.post(url, json={"fault": "status_500"}) as reply:
            assert reply.status < 300, await reply.text()
        with pytest.raises(IngestionClientError):
            await w.client.fetch("MSFT", limit=5, providers=["yahoo"])

        ended, told = {}, families(await w.page())
        for sample in told["ingestion_rpc_ended"].samples:
            if sample.labels["grpc_method"] == FETCH and sample.value:
                ended[sample.labels["reason"]] = sample.labels["fault"]
        assert ended.pop("SYMBOL_UNKNOWN") == "caller"
        assert list(ended.values()) == ["server"]
        outcomes = {
            sample.labels["outcome"]: sample.value
            for sample in told["ingestion_vendor_attempts"].samples
            if sample.labels["provider"] == "yahoo"
        }
        assert outcomes["SYMBOL_UNKNOWN"] >= 1
        assert outcomes["ALL_PROVIDERS_FAILED"] >= 1


async def test_a_stream_is_seen_with_how_late_its_data_are(
    calendar_cache: Path,
) -> None:
    async with watching(calendar_cache) as w:
        async with w.client.stream("AAPL", providers=["finnhub"]) as stream:
            async for _ in stream:
                break
            await w.until(
                lambda n: n > 0,
                "ingestion_stream_lag_seconds_count",
                provider="finnhub",
            )
            assert await w.value("ingestion_rpc_in_flight", place="streams") == 1
            assert await w.value("ingestion_stream_stale", provider="finnhub") == 0
            assert await w.value("ingestion_stream_slow_subscribers") == 0

        await w.until(lambda n: n == 0, "ingestion_rpc_in_flight", place="streams")
        told = families(await w.page())
        durations = told["grpc_server_call_duration_seconds"].samples
        assert not any("StreamQuotes" in s.labels["grpc_method"] for s in durations)


async def test_a_job_is_seen_with_what_it_has_landed(calendar_cache: Path) -> None:
    async with watching(calendar_cache) as w:
        await w.client.jobs.create(
            ["AAPL", "MSFT"], "2024-01-02T00:00:00Z", end="2024-02-02T00:00:00Z"
        )

        await w.until(lambda n: n == 1, "ingestion_jobs", state="completed")
        assert await w.value("ingestion_job_units", state="landed") == 2
        landed = await w.value("ingestion_job_bars_landed_total")
        assert landed is not None
        assert landed >= 40


async def test_no_label_is_ever_a_symbol_and_odd_questions_add_no_series(
    calendar_cache: Path,
) -> None:
    async with (
        watching(calendar_cache, BREAKER__FAILURES="100000") as w,
        grpc.aio.insecure_channel(w.addresses.grpc) as channel,
    ):
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)

        async def ask(symbol: str, **more: Any) -> None:
            request = ingestion_service_pb2.FetchRequest(symbol=symbol, limit=5, **more)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Fetch(request, timeout=0.05)

        async def call(method: str) -> None:
            odd = channel.unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError):
                await odd(b"\xff", timeout=5)

        await asyncio.gather(*(ask(f"ZQ{number}") for number in range(40)))
        for method in (FETCH, f"{SERVICE}/NoSuch"):
            await call(f"/{method}")
        few = await w.series()

        for first in range(0, 1000, 50):
            await asyncio.gather(
                *(ask(f"ZX{n}/\x00☃") for n in range(first, first + 25)),
                *(ask(f"ZY{n}") for n in range(first, first + 25)),
                *(call(f"/{SERVICE}/Zz{n}") for n in range(first, first + 5)),
                *(call(f"/zz.Service{n}/Fetch") for n in range(first, first + 5)),
            )
        body, _ = await w.page(OPENMETRICS)
        many = await w.series()

    text = body.decode()
    for odd in ("ZQ", "ZX", "ZY", "Zz", "zz.Service", "NoSuch", "☃"):
        assert odd not in text
    # Ways to end that did not happen before: some statuses, reasons and outcomes.
    assert len(many - few) < 100
    assert len(many) < 2500


async def test_a_recorded_trace_can_be_found_from_durations(
    calendar_cache: Path,
) -> None:
    collector = MetricsCollector()
    async with (
        listening(collector) as port,
        watching(
            calendar_cache, TELEMETRY__OTLP_ENDPOINT=f"http://127.0.0.1:{port}"
        ) as w,
        grpc.aio.insecure_channel(w.addresses.grpc) as channel,
    ):
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        request = ingestion_service_pb2.FetchRequest(symbol="IBM", limit=5)
        await stub.Fetch(request, timeout=20, metadata=SAMPLED)
        ok = {"grpc_method": FETCH, "grpc_status": "OK"}
        await w.until(lambda n: n == 1, "grpc_server_call_duration_seconds_count", **ok)
        told = families(await w.page(OPENMETRICS))

    for name in (
        "grpc_server_call_duration_seconds",
        "ingestion_vendor_attempt_duration_seconds",
    ):
        found = {
            s.exemplar.labels["trace_id"] for s in told[name].samples if s.exemplar
        }
        assert found == {TRACE}


async def test_a_collector_is_told_the_same_as_the_page(calendar_cache: Path) -> None:
    collector = MetricsCollector()
    async with (
        listening(collector) as port,
        watching(
            calendar_cache,
            TELEMETRY__OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            TELEMETRY__METRICS_INTERVAL_SECONDS="1",
            TELEMETRY__SERVICE_NAME="under-test",
        ) as w,
    ):
        for symbol in ("MSFT", "IBM", "AAPL"):
            await w.client.fetch(symbol, limit=5)
        key = {"grpc_method": FETCH, "grpc_status": "OK"}
        await w.until(
            lambda n: n == 3,
            "ingestion_rpc_ended_total",
            **key,
            reason="",
            fault="nobody",
        )
        told = families(await w.page())
        async with asyncio.timeout(30):
            while True:
                sent = await collector.next()
                ended = points(sent["ingestion_rpc_ended_total"])
                if ended[FETCH, "OK", "", "nobody"] == 3:
                    break

    durations = points(sent["grpc_server_call_duration_seconds"])
    assert durations[FETCH, "OK"] == 3
    assert points(sent["ingestion_quota_limit"]) == {
        tuple(sample.labels[name] for name in ("provider", "window", "scope")): (
            sample.value
        )
        for sample in told["ingestion_quota_limit"].samples
    }
    assert collector.resource["service.name"] == "under-test"
    assert collector.resource["service.instance.id"]


async def test_a_collector_that_takes_only_traces_is_sent_no_metrics(
    calendar_cache: Path,
) -> None:
    collector = MetricsCollector()
    async with listening(collector) as port:
        async with watching(
            calendar_cache,
            TELEMETRY__OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            TELEMETRY__METRICS_INTERVAL_SECONDS="0",
        ) as w:
            await w.client.fetch("MSFT", limit=5)

        # What is under way is sent when a server stops.
        assert not collector.came.is_set()


async def test_a_collector_that_is_not_there_disturbs_nobody(
    calendar_cache: Path,
) -> None:
    async with listening(MetricsCollector()) as port:
        pass
    loop = asyncio.get_running_loop()
    async with watching(
        calendar_cache,
        TELEMETRY__OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        TELEMETRY__METRICS_INTERVAL_SECONDS="1",
    ) as w:
        await w.client.fetch("MSFT", limit=5)
        await w.until(
            lambda n: n >= 1,
            "ingestion_telemetry_export_failures_total",
            signal="metrics",
        )
        await w.client.fetch("IBM", limit=5)
        began = loop.time()

    assert loop.time() - began < 10


async def test_every_metric_of_the_page_is_documented(calendar_cache: Path) -> None:
    async with watching(calendar_cache) as w:
        await w.client.fetch("MSFT", limit=5)
        told = families(await w.page(OPENMETRICS)).values()

    documented = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    names = {f.name + ("_total" if f.type == "counter" else "") for f in told}
    assert names <= documented


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool of prometheus is not installed"
)
async def test_the_checker_of_prometheus_finds_nothing_wrong_with_the_page(
    calendar_cache: Path,
) -> None:
    async with watching(calendar_cache) as w:
        await w.client.fetch("MSFT", limit=5)
        async with w.client.stream("AAPL", providers=["finnhub"]) as stream:
            async for _ in stream:
                break
            body, _ = await w.page("text/plain")

    checked = await asyncio.to_thread(
        subprocess.run,
        [str(shutil.which("promtool")), "check", "metrics"],
        input=body,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
