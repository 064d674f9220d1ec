"""The command `jobs create`: its options, and nothing heavy."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from ingestion_server.cli import options

WHEN = "When"
"""The panel of what says when a job runs."""
_SYMBOLS = "Which symbols"
_AFTER_CLOSE: Final = re.compile(
    r"([A-Za-z0-9]+)(?:\+(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)?"
)

Since = Annotated[
    str,
    typer.Option(
        metavar="DATE|TIME",
        help="First open time: 2010-01-04 or 2025-01-31T14:30:00Z.",
        rich_help_panel=options.RANGE,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="DATE|TIME",
        help="All bars open before this. By default, what is final when a run begins.",
        rich_help_panel=options.RANGE,
    ),
]


def create(  # noqa: PLR0913 - one parameter per option
    *,
    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYMBOL",
            help="AAPL, BRK.B, EUR/USD, BTC/USD, ^GSPC, ...",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="One symbol per line, or a CSV whose first column is the symbol;"
            " # begins a comment, - is standard input.",
            rich_help_panel=_SYMBOLS,
        ),
    ] = None,
    since: Since,
    until: Until = None,
    interval: options.Interval = "1d",
    adjustment: options.Adjustment = "split",
    session: options.Session = "regular",
    exchange: options.Exchange = "",
    asset_class: options.AssetClass = None,
    providers: options.Answerers = None,
    cron: Annotated[
        str,
        typer.Option(
            metavar="EXPRESSION",
            help="Run again at these times: minute, hour, day of the month, month, day"
            ' of the week, such as "30 18 * * mon-fri".',
            rich_help_panel=WHEN,
        ),
    ] = "",
    zone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Zone of --cron, such as America/New_York. By default, UTC.",
            rich_help_panel=WHEN,
        ),
    ] = "",
    after_close: Annotated[
        str,
        typer.Option(
            metavar="MIC[+TIME]",
            help="Run again after each close of an exchange: XNYS, XNYS+15m,"
            " XLON+1h30m.",
            rich_help_panel=WHEN,
        ),
    ] = "",
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    key: Annotated[
        str,
        typer.Option(
            help="The same key means the same job: the command can be run again."
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only tell what it would do, take and cost.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            help="Look on until it has ended, as [cyan]jobs watch[/cyan] does.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="The CreateJobResponse of the contract, as protobuf writes JSON; with"
            " --watch in one line, then one WatchJobResponse per line.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 120.0,
) -> None:
    """
    Have the bars of many symbols brought, once or again and again.

    The server works on it whoever looks on, survives restarts, stays within
    the vendors' quotas, and asks for nothing that has landed before. The
    plan tells calls, cost and end before anything is asked. A symbol that
    cannot be read is named and keeps none of the others back.
    """
    if dry_run and watch:
        raise typer.BadParameter("--dry-run and --watch exclude each other")
    exchange_closing, delay_seconds = _after_close(after_close)
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import job_asking, job_watching  # noqa: PLC0415

    status = job_asking.create(
        job_asking.Order(
            symbols=symbols or (),
            file=file,
            since=since,
            name=name,
            key=key,
            options={
                "interval": interval,
                "end": until,
                "adjustment": adjustment,
                "session": session,
                "exchange": exchange,
                "asset_class": asset_class,
                "providers": providers or (),
                "cron": cron,
                "time_zone": zone,
                "after_close": exchange_closing,
                "after_close_delay_seconds": delay_seconds,
            },
        ),
        dry_run=dry_run,
        as_json=as_json,
        server=job_asking.Server(target, timeout),
        then=job_watching.run if watch else None,
    )
    raise typer.Exit(status)


def _after_close(text: str) -> tuple[str, float]:
    """Read an exchange, and how long after its close; both may be left out."""
    if not text:
        return "", 0.0
    found = _AFTER_CLOSE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no exchange and time, such as XNYS or XNYS+15m",
            param_hint="--after-close",
        )
    hours, minutes, seconds = (int(each or 0) for each in found.groups()[1:])
    delay = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return found[1].upper(), delay.total_seconds()
