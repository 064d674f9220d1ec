"""What was missing is published once it is had; of bars, also that it cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import LiveBar, Tick, TickKind, Trade
from ingestion_server.ingest.live.aftercare import Aftercare
from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Break, Channel, Overlap, Route
from ingestion_server.ingest.live.crowd import Readers
from ingestion_server.ingest.live.filling import Filled, NotFilled
from ingestion_server.ingest.live.labels import BarLabels
from ingestion_server.ingest.live.press import Press
from ingestion_server.ingest.live.unfinished import Unfinished, WhyNot, Word
from ingestion_server.ports.live import StreamEvent, StreamEventKind
from tests.clocks import ManualClock
from tests.ingest.live.letters import Inbox, bar, publisher
from tests.ingest.live.ticks import SECOND, TEN, trade

AAPL = instrument("AAPL")
REGULAR = TradingHours.REGULAR


@dataclass
class Vendors:
    """Be all that is asked, and answer what a test says."""

    filled: Filled | NotFilled = field(default_factory=lambda: NotFilled("no history"))
    bar: LiveBar | None = None
    asked: list[int] = field(default_factory=list)

    async def fill(self, *_: object) -> Filled | NotFilled:
        """Answer for a gap."""
        return self.filled

    async def words(self, bars: Unfinished) -> Sequence[Word]:
        """Answer for bars, all at once."""
        self.asked.append(len(bars))
        found = {} if self.bar is None else {self.bar.open_time_ns: self.bar}
        return bars.answered(
            Span(TEN, TEN + 7200 * SECOND),
            found,
            lambda _: WhyNot("acme is closed", for_good=True),
            0.0,
        )


class Room:
    """Have a channel with bars, and one subscriber to both."""

    def __init__(self, vendors: Vendors) -> None:
        clock = ManualClock(TEN, runs=False)
        source = publisher(clock=clock)
        self.channel = Channel(
            AAPL,
            TickKind.TRADES,
            Route(("acme",)),
            source.partition("AAPL", TickKind.TRADES),
            {"acme": "AAPL"},
        )
        self.line = BarLine(
            source.partition("AAPL", TickKind.BARS),
            BarLabels(Interval.MINUTE_1, REGULAR, AAPL, None),
            REGULAR,
            source,
            lambda *_: None,
            since_ns=TEN,
            grace_seconds=2.0,
        )
        self.channel.lines.append(self.line)
        self.inbox = Inbox()
        source.join([self.channel.partition, self.line.partition], 0.0, self.inbox)
        self.press = Press(source, Readers(clock.monotonic), sorting_seconds=3600.0)
        self.work: list[Coroutine[None, None, None]] = []
        self.aftercare = Aftercare(
            self.press,
            vendors,  # type: ignore[arg-type]
            vendors,  # type: ignore[arg-type]
            lambda work, _: self.work.append(work),
        )

    def broken(self) -> Break:
        """Return a break of the channel's, around which something is collected."""
        overlap = Overlap("acme", [])
        self.channel.overlaps.append(overlap)
        return Break(TEN, "lost", "acme", [], overlap)

    async def work_is_done(self) -> None:
        """Do what is to be done, and send what is told by it."""
        work, self.work = self.work, []
        await asyncio.gather(*work)
        await self.press.caught_up()

    @property
    def ticks(self) -> list[Tick]:
        """Return what the subscriber was told, in this order."""
        return [tick for batch in self.inbox.batches for tick in batch.ticks]

    @property
    def events(self) -> list[StreamEvent]:
        """Return the events that the subscriber was told."""
        return [event for batch in self.inbox.batches for event in batch.events]


async def test_what_was_missing_is_published_and_counts_for_bars() -> None:
    missing = (trade(1), trade(2))
    room = Room(Vendors(Filled(missing)))
    broken = room.broken()
    waiting = trade(9)
    room.channel.pending.append(waiting)
    room.aftercare.fill(room.channel, broken, TEN + 5 * SECOND)
    await room.work_is_done()

    trades = [tick for tick in room.ticks if isinstance(tick, Trade)]
    assert trades == [waiting, *missing]
    (event,) = room.events
    assert (event.kind, event.count, event.verified) == (
        StreamEventKind.BACKFILLED,
        2,
        True,
    )
    assert (event.from_ns, event.to_ns) == (TEN, TEN + 5 * SECOND)
    (forming,) = room.line.builder.unfinished()
    assert forming.volume == sum(each.size or 0 for each in (waiting, *missing))
    assert room.aftercare.filled == 1
    assert room.channel.overlaps == []


async def test_a_gap_that_cannot_be_filled_stands_and_nothing_is_told() -> None:
    room = Room(Vendors())
    room.aftercare.fill(room.channel, room.broken(), TEN + SECOND)

    await room.work_is_done()

    assert room.inbox.batches == []
    assert room.aftercare.filled == 0
    assert room.channel.overlaps == []


async def test_a_vendors_own_bar_is_asked_for_once_and_told() -> None:
    own = bar(TEN)
    vendors = Vendors(bar=own)
    room = Room(vendors)
    for _ in range(2):
        room.aftercare.confirm(room.channel, room.line, TEN, TEN + MINUTE_NS)
    await room.work_is_done()

    assert vendors.asked == [1]
    assert room.ticks == [own]

    room.aftercare.confirm(room.channel, room.line, TEN, TEN + MINUTE_NS)
    await room.work_is_done()

    assert vendors.asked == [1, 1]


async def test_all_bars_of_a_line_are_asked_for_together() -> None:
    vendors = Vendors()
    room = Room(vendors)
    for number in range(20):
        open_ns = TEN + number * MINUTE_NS
        room.aftercare.confirm(room.channel, room.line, open_ns, open_ns + MINUTE_NS)
    await room.work_is_done()

    assert vendors.asked == [20]
    assert [event.kind for event in room.events] == [StreamEventKind.GAP] * 20


async def test_a_bar_that_nobody_has_is_a_gap_that_says_why() -> None:
    room = Room(Vendors())
    room.aftercare.confirm(room.channel, room.line, TEN, TEN + MINUTE_NS)
    await room.work_is_done()

    (event,) = room.events
    assert (event.kind, event.tick_kind) == (StreamEventKind.GAP, TickKind.BARS)
    assert (event.from_ns, event.to_ns) == (TEN, TEN + MINUTE_NS)
    assert event.cause.endswith("no vendor tells its own: acme is closed")


async def test_a_bar_for_which_there_is_no_place_is_a_gap_at_once() -> None:
    room = Room(Vendors(bar=bar(TEN)))
    for number in range(65):
        open_ns = TEN + number * MINUTE_NS
        room.aftercare.confirm(room.channel, room.line, open_ns, open_ns + MINUTE_NS)
    await room.press.caught_up()

    (event,) = room.events
    assert event.from_ns == TEN + 64 * MINUTE_NS
    assert event.cause.endswith("64 bars wait for theirs already")
    await room.work_is_done()


async def test_who_left_is_told_nothing_of_a_bar() -> None:
    vendors = Vendors(bar=bar(TEN))
    room = Room(vendors)
    room.aftercare.confirm(room.channel, room.line, TEN, TEN + MINUTE_NS)
    room.channel.lines.clear()

    await room.work_is_done()

    assert room.inbox.batches == []
    assert vendors.asked == []
