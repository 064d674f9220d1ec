"""Programs under test: real processes, read line by line, never left behind."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple, Self

from marketdata.ingestion.v1 import ingestion_service_pb2, source_policy_pb2

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = Path(sys.executable).with_name("ingestion-server")
BUF: Final = Path(sys.executable).with_name("buf")

START_SECONDS: Final = 40.0
"""A start takes a second; two cores that also run other tests may need many."""
STOP_SECONDS: Final = 5.0
"""The promise is two seconds on a machine that has nothing else to do."""
SERVING: Final = re.compile(
    r"SERVING grpc=(127\.0\.0\.1:[1-9]\d*) http=(127\.0\.0\.1:[1-9]\d*)"
)
SANDBOX: Final = re.compile(r"SANDBOX http=(127\.0\.0\.1:[1-9]\d*)")

QUESTION: Final = ingestion_service_pb2.FetchRequest(
    symbol="AAPL",
    limit=5,
    source_policy=source_policy_pb2.SourcePolicy(
        mode=source_policy_pb2.SourcePolicy.MODE_PINNED, providers=["yahoo"]
    ),
)
"""What one vendor alone is asked, so that its faults are those of the answer."""

ANY_PORTS: Final = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
_OURS: Final = ("INGESTION_", "ALPHAVANTAGE_", "ALPHA_VANTAGE_", "GRPC_", "PYTHON")


def isolated(folder: Path) -> dict[str, str]:
    """Return an environment without the user's files, keys and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - programs inherit it
        if not name.startswith(_OURS) and not name.lower().endswith("_proxy")
    }
    return {
        **kept,
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
        "COLUMNS": "80",
        # pytest's own coverage and its debugging do not reach into programs.
        "PYTHONUNBUFFERED": "1",
    }


class Ended(NamedTuple):
    """Hold what a program left."""

    status: int
    output: str
    complaints: str


class Program:
    """Run `ingestion-server` while the block lasts; kill it, should it still live."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        ignoring_interrupts: bool = False,
    ) -> None:
        self._arguments = [str(COMMAND), *arguments]
        self._environment = environment
        self._ignoring_interrupts = ignoring_interrupts
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._complaints: list[str] = []
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        arguments = self._arguments
        if self._ignoring_interrupts:
            # As a shell does to what it starts in the background.
            arguments = ["/bin/sh", "-c", 'trap "" INT; exec "$0" "$@"', *arguments]
        self.process = subprocess.Popen(  # noqa: S603
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=ROOT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._read(self.process.stdout, self._lines.put)
        self._read(self.process.stderr, self._complaints.append)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def line(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """Read lines until one of them is the one wanted, all of it."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                raise AssertionError(f"not said in time: {pattern}\n{self}") from None
            if line is None:
                raise AssertionError(f"ended without saying: {pattern}\n{self}")
            self.seen.append(line.removesuffix("\n"))
            if found := re.fullmatch(pattern, self.seen[-1]):
                return found

    def addresses(self) -> tuple[str, str]:
        """Wait until it serves, and tell where: gRPC, HTTP."""
        found = self.line(SERVING)
        return found[1], found[2]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def ended(self, seconds: float) -> Ended:
        """Wait for its end, and tell what it left."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s\n{self}") from None
        self._close()
        while (line := self._lines.get()) is not None:
            self.seen.append(line.removesuffix("\n"))
        return Ended(status, "\n".join(self.seen), "".join(self._complaints))

    def stopped(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send a signal, and wait for the end that was promised."""
        self.send(number)
        return self.ended(STOP_SECONDS)

    def __str__(self) -> str:
        """Show what it said so far."""
        return "\n".join([*self.seen, "--- stderr", *self._complaints])

    def _read(self, stream: IO[str], tell: Callable[[str], None]) -> None:
        def read() -> None:
            for line in stream:
                tell(line)
            if stream is self.process.stdout:
                self._lines.put(None)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        self._readers.append(reader)

    def _close(self) -> None:
        for reader in self._readers:
            reader.join(STOP_SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def got(url: str) -> tuple[int, str]:
    """Get a page, whatever its status is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=STOP_SECONDS) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def post(url: str, body: str) -> None:
    """Post some JSON."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310
        url, body.encode(), {"Content-Type": "application/json"}
    )
    with opener.open(request, timeout=STOP_SECONDS) as reply:
        assert reply.status < 300
