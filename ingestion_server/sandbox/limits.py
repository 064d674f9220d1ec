"""Meters that let exactly so many calls through, judged by the time handed in."""

from __future__ import annotations

from collections import deque

from ingestion_server.sandbox.days import local_label_ns


class RollingWindow:
    """
    Admit at most ``calls`` in every stretch ``(now - span, now]``.

    A refused call is not remembered: it took nothing from the vendor.
    """

    def __init__(self, calls: int, span_ns: int) -> None:
        self._calls = calls
        self._span_ns = span_ns
        self._admitted: deque[int] = deque()

    def has_room(self, now_ns: int) -> bool:
        """Tell whether one more call fits."""
        while self._admitted and self._admitted[0] <= now_ns - self._span_ns:
            self._admitted.popleft()
        return len(self._admitted) < self._calls

    def take(self, now_ns: int) -> None:
        """Count one admitted call."""
        self._admitted.append(now_ns)


class DayCount:
    """Admit at most ``calls`` per local date of a time zone."""

    def __init__(self, calls: int, zone: str) -> None:
        self._calls = calls
        self._zone = zone
        self._today_ns = 0
        self._count = 0

    def has_room(self, now_ns: int) -> bool:
        """Tell whether one more call fits; a new date starts at zero."""
        today_ns = local_label_ns(now_ns, self._zone)
        if today_ns != self._today_ns:
            self._today_ns, self._count = today_ns, 0
        return self._count < self._calls

    def take(self, now_ns: int) -> None:
        """Count one admitted call."""
        self.has_room(now_ns)
        self._count += 1
