"""`serve`: run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from ingestion_server.app import lifecycle
from ingestion_server.app.settings import Settings, SettingsError, load_settings
from ingestion_server.app.wiring import Mode
from ingestion_server.cli import render
from ingestion_server.cli.exits import Exit
from ingestion_server.telemetry import configure_logging


def serve(  # noqa: PLR0913 - one parameter per option of the command line
    *,
    grpc: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="gRPC address; port 0 = any free.")
    ] = "",
    http: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Address of /livez and /readyz; port 0 = any."
        ),
    ] = "",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings, as TOML.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for what is kept between starts."),
    ] = None,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox", help="Ask simulated vendors within this process; no key."
        ),
    ] = False,
    sandbox_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Ask simulated vendors elsewhere: [cyan]ingestion-server "
            "sandbox[/cyan] prints its URL.",
        ),
    ] = "",
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each vendor's answers to a folder."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Answer from a folder of recordings; no key."),
    ] = None,
    first_fetch: Annotated[
        str,
        typer.Option(
            metavar="SYMBOL",
            help="Once serving, fetch a symbol through the own port and show it.",
        ),
    ] = "",
    allow_insecure_bind: Annotated[
        bool,
        typer.Option(
            "--allow-insecure-bind",
            help="Listen beyond this machine without TLS; only behind something "
            "that protects it.",
        ),
    ] = False,
) -> None:
    """
    Serve bars over gRPC until Ctrl-C.

    Prints [green]SERVING grpc=… http=…[/green] on standard output once calls are
    answered, with the ports taken, and logs to standard error. Without
    [cyan]--sandbox[/cyan], [cyan]--sandbox-url[/cyan] or [cyan]--replay[/cyan] the
    real vendors are asked, with the keys in the settings.
    """
    if sum((sandbox, bool(sandbox_url), replay is not None)) > 1:
        _stop("choose one of --sandbox, --sandbox-url and --replay", Exit.USAGE)
    if record is not None and replay is not None:
        _stop("--record and --replay exclude each other", Exit.USAGE)
    overrides: dict[str, dict[str, object]] = {"grpc": {}, "http": {}, "state": {}}
    if grpc:
        overrides["grpc"]["address"] = grpc
    if allow_insecure_bind:
        overrides["grpc"]["allow_insecure_bind"] = True
    if http:
        overrides["http"]["address"] = http
    if state is not None:
        overrides["state"]["folder"] = state
    mode = Mode(
        sandbox=sandbox,
        sandbox_url=sandbox_url.rstrip("/"),
        record=record,
        replay=replay,
    )
    try:
        settings = load_settings(config_file=config, overrides=overrides)
        lifecycle.check_exposure(settings)
        configure_logging(settings.log.level, json=settings.log.format == "json")
        _run(settings, mode, first_fetch)
    except SettingsError as error:
        _stop(str(error), Exit.USAGE)
    except (OSError, ValueError) as error:
        _stop(str(error), Exit.CONFIGURATION)


def _run(settings: Settings, mode: Mode, first_fetch: str) -> None:
    async def then(addresses: lifecycle.Addresses) -> None:
        await _show_first(addresses, first_fetch)

    work = lifecycle.run(settings, mode, _announce, then if first_fetch else None)
    if sys.platform == "win32":
        asyncio.run(work)
        return
    import uvloop  # noqa: PLC0415 - not on every platform

    uvloop.run(work)


def _announce(addresses: lifecycle.Addresses) -> None:
    if addresses.sandbox:
        print(f"SANDBOX http={addresses.sandbox.removeprefix('http://')}", flush=True)  # noqa: T201 - for scripts
    print(f"SERVING grpc={addresses.grpc} http={addresses.http}", flush=True)  # noqa: T201 - for scripts


async def _show_first(addresses: lifecycle.Addresses, symbol: str) -> None:
    from ingestion_server.client import Client, IngestionClientError  # noqa: PLC0415

    console = Console()
    console.print(f"\nFetching {symbol} through {addresses.grpc} …")
    try:
        async with Client(addresses.grpc) as client:
            render.show(console, await client.fetch(symbol, limit=10))
    except IngestionClientError as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
    console.print(_hints(addresses.grpc, symbol), soft_wrap=True, highlight=False)


def _hints(target: str, symbol: str) -> str:
    service = "marketdata.ingestion.v1.IngestionService/Fetch"
    return (
        "\nTry in another terminal:\n"
        f"  .venv/bin/ingestion-server fetch {symbol} --chart --target {target}\n"
        f"  .venv/bin/ingestion-server fetch BTC/USD --interval 1h --json "
        f"--target {target}\n"
        "  buf curl --protocol grpc --http2-prior-knowledge "
        f'-d \'{{"symbol":"{symbol}"}}\' http://{target}/{service}\n'
        "\nCtrl-C stops the server."
    )


def _stop(message: str, status: Exit) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
