"""
Calls that leave when meters have room, travel, and are answered.

Time is the vendor's, in whole nanoseconds. The machine's wall clock may be set, and the
machine may be started anew; the vendor does not care.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from ingestion_server.quota.admission import LONG_AGO, admit, waits
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Slot
from ingestion_server.quota.meter import CALL_SECONDS, Meter, Passage
from tests.quota.judge import SECOND_NS, Judge

CALL_NS = round(CALL_SECONDS * SECOND_NS)
_LOOKS = 100
"""Who has not found a turn after so many looks never will."""
_SHORT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """Say what one call does, and what happens before it."""

    pause_ns: int = 0
    amount: int = 1
    travel_ns: int = 0
    thought_ns: int = 0
    """How long the vendor, and the way back, take."""
    leaves: bool = True
    """Or else it is given back when it would have been answered."""
    told: int = 0
    """How much the vendor says is used, at least; before the call is asked for."""
    jump_ns: int = 0
    """By how much somebody sets the wall clock."""
    restart: bool = False
    uptime_ns: int | None = None
    """How long ago the machine was started when the server is; None = never was."""


@dataclass(slots=True)
class Road:
    """Lead calls from the meters to the judge."""

    make: Callable[[], Sequence[Meter]]
    judge: Judge
    true_ns: int
    anchor_error_ns: int = 0
    """By how much the wall clock was wrong when the machine was started."""
    patient_ns: int | None = None
    """How much longer a call may travel than one that leaves before it is answered."""
    skew_ns: int = 0
    """By how much the vendor's clock is ahead."""
    all_arrive: bool = True
    """Whether what is under way arrives before the server is started again."""
    calls: int = 0
    base_ns: int = field(init=False)
    """The vendor's time when the steady clock stood at zero."""
    wall_error_ns: int = 0
    meters: Sequence[Meter] = field(init=False)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    # Answered at, number, travelling until, and whether it left.
    under_way: list[tuple[int, int, int, bool]] = field(default_factory=list)
    travels: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the machine an hour ago."""
        self.base_ns = self.true_ns - 3600 * SECOND_NS
        self.wall_error_ns = self.anchor_error_ns
        self.meters = self.make()

    def now(self) -> Instant:
        """Return what the machine's clocks say."""
        return Instant(
            (self.true_ns - self.base_ns) / SECOND_NS,
            self.true_ns + self.wall_error_ns,
            self.true_ns + self.anchor_error_ns,
        )

    def go(self, journeys: Iterable[Journey]) -> None:
        """Let all of them happen, each after the one before has left."""
        for journey in journeys:
            self.pass_by(self.true_ns + journey.pause_ns)
            self.wall_error_ns += journey.jump_ns
            if journey.restart:
                self.restart(journey.uptime_ns)
            if journey.told:
                for meter in self.meters:
                    meter.fill(journey.told, self.now())
            self.leave(journey)
        self.pass_by(self.true_ns + 2 * CALL_NS)

    def leave(self, journey: Journey) -> None:
        """Wait for the turn of a call, and let it go."""
        slots = [
            Slot("", by_units=True, batch_only=False, meter=m) for m in self.meters
        ]
        for _ in range(_LOOKS):
            now = self.now()
            turn = waits(slots, journey.amount, LONG_AGO, now)
            if math.isinf(turn.at_seconds):
                assert journey.amount > min(meter.limit for meter in self.meters)
                return
            if turn.at_seconds <= now.seconds:
                break
            moment = now.at(turn.at_seconds)
            for meter in self.meters:
                assert meter.free_at(journey.amount, moment) <= moment.seconds
            ahead_ns = math.ceil((turn.at_seconds - now.seconds) * SECOND_NS)
            # Answers may come meanwhile, and change the turn.
            self.pass_by(min(self.true_ns + ahead_ns, self.next_answer_ns()))
        else:
            raise AssertionError("the turn never comes")
        number = next(self.numbers)
        admit(slots, number, journey.amount, now)
        travel_ns = journey.travel_ns
        if self.patient_ns is not None and self.travels:
            slowest_ns = max(self.travels.values())
            travel_ns = max(travel_ns, slowest_ns - self.patient_ns)
        arrives_ns = self.true_ns + travel_ns
        if journey.leaves:
            self.judge.arrive(arrives_ns + self.skew_ns, 1, journey.amount)
            self.travels[number] = travel_ns
            self.calls += 1
        heapq.heappush(
            self.under_way,
            (arrives_ns + journey.thought_ns, number, arrives_ns, journey.leaves),
        )

    def next_answer_ns(self) -> float:
        """Return when the next answer comes."""
        return self.under_way[0][0] if self.under_way else math.inf

    def pass_by(self, until_ns: float) -> None:
        """Let time pass, and answers come."""
        while self.next_answer_ns() <= until_ns:
            at_ns, number, _, left = heapq.heappop(self.under_way)
            self.true_ns = max(at_ns, self.true_ns)
            self.travels.pop(number, None)
            for meter in self.meters:
                if left:
                    meter.arrive(number, self.now())
                else:
                    meter.refund(number, self.now())
        self.true_ns = max(self.true_ns, int(until_ns))

    def restart(self, uptime_ns: int | None) -> None:
        """
        Kill the server and start it again.

        Nobody hears the answers to what is under way.
        """
        states = msgspec.msgpack.encode([meter.dump() for meter in self.meters])
        arrived_ns = max((each[2] for each in self.under_way), default=self.true_ns)
        self.under_way.clear()
        self.travels.clear()
        if self.all_arrive:
            self.true_ns = max(self.true_ns, arrived_ns)
        passage: Passage = lambda seconds, _: seconds  # noqa: E731 - as recovery has it
        if uptime_ns is not None:
            before_ns, self.true_ns = self.base_ns, self.true_ns + uptime_ns
            self.base_ns = self.true_ns - uptime_ns
            passage = self._passage(before_ns)
        self.meters = self.make()
        for meter, state in zip(
            self.meters, msgspec.msgpack.decode(states), strict=True
        ):
            meter.restore(state)
            meter.resume(passage, self.now())

    def _passage(self, before_ns: int) -> Passage:
        """Do as the recovery does after another start of the machine."""
        now = self.now()

        def across(seconds: float, window_seconds: float) -> float:
            then_ns = before_ns + round(seconds * SECOND_NS)
            ago = max((self.true_ns - then_ns) / SECOND_NS, 0.0)
            if window_seconds <= _SHORT_SECONDS:
                ago = min(ago, now.seconds)
            return now.seconds - ago

        return across
