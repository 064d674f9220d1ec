"""`doctor`: look for what is wrong before the server is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings, as TOML. By default, what INGESTION_CONFIG names.",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody on the network.")
    ] = False,
    sandbox_url: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Simulated vendors, to be asked instead of real ones."
        ),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="An object {ok, findings: [{name, verdict, text, advice}]}; a verdict "
            "is ok, warn or fail.",
        ),
    ] = False,
) -> None:
    """
    Check settings, keys, ports, clock, folders, calendars and the way to the vendors.

    Vendors are asked for the head of their host's root page, without a key, which
    none of them meters. Each finding says what to do about it. The status is 1 if one
    would stop the server or leave it with nobody to ask, and 0 otherwise.
    """
    # Heavy, and needless for help and completion.
    from ingestion_server.cli import examining  # noqa: PLC0415

    sound = examining.examine(
        config, offline=offline, sandbox_url=sandbox_url, as_json=as_json
    )
    raise typer.Exit(0 if sound else 1)
