"""What an account looks like to those who look at it."""

from __future__ import annotations

import math
from typing import Final
from zoneinfo import ZoneInfo

from ingestion_server.ports.budget import Counts, Period, WindowKind
from ingestion_server.ports.quota import (
    AccountUse,
    Spend,
    WindowForecast,
    WindowUse,
)
from ingestion_server.quota import forecast
from ingestion_server.quota.account import Account
from ingestion_server.quota.fixed_meter import stretch
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Line

_PROFILED_SECONDS: Final = 3600.0
"""A shorter window does not care what time of day it is."""
_UTC: Final = ZoneInfo("UTC")


def account_use(account: Account, now: Instant) -> AccountUse:
    """Return the state of a vendor's budget."""
    closed = account.closed
    return AccountUse(
        provider=account.provider,
        plan=account.plan,
        windows=[window_use(account, line, now) for line in in_order(account)],
        closed_until_ns=(None if closed is None else now.at(closed.at_seconds).wall_ns),
        closed_reason=(
            ""
            if closed is None
            else f"the vendor refused a call (window {closed.window!r})"
        ),
        waiting=account.waiting(),
        spend=_spend(account, now),
    )


def in_order(account: Account) -> list[Line]:
    """Return the windows, the shortest first."""
    return sorted(account.lines, key=lambda line: line.seconds)


def window_use(account: Account, line: Line, now: Instant) -> WindowUse:
    """Return the state of one window."""
    used = line.used(now)
    reserved = min(account.under_way(line.slots[0]), used)
    window = line.window
    return WindowUse(
        provider=account.provider,
        plan=account.plan,
        scope=window.scope,
        window=window.name,
        kind=window.kind,
        counts=window.counts,
        seconds=line.seconds,
        reset_zone=window.reset_zone if window.kind is WindowKind.FIXED else "",
        limit=line.limit,
        tracked=account.budget.published or account.budget.configured,
        origin=line.origin,
        used=used - reserved,
        reserved=reserved,
        kept=line.kept,
        resets_at_ns=line.clear_at_ns(now),
        free_at_ns=line.free_at_ns(now),
    )


def window_forecast(account: Account, line: Line, now: Instant) -> WindowForecast:
    """Return when one window runs out."""
    use = window_use(account, line, now)
    counts = line.window.counts
    rate = account.history.rate(
        counts, forecast.half_life_seconds(line.seconds), now.seconds
    )
    profile = (
        account.history.profile(counts, now.wall_ns)
        if line.seconds >= _PROFILED_SECONDS
        else None
    )
    until_ns = line.turns_at_ns(now)
    expected = forecast.expected(profile, rate, now.wall_ns, until_ns)
    exhausts_ns = forecast.exhausts_at_ns(
        use.remaining, profile, rate, now.wall_ns, until_ns
    )
    if line.window.kind is not WindowKind.FIXED and expected <= use.limit:
        # What is used now comes free again as fast as more is used.
        exhausts_ns = None if use.remaining else exhausts_ns
    return WindowForecast(
        use=use,
        rate_per_second=rate,
        by_time_of_day=profile is not None,
        expected_until_reset=math.ceil(expected),
        exhausts_at_ns=exhausts_ns,
    )


def _spend(account: Account, now: Instant) -> Spend:
    rate = account.history.rate(Counts.UNITS, 3600.0, now.seconds)
    profile = account.history.profile(Counts.UNITS, now.wall_ns)
    more = forecast.expected(profile, rate, now.wall_ns, _month_end_ns(now.wall_ns))
    return account.spend.spend(now.wall_ns, math.ceil(more))


def _month_end_ns(wall_ns: int) -> int:
    return stretch(Period.MONTH, _UTC, wall_ns).end_ns
