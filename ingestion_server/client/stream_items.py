"""Live data as users hold them: trades, quotes, bars, and what happened to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import stream_pb2

from ingestion_server.client import vocabulary, wire
from ingestion_server.client.vocabulary import BarState, word

_SECOND_NS: Final = 10**9
_STATES: Final = {state.value: state for state in BarState}


@dataclass(frozen=True, slots=True)
class Trade:
    """Tell of one trade, or, where sampled, of the last of several."""

    symbol: str
    """The symbol in the server's spelling."""
    sequence: int
    """Its number among the trades of the symbol; 0 = none was given."""
    time_ns: int
    """When it took place by the vendor's clock, in nanoseconds since 1970 UTC."""
    price: float
    """The price, in the currency the exchange quotes."""
    size: float | None
    """Units traded; None if the vendor does not say."""
    provider: str
    """Id of the vendor."""
    received_at_ns: int
    """When it reached the server by its clock, in nanoseconds since 1970 UTC."""
    conditions: tuple[str, ...] = ()
    """The vendor's condition codes, as it spells them."""
    trade_id: str = ""
    """The vendor's own id of the trade; empty if it has none."""
    out_of_order: bool = False
    """Whether it took place before another trade that was sent already."""
    backfilled: bool = False
    """Whether it was asked for later, to fill a gap."""
    sampled: bool = False
    """Whether others may have taken place that the vendor does not tell."""
    time_doubtful: bool = False
    """Whether the vendor's time is too far from the server's to be believed."""

    @property
    def time(self) -> datetime:
        """When it took place, in UTC, to the microsecond."""
        return moment_of(self.time_ns)

    @property
    def received_at(self) -> datetime:
        """When it reached the server, in UTC, to the microsecond."""
        return moment_of(self.received_at_ns)


@dataclass(frozen=True, slots=True)
class Quote:
    """Tell the best bid and ask."""

    symbol: str
    """The symbol in the server's spelling."""
    sequence: int
    """Its number among the quotes of the symbol; 0 = none was given."""
    time_ns: int
    """When it was so by the vendor's clock, in nanoseconds since 1970 UTC."""
    bid: float | None
    """The highest price a buyer offers; None if the vendor does not say."""
    bid_size: float | None
    """Units wanted at that price; None if the vendor does not say."""
    ask: float | None
    """The lowest price a seller asks; None if the vendor does not say."""
    ask_size: float | None
    """Units offered at that price; None if the vendor does not say."""
    provider: str
    """Id of the vendor."""
    received_at_ns: int
    """When it reached the server by its clock, in nanoseconds since 1970 UTC."""
    out_of_order: bool = False
    """Whether it was so before another quote that was sent already."""
    time_doubtful: bool = False
    """Whether the vendor's time is too far from the server's to be believed."""

    @property
    def time(self) -> datetime:
        """When it was so, in UTC, to the microsecond."""
        return moment_of(self.time_ns)

    @property
    def received_at(self) -> datetime:
        """When it reached the server, in UTC, to the microsecond."""
        return moment_of(self.received_at_ns)


@dataclass(frozen=True, slots=True)
class LiveBar:
    """Tell a bar as it stands; it takes the place of an earlier one of that time."""

    symbol: str
    """The symbol in the server's spelling."""
    sequence: int
    """Its number among the bars of the symbol; 0 = none was given."""
    interval: str
    """Length of the bar: ``1m``."""
    open_time_ns: int
    """When it opens, in nanoseconds since 1970 UTC."""
    open: float | None
    """First price; None if the vendor has none."""
    high: float | None
    """Highest price; None if the vendor has none."""
    low: float | None
    """Lowest price; None if the vendor has none."""
    close: float | None
    """Last price; None if the vendor has none."""
    volume: float | None
    """Units traded; None if the vendor gives no sizes."""
    vwap: float | None
    """Volume-weighted average price; None if it is not known."""
    trade_count: int | None
    """Number of trades; None if it is not known."""
    state: BarState
    """Whether it can still change."""
    provider: str
    """Id of the vendor."""
    derived: bool
    """Whether the server built it from trades; False = it is the vendor's own."""

    @property
    def open_time(self) -> datetime:
        """When it opens, in UTC."""
        return moment_of(self.open_time_ns)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Tell what happened to the stream, in its place among the data."""

    kind: str
    """
    ``subscribed``, ``rejected``, ``gap``, ``backfilled``, ``source_changed``,
    ``stale``, ``heartbeat`` or ``conflated``.
    """
    symbol: str
    """The symbol in the server's spelling; empty for a heartbeat."""
    tick_kind: str
    """``trades``, ``quotes`` or ``bars``; empty = all that were asked for."""
    sequence: int
    """Number of the latest item when it happened; 0 if it is about several kinds."""
    time_ns: int
    """When it happened by the server's clock, in nanoseconds since 1970 UTC."""
    from_ns: int | None = None
    """For a gap and what fills it: the time of the last item before."""
    to_ns: int | None = None
    """For a gap and what fills it: when data are whole again; None = not known."""
    cause: str = ""
    """For a gap: why data are missing, in plain words."""
    count: int = 0
    """How many items were filled in, merged or dropped."""
    verified: bool = False
    """For ``backfilled``: whether it was verified that nothing is missing any more."""
    provider: str = ""
    """Id of the vendor that serves the symbol from now on."""
    previous_provider: str = ""
    """For ``source_changed``: id of the vendor that served it before."""
    reason: str = ""
    """For ``rejected``: an `ErrorReason` without its prefix."""
    detail: str = ""
    """What else there is to say, in plain words."""
    first_missing: int = 0
    """First number that does not come; 0 if no number is skipped."""
    last_missing: int = 0
    """Last number that does not come; 0 if no number is skipped."""
    feed_delay: timedelta | None = None
    """How late the vendor's data are by its own word; None if it does not say."""
    sampled: bool = False
    """Whether the vendor tells only some of the trades."""
    local: bool = False
    """Whether this client noticed it, and the server did not say it."""

    @property
    def time(self) -> datetime:
        """When it happened, in UTC, to the microsecond."""
        return moment_of(self.time_ns)

    @property
    def length(self) -> timedelta | None:
        """How long a gap is; None if an end of it is not known."""
        if self.from_ns is None or self.to_ns is None:
            return None
        return timedelta(microseconds=(self.to_ns - self.from_ns) / 1_000)


StreamItem = Trade | Quote | LiveBar | StreamEvent
"""What a stream yields."""


def moment_of(time_ns: int) -> datetime:
    """Read nanoseconds since 1970 as a point in time in UTC, to the microsecond."""
    seconds, rest_ns = divmod(time_ns, _SECOND_NS)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(
        microseconds=rest_ns // 1_000
    )


def trade_from(told: stream_pb2.Trade) -> Trade:
    """Read a trade."""
    return Trade(
        symbol=told.symbol,
        sequence=told.sequence,
        time_ns=nanoseconds(told.time),
        price=told.price,
        size=told.size if told.HasField("size") else None,
        provider=told.provider,
        received_at_ns=nanoseconds(told.received_at),
        conditions=tuple(told.conditions),
        trade_id=told.trade_id,
        out_of_order=told.out_of_order,
        backfilled=told.backfilled,
        sampled=told.sampled,
        time_doubtful=told.time_doubtful,
    )


def quote_from(told: stream_pb2.Quote) -> Quote:
    """Read a quote."""
    return Quote(
        symbol=told.symbol,
        sequence=told.sequence,
        time_ns=nanoseconds(told.time),
        bid=told.bid if told.HasField("bid") else None,
        bid_size=told.bid_size if told.HasField("bid_size") else None,
        ask=told.ask if told.HasField("ask") else None,
        ask_size=told.ask_size if told.HasField("ask_size") else None,
        provider=told.provider,
        received_at_ns=nanoseconds(told.received_at),
        out_of_order=told.out_of_order,
        time_doubtful=told.time_doubtful,
    )


def bar_from(told: stream_pb2.LiveBar) -> LiveBar:
    """Read a bar."""
    return LiveBar(
        symbol=told.symbol,
        sequence=told.sequence,
        interval=word(vocabulary.INTERVALS, told.interval),
        open_time_ns=nanoseconds(told.open_time),
        open=told.open if told.HasField("open") else None,
        high=told.high if told.HasField("high") else None,
        low=told.low if told.HasField("low") else None,
        close=told.close if told.HasField("close") else None,
        volume=told.volume if told.HasField("volume") else None,
        vwap=told.vwap if told.HasField("vwap") else None,
        trade_count=told.trade_count if told.HasField("trade_count") else None,
        state=_STATES.get(told.state, BarState.UNSPECIFIED),
        provider=told.provider,
        derived=told.derived,
    )


def event_from(told: stream_pb2.StreamEvent, *, local: bool) -> StreamEvent:
    """Read what happened."""
    kind = wire.name(stream_pb2.StreamEvent.Kind.items(), told.kind, "KIND_")
    delay = wire.maybe_span(told, "feed_delay")
    return StreamEvent(
        kind=kind.lower(),
        symbol=told.symbol,
        tick_kind=word(vocabulary.TICK_KINDS, told.tick_kind),
        sequence=told.sequence,
        time_ns=nanoseconds(told.time),
        # "from" is a word of Python's own.
        from_ns=_maybe_nanoseconds(told, "from"),
        to_ns=_maybe_nanoseconds(told, "to"),
        cause=told.cause,
        count=told.count,
        verified=told.verified,
        provider=told.provider,
        previous_provider=told.previous_provider,
        reason=told.reason,
        detail=told.detail,
        first_missing=told.first_missing,
        last_missing=told.last_missing,
        feed_delay=delay,
        sampled=told.sampled,
        local=local,
    )


def nanoseconds(stamp: Timestamp) -> int:
    """Read a point in time as nanoseconds since 1970 UTC."""
    return stamp.seconds * _SECOND_NS + stamp.nanos


def _maybe_nanoseconds(told: stream_pb2.StreamEvent, field: str) -> int | None:
    return nanoseconds(getattr(told, field)) if told.HasField(field) else None  # type: ignore[arg-type]
