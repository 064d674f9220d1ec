"""Who reads too slowly gets what was chosen, and every number is accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest

from ingestion_server.domain.errors import SubscriberTooSlowError
from ingestion_server.domain.ticks import Quote, Tick, TickKind
from ingestion_server.ingest.live.mailbox import Mailbox
from ingestion_server.ingest.live.publishing import Batch, Publisher
from ingestion_server.ports.live import SlowPolicy, StreamEvent, StreamEventKind
from tests.clocks import ManualClock
from tests.ingest.live.letters import bar, event, publisher, some
from tests.ingest.live.ticks import SECOND, TEN

MOST: Final = 10
GAP: Final = event(StreamEventKind.GAP, "lost")
EVERY_POLICY: Final = pytest.mark.parametrize("policy", SlowPolicy)


class Reader:
    """Subscribe to some partitions, and remember what was read."""

    def __init__(
        self, policy: SlowPolicy, *symbols: str, kind: TickKind = TickKind.TRADES
    ) -> None:
        self.clock = ManualClock(TEN, runs=False)
        self.source: Publisher = publisher(clock=self.clock)
        self.partitions = [
            self.source.partition(symbol, kind) for symbol in symbols or ("AAPL",)
        ]
        self.alone: list[Batch] = []
        self.mailbox = Mailbox(
            policy,
            most_items=MOST,
            alone=self._alone,
            now_ns=self.clock.now_ns,
            monotonic=self.clock.monotonic,
        )
        self.group = self.source.join(self.partitions, 0.0, self)
        self.shared: dict[bytes, Batch] = {}

    def put(self, batch: Batch) -> None:
        """Pass a batch on."""
        self.shared[batch.encoded] = batch
        self.mailbox.put(batch)

    def publish(self, ticks: Sequence[Tick], number: int = 0) -> None:
        """Publish some ticks of a partition, as one message."""
        self.source.publish(self.partitions[number], ticks)
        self.source.send_due()

    def announce(self, told: StreamEvent) -> None:
        """Publish an event."""
        self.source.announce(self.partitions[0], told)
        self.source.send_due()

    async def read(self) -> Batch:
        """Read one message."""
        encoded = await self.mailbox.get()
        return self.shared.get(encoded) or next(
            each for each in self.alone if each.encoded is encoded
        )

    async def read_all(self) -> list[Batch]:
        """Read all that is there."""
        found = []
        while not self.mailbox.idle:
            found.append(await self.read())
        return found

    def _alone(
        self, ticks: Sequence[Tick], events: Sequence[StreamEvent], position: int | None
    ) -> Batch:
        batch = self.source.alone(ticks, events, position)
        self.alone.append(batch)
        return batch


def sequences(batches: Sequence[Batch]) -> list[int]:
    """Return the numbers that came."""
    return [tick.sequence for batch in batches for tick in batch.ticks]


def events(batches: Sequence[Batch]) -> list[StreamEvent]:
    """Return the events that came."""
    return [told for batch in batches for told in batch.events]


@EVERY_POLICY
async def test_who_keeps_up_loses_nothing_and_gets_the_shared_bytes(
    policy: SlowPolicy,
) -> None:
    reader = Reader(policy)
    first = reader.partitions[0].sequence

    found = []
    for _ in range(5):
        reader.publish(some(MOST // 2))
        reader.publish(some(MOST // 2))
        found += await reader.read_all()

    assert sequences(found) == list(range(first + 1, first + 5 * MOST + 1))
    assert events(found) == []
    assert reader.alone == []


@EVERY_POLICY
async def test_who_waits_is_woken_by_the_next_message(policy: SlowPolicy) -> None:
    reader = Reader(policy)
    waits = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    assert reader.mailbox.waiting

    reader.publish(some(1))

    assert len((await waits).ticks) == 1
    assert not reader.mailbox.waiting
    assert reader.mailbox.idle


async def test_who_gave_up_waiting_may_read_again() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    waits = asyncio.create_task(reader.read())
    await asyncio.sleep(0)

    waits.cancel()
    await asyncio.wait([waits])
    reader.publish(some(1))

    assert len((await reader.read()).ticks) == 1


async def test_it_is_known_when_somebody_read_last_and_how_much_waits() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    reader.publish(some(3))
    await reader.clock.advance(2)

    assert reader.mailbox.items == 3
    assert reader.clock.monotonic() - reader.mailbox.read_at == 2
    await reader.read()
    assert reader.clock.monotonic() == reader.mailbox.read_at
    assert reader.mailbox.items == 0


async def test_who_fell_behind_gets_the_latest_of_each_and_how_many_were_merged() -> (
    None
):
    reader = Reader(SlowPolicy.CONFLATE, "AAPL", "TSLA")
    apple, tesla = (each.sequence for each in reader.partitions)
    for _ in range(4):
        reader.publish(some(3))
        reader.publish(some(2, "TSLA"), 1)

    (batch,) = await reader.read_all()

    assert [(each.symbol, each.sequence) for each in batch.ticks] == [
        ("AAPL", apple + 12),
        ("TSLA", tesla + 8),
    ]
    assert [
        (each.kind, each.symbol, each.first_missing, each.last_missing, each.count)
        for each in batch.events
    ] == [
        (StreamEventKind.CONFLATED, "AAPL", apple + 1, apple + 11, 11),
        (StreamEventKind.CONFLATED, "TSLA", tesla + 1, tesla + 7, 7),
    ]
    assert {each.tick_kind for each in batch.events} == {TickKind.TRADES}
    assert [each.sequence for each in batch.events] == [apple, tesla]
    assert batch.position == reader.source.position


async def test_every_number_comes_or_is_told_over_many_times_of_falling_behind() -> (
    None
):
    reader = Reader(SlowPolicy.CONFLATE)
    first = reader.partitions[0].sequence

    found = []
    for size in (3, 25, 1, 11, 4, 60, 2):
        for _ in range(size):
            reader.publish(some(1))
        found += await reader.read_all()

    told = {
        number
        for each in events(found)
        for number in range(each.first_missing, each.last_missing + 1)
    }
    came = sequences(found)
    assert came == sorted(set(came))
    assert not told.intersection(came)
    assert told.union(came) == set(range(first + 1, first + 107))
    assert sum(each.count for each in events(found)) == len(told)


async def test_who_has_caught_up_gets_all_again() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    for _ in range(MOST + 1):
        reader.publish(some(1))
    await reader.read_all()
    shared = len(reader.alone)

    reader.publish(some(2))
    found = await reader.read_all()

    assert len(sequences(found)) == 2
    assert len(reader.alone) == shared


async def test_trades_and_quotes_do_not_take_each_others_place() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    quotes = reader.source.partition("AAPL", TickKind.QUOTES)
    reader.source.leave(reader.group, reader)
    reader.source.join([*reader.partitions, quotes], 0.0, reader)
    for _ in range(MOST):
        reader.publish(some(1))
        reader.source.publish(quotes, [Quote("AAPL", TEN, 99.0, 1.0, 101.0, 1.0)])
        reader.source.send_due()

    (batch,) = await reader.read_all()

    assert [type(each).__name__ for each in batch.ticks] == ["Trade", "Quote"]
    assert {each.tick_kind for each in batch.events} == {
        TickKind.TRADES,
        TickKind.QUOTES,
    }


async def test_of_bars_the_latest_of_each_bar_is_kept() -> None:
    reader = Reader(SlowPolicy.CONFLATE, kind=TickKind.BARS)
    minutes = [TEN, TEN + 60 * SECOND, TEN + 120 * SECOND]
    first = reader.partitions[0].sequence
    for minute in minutes:
        for change in range(4):
            reader.publish([bar(minute, close=100.0 + change)])

    (batch,) = await reader.read_all()

    kept = [each for each in batch.ticks if not isinstance(each, Quote)]
    assert [each.open_time_ns for each in kept] == minutes  # type: ignore[union-attr]
    assert {each.close for each in kept} == {103.0}  # type: ignore[union-attr]
    assert [each.sequence for each in kept] == [first + 4, first + 8, first + 12]
    (told,) = batch.events
    assert (told.tick_kind, told.count) == (TickKind.BARS, 9)
    assert (told.first_missing, told.last_missing) == (first + 1, first + 11)


async def test_of_too_many_different_bars_the_oldest_are_told_as_missing() -> None:
    reader = Reader(SlowPolicy.CONFLATE, kind=TickKind.BARS)
    first = reader.partitions[0].sequence
    for minute in range(3 * MOST):
        reader.publish([bar(TEN + minute * 60 * SECOND)])

    (batch,) = await reader.read_all()

    assert len(batch.ticks) == MOST
    (told,) = batch.events
    assert told.count == 2 * MOST
    assert told.last_missing == first + 2 * MOST


async def test_no_size_of_messages_keeps_more_than_a_mailbox_holds() -> None:
    reader = Reader(SlowPolicy.CONFLATE, kind=TickKind.BARS)
    for message in range(20):
        minutes = range(8 * message, 8 * message + 8)
        reader.publish([bar(TEN + minute * 60 * SECOND) for minute in minutes])

    (batch,) = await reader.read_all()

    assert len(batch.ticks) == MOST
    assert [each.count for each in batch.events] == [160 - MOST]


async def test_who_drops_the_oldest_gets_the_newest_after_a_gap_with_its_numbers() -> (
    None
):
    reader = Reader(SlowPolicy.DROP_OLDEST)
    first = reader.partitions[0].sequence
    for _ in range(MOST + 1):
        reader.publish(some(1))

    found = await reader.read_all()

    assert found[0].ticks == []
    (gap,) = found[0].events
    assert gap.kind is StreamEventKind.GAP
    assert (gap.first_missing, gap.last_missing, gap.count) == (first + 1, first + 6, 6)
    assert gap.cause
    assert found[0].position == 0
    assert sequences(found) == list(range(first + 7, first + 12))
    assert found[-1].position == reader.source.position


async def test_who_drops_again_before_reading_is_told_of_all_at_once() -> None:
    reader = Reader(SlowPolicy.DROP_OLDEST)
    first = reader.partitions[0].sequence
    for _ in range(5 * MOST):
        reader.publish(some(1))

    found = await reader.read_all()

    (gap,) = events(found)
    came = sequences(found)
    assert (gap.first_missing, gap.last_missing) == (first + 1, came[0] - 1)
    assert gap.count == came[0] - first - 1
    assert came == list(range(came[0], first + 5 * MOST + 1))


async def test_a_message_that_is_larger_than_a_mailbox_is_dropped_and_told() -> None:
    reader = Reader(SlowPolicy.DROP_OLDEST)
    reader.publish(some(MOST + 1))

    (batch,) = await reader.read_all()

    assert batch.ticks == []
    assert [each.count for each in batch.events] == [MOST + 1]
    assert batch.position == reader.source.position


async def test_who_wants_no_loss_is_sent_away_and_told_how_much_waited() -> None:
    reader = Reader(SlowPolicy.DISCONNECT)
    for _ in range(MOST + 1):
        reader.publish(some(1))
    reader.publish(some(1))

    for _ in range(2):
        with pytest.raises(SubscriberTooSlowError) as raised:
            await reader.read()
        assert raised.value.pending == MOST + 1
    assert reader.mailbox.idle


async def test_who_is_sent_away_while_he_waits_for_nothing_hears_of_it() -> None:
    reader = Reader(SlowPolicy.DISCONNECT)
    waits = asyncio.create_task(reader.read())
    await asyncio.sleep(0)

    reader.publish(some(MOST + 1))

    with pytest.raises(SubscriberTooSlowError):
        await waits


@pytest.mark.parametrize("policy", [SlowPolicy.CONFLATE, SlowPolicy.DROP_OLDEST])
async def test_events_survive_but_for_heartbeats(policy: SlowPolicy) -> None:
    reader = Reader(policy)
    beat = event(StreamEventKind.HEARTBEAT)
    stale = event(StreamEventKind.STALE, "silent")
    for told in (GAP, beat, stale):
        reader.publish(some(1))
        reader.announce(told)
    for _ in range(3 * MOST):
        reader.publish(some(1))

    found = await reader.read_all()

    kinds = [each.kind for each in events(found)]
    assert kinds[:2] == [StreamEventKind.GAP, StreamEventKind.STALE]
    assert kinds[2:] == [
        StreamEventKind.CONFLATED
        if policy is SlowPolicy.CONFLATE
        else StreamEventKind.GAP
    ]


async def test_a_stream_of_events_that_nobody_reads_ends() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    for _ in range(100):
        reader.mailbox.put_alone(*[GAP] * 1_000)

    with pytest.raises(SubscriberTooSlowError):
        await reader.read()


async def test_who_drops_the_oldest_is_sent_away_rather_than_lose_events() -> None:
    reader = Reader(SlowPolicy.DROP_OLDEST)
    for _ in range(100):
        reader.mailbox.put_alone(*[GAP] * 1_000)

    with pytest.raises(SubscriberTooSlowError):
        await reader.read()


async def test_what_only_one_is_told_comes_after_what_all_were_told() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    reader.publish(some(2))

    reader.mailbox.put_alone(GAP)
    found = await reader.read_all()

    assert [len(each.ticks) for each in found] == [2, 0]
    assert found[1].events == (GAP,)
    assert found[1].position == reader.source.position


async def test_what_only_one_is_told_is_not_lost_while_he_is_behind() -> None:
    reader = Reader(SlowPolicy.CONFLATE)
    reader.publish(some(MOST + 1))

    reader.mailbox.put_alone(GAP)
    (batch,) = await reader.read_all()

    assert GAP in batch.events


@pytest.mark.parametrize(
    ("policy", "left"), [(SlowPolicy.CONFLATE, 1), (SlowPolicy.DROP_OLDEST, 4)]
)
async def test_what_is_left_out_is_counted(policy: SlowPolicy, left: int) -> None:
    reader = Reader(policy)
    assert reader.mailbox.dropped == (policy, 0)

    for _ in range(6):
        reader.publish(some(4))
    assert reader.mailbox.behind
    told = await reader.read_all()

    assert not reader.mailbox.behind
    read = len(sequences(told))
    assert read >= left
    assert reader.mailbox.dropped == (policy, 24 - read)
