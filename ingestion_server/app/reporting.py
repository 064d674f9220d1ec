"""How reports are joined: who counts, where that is kept, and who tells of it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from ingestion_server.app.keeping import keeps
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings
from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.ingest.reporting.desk import ReportDesk
from ingestion_server.ingest.reporting.keeping import Keeper
from ingestion_server.ingest.reporting.tally import Tally
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock

_FOLDER: Final = "reports"
_SIMULATED: Final = "simulated"


@asynccontextmanager
async def reporting(
    settings: Settings, mode: Mode, tally: Tally, calendars: Calendars, clock: Clock
) -> AsyncIterator[ReportDesk]:
    """
    Have what is counted kept, and told of, while the block lasts.

    The store is not looked at yet: a server answers whether it can be used or not.

    Raises:
        OSError: A folder for the time being cannot be made, or what is set is wrong.

    """
    # It brings SQLAlchemy with it, of which no other command has need.
    from ingestion_server.store.reports import (  # noqa: PLC0415
        FILE_NAME,
        opened_reports,
    )

    chosen = settings.report
    async with AsyncExitStack() as stack:
        folder = _folder(stack, settings, mode)
        # Counts of vendors that end with the process are of no use to others.
        url = settings.store.url if keeps(settings, mode) else None
        where = folder / FILE_NAME if url is None else url.get_secret_value()
        try:
            store = await stack.enter_async_context(opened_reports(where))
        except StateUnavailableError as error:
            raise OSError(error.message) from error
        keeper = Keeper(
            tally,
            store,
            clock,
            write_seconds=chosen.write_seconds,
            retention_days=chosen.retention_days,
        )
        await stack.enter_async_context(keeper.keeping())
        yield ReportDesk(
            tally,
            keeper,
            store,
            calendars,
            objective=chosen.objective,
            retention_days=chosen.retention_days,
        )


def _folder(stack: AsyncExitStack, settings: Settings, mode: Mode) -> Path:
    """Return where counts are kept: apart for simulated vendors, or not for long."""
    if not keeps(settings, mode):
        return Path(stack.enter_context(tempfile.TemporaryDirectory("-reports")))
    place = settings.state.place() / _FOLDER
    return place / _SIMULATED if mode.simulated else place
