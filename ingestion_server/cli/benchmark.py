"""The command `benchmark`: its options, and nothing heavy."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ingestion_server.cli import options

_QUESTIONS: Final = "Questions"
_SYMBOLS: Final = ("AAPL", "MSFT", "EUR/USD")
_MOST_BARS: Final = 5_000
_MOST_ROUNDS: Final = 10


def benchmark(  # noqa: PLR0913 - one parameter per option
    *,
    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYMBOL",
            help="What each vendor is asked for, at most 20.",
            show_default=", ".join(_SYMBOLS),
        ),
    ] = None,
    interval: Annotated[
        options.IntervalName,
        typer.Option(
            "--interval",
            "-i",
            help="Length of a bar.",
            rich_help_panel=_QUESTIONS,
        ),
    ] = "1d",
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            "-n",
            min=1,
            max=_MOST_BARS,
            help="So many of the last bars of each symbol.",
            rich_help_panel=_QUESTIONS,
        ),
    ] = 20,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            "-r",
            min=1,
            max=_MOST_ROUNDS,
            help="How often each question is asked: more tell more of latency.",
            rich_help_panel=_QUESTIONS,
        ),
    ] = 1,
    providers: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            "-p",
            metavar="ID",
            help="Only this vendor, or several. By default, all that are switched on.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="How far apart two prices may be, relative to the larger, and still"
            " agree. By default, 0.000001.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="The BenchmarkProvidersResponse of the contract, as protobuf writes"
            " JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 120.0,
) -> None:
    """
    Ask the vendors the same questions, and compare how they answer.

    How fast each answers, how complete, and whether their prices agree.
    The server asks one vendor at a time and nothing of its cache. It spends
    quota, but leaves at least half of what is for an hour, a day or a month,
    and never money: a vendor with less to spare is not asked, and the table
    says why.
    """
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli.benchmarking import run  # noqa: PLC0415

    status = run(
        symbols or _SYMBOLS,
        {
            "query": {"interval": interval, "limit": limit},
            "providers": providers or (),
            "rounds": rounds,
            "tolerance": tolerance,
        },
        target=target,
        timeout_seconds=timeout,
        as_json=as_json,
    )
    raise typer.Exit(status)
