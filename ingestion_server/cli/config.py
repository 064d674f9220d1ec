"""`config`: show the settings that are in effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def config(
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Settings, as TOML. By default, what INGESTION_CONFIG names.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="An object of {value, origin} by key, for programs."
        ),
    ] = False,
) -> None:
    """
    Show the settings in effect, each with where it comes from; keys stay hidden.

    The environment (INGESTION_GRPC__ADDRESS is grpc.address) wins over the file. What
    is unknown or wrong is told, with status 2, as [cyan]serve[/cyan] would.
    """
    # Heavy, and needless for help and completion.
    from ingestion_server.cli import showing  # noqa: PLC0415

    raise typer.Exit(showing.show(file, as_json=as_json))
