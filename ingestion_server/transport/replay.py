"""Answer from recordings, without a network and without keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Self, final

import msgspec

from ingestion_server.domain.errors import NoDataUnexplainedError
from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.ports.provider import Identity, Provider
from ingestion_server.transport.library import Library, closest, index
from ingestion_server.transport.redaction import Redactor, secrets_of
from ingestion_server.transport.shelf import ReplayError

__all__ = ["ReplayError", "ReplayTransport"]

_logger = logging.getLogger(__name__)


@final
class ReplayTransport:
    """
    Answer each request with the recording that comes closest to it.

    What a request means is its provider's matter; credentials and the like are no
    part of that. Of several recordings, the one that covers most of ``request.span``
    is taken.
    """

    def __init__(self, library: Library, providers: Sequence[Provider]) -> None:
        self._library = library
        self._providers = {provider.name: provider for provider in providers}

    @classmethod
    async def open(
        cls,
        folder: Path,
        providers: Sequence[Provider],
        log: logging.Logger = _logger,
    ) -> Self:
        """
        Read a folder of recordings.

        Raises:
            ReplayError: It is none.

        """
        library = await asyncio.to_thread(index, folder, providers)
        log.info(
            "replaying %d answers out of %s; %d other files hold none of %s",
            library.size,
            folder,
            library.unused,
            ", ".join(provider.name for provider in providers),
        )
        return cls(library, providers)

    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Return when the closest recording of such a kind was made; None if none."""
        identity = self._identity(request)
        if identity is None:
            return None
        candidates = self._library.of_resource(request.provider, identity)
        best = closest(candidates, request.span)
        return None if best is None else best.recorded_ns

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """
        Return the closest recording.

        Raises:
            NoDataUnexplainedError: There is none of what is asked.

        """
        del timeout_seconds  # a disk answers in time
        del trip  # nothing leaves, but it counts like the call that it stands for
        identity = self._identity(request)
        candidates = (
            () if identity is None else self._library.of(request.provider, identity)
        )
        best = closest(candidates, request.span)
        if best is None:
            raise NoDataUnexplainedError(
                f"the recordings in {self._library.folder} hold no answer to "
                f"{self._shown(request)} ({_shown_identity(identity)})",
                provider=request.provider,
            )
        try:
            response = await asyncio.to_thread(best.load)
        except (OSError, msgspec.MsgspecError) as error:
            raise NoDataUnexplainedError(
                f"the recording {best.body} cannot be read any more",
                provider=request.provider,
            ) from error
        if response.url:
            return response
        return msgspec.structs.replace(response, url=self._redacted(request))

    def _identity(self, request: HttpRequest) -> Identity | None:
        provider = self._providers.get(request.provider)
        return None if provider is None else provider.identity(request.full_url, b"")

    def _shown(self, request: HttpRequest) -> str:
        return f"{request.method} {self._redacted(request)}"

    def _redacted(self, request: HttpRequest) -> str:
        provider = self._providers.get(request.provider)
        secret = frozenset[str]() if provider is None else provider.secret_parameters
        known = Redactor(parameters=secret).also(secrets_of(request, secret))
        return known.text(request.full_url)


def _shown_identity(identity: Identity | None) -> str:
    if identity is None:
        return "which is of no known kind"
    pairs = sorted(identity.resource) + sorted(identity.window)
    return "identity " + ", ".join(f"{name}={value}" for name, value in pairs)
