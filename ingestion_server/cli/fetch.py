"""The command `fetch`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

_RANGE = "Which bars"
_SOURCES = "Who may answer"
_OUTPUT = "Output"
_SERVER = "Server"


def fetch(  # noqa: PLR0913 - one parameter per option
    *,
    symbol: Annotated[
        str,
        typer.Argument(
            help="AAPL, BRK.B, EUR/USD, BTC/USD, ^GSPC, ...", metavar="SYMBOL"
        ),
    ],
    interval: Annotated[
        Literal["1m", "5m", "15m", "30m", "1h", "1d", "1w", "1mo"],
        typer.Option(
            "--interval", "-i", help="Length of a bar.", rich_help_panel=_RANGE
        ),
    ] = "1d",
    start: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|TIME",
            help="First open time: 2025-01-31 or 2025-01-31T14:30:00Z."
            " By default, as many bars as --limit says.",
            rich_help_panel=_RANGE,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|TIME",
            help="All bars open before this. By default, now.",
            rich_help_panel=_RANGE,
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            max=2**31 - 1,
            help="Most bars: with --start the first ones (0 = all), else the last"
            " ones (0 = 100).",
            rich_help_panel=_RANGE,
        ),
    ] = 0,
    adjustment: Annotated[
        Literal["raw", "split", "split_dividend"],
        typer.Option(help="What prices are adjusted for.", rich_help_panel=_RANGE),
    ] = "split",
    session: Annotated[
        Literal["regular", "extended"],
        typer.Option(help="Hours of intraday bars.", rich_help_panel=_RANGE),
    ] = "regular",
    exchange: Annotated[
        str,
        typer.Option(
            metavar="MIC",
            help="Exchange, such as XLON. By default, the primary one.",
            rich_help_panel=_RANGE,
        ),
    ] = "",
    asset_class: Annotated[
        Literal["equity", "fx", "crypto", "index", "future"] | None,
        typer.Option(
            help="Kind of the instrument. By default, told by the symbol.",
            rich_help_panel=_RANGE,
        ),
    ] = None,
    providers: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            "-p",
            metavar="ID",
            help="Only this vendor; several are asked in this order.",
            rich_help_panel=_SOURCES,
        ),
    ] = None,
    no_partial: Annotated[
        bool,
        typer.Option(
            "--no-partial",
            help="Fail rather than answer with bars missing.",
            rich_help_panel=_SOURCES,
        ),
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            min=0,
            metavar="USD",
            help="Most that the vendors may charge for this answer; 0 = only what"
            " plans include. By default, no limit.",
            rich_help_panel=_SOURCES,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="The FetchResponse of the contract, with rows, as protobuf writes"
            " JSON: one document.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="time,open,high,low,close,volume,state,provider; times in UTC.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_chart: Annotated[
        bool,
        typer.Option(
            "--chart",
            help="Candles, or a line if they are too many.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    every_bar: Annotated[
        bool,
        typer.Option(
            "--all", help="Every bar, not the last 20.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="The server to ask.", rich_help_panel=_SERVER
        ),
    ] = "127.0.0.1:50051",
    timeout: Annotated[
        float,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Longest time to wait for the answer.",
            rich_help_panel=_SERVER,
        ),
    ] = 30.0,
) -> None:
    """Fetch bars, and the truth about them, from a running server."""
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
            "allow_partial": not no_partial,
            "max_cost_usd": max_cost,
        },
        form=next(iter(wanted), Form.FULL_TABLE if every_bar else Form.TABLE),
        target=target,
        timeout_seconds=timeout,
    )
    raise typer.Exit(status)
