"""GetQuotes at the door: what is asked, what is answered, and how old it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc.aio
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
)

from ingestion_server.domain.errors import InvalidQueryError, SymbolUnknownError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.query import Priority, SourceMode
from ingestion_server.domain.result import Attempt, Outcome
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ports.live import QuoteAnswer, QuotesQuery
from ingestion_server.service.admission import Door
from ingestion_server.service.ingestion import IngestionServicer
from ingestion_server.service.quote_decoding import quotes_of
from ingestion_server.service.quote_encoding import quotes_response_of
from ingestion_server.service.quoting import QuoteDesk
from ingestion_server.service.server import bound_server
from tests.clocks import NOW_NS, SECOND_NS, ManualClock
from tests.service.refusals import fields, refused

Request = ingestion_service_pb2.GetQuotesRequest


class FakeQuotes:
    """Tell a price of everything but of what is called NONE."""

    def __init__(self) -> None:
        self.query: QuotesQuery | None = None
        self.budget_seconds = 0.0

    async def quotes(
        self, query: QuotesQuery, *, budget_seconds: float
    ) -> Sequence[QuoteAnswer]:
        """Tell it, live."""
        self.query, self.budget_seconds = query, budget_seconds
        return [_told(each.symbol) for each in query.asked]


def _told(symbol: str) -> QuoteAnswer:
    if symbol == "NONE":
        unknown = SymbolUnknownError("never heard", provider="acme", symbol=symbol)
        return QuoteAnswer(symbol=symbol, snapshot=unknown)
    trade = Trade(symbol, NOW_NS - 3 * SECOND_NS, 7.5)
    return QuoteAnswer(
        symbol=symbol,
        snapshot=Snapshot(trade=trade),
        provider="acme",
        live=True,
        received_at_ns=NOW_NS,
    )


@pytest.fixture
def known() -> FakeQuotes:
    """Know prices."""
    return FakeQuotes()


@pytest.fixture
async def stub(
    known: FakeQuotes, door: Door, clock: ManualClock
) -> AsyncIterator[ingestion_service_pb2_grpc.IngestionServiceStub]:
    """Serve them on a free port, and connect to it."""
    servicer = IngestionServicer(
        Fetcher.__new__(Fetcher),
        door,
        symbols_at_once=1,
        quotes=QuoteDesk(known, door, clock),
    )
    bound = bound_server([servicer], "127.0.0.1:0", None)
    await bound.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        yield ingestion_service_pb2_grpc.IngestionServiceStub(connected)
    await bound.server.stop(0)


async def test_each_symbol_has_its_answer_or_its_failure(
    stub: ingestion_service_pb2_grpc.IngestionServiceStub, known: FakeQuotes
) -> None:
    answer = await stub.GetQuotes(
        Request(symbols=["AAPL", "NONE", "AAPL"]),
        metadata=(("x-request-id", "mine"),),
    )

    assert answer.request_id == "mine"
    there, missing = answer.results
    assert (there.symbol, there.trade.price, there.live) == ("AAPL", 7.5, True)
    assert there.age.ToTimedelta().total_seconds() == 3
    assert missing.failure.reason == "SYMBOL_UNKNOWN"
    assert known.budget_seconds == 30.0


async def test_a_deadline_leaves_time_to_tell(
    stub: ingestion_service_pb2_grpc.IngestionServiceStub, known: FakeQuotes
) -> None:
    await stub.GetQuotes(Request(symbols=["AAPL"]), timeout=10)

    assert 9 < known.budget_seconds < 9.6


async def test_a_request_without_symbols_is_refused(
    stub: ingestion_service_pb2_grpc.IngestionServiceStub,
) -> None:
    error = await refused(stub.GetQuotes(Request()))

    assert fields(error) == [("symbols", "names no symbol")]


def test_a_request_says_what_it_means() -> None:
    request = json_format.ParseDict(
        {
            "symbols": ["VOD", "^GSPC", "VOD"],
            "exchange": "XLON",
            "source_policy": {"mode": "MODE_PINNED", "providers": ["yahoo"]},
            "priority": "PRIORITY_BATCH",
        },
        Request(),
    )

    query = quotes_of(request)

    share, index = query.asked
    assert share.instrument == Instrument("VOD", AssetClass.EQUITY, "XLON")
    assert (index.symbol, query.priority) == ("^GSPC", Priority.BATCH)
    assert (query.policy.mode, query.policy.providers) == (
        SourceMode.PINNED,
        ("yahoo",),
    )
    assert quotes_of(Request(symbols=["A"])).priority is Priority.INTERACTIVE


def test_a_symbol_that_cannot_be_read_is_its_own_failure() -> None:
    good, bad = quotes_of(Request(symbols=["A", "a b"])).asked

    assert isinstance(good.instrument, Instrument)
    assert isinstance(bad.instrument, InvalidQueryError)
    assert bad.symbol == "a b"


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({}, "symbols"),
        ({"symbols": [f"S{n}" for n in range(501)]}, "symbols"),
        ({"symbols": ["A"], "asset_class": 99}, "asset_class"),
        ({"symbols": ["A"], "priority": 99}, "priority"),
        (
            {"symbols": ["A"], "source_policy": {"mode": "MODE_CONSENSUS"}},
            "source_policy.mode",
        ),
        (
            {"symbols": ["A"], "source_policy": {"max_cost_usd": -1}},
            "source_policy.max_cost_usd",
        ),
    ],
)
def test_wrong_fields_are_named(request_: dict[str, object], wrong: str) -> None:
    with pytest.raises(InvalidQueryError) as error:
        quotes_of(json_format.ParseDict(request_, Request()))

    assert [each.field for each in error.value.violations] == [wrong]


def encoded(answer: QuoteAnswer) -> ingestion_service_pb2.QuoteResult:
    """Return one answer as it is sent at noon."""
    response = quotes_response_of([answer], "r", now_ns=NOW_NS)
    (result,) = response.results
    return result


def test_everything_that_is_known_is_told() -> None:
    result = encoded(
        QuoteAnswer(
            symbol="aapl",
            snapshot=Snapshot(
                trade=Trade(
                    "AAPL", NOW_NS - 9 * SECOND_NS, 7.5, marks=TickMark.TIME_DOUBTFUL
                ),
                quote=Quote("AAPL", NOW_NS - 2 * SECOND_NS, bid=7.0, ask_size=0.0),
                currency="GBp",
                previous_close=7.25,
                feed_delay_seconds=900.0,
            ),
            provider="acme",
            received_at_ns=NOW_NS,
            attempts=(Attempt("acme", Outcome.SERVED, calls=1),),
        )
    )

    assert (result.symbol, result.trade.symbol) == ("aapl", "AAPL")
    assert result.trade.time_doubtful
    assert result.quote.bid == 7.0
    assert not result.quote.HasField("ask")
    assert result.quote.HasField("ask_size")
    assert result.age.ToTimedelta().total_seconds() == 2
    assert result.feed_delay.ToTimedelta().total_seconds() == 900
    assert (result.currency, result.previous_close) == ("GBp", 7.25)
    assert result.received_at.ToNanoseconds() == NOW_NS
    assert result.attempts[0].calls == 1
    assert not result.HasField("failure")


def test_an_age_is_never_negative_and_what_is_not_known_is_absent() -> None:
    ahead = Snapshot(trade=Trade("A", NOW_NS + SECOND_NS, 7.5))

    result = encoded(QuoteAnswer(symbol="A", snapshot=ahead, provider="acme"))

    assert result.HasField("age")
    assert result.age.ToTimedelta().total_seconds() == 0
    for name in ("quote", "feed_delay", "previous_close", "failure"):
        assert not result.HasField(name)


def test_a_failure_has_what_was_tried_and_no_price() -> None:
    result = encoded(
        QuoteAnswer(
            symbol="A",
            snapshot=SymbolUnknownError("never heard", provider="acme", symbol="A"),
            attempts=(Attempt("acme", Outcome.NO_DATA),),
        )
    )

    assert result.failure.metadata["symbol"] == "A"
    assert result.attempts[0].provider == "acme"
    for name in ("quote", "trade", "age", "received_at"):
        assert not result.HasField(name)
