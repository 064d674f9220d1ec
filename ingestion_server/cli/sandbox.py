"""`sandbox`: run the simulated vendors by themselves."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from ingestion_server.app.clock import SystemClock
from ingestion_server.app.settings import SettingsError, load_settings
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.cli.exits import Exit
from ingestion_server.sandbox import SandboxOptions, running


def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 = any free.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Another seed is another market.")] = 7,
    alpha_vantage_plan: Annotated[
        str,
        typer.Option(help="Plan of keys whose ending names none: free, 75, … 1200."),
    ] = "1200",
    free_full: Annotated[
        bool, typer.Option(help="Whether the free plan may ask outputsize=full.")
    ] = True,
    yahoo_per_second: Annotated[
        int, typer.Option(min=1, help="Requests a client may make in any second.")
    ] = 5,
) -> None:
    """
    Simulate the vendors over HTTP, with their real formats, limits and faults.

    Prints [green]SANDBOX http=…[/green] with the port taken. Point a server at it with
    [cyan]serve --sandbox-url[/cyan]; add faults with
    [cyan]POST /control/yahoo {"fault": "status_500"}[/cyan], see
    [cyan]GET /control/stats[/cyan].
    """
    try:
        options = SandboxOptions(
            seed=seed,
            alpha_vantage_plan=alpha_vantage_plan,
            free_full=free_full,
            yahoo_per_second=yahoo_per_second,
        )
        asyncio.run(_run(options, host, port))
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
        ComputedCalendars(settings.calendars.folder()) as calendars,
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
