"""What a stream tells reads as if the generated code had written it."""

from __future__ import annotations

import math

import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2, stream_pb2

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.ticks import LiveBar, Quote, TickKind, TickMark, Trade
from ingestion_server.ports.live import StreamEvent, StreamEventKind
from ingestion_server.service.stream_encoding import WireEncoder
from tests.clocks import NOW_NS, SECOND_NS

Response = ingestion_service_pb2.StreamQuotesResponse
MOMENTS = st.one_of(
    # Around which a number takes another count of bytes, or turns negative.
    st.sampled_from(
        [
            edge + shift
            for edge in (
                0,
                2**7,
                2**14,
                2**28,
                2**14 * SECOND_NS,
                2**28 * SECOND_NS,
                2**35 * SECOND_NS,
                -SECOND_NS,
                NOW_NS,
            )
            for shift in (-SECOND_NS, -1, 0, 1, SECOND_NS - 1, SECOND_NS)
        ]
    ),
    st.integers(-(2**63), 2**63 - 1),
    # Again and again the same ones, as in a stream.
    st.integers(NOW_NS, NOW_NS + 3),
)
VALUES = st.floats(allow_nan=False)
TEXTS = st.one_of(st.sampled_from(["", "AAPL", "BTC/USD", "Ä€𝄞"]), st.text())
NUMBERS = st.integers(0, 2**64 - 1)
TRADES = st.builds(
    Trade,
    TEXTS,
    MOMENTS,
    VALUES,
    size=st.none() | VALUES,
    conditions=st.lists(TEXTS, max_size=4).map(tuple),
    trade_id=st.sampled_from(["", "", "t-1", "€" * 300]),
    marks=st.integers(0, 15),
    received_at_ns=MOMENTS,
    provider=TEXTS,
    sequence=NUMBERS,
    position=NUMBERS,
)
QUOTES = st.builds(
    Quote,
    TEXTS,
    MOMENTS,
    bid=st.none() | VALUES,
    bid_size=st.none() | VALUES,
    ask=st.none() | VALUES,
    ask_size=st.none() | VALUES,
    marks=st.sampled_from([0, 1, 8, 9]),
    received_at_ns=MOMENTS,
    provider=TEXTS,
    sequence=NUMBERS,
    position=NUMBERS,
)
BARS = st.builds(
    LiveBar,
    TEXTS,
    MOMENTS,
    st.none() | VALUES,
    st.none() | VALUES,
    st.none() | VALUES,
    st.none() | VALUES,
    interval=st.sampled_from(Interval),
    volume=st.none() | VALUES,
    vwap=st.none() | VALUES,
    trade_count=st.none() | st.integers(0, 2**63 - 1),
    state=st.sampled_from(BarState),
    derived=st.booleans(),
    provider=TEXTS,
    sequence=NUMBERS,
    position=NUMBERS,
)


def moment(time_ns: int) -> Timestamp:
    """Return a point in time."""
    return Timestamp(seconds=time_ns // SECOND_NS, nanos=time_ns % SECOND_NS)


def message_of(trade: Trade) -> stream_pb2.Trade:
    """Return a trade as the generated code would make it."""
    return stream_pb2.Trade(
        symbol=trade.symbol,
        sequence=trade.sequence,
        time=moment(trade.time_ns),
        price=trade.price,
        size=trade.size,
        provider=trade.provider,
        received_at=moment(trade.received_at_ns),
        conditions=trade.conditions,
        out_of_order=bool(trade.marks & TickMark.OUT_OF_ORDER),
        backfilled=bool(trade.marks & TickMark.BACKFILLED),
        sampled=bool(trade.marks & TickMark.SAMPLED),
        time_doubtful=bool(trade.marks & TickMark.TIME_DOUBTFUL),
        trade_id=trade.trade_id,
    )


@given(st.lists(TRADES, max_size=8))
def test_trades_read_as_if_the_generated_code_had_written_them(
    trades: list[Trade],
) -> None:
    encoder = WireEncoder()

    # Twice: what was kept the first time is used the second.
    told = encoder.ticks([*trades, *trades])

    assert list(Response.FromString(told).trades) == [
        message_of(trade) for trade in (*trades, *trades)
    ]


@given(st.lists(TRADES, max_size=8))
def test_what_is_kept_of_trades_reads_as_they_were(trades: list[Trade]) -> None:
    encoder = WireEncoder()

    read = encoder.read(encoder.ticks(trades))

    # Where a tick stood is known by whoever keeps it.
    assert read == [msgspec.structs.replace(trade, position=0) for trade in trades]


@given(st.lists(QUOTES, max_size=4))
def test_what_is_kept_of_quotes_reads_as_they_were(quotes: list[Quote]) -> None:
    encoder = WireEncoder()

    read = encoder.read(encoder.ticks(quotes))

    assert read == [msgspec.structs.replace(quote, position=0) for quote in quotes]


@given(st.lists(BARS, max_size=4))
def test_what_is_kept_of_bars_reads_as_they_were(bars: list[LiveBar]) -> None:
    encoder = WireEncoder()

    read = encoder.read(encoder.ticks(bars))

    assert read == [msgspec.structs.replace(bar, position=0) for bar in bars]


def test_a_size_of_nothing_is_told_and_an_absent_one_is_not() -> None:
    encoder = WireEncoder()

    told = [
        encoder.ticks([Trade("AAPL", NOW_NS, 1.0, size=size)]) for size in (0.0, None)
    ]

    read = Response.FromString(b"".join(told)).trades
    assert [one.HasField("size") for one in read] == [True, False]


@pytest.mark.parametrize("price", [-0.0, math.inf, 5e-324, 1.7976931348623157e308])
def test_no_price_is_rounded(price: float) -> None:
    told = Response.FromString(WireEncoder().ticks([Trade("AAPL", NOW_NS, price)]))

    assert told.trades[0].price == price
    assert math.copysign(1, told.trades[0].price) == math.copysign(1, price)


def test_half_a_character_of_a_vendor_does_not_end_the_stream() -> None:
    trade = Trade("AAPL", NOW_NS, 1.0, conditions=("\ud800",), trade_id="a\udfff")

    (told,) = Response.FromString(WireEncoder().ticks([trade])).trades

    assert (list(told.conditions), told.trade_id) == (["?"], "a?")


def test_more_symbols_and_conditions_than_are_kept_are_told_as_well() -> None:
    encoder = WireEncoder()
    count = 40_000
    trades = [
        Trade(f"S{number}", NOW_NS + number, 1.0, conditions=(str(number),))
        for number in range(count)
    ]

    told = Response.FromString(encoder.ticks(trades)).trades

    assert [one.symbol for one in told] == [f"S{number}" for number in range(count)]
    assert [one.conditions[0] for one in told] == [str(n) for n in range(count)]
    assert [one.time.nanos for one in told] == [t.time_ns % SECOND_NS for t in trades]


def test_one_symbol_may_have_more_conditions_than_are_kept() -> None:
    encoder = WireEncoder()
    count = 40_000
    trades = [
        Trade("AAPL", NOW_NS, 1.0, 2.0, (str(number),)) for number in range(count)
    ]

    told = Response.FromString(
        encoder.ticks(trades) + encoder.ticks(trades[-1:])
    ).trades

    assert [one.conditions[0] for one in told[:-1]] == [str(n) for n in range(count)]
    assert told[-1] == told[-2]


@given(
    st.builds(
        Quote,
        TEXTS,
        MOMENTS,
        bid=st.none() | VALUES,
        bid_size=st.none() | VALUES,
        ask=st.none() | VALUES,
        ask_size=st.none() | VALUES,
        marks=st.sampled_from([0, 1, 8, 9]),
        received_at_ns=MOMENTS,
        provider=TEXTS,
        sequence=NUMBERS,
    )
)
def test_every_field_of_a_quote_reaches_the_wire(quote: Quote) -> None:
    told = Response.FromString(WireEncoder().ticks([quote]))

    assert told == Response(
        quotes=[
            stream_pb2.Quote(
                symbol=quote.symbol,
                sequence=quote.sequence,
                time=moment(quote.time_ns),
                bid=quote.bid,
                bid_size=quote.bid_size,
                ask=quote.ask,
                ask_size=quote.ask_size,
                provider=quote.provider,
                received_at=moment(quote.received_at_ns),
                out_of_order=bool(quote.marks & TickMark.OUT_OF_ORDER),
                time_doubtful=bool(quote.marks & TickMark.TIME_DOUBTFUL),
            )
        ]
    )


def test_every_field_of_a_bar_reaches_the_wire() -> None:
    bar = LiveBar(
        "BTC/USD",
        NOW_NS,
        1.0,
        3.0,
        0.5,
        2.0,
        interval=Interval.MINUTE_5,
        volume=0.0,
        vwap=1.5,
        trade_count=7,
        state=BarState.REVISED,
        derived=True,
        provider="finnhub",
        sequence=9,
    )

    told = Response.FromString(WireEncoder().ticks([bar]))

    assert told == Response(
        bars=[
            stream_pb2.LiveBar(
                symbol="BTC/USD",
                sequence=9,
                interval=bar_pb2.INTERVAL_5_MINUTES,
                open_time=moment(NOW_NS),
                open=1.0,
                high=3.0,
                low=0.5,
                close=2.0,
                volume=0.0,
                vwap=1.5,
                trade_count=7,
                state=bar_pb2.BAR_STATE_REVISED,
                provider="finnhub",
                derived=True,
            )
        ]
    )


def test_nothing_is_invented_where_a_bar_has_no_value() -> None:
    bar = LiveBar("^GSPC", NOW_NS, None, None, None, 2.0, derived=False)

    (told,) = Response.FromString(WireEncoder().ticks([bar])).bars

    names = {field.name for field, _ in told.ListFields()}
    assert names == {"symbol", "interval", "open_time", "close", "state"}


def test_every_field_of_an_event_reaches_the_wire() -> None:
    event = StreamEvent(
        kind=StreamEventKind.GAP,
        time_ns=NOW_NS,
        symbol="AAPL",
        tick_kind=TickKind.TRADES,
        sequence=41,
        from_ns=NOW_NS - 5,
        to_ns=NOW_NS + SECOND_NS,
        cause="the connection was lost",
        count=3,
        verified=True,
        provider="yahoo",
        previous_provider="finnhub",
        reason="SYMBOL_UNKNOWN",
        detail="nobody knows it",
        first_missing=40,
        last_missing=41,
        feed_delay_seconds=0.5,
        sampled=True,
    )
    expected = stream_pb2.StreamEvent(
        kind=stream_pb2.StreamEvent.KIND_GAP,
        symbol="AAPL",
        tick_kind=stream_pb2.TICK_KIND_TRADES,
        sequence=41,
        time=moment(NOW_NS),
        to=moment(NOW_NS + SECOND_NS),
        cause="the connection was lost",
        count=3,
        verified=True,
        provider="yahoo",
        previous_provider="finnhub",
        reason="SYMBOL_UNKNOWN",
        detail="nobody knows it",
        first_missing=40,
        last_missing=41,
        feed_delay=Duration(nanos=SECOND_NS // 2),
        sampled=True,
    )
    getattr(expected, "from").CopyFrom(moment(NOW_NS - 5))

    told = Response.FromString(WireEncoder().event(event))

    assert told == Response(events=[expected])
    assert len(expected.ListFields()) == len(expected.DESCRIPTOR.fields)


@pytest.mark.parametrize("kind", StreamEventKind)
def test_each_kind_of_event_has_its_name_in_the_contract(
    kind: StreamEventKind,
) -> None:
    event = StreamEvent(kind=kind, time_ns=NOW_NS)

    (told,) = Response.FromString(WireEncoder().event(event)).events

    assert stream_pb2.StreamEvent.Kind.Name(told.kind) == f"KIND_{kind.name}"
    assert {field.name for field, _ in told.ListFields()} == {"kind", "time"}


def test_parts_make_a_message_one_after_the_other() -> None:
    encoder = WireEncoder()
    parts = [
        encoder.event(StreamEvent(kind=StreamEventKind.HEARTBEAT, time_ns=NOW_NS)),
        encoder.ticks([Trade("AAPL", NOW_NS, 1.0)]),
        encoder.ticks([Quote("AAPL", NOW_NS, bid=1.0)]),
        encoder.ticks([Trade("TSLA", NOW_NS, 2.0)]),
        encoder.token(bytes(range(64))),
    ]

    told = Response.FromString(b"".join(parts))

    assert [one.symbol for one in told.trades] == ["AAPL", "TSLA"]
    assert (len(told.events), len(told.quotes)) == (1, 1)
    assert told.resume_token == bytes(range(64))
