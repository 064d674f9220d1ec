"""All budgets together, as those who look at them see them."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.ports.budget import Budget, Counts, Window
from ingestion_server.ports.quota import Alert, AlertKind, Lane, Origin, Planned
from ingestion_server.quota.journal import JournalError
from ingestion_server.quota.ledger import Ledger, Place, Setup, Terms
from tests.clocks import SECOND_NS, ManualClock
from tests.quota.desk import DAY, FOREVER, MINUTE, SECOND, Crowd, ledger, rolling, take

HOUR = 3600.0
HOURLY = rolling("hourly", 100, HOUR)


def opened(
    folder: Path, clock: ManualClock, *setups: Setup, terms: Terms | None = None
) -> Ledger:
    """Open a ledger in a folder."""
    return Ledger(
        setups or [Setup("acme", "free", Budget(windows=(MINUTE, DAY)))],
        clock=clock,
        terms=terms or Terms(),
        place=Place(folder, boot="first"),
    )


class TestUses:
    """What is used and what is left, of each window."""

    async def test_a_new_ledger_shows_all_windows_unused_shortest_first(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY, MINUTE, SECOND)))

        (use,) = book.uses()

        assert [each.window for each in use.windows] == ["second", "minute", "day"]
        assert [each.remaining for each in use.windows] == [1, 5, 25]
        assert [each.kept for each in use.windows] == [0, 0, 2]
        assert [each.reset_zone for each in use.windows] == ["", "", DAY.reset_zone]
        assert {(each.resets_at_ns, each.free_at_ns) for each in use.windows} == {
            (None, None)
        }
        assert (use.plan, use.closed_until_ns, use.closed_reason) == ("free", None, "")

    async def test_calls_under_way_are_reserved_until_they_are_answered(
        self, clock: ManualClock
    ) -> None:
        units = rolling("units", 30, 60.0, counts=Counts.UNITS)
        book = ledger(clock, Budget(windows=(MINUTE, units), weights={"chart": 3}))
        first, _ = await take(book.accounts["acme"], 2, endpoint="chart")

        book.accounts["acme"].arrived(first, {})

        found = {each.window: each for each in book.uses()[0].windows}
        assert (found["minute"].used, found["minute"].reserved) == (1, 1)
        assert (found["units"].used, found["units"].reserved) == (3, 3)
        assert found["units"].remaining == 24

    async def test_it_tells_when_a_window_is_free_and_when_all_of_it_is(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(MINUTE,)))
        acme = book.accounts["acme"]
        begin_ns = clock.now_ns()
        await take(acme, 3)
        clock.pass_by(10.0)
        await take(acme, 2)

        (use,) = book.uses()[0].windows

        assert use.free_at_ns == begin_ns + round(60.02 * SECOND_NS)
        assert use.resets_at_ns == begin_ns + round(70.02 * SECOND_NS)

    async def test_it_tells_who_said_so_and_who_waits(self, clock: ManualClock) -> None:
        book = ledger(
            clock, Budget(windows=(SECOND,), configured=True, published=False)
        )
        crowd = Crowd(book.accounts["acme"], clock)
        for lane in (Lane.BATCH, Lane.BATCH, Lane.INTERACTIVE, Lane.INTERACTIVE):
            crowd.come(f"{len(crowd.tasks)}", lane=lane)
        await clock.advance(0.0)

        (use,) = book.uses()

        assert use.windows[0].origin is Origin.CONFIGURED
        assert use.windows[0].tracked
        assert use.waiting == {Lane.BATCH: 1, Lane.INTERACTIVE: 2}
        await crowd.home()


class TestForecasts:
    """When a window runs out, and what becomes of planned calls."""

    async def test_an_idle_window_never_runs_out(self, clock: ManualClock) -> None:
        book = ledger(clock, Budget(windows=(MINUTE, DAY)))

        for each in book.forecasts():
            assert (each.rate_per_second, each.expected_until_reset) == (0.0, 0)
            assert each.exhausts_at_ns is None
            assert not each.by_time_of_day

    async def test_a_day_that_is_used_evenly_runs_out_when_it_is_told(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))
        for _ in range(16):
            await take(book.accounts["acme"])
            await clock.advance(HOUR / 4)

        (forecast,) = book.forecasts()

        assert forecast.exhausts_at_ns is not None
        # Nine are left, at four an hour.
        left = (forecast.exhausts_at_ns - clock.now_ns()) / SECOND_NS
        assert left == pytest.approx(2.25 * HOUR, rel=0.25)
        assert forecast.expected_until_reset > 9

    async def test_a_rolling_window_that_frees_as_fast_as_it_fills_never_runs_out(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(HOURLY,)))
        for _ in range(100):
            await take(book.accounts["acme"])
            await clock.advance(60.0)

        (forecast,) = book.forecasts()

        assert forecast.use.remaining == 40
        assert forecast.exhausts_at_ns is None

    async def test_planned_calls_come_behind_those_that_wait(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(MINUTE,)))
        crowd = Crowd(book.accounts["acme"], clock)
        for number in range(10):
            crowd.come(f"{number}")
        await clock.advance(0.0)

        (found,) = await book.foresee([Planned(provider="acme", calls=7)])

        assert (found.fits, found.unfinished, found.held_by) == (7, 0, "minute")
        assert found.finishes_at_ns == pytest.approx(
            clock.now_ns() + 180.06 * SECOND_NS, abs=0.1 * SECOND_NS
        )
        assert sum(book.uses()[0].waiting.values()) == 5
        await crowd.home()

    async def test_those_that_come_too_late_are_counted(
        self, clock: ManualClock
    ) -> None:
        budget = Budget(
            windows=(MINUTE, DAY),
            price_per_unit_usd=Decimal("0.5"),
            allowance_units=5,
        )
        book = ledger(clock, budget)
        until_ns = clock.now_ns() + 150 * SECOND_NS

        (found,) = await book.foresee(
            [Planned(provider="acme", calls=28, finish_by_ns=until_ns)]
        )

        assert (found.fits, found.unfinished) == (15, 13)
        assert found.held_by == "day"
        assert found.cost_usd == Decimal("11.5")

    async def test_batch_calls_do_not_take_what_is_kept(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))
        today_ns = clock.now_ns() + 14 * 3600 * SECOND_NS

        found = await book.foresee(
            [
                Planned(provider="acme", calls=25, lane=lane, finish_by_ns=today_ns)
                for lane in Lane
            ]
        )

        assert {each.planned.lane: each.fits for each in found} == {
            Lane.INTERACTIVE: 25,
            Lane.BATCH: 23,
        }

    async def test_what_is_never_done_has_no_end(self, clock: ManualClock) -> None:
        units = rolling("units", 10, 60.0, counts=Counts.UNITS)
        book = ledger(clock, Budget(windows=(units,), weights={"chart": 11}))

        (found,) = await book.foresee(
            [Planned(provider="acme", endpoint="chart", calls=2)]
        )

        assert (found.fits, found.finishes_at_ns) == (0, None)
        assert found.held_by == "units"

    async def test_more_than_a_year_ahead_is_not_foreseen(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))

        (found,) = await book.foresee([Planned(provider="acme", calls=25 * 500)])

        assert 390 * 23 < found.fits < 401 * 25
        assert found.finishes_at_ns is None

    async def test_turns_are_told_one_by_one_and_those_too_late_are_not_counted(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(rolling("minute", 2, 60.0),)))
        turns = book.turns("acme")

        told = [
            turns.turn("chart", asked_seconds=asked, latest_seconds=latest)
            for asked, latest in [(0, 1), (10, 11), (10, 11), (10, math.inf), (90, 91)]
        ]

        assert told == pytest.approx([0, 10, 60, 60, 90], abs=0.1)
        # Nothing was used by that.
        assert book.uses()[0].windows[0].remaining == 2

    async def test_nobody_knows_the_turns_of_an_unknown_vendor(
        self, clock: ManualClock
    ) -> None:
        with pytest.raises(InvalidQueryError, match=r"'nobody' is not known.*acme"):
            ledger(clock, Budget()).turns("nobody")

    async def test_an_unknown_vendor_is_named(self, clock: ManualClock) -> None:
        book = ledger(clock, Budget())

        with pytest.raises(InvalidQueryError, match=r"'nobody' is not known.*acme"):
            await book.foresee([Planned(provider="nobody", calls=1)])

    async def test_without_windows_everything_fits_at_once(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget())

        (found,) = await book.foresee([Planned(provider="acme", calls=10**6)])

        assert (found.fits, found.finishes_at_ns) == (10**6, clock.now_ns())
        assert found.held_by == ""

    async def test_spend_is_projected_to_the_end_of_the_month(
        self, clock: ManualClock
    ) -> None:
        budget = Budget(
            price_per_unit_usd=Decimal("0.01"), monthly_price_usd=Decimal(20)
        )
        book = ledger(clock, budget)
        for _ in range(10):
            await take(book.accounts["acme"])
            await clock.advance(600.0)

        spend = book.uses()[0].spend

        assert spend.month == "2025-01"
        assert (spend.units, spend.total_usd) == (10, Decimal("20.10"))
        assert spend.projected_usd > Decimal(25)


class TestAlerts:
    """What an operator should know, once."""

    @staticmethod
    def kinds(book: Ledger) -> list[AlertKind]:
        """Return what was told so far."""
        return [alert.kind for alert in book.alerts(0)]

    async def test_a_window_that_fills_is_told_once_and_again_the_next_day(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))
        acme = book.accounts["acme"]
        day = [AlertKind.USED_80_PERCENT, AlertKind.USED_95_PERCENT]

        await take(acme, 19)
        assert self.kinds(book) == []
        await take(acme)
        assert self.kinds(book) == day[:1]
        await take(acme, 5)
        assert self.kinds(book) == day

        await clock.advance(86_400.0)
        await take(acme, 25)
        assert self.kinds(book) == day * 2
        alert = book.alerts(3)[0]
        assert (alert.number, alert.provider, alert.window) == (4, "acme", "day")
        assert (alert.used, alert.limit, alert.at_ns) == (24, 25, clock.now_ns())
        assert alert.detail == ("24 of 25 calls of the window 'day' of acme are used")

    async def test_a_window_that_stays_nearly_full_is_told_once(
        self, clock: ManualClock
    ) -> None:
        book = ledger(clock, Budget(windows=(HOURLY,)))
        for _ in range(300):
            await take(book.accounts["acme"], wait=FOREVER) if (
                book.accounts["acme"].available_in() == 0
            ) else None
            await clock.advance(39.0)

        assert self.kinds(book) == [AlertKind.USED_80_PERCENT]

    async def test_a_header_may_tell_it(self, clock: ManualClock) -> None:
        window = Window(name="hour", limit=100, seconds=HOUR, remaining_header="x-left")
        book = ledger(clock, Budget(windows=(window,)))
        (debit,) = await take(book.accounts["acme"])

        book.accounts["acme"].arrived(debit, {"x-left": "3"})

        assert self.kinds(book) == [AlertKind.USED_95_PERCENT]

    async def test_only_the_latest_hundred_are_kept(self, clock: ManualClock) -> None:
        book = ledger(clock, Budget(windows=(MINUTE,)))
        for _ in range(130):
            book.accounts["acme"].penalise(retry_after_seconds=1.0, window="minute")
            clock.pass_by(2.0)

        assert [alert.number for alert in book.alerts(0)] == [*range(31, 131)]
        assert [alert.number for alert in book.alerts(128)] == [129, 130]
        assert {alert.kind for alert in book.alerts(0)} == {AlertKind.VIOLATION}

    async def test_a_listener_that_fails_costs_nobody_an_answer(
        self, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[Alert] = []

        def broken(alert: Alert) -> None:
            raise RuntimeError(alert.detail)

        book = Ledger(
            [Setup("acme", "free", Budget(windows=(DAY,)))],
            clock=clock,
            listeners=[broken, heard.append],
        )

        await take(book.accounts["acme"], 20)

        assert [alert.number for alert in heard] == [1]
        assert len(caplog.records) == 1
        assert "a listener to alerts failed" in caplog.messages[0]

    async def test_who_waits_for_an_alert_hears_of_it(self, clock: ManualClock) -> None:
        book = ledger(clock, Budget(windows=(DAY,)))
        waiting = asyncio.create_task(book.changed(0, within_seconds=30.0))
        await clock.advance(0.0)
        assert not waiting.done()

        await take(book.accounts["acme"], 20)
        await waiting

        await book.changed(0, within_seconds=30.0)
        await book.changed(1, within_seconds=0.0)
        assert len(book.alerts(0)) == 1


class TestKeeping:
    """What is written down is summed up now and then, and at the end."""

    async def test_it_is_saved_while_it_is_kept_and_closed_at_the_end(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        book = await asyncio.to_thread(opened, tmp_path, clock)
        async with book.keeping():
            await take(book.accounts["acme"], 3)
            file = book._file  # noqa: SLF001 - what is in the file is the point
            assert file is not None
            assert len(file.vendor("acme", "", "").credentials[""].entries) == 3

            await clock.advance(15.0)
            assert len(file.vendor("acme", "", "").credentials[""].entries) == 0
            await take(book.accounts["acme"])

        again = await asyncio.to_thread(opened, tmp_path, clock)
        assert again.uses()[0].windows[1].used == 4
        again.close()

    async def test_many_calls_are_summed_up_before_their_time(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        many = Setup("acme", "free", Budget(windows=(rolling("many", 9999, 60.0),)))
        book = await asyncio.to_thread(opened, tmp_path, clock, many)
        file = book._file  # noqa: SLF001 - what is in the file is the point
        assert file is not None

        await take(book.accounts["acme"], 513)

        assert len(file.vendor("acme", "", "").credentials[""].entries) == 1
        assert file.long
        book.close()

    async def test_what_could_not_be_saved_is_saved_the_next_time(
        self, tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        book = await asyncio.to_thread(opened, tmp_path, clock)
        await take(book.accounts["acme"], 3)
        file = book._file  # noqa: SLF001 - what is in the file is the point
        assert file is not None
        file._connection.execute("pragma query_only = on")  # noqa: SLF001
        book.save()
        book.save()

        file._connection.execute("pragma query_only = off")  # noqa: SLF001
        book.save()

        assert [each.levelname for each in caplog.records] == ["ERROR", "WARNING"]
        assert len(file.vendor("acme", "", "").credentials[""].entries) == 0
        book.close()

    async def test_a_bug_in_summing_up_ends_nothing(
        self,
        tmp_path: Path,
        clock: ManualClock,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        setups = [
            Setup(name, "free", Budget(windows=(DAY,))) for name in ("acme", "other")
        ]
        book = await asyncio.to_thread(opened, tmp_path, clock, *setups)
        acme, other = book.accounts.values()

        def overflowing(_: object) -> bool:
            raise OverflowError

        async with book.keeping():
            await take(acme)
            await take(other)
            monkeypatch.setattr(acme, "save", overflowing)
            await clock.advance(15.0)
            file = book._file  # noqa: SLF001 - what is in the file is the point
            assert file is not None
            assert len(file.vendor("other", "", "").credentials[""].entries) == 0
            await take(acme)

        assert {each.levelname for each in caplog.records} == {"ERROR"}
        assert "acme: what was used cannot be summed up" in caplog.messages[0]
        again = await asyncio.to_thread(opened, tmp_path, clock, *setups)
        assert again.uses()[0].windows[0].used == 2
        again.close()

    async def test_a_limit_that_is_over_lets_those_who_wait_leave(
        self, clock: ManualClock
    ) -> None:
        window = Window(name="minute", limit=9, seconds=60.0, limit_header="x-limit")
        book = ledger(clock, Budget(windows=(window,)))
        acme = book.accounts["acme"]
        crowd = Crowd(acme, clock)
        async with book.keeping():
            (debit,) = await take(acme)
            acme.arrived(debit, {"x-limit": "2"})
            await clock.advance(50.0)
            await take(acme)
            for name in "abcd":
                crowd.come(name)
            await clock.advance(12.0)

            assert crowd.names == ["a", "b", "c", "d"]

    async def test_a_bug_of_a_caller_still_leaves_all_of_it_saved(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        book = await asyncio.to_thread(opened, tmp_path, clock)
        with suppress(ExceptionGroup):
            async with book.keeping():
                await take(book.accounts["acme"])
                raise RuntimeError

        again = await asyncio.to_thread(opened, tmp_path, clock)
        assert again.uses()[0].windows[0].used == 1
        again.close()

    def test_vendors_that_end_with_the_process_need_no_file(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        setup = Setup("acme", "free", Budget(windows=(DAY,)), kept=False)

        opened(tmp_path, clock, setup).close()

        assert [*tmp_path.iterdir()] == []

    async def test_vendors_do_not_share_what_they_use(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        setups = [
            Setup("acme", "free", Budget(windows=(DAY,))),
            Setup("other", "free", Budget(windows=(DAY,))),
            Setup("inner", "free", Budget(windows=(DAY,)), kept=False),
        ]
        book = await asyncio.to_thread(opened, tmp_path, clock, *setups)
        await take(book.accounts["acme"], 3)
        await take(book.accounts["inner"], 2)
        book.close()

        again = await asyncio.to_thread(opened, tmp_path, clock, *setups)

        counted = [use.windows[0] for use in again.uses()]
        assert [each.used + each.reserved for each in counted] == [3, 0, 0]
        again.close()

    def test_a_ledger_that_cannot_be_read_is_left_alone(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        opened(tmp_path, clock).close()
        (tmp_path / "ledger.sqlite3").write_bytes(b"")

        with pytest.raises(JournalError, match="corrupt"):
            opened(tmp_path, clock)

        assert (tmp_path / "ledger.sqlite3").read_bytes() == b""
