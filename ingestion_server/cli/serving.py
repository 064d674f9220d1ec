"""Serving, once the options are read: the part that needs the whole house."""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from ingestion_server.app import lifecycle
from ingestion_server.app.mode import Mode
from ingestion_server.app.redaction import blank_of
from ingestion_server.app.settings import Settings, SettingsError, load_settings
from ingestion_server.cli.exits import Exit
from ingestion_server.telemetry.logs import configure_logging

_NAME: Final = "ingestion-server"
_USUAL_TARGET: Final = "127.0.0.1:50051"
"""What `fetch` asks unless it is told otherwise."""


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
        configure_logging(
            settings.log.level,
            json=settings.log.format == "json",
            blank=blank_of(settings),
        )
        _run(settings, mode, first_fetch)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.USAGE) from error
    except (OSError, ValueError) as error:
        typer.echo(_told(error), err=True)
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


def _told(error: OSError | ValueError) -> str:
    """Return the words of an error, without the number of the system's."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"{error.strerror}; choose another with --grpc or --http, 0 takes any"
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        )
    return str(error)


async def _show_first(addresses: lifecycle.Addresses, symbol: str) -> None:
    # A server that shows nothing has no need of tables and of its own client.
    from rich.console import Console  # noqa: PLC0415

    from ingestion_server.cli import failure, render  # noqa: PLC0415
    from ingestion_server.client import Client, IngestionClientError  # noqa: PLC0415

    console = Console()
    console.print(f"\nFetching {symbol} through {addresses.grpc} …", highlight=False)
    try:
        async with Client(addresses.grpc) as client:
            render.show(console, await client.fetch(symbol, limit=10))
    except IngestionClientError as error:
        failure.tell(console, error)
    console.print(_hints(addresses.grpc, symbol), soft_wrap=True, highlight=False)


def _hints(target: str, symbol: str) -> str:
    command, where = _command(), f" --target {target}"
    if target == _USUAL_TARGET:
        where = ""
    service = "marketdata.ingestion.v1.IngestionService/Fetch"
    return (
        "\nTry in another terminal:\n"
        f"  {command} fetch {symbol} --chart{where}\n"
        f"  {command} fetch BTC/USD --interval 1h --json{where}\n"
        f"  {_buf()} curl --protocol grpc --http2-prior-knowledge "
        f'-d \'{{"symbol":"{symbol}"}}\' http://{target}/{service}\n'
        "\nCtrl-C stops the server."
    )


def _command() -> str:
    """Return how this program was called, as it can be called again."""
    called = Path(sys.argv[0])
    return str(called) if called.name == _NAME else _NAME


def _buf() -> str:
    """Return how buf can be called; `make test` puts one beside us."""
    beside = Path(_command()).with_name("buf")
    return str(beside) if beside.is_file() else "buf"
