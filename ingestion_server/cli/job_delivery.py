"""What the command `jobs results` does: write bars that have landed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, assert_never

from rich.console import Console
from rich.text import Text

from ingestion_server.cli import failure, job_table
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.fetching import CSV_COLUMNS, csv_rows
from ingestion_server.cli.symbol_files import Format, SymbolFiles
from ingestion_server.client import (
    IngestionClientError,
    JobResult,
    SyncClient,
    SyncResults,
)

OUR_CONSUMER: Final = "ingestion-server"
"""It acknowledges nothing, so everything is told to it each time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say which results are wanted."""

    job_id: str
    consumer: str | None
    """None = whoever: everything, and nothing is remembered."""
    follow: bool

    def results(self, client: SyncClient) -> SyncResults:
        """Return them."""
        return client.jobs.results(
            self.job_id,
            consumer=OUR_CONSUMER if self.consumer is None else self.consumer,
            acknowledge=self.consumer is not None,
            follow=self.follow,
        )


class Form(Enum):
    """Name the forms of results."""

    LINES = auto()
    """What each message holds, for people."""
    JSON = auto()
    """The messages of the contract, for programs."""
    CSV = auto()
    """One line per bar, for spreadsheets."""


def form_of(*, as_json: bool, as_csv: bool) -> Form:
    """Return the form that options mean."""
    if as_json:
        return Form.JSON
    return Form.CSV if as_csv else Form.LINES


def to_stdout(
    wanted: Wanted, form: Form, *, target: str, timeout_seconds: float
) -> Exit:
    """Write results as they come, and tell the exit status."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form is Form.CSV:
        writer.writerow(("symbol", *CSV_COLUMNS))

    def write(result: JobResult) -> None:
        match form:
            case Form.LINES:
                sys.stdout.write(_line(result) + "\n")
            case Form.JSON:
                sys.stdout.write(result.to_json(indent=None) + "\n")
            case Form.CSV:
                symbol = result.bars.symbol
                writer.writerows((symbol, *row) for row in csv_rows(result.bars))
            case _:
                assert_never(form)
        # Who asks for more has done with this.
        sys.stdout.flush()

    return _read(wanted, write, target=target, timeout_seconds=timeout_seconds)


def to_files(
    wanted: Wanted, folder: Path, *, as_csv: bool, target: str, timeout_seconds: float
) -> Exit:
    """Write a file per symbol once everything is there, and tell the exit status."""
    aside = Console(stderr=True)
    form = Format.CSV if as_csv else Format.PARQUET
    try:
        files = SymbolFiles(folder, form)
    except OSError as error:
        tell_disk(aside, folder, error)
        return Exit.USAGE
    try:
        with files:

            def add(result: JobResult) -> None:
                files.add(result.bars)

            status = _read(wanted, add, target=target, timeout_seconds=timeout_seconds)
            if status is Exit.OK:
                written = sum(1 for _ in files.write())
                told = f"{job_table.count(written, 'file')} in {folder}"
                aside.print(Text(told), soft_wrap=True)
            return status
    except OSError as error:
        tell_disk(aside, folder, error)
        return Exit.FAILED


def tell_disk(aside: Console, folder: Path, error: OSError) -> None:
    """Tell which file cannot be written, and why."""
    where = error.filename or folder
    aside.print(Text(f"{where}: {error.strerror or error}"), soft_wrap=True)


def _read(
    wanted: Wanted,
    take: Callable[[JobResult], None],
    *,
    target: str,
    timeout_seconds: float,
) -> Exit:
    try:
        with (
            SyncClient(target, timeout_seconds=timeout_seconds) as client,
            wanted.results(client) as results,
        ):
            for result in results:
                take(result)
    except KeyboardInterrupt:
        # Only for one who follows it is the usual end.
        if not wanted.follow:
            raise
    except IngestionClientError as e:
        failure.tell(Console(stderr=True), e)
        return failure.exit_status(e)
    return Exit.OK


def _line(result: JobResult) -> str:
    unit, bars = result.unit, result.bars
    told = job_table.count(len(bars), "bar")
    whom = ", ".join(dict.fromkeys(source.provider for source in bars.sources))
    where = job_table.stretch(unit.start, unit.end)
    line = f"{unit.symbol} {where} {told}"
    if whom:
        line += f" from {whom}"
    return line if unit.state == "LANDED" else f"{line} ({unit.state.lower()})"
