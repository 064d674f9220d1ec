"""Make a report of what is kept and of what is only in memory yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.service_counts import (
    HOUR_MINUTES,
    MINUTE_NS,
    Counts,
    total,
)
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.venues import PRIMARY_VENUE
from ingestion_server.ingest.reporting.availability import (
    Minutes,
    availability,
    downtimes,
    open_minutes,
    up_minutes,
)
from ingestion_server.ingest.reporting.keeping import Keeper
from ingestion_server.ingest.reporting.levels import level_of
from ingestion_server.ingest.reporting.summing import BadMinutes, Sum
from ingestion_server.ingest.reporting.tally import Due, Tally
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.reporting import (
    CountedStretch,
    KeptCounts,
    Reporter,
    ReportQuery,
    ReportStore,
    ServiceLevel,
    SlaReport,
    Stint,
)

MOST_DOWNTIMES: Final = 100
_PATIENCE_SECONDS: Final = 10.0
"""How long the store, or the calendar, is waited for."""
_NOTHING: Final = KeptCounts((), (), None)


class _Known(msgspec.Struct, frozen=True):
    """Hold all that a report is made of."""

    counted: Sequence[CountedStretch]
    stints: Sequence[Stint]
    since_ns: int
    now_ns: int
    sessions: Sessions | None
    remarks: Sequence[str]


@final
class ReportDesk(Reporter):
    """Tell how well callers and vendors were served, from the store and from memory."""

    def __init__(
        self,
        tally: Tally,
        keeper: Keeper,
        store: ReportStore,
        calendars: Calendars,
        *,
        objective: float,
        retention_days: int,
    ) -> None:
        self._tally = tally
        self._keeper = keeper
        self._store = store
        self._calendars = calendars
        self._objective = objective
        self._retention_ns = retention_days * 24 * HOUR_MINUTES * MINUTE_NS
        # A long one takes memory and a thread; others wait for theirs.
        self._turn = asyncio.Lock()
        self._reading: asyncio.Task[KeptCounts] | None = None

    @override
    async def report(self, query: ReportQuery) -> SlaReport:
        """Return what is known, be it from memory only."""
        async with self._turn:
            known = await self._known(query)
            objective = query.objective or self._objective
            return await asyncio.to_thread(_report, query, known, objective)

    async def _known(self, query: ReportQuery) -> _Known:
        # Before the store is read: what it is given meanwhile is in both, not in none.
        due = self._tally.due()
        now_ns = due.stints[-1].until_ns
        kept, why = await self._kept(query, now_ns)
        remarks = [f"what was kept cannot be read: {why}"] if why else []
        if trouble := self._keeper.trouble:
            remarks.append(f"what is counted now is in memory only: {trouble}")
        if lost := self._tally.lost_minutes(query.start_ns // MINUTE_NS):
            remarks.append(f"{lost} minutes of this server could not be kept")
        since_ns = [each.started_ns for each in due.stints]
        if kept.since_ns is not None:
            since_ns.append(kept.since_ns)
        return _Known(
            counted=_latest(kept.counted, due),
            stints=(*kept.stints, *due.stints),
            # A server may have run for longer than counts are kept.
            since_ns=max(min(since_ns), now_ns - self._retention_ns),
            now_ns=now_ns,
            sessions=await self._sessions(),
            remarks=remarks,
        )

    async def _kept(self, query: ReportQuery, now_ns: int) -> tuple[KeptCounts, str]:
        """Return what is kept, or nothing, and why."""
        if self._reading is not None:
            # Its caller may have left. A store that hangs is not asked ever again.
            await asyncio.wait((self._reading,), timeout=_PATIENCE_SECONDS)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(
                self._store.read(
                    query.start_ns // MINUTE_NS, _end_minute(query, now_ns)
                )
            )
            self._reading.add_done_callback(_heard)
            await asyncio.wait((self._reading,), timeout=_PATIENCE_SECONDS)
            if self._reading.done():
                try:
                    return self._reading.result(), ""
                except StateUnavailableError as error:
                    return _NOTHING, error.message
                except Exception as error:  # noqa: BLE001 - memory knows some
                    return _NOTHING, f"a defect: {error!r}"
        return _NOTHING, f"no answer within {_PATIENCE_SECONDS:g} s"

    async def _sessions(self) -> Sessions | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._calendars.sessions(PRIMARY_VENUE)
        except TimeoutError:
            return None


def _heard(task: asyncio.Task[KeptCounts]) -> None:
    """Take note of a failure of which nobody else may hear."""
    if not task.cancelled():
        task.exception()


def _latest(kept: Iterable[CountedStretch], due: Due) -> Sequence[CountedStretch]:
    """Return what is kept, and in place of some of it what is counted since."""
    found = {_key(each): each for each in kept}
    found.update((_key(each), each) for each in due.counted)
    return list(found.values())


def _key(counted: CountedStretch) -> tuple[int, int, str]:
    return counted.start_minute, counted.minutes, counted.stint


def _report(query: ReportQuery, known: _Known, objective: float) -> SlaReport:
    """Sum up; a long stretch takes a while."""
    start, end = _bounds(query, known)
    counted = [
        each
        for each in known.counted
        if each.start_minute < end and each.start_minute + each.minutes > start
    ]
    for each in counted:
        # Of some time ago whole hours are known, and no parts of them.
        start = min(start, each.start_minute)
        end = max(end, each.start_minute + each.minutes)
    downs = downtimes(
        known.stints,
        max(start * MINUTE_NS, known.since_ns),
        min(end * MINUTE_NS, known.now_ns),
    )
    judge = _Judge(known.sessions, up_minutes(downs, start, end), start, end, objective)
    found = Sum(counted)
    facts = found.facts
    remarks = list(known.remarks)
    if found.damaged:
        remarks.append(f"{found.damaged} entries cannot be read, and are left out")
    rpcs = {
        name: judge.level(counts, found.rpcs[name])
        for name, counts in facts.rpcs.items()
    }
    return SlaReport(
        start_ns=start * MINUTE_NS,
        end_ns=end * MINUTE_NS,
        overall=judge.level(total(facts.rpcs), found.overall),
        rpcs=dict(sorted(rpcs.items(), key=lambda item: (-item[1].calls, item[0]))),
        providers={
            name: judge.level(
                facts.providers.get(name, Counts()), found.providers[name]
            )
            for name in query.providers or facts.providers
        },
        downtimes=downs[-MOST_DOWNTIMES:],
        incomplete_reason="; ".join(remarks),
    )


def _bounds(query: ReportQuery, known: _Known) -> tuple[int, int]:
    """Return the minutes that a report is about: none that nobody knows anything of."""
    end = _end_minute(query, known.now_ns)
    start = max(query.start_ns, known.since_ns) // MINUTE_NS
    return min(start, end), end


def _end_minute(query: ReportQuery, now_ns: int) -> int:
    """Return where a report ends; a store knows no numbers as large as callers do."""
    return min(-(-query.end_ns // MINUTE_NS), now_ns // MINUTE_NS + 1)


class _Judge:
    """Measure counts of one stretch of time."""

    def __init__(
        self,
        sessions: Sessions | None,
        up: Minutes,
        start_minute: int,
        end_minute: int,
        objective: float,
    ) -> None:
        self._market = (
            None
            if sessions is None
            else open_minutes(sessions, start_minute, end_minute)
        )
        self._up = up
        self._start = start_minute
        self._objective = objective

    def level(self, counts: Counts, bad: BadMinutes) -> ServiceLevel:
        """Return what calls came to."""
        share = availability(self._market, self._up, bad, self._start)
        return level_of(counts, self._objective, share)
