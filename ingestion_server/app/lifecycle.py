"""From start to SERVING to a clean stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
import msgspec

from ingestion_server.app.clock import SystemClock
from ingestion_server.app.console import ConsoleDesk
from ingestion_server.app.discovering import discovering
from ingestion_server.app.keeping import keeps
from ingestion_server.app.metering import Meters, metering
from ingestion_server.app.mode import Mode
from ingestion_server.app.readiness import Readiness
from ingestion_server.app.services import services
from ingestion_server.app.settings import Settings
from ingestion_server.app.tracing import tracing
from ingestion_server.app.wiring import Joined, joined
from ingestion_server.app.words import host_and_port
from ingestion_server.domain.venues import PRIMARY_VENUE
from ingestion_server.ingest.reporting.tally import Tally
from ingestion_server.service.admission import Door
from ingestion_server.service.server import GrpcServer, bound_server
from ingestion_server.telemetry.breaker_log import BreakerLog
from ingestion_server.telemetry.call_log import CallLog
from ingestion_server.telemetry.discovery_metrics import discovery_parts
from ingestion_server.telemetry.quota_log import QuotaLog
from ingestion_server.web import Stage, serving

_log: Final = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_FLUSH_SECONDS: Final = 0.5
"""What the last answers may take to leave; a `Watch` that never ends takes it all."""


class Addresses(msgspec.Struct, frozen=True):
    """Say where a server listens."""

    grpc: str
    http: str
    sandbox: str = ""


@asynccontextmanager
async def served(
    settings: Settings, mode: Mode, announce: Callable[[Addresses], None]
) -> AsyncIterator[Addresses]:
    """
    Serve until the block ends, then drain.

    ``announce`` is told the addresses once calls are answered.
    """
    stage, clock = Stage.STARTING, SystemClock()
    desk, tally = ConsoleDesk(settings, clock.now_ns), Tally(clock)
    meters = Meters()
    door = Door(
        settings.grpc.max_concurrent_calls,
        most_streams=settings.grpc.max_streams,
        hooks=[desk.failures, tally, meters.rpcs],
    )
    readiness = Readiness(
        lambda: house.roster.in_turn(),  # noqa: PLW0108 - it is not built yet
        ledger_folder=settings.state.place() if keeps(settings, mode) else None,
        lag_seconds=lambda: meters.loop_lag.total_seconds,
        clock=clock,
    )
    process = desk.process()
    async with (
        meters.task_errors.caught(asyncio.get_running_loop()),
        desk,
        # So that the last metrics are on their way while all else ends.
        AsyncExitStack() as farewells,
        # Before all that begins spans, and so closed after it.
        tracing(settings) as traces,
        joined(
            settings,
            mode,
            hooks=[CallLog(), meters.vendors.ended],
            leaving=[meters.vendors.left],
            on_lag=[meters.stream_lag],
            on_alert=[QuotaLog(), meters.alerts],
            on_breaker=[BreakerLog(), meters.moves],
            tracer=traces,
            tally=tally,
        ) as house,
        discovering(settings.discovery, house.clock) as discovery,
        metering(
            settings,
            meters,
            house,
            door,
            spans=traces.counts if traces else None,
            others=discovery_parts(discovery.presences),
            farewells=farewells,
        ) as page,
        serving(
            settings.http.address,
            lambda: readiness.report(stage, process),
            console=desk.console,
            metrics=page,
        ) as http_port,
    ):
        door.tracer = traces
        _refuse_taken(settings.grpc.address)
        server = bound_server(
            services(house, door, settings),
            settings.grpc.address,
            _credentials(settings),
        )
        meters.expect(server.services)
        await desk.bind(server)
        addresses = Addresses(
            _with_port(settings.grpc.address, server.port),
            _with_port(settings.http.address, http_port),
            house.sandbox_url,
        )
        process |= {"grpc": addresses.grpc, "simulated": mode.simulated}
        await server.serving()
        stage = Stage.READY
        announce(addresses)
        async with asyncio.TaskGroup() as tasks:
            warming = tasks.create_task(_warm(house), name="calendar")
            probing = tasks.create_task(house.prober.run(), name="probes")
            watching = tasks.create_task(meters.loop_lag.watch(), name="loop lag")
            finding = tasks.create_task(
                discovery.run(addresses.grpc, addresses.http), name="discovery"
            )
            looking = tasks.create_task(
                readiness.run(lambda ready: server.tell(ready=ready)), name="readiness"
            )
            try:
                yield addresses
            finally:
                stage = Stage.STOPPING
                looking.cancel()
                probing.cancel()
                finding.cancel()
                await _drain(server, door, settings.grpc.drain_seconds, discovery.leave)
                for task in (warming, watching):
                    task.cancel()


async def run(
    settings: Settings,
    mode: Mode,
    announce: Callable[[Addresses], None],
    then: Callable[[Addresses], Awaitable[None]] | None = None,
) -> None:
    """
    Serve until SIGINT or SIGTERM; a second signal does not wait for calls.

    ``then`` is done once calls are answered, and ended by a signal.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    main = asyncio.current_task()

    def _stop() -> None:
        if asked.is_set() and main is not None:
            main.cancel()
        asked.set()

    # Explicitly: a job in a shell's background starts with SIGINT ignored.
    for number in _SIGNALS:
        loop.add_signal_handler(number, _stop)
    try:
        async with served(settings, mode, announce) as addresses:
            # What the start has made stays until the end; searching it for garbage
            # again and again would hold up the loop for a tenth of a second each time.
            gc.freeze()
            if then is not None:
                await _until(asked, then(addresses))
            await asked.wait()
            _log.info("stopping")
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        _log.warning("stopped without waiting for calls")
    finally:
        gc.unfreeze()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _until(asked: asyncio.Event, work: Awaitable[None]) -> None:
    """Do the work, or give it up when the server is asked to stop."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for each in (task, stop):
            each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)


async def _warm(house: Joined) -> None:
    """Have the calendar that most questions need, before the first one comes."""
    await house.calendars.sessions(PRIMARY_VENUE)


async def _drain(
    server: GrpcServer,
    door: Door,
    seconds: float,
    leave: Callable[[], Awaitable[None]],
) -> None:
    """Be found no longer, say NOT_SERVING, and let those inside finish for a while."""
    grace = 0.0
    try:
        # First of all, and here, so that a second signal does not wait for it.
        await leave()
        await server.stopping()
        door.close()
        # Not stop(seconds): that also waits for streams that end only with us, such as
        # every client's watch over our health.
        async with asyncio.timeout(seconds):
            await door.left()
        grace = _FLUSH_SECONDS
    except TimeoutError:
        _log.warning("calls that took longer than %g s are ended", seconds)
    finally:
        await server.server.stop(grace)


def _refuse_taken(address: str) -> None:
    """
    Raise if a port cannot be had.

    gRPC would find out as well, but tell it to the terminal in its own words.
    """
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "the port is taken" if taken else error.strerror or str(error)
        raise OSError(
            error.errno, f"cannot listen on {address} (grpc.address): {why}"
        ) from error


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    certificate, key = settings.grpc.tls_certificate_file, settings.grpc.tls_key_file
    if certificate is None or key is None:
        return None
    return grpc.ssl_server_credentials(
        [(Path(key).read_bytes(), Path(certificate).read_bytes())]
    )


def _with_port(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"
