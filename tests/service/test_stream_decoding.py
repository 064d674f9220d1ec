"""Requests for live data are understood, or refused with every wrong field named."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    source_policy_pb2,
    stream_pb2,
)

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ports.live import Asked, SlowPolicy, StreamQuery
from ingestion_server.service.stream_decoding import stream_of
from tests.clocks import NOW_NS, SECOND_NS

Policy = source_policy_pb2.SourcePolicy
NOW = NOW_NS // SECOND_NS
BARS = [stream_pb2.TICK_KIND_BARS]


def asking(symbols: object = ("AAPL",), **fields: object):
    """Ask for live data of one instrument, unless told otherwise."""
    return ingestion_service_pb2.StreamQuotesRequest(symbols=symbols, **fields)


def understood(**fields: object) -> StreamQuery:
    """Return what a request means."""
    return stream_of(asking(**fields), now_ns=NOW_NS)


def wrong(**fields: object) -> list[tuple[str, str]]:
    """Return the wrong fields of a request."""
    with pytest.raises(InvalidQueryError) as raised:
        stream_of(asking(**fields), now_ns=NOW_NS)
    return [tuple(one) for one in raised.value.violations]


def test_what_is_not_said_has_the_value_that_the_contract_names() -> None:
    assert understood() == StreamQuery(
        asked=(Asked("AAPL", instrument("AAPL")),),
        kinds=frozenset({TickKind.TRADES}),
        interval=Interval.MINUTE_1,
        hours=TradingHours.EXTENDED,
        start_ns=None,
        slow=SlowPolicy.CONFLATE,
        batch_seconds=0.005,
        heartbeat_seconds=5.0,
        resume_token=b"",
    )


def test_everything_that_is_said_is_understood() -> None:
    query = understood(
        symbols=["btc/usd"],
        kinds=[stream_pb2.TICK_KIND_BARS, stream_pb2.TICK_KIND_QUOTES],
        source_policy=Policy(mode=Policy.MODE_PINNED, providers=["finnhub"]),
        slow_consumer=stream_pb2.SLOW_CONSUMER_DISCONNECT,
        max_batch_delay=Duration(seconds=1),
        heartbeat_interval=Duration(nanos=100_000_000),
        resume_token=bytes(64),
        start=Timestamp(seconds=NOW, nanos=0),
        interval=bar_pb2.INTERVAL_1_HOUR,
        asset_class=ingestion_service_pb2.ASSET_CLASS_CRYPTO,
        session=ingestion_service_pb2.SESSION_REGULAR,
    )

    assert query.asked == (Asked("btc/usd", instrument("BTC/USD")),)
    assert query.kinds == {TickKind.BARS, TickKind.QUOTES}
    assert (query.policy.mode, query.policy.providers) == (
        SourceMode.PINNED,
        ("finnhub",),
    )
    assert query.slow is SlowPolicy.DISCONNECT
    assert (query.batch_seconds, query.heartbeat_seconds) == (1.0, 0.1)
    assert query.resume_token == bytes(64)
    assert query.start_ns == NOW_NS
    assert query.interval is Interval.HOUR_1
    assert query.hours is TradingHours.REGULAR


def test_a_kind_and_an_exchange_are_those_of_every_symbol() -> None:
    query = understood(
        symbols=["VOD", "BP"],
        asset_class=ingestion_service_pb2.ASSET_CLASS_EQUITY,
        exchange="xlon",
    )

    assert [one.instrument for one in query.asked] == [
        instrument("VOD", asset_class=AssetClass.EQUITY, exchange="XLON"),
        instrument("BP", asset_class=AssetClass.EQUITY, exchange="XLON"),
    ]


def test_a_symbol_is_served_once_however_often_it_is_named() -> None:
    query = understood(symbols=["tsla", "AAPL", "TSLA", "aapl", "tsla", " AAPL"])

    assert [one.symbol for one in query.asked] == ["tsla", "AAPL"]


def test_a_symbol_that_cannot_be_read_is_a_matter_of_that_symbol() -> None:
    query = understood(symbols=["AAPL", "B@D", "BTC-USD"])

    faults = [one.instrument for one in query.asked[1:]]
    assert query.asked[0].instrument == instrument("AAPL")
    assert all(isinstance(one, InvalidQueryError) for one in faults)
    assert [one.symbol for one in query.asked] == ["AAPL", "B@D", "BTC-USD"]


def test_it_is_the_request_that_is_wrong_if_no_symbol_can_be_read() -> None:
    told = wrong(symbols=["B@D", "", "BTC-USD"])

    assert [field for field, _ in told] == ["symbols[0]", "symbols[1]", "symbols[2]"]
    assert "BTC/USD" in told[2][1]


def test_what_is_wrong_for_all_symbols_is_told_once() -> None:
    told = wrong(symbols=["AAPL", "TSLA"], exchange="NOWHERE")

    assert [field for field, _ in told] == ["exchange"]


def test_without_a_symbol_there_is_nothing_to_tell() -> None:
    assert [field for field, _ in wrong(symbols=[])] == ["symbols"]


def test_a_thousand_symbols_are_taken_and_no_more() -> None:
    many = [f"S{number}" for number in range(1_001)]

    assert len(understood(symbols=[*many[:1_000], "s0"][:1_000]).asked) == 1_000
    assert wrong(symbols=many) == [
        ("symbols", "names 1001 symbols; one stream takes 1000")
    ]


@pytest.mark.parametrize(
    ("kinds", "meant"),
    [
        ([], {TickKind.TRADES}),
        ([stream_pb2.TICK_KIND_UNSPECIFIED], {TickKind.TRADES}),
        ([stream_pb2.TICK_KIND_QUOTES], {TickKind.QUOTES}),
        ([1, 1, 3], {TickKind.TRADES, TickKind.BARS}),
    ],
)
def test_kinds_are_those_named_and_else_trades(
    kinds: list[int], meant: set[TickKind]
) -> None:
    assert understood(kinds=kinds).kinds == meant


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kinds": [1, 99]}, "kinds[1]"),
        ({"slow_consumer": 99}, "slow_consumer"),
        ({"interval": 99}, "interval"),
        ({"session": 99}, "session"),
        ({"asset_class": 99}, "asset_class"),
        ({"source_policy": Policy(mode=99)}, "source_policy.mode"),
        ({"source_policy": Policy(mode=Policy.MODE_CONSENSUS)}, "source_policy.mode"),
        ({"source_policy": Policy(max_cost_usd=-1)}, "source_policy.max_cost_usd"),
        ({"source_policy": Policy(tolerance=0.1)}, "source_policy.tolerance"),
        ({"max_batch_delay": Duration(seconds=1, nanos=1)}, "max_batch_delay"),
        ({"max_batch_delay": Duration(nanos=-1)}, "max_batch_delay"),
        ({"heartbeat_interval": Duration()}, "heartbeat_interval"),
        ({"heartbeat_interval": Duration(nanos=99_999_999)}, "heartbeat_interval"),
        ({"heartbeat_interval": Duration(seconds=60, nanos=1)}, "heartbeat_interval"),
        ({"heartbeat_interval": Duration(seconds=-5)}, "heartbeat_interval"),
        ({"resume_token": bytes(65)}, "resume_token"),
        ({"start": Timestamp(seconds=1)}, "start"),
        ({"start": Timestamp(seconds=NOW, nanos=1), "kinds": BARS}, "start"),
        ({"start": Timestamp(seconds=1, nanos=-1), "kinds": BARS}, "start"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, object], field: str) -> None:
    assert [name for name, _ in wrong(**fields)] == [field]


@pytest.mark.parametrize(
    "interval",
    [bar_pb2.INTERVAL_1_DAY, bar_pb2.INTERVAL_1_WEEK, bar_pb2.INTERVAL_1_MONTH],
)
def test_who_wants_long_bars_is_sent_to_fetch(interval: int) -> None:
    ((field, told),) = wrong(kinds=BARS, interval=interval)

    assert field == "interval"
    assert "Fetch has such bars" in told


def test_all_wrong_fields_are_named_at_once() -> None:
    told = wrong(
        symbols=[],
        kinds=[99],
        resume_token=bytes(65),
        max_batch_delay=Duration(seconds=2),
        interval=bar_pb2.INTERVAL_1_DAY,
    )

    assert {field for field, _ in told} == {
        "symbols",
        "kinds[0]",
        "resume_token",
        "max_batch_delay",
        "interval",
    }


@given(st.lists(st.text(max_size=40), max_size=8), st.text(max_size=20))
def test_whatever_is_asked_is_understood_or_refused(
    symbols: list[str], exchange: str
) -> None:
    try:
        query = stream_of(asking(symbols, exchange=exchange), now_ns=NOW_NS)
    except InvalidQueryError:
        return

    assert query.asked
