"""`serve`: run the server until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ingestion_server.app import forking
from ingestion_server.cli.exits import Exit


def serve(  # noqa: PLR0913 - one parameter per option of the command line
    *,
    grpc: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="gRPC address; port 0 = any free.")
    ] = "",
    http: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Address of /livez, /readyz, /metrics; 0 = any."
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
    if sandbox_url and not sandbox_url.startswith(("http://", "https://")):
        _stop(
            f"--sandbox-url {sandbox_url}: expected for example http://127.0.0.1:9000",
            Exit.USAGE,
        )
    if record is not None and replay is not None:
        _stop("--record and --replay exclude each other", Exit.USAGE)
    chosen: dict[str, dict[str, object]] = {"grpc": {}, "http": {}, "state": {}}
    if grpc:
        chosen["grpc"]["address"] = grpc
    if allow_insecure_bind:
        chosen["grpc"]["allow_insecure_bind"] = True
    if http:
        chosen["http"]["address"] = http
    if state is not None:
        chosen["state"]["folder"] = state

    forking.leave_grpc_out()
    # Heavy, and needless for help and completion.
    from ingestion_server.cli import serving  # noqa: PLC0415

    serving.serve(
        config,
        chosen,
        ends={
            "sandbox": sandbox,
            "sandbox_url": sandbox_url.rstrip("/"),
            "record": record,
            "replay": replay,
        },
        first_fetch=first_fetch,
    )


def _stop(message: str, status: Exit) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
