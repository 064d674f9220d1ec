"""The command `backfill`: its options, and nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ingestion_server.cli import options
from ingestion_server.cli.job_creation import Since, Until


def backfill(  # noqa: PLR0913 - one parameter per option
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE_OF_SYMBOLS",
            help="One symbol per line, or a CSV whose first column is the symbol;"
            " # begins a comment, - is standard input.",
        ),
    ],
    since: Since,
    until: Until = None,
    interval: options.Interval = "1d",
    adjustment: options.Adjustment = "split",
    session: options.Session = "regular",
    exchange: options.Exchange = "",
    asset_class: options.AssetClass = None,
    providers: options.Answerers = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Where the files go, one per symbol: EUR/USD is EUR%2FUSD.parquet.",
            rich_help_panel=options.OUTPUT,
        ),
    ],
    form: Annotated[
        Literal["parquet", "csv"],
        typer.Option("--format", help="Of the files.", rich_help_panel=options.OUTPUT),
    ] = "parquet",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="At the end, an object {job, files, missing, unreadable}, for"
            " programs.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 120.0,
) -> None:
    """
    Bring the history of all symbols in a file, and write one file for each.

    It creates a job at the server and looks on. Run it again after Ctrl-C,
    a crash or a restart: it goes on with the same job, and nothing that has
    landed is asked for again. Each file is replaced as a whole, at the end.
    What is missing is named: symbol, stretch and reason; the exit status is
    5 then. A line that holds no symbol is named, and keeps none of the
    others back.
    """
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import backfilling  # noqa: PLC0415
    from ingestion_server.cli.symbol_files import Format  # noqa: PLC0415

    status = backfilling.run(
        backfilling.Order(
            file=file,
            since=since,
            options={
                "interval": interval,
                "end": until,
                "adjustment": adjustment,
                "session": session,
                "exchange": exchange,
                "asset_class": asset_class,
                "providers": providers or (),
            },
        ),
        backfilling.Place(out, Format(form)),
        target=target,
        timeout_seconds=timeout,
        as_json=as_json,
    )
    raise typer.Exit(status)
