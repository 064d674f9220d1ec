"""The command `ingestion-server` and its subcommands."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from ingestion_server.cli import (
    backfill,
    benchmark,
    config,
    doctor,
    exits,
    explain,
    fetch,
    jobs,
    providers,
    quota,
    quote,
    report,
    sandbox,
    serve,
    stream,
)

INTERRUPTED = 128 + 2
"""What a shell shows for a program that SIGINT ended."""

app = typer.Typer(
    name="ingestion-server",
    help="Market data of many vendors behind one gRPC contract.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# One line per command, in the order of the help.
app.command("serve")(serve.serve)
app.command("fetch", epilog=exits.EPILOG)(fetch.fetch)
app.command("quote", epilog=exits.EPILOG)(quote.quote)
app.command("stream", epilog=exits.EPILOG)(stream.stream)
app.command("backfill", epilog=exits.EPILOG)(backfill.backfill)
app.add_typer(jobs.app, name="jobs")
app.command("quota", epilog=exits.EPILOG)(quota.quota)
app.command("providers", epilog=exits.EPILOG)(providers.providers)
app.command("explain", epilog=exits.EPILOG)(explain.explain)
app.command("report", epilog=exits.EPILOG)(report.report)
app.command("benchmark", epilog=exits.EPILOG)(benchmark.benchmark)
app.command("sandbox")(sandbox.sandbox)
app.command("config")(config.config)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    """Print the version and end."""
    if wanted:
        typer.echo(metadata.version("ingestion-server"))
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Market data of many vendors behind one gRPC contract."""


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="ingestion-server")
    except KeyboardInterrupt:
        # Ctrl-C before a command has taken it over.
        sys.exit(INTERRUPTED)
