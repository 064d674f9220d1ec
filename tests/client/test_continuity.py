"""Holes that nobody declared are told, and nothing is told twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketdata.ingestion.v1 import stream_pb2

from ingestion_server.client import StreamEvent
from ingestion_server.client.continuity import Continuity
from tests.client.streams import (
    BARS,
    QUOTES,
    TRADES,
    Event,
    at,
    event,
    live_bar,
    quote,
    said,
    subscribed,
    trade,
)
from tests.client.telling import stamp

NOW_NS = 1_736_200_000 * 10**9
AGAIN = "the connection is made anew"
"""Stands between what came by two connections."""


def told(*script, kinds=(TRADES,)) -> list:
    """Show what becomes of messages: numbers, local gaps as ranges, events as kinds."""
    continuity = Continuity(kinds)
    shown: list = []
    for message in script:
        if message is AGAIN:
            continuity.reconnect()
            continue
        items, _ = continuity.check(message, NOW_NS)
        for item in items:
            if not isinstance(item, StreamEvent):
                shown.append(item.sequence)
            elif item.local:
                shown.append((item.first_missing, item.last_missing))
            else:
                shown.append(item.kind)
    return shown


def gap(**more) -> Event:
    """Declare that data are missing."""
    return event(Event.KIND_GAP, **{"tick_kind": TRADES} | more)


def test_numbers_that_follow_each_other_are_told_as_they_are() -> None:
    assert told(said(subscribed(7)), said(trade(8), trade(9)), said(trade(10))) == [
        "subscribed",
        8,
        9,
        10,
    ]


def test_the_first_number_may_be_any_where_none_was_announced() -> None:
    assert told(said(trade(500), trade(501))) == [500, 501]


def test_a_hole_that_no_event_declares_is_told_before_what_follows() -> None:
    assert told(said(trade(1)), said(trade(2), trade(5))) == [1, 2, (3, 4), 5]


def test_a_hole_after_a_subscription_is_told_too() -> None:
    assert told(said(subscribed(7)), said(trade(10))) == ["subscribed", (8, 9), 10]


def test_a_hole_says_where_it_is_and_who_noticed_it() -> None:
    continuity = Continuity([TRADES])
    continuity.check(said(trade(1)), NOW_NS)

    (hole, _), message = continuity.check(said(trade(4), token=b"t"), NOW_NS)

    assert hole == StreamEvent(
        kind="gap",
        symbol="AAPL",
        tick_kind="trades",
        sequence=1,
        time_ns=NOW_NS,
        from_ns=int(at(1).timestamp()) * 10**9,
        to_ns=int(at(4).timestamp()) * 10**9,
        cause="numbers 2 to 3 were skipped without a word",
        first_missing=2,
        last_missing=3,
        local=True,
    )
    assert [each.kind for each in message.events] == [Event.KIND_GAP]
    assert (list(message.trades), message.resume_token) == ([trade(4)], b"t")


@pytest.mark.parametrize("kind", [Event.KIND_GAP, Event.KIND_CONFLATED])
def test_a_hole_that_an_event_declares_is_not_told_again(
    kind: Event.Kind.ValueType,
) -> None:
    declared = event(kind, tick_kind=TRADES, first_missing=2, last_missing=4)

    name = Event.Kind.Name(kind).removeprefix("KIND_").lower()
    assert told(said(trade(1)), said(declared, trade(5))) == [1, name, 5]


def test_an_event_that_declares_only_some_of_a_hole_leaves_the_rest() -> None:
    declared = gap(first_missing=4, last_missing=4)

    assert told(said(trade(1)), said(declared, trade(7))) == [
        1,
        "gap",
        (2, 3),
        (5, 6),
        7,
    ]


def test_of_merged_bars_the_latest_of_each_come_all_the_same() -> None:
    # The bar of number 2 was followed by 3 and 4; the one of number 1 by none.
    conflated = event(
        Event.KIND_CONFLATED, tick_kind=BARS, first_missing=2, last_missing=3
    )

    assert told(
        said(subscribed(0, tick_kind=BARS)),
        said(conflated, live_bar(1), live_bar(4)),
        said(live_bar(5)),
        kinds=(BARS,),
    ) == ["subscribed", "conflated", 1, 4, 5]


def test_a_number_that_was_declared_missing_may_come_later() -> None:
    declared = gap(first_missing=2, last_missing=4)

    assert told(said(trade(1)), said(declared, trade(3)), said(trade(5))) == [
        1,
        "gap",
        3,
        5,
    ]


def test_live_data_may_be_announced_after_history_has_come() -> None:
    live = subscribed(1 << 32, tick_kind=BARS)

    assert told(
        said(live_bar(1), live_bar(2)),
        said(live),
        said(live_bar((1 << 32) + 1)),
        kinds=(BARS,),
    ) == [1, 2, "subscribed", (1 << 32) + 1]


def test_a_gap_of_the_vendor_excuses_no_number() -> None:
    assert told(said(trade(1)), said(gap(sequence=1), trade(3))) == [
        1,
        "gap",
        (2, 2),
        3,
    ]


def test_symbols_and_kinds_are_numbered_on_their_own() -> None:
    assert told(
        said(trade(1), trade(7, "TSLA"), quote(4), live_bar(2)),
        said(trade(2), trade(8, "TSLA"), quote(5), live_bar(3)),
        kinds=(TRADES, QUOTES, BARS),
    ) == [4, 1, 7, 2, 5, 2, 8, 3]


def test_what_has_no_number_is_told_as_it_comes() -> None:
    assert told(said(live_bar(0), live_bar(0)), said(live_bar(0)), kinds=(BARS,)) == [
        0,
        0,
        0,
    ]


def test_what_comes_again_over_a_new_connection_is_left_out() -> None:
    continuity = Continuity([TRADES])
    continuity.check(said(trade(1), trade(2)), NOW_NS)
    continuity.reconnect()

    items, message = continuity.check(said(trade(1), trade(2), trade(3)), NOW_NS)

    assert [each.sequence for each in items] == [3]
    assert list(message.trades) == [trade(3)]


def test_a_hole_between_two_connections_is_told() -> None:
    assert told(said(trade(1)), AGAIN, said(subscribed(5)), said(trade(6))) == [
        1,
        "subscribed",
        (2, 5),
        6,
    ]


def test_what_a_new_connection_brings_again_from_before_is_followed() -> None:
    # The server is at 9 already, and sends what was missed.
    assert told(
        said(trade(1)), AGAIN, said(subscribed(9)), said(trade(2), trade(3))
    ) == [1, "subscribed", 2, 3]


RESTARTS = {
    "a subscription and a gap": [subscribed(0), gap(cause="restarted")],
    "a gap and a subscription": [gap(cause="restarted"), subscribed(0)],
    "a gap with its number": [gap(sequence=0)],
    "a gap with the numbers of the new count": [gap(first_missing=1, last_missing=1)],
    "one about all kinds": [gap(tick_kind=0)],
    "both about all kinds": [subscribed(0, tick_kind=0), gap(tick_kind=0)],
}


@pytest.mark.parametrize("events", RESTARTS.values(), ids=RESTARTS)
@pytest.mark.parametrize("kinds", [(TRADES,), (TRADES, QUOTES)])
def test_a_server_that_says_it_restarted_is_followed(events, kinds) -> None:
    first = 2 if events[0].last_missing else 1
    shown = told(
        said(subscribed(40), trade(41)),
        AGAIN,
        said(*events),
        said(trade(first), trade(first + 1)),
        kinds=kinds,
    )

    kinds_told = [Event.Kind.Name(e.kind)[5:].lower() for e in events]
    assert shown == ["subscribed", 41, *kinds_told, first, first + 1]


@pytest.mark.parametrize("kind", [TRADES, 0])
def test_a_server_that_counts_anew_without_declaring_a_gap_loses_nothing_in_silence(
    kind: stream_pb2.TickKind.ValueType,
) -> None:
    assert told(
        said(trade(41)),
        AGAIN,
        said(subscribed(0, tick_kind=kind)),
        said(trade(1), trade(2)),
    ) == [41, "subscribed", (0, 0), 1, 2]


def test_a_restart_is_remembered_over_another_break() -> None:
    assert told(
        said(trade(41)),
        AGAIN,
        said(subscribed(0), gap(cause="restarted")),
        AGAIN,
        said(trade(1)),
    ) == [41, "subscribed", "gap", 1]


def test_a_new_count_may_be_higher_than_the_old_one() -> None:
    assert told(
        said(trade(1)), AGAIN, said(gap(sequence=9, cause="restarted")), said(trade(10))
    ) == [1, "gap", 10]


def test_conflation_right_after_a_restart_is_followed() -> None:
    conflated = event(
        Event.KIND_CONFLATED, tick_kind=TRADES, first_missing=1, last_missing=3
    )

    assert told(
        said(trade(41)), AGAIN, said(subscribed(0), gap(), conflated), said(trade(4))
    ) == [41, "subscribed", "gap", "conflated", 4]


def test_a_message_in_order_is_handed_on_as_it_is() -> None:
    message = said(subscribed(0), trade(1), token=b"t")

    _, kept = Continuity([TRADES]).check(message, NOW_NS)

    assert kept is message


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=30),
    st.data(),
)
def test_every_number_is_told_once_or_declared_missing(steps, data) -> None:
    """Whatever the network repeats or drops, what is told and declared is the whole."""
    continuity = Continuity([TRADES])
    continuity.check(said(subscribed(0)), NOW_NS)
    sent = 0
    covered: list[int] = []
    for step in steps:
        if data.draw(st.booleans()):
            continuity.reconnect()
        first = data.draw(st.integers(max(1, sent - 2), sent + step))
        sent = max(sent, first + step - 1)
        message = said(*(trade(n) for n in range(first, first + step)))
        for item in continuity.check(message, NOW_NS)[0]:
            if isinstance(item, StreamEvent):
                covered += range(item.first_missing, item.last_missing + 1)
            else:
                covered.append(item.sequence)

    assert covered == list(range(1, sent + 1))


def test_times_of_a_gap_are_those_of_the_bars_around_it() -> None:
    continuity = Continuity([BARS])
    continuity.check(said(live_bar(1, open_time=stamp(at(0)))), NOW_NS)

    (hole, _), _ = continuity.check(said(live_bar(3, open_time=stamp(at(120)))), NOW_NS)

    assert isinstance(hole, StreamEvent)
    assert hole.length is not None
    assert hole.length.total_seconds() == 120
    assert hole.cause == "number 2 was skipped without a word"
