"""What is counted, and how it is told: on a page, and to a collector."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

import grpc
from google.protobuf import descriptor_pool

from ingestion_server.app.settings import Settings
from ingestion_server.app.tracing import resource_of
from ingestion_server.app.version import version
from ingestion_server.app.wiring import Joined
from ingestion_server.service.admission import Door
from ingestion_server.service.statuses import CODES, INTERNAL
from ingestion_server.telemetry.breaker_metrics import MoveCounter, breaker_parts
from ingestion_server.telemetry.build_metrics import build_parts
from ingestion_server.telemetry.cache_metrics import cache_parts
from ingestion_server.telemetry.export_metrics import (
    ExportCounter,
    SpanCounts,
    export_parts,
)
from ingestion_server.telemetry.job_metrics import JobWatch, job_parts
from ingestion_server.telemetry.loop_lag import LoopLag
from ingestion_server.telemetry.loop_metrics import loop_parts
from ingestion_server.telemetry.metrics_page import MetricsPage, Parts
from ingestion_server.telemetry.otlp import metric_exporter, pairs
from ingestion_server.telemetry.probe_metrics import probe_parts
from ingestion_server.telemetry.quota_metrics import AlertCounter, quota_parts
from ingestion_server.telemetry.rpc_metrics import PACKAGE, RpcMeter, rpc_parts
from ingestion_server.telemetry.stream_metrics import LagMeter, stream_parts
from ingestion_server.telemetry.task_errors import TaskErrors
from ingestion_server.telemetry.vendor_metrics import VendorMeter, vendor_parts

_PROMISED: Final = frozenset(
    f"{PACKAGE}IngestionService/{method}"
    for method in ("Fetch", "FetchBatch", "GetQuotes")
)
"""What is promised of the server is promised of these."""

if TYPE_CHECKING:
    from ingestion_server.telemetry.otlp_metrics import MetricsExport


@final
@dataclass(frozen=True, slots=True)
class Meters:
    """Hold what listens and counts; made before all that it listens to."""

    rpcs: RpcMeter = field(default_factory=RpcMeter)
    vendors: VendorMeter = field(default_factory=VendorMeter)
    stream_lag: LagMeter = field(default_factory=LagMeter)
    alerts: AlertCounter = field(default_factory=AlertCounter)
    moves: MoveCounter = field(default_factory=MoveCounter)
    loop_lag: LoopLag = field(default_factory=LoopLag)
    task_errors: TaskErrors = field(default_factory=TaskErrors)
    exports: ExportCounter = field(default_factory=ExportCounter)

    def expect(self, services: Iterable[str]) -> None:
        """Show the methods of services, by their full names, before they are called."""
        pool = descriptor_pool.Default()
        failures = [(code.name, error.reason) for error, code in CODES.items()]
        failures.append((grpc.StatusCode.INTERNAL.name, INTERNAL))
        for name in services:
            for method in pool.FindServiceByName(name).methods:
                full_name = f"{name}/{method.name}"
                self.rpcs.expect(full_name)
                if full_name in _PROMISED:
                    self.rpcs.promise(full_name, failures)


@asynccontextmanager
async def metering(  # noqa: PLR0913 - all that is counted
    settings: Settings,
    meters: Meters,
    house: Joined,
    door: Door,
    *,
    spans: SpanCounts | None,
    others: Parts,
    farewells: AsyncExitStack,
) -> AsyncIterator[MetricsPage]:
    """
    Count while the block lasts, and have the page that tells of it.

    Args:
        settings: say whether there is a collector that is sent the same.
        meters: count what they hear of.
        house: is looked at when the page is read.
        door: the same.
        spans: what became of them; None = nobody traces.
        others: what else the page tells.
        farewells: wait for the last of it to be sent, which is begun here.

    """
    jobs = JobWatch(house.jobs.tally)
    page = MetricsPage(
        {
            **_parts(meters, house, door, jobs),
            **others,
            **export_parts(spans, meters.exports),
        }
    )
    counting = asyncio.create_task(jobs.watch(), name="job counts")
    try:
        async with AsyncExitStack() as stack:
            endpoint = settings.telemetry.otlp_endpoint
            if endpoint is not None and settings.telemetry.metrics_interval_seconds:
                export = await asyncio.to_thread(
                    _export, endpoint, settings, meters, page
                )
                farewells.push_async_callback(export.ended)
                await stack.enter_async_context(export.running())
            yield page
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


def _export(
    endpoint: str, settings: Settings, meters: Meters, page: MetricsPage
) -> MetricsExport:
    """Return what sends a page; in a thread, since the library is long in coming."""
    from ingestion_server.telemetry.otlp_metrics import MetricsExport  # noqa: PLC0415

    chosen = settings.telemetry
    return MetricsExport(
        page.families,
        metric_exporter(
            endpoint,
            chosen.otlp_protocol,
            pairs(chosen.otlp_headers.get_secret_value()),
        ),
        resource_of(settings),
        meters.exports,
        interval_seconds=chosen.metrics_interval_seconds,
    )


def _parts(meters: Meters, house: Joined, door: Door, jobs: JobWatch) -> Parts:
    accounts = house.ledger.accounts
    return {
        **build_parts(
            version=version(),
            python=platform.python_version(),
            grpc=grpc.__version__,
        ),
        **rpc_parts(
            meters.rpcs,
            lambda: door.started,
            lambda: door.inside,
            lambda: door.limits,
        ),
        **vendor_parts(
            meters.vendors,
            house.roster.reports,
            house.breakers.states,
            lambda: {name: each.available_in() for name, each in accounts.items()},
        ),
        **quota_parts(house.ledger, meters.alerts, house.clock.now_ns),
        **breaker_parts(house.breakers.states, meters.moves),
        **probe_parts(house.prober.counts),
        **cache_parts(house.cache_use),
        **stream_parts(
            lambda: house.hub.counts,
            lambda: house.hub.dropped,
            meters.stream_lag,
            house.hub.sources.pumps,
        ),
        **job_parts(jobs),
        **loop_parts(meters.loop_lag, meters.task_errors),
    }
