"""Serving, once the options are read: the part that needs the whole house."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console

from ingestion_server.app import lifecycle
from ingestion_server.app.settings import Settings, SettingsError, load_settings
from ingestion_server.app.wiring import Mode
from ingestion_server.cli import failure, render
from ingestion_server.cli.exits import Exit
from ingestion_server.client import Client, IngestionClientError
from ingestion_server.telemetry.logs import configure_logging


def serve(
    config: Path | None,
    chosen: Mapping[str, object],
    *,
    ends: Mapping[str, Any],
    first_fetch: str,
) -> None:
    """Serve until told to stop; a mistake of the user ends with a clear message."""
    mode = msgspec.convert(ends, Mode)
    try:
        settings = load_settings(config_file=config, overrides=chosen)
        configure_logging(settings.log.level, json=settings.log.format == "json")
        _run(settings, mode, first_fetch)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.USAGE) from error
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.CONFIGURATION) from error


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
    console = Console()
    console.print(f"\nFetching {symbol} through {addresses.grpc} …")
    try:
        async with Client(addresses.grpc) as client:
            render.show(console, await client.fetch(symbol, limit=10))
    except IngestionClientError as error:
        failure.tell(console, error)
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
