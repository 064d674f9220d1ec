"""Bars and the truth about them as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.writing import span
from ingestion_server.client import Attempt, Bars, BarState, Completeness, Source

LAST_ROWS = 20
"""How many bars a table shows unless it is told otherwise."""

_COLOURS = {
    Completeness.COMPLETE: "green",
    Completeness.PARTIAL: "yellow",
    Completeness.DEGRADED: "yellow",
    Completeness.UNSPECIFIED: "red",
}
_SENTENCES = {"notes", "reason", "detail"}
_DOUBTS = ("STALE", "DISAGREEMENT", "UNCONFIRMED")
"""Flags of bars that somebody may not want to rely on."""
_FIGURES = {"latency", "calls", "cost"}


def show(console: Console, bars: Bars, *, rows: int = LAST_ROWS) -> None:
    """Print the last bars, and everything that is known about them."""
    console.print(bars_table(bars, rows=rows), *truth_tables(bars), sep="\n")


def bars_table(bars: Bars, *, rows: int = LAST_ROWS) -> RenderableType:
    """Make a table of the last bars, which says how many are before them."""
    first = max(0, len(bars) - rows)
    facts = (bars.symbol, bars.interval, bars.adjustment, bars.currency, bars.exchange)
    title = " · ".join(filter(None, facts))
    if not len(bars):
        return Text(f"{title}: no bars")
    table = _table(title, "time" if bars.is_daily else "time (UTC)")
    for name in ("open", "high", "low", "close", "volume"):
        table.add_column(name, justify="right")
    table.add_column("state")
    if first:
        table.caption = Text(f"… {first} more before them; --all shows every bar")
        table.caption_justify = "left"
    states = {state.value: state.name.lower() for state in BarState}
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    for time, state, *numbers in zip(
        times(bars)[first:],
        bars.state[first:].tolist(),
        *(column[first:].tolist() for column in columns),
        strict=True,
    ):
        table.add_row(time, *map(shortest, numbers), states.get(state, ""))
    return table


def truth_tables(bars: Bars) -> list[RenderableType]:
    """Make what tells who served the bars, what is missing, and what was tried."""
    tables: list[RenderableType] = [completeness(bars)]
    if bars.sources:
        tables.append(_sources(bars))
    if bars.attempts:
        tables.append(_attempts(bars))
    if bars.quality_flags:
        tables.append(_quality_flags(bars))
    return tables


def completeness(bars: Bars) -> Text:
    """Make the line that says whether everything is there, and what is not."""
    revised = np.count_nonzero(bars.state == BarState.REVISED)
    line = Text.assemble(
        (str(bars.completeness), f"bold {_COLOURS[bars.completeness]}"),
        f" · {len(bars)} bars",
        f" · {revised} revised" if revised else "",
        f" · request {bars.request_id}" if bars.request_id else "",
    )
    for gap in bars.missing:
        line.append(f"\n  missing {_range(bars, gap.start, gap.end)}: {gap.reason}")
    return line


def doubts(bars: Bars) -> list[Text]:
    """Make a line for each kind of doubt: the first, and how many more there are."""
    lines = []
    for kind in _DOUBTS:
        found = [flag for flag in bars.quality_flags if flag.kind == kind]
        if not found:
            continue
        first = found[0]
        about = "" if first.time is None else f" {_label(bars, first.time)}"
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        lines.append(
            Text.assemble((kind, "bold yellow"), f"{about}: {first.detail}{more}")
        )
    return lines


def shortest(number: float) -> str:
    """Write a number in its shortest form that reads back the same; NaN is empty."""
    if math.isnan(number):
        return ""
    return np.format_float_positional(number, trim="-")


def times(bars: Bars, *, iso: bool = False) -> list[str]:
    """Write when each bar opens: its date, or the time in UTC."""
    if bars.is_daily:
        dates: list[str] = np.datetime_as_string(bars.times, unit="D").tolist()
        return dates
    texts: list[str] = np.datetime_as_string(bars.times, unit="s").tolist()
    if iso:
        return [f"{text}Z" for text in texts]
    return [text.replace("T", " ").removesuffix(":00") for text in texts]


def _table(title: str, *columns: str) -> Table:
    """Make an empty table in the house's look."""
    table = Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _sources(bars: Bars) -> Table:
    """Make the table of who served which stretch."""
    return _filled(
        "Sources",
        ("provider", "range", "received (UTC)", "notes"),
        [
            (
                source.provider,
                _range(bars, source.start, source.end),
                _moment(source.received_at) if source.received_at else "",
                "; ".join(_notes(source)),
            )
            for source in bars.sources
        ],
    )


def _notes(source: Source) -> Iterator[str]:
    """Tell what sets a source apart from one that was asked now, and answered so."""
    if source.feed_delay is not None:
        yield f"delay {span(source.feed_delay)}" if source.feed_delay else "no delay"
    if source.from_cache:
        age = source.cache_age
        yield "cached" if age is None else f"cached {span(age)} ago"
    if source.derived:
        yield source.derivation or "derived"


def _attempts(bars: Bars) -> Table:
    """Make the table of what was tried."""
    return _filled(
        "Attempts",
        ("provider", "outcome", "reason", "latency", "calls", "cost", "notes"),
        [
            (
                attempt.provider,
                attempt.outcome,
                attempt.reason,
                span(attempt.latency),
                str(attempt.calls),
                f"${shortest(attempt.cost_usd)}" if attempt.cost_usd else "",
                "; ".join(_circumstances(attempt)),
            )
            for attempt in bars.attempts
        ],
    )


def _circumstances(attempt: Attempt) -> Iterator[str]:
    """Tell what sets an attempt apart from one made in its turn, for this alone."""
    if attempt.hedge:
        yield "hedge: asked beside a slow one"
    if attempt.shared:
        yield "with another request's calls"


def _quality_flags(bars: Bars) -> Table:
    """Make the table of what was noticed."""
    return _filled(
        "Noticed",
        ("kind", "bar", "detail"),
        [
            (
                flag.kind,
                "all" if flag.time is None else _label(bars, flag.time),
                flag.detail,
            )
            for flag in bars.quality_flags
        ],
    )


def _filled(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table of texts, without the columns that no row fills."""
    kept = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    table = _table(title)
    for place in kept:
        name = columns[place]
        # Facts keep their shape on narrow paper; only sentences may be folded.
        table.add_column(
            name,
            no_wrap=name not in _SENTENCES,
            justify="right" if name in _FIGURES else "left",
        )
    for row in rows:
        # Words of servers and vendors are no markup.
        table.add_row(*(Text(row[place]) for place in kept))
    return table


def _range(bars: Bars, start: datetime, end: datetime) -> str:
    """Write ``[start, end)`` as its bars are labelled."""
    return f"[{_label(bars, start)}, {_label(bars, end)})"


def _label(bars: Bars, moment: datetime) -> str:
    """Write a point in time as the bars are labelled."""
    midnight = moment.astimezone(UTC).time() == datetime.min.time()
    return f"{moment:%Y-%m-%d}" if bars.is_daily and midnight else _moment(moment)


def _moment(moment: datetime) -> str:
    """Write a point in time in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")
