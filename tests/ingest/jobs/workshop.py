"""Jobs that are worked on for a test: kept in memory, served and landed as it says."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
import numpy as np

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import DAY_NS
from ingestion_server.domain.jobs import (
    Job,
    JobSpec,
    JobState,
    JobTally,
    Unit,
    UnitCounts,
)
from ingestion_server.domain.jobs import UnitState as State
from ingestion_server.domain.landed import LandedBars, LandedSource
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.result import (
    Attempt,
    BarResult,
    Completeness,
    Missing,
    Outcome,
    Source,
)
from ingestion_server.domain.spans import subtracted
from ingestion_server.ingest.jobs.desk import JobDesk
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.outlook import Outlook
from ingestion_server.ingest.jobs.repeating import Repeating
from ingestion_server.ingest.jobs.running import Runner
from ingestion_server.ingest.jobs.unit_work import UnitWork
from ingestion_server.ports.jobs import Cursor, Holding, JobStore, Landed
from tests.builders import bars, ns
from tests.clocks import ManualClock
from tests.ingest.jobs.desks import Archive, PlanningDesk
from tests.ingest.vendors import OneCalendar

START = ns("2024-01-01")
END = ns("2024-01-11")
_WITH_BARS = {State.LANDED, State.PARTIAL}


@dataclass
class MemoryStore(JobStore):
    """Keep jobs as long as a test lasts."""

    kept: dict[str, Job] = field(default_factory=dict)
    work: dict[str, dict[int, Unit]] = field(default_factory=lambda: defaultdict(dict))
    places: Counter[str] = field(default_factory=Counter)
    consumers: dict[tuple[str, str], Cursor] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Methods that fail."""
    slow: dict[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)
    """What is done after a method has done its work, and before it answers."""

    async def _turn(self, name: str) -> None:
        await asyncio.sleep(0)
        if name in self.broken:
            raise StateUnavailableError("jobs.sqlite: the disk is full; make room")

    async def _answer(self, name: str) -> None:
        if name in self.slow:
            await self.slow[name]()

    async def create(self, job: Job, units: Sequence[Unit]) -> Job:
        """Keep a job."""
        await self._turn("create")
        for known in self.kept.values():
            if known.client_key and known.client_key == job.client_key:
                return known
        self.kept[job.job_id] = job
        self._add(units)
        await self._answer("create")
        return job

    async def job(self, job_id: str) -> Job | None:
        """Return a job."""
        await self._turn("job")
        job = self.kept.get(job_id)
        await self._answer("job")
        return job

    async def by_client_key(self, client_key: str) -> Job | None:
        """Return a job."""
        await self._turn("by_client_key")
        named = (each for each in self.kept.values() if each.client_key == client_key)
        return next(named, None)

    async def jobs(
        self,
        states: Collection[JobState],
        name_prefix: str,
        *,
        before: tuple[int, str] | None,
        limit: int,
        with_symbols: bool = True,
    ) -> Sequence[Job]:
        """Return jobs."""
        del with_symbols
        await self._turn("jobs")
        found = sorted(
            (
                job
                for job in self.kept.values()
                if (not states or job.state in states)
                and job.name.startswith(name_prefix)
                and (before is None or (job.created_ns, job.job_id) < before)
            ),
            key=lambda job: (job.created_ns, job.job_id),
            reverse=True,
        )
        return found[:limit]

    async def save(self, job: Job) -> None:
        """Keep what has become of a job."""
        await self._turn("save")
        if job.job_id in self.kept:
            self.kept[job.job_id] = job
        await self._answer("save")

    async def begin_run(self, job: Job, units: Sequence[Unit]) -> None:
        """Begin a run."""
        await self._turn("begin_run")
        self.kept[job.job_id] = job
        self._add(units)

    async def last_number(self, job_id: str) -> int:
        """Return the highest number."""
        await self._turn("last_number")
        return max(self.work[job_id], default=0)

    async def units(
        self,
        job_id: str,
        run: int,
        states: Collection[State],
        *,
        after: int,
        limit: int,
    ) -> Sequence[Unit]:
        """Return units."""
        await self._turn("units")
        found = [
            unit
            for number, unit in sorted(self.work[job_id].items())
            if unit.run == run and unit.state in states and number > after
        ]
        return found[:limit]

    async def take(
        self, job_id: str, run: int, *, now_ns: int, limit: int
    ) -> Sequence[Unit]:
        """Begin units."""
        await self._turn("take")
        due = sorted(
            (unit.retry_at_ns or 0, unit.number)
            for unit in self.work[job_id].values()
            if unit.run == run
            and unit.state is State.PENDING
            and (unit.retry_at_ns or 0) <= now_ns
        )
        return [
            self._change(job_id, number, state=State.RUNNING, retry_at_ns=None)
            for _, number in due[:limit]
        ]

    async def keep_unit(self, unit: Unit) -> Unit:
        """Keep what has become of a unit."""
        await self._turn("keep_unit")
        known = self.work[unit.job_id].get(unit.number)
        if known is None:
            return unit
        landing = known.landing
        if unit.state in _WITH_BARS:
            self.places[unit.job_id] += 1
            landing = self.places[unit.job_id]
        kept = msgspec.structs.replace(unit, landing=landing)
        self.work[unit.job_id][unit.number] = kept
        return kept

    async def release(self, job_id: str, *, to: State) -> None:
        """Begin units no more."""
        await self._turn("release")
        states = {State.RUNNING}
        if to is State.CANCELLED:
            states.add(State.PENDING)
        self._move(job_id, states, state=to)

    async def retry(self, job_id: str, run: int) -> int:
        """Let units be tried again."""
        await self._turn("retry")
        lost = {State.FAILED, State.PARTIAL}
        count = self._move(job_id, lost, run=run, state=State.PENDING, attempts=0)
        await self._answer("retry")
        return count

    async def hasten(self, job_id: str, run: int, *, now_ns: int) -> None:
        """Let units be tried now."""
        await self._turn("hasten")
        for number, unit in self.work[job_id].items():
            later = (unit.retry_at_ns or 0) > now_ns
            if unit.run == run and unit.state is State.PENDING and later:
                self._change(job_id, number, retry_at_ns=now_ns)

    async def first_due(self, job_id: str, run: int) -> Unit | None:
        """Return the unit that may be tried first."""
        await self._turn("first_due")
        pending = (
            unit
            for unit in self.work[job_id].values()
            if unit.run == run and unit.state is State.PENDING
        )
        key = lambda unit: (unit.retry_at_ns or 0, unit.number)  # noqa: E731
        return min(pending, key=key, default=None)

    async def counts(self, job_id: str, run: int) -> UnitCounts:
        """Sum up units."""
        await self._turn("counts")
        units = [unit for unit in self.work[job_id].values() if unit.run == run]
        states = Counter(unit.state for unit in units)
        times = [unit.retry_at_ns or 0 for unit in units if unit.state is State.PENDING]
        counts = UnitCounts(
            **{str(state): states[state] for state in State},
            bars=sum(unit.bars for unit in units if not unit.already_landed),
            calls=sum(unit.calls for unit in units),
            cost_usd=sum((unit.cost_usd for unit in units), Decimal(0)),
            retry_at_ns=min(times, default=0) or None,
        )
        await self._answer("counts")
        return counts

    async def counts_of(self, jobs: Sequence[Job]) -> Sequence[UnitCounts]:
        """Sum up units of several jobs."""
        return [await self.counts(job.job_id, job.run) for job in jobs]

    async def tally(self) -> JobTally:
        """Sum up all jobs."""
        await self._turn("tally")
        latest = [
            unit.state
            for job in self.kept.values()
            for unit in self.work[job.job_id].values()
            if unit.run == job.run
        ]
        jobs = Counter(job.state for job in self.kept.values())
        return JobTally(jobs, Counter(latest))

    async def landings(self, job_id: str, *, after: int, limit: int) -> Sequence[Unit]:
        """Return what has landed."""
        await self._turn("landings")
        found = sorted(
            (unit for unit in self.work[job_id].values() if unit.landing > after),
            key=lambda unit: unit.landing,
        )
        return found[:limit]

    async def acknowledge(self, job_id: str, consumer: str, at: Cursor) -> None:
        """Keep a place."""
        await self._turn("acknowledge")
        known = self.consumers.get((job_id, consumer), Cursor())
        self.consumers[job_id, consumer] = max(known, at)

    async def acknowledged(self, job_id: str, consumer: str) -> Cursor:
        """Return a place."""
        await self._turn("acknowledged")
        return self.consumers.get((job_id, consumer), Cursor())

    async def delete(self, job_id: str) -> None:
        """Forget a job."""
        await self._turn("delete")
        self.kept.pop(job_id, None)
        self.work.pop(job_id, None)

    def _add(self, units: Sequence[Unit]) -> None:
        for unit in units:
            self.work[unit.job_id][unit.number] = unit

    def _change(self, job_id: str, number: int, **changes: object) -> Unit:
        unit = msgspec.structs.replace(self.work[job_id][number], **changes)
        self.work[job_id][number] = unit
        return unit

    def _move(
        self, job_id: str, states: set[State], run: int = 0, **changes: object
    ) -> int:
        moved = [
            unit.number
            for unit in self.work[job_id].values()
            if unit.state in states and run in {0, unit.run}
        ]
        for number in moved:
            self._change(job_id, number, **changes)
        return len(moved)


@dataclass
class MemoryLanding:
    """Have bars landed as long as a test lasts."""

    closes: dict[str, dict[int, float]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    whole: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    by: dict[str, list[LandedSource]] = field(default_factory=lambda: defaultdict(list))
    failing: dict[str, list[Exception]] = field(default_factory=dict)
    """What the next landings of a symbol meet; of any, under ''."""
    unreadable: list[Exception] = field(default_factory=list)
    """What those meet who read next."""
    rebased: float | None = None
    """By what the next answer multiplies what has landed before."""

    async def land(self, holding: Holding, span: Span, result: BarResult) -> Landed:
        """Keep bars."""
        await asyncio.sleep(0)
        symbol = holding.instrument.symbol
        for failing in (self.failing.get(symbol), self.failing.get("")):
            if failing:
                raise failing.pop(0)
        series = result.series
        times = series.open_time_ns.tolist()
        self.closes[symbol].update(zip(times, series.close.tolist(), strict=True))
        holes = [Span(each.start_ns, each.end_ns) for each in result.missing]
        self.whole[symbol] += subtracted([span], holes)
        self.by[symbol] += [
            LandedSource(
                each.provider,
                each.start_ns,
                each.end_ns,
                each.received_at_ns,
                derived=False,
            )
            for each in result.sources
        ]
        rebased, self.rebased = self.rebased, None
        if rebased is not None:
            self.whole[symbol] = [span]
        return Landed(len(times), 0, rebased)

    async def covered(self, holding: Holding, span: Span) -> Sequence[Span]:
        """Tell what has landed."""
        await asyncio.sleep(0)
        left = subtracted([span], self.whole[holding.instrument.symbol])
        return subtracted([span], left)

    async def read(self, holding: Holding, span: Span) -> LandedBars:
        """Return bars."""
        await asyncio.sleep(0)
        if self.unreadable:
            raise self.unreadable.pop(0)
        symbol = holding.instrument.symbol
        times = sorted(
            t for t in self.closes[symbol] if span.start_ns <= t < span.end_ns
        )
        series = bars(times, [self.closes[symbol][each] for each in times])
        states = np.full(len(times), BarState.FINAL, np.uint8)
        return LandedBars(series, states, self.by[symbol])


def served(
    query: BarQuery,
    *,
    by: str = "acme",
    missing: Sequence[Missing] = (),
    attempts: Sequence[Attempt] | None = None,
) -> BarResult:
    """Answer with a bar for each step, but for those that are missing."""
    assert query.start_ns is not None
    assert query.end_ns is not None
    times = np.arange(query.start_ns, query.end_ns, query.interval.length_ns)
    for hole in missing:
        times = times[(times < hole.start_ns) | (times >= hole.end_ns)]
    return BarResult(
        instrument=query.instrument,
        interval=query.interval,
        adjustment=query.adjustment,
        currency="USD",
        volume_unit="",
        zone="America/New_York",
        series=bars(times),
        states=np.full(len(times), BarState.FINAL, np.uint8),
        completeness=Completeness.PARTIAL if missing else Completeness.COMPLETE,
        missing=list(missing),
        sources=[Source(by, query.start_ns, query.end_ns, START)],
        attempts=[Attempt(by, Outcome.SERVED, calls=1)]
        if attempts is None
        else list(attempts),
        flags=[],
    )


@dataclass
class Vendors:
    """Serve whatever is asked, unless a test says what happens instead."""

    asked: list[str] = field(default_factory=list)
    queries: list[BarQuery] = field(default_factory=list)
    next: dict[str, list[Exception | Callable[[BarQuery], BarResult]]] = field(
        default_factory=dict
    )
    """By symbol; of any, under ''."""
    gate: asyncio.Event | None = None
    """Nobody is answered before it is set."""
    under_way: Counter[str] = field(default_factory=Counter)
    most: int = 0
    """So many were asked for at once."""

    async def __call__(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int
    ) -> BarResult:
        """Answer as the fetcher does."""
        assert budget_seconds > 0
        assert most_bars > 0
        symbol = query.instrument.symbol
        self.asked.append(symbol)
        self.queries.append(query)
        self.under_way[symbol] += 1
        self.most = max(self.most, self.under_way.total())
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.under_way[symbol] -= 1
        for script in (self.next.get(symbol), self.next.get("")):
            if script:
                told = script.pop(0)
                if isinstance(told, Exception):
                    raise told
                return told(query)
        return served(query)


class Workshop:
    """Work on jobs; what is kept and landed outlives the one that works on them."""

    def __init__(self, *, runs: bool = True, **limits: float) -> None:
        """Open; ``runs`` lets time pass by itself."""
        self.planning = PlanningDesk(Archive("acme"))
        self.clock = ManualClock(self.planning.now_ns, runs=runs)
        self.store = MemoryStore()
        self.landing = MemoryLanding()
        self.vendors = Vendors()
        self.limits = msgspec.convert(limits, JobLimits)
        self.draw = 0.5
        self.runner: Runner
        self.outlook: Outlook
        self.desk: JobDesk

    @asynccontextmanager
    async def open(self) -> AsyncIterator[JobDesk]:
        """Work until the block ends."""
        work = UnitWork(
            self.vendors, self.landing, self.clock, self.limits, lambda: self.draw
        )
        repeating = Repeating(
            self.planning.planner, self.store, OneCalendar(), self.clock
        )
        self.outlook = Outlook(self.planning.planner, self.store, self.clock)
        self.runner = Runner(self.store, work, repeating, self.clock, self.limits)
        self.desk = JobDesk(
            self.store,
            self.landing,
            self.runner,
            repeating,
            self.outlook,
            self.clock,
            self.limits,
        )
        async with (
            asyncio.timeout(20),
            self.outlook.thinking(),
            self.runner.running(),
        ):
            yield self.desk

    async def begin(self, *symbols: str, job_id: str = "one", **changes: object) -> str:
        """Begin a job that has one unit for each symbol."""
        self.keep(*symbols, job_id=job_id, **changes)
        self.runner.begin(job_id)
        return job_id

    def keep(self, *symbols: str, job_id: str = "one", **changes: object) -> None:
        """Keep a job as a server did that was here before."""
        now_ns = self.clock.now_ns()
        job = Job(
            job_id=job_id,
            spec=JobSpec(symbols, START, END),
            created_ns=now_ns,
            updated_ns=now_ns,
            run_started_ns=now_ns,
        )
        self.store.kept[job_id] = msgspec.structs.replace(job, **changes)
        for number, symbol in enumerate(symbols, 1):
            self.store.work[job_id][number] = Unit(
                job_id=job_id,
                number=number,
                symbol=symbol,
                start_ns=START,
                end_ns=END,
            )

    def states(self, job_id: str = "one") -> list[State]:
        """Tell where units stand, by number."""
        return [unit.state for _, unit in sorted(self.store.work[job_id].items())]

    def unit(self, number: int = 1, job_id: str = "one") -> Unit:
        """Return a unit."""
        return self.store.work[job_id][number]

    def job(self, job_id: str = "one") -> Job:
        """Return a job as it is kept."""
        return self.store.kept[job_id]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true."""
        while not true():  # noqa: ASYNC110 - anything may change it
            await asyncio.sleep(0)

    async def ended(self, job_id: str = "one") -> Job:
        """Wait until a job has ended."""
        await self.until(lambda: self.job(job_id).state.ended)
        return self.job(job_id)

    async def halted(self, state: JobState, job_id: str = "one") -> Job:
        """Wait until a job is in a state."""
        await self.until(lambda: self.job(job_id).state is state)
        return self.job(job_id)


def holding(symbol: str) -> Holding:
    """Name the series that a symbol of these jobs means."""
    spec = JobSpec((symbol,), START)
    return Holding(instrument(symbol), spec.interval, spec.adjustment, spec.hours)


def days_missing(first: int, count: int) -> Missing:
    """Miss so many days, the first being so many days after the start."""
    start_ns = START + first * DAY_NS
    return Missing(start_ns, start_ns + count * DAY_NS, "nobody had it")
