"""How discovery is joined: where the server makes itself known, and as what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import final

from ingestion_server.app.discovery_section import DiscoverySettings
from ingestion_server.app.version import version
from ingestion_server.app.words import host_and_port
from ingestion_server.discovery import etcd
from ingestion_server.discovery.conversation import Conversation, Login
from ingestion_server.discovery.registrar import Registrar, RegistrarLimits
from ingestion_server.discovery.target_file import TargetFile, targets
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.discovery import Presence
from ingestion_server.transport.posting import AiohttpPost


@final
class Discovery:
    """Have the server found wherever that is set: from ``run`` until ``leave``."""

    def __init__(
        self,
        settings: DiscoverySettings,
        registrar: Registrar | None,
        file: TargetFile | None,
    ) -> None:
        """Make nothing known yet; None = not there."""
        self._settings = settings
        self._registrar = registrar
        self._file = file

    @property
    def presences(self) -> Sequence[Presence]:
        """Return the places where the server is to be found; none by default."""
        return [each for each in (self._registrar, self._file) if each is not None]

    async def run(self, grpc_address: str, http_address: str) -> None:
        """Be found until cancelled; the addresses are where the server listens."""
        settings, number = self._settings, version()
        service, region = settings.service, settings.region or ""
        async with asyncio.TaskGroup() as tasks:
            if self._registrar is not None:
                entry = etcd.entry(
                    service,
                    _told(settings.advertise_address, grpc_address),
                    {"region": region, "version": number, "weight": settings.weight},
                )
                tasks.create_task(self._registrar.run(entry), name="etcd")
            if self._file is not None:
                content = targets(
                    _told(settings.advertise_http_address, http_address),
                    {"service": service, "region": region, "version": number},
                )
                tasks.create_task(self._file.run(content), name="file_sd")

    async def leave(self) -> None:
        """Be found no longer, in bounded time; ``run`` has been cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in (self._registrar, self._file):
                if each is not None:
                    tasks.create_task(each.leave())


@asynccontextmanager
async def discovering(
    settings: DiscoverySettings, clock: Clock
) -> AsyncIterator[Discovery]:
    """
    Be able to make the server known while the block lasts.

    Raises:
        OSError: The certificates that are to be trusted cannot be read.

    """
    async with AsyncExitStack() as stack:
        registrar = None
        if settings.etcd_endpoints:
            post = await stack.enter_async_context(_post(settings.etcd_ca_file))
            registrar = _registrar(settings, settings.etcd_endpoints, post, clock)
        path = settings.file_sd_path
        file = None if path is None else TargetFile(path, clock)
        yield Discovery(settings, registrar, file)


def _registrar(
    settings: DiscoverySettings,
    endpoints: Sequence[str],
    post: AiohttpPost,
    clock: Clock,
) -> Registrar:
    limits = RegistrarLimits(lease_seconds=settings.lease_seconds)
    password = settings.etcd_password
    login = Login(
        settings.etcd_username or "",
        "" if password is None else password.get_secret_value(),
    )
    conversation = Conversation(
        post, endpoints, login, timeout_seconds=limits.ask_seconds
    )
    draw = Random()  # noqa: S311 - no secret
    return Registrar(conversation, clock, draw.random, limits)


def _post(ca_file: Path | None) -> AiohttpPost:
    try:
        return AiohttpPost("etcd", ca_file)
    except OSError as error:
        why = error.strerror or "expected certificates in PEM"
        raise OSError(
            error.errno, f"cannot read {ca_file} (discovery.etcd_ca_file): {why}"
        ) from error


def _told(advertised: str | None, listening: str) -> str:
    """Return the address to tell; a port 0 stands for the one that was found free."""
    if advertised is None:
        return listening
    _, port = host_and_port(advertised)
    host = advertised.rpartition(":")[0]
    return f"{host}:{port or host_and_port(listening)[1]}"
