"""
Whether a stream has holes that nobody declared, or says something twice.

Items are numbered per symbol and kind, which is their partition. A server that was
started anew numbers them anew, and says so by an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from marketdata.ingestion.v1 import ingestion_service_pb2, stream_pb2

from ingestion_server.client.stream_items import (
    LiveBar,
    Quote,
    StreamItem,
    Trade,
    bar_from,
    event_from,
    quote_from,
    trade_from,
)

_Event = stream_pb2.StreamEvent
_Told = TypeVar("_Told", stream_pb2.Trade, stream_pb2.Quote, stream_pb2.LiveBar)
_Tick = Trade | Quote | LiveBar

_ABOUT_NUMBERS: Final = frozenset(
    {_Event.KIND_SUBSCRIBED, _Event.KIND_GAP, _Event.KIND_CONFLATED}
)


@dataclass(frozen=True, slots=True)
class _Hole:
    """Be what nobody declared; `first` and `last` are 0 if its numbers are unknown."""

    after: int
    first: int = 0
    last: int = 0


@dataclass(slots=True)
class _Partition:
    """Know which number comes next, and whether it may be another."""

    symbol: str
    kind: stream_pb2.TickKind.ValueType
    last: int | None = None
    """The latest number that was seen; at first, the one before; None = not known."""
    tick: _Tick | None = None
    """The latest item."""
    excused: list[tuple[int, int]] = field(default_factory=list)
    """Ranges above `last`, of which it was said that they do not come."""
    carried: int | None = None
    """`last` when the connection was made anew; None once numbers came over it."""
    declared: bool = False
    """Whether the next number may be any, because it was said that data are missing."""
    anew: bool = False
    """Whether the numbers have begun anew since the latest item."""
    unsettled: bool = False
    """Whether they may have: the next number tells."""

    def reconnect(self) -> None:
        """Expect either what follows, or numbers that begin anew."""
        self.carried = self.last

    def subscribe(self, number: int | None) -> None:
        """Hear that items after this number come; None = it was not said."""
        if number is None:
            self.unsettled = self.carried is not None
        elif self.last is None:
            self.last = number
        elif number < self.last:
            self._begin_anew(number)
        elif number > self.last and self.carried is None:
            # Over a new connection, they were to come before: they may be lost.
            self.excused.append((self.last + 1, number))

    def gap(self, number: int | None) -> None:
        """Hear that data are missing, but not which numbers."""
        if self.carried is None and not self.anew:
            # Then none is missing: the vendor did not send them here.
            return
        self.declared = True
        if number is None:
            self.unsettled = True
        elif self.carried is not None and number < self.carried:
            self._begin_anew(number)

    def skip(self, first: int, last: int, *, missing: bool) -> None:
        """Hear that numbers do not come."""
        if self.carried is not None and last < self.carried:
            self._begin_anew(first - 1)
        if self.anew:
            self.declared = self.declared or missing
        # Some of them may come all the same: of bars, the latest of each.
        self.excused.append((first, last))

    def repeats(self, number: int) -> bool:
        """Tell whether an item was seen already."""
        return self.last is not None and number <= self.last and not self.unsettled

    def advance(self, tick: _Tick) -> None:
        """Go on to an item that is new."""
        self.last, self.carried, self.tick = tick.sequence, None, tick
        self.declared = self.anew = self.unsettled = False
        if self.excused:
            self.excused = [each for each in self.excused if each[1] > tick.sequence]

    def holes_before(self, number: int) -> Iterator[_Hole]:
        """Yield what is missing before an item that is new, and nobody declared."""
        if self.last is None or self.declared:
            return
        if self.anew or number <= self.last:
            # It does not follow on anything that came here.
            yield _Hole(after=self.last)
            return
        after = self.last
        for first, last in [*sorted(self.excused), (number, number)]:
            if after + 1 < min(first, number):
                yield _Hole(after, after + 1, min(first, number) - 1)
            after = max(after, last)

    def _begin_anew(self, number: int) -> None:
        self.last, self.carried, self.anew = number, None, True
        self.excused.clear()


@dataclass(slots=True)
class _Checked:
    """Hold what is new in a message, and the holes in it."""

    now_ns: int
    items: list[StreamItem] = field(default_factory=list)
    events: list[_Event] = field(default_factory=list)
    altered: bool = False

    def declare(self, hole: _Hole, partition: _Partition, to: _Tick) -> None:
        """Say what nobody has said."""
        event = _Event(
            kind=_Event.KIND_GAP,
            symbol=partition.symbol,
            tick_kind=partition.kind,
            sequence=hole.after,
            cause=_cause(hole),
            first_missing=hole.first,
            last_missing=hole.last,
        )
        event.time.FromNanoseconds(self.now_ns)
        if partition.tick is not None:
            # The field is named by a word of Python's own.
            getattr(event, "from").FromNanoseconds(_time_ns(partition.tick))
        event.to.FromNanoseconds(_time_ns(to))
        self.events.append(event)
        self.items.append(event_from(event, local=True))
        self.altered = True


class Continuity:
    """Check the messages of a stream, one after the other."""

    def __init__(self, kinds: Iterable[stream_pb2.TickKind.ValueType]) -> None:
        self._kinds: Final = tuple(dict.fromkeys(kinds))
        self._partitions: dict[
            tuple[str, stream_pb2.TickKind.ValueType], _Partition
        ] = {}

    def reconnect(self) -> None:
        """Expect either what follows, or numbers that begin anew."""
        for partition in self._partitions.values():
            partition.reconnect()

    def check(
        self, told: ingestion_service_pb2.StreamQuotesResponse, now_ns: int
    ) -> tuple[list[StreamItem], ingestion_service_pb2.StreamQuotesResponse]:
        """
        Return what is new in a message, and the message with nothing but that.

        A hole that no event declares becomes an event before what follows it.
        """
        out = _Checked(now_ns)
        for event in told.events:
            if event.kind in _ABOUT_NUMBERS:
                self._hear(event)
            out.events.append(event)
            out.items.append(event_from(event, local=False))
        quotes = self._fresh(told.quotes, stream_pb2.TICK_KIND_QUOTES, quote_from, out)
        trades = self._fresh(told.trades, stream_pb2.TICK_KIND_TRADES, trade_from, out)
        bars = self._fresh(told.bars, stream_pb2.TICK_KIND_BARS, bar_from, out)
        if not out.altered:
            return out.items, told
        return out.items, ingestion_service_pb2.StreamQuotesResponse(
            quotes=quotes,
            trades=trades,
            bars=bars,
            events=out.events,
            resume_token=told.resume_token,
        )

    def _hear(self, event: _Event) -> None:
        """Take what an event says about numbers."""
        kinds = (event.tick_kind,) if event.tick_kind else self._kinds
        # 0 is a number only of an event that names its kind.
        exact = event.tick_kind or (len(kinds) == 1 and event.sequence)
        number = event.sequence if exact else None
        for kind in kinds:
            partition = self._partition(event.symbol, kind)
            if event.kind == _Event.KIND_SUBSCRIBED:
                partition.subscribe(number)
            elif not event.last_missing:
                partition.gap(number)
            else:
                partition.skip(
                    event.first_missing,
                    event.last_missing,
                    missing=event.kind == _Event.KIND_GAP,
                )

    def _fresh(
        self,
        ticks: Iterable[_Told],
        kind: stream_pb2.TickKind.ValueType,
        read: Callable[[_Told], _Tick],
        out: _Checked,
    ) -> list[_Told]:
        """Return the items that were not seen before."""
        fresh = []
        for told in ticks:
            # What has no number cannot be missed, nor be known again.
            partition = self._partition(told.symbol, kind) if told.sequence else None
            if partition is not None and partition.repeats(told.sequence):
                out.altered = True
                continue
            tick = read(told)
            if partition is not None:
                for hole in partition.holes_before(tick.sequence):
                    out.declare(hole, partition, to=tick)
                partition.advance(tick)
            fresh.append(told)
            out.items.append(tick)
        return fresh

    def _partition(
        self, symbol: str, kind: stream_pb2.TickKind.ValueType
    ) -> _Partition:
        known = self._partitions.get((symbol, kind))
        if known is None:
            known = self._partitions[symbol, kind] = _Partition(symbol, kind)
        return known


def _cause(hole: _Hole) -> str:
    if not hole.last:
        return "the server counts anew and did not say what is missing"
    if hole.first == hole.last:
        return f"number {hole.first} was skipped without a word"
    return f"numbers {hole.first} to {hole.last} were skipped without a word"


def _time_ns(tick: _Tick) -> int:
    return tick.open_time_ns if isinstance(tick, LiveBar) else tick.time_ns
