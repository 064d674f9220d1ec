"""A ledger whose pages are written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ingestion_server.ports.budget import Counts, Scope, WindowKind
from ingestion_server.ports.quota import (
    AccountUse,
    Alert,
    AlertKind,
    Lane,
    Ledger,
    Origin,
    Planned,
    PlannedForecast,
    Spend,
    Turns,
    WindowForecast,
    WindowUse,
)
from tests.clocks import NOW_NS, SECOND_NS

DAY = WindowUse(
    provider="acme",
    plan="free",
    scope=Scope.KEY,
    window="day",
    kind=WindowKind.FIXED,
    counts=Counts.CALLS,
    seconds=86_400.0,
    reset_zone="UTC",
    limit=500,
    tracked=True,
    origin=Origin.DECLARED,
    used=400,
    reserved=3,
    kept=50,
    resets_at_ns=NOW_NS + 3600 * SECOND_NS,
    free_at_ns=None,
)
PACE = WindowUse(
    provider="kind",
    plan="web",
    scope=Scope.IP,
    window="pace",
    kind=WindowKind.BUCKET,
    counts=Counts.UNITS,
    seconds=60.0,
    reset_zone="",
    limit=60,
    tracked=False,
    origin=Origin.DECLARED,
    used=7,
    reserved=0,
    kept=0,
    resets_at_ns=None,
    free_at_ns=None,
)
ACME = AccountUse(
    provider="acme",
    plan="free",
    windows=[DAY],
    closed_until_ns=NOW_NS + 90 * SECOND_NS,
    closed_reason="429",
    waiting={Lane.BATCH: 12},
    spend=Spend(
        month="2025-01",
        units=1200,
        allowance_units=1000,
        price_per_unit_usd=Decimal("0.01"),
        flat_usd=Decimal("49.99"),
        metered_usd=Decimal("2.00"),
        projected_metered_usd=Decimal("6.20"),
    ),
)
KIND = AccountUse(
    provider="kind",
    plan="web",
    windows=[PACE],
    closed_until_ns=None,
    closed_reason="",
    waiting={Lane.INTERACTIVE: 1, Lane.BATCH: 0},
    spend=Spend(
        month="2025-01",
        units=9,
        allowance_units=0,
        price_per_unit_usd=Decimal(0),
        flat_usd=Decimal(0),
        metered_usd=Decimal(0),
        projected_metered_usd=Decimal(0),
    ),
)
FORECASTS = (
    WindowForecast(
        use=DAY,
        rate_per_second=0.5,
        by_time_of_day=False,
        expected_until_reset=1800,
        exhausts_at_ns=NOW_NS + 194 * SECOND_NS,
    ),
    WindowForecast(
        use=PACE,
        rate_per_second=0.125,
        by_time_of_day=True,
        expected_until_reset=4,
        exhausts_at_ns=None,
    ),
)


def alert(
    kind: AlertKind = AlertKind.USED_80_PERCENT,
    *,
    window: str = "day",
    used: int = 400,
    detail: str = "",
) -> Alert:
    """Return an alert about a window of 500."""
    return Alert(
        number=17,
        kind=kind,
        provider="acme",
        window=window,
        used=used,
        limit=500,
        at_ns=NOW_NS,
        detail=detail,
    )


class FakeLedger(Ledger):
    """Show what it was made with, or fail as it is told to."""

    def __init__(
        self,
        accounts: Sequence[AccountUse] = (ACME, KIND),
        forecasts: Sequence[WindowForecast] = FORECASTS,
    ) -> None:
        self.accounts = accounts
        self.foreseen = forecasts
        self.uses_error: Exception | None = None
        self.forecasts_error: Exception | None = None

    def uses(self) -> Sequence[AccountUse]:
        """Return the accounts."""
        if self.uses_error is not None:
            raise self.uses_error
        return self.accounts

    def forecasts(self) -> Sequence[WindowForecast]:
        """Return the forecasts."""
        if self.forecasts_error is not None:
            raise self.forecasts_error
        return self.foreseen

    async def foresee(self, planned: Sequence[Planned]) -> Sequence[PlannedForecast]:
        """Foresee nothing."""
        del planned
        return ()

    def turns(self, provider: str) -> Turns:
        """Foretell nothing."""
        raise NotImplementedError

    def alerts(self, after: int) -> Sequence[Alert]:
        """Return none."""
        del after
        return ()

    async def changed(self, after_alert: int, *, within_seconds: float) -> None:
        """Return at once."""
