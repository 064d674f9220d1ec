"""A vendor without a stream is asked every so often, and one with a socket is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from ingestion_server.domain.errors import (
    ProviderError,
    ProviderUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade
from ingestion_server.ingest.live.connection import PolledConnection, WireConnection
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.stream import Confirmed, Heard, Malformed, Refused
from tests.ingest.making import ACME, RECEIVED
from tests.ingest.vendors import Market, Shop

PAUSE = 15.0
POLL = f"{ACME} QUOTE"


@dataclass
class Teller:
    """Tell prices of all but what it does not know."""

    prices: dict[str, float] = field(default_factory=dict)
    bids: dict[str, float] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    most_symbols: int = 10
    asset_classes: frozenset[AssetClass] = frozenset({AssetClass.EQUITY})
    day_only: frozenset[AssetClass] = frozenset()
    asked: list[list[str]] = field(default_factory=list)

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """Ask for all of them."""
        self.asked.append([each.symbol for each in instruments])
        return HttpRequest(ACME, f"https://{ACME}.example/quote", feature="QUOTE")

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """Tell what is known."""
        del response
        return {each: self._of(each.symbol) for each in instruments}

    def _of(self, symbol: str) -> Snapshot | ProviderError:
        if symbol in self.unknown:
            return SymbolUnknownError("never heard", provider=ACME)
        price, bid = self.prices.get(symbol), self.bids.get(symbol)
        return Snapshot(
            trade=None if price is None else Trade(symbol, RECEIVED, price, 1.0),
            quote=None if bid is None else Quote(symbol, RECEIVED, bid, 1.0),
        )


@dataclass
class Poll:
    """Hold a conversation with a vendor that is asked."""

    market: Market
    teller: Teller
    connection: PolledConnection
    calls: list[int] = field(default_factory=list)
    """How many calls each round took, of which the pause depends."""

    async def hear(self) -> list[Heard]:
        """Return what the next round brings."""
        return list(await self.connection.hear())


@asynccontextmanager
async def polled(*symbols: str, **teller: object) -> AsyncIterator[Poll]:
    """Ask about some symbols, each known to the vendor by another name."""
    teaches = Teller(**teller)  # type: ignore[arg-type]
    known = {f"{each}.V": instrument(each) for each in ("AAPL", "TSLA", "MSFT")}
    async with Market(Shop(ACME, quoting=teaches)) as market:
        calls: list[int] = []

        def pause(count: int) -> float:
            calls.append(count)
            return PAUSE * count

        connection = PolledConnection(
            market.vendors[ACME],
            teaches,
            market.clock,
            instrument_of=known.get,
            pause_seconds=pause,
        )
        await connection.subscribe([f"{each}.V" for each in symbols])
        yield Poll(market, teaches, connection, calls)


async def test_a_price_comes_as_a_sample_with_the_vendors_symbol() -> None:
    async with polled("AAPL", prices={"AAPL": 100.0}, bids={"AAPL": 99.0}) as poll:
        trade, quote = await poll.hear()

        assert isinstance(trade, Trade)
        assert (trade.symbol, trade.price, trade.marks) == (
            "AAPL.V",
            100.0,
            TickMark.SAMPLED,
        )
        assert trade.received_at_ns == RECEIVED
        assert isinstance(quote, Quote)
        assert (quote.symbol, quote.bid, quote.received_at_ns) == (
            "AAPL.V",
            99.0,
            RECEIVED,
        )
        assert {call.lane for call in poll.market.calls} == {Lane.BATCH}


async def test_the_same_price_is_no_news_and_another_one_is() -> None:
    async with polled("AAPL", prices={"AAPL": 100.0}, bids={"AAPL": 99.0}) as poll:
        await poll.hear()
        assert await poll.hear() == []

        poll.teller.bids["AAPL"] = 98.0
        assert [type(each) for each in await poll.hear()] == [Quote]
        poll.teller.prices["AAPL"] = 101.0
        assert [type(each) for each in await poll.hear()] == [Trade]


async def test_who_subscribes_anew_is_told_what_was_told_before() -> None:
    async with polled("AAPL", prices={"AAPL": 100.0}) as poll:
        before = await poll.hear()
        await poll.connection.unsubscribe(["AAPL.V"])
        await poll.connection.subscribe(["AAPL.V"])

        assert await poll.hear() == before


async def test_between_rounds_it_waits_as_long_as_the_quota_asks() -> None:
    async with polled("AAPL", "TSLA", "MSFT", most_symbols=2) as poll:
        began = poll.market.clock.monotonic()
        await poll.hear()
        assert poll.market.clock.monotonic() == began
        assert poll.teller.asked == [["AAPL", "TSLA"], ["MSFT"]]

        await poll.hear()

        assert poll.calls == [2, 2]
        assert poll.market.clock.monotonic() == began + 2 * PAUSE
        assert poll.connection.heard_at == began + 2 * PAUSE


async def test_nothing_is_asked_while_nothing_is_subscribed() -> None:
    async with polled("AAPL") as poll:
        await poll.connection.unsubscribe(["AAPL.V", "OTHER.V"])
        await poll.connection.subscribe(["OTHER.V"])
        await poll.connection.beat()

        assert await poll.hear() == []
        assert poll.market.wire.asked == []


async def test_a_symbol_that_the_vendor_does_not_know_is_refused() -> None:
    async with polled("AAPL", "TSLA", prices={"AAPL": 100.0}, unknown={"TSLA"}) as poll:
        trade, refused = await poll.hear()

        assert isinstance(trade, Trade)
        assert isinstance(refused, Refused)
        assert refused.symbol == "TSLA.V"
        assert isinstance(refused.error, SymbolUnknownError)


async def test_three_rounds_without_any_answer_are_a_loss() -> None:
    async with polled("AAPL") as poll:
        poll.market.wire.failures[POLL] = [_down() for _ in range(100)]
        assert await poll.hear() == []
        assert await poll.hear() == []

        with pytest.raises(ProviderUnavailableError):
            await poll.hear()


async def test_a_round_that_is_answered_begins_the_count_anew() -> None:
    async with polled("AAPL", prices={"AAPL": 100.0}) as poll:
        failures = poll.market.wire.failures
        for _ in range(3):
            failures[POLL] = [_down() for _ in range(100)]
            await poll.hear()
            await poll.hear()
            failures.clear()
            await poll.hear()


async def test_a_call_that_fails_keeps_nothing_of_the_others_back() -> None:
    async with polled("AAPL", "TSLA", prices={"TSLA": 100.0}, most_symbols=1) as poll:
        poll.market.wire.failures[POLL] = [_down() for _ in range(3)]

        (trade,) = await poll.hear()

        assert isinstance(trade, Trade)
        assert trade.symbol == "TSLA.V"


@dataclass
class Wire:
    """Be a socket on which all messages are there already."""

    waiting: list[str | bytes]
    sent: list[str] = field(default_factory=list)
    heard_at: float = 5.0

    async def send(self, message: str) -> None:
        """Note it."""
        self.sent.append(message)

    async def receive(self) -> str | bytes:
        """Give the first."""
        return self.waiting.pop(0)

    def pending(self) -> Sequence[str | bytes]:
        """Give the rest."""
        rest, self.waiting = self.waiting, []
        return rest


class Words:
    """Say and hear plain words."""

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Say one word for each."""
        return [f"+{each}" for each in symbols]

    def unsubscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Say one word for each."""
        return [f"-{each}" for each in symbols]

    def beat(self) -> Sequence[str]:
        """Say one word."""
        return ["."]

    def hear(self, message: str | bytes, received_at_ns: int) -> Sequence[Heard]:
        """Hear confirmations only."""
        if isinstance(message, bytes):
            return [Malformed(f"{received_at_ns}")]
        return [Confirmed(message)]


async def test_all_messages_that_are_there_are_heard_at_once() -> None:
    wire = Wire(["AAPL", b"?", "TSLA"])
    connection = WireConnection(wire, Words(), lambda: 7)

    await connection.subscribe(["AAPL", "TSLA"])
    await connection.unsubscribe(["AAPL"])
    await connection.beat()
    heard = await connection.hear()

    assert wire.sent == ["+AAPL", "+TSLA", "-AAPL", "."]
    assert heard == [Confirmed("AAPL"), Malformed("7"), Confirmed("TSLA")]
    assert connection.heard_at == 5.0


def _down() -> ProviderUnavailableError:
    return ProviderUnavailableError("no answer", provider=ACME)
