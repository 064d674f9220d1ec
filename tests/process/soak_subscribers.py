"""The subscribers of the soak: steady ones, slow ones, and those who come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    source_policy_pb2,
    stream_pb2,
)

from tests.process.soak_record import PROVIDER, Record

SYMBOLS: Final = {
    "AAPL": "AAPL",
    "MSFT": "MSFT",
    "IBM": "IBM",
    "NVDA": "NVDA",
    "EUR/USD": "OANDA:EUR_USD",
    "GBP/USD": "OANDA:GBP_USD",
    "USD/JPY": "OANDA:USD_JPY",
    "USD/CHF": "OANDA:USD_CHF",
    "BTC/USD": "COINBASE:BTC-USD",
    "ETH/USD": "COINBASE:ETH-USD",
}
"""
What is subscribed, and how the vendor spells it.

It tells past trades of shares alone: of those, gaps are filled; of pairs they stand.
"""
ALL: Final = tuple(SYMBOLS)
_SOME: Final = ("AAPL", "IBM", "EUR/USD", "BTC/USD")
STEADY: Final = 13
_DELAYS_MS: Final = (0, 5, 5, 100)
SLOW: Final = {
    "conflating": stream_pb2.SLOW_CONSUMER_CONFLATE,
    "dropping": stream_pb2.SLOW_CONSUMER_DROP_OLDEST,
}
_PAUSE_SECONDS: Final = 0.4
"""How long a slow one thinks about a message; twenty come in a second."""
_NARROW: Final = (
    # Or what is not read yet would lie in the wires for most of the soak.
    ("grpc.http2.lookahead_bytes", 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
GUESTS: Final = 5
_STAY_SECONDS: Final = (2.0, 6.0)
_AWAY_SECONDS: Final = (0.2, 2.0)
_READ_SECONDS: Final = 15.0
"""A stream that says nothing for so long, no heartbeat either, is stuck."""
_HEARTBEAT: Final = Duration(seconds=1)

Call = Any
"""A call of a stub, of which there are no types."""


class Crowd:
    """Subscribe in twenty ways, and take down what each is told."""

    def __init__(self, seed: int) -> None:
        """Come and go as the seed says."""
        self._seed = seed
        self._tasks: list[asyncio.Task[None]] = []
        self.steady: list[Record] = []
        self.slow: list[Record] = []
        self.guests: list[Record] = []
        """One for each stay, or for all stays of who comes back with a token."""
        self.returns = 0
        """How often somebody came back with a token."""

    def settle(self, wide: grpc.aio.Channel, narrow: grpc.aio.Channel) -> None:
        """Let those in who stay."""
        for number in range(STEADY):
            symbols = ALL if number % 3 else _SOME
            record = Record(f"steady-{number}", symbols, slow=False)
            self.steady.append(record)
            delay = _DELAYS_MS[number % len(_DELAYS_MS)]
            self._begin(self._stay(wide, record, _asked(symbols, delay_ms=delay)))
        for name, policy in SLOW.items():
            record = Record(name, ALL, slow=True)
            self.slow.append(record)
            asked = _asked(ALL)
            asked.slow_consumer = policy
            self._begin(self._stay(narrow, record, asked, pause=_PAUSE_SECONDS))

    def invite(self, wide: grpc.aio.Channel) -> None:
        """Let those in who come and go; every other one comes back with its token."""
        for number in range(GUESTS):
            random = Random(f"{self._seed} {number}")  # noqa: S311 - no secret
            self._begin(self._visit(wide, number, random))

    async def leave(self) -> None:
        """Let everybody go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def everybody(self) -> list[Record]:
        """Return all records."""
        return [*self.steady, *self.slow, *self.guests]

    def _begin(self, life: Any) -> None:
        self._tasks.append(asyncio.create_task(life))

    async def _stay(
        self,
        channel: grpc.aio.Channel,
        record: Record,
        asked: ingestion_service_pb2.StreamQuotesRequest,
        *,
        pause: float = 0.0,
    ) -> None:
        async with _subscribed(channel, asked) as call:
            while await _read(call, record):
                if pause:
                    await asyncio.sleep(pause)

    async def _visit(
        self, channel: grpc.aio.Channel, number: int, random: Random
    ) -> None:
        returns = number % 2 == 0
        stays = 0
        record: Record | None = None
        while True:
            stays += 1
            if record is None or not returns:
                name = f"guest-{number}" + ("" if returns else f"-stay-{stays}")
                record = Record(name, ALL, slow=False)
                self.guests.append(record)
            elif record.token:
                self.returns += 1
            asked = _asked(ALL)
            asked.resume_token = record.token
            loop = asyncio.get_running_loop()
            until = loop.time() + random.uniform(*_STAY_SECONDS)
            async with _subscribed(channel, asked) as call:
                told = b""
                # A token says where to go on after its own message, so whoever comes
                # back leaves with one that is the last it read.
                while loop.time() < until or (returns and not told):
                    before = record.token
                    record.token = b""
                    alive = await _read(call, record)
                    told = record.token
                    record.token = told or before
                    if not alive:
                        return
            await asyncio.sleep(random.uniform(*_AWAY_SECONDS))


@asynccontextmanager
async def _subscribed(
    channel: grpc.aio.Channel, asked: ingestion_service_pb2.StreamQuotesRequest
) -> AsyncIterator[Call]:
    call = ingestion_service_pb2_grpc.IngestionServiceStub(channel).StreamQuotes(asked)
    try:
        yield call
    finally:
        call.cancel()


async def _read(call: Call, record: Record) -> bool:
    """Take down a message; False if no more will come, which is objected to."""
    try:
        async with asyncio.timeout(_READ_SECONDS):
            message = await call.read()
    except TimeoutError:
        record.object("", f"nothing came for {_READ_SECONDS} s")
        return False
    except grpc.aio.AioRpcError as error:
        record.object("", f"ended with {error.code().name}: {error.details()}")
        return False
    if message is grpc.aio.EOF:
        record.object("", "ended without a word")
        return False
    record.take(message)
    return True


def channels(door: str) -> tuple[grpc.aio.Channel, grpc.aio.Channel]:
    """Return a usual channel, and one in which little can wait to be read."""
    return (
        grpc.aio.insecure_channel(door),
        grpc.aio.insecure_channel(door, options=_NARROW),
    )


def _asked(
    symbols: tuple[str, ...], *, delay_ms: int = 5
) -> ingestion_service_pb2.StreamQuotesRequest:
    policy = source_policy_pb2.SourcePolicy(
        mode=source_policy_pb2.SourcePolicy.MODE_PINNED, providers=[PROVIDER]
    )
    return ingestion_service_pb2.StreamQuotesRequest(
        symbols=symbols,
        kinds=[stream_pb2.TICK_KIND_TRADES],
        source_policy=policy,
        max_batch_delay=Duration(nanos=delay_ms * 1_000_000),
        heartbeat_interval=_HEARTBEAT,
    )
