"""What the command `fetch` does: ask, and write the answer in the form wanted."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Final, TextIO, assert_never

from rich.console import Console

from ingestion_server.cli import chart, failure, render
from ingestion_server.cli.exits import Exit
from ingestion_server.client import (
    Bars,
    BarState,
    Completeness,
    IngestionClientError,
    Query,
    SyncClient,
)

CSV_COLUMNS: Final = (
    "time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "state",
    "provider",
)


class Form(Enum):
    """Name the forms of an answer."""

    TABLE = auto()
    """The last bars and the truth about them, for people."""
    FULL_TABLE = auto()
    """The same with every bar."""
    JSON = auto()
    """The answer of the contract, for programs."""
    CSV = auto()
    """One line per bar, for spreadsheets."""
    CHART = auto()
    """A picture of the prices, and the truth about them."""


def run(
    symbol: str, query: Query, *, form: Form, target: str, timeout_seconds: float
) -> Exit:
    """Ask the server, write the answer, and tell the exit status."""
    aside = Console(stderr=True)
    try:
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            bars = client.fetch(symbol, **query)
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)
    console = Console()
    match form:
        case Form.TABLE:
            render.show(console, bars)
        case Form.FULL_TABLE:
            render.show(console, bars, rows=len(bars))
        case Form.CHART:
            console.print(chart.drawn(bars, console.width))
            console.print(*render.truth_tables(bars), sep="\n")
        case Form.JSON:
            sys.stdout.write(bars.to_json() + "\n")
            _tell_what_is_amiss(aside, bars)
        case Form.CSV:
            write_csv(sys.stdout, bars)
            _tell_what_is_amiss(aside, bars)
        case _:
            assert_never(form)
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return Exit.OK


def write_csv(file: TextIO, bars: Bars) -> None:
    """Write one line per bar; what is unknown is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(csv_rows(bars))


def csv_rows(bars: Bars) -> Iterator[Sequence[str]]:
    """Return the fields of each bar's line, in the order of `CSV_COLUMNS`."""
    states = {state.value: state.name.lower() for state in BarState}
    for time, *numbers, state, provider in zip(
        render.times(bars, iso=True),
        bars.open.tolist(),
        bars.high.tolist(),
        bars.low.tolist(),
        bars.close.tolist(),
        bars.volume.tolist(),
        bars.state.tolist(),
        bars.provider_names(),
        strict=True,
    ):
        yield (
            time,
            *map(render.shortest, numbers),
            states.get(state, ""),
            provider,
        )


def _tell_what_is_amiss(aside: Console, bars: Bars) -> None:
    """Tell beside the data that they are not all one could wish for."""
    if bars.completeness is not Completeness.COMPLETE:
        aside.print(render.completeness(bars), soft_wrap=True)
    for line in render.doubts(bars):
        aside.print(line, soft_wrap=True)
