"""
Metrics sent to a collector every so often, beside all else.

They are read where everything else happens, since nothing that counts takes locks; a
thread sends them. A collector that hangs holds up that thread and nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, final

from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from prometheus_client import Metric

from ingestion_server.telemetry.export_metrics import ExportCounter
from ingestion_server.telemetry.otlp_points import metrics_data

_log: Final = logging.getLogger(__name__)
_LAST_SECONDS: Final = 1.0
_ABORT_SECONDS: Final = 0.3
"""How long the last ones may take to leave, and giving that up."""


@final
class MetricsExport:
    """Send what a page tells, and count how often that fails."""

    def __init__(  # noqa: PLR0913 - its clocks
        self,
        families: Callable[[], Iterable[Metric]],
        exporter: MetricExporter,
        resource: Mapping[str, str],
        counter: ExportCounter,
        *,
        interval_seconds: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """
        Set up.

        Args:
            families: reads what a page tells.
            exporter: sends it, or gives up before long.
            resource: says what this server is.
            counter: counts what is sent in vain.
            interval_seconds: how long there is between two times.
            sleep: waits for so many seconds.
            now_ns: tells the time, which goes along.

        """
        self._families = families
        self._exporter = exporter
        self._resource = resource
        self._counter = counter
        self._interval_seconds = interval_seconds
        self._sleep = sleep
        self._now_ns = now_ns
        self._since_ns = now_ns()
        self._sending: asyncio.Future[MetricExportResult] | None = None
        self._told = False
        self._is_away = False
        self._ending: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until the block ends; then begin to send a last time, see ``ended``."""
        task = asyncio.create_task(self._run(), name="metrics export")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            # Now, while all that is read is there still.
            data = None if self._is_away else self._read()
            self._ending = asyncio.create_task(self._end(data), name="last metrics")

    async def ended(self) -> None:
        """
        Wait until the last ones have left, but not for longer than a second or so.

        A collector that did not take what it was sent before is not tried again.
        """
        if self._ending is not None:
            await self._ending

    async def _run(self) -> None:
        while True:
            await self._sleep(self._interval_seconds)
            await self._send()

    async def _end(self, data: MetricsData | None) -> None:
        if data is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    if self._sending is not None:
                        await asyncio.shield(self._sending)
                    await self._sent(data)
        # Who waits before another try is woken by this.
        with suppress(TimeoutError):
            async with asyncio.timeout(_ABORT_SECONDS):
                await asyncio.shield(_in_thread(self._close))

    async def _send(self) -> None:
        data = self._read()
        if data is not None:
            await self._sent(data)

    def _read(self) -> MetricsData | None:
        try:
            return metrics_data(
                self._families(),
                self._resource,
                since_ns=self._since_ns,
                now_ns=self._now_ns(),
            )
        except Exception:  # noqa: BLE001 - whatever it is, the next ones may be well
            self._tell("metrics could not be read for the collector")
            self._counter.failures += 1
            return None

    async def _sent(self, data: MetricsData) -> None:
        self._sending = _in_thread(lambda: self._export(data))
        result = await asyncio.shield(self._sending)
        self._sending = None
        self._is_away = result is not MetricExportResult.SUCCESS
        if self._is_away:
            self._counter.failures += 1

    def _export(self, data: MetricsData) -> MetricExportResult:
        try:
            result = self._exporter.export(data)
        except Exception:  # noqa: BLE001 - what a collector does wrong, it has logged
            self._tell("metrics could not be sent to the collector")
            return MetricExportResult.FAILURE
        self._told = False
        return result

    def _close(self) -> MetricExportResult:
        with suppress(Exception):
            self._exporter.shutdown()
        return MetricExportResult.SUCCESS

    def _tell(self, what: str) -> None:
        """Log a defect, unless it was met the last time as well."""
        if not self._told:
            _log.exception(what)
        self._told = True


def _in_thread(
    work: Callable[[], MetricExportResult],
) -> asyncio.Future[MetricExportResult]:
    """
    Do what blocks, and does not fail, in a thread that nobody waits for at the end.

    Those of the loop's own pool are waited for, however long they hang.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[MetricExportResult] = loop.create_future()

    def told(result: MetricExportResult) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = work()
        # The loop may be gone by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(told, result)

    threading.Thread(target=run, name="metrics export", daemon=True).start()
    return done
