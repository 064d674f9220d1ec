"""What an account knows again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion_server.ports.budget import Budget, Counts, Period, Scope, Window
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.account import Account
from ingestion_server.quota.ledger import Ledger, Place, Setup
from tests.clocks import NOW_NS, ManualClock
from tests.quota.desk import DAY, MINUTE, most, refused, rolling, take

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


class TestOtherPlans:
    """Windows come and go with plans."""

    async def test_a_window_of_the_same_name_and_another_kind_is_another(
        self, make: Make
    ) -> None:
        machine = make(DAY)
        await take(machine.acme, 3)
        machine.budget = Budget(windows=(rolling("day", 25, 86_400.0),))

        machine.again()

        # Calls can be counted by any window, a sum only by its own kind.
        assert machine.used() == {"day": 3}
        machine.budget = Budget(windows=(DAY,))
        machine.again()
        assert machine.used() == {"day": 0}

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
