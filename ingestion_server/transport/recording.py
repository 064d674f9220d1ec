"""Keep what vendors answer, as a body file and its envelope."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self, final
from urllib.parse import urlsplit

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse, Transport, Trip
from ingestion_server.ports.provider import Provider
from ingestion_server.transport import envelope, naming
from ingestion_server.transport.redaction import BLANK, Redactor, secrets_of

_logger = logging.getLogger(__name__)

_WARNING_SECONDS: Final = 60.0
_MOST_NAMESAKES: Final = 10_000


class RecordingError(OSError):
    """Say that a folder cannot be recorded into."""


@final
class RecordingTransport:
    """
    Pass exchanges on, and write each answer down.

    A disk that is full, or gone, costs the recording and a warning a minute, never
    the answer.
    """

    def __init__(
        self,
        inner: Transport,
        folder: Path,
        providers: Sequence[Provider],
        *,
        clock: Clock,
        redactor: Redactor | None = None,
    ) -> None:
        """
        Set up, without touching the disk; see ``open``.

        Args:
            inner: Makes the exchanges.
            folder: Receives one folder per vendor.
            providers: Say which parameters are secret.
            clock: Paces the warnings.
            redactor: Knows more secrets than those that the requests carry.

        """
        self._inner = inner
        self._folder = folder
        self._providers = {provider.name: provider for provider in providers}
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._warned: float | None = None
        self._lost = 0

    @classmethod
    async def open(
        cls,
        inner: Transport,
        folder: Path,
        providers: Sequence[Provider],
        *,
        clock: Clock,
        redactor: Redactor | None = None,
    ) -> Self:
        """
        Make the folder and try whether it can be written to.

        Raises:
            RecordingError: It cannot.

        """
        await asyncio.to_thread(_try_out, folder)
        return cls(inner, folder, providers, clock=clock, redactor=redactor)

    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Return what the inner transport says."""
        return self._inner.as_of_ns(request)

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """Send, keep the answer, and return it as it came."""
        response = await self._inner.send(
            request, timeout_seconds=timeout_seconds, trip=trip
        )
        try:
            await asyncio.to_thread(self._keep, request, response)
        except OSError as error:
            self._complain(error)
        return response

    def _keep(self, request: HttpRequest, response: HttpResponse) -> None:
        """Write one exchange; called in a thread."""
        provider = self._providers.get(request.provider)
        secret = frozenset[str]() if provider is None else provider.secret_parameters
        redactor = self._redactor.also(secrets_of(request, secret), secret)
        body = redactor.body(response.body)
        url = request.full_url
        if provider is not None and response.url:
            # Where redirects led, as long as it would be found there.
            meant = provider.identity(url, b"")
            url = response.url if meant == provider.identity(response.url, b"") else url
        if response.body and _hands_out(request, secret):
            body = BLANK.encode()
        sealed = envelope.sealed(
            response.headers,
            received_at_ns=response.received_at_ns,
            status=response.status,
            url=url,
            redactor=redactor,
        )
        folder = self._folder / naming.folder_of(request.provider)
        folder.mkdir(parents=True, exist_ok=True)
        stem = naming.stem_of(redactor.text(request.full_url), response.received_at_ns)
        path = _reserved(folder, stem, naming.ending_of(response))
        try:
            # The body first: it is found without its envelope, but not the reverse.
            _replace(path, body)
            _replace(envelope.beside(path), envelope.encoded(sealed))
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def _complain(self, error: OSError) -> None:
        self._lost += 1
        now = self._clock.monotonic()
        if self._warned is not None and now - self._warned < _WARNING_SECONDS:
            return
        self._warned = now
        _logger.warning(
            "cannot record into %s (%s): %d answers were served, but not kept",
            self._folder,
            error.strerror or type(error).__name__,
            self._lost,
        )


def _hands_out(request: HttpRequest, secret: frozenset[str]) -> bool:
    """Tell whether a page is named for a secret, and hence is one: ``/getcrumb``."""
    page = urlsplit(request.url).path.rpartition("/")[2].lower()
    return any(name.lower() in page for name in secret)


def _try_out(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"\n")
    except OSError as error:
        raise RecordingError(
            f"cannot record into {folder}: {error.strerror or type(error).__name__}"
        ) from error


def _reserved(folder: Path, stem: str, ending: str) -> Path:
    """Return a name that nobody else has, by making an empty file of it."""
    for count in range(1, _MOST_NAMESAKES):
        suffix = "" if count == 1 else f"-{count}"
        path = folder / f"{stem}{suffix}.{ending}"
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{stem}.{ending} exists {_MOST_NAMESAKES} times")


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
