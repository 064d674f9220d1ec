"""A conversation with one vendor: over a socket, or by asking every so often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import (
    DeadlineExceededError,
    ProviderError,
    ProviderUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import Vendor, quotes_kind_of
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.stream import (
    Feed,
    Heard,
    Quoting,
    Refused,
    Socket,
    StreamDeclaration,
)

_MOST_AT_ONCE: Final = 256
"""Ticks; after so many, others have their turn."""
_CALL_SECONDS: Final = 30.0
_MOST_UNHEARD: Final = 3
"""So many rounds of polls without any answer are a loss."""


class Connection(Protocol):
    """
    Be one conversation that has begun; symbols are the vendor's own.

    Everything raises ``ProviderUnavailableError`` once it is lost.
    """

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Let the vendor tell about symbols."""
        ...

    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Let it tell about them no more."""
        ...

    async def beat(self) -> None:
        """Send what keeps the vendor interested."""
        ...

    async def hear(self) -> Sequence[Heard]:
        """Wait for what the vendor says next; may be nothing."""
        ...

    @property
    def heard_at(self) -> float:
        """Return when anything at all was heard, pongs included, in monotonic s."""
        ...


class Upstream(msgspec.Struct, frozen=True):
    """Be where a vendor's live data come from."""

    provider: str
    declaration: StreamDeclaration
    connect: Callable[[], AbstractAsyncContextManager[Connection]]
    """Begin a conversation, under the vendor's breaker; raises ``ProviderError``."""
    spelling: Callable[[Instrument], str | None]
    available: Callable[[], ProviderError | None]
    """Say why it cannot be used at all: switched off, or without a key."""
    polled: bool = False


@final
class WireConnection(Connection):
    """Speak a vendor's own language over a socket."""

    def __init__(self, socket: Socket, feed: Feed, now_ns: Callable[[], int]) -> None:
        self._socket = socket
        self._feed = feed
        self._now_ns = now_ns
        self._unheard: deque[str | bytes] = deque()

    @override
    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Send what subscribes."""
        await self._send(self._feed.subscribe(symbols))

    @override
    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Send what ends subscriptions."""
        await self._send(self._feed.unsubscribe(symbols))

    @override
    async def beat(self) -> None:
        """Send what the feed says."""
        await self._send(self._feed.beat())

    @override
    async def hear(self) -> Sequence[Heard]:
        """Return what the messages say that are there, but not too much at once."""
        waiting = self._unheard
        if not waiting:
            waiting.append(await self._socket.receive())
            waiting.extend(self._socket.pending())
        received_at_ns = self._now_ns()
        heard: list[Heard] = []
        while waiting and len(heard) < _MOST_AT_ONCE:
            heard += self._feed.hear(waiting.popleft(), received_at_ns)
        return heard

    @property
    @override
    def heard_at(self) -> float:
        """Return what the socket says."""
        return self._socket.heard_at

    async def _send(self, messages: Iterable[str]) -> None:
        for message in messages:
            await self._socket.send(message)


@final
class PolledConnection(Connection):
    """
    Ask a vendor without a stream for quotes, every so often.

    It never spends more than half of a quota window, and what it tells is marked as a
    sample. Symbols are the vendor's own; their instruments are kept beside them.
    """

    def __init__(
        self,
        vendor: Vendor,
        quoting: Quoting,
        clock: Clock,
        *,
        instrument_of: Callable[[str], Instrument | None],
        pause_seconds: Callable[[int], float],
    ) -> None:
        """``pause_seconds`` says how long to wait after so many calls."""
        self._vendor = vendor
        self._quoting = quoting
        self._clock = clock
        self._instrument_of = instrument_of
        self._pause_seconds = pause_seconds
        self._symbols: dict[str, Instrument] = {}
        self._told: dict[tuple[str, type], tuple[object, ...]] = {}
        self._unheard = 0
        self._next_at = clock.monotonic()
        self._heard_at = self._next_at

    @override
    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask about them from the next time on, which is soon."""
        for symbol in symbols:
            instrument = self._instrument_of(symbol)
            if instrument is not None:
                self._symbols[symbol] = instrument

    @override
    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Ask about them no more."""
        for symbol in symbols:
            self._symbols.pop(symbol, None)
            for kind in (Trade, Quote):
                self._told.pop((symbol, kind), None)

    @override
    async def beat(self) -> None:
        """Do nothing: asking is enough."""

    @override
    async def hear(self) -> Sequence[Heard]:
        """Wait until it is time, and ask about all symbols."""
        while (left := self._next_at - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, 1.0))
        if not self._symbols:
            await self._clock.sleep(0.1)
            return ()
        heard: list[Heard] = []
        calls, answered, failure = 0, False, ""
        symbols = list(self._symbols.items())
        most = self._quoting.most_symbols
        for first in range(0, len(symbols), most):
            some = symbols[first : first + most]
            calls += 1
            try:
                heard += await self._ask(some)
                answered = True
                self._heard_at = self._clock.monotonic()
            except (ProviderError, DeadlineExceededError) as error:
                failure = error.message
        self._next_at = self._clock.monotonic() + self._pause_seconds(calls)
        self._unheard = 0 if answered else self._unheard + 1
        if self._unheard >= _MOST_UNHEARD:
            raise ProviderUnavailableError(failure, provider=self._name)
        return heard

    @property
    @override
    def heard_at(self) -> float:
        """Return when it was last answered."""
        return self._heard_at

    @property
    def _name(self) -> str:
        return self._vendor.provider.name

    async def _ask(self, some: Sequence[tuple[str, Instrument]]) -> list[Heard]:
        instruments = [instrument for _, instrument in some]

        def read(
            response: HttpResponse,
        ) -> tuple[Mapping[Instrument, Snapshot | ProviderError], int]:
            told = self._quoting.read_quotes(response, instruments)
            return told, response.received_at_ns

        answer, received_at_ns = await self._vendor.exchange(
            self._quoting.quote_request(instruments),
            read,
            allowance=Allowance(
                self._clock.monotonic() + _CALL_SECONDS,
                _CALL_SECONDS,
                quotes_kind_of(instruments[0].asset_class),
                lane=Lane.BATCH,
            ),
        )
        heard: list[Heard] = []
        for symbol, instrument in some:
            told = answer.get(instrument)
            if isinstance(told, SymbolUnknownError):
                heard.append(Refused(told, symbol))
            elif isinstance(told, Snapshot):
                heard += self._news(symbol, told, received_at_ns)
        return heard

    def _news(
        self, symbol: str, told: Snapshot, received_at_ns: int
    ) -> Iterable[Trade | Quote]:
        trade, quote = told.trade, told.quote
        if trade is not None and self._is_news(
            symbol, Trade, (trade.time_ns, trade.price, trade.size)
        ):
            trade.symbol, trade.received_at_ns = symbol, received_at_ns
            trade.marks |= TickMark.SAMPLED
            yield trade
        if quote is not None and self._is_news(
            symbol,
            Quote,
            (quote.bid, quote.bid_size, quote.ask, quote.ask_size),
        ):
            quote.symbol, quote.received_at_ns = symbol, received_at_ns
            yield quote

    def _is_news(self, symbol: str, kind: type, told: tuple[object, ...]) -> bool:
        if self._told.get((symbol, kind)) == told:
            return False
        self._told[symbol, kind] = told
        return True
