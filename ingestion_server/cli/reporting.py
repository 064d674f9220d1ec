"""What the command `report` does: ask once, and write the answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console

from ingestion_server.cli import failure, report_table
from ingestion_server.cli.exits import Exit
from ingestion_server.client import (
    IngestionClientError,
    InvalidOptionError,
    SyncClient,
)

_AGO: Final = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONGEST_AGO: Final = timedelta(days=10_000)


def show(  # noqa: PLR0913 - one parameter per option
    since: str,
    until: str | None,
    *,
    providers: Sequence[str],
    objective_percent: float | None,
    target: str,
    timeout_seconds: float,
    as_json: bool,
) -> Exit:
    """Ask once, write the answer, and tell the exit status."""
    now = datetime.now(UTC)
    # 99.9 of 100 is 0.999, and not a little more.
    objective = None if objective_percent is None else round(objective_percent / 100, 9)
    try:
        if objective is not None and not 0 < objective < 1:
            raise InvalidOptionError(
                f"objective {objective_percent:g} is no number of calls in 100, above "
                "0 and below 100, such as 99.9"
            )
        with SyncClient(target, timeout_seconds=timeout_seconds) as client:
            report = client.reports.sla(
                _moment(since, now),
                None if until is None else _moment(until, now),
                providers=providers,
                objective=objective,
            )
    except IngestionClientError as error:
        failure.tell(Console(stderr=True), error)
        return failure.exit_status(error)
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        console = Console()
        console.print(report_table.drawn(report, console.width))
    # A reader that went away shows now, while somebody still minds it, and not when
    # the interpreter ends.
    sys.stdout.flush()
    return Exit.OK


def _moment(text: str, now: datetime) -> str | datetime:
    """Read how long ago something was; anything else is a point in time."""
    found = _AGO.fullmatch(text)
    if found is None:
        return text
    return now - min(int(found[1]) * _UNITS[found[2]], _LONGEST_AGO)
