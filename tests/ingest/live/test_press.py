"""What is heard is held until it may have been sorted, then published, events too."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.ticks import Tick, TickKind, Trade
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.crowd import SHARE, Readers
from ingestion_server.ingest.live.press import Press
from ingestion_server.ports.live import StreamEventKind
from tests.clocks import ManualClock
from tests.ingest.live.letters import Inbox, publisher, some
from tests.ingest.live.ticks import TEN, trade

NEVER = 3600.0
"""Longer than any test."""


class Room:
    """Have channels with a subscriber, and a press."""

    def __init__(self, *symbols: str, sorting_seconds: float = 0.0) -> None:
        clock = ManualClock(TEN, runs=False)
        self.publisher = publisher(clock=clock)
        self.inbox = Inbox()
        self.channels = [
            Channel(
                instrument(symbol),
                TickKind.TRADES,
                Route(("acme",)),
                self.publisher.partition(symbol, TickKind.TRADES),
                {"acme": symbol},
            )
            for symbol in symbols or ("AAPL",)
        ]
        self.publisher.join([each.partition for each in self.channels], 0.0, self.inbox)
        self.lags: list[tuple[str, float]] = []
        self.press = Press(
            self.publisher,
            Readers(clock.monotonic),
            sorting_seconds=sorting_seconds,
            on_lag=[lambda name, seconds: self.lags.append((name, seconds))],
        )

    def hear(self, *ticks: Trade, channel: int = 0) -> None:
        """Let a channel hear something."""
        if not self.channels[channel].pending:
            self.press.ready(self.channels[channel])
        self.channels[channel].pending.extend(ticks)

    @property
    def told(self) -> list[Tick]:
        """Return the ticks that the subscriber has."""
        return [tick for batch in self.inbox.batches for tick in batch.ticks]


async def test_what_several_messages_tell_is_published_together_and_in_order() -> None:
    room = Room()
    later, earlier = trade(2), trade(1)
    room.hear(later)
    room.hear(earlier)
    assert room.told == []

    await room.inbox.came.wait()

    assert room.told == [earlier, later]
    assert len(room.inbox.batches) == 1


async def test_what_is_settled_is_published_before_what_is_told_next() -> None:
    room = Room(sorting_seconds=NEVER)
    room.hear(trade(1))
    room.press.settle(room.channels[0])
    room.press.settle(room.channels[0])
    room.press.tell(room.channels[0], StreamEventKind.STALE, detail="lost")
    await room.press.caught_up()

    (first, second) = room.inbox.lines
    assert [line.split()[0] for line in first] == ["AAPL"]
    assert second == ["! stale lost"]


async def test_with_ticks_it_is_known_again_that_something_comes() -> None:
    room = Room(sorting_seconds=NEVER)
    room.channels[0].stale = True
    room.hear(trade(1))
    await room.press.caught_up()

    assert not room.channels[0].stale


async def test_a_defect_in_one_channel_does_not_keep_the_others_from_coming(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room("AAPL", "TSLA", sorting_seconds=NEVER)
    room.hear(None, channel=0)  # type: ignore[arg-type]
    good = trade(1)
    room.hear(good, channel=1)
    await room.press.caught_up()

    assert room.told == [good]
    assert "what came of AAPL was lost" in caplog.text


async def test_many_ticks_are_sent_share_by_share() -> None:
    room = Room(sorting_seconds=NEVER)
    await room.press.publish(room.channels[0].partition, some(2 * SHARE + 1))

    assert [len(batch.ticks) for batch in room.inbox.batches] == [SHARE, SHARE, 1]


async def test_nothing_is_sent_after_the_end() -> None:
    room = Room()
    room.hear(trade(1))
    room.press.stop()
    for _ in range(5):
        await asyncio.sleep(0)

    assert room.told == []


async def test_how_late_data_are_is_told_once_of_each_vendor() -> None:
    room = Room("AAPL", "TSLA", "IBM", sorting_seconds=NEVER)
    for number, name in enumerate(("acme", "acme", "zenith")):
        room.channels[number].active = name
        room.hear(trade(-2 - number), channel=number)

    await room.press.caught_up()

    assert room.lags == [("acme", 3.0), ("zenith", 4.0)]


async def test_a_vendor_whose_clock_is_ahead_is_not_late() -> None:
    room = Room(sorting_seconds=NEVER)
    room.hear(trade(2))

    await room.press.caught_up()

    assert [seconds for _, seconds in room.lags] == [0.0]
