"""The command `quote`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import typer

from ingestion_server.cli import options

_WHAT: Final = "Which instruments"


def quote(  # noqa: PLR0913 - one parameter per option
    *,
    symbols: Annotated[
        list[str],
        typer.Argument(
            help="AAPL, BRK.B, EUR/USD, BTC/USD, ^GSPC, ...; at most 500.",
            metavar="SYMBOL",
        ),
    ],
    exchange: Annotated[
        str,
        typer.Option(
            metavar="MIC",
            help="Exchange, such as XLON. By default, the primary one.",
            rich_help_panel=_WHAT,
        ),
    ] = "",
    asset_class: Annotated[
        Literal["equity", "fx", "crypto", "index", "future"] | None,
        typer.Option(
            help="Kind of the instruments. By default, told by the symbols.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    providers: options.Answerers = None,
    max_cost: options.MaxCost = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="The GetQuotesResponse of the contract, as protobuf writes JSON: one"
            " document, the failures of symbols included.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """
    Show the latest price, bid and ask of some instruments.

    What somebody streams right now is live; for all else vendors are
    asked, for many symbols at once where they can be. The change is since
    the last close. The age is that of the price by the vendor's clock, so
    it grows while a market is closed; what a vendor is late by its own
    word stands beside it. A symbol that nobody can tell is a row that
    says why, and only if that is so for all of them the command fails.
    """
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli.quoting import run  # noqa: PLC0415

    status = run(
        symbols,
        {
            "exchange": exchange,
            "asset_class": asset_class,
            "providers": providers or (),
            "max_cost_usd": max_cost,
        },
        target=target,
        timeout_seconds=timeout,
        as_json=as_json,
    )
    raise typer.Exit(status)
