"""Running one child process: bounded, killable, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

UNKNOWN: Final = 3
"""The exit status that says: the library knows no such calendar."""

# `python -m` looks into the current folder first. This makes it the one that our
# own package came from, and not wherever the user happens to be.
_ROOT: Final = Path(__file__).resolve().parents[2]
_LONGEST_REASON: Final = 200


class UnknownCalendarError(Exception):
    """Say that the library knows no such calendar."""


class ChildFailedError(Exception):
    """Say that the child process gave no answer."""


async def run(command: Sequence[str], *, seconds: float) -> bytes:
    """
    Run a command and return what it printed.

    The command's standard input stays open and silent, and ends with this process,
    however that ends. Cancelling kills the command.

    Raises:
        UnknownCalendarError: if it exits with :data:`UNKNOWN`.
        ChildFailedError: if it cannot be started, fails, or takes too long.
    """
    try:
        process = await _started(command)
    except OSError as e:
        raise ChildFailedError(f"cannot run {command[0]} ({e})") from e
    finished = False
    try:
        async with asyncio.timeout(seconds):
            # Not communicate(): since Python 3.12 it closes standard input.
            output, complaint = await _drain(process)
        finished = True
    except TimeoutError as e:
        raise ChildFailedError(f"no answer within {seconds:g} s") from e
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if not finished:
            await _end(process)
    if process.returncode == UNKNOWN:
        raise UnknownCalendarError("the library knows no such calendar")
    if process.returncode != 0:
        raise ChildFailedError(
            f"exit status {process.returncode}: {_last_line(complaint)}"
        )
    return output


async def _started(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start a command, wholly or not at all."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C in our terminal is not for the child
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It may run already. asyncio would kill it alone, and wait for as long as
        # what it has started keeps its pipes open.
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a process and what it started, and let its pipes close."""
    if process.stdin is not None:
        process.stdin.close()
    _kill(process)
    # Reading to the end lets the transport close. It is bounded, because a grandchild
    # in a session of its own might keep the pipes open.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await _drain(process)


async def _drain(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """Read everything there is, and then wait for the end."""
    output, complaint = await asyncio.gather(
        _read(process.stdout), _read(process.stderr)
    )
    await process.wait()
    return output, complaint


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill the process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _last_line(complaint: bytes) -> str:
    """Find the line of a traceback that says what happened."""
    lines = complaint.decode(errors="replace").strip().splitlines()
    line = lines[-1] if lines else "it said nothing"
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
