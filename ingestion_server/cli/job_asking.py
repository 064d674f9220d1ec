"""What the commands about jobs do: ask, and write the answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, Literal, Protocol

from rich.console import Console, RenderableType
from rich.text import Text

from ingestion_server.cli import failure, job_table, symbol_list
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.symbol_list import SymbolListError, Unreadable
from ingestion_server.client import (
    CreatedJob,
    IngestionClientError,
    Job,
    JobOptions,
    JobPlan,
    SyncClient,
    SyncJobs,
)

_MOST_LINES: Final = 20
"""So many lines of a file are named that hold no symbol."""
_CHANGES: Final[Mapping[str, Callable[[SyncJobs, str], Job]]] = {
    "pause": lambda jobs, job_id: jobs.pause(job_id),
    "resume": lambda jobs, job_id: jobs.resume(job_id),
    "cancel": lambda jobs, job_id: jobs.cancel(job_id),
}


@dataclass(frozen=True, slots=True)
class Server:
    """Say whom to ask, and how long to wait."""

    target: str
    timeout_seconds: float

    def connected(self) -> SyncClient:
        """Return a client of it."""
        return SyncClient(self.target, timeout_seconds=self.timeout_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Say which job is wanted."""

    symbols: Sequence[str]
    file: Path | None
    """Where more symbols stand."""
    since: str
    name: str
    key: str
    options: JobOptions


class LookOn(Protocol):
    """Be what looks on until a job has ended."""

    def __call__(
        self, job_id: str, *, target: str, timeout_seconds: float, as_json: bool
    ) -> Exit:
        """Tell how a job gets on, and the exit status."""
        ...


def create(
    order: Order, *, dry_run: bool, as_json: bool, server: Server, then: LookOn | None
) -> Exit:
    """Create a job, or only tell its plan; then look on, if that is wanted."""
    aside = Console(stderr=True)
    try:
        symbols = [*order.symbols, *_listed(order.file, aside)]
    except SymbolListError as error:
        tell_unreadable(aside, error.unreadable)
        aside.print(Text(str(error)), soft_wrap=True)
        return Exit.USAGE
    if not symbols:
        aside.print("name symbols, or a --file of them", highlight=False)
        return Exit.USAGE
    job_id = ""
    try:
        # It draws on terminals only.
        with aside.status("Planning …"), server.connected() as client:
            answer: CreatedJob | JobPlan
            if dry_run:
                answer = client.jobs.plan(symbols, order.since, **order.options)
            else:
                answer = client.jobs.create(
                    symbols,
                    order.since,
                    name=order.name,
                    client_key=order.key,
                    **order.options,
                )
                job_id = answer.job.job_id
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)
    if as_json:
        # Lines follow, of which it is the first.
        _write(answer.to_json(indent=2 if then is None else None))
    elif isinstance(answer, JobPlan):
        _draw(job_table.plan(answer, datetime.now(UTC)))
    else:
        _draw(*_created(answer))
    if then is None:
        return Exit.OK
    return then(
        job_id,
        target=server.target,
        timeout_seconds=server.timeout_seconds,
        as_json=as_json,
    )


def list_jobs(
    states: Sequence[str],
    *,
    name_prefix: str,
    most: int,
    server: Server,
    as_json: bool,
) -> Exit:
    """List jobs."""
    try:
        with server.connected() as client:
            found = list(
                islice(
                    client.jobs.list(
                        states, name_prefix=name_prefix, page_size=min(most, 1_000)
                    ),
                    most,
                )
            )
    except IngestionClientError as e:
        return _failed(e)
    if as_json:
        _write(*(job.to_json(indent=None) for job in found))
    else:
        _draw(job_table.jobs(found, datetime.now(UTC), Console().width))
    return Exit.OK


def show(
    job_id: str, states: Sequence[str], *, most: int, server: Server, as_json: bool
) -> Exit:
    """Show a job and some of its units."""
    try:
        with server.connected() as client:
            job = client.jobs.get(job_id)
            asked = client.jobs.units(job_id, states, page_size=min(most + 1, 1_000))
            found = list(islice(asked, most + 1))
    except IngestionClientError as e:
        return _failed(e)
    units = found[:most]
    if as_json:
        both = {
            "job": json.loads(job.to_json()),
            "units": [json.loads(unit.to_json()) for unit in units],
        }
        _write(json.dumps(both, indent=2, ensure_ascii=False))
        return Exit.OK
    parts: list[RenderableType] = [job_table.job(job, datetime.now(UTC))]
    if units:
        parts += [Text(), job_table.units(units)]
    if found[most:]:
        parts.append(Text(f"and more; --limit {10 * most} shows them", "dim"))
    _draw(*parts)
    return Exit.OK


def change(
    what: Literal["pause", "resume", "cancel", "retry"],
    job_id: str,
    *,
    server: Server,
    as_json: bool,
) -> Exit:
    """Have something done to a job, and write where it stands then."""
    told = ""
    try:
        with server.connected() as client:
            if what == "retry":
                job, units = client.jobs.retry_failed(job_id)
                again = job_table.count(units, "unit")
                told = f"; {again} tried again" if units else "; nothing is missing"
            else:
                job = _CHANGES[what](client.jobs, job_id)
    except IngestionClientError as e:
        return _failed(e)
    if as_json:
        _write(job.to_json())
    else:
        line = Text.assemble(f"job {job.job_id} ", job_table.state_line(job), told)
        Console().print(line, soft_wrap=True)
        sys.stdout.flush()
    return Exit.OK


def delete(job_id: str, *, server: Server) -> Exit:
    """Have a job forgotten."""
    try:
        with server.connected() as client:
            client.jobs.delete(job_id)
    except IngestionClientError as e:
        return _failed(e)
    return Exit.OK


def tell_unreadable(aside: Console, lines: Sequence[Unreadable]) -> None:
    """Name lines that hold no symbol."""
    for each in lines[:_MOST_LINES]:
        about = f"line {each.line}: {each.text}" if each.text else f"line {each.line}"
        aside.print(Text(f"{about}: {each.reason}"), soft_wrap=True)
    if more := lines[_MOST_LINES:]:
        left_out = job_table.count(len(more), "more line")
        aside.print(Text(f"and {left_out} without a symbol"), soft_wrap=True)


def _listed(file: Path | None, aside: Console) -> Sequence[str]:
    if file is None:
        return ()
    found = symbol_list.read(file)
    tell_unreadable(aside, found.unreadable)
    return found.symbols


def _created(answer: CreatedJob) -> Sequence[RenderableType]:
    now = datetime.now(UTC)
    done = "created" if answer.created else "was there before"
    parts: list[RenderableType] = [
        Text.assemble("Job ", (answer.job.job_id, "bold"), f" {done}, ").append_text(
            job_table.state_line(answer.job)
        )
    ]
    if answer.plan is not None:
        parts += [Text(), job_table.plan(answer.plan, now)]
    return parts


def _failed(error: IngestionClientError) -> Exit:
    failure.tell(Console(stderr=True), error)
    return failure.exit_status(error)


def _write(*documents: str) -> None:
    for document in documents:
        sys.stdout.write(document + "\n")
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()


def _draw(*parts: RenderableType) -> None:
    console = Console()
    for part in parts:
        console.print(part)
    sys.stdout.flush()
