"""One handshake of a WebSocket, and what it means if it is answered otherwise."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import final

import aiohttp
import msgspec

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.kit.statuses import check_status
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.transport import failures
from ingestion_server.transport.redaction import Redactor


class Line(msgspec.Struct, frozen=True):
    """Be what lies below an open WebSocket."""

    transport: asyncio.Transport
    gone: asyncio.Future[None]
    """Done once all is sent, or lost, and the line is closed."""


@final
class Handshake:
    """
    Be the step between aiohttp and one request for a WebSocket.

    aiohttp would follow redirects, and ask once more where a peer hangs up: here any
    answer but 101 is a failure, and nobody is asked twice.
    """

    line: Line
    """Set once the other side has agreed."""

    def __init__(
        self, provider: str, name: str, clock: Clock, redactor: Redactor
    ) -> None:
        """Be for one request to a vendor; ``name`` is what failures call it."""
        self._provider = provider
        self._name = name
        self._clock = clock
        self._redactor = redactor

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """
        Ask once.

        Raises:
            ProviderUnavailableError: What answers speaks no HTTP, or answers anything
                but 101 with a line to talk over.
            CredentialsRefusedError: It refuses the key.
            QuotaExhaustedError: It wants no more connections for now.

        """
        try:
            response = await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError):
            raise
        except (
            aiohttp.ClientOSError,
            aiohttp.ClientResponseError,
            aiohttp.ServerDisconnectedError,
        ) as error:
            raise self._unavailable(
                "did not answer the handshake with HTTP"
            ) from failures.chained(error, self._redactor.text)
        if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            response.close()
            raise self._refusal(response)
        line = _line_of(response)
        if line is None:
            response.close()
            raise self._unavailable("did not agree to a WebSocket")
        self.line = line
        return response

    def _refusal(self, response: aiohttp.ClientResponse) -> ProviderError:
        told = HttpResponse(
            response.status,
            b"",
            {"retry-after": "\n".join(response.headers.getall("Retry-After", ()))},
            self._clock.now_ns(),
        )
        try:
            check_status(self._provider, told)
        except (CredentialsRefusedError, QuotaExhaustedError) as refusal:
            return refusal
        except ProviderError as refusal:
            retry_after_seconds = refusal.retry_after_seconds
        else:
            retry_after_seconds = None
        return self._unavailable(
            f"answered the handshake with HTTP {response.status}", retry_after_seconds
        )

    def _unavailable(
        self, what: str, retry_after_seconds: float | None = None
    ) -> ProviderUnavailableError:
        return ProviderUnavailableError(
            f"{self._name} {what}",
            provider=self._provider,
            retry_after_seconds=retry_after_seconds,
        )


def _line_of(response: aiohttp.ClientResponse) -> Line | None:
    """Return what lies below an answer; None if it is gone already."""
    connection = response.connection
    if connection is None or connection.protocol is None:
        return None
    transport, gone = connection.transport, connection.protocol.closed
    if transport is None or gone is None:
        return None
    gone.add_done_callback(_look)
    return Line(transport, gone)


def _look(gone: asyncio.Future[None]) -> None:
    """Look at how a line ended, or the loop would log that nobody did."""
    if not gone.cancelled():
        gone.exception()
