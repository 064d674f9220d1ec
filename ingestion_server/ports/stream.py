"""
Live data: what a vendor declares of its stream, and the conversation about it.

A feed is a state machine without a socket: it is told what came, and says what to
send. One pump drives all feeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.ticks import Quote, Snapshot, TickKind, Trade
from ingestion_server.ports.http import HttpRequest, HttpResponse


class StreamDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """Say what a vendor's stream is like; every number is the vendor's own."""

    asset_classes: frozenset[AssetClass]
    kinds: frozenset[TickKind]
    """Of ``TRADES`` and ``QUOTES``."""
    most_symbols: int | None = None
    """How many symbols one connection may have; None = no limit is known."""
    silence_seconds: float | None = None
    """
    A connection that sends no message at all for so long is dead.

    None = the vendor may be silent for hours, so only its pongs tell that it lives.
    """
    beat_seconds: float | None = None
    """How often ``Feed.beat`` is to be sent; None = never."""
    sampled: bool = False
    """Whether it tells only the last of several trades."""
    feed_delay_seconds: float | None = None
    """How late the data are by the vendor's own word; None if it does not say."""
    messages_per_second: float = 50.0
    """How fast subscriptions are sent; a burst would be refused."""


class Refused(msgspec.Struct, frozen=True):
    """Say that the vendor refuses something, by a message of the stream."""

    error: ProviderError
    """What it means; ``CredentialsRefusedError`` and the like end the connection."""
    symbol: str = ""
    """The vendor's symbol it is about; empty if the vendor does not say."""


class Confirmed(msgspec.Struct, frozen=True):
    """Say that the vendor has confirmed a subscription."""

    symbol: str


class Malformed(msgspec.Struct, frozen=True):
    """Say that a message, or a part of it, could not be read, and was left out."""

    detail: str


Heard = Trade | Quote | Refused | Confirmed | Malformed
"""What a message says. One that says nothing (a ping) yields nothing."""


class Feed(Protocol):
    """Be the conversation over one connection; symbols are the vendor's own."""

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return the messages that subscribe; what is subscribed may come again."""
        ...

    def unsubscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return the messages that end subscriptions."""
        ...

    def beat(self) -> Sequence[str]:
        """Return the messages to send every so often."""
        ...

    def hear(self, message: str | bytes, received_at_ns: int) -> Sequence[Heard]:
        """
        Return what a message says, in the order in which the vendor says it.

        It never raises: what cannot be read is ``Malformed``, and the rest is kept.
        """
        ...


class Streaming(Protocol):
    """Be the part of a vendor that streams."""

    @property
    def declaration(self) -> StreamDeclaration:
        """Return what the stream is like."""
        ...

    def handshake(self) -> HttpRequest:
        """Return the unsigned request that opens a connection, with a wss url."""
        ...

    def feed(self) -> Feed:
        """Return the conversation over a new connection."""
        ...


class Quoting(Protocol):
    """Be the part of a vendor that tells the latest quote and trade when asked."""

    @property
    def asset_classes(self) -> frozenset[AssetClass]:
        """Return the kinds of instruments whose quotes it tells."""
        ...

    @property
    def day_only(self) -> frozenset[AssetClass]:
        """
        Return the kinds of which it tells the day of the last price, and no time.

        Who tells the time is asked first.
        """
        ...

    @property
    def most_symbols(self) -> int:
        """Return how many instruments one request may be about."""
        ...

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """Return the unsigned request about so many instruments at most."""
        ...

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """
        Read the answer: for each instrument what is known, or why nothing is.

        The symbols of the ticks are ours. Raises ``ProviderError`` if none can be read.
        """
        ...


class TradePage(msgspec.Struct, frozen=True):
    """Hold a part of a vendor's list of trades, and what the vendor says of it."""

    trades: Sequence[Trade]
    """As the vendor lists them, with its symbol."""
    first: int
    """Which place of the list the vendor says these begin at; the list's first is 0."""
    count: int
    """How many the vendor says these are."""
    total: int
    """How many the vendor says the list has by now."""


class TradeHistory(Protocol):
    """Be the part of a vendor that tells the trades of the past, in lists by time."""

    @property
    def page_trades(self) -> int:
        """Return how many trades one request may be about, two at least."""
        ...

    def trade_requests(
        self, instrument: Instrument, start_ns: int, end_ns: int
    ) -> Sequence[HttpRequest]:
        """
        Return the unsigned requests for the lists that may hold ``[start, end)``.

        Each is about as much of its list as one may be about, from the beginning on.
        """
        ...

    def part_request(self, request: HttpRequest, first: int, count: int) -> HttpRequest:
        """Return the request about so many trades of the same list, from a place on."""
        ...

    def read_trades(self, response: HttpResponse, request: HttpRequest) -> TradePage:
        """
        Read one part of a list; whether it is what was asked for is not judged.

        Raises ``ProviderError``.
        """
        ...


class Socket(Protocol):
    """
    Be one open connection.

    Both methods raise ``ProviderUnavailableError`` once it is lost; a clean close is a
    loss too.
    """

    async def send(self, message: str) -> None:
        """Send one message."""
        ...

    async def receive(self) -> str | bytes:
        """Wait for the next message; of many that are there, at once."""
        ...

    def pending(self) -> Sequence[str | bytes]:
        """Return the messages that are there already, without waiting."""
        ...

    @property
    def heard_at(self) -> float:
        """Return when anything at all was heard, pongs included, in monotonic s."""
        ...


class Dialler(Protocol):
    """
    Open connections.

    Raises only ``ProviderError``: unavailable, credentials refused, quota exhausted.
    """

    def connect(self, request: HttpRequest) -> AbstractAsyncContextManager[Socket]:
        """Open one by a signed handshake; it is closed with the block."""
        ...
