"""What a vendor says on a stream, and what it understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ingestion_server.sandbox.days import MINUTE_NS
from ingestion_server.sandbox.instrument import Instrument
from ingestion_server.sandbox.wire import Reply

LOOK_BACK_NS: Final = 10 * MINUTE_NS
"""Of a clock that jumps ahead by more, only this last part is told."""
MOST_SYMBOLS: Final = 1000
"""Subscriptions of one connection where the vendor itself has no lower limit."""


@dataclass(frozen=True, slots=True)
class Trade:
    """Hold one trade that a client is due."""

    instrument: Instrument
    symbol: str
    """As the vendor spells it."""
    time_ms: int
    price: float
    size: float
    """Shares or coins; 0 where the vendor tells none."""
    codes: tuple[str, ...] | None = None
    """The vendor's conditions of the trade, if it has any."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold one text frame and the trades told in it, in their order."""

    text: str
    trades: tuple[Trade, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold what one message of a client asks for."""

    subscribe: tuple[str, ...] | None = None
    """None = the message is not about that."""
    unsubscribe: tuple[str, ...] | None = None
    complaint: str = ""
    """Frame that answers it; empty = none."""


@dataclass(slots=True)
class Subscription:
    """Hold how far one symbol has been told to one client."""

    instrument: Instrument
    until_ns: int
    """Trades before this moment have been told, or were not asked for."""
    told_ns: int = 0
    """When the client was last told anything."""


class Speech(Protocol):
    """What is said on one connection."""

    @property
    def key(self) -> str:
        """Return the client's key; empty where the vendor has none."""
        ...

    @property
    def most_symbols(self) -> int:
        """Return how many symbols the connection may have."""
        ...

    @property
    def too_many(self) -> str:
        """Return the frame that refuses one symbol more; empty = none is sent."""
        ...

    @property
    def ping(self) -> str:
        """Return the text sent into a long silence; empty = none."""
        ...

    @property
    def ping_ns(self) -> int:
        """Return the length of such a silence."""
        ...

    def instrument(self, symbol: str) -> Instrument | None:
        """Find an instrument by the vendor's spelling."""
        ...

    def heard(self, text: str) -> Heard:
        """Read one message of the client."""
        ...

    async def due(
        self, subscriptions: Sequence[tuple[str, Subscription]], now_ns: int
    ) -> list[Trade]:
        """Return the trades to tell now, and note in the subscriptions how far."""
        ...

    async def frames(self, trades: Sequence[Trade], now_ns: int) -> list[Frame]:
        """Put trades into words."""
        ...

    def complaint(self, message: str) -> str:
        """Return an error frame."""
        ...

    def rubbish(self, number: int) -> str:
        """Return a frame that cannot be read, another for each number."""
        ...


class StreamVendor(Protocol):
    """A vendor that has a stream."""

    @property
    def name(self) -> str:
        """Return the vendor's id, for example ``yahoo``."""
        ...

    def key(self, query: Mapping[str, str]) -> str:
        """Return the key of a handshake; empty where there is none."""
        ...

    def refusal(self, query: Mapping[str, str]) -> Reply | None:
        """Return what a handshake without a good key is answered."""
        ...

    def speech(self, query: Mapping[str, str]) -> Speech:
        """Return what is said on the connection of such a handshake."""
        ...
