"""One window of a vendor, with the meters that count for it."""

from __future__ import annotations

import math
from typing import Final, NamedTuple, assert_never, final
from zoneinfo import ZoneInfo

import msgspec

from ingestion_server.ports.budget import Counts, Period, Window, WindowKind
from ingestion_server.ports.quota import Lane, Origin
from ingestion_server.quota import fixed_meter, rolling_meter
from ingestion_server.quota.bucket_meter import BucketMeter
from ingestion_server.quota.fixed_meter import (
    LONGEST_SECONDS,
    USUAL_SECONDS,
    FixedMeter,
    stretch,
)
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import Meter, Passage, State
from ingestion_server.quota.rolling_meter import RollingMeter

_BUSY_SECONDS: Final = 60.0
"""A window of no more than this is meant to be full all the time: no alerts."""


class Slot(NamedTuple):
    """Be one meter that a call must fit."""

    window: str
    by_units: bool
    batch_only: bool
    """Whether it holds only batch calls, and so keeps a share for others."""
    meter: Meter


@final
class Line:
    """
    Hold the meters of one window.

    A fixed window has one for each clock. Where a share is kept for interactive
    calls, batch calls must fit smaller meters as well, which count nothing else.
    """

    def __init__(
        self,
        window: Window,
        *,
        interactive_share: float,
        call_seconds: float,
        heaviest: int = 1,
    ) -> None:
        """
        Start empty.

        Args:
            window: what the vendor allows.
            interactive_share: what batch calls can never take.
            call_seconds: how long a call may be under way.
            heaviest: units of the heaviest call, which batch calls may be as well.

        """
        self.window = window
        self._share = interactive_share
        self._heaviest = heaviest if window.counts is Counts.UNITS else 1
        self.kept = self._kept_of(window.limit)
        self.origin = Origin.DECLARED
        self.level = 0
        """The last alert that was given, in percent, since there was room again."""
        whole = _meters(window, window.limit, call_seconds)
        shares = (
            _meters(window, window.limit - self.kept, call_seconds) if self.kept else []
        )
        by_units = window.counts is Counts.UNITS
        self.slots = [
            Slot(window.name, by_units, batch_only, meter)
            for batch_only, meters in ((False, whole), (True, shares))
            for meter in meters
        ]
        self._whole = whole
        self._zone = ZoneInfo(window.reset_zone)
        # When the vendor last told the limit in force, if that is not the declared
        # one, and who had declared that.
        self._told: Instant | None = None
        self._declared = self.origin

    @property
    def limit(self) -> int:
        """Return how much fits, as far as is known by now."""
        return self._whole[0].limit

    @property
    def seconds(self) -> float:
        """Return its length; of a fixed one, the usual."""
        return seconds_of(self.window)

    @property
    def durable(self) -> bool:
        """Return whether a restart must not forget it."""
        return self.seconds > 1.0

    @property
    def watched(self) -> bool:
        """Return whether operators are told when it fills."""
        return self.seconds > _BUSY_SECONDS

    @property
    def lowered(self) -> bool:
        """Return whether less fits than was declared."""
        return self._told is not None

    def lower(self, limit: int, now: Instant) -> bool:
        """
        Hear that less fits than was declared; return whether that is news.

        It holds until ``relax`` finds that the vendor has stopped telling it. What
        the heaviest call could never fit is nonsense.
        """
        if not max(self._heaviest, 1) <= limit < self.window.limit:
            return False
        if limit > self.limit:
            # Until it is over, the least that was told holds.
            return False
        if self._told is None:
            self._declared = self.origin
        self._told = now
        if limit == self.limit:
            return False
        self._set(limit)
        self.origin = Origin.HEADER
        return True

    def relax(self, now: Instant) -> bool:
        """
        Believe what was declared, if nobody has told less for a window's length.

        A fixed window must have turned since, by both clocks. Return whether there is
        more room than before.
        """
        told, period = self._told, self.window.period
        if told is None:
            return False
        if period is None:
            over = now.seconds >= told.seconds + self.window.seconds
        else:
            over = (
                self._turned(told.wall_ns, now.wall_ns)
                and self._turned(told.steady_ns, now.steady_ns)
            ) or now.seconds >= told.seconds + LONGEST_SECONDS[period]
        if over:
            self._told = None
            self._set(self.window.limit)
            self.origin = self._declared
        return over

    def _set(self, limit: int) -> None:
        # The same share of less, or all that is left would be kept from batch calls.
        self.kept = self._kept_of(limit)
        for slot in self.slots:
            slot.meter.limit = limit - self.kept if slot.batch_only else limit

    def _kept_of(self, limit: int) -> int:
        # Never so much that the heaviest batch call could not fit at all.
        return max(0, min(math.floor(limit * self._share), limit - self._heaviest))

    def load(self) -> int:
        """Return what was counted when something last was; quickly."""
        return max(meter.load() for meter in self._whole)

    def used(self, now: Instant) -> int:
        """Return what is counted."""
        return max(meter.used(now) for meter in self._whole)

    def clear_at_ns(self, now: Instant) -> int | None:
        """Return when nothing is counted any more, by the wall clock."""
        times = [meter.clear_at(now) for meter in self._whole]
        known = [seconds for seconds in times if seconds is not None]
        return now.at(max(known)).wall_ns if known else None

    def turns_at_ns(self, now: Instant) -> int:
        """Return when a fixed window turns, or how far ahead it matters else."""
        if self.window.period is None:
            return now.at(now.seconds + self.window.seconds).wall_ns
        return stretch(self.window.period, self._zone, now.wall_ns).end_ns

    def turned_since(self, wall_ns: int, now: Instant) -> bool:
        """Return whether a fixed window has turned since then."""
        return self._turned(wall_ns, now.wall_ns)

    def _turned(self, then_ns: int, now_ns: int) -> bool:
        period = self.window.period
        if period is None:
            return False
        return then_ns < stretch(period, self._zone, now_ns).start_ns

    def free_at_ns(self, now: Instant) -> int | None:
        """Return when one more unit fits, by the wall clock; None = now."""
        seconds = max(meter.free_at(1, now) for meter in self._whole)
        return now.at(seconds).wall_ns if seconds > now.seconds else None

    def fill(self, used: int, now: Instant) -> None:
        """Hear that at least so much is used."""
        for meter in self._whole:
            meter.fill(used, now)

    def full_until(self, now: Instant) -> float:
        """Return until when it is full, if the vendor says that it is full now."""
        window = self.window
        if window.kind is not WindowKind.FIXED:
            return now.seconds + window.seconds
        self.fill(self.limit, now)
        return max(meter.free_at(1, now) for meter in self._whole)

    def dump(self) -> State:
        """Return what the meters know."""
        return {
            "window": msgspec.to_builtins(self.window),
            "meters": [(slot.batch_only, slot.meter.dump()) for slot in self.slots],
            "limit": self.limit,
            "told": tuple(self._told) if self._told is not None else None,
        }

    def restore(self, state: State) -> None:
        """Know what was known in an earlier run, if it was about such a window."""
        known = described(state)
        if (known.kind, known.period) != (self.window.kind, self.window.period):
            return
        if known.limit == self.window.limit and state["told"] is not None:
            # Of another plan, the vendor has said nothing yet.
            self.lower(state["limit"], Instant(*state["told"]))
        for batch_only in (False, True):
            meters = [dump for batch, dump in state["meters"] if batch is batch_only]
            mine = [s.meter for s in self.slots if s.batch_only is batch_only]
            # Where no share was kept then, batch calls are not known apart.
            for meter, dump in zip(mine, meters, strict=False):
                meter.restore(dump)

    def resume(self, passage: Passage, now: Instant) -> None:
        """Go on after an earlier run."""
        for slot in self.slots:
            slot.meter.resume(passage, now)
        if self._told is not None:
            seconds = now.seconds
            if self.window.period is None:
                seconds = min(passage(self._told.seconds, self.seconds), now.seconds)
            # As of the periods of a fixed one: its two ends stay, and the latest of
            # all counts from now on.
            self._told = self._told._replace(seconds=seconds)


def described(state: State) -> Window:
    """Return the window that a state is about."""
    return msgspec.convert(state["window"], Window)


def counts_in(line: Line, lane: Lane) -> list[Slot]:
    """Return the meters that a call of a lane must fit."""
    return [slot for slot in line.slots if lane is Lane.BATCH or not slot.batch_only]


def seconds_of(window: Window) -> float:
    """Return the length of a window; of a fixed one, the usual."""
    return USUAL_SECONDS[window.period] if window.period else window.seconds


def _meters(window: Window, limit: int, call_seconds: float) -> list[Meter]:
    margin = window.margin_seconds
    match window.kind:
        case WindowKind.FIXED:
            period = window.period or Period.DAY
            if margin is None:
                margin = fixed_meter.MARGIN_SECONDS
            return [
                FixedMeter(
                    limit,
                    period,
                    window.reset_zone,
                    steady=steady,
                    margin_seconds=margin,
                    call_seconds=call_seconds,
                )
                for steady in (False, True)
            ]
        case WindowKind.BUCKET | WindowKind.ROLLING:
            kind = BucketMeter if window.kind is WindowKind.BUCKET else RollingMeter
            if margin is None:
                margin = rolling_meter.MARGIN_SECONDS
            return [
                kind(
                    limit,
                    window.seconds,
                    margin_seconds=margin,
                    call_seconds=call_seconds,
                )
            ]
        case _:
            assert_never(window.kind)
