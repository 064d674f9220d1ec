"""Trades, quotes and bars as they happen."""

from __future__ import annotations

from enum import IntFlag, StrEnum

import msgspec

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval


class TickKind(StrEnum):
    """Name a kind of live data."""

    TRADES = "trades"
    QUOTES = "quotes"
    BARS = "bars"


class TickMark(IntFlag):
    """Say what is not perfect about a tick."""

    NONE = 0
    OUT_OF_ORDER = 1
    """It took place before another that was published already."""
    BACKFILLED = 2
    """It was asked for later, to fill a gap."""
    SAMPLED = 4
    """The vendor tells only the last of several."""
    TIME_DOUBTFUL = 8
    """The vendor's time is too far from ours to be believed."""


class Trade(msgspec.Struct, gc=False):
    """
    Be one trade; it changes until it is published, and never after that.

    A feed fills in what comes from the vendor, with the vendor's symbol; the hub the
    rest, and our symbol.
    """

    symbol: str
    time_ns: int
    """When it took place, by the vendor's clock."""
    price: float
    size: float | None = None
    """Units; None if the vendor does not say."""
    conditions: tuple[str, ...] = ()
    trade_id: str = ""
    """The vendor's own; empty if it has none."""
    marks: int = 0
    """``TickMark``s."""
    received_at_ns: int = 0
    provider: str = ""
    sequence: int = 0
    position: int = 0
    """Its place among everything that the hub published."""


class Quote(msgspec.Struct, gc=False):
    """Be the best bid and ask; it changes as a ``Trade`` does, and no longer."""

    symbol: str
    time_ns: int
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    marks: int = 0
    received_at_ns: int = 0
    provider: str = ""
    sequence: int = 0
    position: int = 0


class LiveBar(msgspec.Struct, gc=False):
    """Be a bar as it stands; it changes as a ``Trade`` does, and no longer."""

    symbol: str
    open_time_ns: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    interval: Interval = Interval.MINUTE_1
    volume: float | None = None
    """None if any of its trades has no size."""
    vwap: float | None = None
    trade_count: int | None = None
    state: BarState = BarState.PARTIAL
    derived: bool = True
    """Whether it was built of trades; else it is the vendor's own."""
    provider: str = ""
    sequence: int = 0
    position: int = 0


Tick = Trade | Quote | LiveBar


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the latest of one instrument by one vendor's word."""

    trade: Trade | None = None
    quote: Quote | None = None
    currency: str = ""
    """Unit of the prices as the vendor names it; empty if it does not."""
    previous_close: float | None = None
    feed_delay_seconds: float | None = None
    """How late these are by the vendor's word; None if it does not say."""


class Subject(msgspec.Struct, frozen=True):
    """Name what is subscribed: data of an instrument, of some vendors in order."""

    instrument: Instrument
    route: tuple[str, ...]
    """The vendors that may serve it, the first that can does."""
