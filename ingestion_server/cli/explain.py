"""The command `explain`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated

import typer

from ingestion_server.cli import options


def explain(  # noqa: PLR0913 - one parameter per option
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
            help="The ExplainRouteResponse of the contract, as protobuf writes JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """
    Show whom `fetch` would ask now, in which order and why.

    Takes what `fetch` takes. Below each vendor stands what its score is
    made of, and below all those who are left out, why, and until when.
    Nothing here asks a vendor.
    """
    mode = options.mode_of(consensus=consensus, tolerance=tolerance)
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli.explaining import run  # noqa: PLC0415

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
        target=target,
        timeout_seconds=timeout,
        as_json=as_json,
    )
    raise typer.Exit(status)
