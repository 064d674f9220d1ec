"""What a key may do: the plan in its ending, and its meters."""

from __future__ import annotations

import re
from typing import Final

from ingestion_server.sandbox.alpha_vantage import refusals
from ingestion_server.sandbox.days import SECOND_NS
from ingestion_server.sandbox.limits import DayCount, RollingWindow
from ingestion_server.sandbox.options import plan_window
from ingestion_server.sandbox.wire import Reply

FREE: Final = "free"
PREMIUM_FUNCTIONS: Final = frozenset(
    {"TIME_SERIES_DAILY_ADJUSTED", "FX_INTRADAY", "CRYPTO_INTRADAY"}
)
_FREE_PER_DAY: Final = 25
_MINUTE: Final = 60
_LIKE_A_WINDOW: Final = re.compile(r"[0-9.]+per[0-9.]*[a-z]*")
QUOTA_ZONE: Final = "America/New_York"
"""The quota's day turns at this zone's midnight (from memory, not recorded)."""


def plan_of(key: str, default: str) -> str:
    """Return the plan a key names by its ending: ``demo-free``, ``load-75``."""
    _, dash, ending = key.rpartition("-")
    if not dash:
        return default
    try:
        plan_window(ending)
    except ValueError:
        return default
    return ending


def misspelt(key: str) -> str:
    """
    Say what is wrong with an ending that is meant as a plan; empty = nothing.

    With the default plan in its place, a test would not test what it says.
    """
    _, dash, ending = key.rpartition("-")
    if not dash or not _LIKE_A_WINDOW.fullmatch(ending):
        return ""
    try:
        plan_window(ending)
    except ValueError as error:
        return str(error)
    return ""


class FreeMeter:
    """Meter a free key: 25 calls a day, and one in any second."""

    def __init__(self) -> None:
        self._day = DayCount(_FREE_PER_DAY, QUOTA_ZONE)
        self._second = RollingWindow(1, SECOND_NS)

    def refused(self, now_ns: int) -> Reply | None:
        """Count the call, or return the refusal."""
        if not self._day.has_room(now_ns):
            return refusals.information(refusals.DAILY)
        if not self._second.has_room(now_ns):
            return refusals.information(refusals.BURST)
        self._day.take(now_ns)
        self._second.take(now_ns)
        return None


class PaidMeter:
    """Meter a paid key: so many calls in any so many seconds."""

    def __init__(self, calls: int, seconds: int = _MINUTE) -> None:
        self._calls = calls
        self._seconds = seconds
        self._window = RollingWindow(calls, seconds * SECOND_NS)

    def refused(self, now_ns: int) -> Reply | None:
        """Count the call, or return the refusal."""
        if not self._window.has_room(now_ns):
            return refusals.too_dense(self._calls, self._seconds)
        self._window.take(now_ns)
        return None


class Meters:
    """Keep one meter per key."""

    def __init__(self, default_plan: str) -> None:
        self._default_plan = default_plan
        self._meters: dict[str, FreeMeter | PaidMeter] = {}

    def refused(self, key: str, now_ns: int) -> Reply | None:
        """Count a call of the key, or return the refusal."""
        if key not in self._meters:
            self._meters[key] = _meter(plan_of(key, self._default_plan))
        return self._meters[key].refused(now_ns)

    def forget(self) -> None:
        """Start all keys anew."""
        self._meters.clear()


def _meter(plan: str) -> FreeMeter | PaidMeter:
    if plan == FREE:
        return FreeMeter()
    window = plan_window(plan)
    return PaidMeter(int(plan)) if window is None else PaidMeter(*window)
