"""
Posting to a service of the house: an etcd, say.

Not the vendors' door: that one has no body but a form, leads to a simulator where one
stands in for the vendors, is recorded, and goes through the proxy that leads outside.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.ports.http import HttpResponse
from ingestion_server.transport import failures

_BODY_BYTES: Final = 65_536
_CONNECTIONS: Final = 4


@final
class AiohttpPost:
    """
    Post small bodies to one service; to be entered before use, and to be left.

    No proxy, no cookies, no redirects: what is posted may hold a password.
    """

    def __init__(self, service: str, ca_file: Path | None = None) -> None:
        """
        Set up, without opening anything.

        Args:
            service: What errors call it.
            ca_file: Certificates in PEM that are trusted in place of the system's.

        Raises:
            OSError: The certificates cannot be read.

        """
        self._service = service
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the pool."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __call__(
        self,
        url: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        *,
        timeout_seconds: float,
    ) -> HttpResponse:
        """
        Post a body and read what comes.

        Raises:
            ProviderUnavailableError: The service cannot be reached, does not answer
                in time, or breaks off.
            MalformedPayloadError: What it answers is too large, or no HTTP.

        """
        if self._session is None:
            raise RuntimeError("the transport is not open")
        host = urlsplit(url).netloc
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self._session.post(
                    URL(url, encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                ) as reply,
            ):
                return HttpResponse(
                    status=reply.status,
                    body=await self._body(reply, host),
                    url=url,
                )
        except TimeoutError as error:
            raise ProviderUnavailableError(
                f"{self._service} ({host}) did not answer within {timeout_seconds:g} s",
                provider=self._service,
            ) from error
        except failures.CAUGHT as error:
            raise failures.mapped(
                error, provider=self._service, host=host
            ) from failures.chained(error)

    async def _body(self, reply: aiohttp.ClientResponse, host: str) -> bytes:
        body = b""
        async for chunk in reply.content.iter_any():
            body += chunk
            if len(body) > _BODY_BYTES:
                reply.close()
                raise MalformedPayloadError(
                    f"{self._service} ({host}) sent more than {_BODY_BYTES} bytes",
                    provider=self._service,
                )
        return body
