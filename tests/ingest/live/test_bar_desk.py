"""Live bars are made once for all who want the same, and told as time passes."""

from __future__ import annotations

from dataclasses import dataclass

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, Interval
from ingestion_server.domain.ticks import LiveBar, TickKind
from ingestion_server.ingest.live.bar_desk import BarDesk
from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.connection import Upstream
from tests.clocks import ManualClock
from tests.ingest.live.letters import Inbox, publisher
from tests.ingest.live.ticks import TEN, trade
from tests.ingest.live.vendor import LIMITS, Vendor

REGULAR = TradingHours.REGULAR
MINUTE = Interval.MINUTE_1


@dataclass
class Pump:
    """Be a vendor's connection as far as bars look at it."""

    upstream: Upstream
    silent_seconds: float | None = 0.0


class Room:
    """Have a channel that lives, and a desk for its bars."""

    def __init__(self) -> None:
        self.clock = ManualClock(TEN, runs=False)
        self.publisher = publisher(clock=self.clock)
        self.pump = Pump(Vendor(self.clock).upstream())
        self.asked: list[int] = []
        self.desk = BarDesk(
            self.publisher,
            {"acme": self.pump},  # type: ignore[dict-item]
            lambda _channel, _line, open_ns, _end_ns: self.asked.append(open_ns),
            self.clock,
            LIMITS,
        )
        self.channel = Channel(
            instrument("AAPL"),
            TickKind.TRADES,
            Route(("acme",)),
            self.publisher.partition("AAPL", TickKind.TRADES),
            {"acme": "AAPL"},
        )
        self.channel.active, self.channel.live = "acme", True
        self.inbox = Inbox()

    def line(self, interval: Interval = MINUTE) -> BarLine:
        """Subscribe to bars."""
        line = self.desk.line(self.channel, interval, REGULAR, None)
        if line.subscribers == 1:
            self.publisher.join([line.partition], 0.0, self.inbox)
        return line

    def look(self, seconds: float) -> list[LiveBar]:
        """Let time pass, and return the bars that are told."""
        self.clock.pass_by(seconds)
        self.desk.look(self.clock.monotonic())
        self.publisher.send_due()
        bars = [tick for batch in self.inbox.batches for tick in batch.ticks]
        self.inbox.batches.clear()
        return [each for each in bars if isinstance(each, LiveBar)]


def test_who_wants_the_same_bars_shares_them() -> None:
    room = Room()
    one, two, other = room.line(), room.line(), room.line(Interval.MINUTE_5)

    assert one is two
    assert one.subscribers == 2
    assert other is not one
    assert room.channel.lines == [one, other]


def test_a_bar_is_told_while_it_forms_and_when_the_vendors_time_is_past_it() -> None:
    room = Room()
    line = room.line()
    line.builder.trust(TEN, None)
    line.add([trade(61)])

    assert [each.state for each in room.look(61)] == [BarState.PARTIAL]
    assert room.look(60) == []
    (told,) = room.look(2)
    assert (told.open_time_ns, told.state) == (TEN + MINUTE_NS, BarState.FINAL)


def test_while_the_vendor_is_silent_or_away_no_bar_is_over() -> None:
    room = Room()
    room.line().add([trade(61)])
    room.look(61)

    room.pump.silent_seconds = 300.0
    assert room.look(120) == []
    room.pump.silent_seconds = None
    assert room.look(120) == []
    room.channel.live, room.pump.silent_seconds = False, 0.0
    assert room.look(120) == []


def test_before_it_is_known_that_all_trades_come_bars_are_asked_for() -> None:
    room = Room()
    room.channel.live = False
    room.line()
    room.channel.live = True

    room.look(90)

    assert room.asked == [TEN]


def test_what_nobody_wants_ends_in_a_while_and_who_comes_back_in_time_has_it() -> None:
    room = Room()
    line = room.line()
    line.subscribers, line.left_at = 0, room.clock.monotonic()

    room.look(LIMITS.linger_seconds - 1)
    assert room.line() is line
    line.left_at = room.clock.monotonic()
    room.look(LIMITS.linger_seconds)

    assert room.channel.lines == []
    assert room.line() is not line


def test_of_what_is_removed_nothing_is_told() -> None:
    room = Room()
    room.line().add([trade(1)])
    room.desk.remove(room.channel)

    assert room.look(600) == []
