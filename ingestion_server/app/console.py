"""How the console is joined with the calls it makes, which go through our own door."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from ingestion_server.app.settings import Settings
from ingestion_server.app.version import version
from ingestion_server.ports.rpc import RpcFailedError, Rpcs
from ingestion_server.service.loopback import Loopback
from ingestion_server.service.server import GrpcServer
from ingestion_server.web import Console, Guard, RecentFailures

_LONGEST_PATH: Final = 100
"""What the name of a socket may have, on every system."""
_PREFIX: Final = "ingestion-server-"
_SOCKET: Final = "door"
_MOST_SWEPT: Final = 1_000
_ASK_SECONDS: Final = 0.1
_log: Final = logging.getLogger(__name__)


@final
class ConsoleDesk:
    """
    Hold the console, and what it calls as soon as that is there.

    Calls take a socket of their own in a private folder: so they come in whatever
    address and certificate the gRPC door has, and only this user can take that way.
    """

    def __init__(self, settings: Settings, now_ns: Callable[[], int]) -> None:
        """Begin with nothing to call; ``now_ns`` tells the time since 1970 UTC."""
        self.failures = RecentFailures(now_ns)
        self._settings = settings
        self._started_ns = now_ns()
        self._why = "this server is starting"
        self._loopback: Loopback | None = None
        self._folders = ExitStack()

    @property
    def console(self) -> Console | None:
        """Return what the HTTP door serves; None if the settings want none."""
        http = self._settings.http
        if not http.console:
            return None
        guard = Guard(http.names, http.operator_token.get_secret_value())
        return Console(self._rpcs, self.failures, guard)

    def process(self) -> dict[str, object]:
        """Return what people are told of the process, beside how it does."""
        return {
            "version": version(),
            "started_at_ms": self._started_ns // 1_000_000,
            "operators": bool(self._settings.http.operator_token.get_secret_value()),
        }

    async def bind(self, server: GrpcServer) -> None:
        """Be served by a server that does not serve yet; never fails."""
        if not self._settings.http.console:
            return
        for folder in self._places():
            try:
                made = await asyncio.to_thread(_folder, folder)
                path = Path(self._folders.enter_context(made), _SOCKET)
                if len(str(path)) > _LONGEST_PATH:
                    raise OSError(f"{path} is too long for a socket")  # noqa: TRY301
                server.server.add_insecure_port(f"unix:{path}")
            except (OSError, RuntimeError) as error:
                self._why = f"the console has no way to the gRPC door: {error}"
            else:
                self._loopback = Loopback(f"unix:{path}", server.services)
                return
        _log.warning("%s", self._why)

    async def __aenter__(self) -> Self:
        """Enter; there is nothing to close yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the way down again."""
        if self._loopback is not None:
            await self._loopback.close()
        await asyncio.to_thread(self._folders.close)

    def _rpcs(self) -> Rpcs:
        if self._loopback is None:
            raise RpcFailedError("unavailable", self._why)
        return self._loopback

    def _places(self) -> Iterator[Path | None]:
        yield None
        # Where temporary files are forbidden, this must be writable all the same.
        yield self._settings.state.place()


def _folder(place: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Return a new folder that only this user can enter; it may block for a moment."""
    sweep(place or Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(
        prefix=_PREFIX, dir=place, ignore_cleanup_errors=True
    )


def sweep(place: Path) -> None:
    """Take away the folders of our own servers that were killed; never fails."""
    for folder in itertools.islice(place.glob(f"{_PREFIX}*"), _MOST_SWEPT):
        with suppress(OSError):
            told = folder.lstat()
            if stat.S_ISDIR(told.st_mode) and told.st_uid == os.getuid():
                _remove_unless_served(folder)


def _remove_unless_served(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_ASK_SECONDS)
        try:
            asking.connect(str(folder / _SOCKET))
        except ConnectionRefusedError:
            (folder / _SOCKET).unlink()
            folder.rmdir()
