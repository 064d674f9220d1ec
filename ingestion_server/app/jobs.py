"""How jobs are joined: where they and their bars are kept, and who sees to them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from ingestion_server.app.keeping import keeps
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings
from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.jobs.desk import JobDesk
from ingestion_server.ingest.jobs.estimating import Estimator
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.outlook import Outlook
from ingestion_server.ingest.jobs.planning import Planner
from ingestion_server.ingest.jobs.repeating import Repeating
from ingestion_server.ingest.jobs.running import Runner
from ingestion_server.ingest.jobs.unit_work import UnitWork
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Ledger
from ingestion_server.ports.tracing import Tracer
from ingestion_server.registry.standing import Standings
from ingestion_server.store.landing import ParquetLanding

LANDED: Final = "landed"
"""The folder of what has landed, within that of the jobs."""
_SIMULATED: Final = "simulated"


@dataclass(frozen=True, slots=True)
class JobParts:
    """Hold what jobs are made from."""

    settings: Settings
    mode: Mode
    vendors: Mapping[str, Vendor]
    """Those that may be asked; may change at any time."""
    fetcher: Fetcher
    ledger: Ledger
    standings: Standings
    calendars: Calendars
    clock: Clock
    tracer: Tracer | None
    """Records traces; None = nobody does."""


@asynccontextmanager
async def working(parts: JobParts) -> AsyncIterator[JobDesk]:
    """
    Have jobs done while the block lasts.

    Raises:
        OSError: They cannot be kept; the error says why.

    """
    # It brings SQLAlchemy with it, of which no other command has need.
    from ingestion_server.store.jobs import FILE_NAME, opened  # noqa: PLC0415

    settings, clock = parts.settings, parts.clock
    limits = msgspec.convert(settings.jobs.model_dump(), JobLimits)
    async with AsyncExitStack() as stack:
        folder = _folder(stack, settings, parts.mode)
        # Bars that do not outlive the server are no use to jobs that do.
        url = settings.store.url if keeps(settings, parts.mode) else None
        where = folder / FILE_NAME if url is None else url.get_secret_value()
        # The simulated market is the same, whichever port it is at.
        realm = _SIMULATED if parts.mode.simulated else ""
        try:
            store = await stack.enter_async_context(opened(where, realm=realm))
        except StateUnavailableError as error:
            raise OSError(error.message) from error
        landing = ParquetLanding(folder / LANDED, clock=clock)
        planner = Planner(
            parts.fetcher,
            parts.vendors,
            Estimator(
                parts.vendors,
                parts.ledger,
                parts.standings,
                limits=limits,
            ),
            landing=landing,
            clock=clock,
        )
        repeating = Repeating(planner, store, parts.calendars, clock)
        draw = Random()  # noqa: S311 - no secret
        work = UnitWork(
            parts.fetcher.fetch,
            landing,
            clock,
            limits,
            draw.random,
            tracer=parts.tracer,
        )
        runner = Runner(store, work, repeating, clock, limits)
        outlook = Outlook(planner, store, clock)
        desk = JobDesk(store, landing, runner, repeating, outlook, clock, limits)
        await stack.enter_async_context(outlook.thinking())
        try:
            await stack.enter_async_context(runner.running())
        except StateUnavailableError as error:
            raise OSError(error.message) from error
        yield desk


def _folder(stack: AsyncExitStack, settings: Settings, mode: Mode) -> Path:
    """Return where jobs are kept: apart for simulated vendors, or not for long."""
    if not keeps(settings, mode):
        return Path(stack.enter_context(tempfile.TemporaryDirectory("-jobs")))
    place = settings.state.place() / "jobs"
    # What simulated vendors tell must never be taken for the truth.
    return place / _SIMULATED if mode.simulated else place
