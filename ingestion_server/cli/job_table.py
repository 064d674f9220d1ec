"""Jobs, their plans and their units as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.writing import clock, span, until, usd
from ingestion_server.client import Job, JobPlan, JobSpec, JobUnit, MissingInterval

STYLES: Final = {
    "RUNNING": "cyan",
    "PAUSED": "yellow",
    "PAUSED_QUOTA": "yellow",
    "SCHEDULED": "cyan",
    "COMPLETED": "green",
    "LANDED": "green",
    "PARTIAL": "yellow",
    "INCOMPLETE": "red",
    "FAILED": "red",
    "CANCELLED": "dim",
}
"""The colours of states."""
_FIGURES: Final = frozenset(
    {"units", "missing", "bars", "calls", "cost", "tries", "landed"}
)
_SENTENCES: Final = frozenset({"why", "name"})
_COLUMNS: Final = ("job", "name", "state", "units", "missing", "bars", "next")
"""Of the table of jobs."""
_BELOW: Final = frozenset({"name", "next"})
"""What stands below the job and its state on narrow paper."""
_SENTENCES_BELOW: Final = frozenset({"job"})
_LEFT_OUT: Final = ("bars", "missing", "units")
"""What is left out, in this order, on paper that is too narrow even so."""
_GAP: Final = 2
"""Blanks between two columns."""
_FIRST_SYMBOLS: Final = 10


def jobs(found: Sequence[Job], now: datetime, width: int) -> RenderableType:
    """Draw one row per job; on narrow paper, in a line more what takes much room."""
    if not found:
        return Text("no jobs")
    rows = [_cells(each, now) for each in found]
    shown, folded = list(_COLUMNS), _SENTENCES
    if _width(rows, shown) > width:
        shown, folded = [name for name in shown if name not in _BELOW], _SENTENCES_BELOW
        for row in rows:
            row["state"] = _above(row["state"], row["next"])
        for name in _LEFT_OUT:
            if _width(rows, shown) > width:
                shown.remove(name)
        for row in rows:
            row["job"] = _above(row["job"], row["name"])
    table = _table(*shown, folded=folded)
    for row in rows:
        table.add_row(*(row[name] for name in shown))
    return table


def job(shown: Job, now: datetime) -> RenderableType:
    """Draw everything about one job."""
    spec, progress = shown.spec, shown.progress
    facts = {
        "name": shown.name,
        "key": shown.client_key,
        "wants": _wanted(spec),
        "symbols": _symbols(spec.symbols),
        "runs": _schedule(spec),
        "created": clock(shown.created_at),
        "run": _run(shown),
        "units": f"{progress.units:,}: {units_told(shown)}",
        "bars": f"{progress.bars:,} landed by this run",
        "calls": f"{progress.calls:,}, {usd(progress.cost_usd)}",
        "next": _next(shown, now),
    }
    grid = Table.grid(padding=(0, 2))
    for name, told in facts.items():
        if told:
            grid.add_row(Text(name, "dim"), Text(told, overflow="fold"))
    return Group(
        Text.assemble("Job ", (shown.job_id, "bold"), " ", state_line(shown)),
        Text(),
        grid,
    )


def units(found: Sequence[JobUnit]) -> RenderableType:
    """Draw one row per stretch of time."""
    table = _table("symbol", "stretch", "state", "tries", "bars", "why")
    for unit in found:
        table.add_row(
            Text(unit.symbol, "bold"),
            Text(stretch(unit.start, unit.end)),
            _state(unit.state),
            Text(f"{unit.attempts}"),
            Text(f"{unit.bars:,}"),
            Text(_why(unit), overflow="fold"),
        )
    return table


def plan(found: JobPlan, now: datetime) -> RenderableType:
    """Draw what a job will do, whom it will ask, and what nobody can do."""
    table = _table("provider", "units", "calls", "cost", "done")
    for each in found.providers:
        table.add_row(
            Text(each.provider, "bold"),
            Text(f"{each.units:,}"),
            Text(f"{each.calls:,}"),
            Text(usd(each.cost_usd)),
            Text(_done(each.finishes_at, now) if each.units else ""),
        )
    table.add_row(
        Text("all", "dim"),
        Text(f"{found.units:,}"),
        Text(f"{found.calls:,}"),
        Text(usd(found.cost_usd)),
        Text(_done(found.finishes_at, now) if found.units else "at once"),
    )
    parts: list[RenderableType] = [table]
    if found.units_landed:
        there = f"{count(found.units_landed, 'unit')} landed before: nobody is asked"
        parts.append(Text(there, "green"))
    parts += [
        Text.assemble(
            (failure.symbol, "bold"), " ", (failure.reason, "red"), overflow="fold"
        )
        for failure in found.failures
    ]
    return Group(*parts)


def state_line(job: Job) -> Text:
    """Tell where a job stands, and why."""
    line = _state(job.state)
    return Text.assemble(line, f": {job.detail}") if job.detail else line


def units_told(job: Job) -> str:
    """Count the units of a run by what has become of them."""
    progress = job.progress
    counts = {
        "landed": progress.landed,
        "partial": progress.partial,
        "failed": progress.failed,
        "running": progress.running,
        "pending": progress.pending,
    }
    told = [f"{number:,} {name}" for name, number in counts.items() if number]
    return ", ".join(told) or "none"


def summary(job: Job) -> str:
    """Tell in a line how a job has ended."""
    progress = job.progress
    told = (
        f"job {job.job_id} {job.state}: {units_told(job)} of {progress.units:,} units"
    )
    return f"{told}, {count(progress.bars, 'bar')}"


def lacking_lines(units: Iterable[JobUnit]) -> Iterator[str]:
    """Name what is missing: symbol, stretch, and why; what belongs together, once."""
    gaps = ((unit.symbol, gap) for unit in units for gap in unit.lacking())
    symbol, open_gap = next(gaps, ("", None))
    if open_gap is None:
        return
    for other, gap in gaps:
        if (other, gap.start, gap.reason) == (symbol, open_gap.end, open_gap.reason):
            open_gap = replace(open_gap, end=gap.end)
            continue
        yield _gap_line(symbol, open_gap)
        symbol, open_gap = other, gap
    yield _gap_line(symbol, open_gap)


def unit_line(unit: JobUnit) -> str:
    """Tell of a unit of which something is missing in a line."""
    line = f"{unit.symbol} {stretch(unit.start, unit.end)} {unit.state}"
    return f"{line}: {why}" if (why := _why(unit)) else line


def stretch(start: datetime, end: datetime) -> str:
    """Write ``[start, end)``: by dates, if it is made of days."""
    return f"[{_label(start)}, {_label(end)})"


def count(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _gap_line(symbol: str, gap: MissingInterval) -> str:
    return f"{symbol} {stretch(gap.start, gap.end)} {gap.reason}".rstrip()


def _cells(job: Job, now: datetime) -> dict[str, Text]:
    progress = job.progress
    missing = progress.partial + progress.failed
    return {
        "job": Text(job.job_id, "bold"),
        "name": Text(job.name),
        "state": _state(job.state),
        "units": Text(f"{progress.ended:,}/{progress.units:,}"),
        "missing": Text(f"{missing:,}" if missing else "", "red"),
        "bars": Text(f"{progress.bars:,}"),
        "next": Text(_next(job, now)),
    }


def _width(rows: Sequence[Mapping[str, Text]], shown: Sequence[str]) -> int:
    """Return how wide a table of some columns would be if nothing were folded."""
    widest = (
        max(
            cell_len(name),
            *(cell_len(line) for row in rows for line in row[name].plain.split("\n")),
        )
        for name in shown
    )
    return sum(widest) + _GAP * (len(shown) - 1)


def _above(text: Text, below: Text) -> Text:
    return Text.assemble(text, "\n", below) if below else text


def _why(unit: JobUnit) -> str:
    if unit.last_reason:
        return unit.last_reason
    return "; ".join(dict.fromkeys(gap.reason for gap in unit.missing if gap.reason))


def _state(state: str) -> Text:
    return Text(state, STYLES.get(state, ""))


def _next(job: Job, now: datetime) -> str:
    """Tell what happens next by itself, and when."""
    if job.resumes_at is not None:
        return f"goes on in {until(job.resumes_at, now)}"
    if job.state == "RUNNING" and job.progress.finishes_at is not None:
        return f"done in {until(job.progress.finishes_at, now)}"
    if job.next_run_at is not None and not job.ended:
        return f"runs in {until(job.next_run_at, now)}"
    return ""


def _run(job: Job) -> str:
    told = f"{job.run}, since {clock(job.run_started_at)}"
    if job.run_ended_at is None:
        return told
    return f"{told}, took {span(job.run_ended_at - job.run_started_at)}"


def _wanted(spec: JobSpec) -> str:
    end = "what is final" if spec.end is None else _label(spec.end)
    who = f" from {', '.join(spec.providers)}" if spec.providers else ""
    hours = " extended" if spec.session == "extended" else ""
    return (
        f"{spec.interval}{hours} {spec.adjustment}, {_label(spec.start)} to {end}{who}"
    )


def _symbols(symbols: Sequence[str]) -> str:
    first = ", ".join(symbols[:_FIRST_SYMBOLS])
    more = len(symbols) - _FIRST_SYMBOLS
    return f"{first} and {more:,} more" if more > 0 else first


def _schedule(spec: JobSpec) -> str:
    if spec.cron:
        return f"{spec.cron} ({spec.time_zone or 'UTC'})"
    if not spec.after_close:
        return ""
    if not spec.after_close_delay:
        return f"at the close of {spec.after_close}"
    return f"{span(spec.after_close_delay)} after the close of {spec.after_close}"


def _done(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "farther than can be foreseen"
    return f"in {until(moment, now)}" if moment > now else "at once"


def _label(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    text = f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    return text.removesuffix(" 00:00")


def _table(*columns: str, folded: frozenset[str] = _SENTENCES) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    for name in columns:
        table.add_column(
            name,
            no_wrap=name not in folded,
            overflow="fold",
            justify="right" if name in _FIGURES else "left",
        )
    return table
