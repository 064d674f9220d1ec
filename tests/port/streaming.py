"""Listeners to streams through the port, and the truth to hold them against."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import grpc.aio
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    stream_pb2,
)

from tests.port.house import House, RefusedError, ShiftedClock, pinned

BUSY: Final = {
    "SANDBOX__TRADES_PER_SECOND": "20",
    "SANDBOX__FINNHUB_PING_SECONDS": "0.2",
}
"""Settings with which something is heard all the time."""
HASTY: Final = {
    **BUSY,
    "STREAM__FIRST_PAUSE_SECONDS": "0.05",
    "STREAM__LONGEST_PAUSE_SECONDS": "0.2",
    "STREAM__FAILOVER_SECONDS": "60",
}
"""Settings with which a lost connection is soon back, before another takes over."""
FIRST: Final = {"PROVIDERS__ORDER": "finnhub,yahoo,alpha_vantage"}
"""Settings that prefer the vendor which tells every trade."""
FINNHUB: Final = {"source_policy": pinned("finnhub")}
YAHOO: Final = {"source_policy": pinned("yahoo")}

_PATIENCE_SECONDS: Final = 12
_PAGE: Final = 25_000
_Event = stream_pb2.StreamEvent
Tick = stream_pb2.Trade | stream_pb2.Quote | stream_pb2.LiveBar
Partition = tuple[str, stream_pb2.TickKind.ValueType]
_KINDS: Final = (
    stream_pb2.TICK_KIND_TRADES,
    stream_pb2.TICK_KIND_QUOTES,
    stream_pb2.TICK_KIND_BARS,
)


class Fact(NamedTuple):
    """Be what a vendor says of a trade."""

    time_ms: int
    price: float
    size: float


class Told(NamedTuple):
    """Be a bar, and when it was told by the server's clock."""

    bar: stream_pb2.LiveBar
    at_ns: int


class Listener:
    """Listen to a stream, and remember all of it."""

    def __init__(self, call: Any, clock: ShiftedClock) -> None:
        self.call = call
        self.messages: list[ingestion_service_pb2.StreamQuotesResponse] = []
        self.trades: list[stream_pb2.Trade] = []
        self.quotes: list[stream_pb2.Quote] = []
        self.bars: list[Told] = []
        self.events: list[stream_pb2.StreamEvent] = []
        self.order: list[stream_pb2.StreamEvent | Tick] = []
        self.tokens: list[bytes] = []
        """The token of each message; of one without, that before."""
        self.error: RefusedError | None = None
        self._clock = clock
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    @property
    def token(self) -> bytes:
        """Return where to go on after all that was heard."""
        return self.tokens[-1] if self.tokens else b""

    def named(self, kind: str, symbol: str = "") -> list[stream_pb2.StreamEvent]:
        """Return the events of a kind such as ``GAP``."""
        wanted = _Event.Kind.Value(f"KIND_{kind}")
        return [
            event
            for event in self.events
            if event.kind == wanted and symbol in {"", event.symbol}
        ]

    def of(self, symbol: str) -> list[stream_pb2.Trade]:
        """Return the trades of a symbol."""
        return [trade for trade in self.trades if trade.symbol == symbol]

    def read(self) -> None:
        """Begin to read."""
        self._reader = asyncio.create_task(self._read())

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait for something that is heard."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not happened():
                    if self.error is not None:
                        raise AssertionError(f"it ended: {self.error}; {self}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise AssertionError(f"not heard in time; {self}") from error

    async def until_told(self, kind: str, count: int = 1) -> None:
        """Wait for so many events of a kind."""
        await self.until(lambda: len(self.named(kind)) >= count)

    async def more(self, count: int = 1) -> None:
        """Wait for so many trades more."""
        wanted = len(self.trades) + count
        await self.until(lambda: len(self.trades) >= wanted)

    async def ended(self) -> RefusedError:
        """Wait for the end of the stream, and return how it was told."""
        assert self._reader is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.wait([self._reader])
        if self.error is None:
            raise AssertionError(f"it ended without a reason; {self}")
        return self.error

    async def leave(self) -> None:
        """Cancel the call."""
        self.call.cancel()
        if self._reader is not None:
            await asyncio.wait([self._reader])
            if not self._reader.cancelled():
                self._reader.result()

    def __str__(self) -> str:
        """Return what was heard, in short."""
        events = [
            json_format.MessageToDict(event)
            for event in self.events
            if event.kind != _Event.KIND_HEARTBEAT
        ]
        count = Counter(trade.symbol for trade in self.trades)
        return (
            f"{len(self.messages)} messages, trades {dict(count)}, "
            f"{len(self.quotes)} quotes, {len(self.bars)} bars, events {events[-12:]}"
        )

    async def _read(self) -> None:
        try:
            async for message in self.call:
                self._hear(message)
        except grpc.aio.AioRpcError as error:
            self.error = RefusedError(error)
        except asyncio.CancelledError:
            # The call was cancelled, and not this task.
            if not self.call.cancelled():
                raise
        finally:
            self._news.set()

    def _hear(self, message: ingestion_service_pb2.StreamQuotesResponse) -> None:
        now_ns = self._clock.now_ns()
        self.messages.append(message)
        self.events += message.events
        self.trades += message.trades
        self.quotes += message.quotes
        self.bars += [Told(bar, now_ns) for bar in message.bars]
        self.order += [
            *message.events,
            *message.quotes,
            *message.trades,
            *message.bars,
        ]
        self.tokens.append(message.resume_token or self.token)
        self._news.set()


@asynccontextmanager
async def listening(
    home: House,
    *symbols: str,
    reading: bool = True,
    stub: ingestion_service_pb2_grpc.IngestionServiceStub | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - the deadline of the call
    **request: Any,
) -> AsyncIterator[Listener]:
    """Listen while the block lasts; the request is written as in JSON."""
    token = request.pop("resume_token", b"")
    message = json_format.ParseDict(
        request,
        ingestion_service_pb2.StreamQuotesRequest(symbols=symbols, resume_token=token),
    )
    listener = Listener(
        (stub or home.stub).StreamQuotes(
            message, timeout=timeout, metadata=home.metadata
        ),
        home.clock,
    )
    if reading:
        listener.read()
    try:
        yield listener
    finally:
        await listener.leave()


def facts(trades: Iterable[stream_pb2.Trade]) -> list[Fact]:
    """Return what was told of trades."""
    return [
        Fact(trade.time.ToMilliseconds(), trade.price, trade.size) for trade in trades
    ]


async def sent(home: House, symbol: str, vendor: str = "finnhub") -> list[Fact]:
    """Return what a simulated vendor has written to its streams."""
    url = f"{home.sandbox_url}/control/{vendor}/sent"
    async with home.web.get(url, params={"symbol": symbol}) as reply:
        document = await reply.json()
    return [
        Fact(*row)
        for row in zip(
            document["time_ms"], document["price"], document["size"], strict=True
        )
    ]


async def tape(home: House, symbol: str) -> list[Fact]:
    """Return all that was traded on the exchange's day so far."""
    told: list[Fact] = []
    while True:
        params = {
            "symbol": symbol,
            "date": home.clock.now().date().isoformat(),
            "limit": str(_PAGE),
            "skip": str(len(told)),
            "token": "onlooker",
        }
        url = f"{home.sandbox_url}/api/v1/stock/tick"
        async with home.web.get(url, params=params) as reply:
            assert reply.status == 200, await reply.text()
            page = await reply.json()
        told += [
            Fact(*row) for row in zip(page["t"], page["p"], page["v"], strict=True)
        ]
        if len(told) >= page["total"] or not page["t"]:
            return told


async def assert_all_arrived(
    home: House, listener: Listener, symbol: str, vendor: str = "finnhub"
) -> None:
    """Assert that what was sent was told, as often, and nothing else."""
    before = await sent(home, symbol, vendor)
    assert before
    await listener.until(lambda: len(listener.of(symbol)) >= len(before))
    heard = Counter(facts(listener.of(symbol)))
    after = await sent(home, symbol, vendor)
    assert not Counter(before) - heard, f"lost; {listener}"
    assert not heard - Counter(after), f"invented; {listener}"


class Difference(NamedTuple):
    """Be how a stream differs from what was traded, by its first and last trade."""

    lost: Counter[Fact]
    invented: Counter[Fact]


async def difference(home: House, listener: Listener, symbol: str) -> Difference:
    """Compare what was told with what was traded from the first to the last trade."""
    heard = facts(listener.of(symbol))
    truth = await tape(home, symbol)
    # Of the first instant and the last, others may have been sent before or after.
    first = min(fact.time_ms for fact in heard)
    last = max(fact.time_ms for fact in heard)

    def within(told: list[Fact]) -> Counter[Fact]:
        return Counter(fact for fact in told if first < fact.time_ms < last)

    return Difference(within(truth) - within(heard), Counter(heard) - Counter(truth))


def undeclared(
    lost: Iterable[Fact], gaps: Iterable[stream_pb2.StreamEvent]
) -> list[Fact]:
    """Return what is missing and lies in no gap."""
    spans = [span(gap) for gap in gaps]
    return [
        fact
        for fact in lost
        if not any(start <= fact.time_ms < end for start, end in spans)
    ]


def span(event: stream_pb2.StreamEvent) -> tuple[float, float]:
    """Return from when to when a gap is, in milliseconds."""
    start: Timestamp = getattr(event, "from")
    end = event.to.ToNanoseconds() / 1e6 if event.HasField("to") else float("inf")
    return start.ToNanoseconds() / 1e6, end


def misnumbered(listener: Listener) -> list[str]:
    """Return each number that came twice, or did not come and was not declared."""
    found: list[str] = []
    latest: dict[Partition, int] = {}
    excused: dict[Partition, list[tuple[int, int]]] = defaultdict(list)
    for each in listener.order:
        if isinstance(each, stream_pb2.StreamEvent):
            for partition in _partitions(each):
                if each.last_missing:
                    excused[partition].append((each.first_missing, each.last_missing))
            continue
        partition = each.symbol, _kind(each)
        before = latest.get(partition)
        if before is not None:
            if each.sequence <= before:
                found.append(f"{partition}: {each.sequence} after {before}")
            holes = _uncovered(before + 1, each.sequence - 1, excused[partition])
            found += [f"{partition}: {hole} are missing" for hole in holes]
        latest[partition] = each.sequence
    return found


def disordered(trades: Iterable[stream_pb2.Trade]) -> list[str]:
    """Return the trades that are earlier than one before, or not, and do not say so."""
    found = []
    newest: dict[str, int] = {}
    for trade in trades:
        now_ns = trade.time.ToNanoseconds()
        before_ns = newest.get(trade.symbol, 0)
        if trade.out_of_order != (now_ns < before_ns) and not trade.backfilled:
            found.append(f"{trade.symbol} {trade.sequence}: {trade.out_of_order}")
        newest[trade.symbol] = max(now_ns, before_ns)
    return found


def _kind(tick: Tick) -> stream_pb2.TickKind.ValueType:
    match tick:
        case stream_pb2.Trade():
            return stream_pb2.TICK_KIND_TRADES
        case stream_pb2.Quote():
            return stream_pb2.TICK_KIND_QUOTES
        case _:
            return stream_pb2.TICK_KIND_BARS


def _partitions(event: stream_pb2.StreamEvent) -> Iterator[Partition]:
    for kind in (event.tick_kind,) if event.tick_kind else _KINDS:
        yield event.symbol, kind


def _uncovered(
    first: int, last: int, ranges: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return what of ``first`` to ``last`` lies in no range."""
    found = []
    for low, high in sorted(ranges):
        if low > last or first > last:
            break
        if high < first:
            continue
        if low > first:
            found.append((first, low - 1))
        first = max(first, high + 1)
    if first <= last:
        found.append((first, last))
    return found
