"""A file from which a Prometheus learns whom to scrape (``file_sd_configs``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

import msgspec

from ingestion_server.discovery.bulletin import Bulletin
from ingestion_server.ports.clock import Clock

_log: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 60.0
_LEAVE_SECONDS: Final = 1.0
_REASON: Final = "unwritable"


def targets(address: str, labels: Mapping[str, str]) -> bytes:
    """Return the file of one server; labels that say nothing are left out."""
    said = {name: value for name, value in labels.items() if value}
    listed = [{"targets": [address], "labels": said}]
    return msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n"


@final
class TargetFile:
    """
    Have a file there while ``run`` runs, until ``leave``.

    It is looked after every minute, since whoever keeps the folder may clean it. A
    reader sees all of it or nothing. A file of another server is not removed.
    """

    where: Final = "file_sd"

    def __init__(self, path: Path, clock: Clock) -> None:
        """Write to this path; nothing happens yet."""
        self._path = path
        self._clock = clock
        self._bulletin = Bulletin(_log, clock)
        self._content: bytes | None = None
        self._written = False
        self._left = False
        # A thread that was given up may still be writing.
        self._turn = threading.Lock()
        self.registrations = 0
        self.failures: Final = Counter({_REASON: 0})

    @property
    def registered(self) -> bool:
        """Return whether the file was there when it was last looked at."""
        return self._written

    async def run(self, content: bytes) -> None:
        """Keep the file there until cancelled."""
        self._content = content
        while True:
            try:
                await asyncio.to_thread(self._keep, content)
            except Exception as error:  # noqa: BLE001 - callers are served anyway
                self._written = False
                self._bulletin.failed(
                    f"{self._path} is not written: {self._noted(error)}"
                )
            else:
                self._bulletin.well(f"{self._path} tells Prometheus of this server")
            await self._clock.sleep(_LOOK_SECONDS)

    async def leave(self) -> None:
        """Remove the file, in bounded time; ``run`` has been cancelled."""
        self._left = True
        if self._content is None:
            return
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await asyncio.to_thread(self._remove, self._content)
        except Exception as error:  # noqa: BLE001 - no reason not to stop in order
            _log.warning("%s is not removed: %s", self._path, self._noted(error))
        self._written = False

    def _keep(self, content: bytes) -> None:
        with self._turn:
            if self._left:
                return
            if self._read(len(content)) != content:
                self._write(content)
                self.registrations += 1
            self._written = True

    def _write(self, content: bytes) -> None:
        # Not `.json`, so that no pattern of a Prometheus finds it half written.
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            with draft.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def _remove(self, content: bytes) -> None:
        with self._turn:
            # A server that follows on this one may have written its own.
            if self._read(len(content)) == content:
                self._path.unlink(missing_ok=True)

    def _read(self, size: int) -> bytes | None:
        """Return what is there, one byte more than the size at most; None = nothing."""
        if not self._path.exists():
            return None
        if not self._path.is_file():
            raise FileExistsError(0, "it is no file")
        with self._path.open("rb") as stream:
            return stream.read(size + 1)

    def _noted(self, error: Exception) -> str:
        """Count a failure, and return it in words."""
        self.failures[_REASON] += 1
        if isinstance(error, TimeoutError):
            return "the disk does not answer"
        told = error.strerror if isinstance(error, OSError) else None
        return told or type(error).__name__
