"""Vendors that count strictly, and complain."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ingestion_server.ports.provider import Window

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = Window("minute", 5, 60.0)
SECOND = Window("second", 1, 1.0)
DAY = Window("day", 25, 86_400.0, reset_zone="America/New_York")


def violations(arrivals: list[float], windows: list[Window]) -> list[float]:
    """Return the arrivals that are one too many in ``(t - seconds, t]``."""
    ordered = sorted(arrivals)
    return [
        at
        for window in windows
        if not window.reset_zone
        for index, at in enumerate(ordered)
        if index >= window.calls and ordered[index - window.calls] > at - window.seconds
    ]


def local_date(at_ns: int) -> str:
    """Return the date in New York."""
    moment = datetime.fromtimestamp(at_ns / 1e9, UTC)
    return moment.astimezone(NEW_YORK).date().isoformat()
