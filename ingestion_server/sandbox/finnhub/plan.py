"""What a key of Finnhub's may do: the plan in its ending, and its meters."""

from __future__ import annotations

import re
from typing import Final

from ingestion_server.sandbox.days import SECOND_NS
from ingestion_server.sandbox.limits import RollingWindow
from ingestion_server.sandbox.options import FINNHUB_PLANS, finnhub_window

FREE: Final = "free"
_INVALID: Final = "invalid"
_PER_SECOND: Final = 30
_LIKE_A_WINDOW: Final = re.compile(r"[0-9.]+per[0-9.]*[a-z]*")


def plan_of(key: str, default: str) -> str:
    """Return the plan a key names by its ending: ``demo-free``, ``load-60per5s``."""
    ending = _ending(key)
    return ending if ending and not _mistake(ending) else default


def misspelt(key: str) -> str:
    """Say what is wrong with an ending that is meant as a plan; empty = nothing."""
    ending = _ending(key)
    return _mistake(ending) if _LIKE_A_WINDOW.fullmatch(ending) else ""


def invalid(key: str) -> bool:
    """Tell whether a key is one that the vendor does not know."""
    return _ending(key) == _INVALID


class Meter:
    """
    Count the calls of one key in windows that begin with their first call.

    A refused call is not counted. The plans of the vendor allow thirty in any second
    as well; a chosen limit is the only one.
    """

    def __init__(self, plan: str) -> None:
        self._calls, self._seconds = finnhub_window(plan)
        self._end_s = 0
        self._left = self._calls
        self._second = RollingWindow(_PER_SECOND, SECOND_NS)
        self._vendors = plan in FINNHUB_PLANS

    def admitted(self, now_ns: int) -> bool:
        """Count the call, or tell that it is one too many."""
        self._turn(now_ns)
        if not self._left or (self._vendors and not self._second.has_room(now_ns)):
            return False
        self._left -= 1
        if self._vendors:
            self._second.take(now_ns)
        return True

    def headers(self, now_ns: int) -> tuple[tuple[str, str], ...]:
        """Return what is left as the vendor tells it; the reset in epoch seconds."""
        self._turn(now_ns)
        return (
            ("X-Ratelimit-Limit", str(self._calls)),
            ("X-Ratelimit-Remaining", str(self._left)),
            ("X-Ratelimit-Reset", str(self._end_s)),
        )

    def _turn(self, now_ns: int) -> None:
        # Recorded: the reset is a window after its first call, in whole seconds.
        now_s = now_ns // SECOND_NS
        if now_s >= self._end_s:
            self._end_s, self._left = now_s + self._seconds, self._calls


class Meters:
    """Keep one meter per key."""

    def __init__(self, default_plan: str) -> None:
        self._default_plan = default_plan
        self._meters: dict[str, Meter] = {}

    def of(self, key: str) -> Meter:
        """Return the meter of a key."""
        if key not in self._meters:
            self._meters[key] = Meter(plan_of(key, self._default_plan))
        return self._meters[key]

    def forget(self) -> None:
        """Start all keys anew."""
        self._meters.clear()


def _ending(key: str) -> str:
    _, _, ending = key.rpartition("-")
    return ending if ending != key else ""


def _mistake(ending: str) -> str:
    try:
        finnhub_window(ending)
    except ValueError as error:
        return str(error)
    return ""
