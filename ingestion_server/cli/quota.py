"""The command `quota`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated

import typer

from ingestion_server.cli import options


def quota(
    *,
    providers: options.Shown = None,
    watch: options.Watch = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="An object {quotas, forecast}: ListQuotasResponse and"
            " ForecastQuotaResponse of the contract, as protobuf writes JSON. With"
            " --watch, one WatchQuotasResponse per line.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Patience = 30.0,
) -> None:
    """
    Show what each vendor meters, what is left of it, and when it runs out.

    One row per window: █ is used, ▒ is on its way, ░ is kept for
    interactive calls; yellow from 80 %, red from 95 %. Where a vendor
    publishes no limit, the pace is shown that the server keeps by itself.
    "runs out" supposes that it goes on as of late; a dash means that the
    window resets before. Nothing here asks a vendor.
    """
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import metering  # noqa: PLC0415

    run = metering.watch if watch else metering.show
    raise typer.Exit(
        run(providers or (), target=target, timeout_seconds=timeout, as_json=as_json)
    )
