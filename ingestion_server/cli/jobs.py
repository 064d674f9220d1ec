"""The commands `jobs …`: their options, and nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ingestion_server.cli import exits, job_creation, options

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Have histories brought that are too long to wait for, and kept complete.",
)
"""The group of commands."""

Id = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="Its id, as [cyan]jobs create[/cyan] and [cyan]jobs list[/cyan] tell it.",
    ),
]
JobJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="The Job of the contract, as protobuf writes JSON.",
        rich_help_panel=options.OUTPUT,
    ),
]

app.command("create", epilog=exits.EPILOG)(job_creation.create)


@app.command("list", epilog=exits.EPILOG)
def list_jobs(
    *,
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="Only jobs in this state, or in several: running, paused,"
            " paused_quota, scheduled, completed, incomplete, cancelled.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="PREFIX", help="Only jobs whose name begins so.")
    ] = "",
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=1, help="Most jobs; the latest come first."),
    ] = 50,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One Job of the contract per line, as protobuf writes JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """
    List jobs, the latest first.

    "units" are stretches of time of one instrument, of which so many have
    ended; "missing" counts those that lack something.
    """
    # The client brings numpy and gRPC along; --help and completion can do without.
    from ingestion_server.cli import job_asking  # noqa: PLC0415

    status = job_asking.list_jobs(
        states or (),
        name_prefix=name,
        most=limit,
        server=job_asking.Server(target, timeout),
        as_json=as_json,
    )
    raise typer.Exit(status)


@app.command("show", epilog=exits.EPILOG)
def show(
    *,
    job: Id,
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--units",
            "-u",
            metavar="STATE",
            help="Units in this state, or in several: pending, running, landed,"
            " partial, failed, cancelled.",
            show_default="partial, failed",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Most units.")
    ] = 100,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="An object {job, units}: Job and JobUnit of the contract, as protobuf"
            " writes JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """Show a job: what it wants, how far it is, what is missing and why."""
    from ingestion_server.cli import job_asking  # noqa: PLC0415

    status = job_asking.show(
        job,
        states or ("partial", "failed"),
        most=limit,
        server=job_asking.Server(target, timeout),
        as_json=as_json,
    )
    raise typer.Exit(status)


@app.command("watch", epilog=exits.EPILOG)
def watch(
    *,
    job: Id,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One WatchJobResponse of the contract per line, as protobuf writes"
            " JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """
    Look on until a job has ended, or until Ctrl-C, which the job does not mind.

    In a terminal, a bar that is redrawn in place, and below it what failed
    last; elsewhere, one line when the state changes and for each stretch
    that lacks something. What is missing at the end is named, and the exit
    status is 5 then. Restarts of the server are outlasted. A job with a
    schedule goes on.
    """
    from ingestion_server.cli import job_watching  # noqa: PLC0415

    status = job_watching.run(
        job, target=target, timeout_seconds=timeout, as_json=as_json
    )
    raise typer.Exit(status)


@app.command("pause", epilog=exits.EPILOG)
def pause(
    *,
    job: Id,
    as_json: JobJson = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """Let what is under way finish, and begin nothing more."""
    _change("pause", job, target, timeout, as_json=as_json)


@app.command("resume", epilog=exits.EPILOG)
def resume(
    *,
    job: Id,
    as_json: JobJson = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """Go on with a job that is paused, by somebody or for want of quota."""
    _change("resume", job, target, timeout, as_json=as_json)


@app.command("cancel", epilog=exits.EPILOG)
def cancel(
    *,
    job: Id,
    as_json: JobJson = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """End a job for good; what has landed stays."""
    _change("cancel", job, target, timeout, as_json=as_json)


@app.command("retry", epilog=exits.EPILOG)
def retry(
    *,
    job: Id,
    as_json: JobJson = False,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """Try again what is missing of the latest run."""
    _change("retry", job, target, timeout, as_json=as_json)


@app.command("delete", epilog=exits.EPILOG)
def delete(
    *,
    job: Id,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """Forget a job that is not running; the bars that have landed stay."""
    from ingestion_server.cli import job_asking  # noqa: PLC0415

    raise typer.Exit(job_asking.delete(job, server=job_asking.Server(target, timeout)))


@app.command("results", epilog=exits.EPILOG)
def results(  # noqa: PLR0913 - one parameter per option
    *,
    job: Id,
    consumer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who reads: begins after what this consumer has been given before,"
            " and remembers what is given now. By default, everything is given each"
            " time.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Wait for more until the job ends, or until Ctrl-C."
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One ReadResultsResponse of the contract per line, with rows, as"
            " protobuf writes JSON.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="symbol,time,open,high,low,close,volume,state,provider; times in UTC.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="One Parquet file per symbol, with all that has landed of it; with"
            " --csv, CSV files. Each replaces the one before as a whole.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    target: options.Target = options.TARGET,
    timeout: options.Timeout = 30.0,
) -> None:
    """
    Read the bars that have landed for a job, in the order in which they did.

    By default, a line says what each message holds. A consumer is given
    everything at least once, whichever side is started again in between.
    Restarts of the server are outlasted.
    """
    if as_json and (as_csv or out is not None):
        raise typer.BadParameter("--json excludes --csv and --out")
    if out is not None and consumer is not None:
        raise typer.BadParameter("--out writes all there is, for no --consumer")
    from ingestion_server.cli import job_delivery  # noqa: PLC0415

    wanted = job_delivery.Wanted(job, consumer, follow=follow)
    if out is not None:
        status = job_delivery.to_files(
            wanted, out, as_csv=as_csv, target=target, timeout_seconds=timeout
        )
    else:
        form = job_delivery.form_of(as_json=as_json, as_csv=as_csv)
        status = job_delivery.to_stdout(
            wanted, form, target=target, timeout_seconds=timeout
        )
    raise typer.Exit(status)


def _change(
    what: Literal["pause", "resume", "cancel", "retry"],
    job: str,
    target: str,
    timeout: float,
    *,
    as_json: bool,
) -> None:
    from ingestion_server.cli import job_asking  # noqa: PLC0415

    status = job_asking.change(
        what, job, server=job_asking.Server(target, timeout), as_json=as_json
    )
    raise typer.Exit(status)
