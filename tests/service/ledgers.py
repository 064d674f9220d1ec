"""A ledger that says what a test tells it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ingestion_server.ports.budget import Counts, Scope, WindowKind
from ingestion_server.ports.quota import (
    AccountUse,
    Alert,
    AlertKind,
    Lane,
    Origin,
    Planned,
    PlannedForecast,
    Spend,
    Turns,
    WindowForecast,
    WindowUse,
)
from tests.clocks import NOW_NS, SECOND_NS, ManualClock
from tests.service.waits import Waits

DAY = WindowUse(
    provider="alpha_vantage",
    plan="free",
    scope=Scope.KEY,
    window="day",
    kind=WindowKind.FIXED,
    counts=Counts.CALLS,
    seconds=86_400,
    reset_zone="America/New_York",
    limit=25,
    tracked=True,
    origin=Origin.HEADER,
    used=20,
    reserved=2,
    kept=3,
    resets_at_ns=NOW_NS + 3_600 * SECOND_NS,
    free_at_ns=None,
)
SECOND = msgspec.structs.replace(
    DAY,
    scope=Scope.IP,
    window="second",
    kind=WindowKind.ROLLING,
    counts=Counts.UNITS,
    seconds=1.5,
    reset_zone="",
    limit=1,
    origin=Origin.DECLARED,
    used=0,
    reserved=0,
    kept=0,
    resets_at_ns=None,
)
PACE = msgspec.structs.replace(
    SECOND,
    provider="yahoo",
    plan="unofficial",
    limit=2,
    tracked=False,
    used=1,
    free_at_ns=NOW_NS + SECOND_NS,
)
SPEND = Spend(
    month="2025-01",
    units=1_200,
    allowance_units=1_000,
    price_per_unit_usd=Decimal("0.002"),
    flat_usd=Decimal(29),
    metered_usd=Decimal("0.4"),
    projected_metered_usd=Decimal("1.2"),
)
ALPHA_VANTAGE = AccountUse(
    provider="alpha_vantage",
    plan="free",
    windows=[DAY, SECOND],
    closed_until_ns=None,
    closed_reason="",
    waiting={Lane.BATCH: 3},
    spend=SPEND,
)
YAHOO = AccountUse(
    provider="yahoo",
    plan="unofficial",
    windows=[PACE],
    closed_until_ns=NOW_NS + 30 * SECOND_NS,
    closed_reason="429",
    waiting={Lane.INTERACTIVE: 2},
    spend=msgspec.structs.replace(SPEND, units=0),
)


def alert(number: int, provider: str = "alpha_vantage") -> Alert:
    """Make an alert about a day."""
    return Alert(
        number=number,
        kind=AlertKind.USED_80_PERCENT,
        provider=provider,
        window="day",
        used=20,
        limit=25,
        at_ns=NOW_NS,
        detail="careful",
    )


class FakeLedger:
    """Be a ``Ledger`` whose state is whatever a test sets."""

    def __init__(self, clock: ManualClock) -> None:
        self.accounts = {"alpha_vantage": ALPHA_VANTAGE, "yahoo": YAHOO}
        self.planned: list[Planned] = []
        self.foreseen = [
            WindowForecast(
                use=use,
                rate_per_second=0.5,
                by_time_of_day=True,
                expected_until_reset=7,
                exhausts_at_ns=NOW_NS + 60 * SECOND_NS,
            )
            for use in (PACE, DAY, SECOND)
        ]
        self._alerts = Waits[Alert](clock)
        self.waits, self.left = self._alerts.begun, self._alerts.left
        self.alarm = self._alerts.add

    def use(self, provider: str, **changes: object) -> None:
        """Change the first window of a vendor."""
        account = self.accounts[provider]
        first, *others = account.windows
        changed = msgspec.structs.replace(first, **changes)
        self.account(provider, windows=[changed, *others])

    def account(self, provider: str, **changes: object) -> None:
        """Change what is true of a vendor."""
        account = self.accounts[provider]
        self.accounts[provider] = msgspec.structs.replace(account, **changes)

    def uses(self) -> Sequence[AccountUse]:
        """Return the state that was set."""
        return list(self.accounts.values())

    def forecasts(self) -> Sequence[WindowForecast]:
        """Return the forecasts that were set."""
        return self.foreseen

    async def foresee(self, planned: Sequence[Planned]) -> Sequence[PlannedForecast]:
        """Let one call of each plan fit."""
        self.planned += planned
        return [
            PlannedForecast(
                planned=plan,
                fits=1,
                finishes_at_ns=None,
                held_by="day",
                cost_usd=Decimal("0.5"),
            )
            for plan in planned
        ]

    def turns(self, provider: str) -> Turns:
        """Foretell nothing."""
        raise NotImplementedError

    def alerts(self, after: int) -> Sequence[Alert]:
        """Return the alerts that were added."""
        return self._alerts.after(after)

    async def changed(self, after_alert: int, *, within_seconds: float) -> None:
        """Wait for a newer alert, or for the clock."""
        await self._alerts.changed(after_alert, within_seconds)
