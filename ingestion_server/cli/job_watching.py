"""How a job is looked at until it has ended, however often the server is away."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    nullcontext,
)
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ingestion_server.cli import failure, job_table
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.frame import LATEST
from ingestion_server.cli.watching import AWAY, absence, comes_back
from ingestion_server.cli.writing import until, usd
from ingestion_server.client import (
    Client,
    IngestionClientError,
    Job,
    JobChanges,
    JobUnit,
)

_REDRAWN_SECONDS: Final = 0.5
_LONGEST_BAR: Final = 60
_MOST_MISSING: Final = 100
"""So many of the stretches that are missing are named."""
LACKING: Final = ("partial", "failed", "cancelled")
"""The states of units of which something is missing when a job has ended."""
_AMISS: Final = frozenset({"PARTIAL", "FAILED"})


class Output(Protocol):
    """Be where it is told how a job gets on."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Be ready while the block lasts."""
        ...

    def hear(self, changes: JobChanges) -> None:
        """Tell of changes."""
        ...

    def interrupt(self, why: str) -> None:
        """Say what keeps the server from telling more."""
        ...


def run(job_id: str, *, target: str, timeout_seconds: float, as_json: bool) -> Exit:
    """Tell how a job gets on until it has ended, and tell the exit status."""
    aside, console = Console(stderr=True), Console()
    output = JsonLines(aside) if as_json else shown_on(console, aside)

    client = Client(target, timeout_seconds=timeout_seconds)
    try:
        return asyncio.run(_look_on(client, job_id, output, aside))
    except KeyboardInterrupt:
        # The job does not mind who looks on.
        return Exit.OK
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)


async def _look_on(client: Client, job_id: str, output: Output, aside: Console) -> Exit:
    async with client:
        job = await until_ended(client, job_id, output)
        aside.print(Text(job_table.summary(job)), soft_wrap=True)
        if job.state == "COMPLETED":
            return Exit.OK
        units = [unit async for unit in client.jobs.units(job_id, LACKING)]
    tell_missing(units, job, aside)
    return Exit.FAILED


async def until_ended(client: Client, job_id: str, output: Output) -> Job:
    """
    Hand on what changes until a job has ended, and return it as it is then.

    Raises:
        IngestionClientError: Nobody answers at first, or there is no such job.

    """
    await client.jobs.get(job_id)
    async with output.open():
        while True:
            try:
                async with aclosing(client.jobs.watch(job_id)) as news:
                    async for changes in news:
                        output.hear(changes)
                        if changes.job.ended:
                            return changes.job
            except AWAY as error:
                output.interrupt(f"{absence(error)}; waiting for {client.target}")
            await comes_back(client)


def tell_missing(units: Iterable[JobUnit], job: Job, aside: Console) -> None:
    """Name what a job has not brought, and why."""
    lines = job_table.lacking_lines(units)
    for line in islice(lines, _MOST_MISSING):
        aside.print(Text(f"missing {line}"), soft_wrap=True)
    if next(lines, None) is not None:
        more = f"and more: ingestion-server jobs show {job.job_id} --limit 1000"
        aside.print(Text(more), soft_wrap=True)


def shown_on(console: Console, aside: Console) -> Output:
    """Return a picture on a terminal; elsewhere, lines about what matters."""
    if console.is_terminal and not console.is_dumb_terminal:
        return Picture(console)
    return Lines(console, aside)


class JsonLines:
    """Write the messages of the contract, one per line."""

    def __init__(self, aside: Console) -> None:
        """Name where all else is said."""
        self._aside: Final = aside

    def open(self) -> AbstractAsyncContextManager[None]:
        """Need nothing."""
        return nullcontext()

    def hear(self, changes: JobChanges) -> None:
        """Write a line."""
        sys.stdout.write(changes.to_json(indent=None) + "\n")
        sys.stdout.flush()

    def interrupt(self, why: str) -> None:
        """Say it beside the data."""
        self._aside.print(why, soft_wrap=True)


class Lines:
    """Write a line when the state changes, and for each unit that lacks something."""

    def __init__(self, console: Console, aside: Console) -> None:
        """Name where the lines go, and where it is said that the server is away."""
        self._console: Final = console
        self._aside: Final = aside
        self._state = ""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Need nothing."""
        return nullcontext()

    def hear(self, changes: JobChanges) -> None:
        """Write what matters."""
        for unit in changes.units:
            if unit.state in _AMISS:
                self._write(Text(job_table.unit_line(unit)))
        job = changes.job
        if job.state != self._state:
            self._state = job.state
            line = Text.assemble(f"job {job.job_id} ", job_table.state_line(job))
            self._write(Text.assemble(line, f" ({job_table.units_told(job)})"))

    def interrupt(self, why: str) -> None:
        """Say it beside the data."""
        self._aside.print(why, soft_wrap=True)

    def _write(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)
        # A reader that went away shows now.
        self._console.file.flush()


class Picture:
    """Redraw a bar in place, and below it what failed last."""

    def __init__(self, console: Console) -> None:
        """Name the terminal."""
        self._console: Final = console
        self._job: Job | None = None
        self._amiss: Final = deque[str](maxlen=LATEST)
        self._note = ""
        self._live: Final = Live(
            console=console, auto_refresh=False, get_renderable=self._drawn
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Redraw every so often, since the end draws nearer while nothing changes."""
        redrawing = asyncio.create_task(self._redraw())
        try:
            with self._live:
                yield
        finally:
            redrawing.cancel()
            await asyncio.gather(redrawing, return_exceptions=True)

    def hear(self, changes: JobChanges) -> None:
        """Take what has changed."""
        self._job, self._note = changes.job, ""
        self._amiss.extend(
            job_table.unit_line(unit) for unit in changes.units if unit.state in _AMISS
        )
        self._live.refresh()

    def interrupt(self, why: str) -> None:
        """Say it below the bar."""
        self._note = why
        self._live.refresh()

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(_REDRAWN_SECONDS)
            self._live.refresh()

    def _drawn(self) -> RenderableType:
        job = self._job
        if job is None:
            return Text(self._note or "waiting for news of the job", "dim")
        return drawn(
            job,
            datetime.now(UTC),
            width=self._console.width,
            amiss=self._amiss,
            note=self._note,
        )


def drawn(
    job: Job, now: datetime, *, width: int, amiss: deque[str], note: str
) -> RenderableType:
    """Draw how far a job has come."""
    progress = job.progress
    bar = Table.grid()
    # A run without units is done.
    bar.add_row(
        ProgressBar(
            progress.units or 1,
            progress.ended or not progress.units,
            min(width, _LONGEST_BAR),
        )
    )
    name = f" {job.name}" if job.name else ""
    parts: list[RenderableType] = [
        Text.assemble(
            "Job ", (job.job_id, "bold"), f"{name} · ", job_table.state_line(job)
        ),
        bar,
        Text(" · ".join(_figures(job, now))),
        Text(job_table.units_told(job), "dim"),
    ]
    parts += [Text(line, "red", no_wrap=True, overflow="ellipsis") for line in amiss]
    if note:
        parts.append(Text(note, "bold red"))
    return Group(*parts)


def _figures(job: Job, now: datetime) -> list[str]:
    progress = job.progress
    told = [
        f"{progress.ended:,}/{progress.units:,} units",
        job_table.count(progress.bars, "bar"),
        job_table.count(progress.calls, "call"),
    ]
    if progress.cost_usd:
        told.append(usd(progress.cost_usd))
    if progress.units_per_second and job.state == "RUNNING":
        told.append(f"{progress.units_per_second:.2g} units/s")
    if progress.finishes_at is not None and not job.ended:
        told.append(f"done in {until(progress.finishes_at, now)}")
    if job.resumes_at is not None:
        told.append(f"goes on in {until(job.resumes_at, now)}")
    if job.next_run_at is not None and not job.ended:
        told.append(f"runs again in {until(job.next_run_at, now)}")
    return told
