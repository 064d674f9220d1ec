"""
What one window has seen, and when it has room; no clock, no waiting.

A rolling window is kept as the times of its calls, not as a token bucket: a bucket
of N lets 2N-1 through in one window after a pause, and a strict vendor counts them.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable
from copy import copy
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple, Protocol, Self, final
from zoneinfo import ZoneInfo

from typing_extensions import override

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.provider import Window


class Instant(NamedTuple):
    """Name one moment by both clocks."""

    seconds: float
    """Monotonic."""
    wall_ns: int
    """Nanoseconds since 1970 UTC."""

    def at(self, seconds: float) -> Instant:
        """Return another moment, if neither clock is touched until then."""
        return Instant(seconds, self.wall_ns + round((seconds - self.seconds) * 1e9))


class Meter(Protocol):
    """Count the calls of one window."""

    @property
    def window(self) -> Window:
        """Return what is allowed."""
        ...

    def free_at(self, now: Instant) -> float:
        """Return when one more call fits, in monotonic seconds; ``now`` if at once."""
        ...

    def full_until(self, now: Instant) -> float:
        """Return until when it is full, if the vendor says that it is full now."""
        ...

    def used(self, now: Instant) -> int:
        """Return how many calls it holds."""
        ...

    def debit(self, now: Instant) -> None:
        """Count a call, for which there must be room."""
        ...

    def refund(self, at: Instant) -> None:
        """Forget a call that was counted then."""
        ...

    def arrive(self, left: Instant, now: Instant) -> None:
        """Hear that a call that was counted then has been answered now."""
        ...

    def copy(self) -> Self:
        """Return one that can be played with."""
        ...


@final
class RollingMeter(Meter):
    """
    Hold a call for the window's length and a margin.

    A vendor counts a call when it arrives, so two calls may arrive closer together
    than they left. The margin is in time, because one in count has no right size.
    """

    def __init__(
        self, window: Window, margin_seconds: float, calls: Iterable[float] = ()
    ) -> None:
        self._window = window
        self._margin_seconds = margin_seconds
        self._span_seconds = window.seconds + margin_seconds
        # The latest calls, ascending. With as many as allowed, the first decides.
        self._calls = deque(calls, maxlen=window.calls)

    @property
    @override
    def window(self) -> Window:
        """Return what is allowed."""
        return self._window

    @override
    def free_at(self, now: Instant) -> float:
        """Return when one more call fits."""
        if len(self._calls) < self._window.calls:
            return now.seconds
        return max(now.seconds, self._calls[0] + self._span_seconds)

    @override
    def full_until(self, now: Instant) -> float:
        """Return until when it is full, if the vendor says that it is full now."""
        return now.seconds + self._span_seconds

    @override
    def used(self, now: Instant) -> int:
        """Return how many calls it holds."""
        return sum(at + self._span_seconds > now.seconds for at in self._calls)

    @override
    def debit(self, now: Instant) -> None:
        """Count a call, for which there must be room."""
        self._calls.append(now.seconds)

    @override
    def refund(self, at: Instant) -> None:
        """Forget a call that was counted then."""
        if at.seconds in self._calls:
            self._calls.remove(at.seconds)

    @override
    def arrive(self, left: Instant, now: Instant) -> None:
        """Count a call from now on: it cannot have reached the vendor later."""
        # Of a burst, the last may have waited long for a connection.
        if left.seconds in self._calls:
            self._calls.remove(left.seconds)
            insort(self._calls, now.seconds)

    @override
    def copy(self) -> Self:
        """Return one that can be played with."""
        return type(self)(self._window, self._margin_seconds, self._calls)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@final
class DailyMeter(Meter):
    """
    Count the calls of a day that turns at a zone's midnight.

    A wall clock that is set back does not bring the old day, and its calls, back.
    Within a margin of midnight nothing leaves, for the vendor might count it in
    another day than we do.
    """

    def __init__(self, window: Window, margin_seconds: float) -> None:
        self._window = window
        self._margin_ns = round(margin_seconds * SECOND_NS)
        self._zone = ZoneInfo(window.reset_zone)
        # A margin after midnight; None before the first call.
        self._ends_ns: int | None = None
        self._count = 0

    @property
    @override
    def window(self) -> Window:
        """Return what is allowed."""
        return self._window

    @override
    def free_at(self, now: Instant) -> float:
        """Return when one more call fits."""
        ends_ns, count = self._day(now)
        left_ns = ends_ns - now.wall_ns
        if count < self._window.calls and left_ns > 2 * self._margin_ns:
            return now.seconds
        return now.seconds + left_ns / SECOND_NS

    @override
    def full_until(self, now: Instant) -> float:
        """Return until when it is full, if the vendor says that it is full now."""
        return now.seconds + (self._day(now)[0] - now.wall_ns) / SECOND_NS

    @override
    def used(self, now: Instant) -> int:
        """Return how many calls it holds."""
        return self._day(now)[1]

    @override
    def debit(self, now: Instant) -> None:
        """Count a call, for which there must be room."""
        self._ends_ns, count = self._day(now)
        self._count = count + 1

    @override
    def refund(self, at: Instant) -> None:
        """Forget a call that was counted then."""
        if self._end_ns(at.wall_ns) == self._ends_ns:
            self._count = max(0, self._count - 1)

    @override
    def arrive(self, left: Instant, now: Instant) -> None:
        """Leave it: just before midnight nothing leaves, so it came the same day."""

    @override
    def copy(self) -> Self:
        """Return one that can be played with."""
        return copy(self)

    def _day(self, now: Instant) -> tuple[int, int]:
        """
        Return when the day of a moment ends, and its count.

        This changes nothing, since it is asked of moments to come as well.
        """
        if self._ends_ns is None or now.wall_ns >= self._ends_ns:
            return self._end_ns(now.wall_ns), 0
        return self._ends_ns, self._count

    def _end_ns(self, wall_ns: int) -> int:
        midnight_ns = _next_midnight_ns(wall_ns - self._margin_ns, self._zone)
        return midnight_ns + self._margin_ns


def meter(window: Window, margin_seconds: float) -> Meter:
    """
    Return an empty meter for a window.

    Raises:
        ValueError: the window lets nothing through, or has no length.

    """
    if window.calls < 1 or not window.seconds > 0:
        raise ValueError(
            f"window {window.name!r} must allow at least one call per stretch of time,"
            f" not {window.calls} in {window.seconds} seconds"
        )
    kind = DailyMeter if window.reset_zone else RollingMeter
    return kind(window, margin_seconds)


def _next_midnight_ns(now_ns: int, zone: ZoneInfo) -> int:
    local = (_EPOCH + timedelta(microseconds=now_ns // 1000)).astimezone(zone)
    tomorrow = local.date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), zone)
    return int(midnight.timestamp()) * SECOND_NS
