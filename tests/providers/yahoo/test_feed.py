"""What Yahoo says over its stream, and what is said to it."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.ticks import Quote, TickKind, TickMark, Trade
from ingestion_server.kit.decimals import shortest_of_float32
from ingestion_server.ports.provider import Credentials
from ingestion_server.ports.stream import Heard, Malformed
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.providers.yahoo.feed import YahooFeed
from ingestion_server.providers.yahoo.pricing import published

RECORDING = (
    Path(__file__).parents[4] / "shared/recordings/yahoo/yfrs_stream_ws_MULTI.b64"
)
NOW_NS = 1_761_785_161_000_000_000
TIME_MS = 1_761_785_160_000
NUMBERS = {
    "price": 2,
    "time": 3,
    "day_volume": 9,
    "last_size": 22,
    "bid": 23,
    "bid_size": 24,
    "ask": 25,
    "ask_size": 26,
    "market_cap": 33,
}
DOUBLES = {"market_cap"}


def varint(number: int) -> bytes:
    """Write a number as protobuf does."""
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def pricing(symbol: str = "AAPL", /, **fields: float) -> bytes:
    """Write a message as protobuf does; whole numbers are zigzag."""
    name = symbol.encode()
    body = b"\x0a" + varint(len(name)) + name if name else b""
    for field, value in fields.items():
        number = NUMBERS[field]
        if field in DOUBLES:
            body += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            zigzag = value << 1 if value >= 0 else -value * 2 - 1
            body += varint(number << 3) + varint(zigzag)
        else:
            body += varint(number << 3 | 5) + struct.pack("<f", value)
    return body


def enveloped(body: bytes) -> str:
    """Wrap a message as version 2 does."""
    text = base64.b64encode(body).decode()
    return json.dumps({"type": "pricing", "message": text})


def told(feed: YahooFeed, symbol: str = "AAPL", **fields: float) -> list[Heard]:
    """Return what is new in a message; unless it says so, of one moment."""
    body = pricing(symbol, **{"time": TIME_MS, **fields})
    return list(feed.hear(enveloped(body), NOW_NS))


def listening(*symbols: str) -> YahooFeed:
    """Return a feed that has subscribed."""
    feed = YahooFeed()
    feed.subscribe(symbols or ("AAPL",))
    return feed


@pytest.mark.skipif(
    not RECORDING.exists(), reason="the shared recordings are not beside the project"
)
def test_a_recorded_message_comes_out_whole() -> None:
    feed = listening("BTC-USD")

    heard = feed.hear(RECORDING.read_text(), NOW_NS)

    assert list(heard) == [
        Trade(
            "BTC-USD",
            TIME_MS * 1_000_000,
            110429.42,
            marks=TickMark.SAMPLED,
            received_at_ns=NOW_NS,
        )
    ]


def test_both_envelopes_say_the_same() -> None:
    body = pricing(price=185.92, time=TIME_MS, last_size=100, market_cap=3e12)
    bare = base64.b64encode(body)

    for message in (enveloped(body), bare, bare.decode(), bare + b"\n"):
        (trade,) = listening().hear(message, NOW_NS)

        assert isinstance(trade, Trade)
        assert (trade.symbol, trade.price, trade.size) == ("AAPL", 185.92, 100.0)


def test_a_quote_comes_with_its_trade_and_without() -> None:
    feed = listening()
    sides = {"bid": 185.91, "bid_size": 2, "ask": 185.93, "ask_size": 3}

    trade, quote = told(feed, price=185.92, **sides)
    (changed,) = told(feed, price=185.92, **{**sides, "bid": 185.9})

    assert isinstance(trade, Trade)
    assert quote == Quote(
        "AAPL",
        TIME_MS * 1_000_000,
        185.91,
        2.0,
        185.93,
        3.0,
        marks=TickMark.SAMPLED,
        received_at_ns=NOW_NS,
    )
    assert isinstance(changed, Quote)
    assert changed.bid == 185.9


def test_one_side_alone_is_a_quote_too() -> None:
    (quote,) = told(listening(), bid_size=7, ask=2.5)

    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size) == (None, None)
    assert (quote.ask, quote.ask_size) == (2.5, None)


def test_what_is_repeated_is_told_once() -> None:
    feed = listening()
    fields = {"price": 10.0, "day_volume": 500, "bid": 9.5, "ask": 10.5}

    first = told(feed, **fields)
    second = told(feed, **fields)
    without_volume = told(feed, price=10.0)

    assert len(first) == 2
    assert second == []
    assert without_volume == []


@pytest.mark.parametrize(
    "change", [{"time": TIME_MS + 1}, {"price": 10.5}, {"day_volume": 600}]
)
def test_another_time_price_or_volume_is_another_trade(
    change: dict[str, float],
) -> None:
    feed = listening()
    fields = {"price": 10.0, "day_volume": 500}
    told(feed, **fields)

    assert len(told(feed, **{**fields, **change})) == 1


def test_repetitions_are_known_symbol_by_symbol() -> None:
    feed = listening("AAPL", "TSLA")

    assert len(told(feed, "AAPL", price=10.0)) == 1
    assert len(told(feed, "TSLA", price=10.0)) == 1
    assert told(feed, "AAPL", price=10.0) == []


def test_a_size_that_is_the_whole_day_is_none() -> None:
    (trade,) = told(listening(), price=1.5, day_volume=500, last_size=500)

    assert isinstance(trade, Trade)
    assert trade.size is None


def test_a_symbol_is_told_as_it_was_subscribed() -> None:
    feed = listening("USDJPY=X")

    (trade,) = told(feed, "JPY=X", price=150.25)

    assert isinstance(trade, Trade)
    assert trade.symbol == "USDJPY=X"
    assert told(feed, "JPY=X", price=150.25) == []


def test_nothing_is_remembered_of_what_is_not_subscribed() -> None:
    feed = listening()
    feed.unsubscribe(["AAPL"])

    assert len(told(feed, price=10.0)) == 1
    assert len(told(feed, price=10.0)) == 1


def test_a_message_without_prices_and_one_of_another_type_say_nothing() -> None:
    assert told(listening(), day_volume=5) == []
    assert told(listening(), price=-1.0) == []
    assert listening().hear('{"type":"hello"}', NOW_NS) == ()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "{}",
        "A",
        "é",
        "\ud800",
        b"\xff",
        "[" * 100_000,
        '{"type":"pricing"}',
        '{"type":"pricing","message":"AAAA"}',
        enveloped(pricing("", price=1.0, time=TIME_MS)),
        enveloped(pricing(price=1.0)),
        enveloped(pricing(price=1.0, time=-5)),
        enveloped(pricing(price=1.0, time=10**13)),
        enveloped(b"\x0a\x02\xff\xff" + pricing("", price=1.0, time=TIME_MS)),
    ],
)
def test_rubbish_is_told_as_such(message: str | bytes) -> None:
    (malformed,) = listening().hear(message, NOW_NS)

    assert isinstance(malformed, Malformed)
    assert len(malformed.detail) <= 200


@given(st.text() | st.binary() | st.binary().map(enveloped))
def test_whatever_is_heard_nothing_is_raised(message: str | bytes) -> None:
    listening().hear(message, NOW_NS)


@given(st.floats(width=32, allow_nan=False))
def test_prices_are_the_same_decimals_as_those_of_charts(price: float) -> None:
    assert published(price) == shortest_of_float32(np.array([price]))[0]


def test_everything_subscribed_is_subscribed_again_by_the_beat() -> None:
    feed = YahooFeed()
    assert not feed.beat()
    assert not feed.subscribe([])
    assert not feed.unsubscribe([])

    first = feed.subscribe(["AAPL", "BTC-USD"])
    feed.subscribe(["TSLA", "AAPL"])
    last = feed.unsubscribe(["BTC-USD"])

    assert list(first) == ['{"subscribe":["AAPL","BTC-USD"]}']
    assert list(last) == ['{"unsubscribe":["BTC-USD"]}']
    assert list(feed.beat()) == ['{"subscribe":["AAPL","TSLA"]}']


def test_the_handshake_needs_neither_cookie_nor_crumb() -> None:
    vendor = Yahoo()
    assert vendor.streaming is not None
    credentials = Credentials(crumb="c", cookies=(("A3", "x"),))

    signed = vendor.sign(vendor.streaming.handshake(), credentials)

    assert signed.full_url == "wss://streamer.finance.yahoo.com/?version=2"
    assert [name for name, _ in signed.headers] == ["User-Agent"]
    assert "streamer.finance.yahoo.com" in vendor.hosts


def test_the_stream_is_declared_as_it_is() -> None:
    streaming = Yahoo().streaming
    assert streaming is not None
    declaration = streaming.declaration

    assert declaration.kinds == {TickKind.TRADES, TickKind.QUOTES}
    assert declaration.asset_classes == frozenset(AssetClass)
    assert declaration.sampled
    assert declaration.silence_seconds is None
    assert declaration.beat_seconds == 15
    assert isinstance(streaming.feed(), YahooFeed)
