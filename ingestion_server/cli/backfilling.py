"""What the command `backfill` does: have a job done, and write what it brought."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from ingestion_server.cli import failure, job_table, symbol_list
from ingestion_server.cli.exits import Exit
from ingestion_server.cli.job_asking import tell_unreadable
from ingestion_server.cli.job_delivery import OUR_CONSUMER, tell_disk
from ingestion_server.cli.job_watching import (
    LACKING,
    shown_on,
    tell_missing,
    until_ended,
)
from ingestion_server.cli.symbol_files import Format, SymbolFiles
from ingestion_server.cli.symbol_list import SymbolList, SymbolListError
from ingestion_server.cli.writing import usd
from ingestion_server.client import (
    Client,
    IngestionClientError,
    Job,
    JobOptions,
    JobUnit,
)

_DIGEST_CHARACTERS: Final = 16
_LONGEST_NAME: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Say what is wanted."""

    file: Path
    since: str
    options: JobOptions


@dataclass(frozen=True, slots=True)
class Place:
    """Say where the files go, and what they are."""

    folder: Path
    form: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Say what a backfill has brought."""

    job: Job
    files: Sequence[Path]
    missing: Sequence[JobUnit]


def run(
    order: Order, place: Place, *, target: str, timeout_seconds: float, as_json: bool
) -> Exit:
    """Bring what is wanted, write it, and tell the exit status."""
    aside = Console(stderr=True)
    try:
        listed = symbol_list.read(order.file)
    except SymbolListError as error:
        tell_unreadable(aside, error.unreadable)
        aside.print(Text(str(error)), soft_wrap=True)
        return Exit.USAGE
    tell_unreadable(aside, listed.unreadable)
    backfill = _Backfill(order, listed.symbols, aside)
    try:
        files = SymbolFiles(place.folder, place.form)
    except OSError as error:
        # Told before anything is asked for.
        tell_disk(aside, place.folder, error)
        return Exit.USAGE
    try:
        with files:
            client = Client(target, timeout_seconds=timeout_seconds)
            outcome = asyncio.run(backfill.bring(client, files))
    except KeyboardInterrupt:
        backfill.tell_left()
        raise
    except IngestionClientError as e:
        failure.tell(aside, e)
        return failure.exit_status(e)
    except OSError as error:
        tell_disk(aside, place.folder, error)
        return Exit.FAILED
    if as_json:
        _write(outcome, listed)
    else:
        _tell(outcome, listed, place, aside)
    whole = outcome.job.state == "COMPLETED" and not listed.unreadable
    return Exit.OK if whole else Exit.FAILED


class _Backfill:
    """Know the job that does the work."""

    def __init__(self, order: Order, symbols: Sequence[str], aside: Console) -> None:
        self._order: Final = order
        # In another order, it would be another job.
        self._symbols: Final = sorted(symbols)
        self._aside: Final = aside
        self._job: Job | None = None

    async def bring(self, client: Client, files: SymbolFiles) -> _Outcome:
        """Look on until the job has ended, and write what has landed."""
        async with client:
            job = self._job = await self._begun(client)
            job = await until_ended(
                client, job.job_id, shown_on(self._aside, self._aside)
            )
            missing = [unit async for unit in client.jobs.units(job.job_id, LACKING)]
            results = client.jobs.results(
                job.job_id, consumer=OUR_CONSUMER, acknowledge=False
            )
            # It draws on terminals only.
            with self._aside.status("Writing the files …"):
                async with results:
                    async for result in results:
                        files.add(result.bars)
                written = list(files.write())
        return _Outcome(job=job, files=written, missing=missing)

    def tell_left(self) -> None:
        """Tell what becomes of the job when nobody looks on any more."""
        if self._job is None:
            return
        job_id = self._job.job_id
        told = (
            f"job {job_id} goes on at the server; run the same again to see it through,"
            f" or end it with ingestion-server jobs cancel {job_id}"
        )
        self._aside.print(Text(told), soft_wrap=True)

    async def _begun(self, client: Client) -> Job:
        """Return the job that does this already, or another one."""
        name = f"backfill {self._digest()}"
        async with aclosing(client.jobs.list(name_prefix=name, page_size=1)) as jobs:
            latest = await anext(jobs, None)
        if latest is not None and _does_this(latest):
            self._say(f"going on with job {latest.job_id}")
            paused = latest.state == "PAUSED"
            return await client.jobs.resume(latest.job_id) if paused else latest
        # What has landed is not asked for again, what is missing is.
        created = await client.jobs.create(
            self._symbols,
            self._order.since,
            name=_named(name, self._order.file),
            client_key=f"{name} after {latest.job_id if latest else 'none'}",
            **self._order.options,
        )
        plan = created.plan
        if plan is not None:
            self._say(
                f"job {created.job.job_id}: {job_table.count(plan.units, 'unit')} to do"
                f" in {job_table.count(plan.calls, 'call')} ({usd(plan.cost_usd)}),"
                f" {job_table.count(plan.units_landed, 'unit')} landed before"
            )
        return created.job

    def _digest(self) -> str:
        wanted = [self._symbols, self._order.since, self._order.options]
        text = json.dumps(wanted, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]

    def _say(self, told: str) -> None:
        self._aside.print(Text(told), soft_wrap=True)


def _does_this(job: Job) -> bool:
    """Return whether a job will have brought, or has, all that there is by now."""
    if not job.ended:
        return True
    end = job.spec.end
    # One without an end knows nothing of the bars since.
    past = end is not None and end <= job.run_started_at
    return past and job.state == "COMPLETED"


def _named(name: str, file: Path) -> str:
    """Return what people read in the list of jobs."""
    shown = "".join(one if one.isprintable() else "?" for one in file.name)
    return f"{name} {shown}"[:_LONGEST_NAME]


def _write(outcome: _Outcome, listed: SymbolList) -> None:
    report = {
        "job": json.loads(outcome.job.to_json()),
        "files": [str(path) for path in outcome.files],
        "missing": [
            {
                "symbol": unit.symbol,
                "start": gap.start.isoformat(),
                "end": gap.end.isoformat(),
                "reason": gap.reason,
            }
            for unit in outcome.missing
            for gap in unit.lacking()
        ],
        "unreadable": [asdict(line) for line in listed.unreadable],
    }
    sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _tell(outcome: _Outcome, listed: SymbolList, place: Place, aside: Console) -> None:
    tell_missing(outcome.missing, outcome.job, aside)
    told = f"{job_table.count(len(outcome.files), 'file')} in {place.folder}"
    lacking = len({unit.symbol for unit in outcome.missing})
    if lacking:
        told += f"; bars are missing of {job_table.count(lacking, 'symbol')}"
    if listed.unreadable:
        told += f"; {job_table.count(len(listed.unreadable), 'line')} could not be read"
    aside.print(Text(told), soft_wrap=True)
