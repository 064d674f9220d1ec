"""Which bar a trade belongs to."""

from __future__ import annotations

from typing import Final, final

import numpy as np

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.grid import stretches
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import Interval, Times
from ingestion_server.domain.sessions import Sessions

_LISTED: Final = frozenset({AssetClass.EQUITY, AssetClass.INDEX})
"""What has sessions that its intraday bars are anchored at, as in ``domain/grid``."""
_NEVER: Final = 1 << 62


@final
class BarLabels:
    """
    Label the intraday bars of one instrument.

    While an exchange is open, bars are anchored at its open, and anew after a midday
    break, as ``Fetch`` has them; the last one ends with the session. Outside of that,
    in extended hours, they are those of the clock (UTC), cut where a session begins
    or ends: of New York's hours, 09:00 to 09:30, then 09:30, …, 15:30 to 16:00, then
    16:00 to 17:00. Pairs, futures, and days of which no calendar is known have the
    clock's bars, and every trade counts.
    """

    def __init__(
        self,
        interval: Interval,
        hours: TradingHours,
        instrument: Instrument,
        sessions: Sessions | None,
    ) -> None:
        """
        Set up.

        Raises:
            ValueError: The interval is a day or longer.

        """
        if not interval.intraday:
            raise ValueError(f"live bars are shorter than a day, not {interval}")
        self.interval = interval
        """Length of the bars."""
        self._step_ns = interval.length_ns
        self._regular = hours is TradingHours.REGULAR
        none = np.empty(0, np.int64)
        self._starts: Times = none
        self._stops: Times = none
        self._known = (0, 0)
        if sessions is not None and instrument.asset_class in _LISTED:
            self._starts, self._stops = stretches(sessions)
            # The last session may end on the day after its date.
            end_ns = sessions.covers_until_ns
            if len(self._stops):
                end_ns = max(end_ns, int(self._stops[-1]))
            self._known = (sessions.covers_from_ns, end_ns)
        # Between these times nothing changes: the session, or the time between two.
        self._part = (0, 0, False)
        # The bar that was asked for last, and whether trades in it count.
        self._open_ns = self._end_ns = 0
        self._counts = False

    def open_ns(self, time_ns: int) -> int | None:
        """Return the label of the bar of a trade; None if it counts for none."""
        if not self._open_ns <= time_ns < self._end_ns:
            self._find(time_ns)
        return self._open_ns if self._counts else None

    def end_ns(self, open_ns: int) -> int:
        """Return when the bar with a label is over; the end is not part of it."""
        if not self._open_ns <= open_ns < self._end_ns:
            self._find(open_ns)
        return self._end_ns

    def _find(self, time_ns: int) -> None:
        begin_ns, stop_ns, inside = self._part
        if not begin_ns <= time_ns < stop_ns:
            begin_ns, stop_ns, inside = self._part = self._part_of(time_ns)
        if not inside and self._regular and self._known[0] <= time_ns < self._known[1]:
            self._open_ns, self._end_ns, self._counts = begin_ns, stop_ns, False
            return
        # A session's bars are anchored at its start, all others at the clock.
        anchor_ns = begin_ns if inside else 0
        open_ns = time_ns - (time_ns - anchor_ns) % self._step_ns
        self._open_ns = max(open_ns, begin_ns)
        self._end_ns = min(open_ns + self._step_ns, stop_ns)
        self._counts = True

    def _part_of(self, time_ns: int) -> tuple[int, int, bool]:
        """Return the session around a time, or the time between two, and which."""
        known_from_ns, known_until_ns = self._known
        if time_ns < known_from_ns:
            return -_NEVER, known_from_ns, False
        if time_ns >= known_until_ns:
            return known_until_ns, _NEVER, False
        index = int(np.searchsorted(self._starts, time_ns, side="right")) - 1
        begin_ns = known_from_ns
        if index >= 0:
            start_ns, stop_ns = int(self._starts[index]), int(self._stops[index])
            if time_ns < stop_ns:
                return start_ns, stop_ns, True
            begin_ns = stop_ns
        later = index + 1
        end_ns = int(self._starts[later]) if later < len(self._starts) else _NEVER
        return begin_ns, min(end_ns, known_until_ns), False
