"""What is published is numbered, kept, and written once for all who read it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.publishing import (
    FIRST_SEQUENCE,
    MOST_BATCH_ITEMS,
    Placed,
    Publisher,
)
from ingestion_server.ports.live import StreamEventKind
from tests.clocks import ManualClock
from tests.ingest.live.letters import (
    EPOCH,
    Inbox,
    Scribe,
    event,
    position,
    publisher,
    some,
    trades_of,
)
from tests.ingest.live.ticks import TEN

AT_ONCE = 0.0
GAP = event(StreamEventKind.GAP, "lost")
STALE = event(StreamEventKind.STALE, "silent")


def test_numbers_of_each_partition_have_no_holes_and_positions_are_of_all() -> None:
    source = publisher()
    apple, tesla = trades_of(source), trades_of(source, "TSLA")
    first, before = apple.sequence, source.position

    ticks = [some(2), some(1, "TSLA"), some(1)]
    source.publish(apple, ticks[0])
    source.publish(tesla, ticks[1])
    source.announce(apple, GAP)
    source.publish(apple, ticks[2])

    of_apple = [each.sequence - first for each in (*ticks[0], *ticks[2])]
    assert of_apple == [1, 2, 3]
    assert apple.sequence == first + 3 > FIRST_SEQUENCE
    assert tesla.sequence == ticks[1][0].sequence
    places = [each.position - before for told in ticks for each in told]
    assert places == [1, 2, 3, 5]
    assert source.position == before + 5


def test_a_partition_that_comes_back_gives_no_number_twice() -> None:
    source = publisher()
    before = trades_of(source)
    source.publish(before, some(10))
    source.drop(before)

    after = trades_of(source)
    ticks = some(1)
    source.publish(after, ticks)

    assert ticks[0].sequence > before.sequence


def test_who_asks_for_the_same_gets_the_same_bytes() -> None:
    scribe = Scribe()
    clock = ManualClock(TEN, runs=False)
    source = Publisher(scribe, clock, epoch=EPOCH, replay_items=100)
    apple, tesla = trades_of(source), trades_of(source, "TSLA")
    first, second, other = Inbox(), Inbox(), Inbox()
    group = source.join([apple, tesla], AT_ONCE, first)
    assert source.join([tesla, apple], AT_ONCE, second) is group
    assert source.join([apple], AT_ONCE, other) is not group

    source.publish(apple, some(3))
    source.send_due()

    assert first.batches[0].encoded is second.batches[0].encoded
    assert other.lines == first.lines
    assert scribe.written == 3


def test_who_joins_later_gets_nothing_that_was_published_before() -> None:
    source = publisher()
    apple = trades_of(source)
    first, second = Inbox(), Inbox()
    source.join([apple], AT_ONCE, first)
    source.publish(apple, some(1))

    source.join([apple], AT_ONCE, second)
    source.publish(apple, some(1))
    source.send_due()

    assert [len(batch.ticks) for batch in first.batches] == [1, 1]
    assert [len(batch.ticks) for batch in second.batches] == [1]
    assert second.batches[0].encoded is first.batches[1].encoded


def test_who_left_gets_nothing_any_more() -> None:
    source = publisher()
    apple = trades_of(source)
    stays, leaves = Inbox(), Inbox()
    group = source.join([apple], AT_ONCE, stays)
    source.join([apple], AT_ONCE, leaves)

    source.leave(group, leaves)
    source.publish(apple, some(1))
    source.send_due()
    source.leave(group, stays)
    source.publish(apple, some(1))
    source.send_due()

    assert leaves.batches == []
    assert len(stays.batches) == 1
    assert apple.groups == []


def test_many_items_become_messages_whose_tokens_go_on() -> None:
    source = publisher()
    apple, tesla = trades_of(source), trades_of(source, "TSLA")
    inbox = Inbox()
    source.join([apple, tesla], AT_ONCE, inbox)

    source.publish(tesla, some(100, "TSLA"))
    source.publish(apple, some(2 * MOST_BATCH_ITEMS + 1))
    source.send_due()

    assert [len(each.ticks) for each in inbox.batches] == [
        100,
        MOST_BATCH_ITEMS,
        MOST_BATCH_ITEMS,
        1,
    ]
    assert inbox.tokens[-1] == source.position
    assert all(
        batch.ticks[-1].position == token
        for batch, token in zip(inbox.batches, inbox.tokens, strict=True)
    )
    lines = [line for message in inbox.lines for line in message]
    numbers = [int(line.split()[1]) for line in lines if line.startswith("AAPL")]
    assert all(after == before + 1 for before, after in pairwise(numbers))
    assert len(numbers) == 2 * MOST_BATCH_ITEMS + 1


def test_many_events_become_messages_whose_tokens_go_on() -> None:
    source = publisher()
    apple = trades_of(source)
    inbox = Inbox()
    source.join([apple], AT_ONCE, inbox)

    before = source.position
    for _ in range(MOST_BATCH_ITEMS + 3):
        source.announce(apple, STALE)
    source.publish(apple, some(2))
    source.send_due()

    assert [(len(b.events), len(b.ticks)) for b in inbox.batches] == [
        (MOST_BATCH_ITEMS, 0),
        (3, 2),
    ]
    assert inbox.tokens == [before + MOST_BATCH_ITEMS, source.position]


def test_within_a_message_events_stand_before_data_and_never_move_before_older() -> (
    None
):
    source = publisher()
    apple = trades_of(source)
    inbox = Inbox()
    source.join([apple], AT_ONCE, inbox)

    source.publish(apple, some(1))
    source.announce(apple, GAP)
    source.announce(apple, STALE)
    source.publish(apple, some(1))
    source.send_due()

    one, two = apple.sequence - 1, apple.sequence
    assert inbox.lines == [
        [f"AAPL {one}"],
        ["! gap lost", "! stale silent", f"AAPL {two}"],
    ]


def test_a_token_says_of_which_start_it_is_and_when_it_was_given() -> None:
    source = publisher()
    apple = trades_of(source)
    inbox = Inbox()
    source.join([apple], AT_ONCE, inbox)

    source.publish(apple, some(1))
    source.send_due()

    last = inbox.batches[0].encoded.decode().splitlines()[-1]
    assert tokens.read(bytes.fromhex(last[1:])) == tokens.Token(
        EPOCH, source.position, TEN
    )


def test_what_came_since_a_position_is_kept_with_its_events() -> None:
    source = publisher()
    apple, tesla = trades_of(source), trades_of(source, "TSLA")
    source.publish(apple, some(2))
    since = source.position
    source.publish(tesla, some(5, "TSLA"))
    source.announce(apple, GAP)
    late = some(1)
    source.publish(apple, late)

    kept = apple.since(since)

    assert isinstance(kept[0], Placed)
    assert kept[0].event is GAP
    assert kept[1:] == late
    assert apple.since(source.position) == []


def test_what_is_not_kept_any_more_is_known() -> None:
    source = publisher(replay_items=5)
    apple, tesla = trades_of(source), trades_of(source, "TSLA")
    older, newer = some(2), some(2)
    source.publish(apple, older)
    source.publish(apple, newer)
    assert apple.evicted == apple.born

    source.publish(tesla, some(3, "TSLA"))

    # What was published at once is kept, or not, as a whole.
    assert apple.evicted == older[-1].position
    assert [each.position for each in apple.since(0)] == [
        each.position for each in newer
    ]
    assert tesla.evicted == tesla.born
    assert len(tesla.since(0)) == 3


def test_of_what_was_dropped_nothing_is_kept_and_others_lose_nothing_by_it() -> None:
    source = publisher(replay_items=5)
    apple, tesla = trades_of(source), trades_of(source, "TSLA")
    source.publish(apple, some(4))

    source.drop(apple)
    source.publish(tesla, some(5, "TSLA"))

    assert list(apple.ring) == []
    assert len(tesla.since(0)) == 5
    assert tesla.evicted == tesla.born


async def test_who_has_patience_gets_fewer_messages() -> None:
    source = publisher()
    apple = trades_of(source)
    patient, hasty = Inbox(), Inbox()
    source.join([apple], 0.02, patient)
    source.join([apple], AT_ONCE, hasty)

    for _ in range(3):
        source.publish(apple, some(1))
        source.send_due()
    assert (len(patient.batches), len(hasty.batches)) == (0, 3)
    async with asyncio.timeout(5):
        await patient.came.wait()

    assert [len(each.ticks) for each in patient.batches] == [3]


async def test_nothing_is_sent_to_a_group_that_was_left_while_it_waited() -> None:
    source = publisher()
    apple = trades_of(source)
    inbox = Inbox()
    group = source.join([apple], 0.006, inbox)
    source.publish(apple, some(1))

    source.leave(group, inbox)

    assert group.timer is not None
    assert group.timer.cancelled()


def test_a_message_for_one_stands_for_what_was_told_before_it() -> None:
    source = publisher()
    apple = source.partition("AAPL", TickKind.TRADES)
    ticks = some(1)
    source.publish(apple, ticks)

    told = source.alone(ticks, [GAP], source.position)
    without = source.alone(ticks, [GAP])

    assert told.encoded.decode().splitlines()[:2] == [
        "! gap lost",
        f"AAPL {apple.sequence}",
    ]
    assert position(told.encoded) == told.position == source.position
    assert (position(without.encoded), without.position) == (0, 0)
