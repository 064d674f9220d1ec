"""One slow reader harms nobody, and is told what became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import ingestion_service_pb2_grpc, stream_pb2

from tests.port.house import House
from tests.port.streaming import (
    FINNHUB,
    Listener,
    assert_all_arrived,
    listening,
    misnumbered,
)

SYMBOLS = ("AAPL", "MSFT", "IBM")
NARROW = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4096),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Options of a client that reads nothing ahead, or all would be read for it."""
SETTINGS = {
    "SANDBOX__TRADES_PER_SECOND": "200",
    "STREAM__QUEUE_ITEMS": "1500",
    "STREAM__SILENCE_SECONDS": "3600",
}
RUSH = 40
"""Seconds of trades that are told in a moment: far more than any buffer between."""


@pytest.fixture
def usual() -> dict[str, str]:
    """Let much be told, and little be left unread."""
    return SETTINGS


async def rush(home: House, quick: Listener, seconds: int = RUSH) -> None:
    """Let time jump again and again, as fast as one who reads can read."""
    for _ in range(seconds):
        wanted = len(quick.trades) + 300
        home.clock.advance(1)
        await quick.until(lambda: len(quick.trades) >= wanted)  # noqa: B023 - awaited here


@asynccontextmanager
async def slow(home: House, policy: str) -> AsyncIterator[Listener]:
    """Subscribe, and read nothing yet."""
    async with (
        grpc.aio.insecure_channel(home.target, options=NARROW) as channel,
        listening(
            home,
            *SYMBOLS,
            reading=False,
            stub=ingestion_service_pb2_grpc.IngestionServiceStub(channel),
            slow_consumer=f"SLOW_CONSUMER_{policy}",
            **FINNHUB,
        ) as listener,
    ):
        yield listener


async def fallen_behind(home: House, lazy: Listener, quick: Listener) -> None:
    """Let one fall behind whom another keeps ahead of; then let it read."""
    await quick.more(100)
    await rush(home, quick)
    lazy.read()


async def caught_up(lazy: Listener, quick: Listener) -> None:
    """Wait until it has what another had when it began to read, and more."""
    goal = {trade.symbol: trade.sequence for trade in quick.trades}

    def reached() -> bool:
        mine = {trade.symbol: trade.sequence for trade in lazy.trades}
        return all(mine.get(symbol, 0) > goal[symbol] for symbol in SYMBOLS)

    await lazy.until(reached)


def declared(lazy: Listener, kind: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many were said not to come, and how many numbers did not come."""
    said: dict[str, int] = defaultdict(int)
    for event in lazy.named(kind):
        if event.last_missing:
            said[event.symbol] += event.count
    missing = {}
    for symbol in SYMBOLS:
        numbers = [trade.sequence for trade in lazy.of(symbol)]
        missing[symbol] = numbers[-1] - numbers[0] + 1 - len(numbers)
    return dict(said), missing


async def test_one_who_does_not_read_takes_nothing_from_those_who_do(
    home: House,
) -> None:
    async with (
        slow(home, "CONFLATE"),
        slow(home, "DROP_OLDEST"),
        slow(home, "DISCONNECT"),
        listening(home, *SYMBOLS, **FINNHUB) as quick,
    ):
        await quick.more(100)
        await rush(home, quick)

        for symbol in SYMBOLS:
            await assert_all_arrived(home, quick, symbol)
        assert misnumbered(quick) == []
        assert not quick.named("GAP")
        assert not quick.named("CONFLATED")


async def test_one_who_conflates_gets_the_latest_and_how_many_were_merged(
    home: House,
) -> None:
    async with (
        slow(home, "CONFLATE") as lazy,
        listening(home, *SYMBOLS, **FINNHUB) as quick,
    ):
        await fallen_behind(home, lazy, quick)
        await lazy.until(
            lambda: {e.symbol for e in lazy.named("CONFLATED")} >= {*SYMBOLS}
        )
        await caught_up(lazy, quick)

        assert misnumbered(lazy) == []
        said, missing = declared(lazy, "CONFLATED")
        assert said == missing
        assert not lazy.named("GAP")
        for event in lazy.named("CONFLATED"):
            assert event.tick_kind == stream_pb2.TICK_KIND_TRADES
            assert event.count == event.last_missing - event.first_missing + 1


async def test_one_who_drops_the_oldest_is_told_which(home: House) -> None:
    async with (
        slow(home, "DROP_OLDEST") as lazy,
        listening(home, *SYMBOLS, **FINNHUB) as quick,
    ):
        await fallen_behind(home, lazy, quick)
        await lazy.until(lambda: {e.symbol for e in lazy.named("GAP")} >= {*SYMBOLS})
        await caught_up(lazy, quick)

        assert misnumbered(lazy) == []
        said, missing = declared(lazy, "GAP")
        assert said == missing
        assert all(event.cause for event in lazy.named("GAP"))
        assert not lazy.named("CONFLATED")


async def test_one_who_wants_to_be_disconnected_is_and_may_come_back(
    home: House,
) -> None:
    async with listening(home, *SYMBOLS, **FINNHUB) as quick:
        async with slow(home, "DISCONNECT") as lazy:
            await fallen_behind(home, lazy, quick)
            failed = await lazy.ended()

            assert failed.code == Code.RESOURCE_EXHAUSTED
            assert failed.reason == "SUBSCRIBER_TOO_SLOW"
            assert failed.detail(error_details_pb2.RetryInfo) is not None
            assert lazy.trades
        async with listening(
            home, *SYMBOLS, resume_token=lazy.token, **FINNHUB
        ) as again:
            await caught_up(again, quick)
            again.order[:0] = lazy.order
            assert misnumbered(again) == []


async def test_one_who_has_fallen_behind_and_reads_again_gets_all_from_then_on(
    home: House,
) -> None:
    async with (
        slow(home, "CONFLATE") as lazy,
        listening(home, *SYMBOLS, **FINNHUB) as quick,
    ):
        await fallen_behind(home, lazy, quick)
        await caught_up(lazy, quick)
        before = len(lazy.named("CONFLATED"))
        start = len(lazy.trades)
        await lazy.more(300)

        assert len(lazy.named("CONFLATED")) == before
        numbers = [
            trade.sequence for trade in lazy.trades[start:] if trade.symbol == "AAPL"
        ]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_one_who_falls_behind_still_hears_of_a_gap(home: House) -> None:
    async with (
        slow(home, "CONFLATE") as lazy,
        listening(home, *SYMBOLS, **FINNHUB) as quick,
    ):
        await quick.more(100)
        await rush(home, quick)
        await home.fault("finnhub", "disconnect")
        await quick.until(lambda: {e.symbol for e in quick.named("GAP")} >= {*SYMBOLS})
        await rush(home, quick, 10)
        lazy.read()

        def lost(listener: Listener) -> set[str]:
            return {e.symbol for e in listener.named("GAP") if not e.last_missing}

        await lazy.until(lambda: lost(lazy) >= {*SYMBOLS})
        assert lost(quick) == {*SYMBOLS}
