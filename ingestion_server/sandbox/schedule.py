"""When an instrument trades: the exchange's sessions, or days built here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final, Protocol

import numpy as np

from ingestion_server.domain.sessions import Sessions
from ingestion_server.sandbox.days import (
    DAY_NS,
    FIRST_DAY,
    HOUR_NS,
    LAST_DAY,
    MINUTE_NS,
    Int64,
    midnights_ns,
)
from ingestion_server.sandbox.instrument import Venue

_USUAL_HOURS: Final = {
    "XNYS": (9 * 60 + 30, 16 * 60),
    "XLON": (8 * 60, 16 * 60 + 30),
    "XETR": (9 * 60, 17 * 60 + 30),
    "XTKS": (9 * 60, 15 * 60),
}
"""Minutes after midnight, for calendars the session source does not know."""
_NO_BREAK: Final = -1
_SATURDAY: Final = 5


class SessionSource(Protocol):
    """Knows the sessions of exchange calendars."""

    async def sessions(self, calendar: str) -> Sessions | None:
        """Return the sessions of a calendar such as ``XNYS``, or None."""
        ...


class Schedules:
    """Remember the schedule of each venue, so that the market never changes."""

    def __init__(self, source: SessionSource) -> None:
        self._source = source
        self._known: dict[str, Sessions] = {}

    async def of(self, venue: Venue) -> Sessions:
        """Return the sessions of a venue."""
        key = f"{venue.calendar} {venue.zone}"
        if key not in self._known:
            # The first answer stays even if two callers ask at the same time.
            self._known.setdefault(key, await self._build(venue))
        return self._known[key]

    async def _build(self, venue: Venue) -> Sessions:
        match venue.calendar:
            case "24/7":
                return _around_the_clock("24/7", venue.zone, weekends=True)
            case "24/5":
                return _around_the_clock("24/5", venue.zone, weekends=False)
            case "24/5-US":
                # Futures are asked for by day only; New York's holidays will do.
                return _whole_days(await self._exchange("XNYS", venue.zone))
            case calendar:
                return await self._exchange(calendar, venue.zone)

    async def _exchange(self, calendar: str, zone: str) -> Sessions:
        found = await self._source.sessions(calendar)
        return found if found is not None else _weekdays(calendar, zone)


def since(sessions: Sessions, first_label_ns: int) -> Sessions:
    """Return the sessions from a label on, as far as the market has prices."""
    labels = sessions.labels_ns
    first = max(first_label_ns, FIRST_DAY * DAY_NS)
    which = slice(
        int(np.searchsorted(labels, first)),
        int(np.searchsorted(labels, LAST_DAY * DAY_NS)),
    )
    return replace(
        sessions,
        labels_ns=labels[which],
        opens_ns=sessions.opens_ns[which],
        closes_ns=sessions.closes_ns[which],
        break_starts_ns=sessions.break_starts_ns[which],
        break_ends_ns=sessions.break_ends_ns[which],
    )


def _around_the_clock(calendar: str, zone: str, *, weekends: bool) -> Sessions:
    labels = _labels(weekends=weekends)
    opens = midnights_ns(labels, zone)
    return _built(calendar, zone, labels, opens, midnights_ns(labels + DAY_NS, zone))


def _whole_days(sessions: Sessions) -> Sessions:
    inside = since(sessions, FIRST_DAY * DAY_NS)
    labels = inside.labels_ns
    opens = midnights_ns(labels, sessions.zone)
    closes = midnights_ns(labels + DAY_NS, sessions.zone)
    return _built("24/5-US", sessions.zone, labels, opens, closes)


def _weekdays(calendar: str, zone: str) -> Sessions:
    opening, closing = _USUAL_HOURS.get(calendar, _USUAL_HOURS["XNYS"])
    labels = _labels(weekends=False)
    midnight = midnights_ns(labels, zone)
    built = _built(
        calendar,
        zone,
        labels,
        midnight + opening * MINUTE_NS,
        midnight + closing * MINUTE_NS,
    )
    if calendar != "XTKS":
        return built
    noon = midnight + 12 * HOUR_NS
    return replace(
        built,
        break_starts_ns=noon - 30 * MINUTE_NS,
        break_ends_ns=noon + 30 * MINUTE_NS,
    )


def _labels(*, weekends: bool) -> Int64:
    # One day short: the last session closes at the next day's midnight.
    days = np.arange(FIRST_DAY, LAST_DAY - 1, dtype=np.int64)
    if not weekends:
        first = datetime.fromtimestamp(FIRST_DAY * 86_400, UTC).date()
        weekday = (days - FIRST_DAY + date.weekday(first)) % 7
        days = days[weekday < _SATURDAY]
    return days * DAY_NS


def _built(
    calendar: str, zone: str, labels: Int64, opens: Int64, closes: Int64
) -> Sessions:
    none = np.full(len(labels), _NO_BREAK, dtype=np.int64)
    return Sessions(
        calendar=calendar,
        zone=zone,
        labels_ns=labels,
        opens_ns=opens,
        closes_ns=closes,
        break_starts_ns=none,
        break_ends_ns=none,
        covers_from_ns=FIRST_DAY * DAY_NS,
        covers_until_ns=(LAST_DAY - 1) * DAY_NS,
    )
