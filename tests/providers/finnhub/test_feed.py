"""What Finnhub says over its stream, and what is said to it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    NoDataUnexplainedError,
    QuotaExhaustedError,
)
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.ticks import TickKind, Trade
from ingestion_server.ports.provider import Credentials
from ingestion_server.ports.stream import Heard, Malformed, Refused
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.finnhub.feed import FinnhubFeed
from ingestion_server.providers.finnhub.streaming import FinnhubStreaming

RECORDING = (
    Path(__file__).parents[4]
    / "shared/recordings/finnhub/ws_trade_TSLA_afterhours.json"
)
NOW_NS = 1_672_348_888_000_000_000
TIME_MS = 1_672_348_887_195


def row(**changes: object) -> dict[str, object]:
    """Return a trade as Finnhub spells it."""
    return {"c": ["1"], "p": 122.1, "s": "TSLA", "t": TIME_MS, "v": 3, **changes}


def frame(*rows: object) -> str:
    """Return a message of trades."""
    return json.dumps({"data": rows, "type": "trade"})


def heard(message: str | bytes) -> list[Heard]:
    """Return what a new feed makes of a message."""
    return list(FinnhubFeed().hear(message, NOW_NS))


def trades(message: str | bytes) -> list[Trade]:
    """Return the trades of a message."""
    return [each for each in heard(message) if isinstance(each, Trade)]


@pytest.mark.skipif(
    not RECORDING.exists(), reason="the shared recordings are not beside the project"
)
def test_a_recorded_message_comes_out_whole() -> None:
    message = RECORDING.read_bytes()
    sent = json.loads(message)["data"]

    told = trades(message)

    assert len(told) == len(heard(message)) == len(sent) == 9
    assert [trade.symbol for trade in told] == ["TSLA"] * 7 + ["AAPL"] * 2
    assert sum(trade.size or 0 for trade in told) == sum(each["v"] for each in sent)
    assert told[0] == Trade(
        "TSLA",
        TIME_MS * 1_000_000,
        122.1,
        1.0,
        ("1", "8", "24", "12"),
        received_at_ns=NOW_NS,
        provider="finnhub",
    )


def test_trades_are_told_in_the_vendors_order_and_equal_ones_are_all_kept() -> None:
    message = frame(
        row(t=TIME_MS + 5, p=9),
        row(v=100),
        row(v=100),
        row(s="XOM", t=TIME_MS - 1),
        row(v=100, p=7),
    )

    told = trades(message)

    assert [(each.symbol, each.price) for each in told] == [
        ("TSLA", 9.0),
        ("TSLA", 122.1),
        ("TSLA", 122.1),
        ("XOM", 122.1),
        ("TSLA", 7.0),
    ]


@pytest.mark.parametrize("conditions", [{"c": None}, {"c": []}])
def test_a_trade_may_have_no_conditions(conditions: dict[str, object]) -> None:
    told = trades(frame(row(**conditions)))

    assert [trade.conditions for trade in told] == [()]


def test_a_size_of_zero_is_told_and_an_absent_one_is_not_known() -> None:
    told = trades(frame(row(v=0), row(v=None)))

    assert [trade.size for trade in told] == [0.0, None]


@pytest.mark.parametrize(
    "message",
    ['{"type":"ping"}', '{"type":"news","data":[{"headline":"x"}]}', frame()],
)
def test_what_holds_no_trade_says_nothing(message: str) -> None:
    assert heard(message) == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Subscribing to too many symbols", EntitlementMissingError),
        ("You don't have access to this resource.", EntitlementMissingError),
        ("Invalid API key", CredentialsRefusedError),
        ("API limit reached. Please try again later.", QuotaExhaustedError),
        ("Something else", NoDataUnexplainedError),
    ],
)
def test_an_error_is_a_refusal_with_its_meaning(
    text: str, meant: type[Exception]
) -> None:
    (refused,) = heard(json.dumps({"type": "error", "msg": text}))

    assert isinstance(refused, Refused)
    assert type(refused.error) is meant
    assert text in str(refused.error)
    assert refused.symbol == ""


def test_an_error_with_half_a_character_can_be_written() -> None:
    (refused,) = heard('{"type":"error","msg":"no \\ud800 way"}')

    assert isinstance(refused, Refused)
    assert str(refused.error).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"p": "122.1"},
        {"p": None},
        {"t": "now"},
        {"t": -1},
        {"t": 10**13},
        {"s": 5},
        {"s": "\ud800"},
        {"v": "3"},
        {"c": "1"},
        {"c": ["1"] * 65},
    ],
)
def test_a_wrong_trade_is_lost_and_the_others_are_kept(
    wrong: dict[str, object],
) -> None:
    first, second, lost = heard(frame(row(v=1), row(**wrong), row(v=2)))

    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (first.size, second.size) == (1.0, 2.0)
    assert isinstance(lost, Malformed)
    assert "1 of 3 trades" in lost.detail


def test_a_number_that_json_has_not_is_left_to_whoever_judges_prices() -> None:
    told = trades(frame(row(p=float("nan")), row(v=float("inf")), row()))

    assert len(told) == 3
    assert math.isnan(told[0].price)
    assert told[1].size == float("inf")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        b"\xff\xfe",
        '{"type":5}',
        '{"type":"trade"}',
        '{"type":"trade","data":null}',
        '{"type":"trade","data":"x"}',
    ],
)
def test_rubbish_is_told_as_such(message: str | bytes) -> None:
    (malformed,) = heard(message)

    assert isinstance(malformed, Malformed)
    assert len(malformed.detail) <= 200


@given(st.text() | st.binary())
def test_whatever_is_heard_nothing_is_raised(message: str | bytes) -> None:
    assert all(isinstance(each, Malformed) for each in heard(message))


def test_each_symbol_is_subscribed_by_a_message() -> None:
    feed = FinnhubFeed()

    assert list(feed.subscribe(["AAPL", "BINANCE:BTCUSDT"])) == [
        '{"type":"subscribe","symbol":"AAPL"}',
        '{"type":"subscribe","symbol":"BINANCE:BTCUSDT"}',
    ]
    assert list(feed.unsubscribe(["AAPL"])) == [
        '{"type":"unsubscribe","symbol":"AAPL"}'
    ]
    assert not feed.beat()


def test_the_key_is_in_the_signed_handshake_only() -> None:
    vendor = Finnhub()
    assert vendor.streaming is not None
    handshake = vendor.streaming.handshake()

    signed = vendor.sign(handshake, Credentials("a key"))

    assert handshake.full_url == "wss://ws.finnhub.io"
    assert signed.full_url == "wss://ws.finnhub.io?token=a%20key"
    assert signed.headers == ()
    assert "token" in vendor.secret_parameters
    assert "ws.finnhub.io" in vendor.hosts


@pytest.mark.parametrize("most", [50, None])
def test_the_plan_says_how_many_symbols_there_may_be(most: int | None) -> None:
    streaming = FinnhubStreaming(most_symbols=most)

    assert streaming.declaration.most_symbols == most
    assert streaming.declaration.kinds == {TickKind.TRADES}
    assert AssetClass.INDEX not in streaming.declaration.asset_classes
    assert isinstance(streaming.feed(), FinnhubFeed)
    assert FinnhubStreaming().declaration.most_symbols == 50
