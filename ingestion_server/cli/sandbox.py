"""`sandbox`: run the simulated vendors by themselves."""

from __future__ import annotations

from typing import Annotated

import typer


def sandbox(  # noqa: PLR0913 - one for each option
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 = any free.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Another seed is another market.")] = 7,
    alpha_vantage_plan: Annotated[
        str,
        typer.Option(
            help="Plan of keys whose ending names none: free, 75, … 1200, 60per5s."
        ),
    ] = "1200",
    free_full: Annotated[
        bool, typer.Option(help="Whether the free plan may ask outputsize=full.")
    ] = True,
    yahoo_per_second: Annotated[
        int, typer.Option(min=1, help="Requests a client may make in any second.")
    ] = 5,
    finnhub_plan: Annotated[
        str,
        typer.Option(
            help="Plan of keys whose ending names none: free, premium, 60per5s."
        ),
    ] = "premium",
    trades_per_second: Annotated[
        float,
        typer.Option(min=0.01, max=1000, help="How often each instrument trades."),
    ] = 2.0,
    finnhub_ping_seconds: Annotated[
        float,
        typer.Option(
            min=0.01, help="Silence of a stream of Finnhub's that ends with a ping."
        ),
    ] = 60.0,
) -> None:
    """
    Simulate the vendors over HTTP, with their real formats, limits and faults.

    Prints [green]SANDBOX http=…[/green] with the port taken. Point a server at it with
    [cyan]serve --sandbox-url[/cyan]; add faults with
    [cyan]POST /control/yahoo {"fault": "status_500"}[/cyan], see
    [cyan]GET /control/stats[/cyan].
    """
    # Heavy, and needless for help and completion.
    from ingestion_server.cli import simulating  # noqa: PLC0415

    simulating.simulate(
        {
            "seed": seed,
            "alpha_vantage_plan": alpha_vantage_plan,
            "free_full": free_full,
            "yahoo_per_second": yahoo_per_second,
            "finnhub_plan": finnhub_plan,
            "trades_per_second": trades_per_second,
            "finnhub_ping_seconds": finnhub_ping_seconds,
        },
        host,
        port,
    )
