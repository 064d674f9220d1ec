"""When a job runs again."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from ingestion_server.domain.errors import (
    InvalidQueryError,
    StateUnavailableError,
    Violation,
)
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.jobs import AfterClose, Schedule
from ingestion_server.domain.venues import VENUES
from ingestion_server.ingest.jobs.cron import CronError, parsed
from ingestion_server.ports.calendars import Calendars

_UTC: Final = "UTC"
_SHOWN: Final = 40
_LONGEST_DELAY_SECONDS: Final = DAY_NS / SECOND_NS


def check(schedule: Schedule) -> None:
    """
    Refuse a schedule that cannot be meant.

    Raises:
        InvalidQueryError: Names every field that is wrong; one that never fires, too.

    """
    wrong: list[Violation] = []
    after_close = schedule.after_close
    if bool(schedule.cron) is (after_close is not None):
        both = "both are there" if schedule.cron else "neither is there"
        wrong.append(_wrong("", f"takes either cron or after_close; {both}"))
    if schedule.cron:
        try:
            parsed(schedule.cron)
        except CronError as error:
            wrong.append(_wrong("cron", str(error)))
    if after_close is not None:
        wrong.extend(_wrong_close(after_close))
        if schedule.zone not in {"", _UTC}:
            wrong.append(
                _wrong("time_zone", "is for cron only; a close has its exchange's")
            )
    elif _zone(schedule) is None:
        wrong.append(
            _wrong(
                "time_zone",
                f"{schedule.zone[:_SHOWN]!r} is no zone of the tz database; expected "
                "for example America/New_York",
            )
        )
    if wrong:
        raise InvalidQueryError(wrong)


async def next_run(schedule: Schedule, after_ns: int, calendars: Calendars) -> int:
    """
    Return the first time after another at which a schedule that is right fires.

    Who asks for the first one after now makes up for all that were missed by one.

    Raises:
        InvalidQueryError: The schedule is wrong.
        StateUnavailableError: Nobody knows when the exchange closes.

    """
    check(schedule)
    if schedule.after_close is not None:
        return await _next_close(schedule.after_close, after_ns, calendars)
    zone = _zone(schedule)
    return parsed(schedule.cron).next_ns(after_ns, zone or ZoneInfo(_UTC))


async def _next_close(
    after_close: AfterClose, after_ns: int, calendars: Calendars
) -> int:
    mic = after_close.exchange.strip().upper()
    calendar = VENUES[mic].calendar
    sessions = await calendars.sessions(calendar)
    if sessions is None:
        raise StateUnavailableError(
            f"nobody knows when {mic} closes: its calendar {calendar} could not be "
            "computed; this is tried again"
        )
    runs_ns = sessions.closes_ns + round(after_close.delay_seconds * SECOND_NS)
    at = int(np.searchsorted(runs_ns, after_ns, side="right"))
    if at == len(runs_ns):
        raise StateUnavailableError(
            f"nobody knows yet when {mic} closes next: its calendar {calendar} ends "
            "before that; a newer exchange_calendars may know"
        )
    return int(runs_ns[at])


def _wrong_close(after_close: AfterClose) -> list[Violation]:
    wrong: list[Violation] = []
    mic = after_close.exchange.strip().upper()
    if mic not in VENUES:
        wrong.append(
            _wrong(
                "after_close.exchange",
                f"{mic[:_SHOWN]!r} is not known; expected a market identifier code "
                f"such as {', '.join(sorted(VENUES)[:6])}, …",
            )
        )
    if not 0 <= after_close.delay_seconds <= _LONGEST_DELAY_SECONDS:
        wrong.append(
            _wrong("after_close.delay", "must be from 0 to 24 hours after the close")
        )
    return wrong


def _wrong(field: str, description: str) -> Violation:
    return Violation("spec.schedule" + (f".{field}" if field else ""), description)


def _zone(schedule: Schedule) -> ZoneInfo | None:
    """Return the zone of a schedule; None if there is no such zone."""
    try:
        return ZoneInfo(schedule.zone or _UTC)
    except (KeyError, ValueError, OSError):
        # What is a folder of zones, or looks like a path, is no zone either.
        return None
