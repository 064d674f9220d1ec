"""The latest quotes, asked for with and without asyncio."""

from __future__ import annotations

import json
from datetime import timedelta

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client import (
    Client,
    IngestionClientError,
    InvalidQueryError,
    QuoteSnapshots,
    SymbolUnknownError,
    SyncClient,
)
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.quotes_request import QuotesOptions, quotes_request
from tests.client.fakes import FakeServer, quotes
from tests.client.telling import FIRST, Refusal


async def asked(server: FakeServer, *symbols: str) -> list[QuoteSnapshots]:
    """Ask with both clients."""
    async with Client(server.target) as client:
        first = await client.quotes(*symbols)
    with SyncClient(server.target) as client:
        return [first, client.quotes(list(symbols))]


async def test_both_clients_tell_the_latest_of_each_symbol(server: FakeServer) -> None:
    for told in await asked(server, "AAPL", "btc/usd", "NOSUCH"):
        apple, bitcoin, _ = told

        assert len(told) == 3
        assert told.request_id == "r-1"
        assert told["AAPL"] is apple
        assert apple.trade is not None
        assert apple.quote is not None
        assert (apple.trade.price, apple.trade.time) == (101.5, FIRST)
        assert (apple.quote.bid, apple.quote.bid_size) == (101.25, 3)
        assert (apple.quote.ask, apple.quote.ask_size) == (101.5, None)
        assert (apple.provider, apple.live, apple.currency) == ("yahoo", False, "USD")
        assert apple.received_at == FIRST
        assert apple.age == timedelta(seconds=90)
        assert apple.feed_delay == timedelta(minutes=15)
        assert apple.change == pytest.approx(0.015)
        assert apple.attempts[0].provider == "alpha_vantage"
        assert apple.result() is apple

        assert bitcoin.live
        assert bitcoin.quote is None
        assert bitcoin.previous_close is bitcoin.change is bitcoin.feed_delay is None


async def test_the_failure_of_one_symbol_is_that_entrys_error(
    server: FakeServer,
) -> None:
    for told in await asked(server, "AAPL", "NOSUCH"):
        unknown = told["NOSUCH"]

        assert isinstance(unknown.error, SymbolUnknownError)
        assert unknown.trade is unknown.age is unknown.received_at is None
        with pytest.raises(SymbolUnknownError):
            unknown.result()
        with pytest.raises(KeyError):
            told["MSFT"]


async def test_a_refusal_of_all_of_it_is_raised(server: FakeServer) -> None:
    server.service.quoted = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")

    with pytest.raises(InvalidQueryError):
        await asked(server, "AAPL")
    with SyncClient(server.target) as client, pytest.raises(IngestionClientError):
        client.quotes("AAPL")


async def test_every_option_reaches_the_server(server: FakeServer) -> None:
    options = QuotesOptions(
        asset_class="equity",
        exchange="XLON",
        providers=["yahoo", "finnhub"],
        max_cost_usd=0.5,
        priority="batch",
    )
    async with Client(server.target) as client:
        await client.quotes("VOD", ["BARC", "HSBA"], **options)

    (request,) = server.service.requests
    expected = {
        "symbols": ["VOD", "BARC", "HSBA"],
        "asset_class": "ASSET_CLASS_EQUITY",
        "exchange": "XLON",
        "source_policy": {
            "mode": "MODE_ORDERED",
            "providers": ["yahoo", "finnhub"],
            "max_cost_usd": 0.5,
        },
        "priority": "PRIORITY_BATCH",
    }
    assert request == json_format.ParseDict(
        expected, ingestion_service_pb2.GetQuotesRequest()
    )


def test_an_option_that_does_not_exist_is_refused_here() -> None:
    with pytest.raises(InvalidOptionError, match="symbols"):
        quotes_request([])
    with pytest.raises(InvalidOptionError, match="mode"):
        quotes_request(["AAPL"], mode="fast")


async def test_the_answer_can_be_written_as_it_came(server: FakeServer) -> None:
    for told in await asked(server, "AAPL"):
        text = told.to_json(indent=None)

        assert "\n" not in text
        assert json.loads(text)["results"][0]["previousClose"] == 100.0
        read = json_format.Parse(text, ingestion_service_pb2.GetQuotesResponse())
        assert read == quotes()
