"""A store that fails, hangs or comes back disturbs nobody, and is told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.service_packing import unpacked
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.reporting import desk as desk_module
from ingestion_server.ingest.reporting import keeping as keeping_module
from ingestion_server.ingest.reporting.desk import ReportDesk
from ingestion_server.ingest.reporting.keeping import Keeper
from ingestion_server.ingest.reporting.tally import Tally
from ingestion_server.ports.hooks import RpcDetails
from ingestion_server.ports.reporting import (
    CountedStretch,
    KeptCounts,
    ReportQuery,
    Stint,
)
from tests.clocks import NOW_NS, ManualClock
from tests.hearing import tell

MINUTE_NS = 60 * 10**9
ANSWERED = RpcDetails(
    rpc="IngestionService/Fetch",
    is_lasting=False,
    seconds=0.25,
    code="OK",
    request_id="1",
)


class FakeStore:
    """Keep counts in memory, or do not."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], CountedStretch] = {}
        self.stints: dict[str, Stint] = {}
        self.trouble = ""
        self.answers = asyncio.Event()
        self.answers.set()
        self.writes = 0
        self.tidied: list[int] = []

    async def keep(
        self, stints: Sequence[Stint], counted: Sequence[CountedStretch]
    ) -> None:
        """Keep these."""
        await self._answer()
        self.writes += 1
        self.stints.update((each.name, each) for each in stints)
        self.rows.update(((each.stint, each.start_minute), each) for each in counted)

    async def read(self, start_minute: int, end_minute: int) -> KeptCounts:
        """Return all."""
        assert start_minute < end_minute
        await self._answer()
        since = [each.started_ns for each in self.stints.values()]
        return KeptCounts(
            [*self.rows.values()], [*self.stints.values()], min(since, default=None)
        )

    async def tidy(self, now_ns: int, retention_days: int) -> None:
        """Note that it was asked for."""
        assert retention_days == 90
        await self._answer()
        self.tidied.append(now_ns)

    async def _answer(self) -> None:
        await self.answers.wait()
        if self.trouble:
            raise StateUnavailableError(self.trouble)


class NoCalendars:
    """Know no exchange."""

    async def sessions(self, calendar: str) -> Sessions | None:
        """Return nothing."""
        assert calendar


class Desk:
    """Be all of it, around a store that is told what to do."""

    def __init__(self) -> None:
        self.clock = ManualClock(runs=False)
        self.store = FakeStore()
        self.tally = Tally(self.clock)
        self.keeper = Keeper(
            self.tally, self.store, self.clock, write_seconds=10, retention_days=90
        )
        self.desk = ReportDesk(
            self.tally,
            self.keeper,
            self.store,
            NoCalendars(),
            objective=0.999,
            retention_days=90,
        )

    async def told(self) -> tuple[int, str]:
        """Return how many calls are known, and what is said to be missing."""
        report = await self.desk.report(
            ReportQuery(NOW_NS - 86_400 * 10**9, self.clock.now_ns() + 1)
        )
        return report.overall.calls, report.incomplete_reason


@pytest.fixture
def desk() -> Desk:
    """Return all of it."""
    return Desk()


async def test_counts_are_written_every_so_often_and_at_the_end(desk: Desk) -> None:
    async with desk.keeper.keeping():
        tell(desk.tally, ANSWERED)
        await desk.clock.advance(9)
        assert desk.store.writes == 0
        await desk.clock.advance(2)
        assert desk.store.writes == 1
        tell(desk.tally, ANSWERED)

    assert desk.store.writes == 2
    assert await desk.told() == (2, "")
    (stint,) = desk.store.stints.values()
    assert (stint.started_ns, stint.until_ns) == (NOW_NS, NOW_NS + 11 * 10**9)


async def test_a_server_that_could_not_start_has_not_run(desk: Desk) -> None:
    async with desk.keeper.keeping():
        await desk.clock.advance(5)

    assert desk.store.stints == {}


async def test_a_call_soon_after_the_start_is_kept(desk: Desk) -> None:
    async with desk.keeper.keeping():
        tell(desk.tally, ANSWERED)

    assert len(desk.store.rows) == len(desk.store.stints) == 1


async def test_it_tidies_up_once_an_hour(desk: Desk) -> None:
    async with desk.keeper.keeping():
        for _ in range(3 * 360):
            await desk.clock.advance(10)

    # It begins at half past.
    assert len(desk.store.tidied) == 4


async def test_a_clock_that_leaps_for_a_while_makes_nothing_too_old(desk: Desk) -> None:
    async with desk.keeper.keeping():
        await desk.clock.advance(10)
        desk.clock.jump(400 * 86_400)
        for _ in range(300):
            await desk.clock.advance(10)
        desk.clock.jump(-400 * 86_400)
        await desk.clock.advance(10)
        assert desk.store.tidied == [NOW_NS + 10 * 10**9]

        for _ in range(361):
            await desk.clock.advance(10)

    # It goes on once the clock is steady.
    assert len(desk.store.tidied) == 2
    assert max(desk.store.tidied) < NOW_NS + 86_400 * 10**9


async def test_a_store_that_fails_is_told_of_once_a_minute_and_until_it_is_well(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk.store.trouble = "the disk is full"
    async with desk.keeper.keeping():
        for _ in range(18):
            tell(desk.tally, ANSWERED)
            await desk.clock.advance(10)

        calls, why = await desk.told()
        assert calls == 18
        assert why == (
            "what was kept cannot be read: the disk is full; "
            "what is counted now is in memory only: the disk is full"
        )
        warnings = [each for each in caplog.records if each.levelname == "WARNING"]
        assert len(warnings) == 3

        desk.store.trouble = ""
        await desk.clock.advance(10)

        assert await desk.told() == (18, "")
        assert "kept again" in caplog.text
        assert len(desk.store.rows) == 3


async def test_a_store_that_hangs_keeps_nobody_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(keeping_module, "_LAST_SECONDS", 0.01)
    monkeypatch.setattr(desk_module, "_PATIENCE_SECONDS", 0.01)
    desk.store.answers.clear()
    async with desk.keeper.keeping():
        tell(desk.tally, ANSWERED)
        await desk.clock.advance(10)
        async with asyncio.timeout(5):
            while not desk.keeper.trouble:  # noqa: ASYNC110 - there is no such event
                await asyncio.sleep(0.005)

        calls, why = await desk.told()
        assert calls == 1
        assert why == (
            "what was kept cannot be read: no answer within 0.01 s; "
            "what is counted now is in memory only: no answer within 0.01 s"
        )

    assert desk.store.writes == 0


async def test_a_stop_while_something_is_written_loses_nothing(desk: Desk) -> None:
    async with desk.keeper.keeping():
        tell(desk.tally, ANSWERED)
        desk.store.answers.clear()
        await desk.clock.advance(10)
        tell(desk.tally, ANSWERED)
        asyncio.get_running_loop().call_later(0.05, desk.store.answers.set)

    (row,) = desk.store.rows.values()
    facts = unpacked(row.packed)
    assert facts is not None
    assert facts.rpcs["IngestionService/Fetch"].answered == 2


async def test_a_server_whose_store_hangs_was_not_asleep(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "_PATIENCE_SECONDS", 0.0)
    async with desk.keeper.keeping():
        desk.store.answers.clear()
        for _ in range(30):
            await desk.clock.advance(10)
        desk.store.answers.set()
        await desk.clock.advance(20)

    report = await desk.desk.report(ReportQuery(0, desk.clock.now_ns() + 1))

    assert report.downtimes == []
    assert len(desk.store.stints) == 1


async def test_minutes_that_are_lost_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion_server.ingest.reporting.tally.MOST_MINUTES", 2)
    for _ in range(4):
        tell(desk.tally, ANSWERED)
        desk.clock.jump(60)

    calls, why = await desk.told()

    assert calls == 2
    assert why == "2 minutes of this server could not be kept"

    later = ReportQuery(NOW_NS + 2 * MINUTE_NS, desk.clock.now_ns() + 1)
    assert not (await desk.desk.report(later)).incomplete_reason


async def test_entries_that_nobody_can_read_are_left_out_and_told(desk: Desk) -> None:
    minute = NOW_NS // MINUTE_NS
    desk.store.rows["x", minute] = CountedStretch(minute, 1, "x", b"rubbish")
    tell(desk.tally, ANSWERED)

    assert await desk.told() == (1, "1 entries cannot be read, and are left out")


async def test_what_is_kept_and_still_in_memory_counts_once(desk: Desk) -> None:
    due = desk.tally.due()
    tell(desk.tally, ANSWERED)
    due = desk.tally.due()
    await desk.store.keep(due.stints, due.counted)
    tell(desk.tally, ANSWERED)

    assert await desk.told() == (2, "")


async def test_a_report_begins_where_counts_are_kept(desk: Desk) -> None:
    old = Stint("old", NOW_NS - 400 * 86_400 * 10**9, NOW_NS)
    desk.store.stints["old"] = old

    report = await desk.desk.report(ReportQuery(0, NOW_NS + 1))

    assert report.start_ns == NOW_NS - 90 * 86_400 * 10**9
    assert report.downtimes == []


async def test_a_window_before_everything_is_empty(desk: Desk) -> None:
    report = await desk.desk.report(ReportQuery(0, MINUTE_NS))

    assert report.start_ns == report.end_ns == MINUTE_NS
    assert report.overall.calls == 0
    assert report.overall.error_budget_left is None


async def test_only_the_latest_of_many_downtimes_are_told(desk: Desk) -> None:
    for each in range(300):
        started_ns = NOW_NS - (each + 1) * MINUTE_NS
        name = str(each)
        desk.store.stints[name] = Stint(name, started_ns, started_ns + 10**9)

    report = await desk.desk.report(ReportQuery(NOW_NS - 86_400 * 10**9, NOW_NS + 1))

    assert len(report.downtimes) == 100
    assert report.downtimes[-1].end_ns == NOW_NS


async def test_a_defect_of_the_store_ends_nothing_and_is_told(desk: Desk) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    kept = desk.store.keep
    desk.store.keep = desk.store.read = desk.store.tidy = broken  # type: ignore[method-assign]
    async with desk.keeper.keeping():
        tell(desk.tally, ANSWERED)
        await desk.clock.advance(10)

        calls, why = await desk.told()
        assert calls == 1
        assert why.count("a defect: RuntimeError('broken')") == 2

        desk.store.keep = kept  # type: ignore[method-assign]
        await desk.clock.advance(10)
        assert desk.store.writes == 1
        assert not desk.keeper.trouble


async def test_a_caller_who_leaves_does_not_keep_the_next_one_from_an_answer(
    desk: Desk,
) -> None:
    tell(desk.tally, ANSWERED)
    desk.store.answers.clear()
    leaving = asyncio.create_task(desk.told())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    staying = asyncio.create_task(desk.told())
    await asyncio.sleep(0)
    desk.store.answers.set()

    assert await staying == (1, "")
