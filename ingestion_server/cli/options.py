"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

RANGE = "Which bars"
_SOURCES = "Who may answer"
OUTPUT = "Output"
SERVER = "Server"
TARGET = "127.0.0.1:50051"

Symbol = Annotated[
    str,
    typer.Argument(help="AAPL, BRK.B, EUR/USD, BTC/USD, ^GSPC, ...", metavar="SYMBOL"),
]
IntervalName = Literal["1m", "5m", "15m", "30m", "1h", "1d", "1w", "1mo"]
Interval = Annotated[
    IntervalName,
    typer.Option("--interval", "-i", help="Length of a bar.", rich_help_panel=RANGE),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="DATE|TIME",
        help="First open time: 2025-01-31 or 2025-01-31T14:30:00Z."
        " By default, as many bars as --limit says.",
        rich_help_panel=RANGE,
    ),
]
End = Annotated[
    str | None,
    typer.Option(
        metavar="DATE|TIME",
        help="All bars open before this. By default, now.",
        rich_help_panel=RANGE,
    ),
]
Limit = Annotated[
    int,
    typer.Option(
        "--limit",
        "-n",
        min=0,
        max=2**31 - 1,
        help="Most bars: with --start the first ones (0 = all), else the last"
        " ones (0 = 100).",
        rich_help_panel=RANGE,
    ),
]
Adjustment = Annotated[
    Literal["raw", "split", "split_dividend"],
    typer.Option(help="What prices are adjusted for.", rich_help_panel=RANGE),
]
Session = Annotated[
    Literal["regular", "extended"],
    typer.Option(help="Hours of intraday bars.", rich_help_panel=RANGE),
]
Exchange = Annotated[
    str,
    typer.Option(
        metavar="MIC",
        help="Exchange, such as XLON. By default, the primary one.",
        rich_help_panel=RANGE,
    ),
]
AssetClass = Annotated[
    Literal["equity", "fx", "crypto", "index", "future"] | None,
    typer.Option(
        help="Kind of the instrument. By default, told by the symbol.",
        rich_help_panel=RANGE,
    ),
]
Answerers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        "-p",
        metavar="ID",
        help="Only this vendor; several are asked in this order.",
        rich_help_panel=_SOURCES,
    ),
]
Consensus = Annotated[
    bool,
    typer.Option(
        "--consensus",
        help="Ask two vendors, and flag bars whose prices disagree; with --provider,"
        " two of those.",
        rich_help_panel=_SOURCES,
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="SHARE",
        help="With --consensus: how far apart two prices may be, relative to the"
        " larger. By default, 0.000001.",
        rich_help_panel=_SOURCES,
    ),
]
MaxStaleness = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="If no vendor can be reached, take bars that may have changed since, up"
        " to this age; 0 = ask anew each time. By default, take none.",
        rich_help_panel=_SOURCES,
    ),
]
NoPartial = Annotated[
    bool,
    typer.Option(
        "--no-partial",
        help="Fail rather than answer with bars missing.",
        rich_help_panel=_SOURCES,
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        min=0,
        metavar="USD",
        help="Most that the vendors may charge for this answer; 0 = only what"
        " plans include. By default, no limit.",
        rich_help_panel=_SOURCES,
    ),
]
Shown = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        "-p",
        metavar="ID",
        help="Only this vendor, or several. By default, all.",
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        "-w",
        help="Go on until Ctrl-C, also when the server is away for a while.",
        rich_help_panel=OUTPUT,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT", help="The server to ask.", rich_help_panel=SERVER
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        min=0.001,
        metavar="SECONDS",
        help="Longest time to wait for an answer.",
        rich_help_panel=SERVER,
    ),
]
Patience = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.001,
        metavar="SECONDS",
        help="Longest time to wait for an answer; does not end --watch.",
        rich_help_panel=SERVER,
    ),
]


def mode_of(*, consensus: bool, tolerance: float | None) -> str | None:
    """
    Return how vendors are chosen; None = as naming them implies.

    Raises:
        BadParameter: A tolerance was named, and nothing is compared.

    """
    if tolerance is not None and not consensus:
        raise typer.BadParameter("--tolerance is only for --consensus")
    return "consensus" if consensus else None
