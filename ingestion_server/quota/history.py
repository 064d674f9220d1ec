"""What was used when, of one vendor: by the hour, and of late; told the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp2, log
from typing import Final, TypedDict, final

from ingestion_server.domain.interval import HOUR_NS
from ingestion_server.ports.budget import Counts

HALF_LIVES_SECONDS: Final = (60.0, 300.0, 3600.0)
"""How fast each of the rates forgets."""
KEPT_HOURS: Final = 28 * 24

_DAY_HOURS: Final = 24
_LEAST_HOURS: Final = 3 * _DAY_HOURS
"""Fewer days tell more about themselves than about the next one."""
_ALPHA: Final = 0.3
"""Smoothing factor: a day counts 0.7 of what the day after it counts."""
_COLUMNS: Final[Mapping[Counts, int]] = {Counts.CALLS: 0, Counts.UNITS: 1}


class HistoryRecord(TypedDict):
    """Be a history in plain types."""

    hours: list[tuple[int, int, int]]
    """Hours since 1970 UTC, their calls and units; oldest first."""
    rates: list[tuple[float, float, float]]
    """Half-lives in seconds, and what they have not forgotten of calls and units."""
    at_seconds: float
    """When the rates were so, by the clock that never goes back."""


@final
class History:
    """
    Remember the calls and units of one vendor: its hours for four weeks, and rates.

    The rates are smoothed exponentially in continuous time: n calls at once make one
    of ``n * ln 2 / half-life``, of which half is left a half-life later. They begin at
    zero, as if nothing had been called before: a steady stream appears as half of what
    it is after one half-life, and as 94 % after four. To divide by what is known so
    far would mend that, but then the first call would look like a flood; a forecast
    that warms up is better than a false alarm at each start.
    """

    def __init__(self) -> None:
        """Start with nothing remembered."""
        # Calls and units of each hour since 1970 that had any.
        self._hours: dict[int, list[int]] = {}
        # The hour of the last call, and its entry.
        self._hour: int | None = None
        self._of_hour = [0, 0]
        # Calls and units that each half-life has not forgotten, at that moment.
        self._unforgotten = {each: [0.0, 0.0] for each in HALF_LIVES_SECONDS}
        self._at_seconds = 0.0

    def add(self, calls: int, units: int, now_seconds: float, wall_ns: int) -> None:
        """Remember calls that leave now."""
        hour = wall_ns // HOUR_NS
        if hour != self._hour:
            self._turn_to(hour)
        self._of_hour[0] += calls
        self._of_hour[1] += units
        elapsed_seconds = now_seconds - self._at_seconds
        if elapsed_seconds < 0:
            # Restored with too large an offset: forgetting starts here.
            elapsed_seconds = 0.0
        self._at_seconds = now_seconds
        for half_life, unforgotten in self._unforgotten.items():
            left = exp2(-elapsed_seconds / half_life)
            unforgotten[0] = unforgotten[0] * left + calls
            unforgotten[1] = unforgotten[1] * left + units

    def rate(
        self, counts: Counts, half_life_seconds: float, now_seconds: float
    ) -> float:
        """Return what is used per second, by one of ``HALF_LIVES_SECONDS``."""
        elapsed_seconds = max(now_seconds - self._at_seconds, 0.0)
        left = exp2(-elapsed_seconds / half_life_seconds)
        unforgotten = self._unforgotten[half_life_seconds][_COLUMNS[counts]]
        return unforgotten * left * log(2) / half_life_seconds

    def profile(self, counts: Counts, wall_ns: int) -> Sequence[float] | None:
        """
        Return what to expect in each of the 24 hours of a day (UTC).

        It is smoothed exponentially over the days: the newest counts most. Hours
        without calls count as zero, also those in which no server ran, for we cannot
        tell. Hours before the first call do not count, and the present one does not,
        for it is not over. None if what counts is less than three days, or if it is
        all zero: then there is nothing but the rate to go by.
        """
        present = wall_ns // HOUR_NS
        first = max(min(self._hours, default=present), present - KEPT_HOURS)
        if present - first < _LEAST_HOURS:
            return None
        column = _COLUMNS[counts]
        expected = [0.0] * _DAY_HOURS
        weights = [0.0] * _DAY_HOURS
        for hour in range(first, present):
            # A day is 24 hours that are over, whatever the time is now.
            days_ago = (present - 1 - hour) // _DAY_HOURS
            weight = (1 - _ALPHA) ** days_ago
            weights[hour % _DAY_HOURS] += weight
            if hour in self._hours:
                expected[hour % _DAY_HOURS] += weight * self._hours[hour][column]
        if not any(expected):
            return None
        # The usual recursion begins with the first of the days, and of three would give
        # it 0.49 of the weight and the newest 0.3; divided by their sum, they descend.
        return [total / all_ for total, all_ in zip(expected, weights, strict=True)]

    def dump(self) -> HistoryRecord:
        """Return all of it in plain types."""
        return HistoryRecord(
            hours=[
                (hour, calls, units)
                for hour, (calls, units) in sorted(self._hours.items())
            ],
            rates=[
                (half_life, calls, units)
                for half_life, (calls, units) in self._unforgotten.items()
            ],
            at_seconds=self._at_seconds,
        )

    def restore(
        self, data: HistoryRecord, *, offset_seconds: float | None = None
    ) -> None:
        """
        Begin anew with what was dumped.

        Args:
            data: What was dumped, perhaps by another process.
            offset_seconds: What to add to the monotonic seconds of then to get those
                of now; the rates go on, less what they forget in between. None = it
                is not known, for that clock may have started anew: the rates begin
                at zero. The hours are those of the wall clock, and stay.

        """
        hours = sorted(data["hours"])[-KEPT_HOURS:]
        self._hours = {hour: [calls, units] for hour, calls, units in hours}
        # Its entry is no longer among them.
        self._hour = None
        self._unforgotten = {each: [0.0, 0.0] for each in HALF_LIVES_SECONDS}
        if offset_seconds is None:
            return
        self._at_seconds = data["at_seconds"] + offset_seconds
        for half_life, calls, units in data["rates"]:
            # Another version may have had others.
            if half_life in self._unforgotten:
                self._unforgotten[half_life] = [calls, units]

    def _turn_to(self, hour: int) -> None:
        of_hour = self._hours.setdefault(hour, [0, 0])
        if len(self._hours) > KEPT_HOURS:
            # By number and not by age: a clock that runs ahead for a moment must not
            # take four weeks with it. If the hour itself goes, it is not remembered.
            del self._hours[min(self._hours)]
        self._hour, self._of_hour = hour, of_hour
