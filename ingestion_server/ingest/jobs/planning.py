"""
From what a job wants to units of work, and what they take.

What has landed is left out. The rest is cut so that each unit takes one call of the
vendor that would be asked first; what it takes is told with those who help out where
that one has no quota.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple, final

from ingestion_server.domain.errors import (
    IngestionError,
    InvalidQueryError,
    StateUnavailableError,
    Violation,
)
from ingestion_server.domain.jobs import JobSpec, Plan, Unit
from ingestion_server.domain.query import BarQuery, Priority, SourceMode, Span
from ingestion_server.domain.spans import subtracted
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.jobs.drafts import (
    Draft,
    cheapest_first,
    in_order,
    plan_of,
    unit_of,
)
from ingestion_server.ingest.jobs.estimating import Estimate, Estimator
from ingestion_server.ingest.jobs.pieces import Cutter, Piece
from ingestion_server.ingest.jobs.rehearsing import Work
from ingestion_server.ingest.jobs.sampling import scaled_up
from ingestion_server.ingest.jobs.unit_work import holding_of
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import BarLanding, Holding
from ingestion_server.registry.verdict import verdict

MOST_UNITS: Final = 200_000
"""More than this is no longer one job."""
_MOST_VIOLATIONS: Final = 10
_AT_ONCE: Final = 32
"""So many symbols are looked up on the disk at a time."""


class Planned(NamedTuple):
    """Be what a run does."""

    units: list[Unit]
    """By number: those that have landed, those to do, and those that cannot be."""
    plan: Plan


class _Named(NamedTuple):
    place: int
    symbol: str
    holding: Holding


_Alike = tuple[object, ...]


@final
class Planner:
    """Plan runs of jobs."""

    def __init__(
        self,
        fetcher: Fetcher,
        vendors: Mapping[str, Vendor],
        estimator: Estimator,
        *,
        landing: BarLanding,
        clock: Clock,
    ) -> None:
        """
        Set up.

        Args:
            fetcher: tells whom it would ask.
            vendors: those that may be asked; may change at any time.
            estimator: tells what work takes.
            landing: tells what has landed.
            clock: tells how long refusals of vendors are remembered.

        """
        self._fetcher = fetcher
        self._vendors = vendors
        self._estimator = estimator
        self._landing = landing
        self._clock = clock

    async def plan(
        self,
        spec: JobSpec,
        *,
        job_id: str,
        run: int,
        first_number: int,
        now_ns: int,
        told_until_ns: int | None = None,
    ) -> Planned:
        """
        Return the units of a run and what they take.

        What has landed is a unit that is LANDED, so that it is told to those who
        read results; with ``told_until_ns``, when the run before began, only what
        was not final then.

        Raises:
            InvalidQueryError: No symbol can be read, the policy names nobody, or it
                is too much for one job.

        """
        named, drafts = _read(spec, now_ns)
        if not named:
            raise InvalidQueryError(_unreadable(spec))
        cutters = _Cutters(self._fetcher, self._vendors, self._clock, spec)
        names = iter(named)
        while together := list(islice(names, _AT_ONCE)):
            async with asyncio.TaskGroup() as tasks:
                covered = [
                    tasks.create_task(self._covered(each, spec, now_ns))
                    for each in together
                ]
            for each, task in zip(together, covered, strict=True):
                drafts.extend(
                    await self._drafted(
                        each, cutters, task.result(), now_ns, told_until_ns
                    )
                )
                _check_count(len(drafts))
            await asyncio.sleep(0)
        drafts = cheapest_first(drafts)
        works = [draft.work for draft in drafts if draft.work is not None]
        estimate = await self._estimator.estimate(works, now_ns=now_ns)
        units = [
            unit_of(draft, job_id=job_id, run=run, number=number, now_ns=now_ns)
            for number, draft in enumerate(in_order(drafts, estimate), first_number)
        ]
        return Planned(units, plan_of(drafts, estimate))

    async def remaining(
        self, spec: JobSpec, units: Sequence[Unit], *, of: int, now_ns: int
    ) -> Estimate:
        """
        Return what it takes to do units that have not ended.

        Args:
            spec: of their job.
            units: all that are left, or a sample of them.
            of: how many are left.
            now_ns: the time.

        Raises:
            InvalidQueryError: The policy names a vendor that is gone.

        """
        cutters = _Cutters(self._fetcher, self._vendors, self._clock, spec)
        works: list[Work] = []
        for count, unit in enumerate(units):
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                holding = holding_of(spec, unit.symbol)
            except InvalidQueryError:
                continue
            cutter = cutters.of(holding)
            piece = await cutter.whole(Span(unit.start_ns, unit.end_ns))
            if piece.provider:
                others = await cutter.others(piece)
                works.append(Work(holding.instrument, (piece, *others)))
        if units:
            # What nobody can serve takes nothing, here and beyond the sample.
            works = await scaled_up(works, len(works) * of // len(units))
        return await self._estimator.estimate(works, now_ns=now_ns)

    async def together(self, spec: JobSpec, units: Sequence[Unit]) -> int:
        """Return how many like some units one call may be about; 1 = no others."""
        cutters = _Cutters(self._fetcher, self._vendors, self._clock, spec)
        most = 1
        for unit in units:
            with suppress(InvalidQueryError):
                cutter = cutters.of(holding_of(spec, unit.symbol))
                piece = await cutter.whole(Span(unit.start_ns, unit.end_ns))
                most = max(most, piece.shared_by)
        return most

    async def _covered(
        self, named: _Named, spec: JobSpec, now_ns: int
    ) -> Sequence[Span] | StateUnavailableError:
        """Return what has landed; nothing can be said if its file is broken."""
        end_ns = now_ns if spec.end_ns is None else spec.end_ns
        span = Span(spec.start_ns, max(end_ns, spec.start_ns))
        try:
            return await self._landing.covered(named.holding, span)
        except StateUnavailableError as error:
            # The other symbols have files of their own.
            return error

    async def _drafted(
        self,
        named: _Named,
        cutters: _Cutters,
        covered: Sequence[Span] | StateUnavailableError,
        now_ns: int,
        told_until_ns: int | None,
    ) -> list[Draft]:
        cutter = cutters.of(named.holding)
        wanted = Span(cutters.spec.start_ns, await cutter.final_until_ns(now_ns))
        if wanted.start_ns >= wanted.end_ns:
            return []
        if isinstance(covered, StateUnavailableError):
            return [
                Draft(named.place, named.symbol, piece.span, failed=_reason(covered))
                for piece in await cutter.pieces([wanted])
            ]
        gaps = subtracted([wanted], covered)
        untold = wanted
        if told_until_ns is not None:
            since_ns = await cutter.final_until_ns(told_until_ns)
            untold = Span(max(wanted.start_ns, since_ns), wanted.end_ns)
        drafts = [
            Draft(named.place, named.symbol, span)
            for span in subtracted([untold], gaps)
            if await cutter.may_hold(span)
        ]
        for piece in await cutter.pieces(gaps):
            if piece.provider:
                others = await cutter.others(piece)
                drafts.append(_done_by(named, piece, others, cutters.spec))
                continue
            # What vendors say names the symbol.
            own = await cutters.alone(named.holding).pieces([piece.span])
            drafts.extend(_done_by(named, each, (), cutters.spec) for each in own)
        return drafts


@final
class _Cutters:
    """Have one cutter for all instruments that are alike to all vendors."""

    def __init__(
        self,
        fetcher: Fetcher,
        vendors: Mapping[str, Vendor],
        clock: Clock,
        spec: JobSpec,
    ) -> None:
        self.spec = spec
        self._fetcher = fetcher
        self._vendors = vendors
        self._clock = clock
        self._known: dict[_Alike, Cutter] = {}

    def of(self, holding: Holding) -> Cutter:
        """Return the cutter for an instrument and those that are like it."""
        instrument = holding.instrument
        alike: _Alike = (
            instrument.asset_class,
            instrument.exchange,
            *(
                (
                    name,
                    vendor.provider.spelling(instrument) is not None,
                    vendor.provider.names_unit(instrument),
                )
                for name, vendor in self._vendors.items()
            ),
        )
        cutter = self._known.get(alike)
        if cutter is None:
            cutter = self._known[alike] = self.alone(holding)
        return cutter

    def alone(self, holding: Holding) -> Cutter:
        """Return a cutter for one instrument."""
        return Cutter(self._fetcher, _query(self.spec, holding), self._clock.monotonic)


def _query(spec: JobSpec, holding: Holding) -> BarQuery:
    return BarQuery(
        holding.instrument,
        spec.interval,
        start_ns=spec.start_ns,
        end_ns=spec.end_ns,
        adjustment=spec.adjustment,
        hours=spec.hours,
        policy=spec.policy,
        priority=Priority.BATCH,
    )


def _read(spec: JobSpec, now_ns: int) -> tuple[list[_Named], list[Draft]]:
    """Return what can be read, each instrument once, and what cannot."""
    named: list[_Named] = []
    unread: list[Draft] = []
    seen: set[Holding] = set()
    end_ns = now_ns if spec.end_ns is None else spec.end_ns
    span = Span(spec.start_ns, max(end_ns, spec.start_ns))
    for place, symbol in enumerate(spec.symbols):
        try:
            holding = holding_of(spec, symbol)
        except InvalidQueryError as error:
            unread.append(Draft(place, symbol, span, failed=_reason(error)))
            continue
        if holding not in seen:
            seen.add(holding)
            named.append(_Named(place, symbol, holding))
    return named, unread


def _unreadable(spec: JobSpec) -> list[Violation]:
    """Say of the first symbols why they cannot be read."""
    wrong: list[Violation] = []
    for index, symbol in enumerate(spec.symbols[:_MOST_VIOLATIONS]):
        try:
            holding_of(spec, symbol)
        except InvalidQueryError as error:
            wrong.extend(
                each._replace(field=f"spec.symbols[{index}]")
                if each.field == "symbol"
                else each._replace(field=f"spec.{each.field}")
                for each in error.violations
            )
    return wrong or [Violation("spec.symbols", "names no symbol")]


def _check_count(count: int) -> None:
    if count > MOST_UNITS:
        raise InvalidQueryError(
            [
                Violation(
                    "spec.symbols",
                    f"this takes more than {MOST_UNITS} calls of a vendor, and one "
                    "job takes no more; name fewer symbols, a later start or a "
                    "longer interval",
                )
            ]
        )


def _done_by(
    named: _Named, piece: Piece, others: tuple[Piece, ...], spec: JobSpec
) -> Draft:
    """Return the work that a piece is, or why it cannot be done."""
    place, symbol, holding = named
    if piece.provider:
        work = Work(holding.instrument, (piece, *others))
        return Draft(place, symbol, piece.span, work)
    error = verdict(
        piece.errors,
        pinned=spec.policy.mode is SourceMode.PINNED,
        symbol=holding.instrument.symbol,
    )
    return Draft(place, symbol, piece.span, failed=_reason(error))


def _reason(error: IngestionError) -> str:
    return f"{error.reason}: {error.message}"
