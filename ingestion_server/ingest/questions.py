"""The questions of a benchmark, and what their answers are measured by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.interval import among
from ingestion_server.domain.query import BarQuery, Priority, Span
from ingestion_server.domain.result import BarResult
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.scope import Scope, scope
from ingestion_server.ports.calendars import Calendars

MOST_BARS: Final = 5_000
"""Most bars of one question."""
_CALENDAR_SHARE: Final = 0.5
_CALENDAR_SECONDS: Final = 8.0
"""
Part of the time that all calendars may take together, and the most of it; without
one, nobody knows what is complete.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Hold one question, the same for all vendors and all rounds."""

    query: BarQuery
    scope: Scope
    sessions: Sessions | None

    def due(self) -> int | None:
        """Return how many bars there should be by now; None where nobody can know."""
        return None if self.scope.due is None else len(self.scope.due)

    def measured(self, result: BarResult) -> tuple[int, int | None]:
        """
        Return how many of the bars that are due came, and how many are due.

        None where nobody can know. Nobody owes bars of before the first trade.
        """
        due = self.scope.due
        if due is None:
            return 0, None
        times = result.series.open_time_ns
        came = int(among(due.opens_ns, times).sum())
        holes = due.within(
            [Span(hole.start_ns, hole.end_ns) for hole in result.missing]
        )
        # A stretch that is told as missing may hold a bar: so many can be too many.
        missing = int((~among(holes.opens_ns, times)).sum())
        return came, came + missing


async def questions_of(
    queries: Sequence[BarQuery],
    calendars: Calendars,
    *,
    now_ns: int,
    budget_seconds: float,
) -> list[Question]:
    """
    Return the questions, each with its end where it has none yet.

    Raises:
        InvalidQueryError: Names every field of theirs that is wrong.

    """
    patience = min(budget_seconds * _CALENDAR_SHARE, _CALENDAR_SECONDS)
    sessions = await _sessions(queries, calendars, patience)
    wrong: list[Violation] = []
    questions: list[Question] = []
    for place, each in enumerate(queries):
        query = msgspec.structs.replace(
            each,
            # Else the last vendor might be asked for a bar more than the first.
            end_ns=now_ns if each.end_ns is None else each.end_ns,
            priority=Priority.BATCH,
        )
        venue = query.instrument.venue
        known = None if venue is None else sessions.get(venue.calendar)
        if query.limit > MOST_BARS:
            wrong.append(_too_many(place))
            continue
        try:
            found = scope(query, known, now_ns=now_ns, most_bars=MOST_BARS)
        except InvalidQueryError as error:
            wrong.extend(_violation(place, each) for each in error.violations)
        else:
            questions.append(Question(query, found, known))
    if wrong:
        raise InvalidQueryError(wrong)
    return questions


async def _sessions(
    queries: Sequence[BarQuery], calendars: Calendars, seconds: float
) -> dict[str, Sessions | None]:
    venues = (query.instrument.venue for query in queries)
    found: dict[str, Sessions | None] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for name in {venue.calendar: None for venue in venues if venue is not None}:
                found[name] = await calendars.sessions(name)
    return found


def _violation(place: int, violation: Violation) -> Violation:
    if violation.field == "limit":
        # What is said of Fetch would lead astray.
        return _too_many(place)
    return Violation(f"questions[{place}].{violation.field}", violation.description)


def _too_many(place: int) -> Violation:
    return Violation(
        f"questions[{place}].limit",
        f"this is more than the {MOST_BARS} bars that a question may hold; shorten it",
    )
