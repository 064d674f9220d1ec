"""Simulating, once the options are read: the part that needs the whole sandbox."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

import typer

from ingestion_server.app.clock import SystemClock
from ingestion_server.app.settings import SettingsError, load_settings
from ingestion_server.app.wiring import calendar_folder
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.cli.exits import Exit
from ingestion_server.sandbox import SandboxOptions, running


def simulate(chosen: Mapping[str, Any], host: str, port: int) -> None:
    """Simulate until told to stop; a mistake of the user ends with a clear message."""
    try:
        asyncio.run(_run(SandboxOptions(**chosen), host, port))
    except (SettingsError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.USAGE) from error
    except OSError as error:
        typer.echo(f"cannot listen on {host}:{port}: {error}", err=True)
        raise typer.Exit(Exit.CONFIGURATION) from error


async def _run(options: SandboxOptions, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings = load_settings(config_file=None, overrides={})
    async with (
        ComputedCalendars(calendar_folder(settings)) as calendars,
        running(
            options,
            sessions=calendars,
            now_ns=SystemClock().now_ns,
            host=host,
            port=port,
        ) as simulated,
    ):
        print(f"SANDBOX http={simulated.url.removeprefix('http://')}", flush=True)  # noqa: T201 - for scripts
        await stop.wait()
