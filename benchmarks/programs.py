"""Servers and simulated vendors in processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

COMMAND: Final = Path(sys.executable).with_name("ingestion-server")
CALENDAR_SECONDS: Final = 60.0


class Serving(NamedTuple):
    """Be a server that serves."""

    process: int
    door: str
    """Where it speaks gRPC."""
    seconds: float
    """What it took to serve."""


@contextlib.contextmanager
def serving(
    cache: Path, *options: str, settings: Mapping[str, str] | None = None
) -> Iterator[Serving]:
    """Run a server, with settings as variables of its environment."""
    doors = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with _running(
        cache, "SERVING grpc=", (COMMAND, "serve", *doors, *options), settings or {}
    ) as (process, said, seconds):
        yield Serving(process, said.split()[0], seconds)


@contextlib.contextmanager
def simulating(cache: Path, *options: str) -> Iterator[str]:
    """Run simulated vendors, and tell their address."""
    command = (COMMAND, "sandbox", *options)
    with _running(cache, "SANDBOX http=", command, {}) as (_, said, _):
        yield f"http://{said}"


@contextlib.contextmanager
def answering(cache: Path, module: str, *arguments: str) -> Iterator[str]:
    """Run a module that says ``READY`` and its address, and tell the address."""
    command = (sys.executable, "-m", module, *arguments)
    with _running(cache, "READY ", command, {}) as (_, said, _):
        yield said


def settle(cache: Path) -> None:
    """Wait until the calendar is kept, and the child that computed it is gone."""
    until = time.monotonic() + CALENDAR_SECONDS
    while not list(cache.rglob("*XNYS.npz")):
        if time.monotonic() > until:
            raise TimeoutError("no calendar was computed")
        time.sleep(0.05)
    # The child that wrote the file still has to end; nobody outside hears when.
    time.sleep(0.5)


@contextlib.contextmanager
def _running(
    cache: Path,
    word: str,
    command: tuple[str | Path, ...],
    settings: Mapping[str, str],
) -> Iterator[tuple[int, str, float]]:
    """Run a program; tell its process, what it said behind a word, and how soon."""
    # What is set for the user's own server must not count here, and what it keeps
    # must neither be read nor written.
    environment = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - handed on
        if not name.startswith("INGESTION_")
    }
    environment |= {
        "XDG_CACHE_HOME": str(cache),
        "XDG_STATE_HOME": str(cache / "state"),
        **settings,
    }
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101
            for line in process.stdout:
                if line.startswith(word):
                    took = time.perf_counter() - began
                    yield process.pid, line.removeprefix(word).strip(), took
                    return
            raise RuntimeError(f"{command} ended before it was ready")
        finally:
            process.terminate()
