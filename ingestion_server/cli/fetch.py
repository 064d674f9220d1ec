"""The command `fetch`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated

import typer

from ingestion_server.cli import options


def fetch(  # noqa: PLR0913 - one parameter per option
    *,
    symbol: options.Symbol,
    interval: options.Interval = "1d",
    start: options.Start = None,
    end: options.End = None,
    limit: options.Limit = 0,
    adjustment: options.Adjustment = "split",
    session: options.Session = "regular",
    exchange: options.Exchange = "",
    asset_class: options.AssetClass = None,
    providers: options.Answerers = None,
    consensus: options.Consensus = False,
    tolerance: options.Tolerance = None,
    max_staleness: options.MaxStaleness = None,
    no_partial: options.NoPartial = False,
    max_cost: options.MaxCost = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="The FetchResponse of the contract, with rows, as protobuf writes"
            " JSON: one document.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="time,open,high,low,close,volume,state,provider; times in UTC.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    as_chart: Annotated[
        bool,
        typer.Option(
            "--chart",
            help="Candles, or a line if they are too many.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    every_bar: Annotated[
        bool,
        typer.Option(
            "--all", help="Every bar, not the last 20.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """Fetch bars, and the truth about them, from a running server."""
    mode = options.mode_of(consensus=consensus, tolerance=tolerance)
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli.fetching import Form, run  # noqa: PLC0415

    forms = {Form.JSON: as_json, Form.CSV: as_csv, Form.CHART: as_chart}
    wanted = [form for form, asked in forms.items() if asked]
    if len(wanted) > 1:
        raise typer.BadParameter("--json, --csv and --chart exclude each other")
    status = run(
        symbol,
        {
            "interval": interval,
            "start": start,
            "end": end,
            "limit": limit,
            "adjustment": adjustment,
            "session": session,
            "exchange": exchange,
            "asset_class": asset_class,
            "providers": providers or (),
            "mode": mode,
            "tolerance": tolerance,
            "max_staleness_seconds": max_staleness,
            "allow_partial": not no_partial,
            "max_cost_usd": max_cost,
        },
        form=next(iter(wanted), Form.FULL_TABLE if every_bar else Form.TABLE),
        target=target,
        timeout_seconds=timeout,
    )
    raise typer.Exit(status)
