"""How the network is joined, or recordings in its place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from ingestion_server.app.mode import Mode, key_of
from ingestion_server.app.settings import Settings
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import Transport
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.stream import Dialler
from ingestion_server.transport.redaction import Redactor


def redactor_of(
    settings: Settings, mode: Mode, providers: Sequence[Provider]
) -> Redactor:
    """Return what blanks every key that is shown to a vendor."""
    keyed = [provider.name for provider in providers if provider.needs_key]
    keys = {key_of(settings, name, mode) for name in keyed} - {""}
    return Redactor(
        lambda: keys,
        frozenset().union(*(provider.secret_parameters for provider in providers)),
    )


def dialler_of(
    mode: Mode,
    sandbox_url: str,
    providers: Sequence[Provider],
    clock: Clock,
    redactor: Redactor,
) -> Dialler | None:
    """Return what opens streams; recordings hold none."""
    if mode.replay is not None:
        return None
    from ingestion_server.transport.websocket import (  # noqa: PLC0415 - recordings need no network
        WebSocketDialler,
    )

    return WebSocketDialler(
        clock=clock,
        hosts={provider.name: provider.hosts for provider in providers},
        rebase=sandbox_url or None,
        redactor=redactor,
    )


async def transport_of(  # noqa: PLR0913, PLR0917 - everything it is made from
    stack: AsyncExitStack,
    settings: Settings,
    mode: Mode,
    sandbox_url: str,
    providers: Sequence[Provider],
    clock: Clock,
    redactor: Redactor,
) -> Transport:
    if mode.replay is not None:
        from ingestion_server.transport.replay import ReplayTransport  # noqa: PLC0415

        return await ReplayTransport.open(mode.replay, providers)
    from ingestion_server.transport.aiohttp_transport import (  # noqa: PLC0415 - recordings need no network
        AiohttpTransport,
        TransportLimits,
    )

    limits = settings.transport
    transport: Transport = await stack.enter_async_context(
        AiohttpTransport(
            clock=clock,
            hosts={provider.name: provider.hosts for provider in providers},
            limits=TransportLimits(
                body_bytes=limits.body_bytes,
                connections=limits.connections,
                # A simulator is one host that stands for those of all vendors.
                connections_per_host=limits.connections_per_host
                * (len(providers) if sandbox_url else 1),
            ),
            rebase=sandbox_url or None,
            redactor=redactor,
        )
    )
    if settings.telemetry.propagate_to_vendors:
        from ingestion_server.transport.propagation import (  # noqa: PLC0415
            PropagatingTransport,
        )

        transport = PropagatingTransport(transport)
    if mode.record is not None:
        from ingestion_server.transport.recording import (  # noqa: PLC0415
            RecordingTransport,
        )

        transport = await RecordingTransport.open(
            transport, mode.record, providers, clock=clock, redactor=redactor
        )
    return transport
