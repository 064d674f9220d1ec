"""The command `stream`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import typer

from ingestion_server.cli import options

_KINDS: Final = ("trades", "quotes", "bars")
_DATA: Final = "Which data"


def stream(  # noqa: PLR0913 - one parameter per option
    *,
    symbols: Annotated[
        list[str],
        typer.Argument(
            help="AAPL, BRK.B, EUR/USD, BTC/USD, ^GSPC, ...", metavar="SYMBOL"
        ),
    ],
    kinds: Annotated[
        str,
        typer.Option(
            "--kinds",
            "-k",
            metavar="KIND,...",
            help="trades, quotes (best bid and ask), bars, or several of them.",
            rich_help_panel=_DATA,
        ),
    ] = "trades",
    interval: Annotated[
        Literal["1m", "5m", "15m", "30m", "1h"],
        typer.Option(
            "--interval", "-i", help="Length of a bar.", rich_help_panel=_DATA
        ),
    ] = "1m",
    start: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|TIME",
            help="For bars: begin with history from this open time, such as 2025-01-31"
            " or 2025-01-31T14:30:00Z. By default, with the bar that is forming.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    session: Annotated[
        Literal["regular", "extended"],
        typer.Option(
            help="For bars: the hours whose trades count.", rich_help_panel=_DATA
        ),
    ] = "extended",
    exchange: Annotated[
        str,
        typer.Option(
            metavar="MIC",
            help="Exchange, such as XLON. By default, the primary one.",
            rich_help_panel=_DATA,
        ),
    ] = "",
    asset_class: Annotated[
        Literal["equity", "fx", "crypto", "index", "future"] | None,
        typer.Option(
            help="Kind of the instruments. By default, told by the symbols.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    providers: options.Answerers = None,
    slow: Annotated[
        Literal["conflate", "drop_oldest", "disconnect"],
        typer.Option(
            help="If this reader is slower than the data: conflate keeps the latest of"
            " each symbol, drop_oldest leaves out the oldest, disconnect ends the"
            " connection and comes back. Each says what was left out.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = "conflate",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One StreamQuotesResponse of the contract per line, as protobuf writes"
            " JSON, heartbeats included.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="N",
            help="End after so many seconds. By default, go on until Ctrl-C.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="End after so many trades, quotes and bars; with --json, with the line"
            " that has the last of them.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    target: options.Target = options.TARGET,
) -> None:
    """
    Show live data as they happen, until Ctrl-C.

    In a terminal, a table that is redrawn in place: the change is since
    the start, the age that of the latest item. Below it stands what is not
    perfect: gaps and how they were filled, who serves instead of whom, what
    was left out. Elsewhere, one line per item. Lost connections and restarts
    of the server are outlasted; nothing is shown twice, and what is missing
    is told.
    """
    wanted = [kind.strip() for kind in kinds.split(",") if kind.strip()]
    wrong = [kind for kind in wanted if kind not in _KINDS]
    if wrong or not wanted:
        raise typer.BadParameter(
            f"{(wrong or [kinds])[0]!r} is none of: {', '.join(_KINDS)}",
            param_hint="--kinds",
        )
    if start is not None and "bars" not in wanted:
        raise typer.BadParameter("--start is only for --kinds bars")
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import streaming  # noqa: PLC0415

    status = streaming.run(
        symbols,
        {
            "kinds": wanted,
            "interval": interval,
            "start": start,
            "session": session,
            "exchange": exchange,
            "asset_class": asset_class,
            "providers": providers or (),
            "slow_consumer": slow,
        },
        as_json=as_json,
        ending=streaming.Ending(seconds=seconds, items=count),
        target=target,
    )
    raise typer.Exit(status)
