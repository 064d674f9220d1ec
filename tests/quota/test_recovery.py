"""What an account knows again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from ingestion_server.ports.budget import Budget, Counts, Period, Scope, Window
from ingestion_server.ports.quota import Lane, Origin
from ingestion_server.quota.account import Account
from ingestion_server.quota.ledger import Ledger, Place, Setup
from tests.clocks import NOW_NS, ManualClock
from tests.quota.desk import DAY, MINUTE, SECOND, most, refused, rolling, take

HOUR = 3600.0


class Machine:
    """Start servers one after the other, each of which is killed."""

    def __init__(self, folder: Path, *windows: Window, boot: str = "first") -> None:
        """Start nothing yet."""
        self.budget = Budget(
            windows=windows, weights={"chart": 3}, price_per_unit_usd=Decimal(1)
        )
        self.clock = ManualClock(runs=False)
        self.boot = boot
        self.key = "key"
        self._folder = folder
        self.ledger = self._opened()

    @property
    def acme(self) -> Account:
        """Return the account of the present run."""
        return self.ledger.accounts["acme"]

    def again(self, seconds: float = 1.0, *, key: str = "key", jump: float = 0) -> None:
        """Kill the server, and start it again later."""
        self.ledger.close()
        self.clock.pass_by(seconds)
        self.clock.jump(jump)
        self.key = key
        self.ledger = self._opened()

    def reboot(self, seconds: float = 1.0, *, jump: float = 0) -> None:
        """Switch the machine off and on."""
        self.clock.pass_by(seconds)
        self.clock = ManualClock(self.clock.now_ns(), monotonic=seconds / 2, runs=False)
        self.boot += "+" if self.boot else ""
        self.again(0.0, jump=jump)

    def used(self) -> dict[str, int]:
        """Return what is counted."""
        return {
            use.window: use.used + use.reserved for use in self.ledger.uses()[0].windows
        }

    def _opened(self) -> Ledger:
        return Ledger(
            [Setup("acme", "free", self.budget, self.key)],
            clock=self.clock,
            place=Place(self._folder, boot=self.boot),
        )


Make = Callable[..., Machine]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a machine."""
    return lambda *windows, boot="first": Machine(tmp_path, *windows, boot=boot)


@pytest.fixture
def _nothing_blocks() -> None:
    """Let servers start within the loop, where tests are."""


class TestSameBoot:
    """The steady clock goes on, so nothing is guessed."""

    async def test_what_was_used_counts_and_frees_at_its_time(self, make: Make) -> None:
        machine = make(MINUTE, DAY)
        for debit in await take(machine.acme, 5):
            machine.acme.arrived(debit, {})
        machine.ledger.save()

        machine.again(30.0)

        assert machine.used() == {"minute": 5, "day": 5}
        assert machine.acme.available_in() == pytest.approx(30.02)

    async def test_calls_under_way_count_as_if_they_came_as_late_as_can_be(
        self, make: Make
    ) -> None:
        machine = make(MINUTE)
        await take(machine.acme, 5)

        machine.again(30.0)

        # A call may be under way for ten seconds.
        assert machine.acme.available_in() == pytest.approx(40.02)

    async def test_a_call_that_was_taken_back_does_not_count(self, make: Make) -> None:
        machine = make(MINUTE, DAY)
        first, _ = await take(machine.acme, 2)
        machine.acme.refund(first)

        machine.again()

        assert machine.used() == {"minute": 1, "day": 1}
        assert machine.ledger.uses()[0].spend.units == 1

    async def test_nor_if_it_had_been_summed_up_before(self, make: Make) -> None:
        machine = make(MINUTE, DAY)
        first, _ = await take(machine.acme, 2, endpoint="chart")
        machine.ledger.save()
        machine.acme.refund(first)

        machine.again()

        assert machine.used() == {"minute": 1, "day": 1}
        assert machine.ledger.uses()[0].spend.units == 3

    async def test_numbers_of_an_earlier_run_are_not_those_of_this_one(
        self, make: Make
    ) -> None:
        machine = make(MINUTE, DAY)
        await take(machine.acme, 2)
        machine.again()
        (debit,) = await take(machine.acme)

        machine.acme.refund(debit)
        machine.again()

        assert machine.used() == {"minute": 2, "day": 2}

    async def test_units_and_what_is_kept_are_known_again(self, make: Make) -> None:
        machine = make(rolling("units", 20, 60.0, counts=Counts.UNITS))
        await take(machine.acme, 5, lane=Lane.BATCH, endpoint="chart")

        machine.again()

        assert machine.used() == {"units": 15}
        assert await most(machine.acme, Lane.BATCH) == 3
        assert await most(machine.acme, Lane.INTERACTIVE) == 2

    @pytest.mark.parametrize("jump", [-40 * HOUR, 40 * HOUR, HOUR / 2])
    async def test_a_clock_that_is_set_meanwhile_frees_nothing(
        self, make: Make, jump: float
    ) -> None:
        machine = make(MINUTE, DAY)
        for _ in range(5):
            await take(machine.acme, 5)
            machine.clock.pass_by(61.0)

        machine.again(jump=jump)

        assert (await refused(take(machine.acme, wait=HOUR))).window == "day"
        # Nor in the next run, and the day ends when it really does.
        machine.again()
        await refused(take(machine.acme, wait=HOUR))
        machine.again(86_400.0 + 41 * HOUR)
        await take(machine.acme)

    async def test_a_closure_goes_on(self, make: Make) -> None:
        machine = make(MINUTE)
        machine.acme.penalise(retry_after_seconds=300.0, window="unpublished")

        machine.again(100.0)

        assert machine.acme.available_in() == pytest.approx(200.02)
        error = await refused(take(machine.acme))
        assert error.window == "unpublished"

    async def test_the_pauses_go_on_doubling(self, make: Make) -> None:
        machine = make(MINUTE)
        machine.acme.penalise(retry_after_seconds=None, window="unpublished")

        machine.again(301.0)
        machine.acme.penalise(retry_after_seconds=None, window="unpublished")

        assert machine.acme.available_in() == 600.0

    async def test_spend_and_history_go_on(self, make: Make) -> None:
        machine = make(MINUTE)
        await take(machine.acme, 2, endpoint="chart")
        rate = machine.acme.history.rate(Counts.CALLS, 60.0, machine.clock.monotonic())

        machine.again(0.0)

        spend = machine.ledger.uses()[0].spend
        assert (spend.month, spend.units, spend.metered_usd) == ("2025-01", 6, 6)
        assert rate > 0
        assert machine.acme.history.rate(
            Counts.CALLS, 60.0, machine.clock.monotonic()
        ) == pytest.approx(rate)


class TestOtherBoot:
    """Only the wall clock tells for how long the machine was off."""

    async def test_what_was_used_counts_for_the_rest_of_its_time(
        self, make: Make
    ) -> None:
        machine = make(MINUTE, rolling("hours", 50, 3 * HOUR), DAY)
        for debit in await take(machine.acme, 5):
            machine.acme.arrived(debit, {})
        machine.ledger.save()

        machine.reboot(40.0)

        # It has run for twenty seconds, and the rest is believed for long ones only.
        assert machine.used() == {"minute": 5, "hours": 5, "day": 5}
        assert machine.acme.available_in() == pytest.approx(40.02)
        machine.again(2 * HOUR)
        assert machine.used() == {"minute": 0, "hours": 5, "day": 5}
        machine.reboot(HOUR)
        assert machine.used() == {"minute": 0, "hours": 0, "day": 5}

    @pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR])
    async def test_a_clock_that_was_wrong_and_is_right_again_frees_nothing(
        self, make: Make, jump: float
    ) -> None:
        machine = make(rolling("hours", 5, 3 * HOUR))
        machine.clock.jump(jump)
        for debit in await take(machine.acme, 5):
            machine.acme.arrived(debit, {})
        machine.ledger.save()

        machine.reboot(60.0, jump=-jump)

        assert machine.used() == {"hours": 5}
        assert machine.acme.available_in() > 2.5 * HOUR

    async def test_a_closure_goes_on_as_long_as_it_may_last(self, make: Make) -> None:
        machine = make(MINUTE)
        machine.acme.penalise(retry_after_seconds=300.0, window="unpublished")

        machine.reboot(100.0)

        assert machine.acme.available_in() == pytest.approx(250.02)

    async def test_rates_begin_anew_and_hours_stay(self, make: Make) -> None:
        machine = make(MINUTE)
        await take(machine.acme, 2)

        machine.reboot()

        history = machine.acme.history
        assert history.rate(Counts.CALLS, 60.0, machine.clock.monotonic()) == 0
        assert history.dump()["hours"] == [(NOW_NS // 3_600_000_000_000, 2, 2)]

    async def test_where_nobody_knows_of_boots_the_steady_clock_must_agree(
        self, make: Make
    ) -> None:
        machine = make(MINUTE, boot="")
        for debit in await take(machine.acme, 5):
            machine.acme.arrived(debit, {})
        machine.ledger.save()

        machine.again(10.0, jump=HOUR)

        assert machine.acme.available_in() == pytest.approx(50.02)


class TestKeys:
    """Another key has windows of its own, but not all are."""

    async def test_another_key_begins_its_windows_and_shares_the_others(
        self, make: Make
    ) -> None:
        machine = make(
            MINUTE,
            Window(
                name="ip", limit=9, seconds=60.0, scope=Scope.IP, counts=Counts.UNITS
            ),
            Window(name="account", limit=9, seconds=120.0, scope=Scope.ACCOUNT),
            Window(name="socket", limit=9, seconds=180.0, scope=Scope.CONNECTION),
        )
        await take(machine.acme, 3)

        machine.again(key="new")

        assert machine.used() == {"minute": 0, "ip": 3, "account": 3, "socket": 0}
        assert machine.ledger.uses()[0].spend.units == 3
        assert machine.acme.history.dump()["hours"][0][1] == 3
        await take(machine.acme, 2)

        # What the first key had used is not forgotten meanwhile, and still frees.
        machine.again(key="key")
        assert machine.used() == {"minute": 3, "ip": 5, "account": 5, "socket": 3}
        machine.again(80.0, key="key")
        assert machine.used() == {"minute": 0, "ip": 0, "account": 5, "socket": 3}

    async def test_a_key_that_rests_over_a_reboot_is_remembered(
        self, make: Make
    ) -> None:
        machine = make(DAY)
        await take(machine.acme, 3)
        machine.again(key="new")
        await take(machine.acme, 7)
        machine.reboot()
        assert machine.used() == {"day": 3}

        machine.again(key="new")

        assert machine.used() == {"day": 7}


class TestRefusals:
    """A refusal closes whom it is about."""

    async def test_of_a_key_it_closes_no_other(self, make: Make) -> None:
        machine = make(DAY)
        machine.acme.penalise(retry_after_seconds=None, window="day")
        machine.budget = Budget(windows=(rolling("minute", 1200, 60.0),))

        machine.again(key="paid")
        assert machine.acme.closed is None
        await take(machine.acme)
        machine.reboot()

        machine.budget = Budget(windows=(DAY,))
        machine.again(key="key")
        closed = machine.acme.closed
        assert closed is not None
        assert closed.window == "day"
        # Of the first run, 14:30 UTC, New York has 14.5 hours left.
        assert machine.acme.available_in() == pytest.approx(14.5 * HOUR, abs=10)

    @pytest.mark.parametrize("scope", [Scope.IP, Scope.ACCOUNT])
    async def test_of_a_shared_window_it_closes_all(
        self, make: Make, scope: Scope
    ) -> None:
        machine = make(MINUTE, replace(DAY, scope=scope))
        machine.acme.penalise(retry_after_seconds=300.0, window="day")

        machine.again(100.0, key="other")

        assert machine.acme.available_in() == pytest.approx(14.5 * HOUR, abs=110)
        assert machine.acme.closed is not None

    @pytest.mark.parametrize(
        ("scopes", "closed"),
        [
            ((Scope.KEY,), False),
            ((Scope.IP, Scope.KEY), False),
            ((Scope.IP,), True),
            ((Scope.CONNECTION,), True),
            ((), True),
        ],
    )
    async def test_without_a_name_it_is_about_the_key_where_keys_are_metered(
        self, make: Make, scopes: tuple[Scope, ...], *, closed: bool
    ) -> None:
        machine = make(
            *(replace(MINUTE, name=scope.value, scope=scope) for scope in scopes)
        )
        for _ in range(2):
            machine.acme.penalise(retry_after_seconds=None, window="")
            machine.clock.pass_by(301.0)

        machine.again(0.0, key="other")
        assert (machine.acme.closed is not None) is closed

        # The pauses go on doubling for whom they are about.
        machine.clock.pass_by(300.0)
        machine.acme.penalise(retry_after_seconds=None, window="")
        seconds = 1200.0 if closed else 300.0
        assert machine.acme.available_in() == pytest.approx(seconds)

    async def test_what_is_closed_by_both_opens_with_the_later(
        self, make: Make
    ) -> None:
        machine = make(MINUTE, rolling("own", 9, 60.0), replace(DAY, scope=Scope.IP))
        machine.acme.penalise(retry_after_seconds=600.0, window="own")
        machine.acme.penalise(retry_after_seconds=300.0, window="day")

        machine.again(0.0, key="other")
        closed = machine.acme.closed
        assert closed is not None
        assert closed.window == "day"
        machine.again(0.0, key="key")
        closed = machine.acme.closed
        assert closed is not None
        assert closed.window == "own"


class TestToldLimits:
    """What a vendor tells of a limit holds for a window's length."""

    async def test_a_restart_makes_it_neither_longer_nor_shorter(
        self, make: Make
    ) -> None:
        machine = make(replace(rolling("hours", 50, 2 * HOUR), limit_header="x-limit"))
        (debit,) = await take(machine.acme)
        machine.acme.arrived(debit, {"x-limit": "5"})

        for _ in range(7):
            machine.again(HOUR / 4)
            assert machine.acme.lines[0].limit == 5
        machine.again(HOUR / 4)

        (use,) = machine.ledger.uses()[0].windows
        assert (use.limit, use.origin) == (50, Origin.DECLARED)

    async def test_of_a_day_it_holds_until_midnight(self, make: Make) -> None:
        machine = make(replace(DAY, limit_header="x-limit"))
        (debit,) = await take(machine.acme)
        machine.acme.arrived(debit, {"x-limit": "5"})

        machine.again(14 * HOUR)
        machine.reboot()
        assert machine.ledger.uses()[0].windows[0].limit == 5
        machine.again(HOUR)

        assert machine.ledger.uses()[0].windows[0].limit == 25
        machine.again()
        assert machine.ledger.uses()[0].windows[0].limit == 25


class TestOtherPlans:
    """Windows come and go with plans."""

    async def test_a_window_of_the_same_name_and_another_kind_is_another(
        self, make: Make
    ) -> None:
        machine = make(DAY)
        await take(machine.acme, 3)
        machine.budget = Budget(windows=(rolling("day", 25, 86_400.0),))

        machine.again()

        # Calls can be counted by any window, and of another kind a sum is carried.
        assert machine.used() == {"day": 3}
        await take(machine.acme)
        machine.budget = Budget(windows=(DAY,))
        machine.again()
        assert machine.used() == {"day": 4}

    @pytest.mark.parametrize("saved", [True, False])
    async def test_a_plan_without_a_day_gives_back_none_of_it(
        self, make: Make, *, saved: bool
    ) -> None:
        machine = make(SECOND, DAY)
        await take(machine.acme)
        machine.clock.pass_by(2.0)
        await take(machine.acme)
        if saved:
            machine.ledger.save()

        machine.budget = Budget(windows=(rolling("minute", 75, 60.0),))
        machine.again()
        await take(machine.acme, 5)
        machine.ledger.save()
        for _ in range(3):
            machine.again()
        machine.budget = Budget(windows=(SECOND, DAY))
        machine.again()

        # What was called under the other plan is of no day of it.
        assert machine.used()["day"] == 2
        machine.again(86_400.0)
        assert machine.used()["day"] == 0

    @pytest.mark.parametrize("saved", [True, False])
    @pytest.mark.parametrize("reboots", [True, False])
    async def test_nor_does_another_key_with_another_plan(
        self, make: Make, *, saved: bool, reboots: bool
    ) -> None:
        machine = make(DAY)
        await take(machine.acme, 2)
        if saved:
            machine.ledger.save()

        machine.budget = Budget(windows=(rolling("minute", 75, 60.0),))
        machine.again(key="other")
        await take(machine.acme, 5)
        if reboots:
            machine.key = "other"
            machine.budget = Budget(windows=(rolling("minute", 75, 60.0),))
            machine.reboot()
        machine.budget = Budget(windows=(DAY,))
        machine.again(key="key")

        assert machine.used() == {"day": 2}

    async def test_a_window_that_is_renamed_goes_on(self, make: Make) -> None:
        machine = make(rolling("minute", 75, 60.0), DAY)
        for debit in await take(machine.acme, 3):
            machine.acme.arrived(debit, {})
        machine.ledger.save()
        daily = replace(DAY, name="daily")

        machine.budget = Budget(windows=(rolling("burst", 75, 60.0), daily))
        machine.again(30.0)

        assert machine.used() == {"burst": 3, "daily": 3}
        machine.again(31.0)
        assert machine.used() == {"burst": 0, "daily": 3}
        await take(machine.acme)
        machine.budget = Budget(windows=(DAY,))
        machine.again()
        assert machine.used() == {"day": 4}

    async def test_names_decide_between_windows_that_are_alike(
        self, make: Make
    ) -> None:
        one, other = rolling("a", 9, 60.0), rolling("b", 5, 60.0)
        machine = make(one)
        await take(machine.acme, 3)
        machine.ledger.save()

        machine.budget = Budget(windows=(other, one))
        machine.again()

        assert machine.used() == {"a": 3, "b": 0}

    @pytest.mark.parametrize("name", ["day", "daily"])
    async def test_a_day_of_another_zone_begins_with_the_old_one(
        self, make: Make, name: str
    ) -> None:
        day = replace(DAY, reset_zone="UTC")
        machine = make(day)
        await take(machine.acme, 5)
        machine.ledger.save()

        machine.budget = Budget(windows=(replace(DAY, name=name),))
        machine.again()
        assert machine.used() == {name: 5}
        await take(machine.acme, 2)
        machine.budget = Budget(windows=(day,))
        machine.again()

        assert machine.used() == {"day": 7}
        # 14:30 UTC; the days of New York end five hours later.
        machine.budget = Budget(windows=(replace(DAY, name=name),))
        machine.again(10 * HOUR)
        assert machine.used() == {name: 7}
        machine.again(5 * HOUR)
        assert machine.used() == {name: 0}

    async def test_numbers_of_calls_tell_nothing_about_units(self, make: Make) -> None:
        machine = make(rolling("day", 25, 86_400.0))
        await take(machine.acme, 3)
        machine.ledger.save()
        units = rolling("day", 800, 86_400.0, counts=Counts.UNITS)

        machine.budget = Budget(windows=(units,))
        machine.again()
        assert machine.used() == {"day": 0}

        machine.budget = Budget(windows=(rolling("day", 25, 86_400.0),))
        machine.again()
        assert machine.used() == {"day": 3}

    async def test_windows_of_the_vendor_are_kept_whatever_the_key(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "ingestion_server.quota")
        shared = replace(DAY, scope=Scope.IP)
        machine = make(shared)
        await take(machine.acme, 4)
        machine.budget = Budget(windows=(MINUTE,))

        machine.again(key="other")

        assert any("4 of 25 calls are used" in each for each in caplog.messages)
        machine.budget = Budget(windows=(shared,))
        machine.again(key="third")
        assert machine.used() == {"day": 4}

    async def test_of_many_budgets_the_windows_that_last_are_kept(
        self, make: Make
    ) -> None:
        machine = make(DAY)
        await take(machine.acme, 2)
        for number in range(40):
            window = rolling(f"w{number}", 9, 600.0 + number)
            machine.budget = Budget(windows=(window,))
            machine.again(0.1)
            await take(machine.acme)
            machine.ledger.save()

        assert len(machine.acme.dump_of_key()["parked"]) == 32
        machine.budget = Budget(windows=(DAY,))
        machine.again(700.0)
        assert machine.used() == {"day": 2}
        # What is over is dropped.
        assert machine.acme.dump_of_key()["parked"] == []

    async def test_a_lower_limit_holds_for_what_was_counted(self, make: Make) -> None:
        machine = make(DAY)
        await take(machine.acme, 10)
        machine.budget = Budget(
            windows=(
                Window(
                    name="day",
                    limit=10,
                    kind=DAY.kind,
                    period=Period.DAY,
                    reset_zone=DAY.reset_zone,
                ),
            )
        )

        machine.again()

        assert (await refused(take(machine.acme))).window == "day"
