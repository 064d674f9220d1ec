"""The command `report`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated

import typer

from ingestion_server.cli import options

_STRETCH = "Which stretch of time"


def report(  # noqa: PLR0913 - one parameter per option
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar="AGO|DATE|TIME",
            help="Where it begins: 90m, 24h, 30d ago, or 2025-01-31, or"
            " 2025-01-31T14:30:00Z.",
            rich_help_panel=_STRETCH,
        ),
    ] = "24h",
    until: Annotated[
        str | None,
        typer.Option(
            metavar="AGO|DATE|TIME",
            help="Where it ends, written likewise. By default, now.",
            rich_help_panel=_STRETCH,
        ),
    ] = None,
    providers: options.Shown = None,
    objective: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="How many of 100 calls should be answered, such as 99.9. By default,"
            " what the server is set to.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="GetSlaReportResponse of the contract, as protobuf writes JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """
    Show how well callers and vendors were served, over restarts.

    "answered" leaves out calls that failed through the caller's own fault, or
    that the caller gave up. "open" is the share of good minutes while the US
    exchange was open: those in which the server ran, and at least half of the
    calls were answered. "budget" is what is left of the failures that the
    objective allows; below 0 it is overspent. Nothing here asks a vendor.
    """
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import reporting  # noqa: PLC0415

    raise typer.Exit(
        reporting.show(
            since,
            until,
            providers=providers or (),
            objective_percent=objective,
            target=target,
            timeout_seconds=timeout,
            as_json=as_json,
        )
    )
