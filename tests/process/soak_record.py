"""What one subscriber of the soak was told, and whether its numbers add up."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import ingestion_service_pb2, stream_pb2

MILLISECOND_NS: Final = 1_000_000
NO_SIZE: Final = -1.0
PROVIDER: Final = "finnhub"

Print = tuple[int, float, float]
"""Time in ms, price and size of a trade: all that a vendor without ids tells."""
Kind = stream_pb2.StreamEvent.Kind


class Gap(NamedTuple):
    """Be a stretch of time that was declared incomplete."""

    from_ns: int
    to_ns: int | None
    cause: str

    def holds(self, time_ns: int) -> bool:
        """Tell whether a trade of that time may be missing."""
        return self.from_ns <= time_ns and (self.to_ns is None or time_ns < self.to_ns)

    def __str__(self) -> str:
        """Show it as ``[from, to)`` in ms."""
        to = "…" if self.to_ns is None else f"{self.to_ns / MILLISECOND_NS:.6f}"
        return f"[{self.from_ns / MILLISECOND_NS:.6f}, {to}) {self.cause}"


class Fill(NamedTuple):
    """Be a stretch that was declared whole again."""

    gap: Gap
    count: int
    verified: bool


class Skipped(NamedTuple):
    """Be numbers that were declared not to come, and the times of their trades."""

    first: int
    last: int
    count: int
    gap: Gap


class Line:
    """Hold what came of one symbol."""

    def __init__(self, symbol: str) -> None:
        """Begin with nothing."""
        self.symbol = symbol
        self.gaps: list[Gap] = []
        self.fills: list[Fill] = []
        self.skipped: list[Skipped] = []
        self.first = 0
        """The first number that came, or was declared not to."""
        self.last = 0
        """The number of the last trade that came."""
        self.pending: list[Print] = []
        """Backfilled trades that no event has spoken of yet."""
        self._time_ms = array("q")
        self._price = array("d")
        self._size = array("d")
        self._backfilled = array("b")

    def __len__(self) -> int:
        """Return how many trades came."""
        return len(self._time_ms)

    def add(self, print_: Print, *, backfilled: bool) -> None:
        """Note a trade."""
        time_ms, price, size = print_
        self._time_ms.append(time_ms)
        self._price.append(price)
        self._size.append(size)
        self._backfilled.append(backfilled)
        if backfilled:
            self.pending.append(print_)

    def declare(self, gap: Gap) -> None:
        """Note a gap; one whose end was not known may be told again with it."""
        before = self.gaps[-1] if self.gaps else None
        if before and before.to_ns is None and before.from_ns == gap.from_ns:
            self.gaps.pop()
        self.gaps.append(gap)

    def prints(self, *, backfilled: bool) -> Iterator[Print]:
        """Return the trades that came live, or those that came later, as they came."""
        for row, late in enumerate(self._backfilled):
            if bool(late) is backfilled:
                yield self._time_ms[row], self._price[row], self._size[row]

    @property
    def last_live_ms(self) -> int:
        """Return the time of the last trade that came live; 0 if none did."""
        for row in range(len(self._time_ms) - 1, -1, -1):
            if not self._backfilled[row]:
                return self._time_ms[row]
        return 0

    @property
    def declared(self) -> int:
        """Return how many numbers were declared not to come."""
        return sum(each.last - each.first + 1 for each in self.skipped)

    def undeclared(self, first: int, last: int) -> bool:
        """Tell whether some of these numbers were not declared."""
        for each in sorted(self.skipped):
            if each.first > first:
                break
            first = max(first, each.last + 1)
        return first <= last


class Record:
    """Take down what one subscriber is told, and object where the contract does."""

    def __init__(self, name: str, symbols: tuple[str, ...], *, slow: bool) -> None:
        """Be told as ``name``; one that is slow may have numbers skipped."""
        self.name = name
        self.slow = slow
        self.lines = {symbol: Line(symbol) for symbol in symbols}
        self.objections: list[str] = []
        """Each with the subscriber, the symbol and the times."""
        self.events: Counter[str] = Counter()
        self.came_ms = round(time.time() * 1000)
        """When it began, by the clock that the vendor has as well."""
        self.token = b""
        self.messages = 0

    @property
    def trades(self) -> int:
        """Return how many trades came, of all symbols."""
        return sum(map(len, self.lines.values()))

    def object(self, symbol: str, wrong: str) -> None:
        """Note that a rule was broken."""
        self.objections.append(f"{self.name} {symbol}: {wrong}")

    def take(self, message: ingestion_service_pb2.StreamQuotesResponse) -> None:
        """Take down a message: its events stand before its data."""
        self.messages += 1
        for event in message.events:
            self._event(event)
        for trade in message.trades:
            self._trade(trade)
        self.token = message.resume_token or self.token

    def _trade(self, trade: stream_pb2.Trade) -> None:
        line = self.lines.get(trade.symbol)
        if line is None:
            self.object(trade.symbol, "a trade of a symbol that was not asked for")
            return
        number, time_ns = trade.sequence, _ns(trade.time)
        if line.last and number <= line.last:
            self.object(
                trade.symbol,
                f"number {number} at {time_ns / MILLISECOND_NS:.3f} came after "
                f"{line.last}",
            )
        elif line.last and line.undeclared(line.last + 1, number - 1):
            self.object(
                trade.symbol,
                f"number {number} at {time_ns / MILLISECOND_NS:.3f} came after "
                f"{line.last}, and no event says why",
            )
        if trade.provider != PROVIDER or trade.sampled or time_ns % MILLISECOND_NS:
            self.object(trade.symbol, f"not a trade of the tape: {trade}")
        line.first = line.first or number
        line.last = number
        size = trade.size if trade.HasField("size") else NO_SIZE
        line.add(
            (time_ns // MILLISECOND_NS, trade.price, size), backfilled=trade.backfilled
        )

    def _event(self, event: stream_pb2.StreamEvent) -> None:
        name = Kind.Name(event.kind).removeprefix("KIND_")
        self.events[name] += 1
        if event.kind == Kind.KIND_HEARTBEAT:
            return
        line = self.lines.get(event.symbol)
        if line is None:
            self.object(event.symbol, f"{name} of a symbol that was not asked for")
            return
        told = event.sequence and line.last
        # What is kept for a slow one stands in one place, wherever it happened.
        if told and event.sequence != line.last and not self.slow:
            self.object(
                event.symbol,
                f"{name} says that number {event.sequence} came last, not {line.last}",
            )
        match event.kind:
            case Kind.KIND_GAP | Kind.KIND_CONFLATED if event.first_missing:
                self._skipped(line, event, name)
            case Kind.KIND_GAP:
                line.declare(_gap(event))
            case Kind.KIND_BACKFILLED:
                self._filled(line, event)
            case Kind.KIND_SUBSCRIBED | Kind.KIND_STALE:
                pass
            case _:
                self.object(event.symbol, f"must not be: {event}")

    def _skipped(self, line: Line, event: stream_pb2.StreamEvent, name: str) -> None:
        first, last = event.first_missing, event.last_missing
        what = f"{name} of the numbers {first} to {last}"
        if line.last and first <= line.last:
            self.object(line.symbol, f"{what}, but {line.last} came")
        if last < first or event.count != last - first + 1:
            self.object(line.symbol, f"{what}, which are not {event.count}")
        if not self.slow:
            self.object(line.symbol, f"{what}, to one that reads as fast as it can")
        line.first = line.first or first
        line.skipped.append(Skipped(first, last, event.count, _gap(event)))

    def _filled(self, line: Line, event: stream_pb2.StreamEvent) -> None:
        fill = Fill(_gap(event), event.count, event.verified)
        what = f"BACKFILLED {fill.gap} with {event.count}"
        came, line.pending = line.pending, []
        line.fills.append(fill)
        if not event.verified:
            self.object(line.symbol, f"{what} is not verified")
        if self.slow:
            # What was merged into a later one stands behind the event.
            return
        if event.count != len(came):
            self.object(line.symbol, f"{what}, but {len(came)} came")
        for print_ in came:
            if not fill.gap.holds(print_[0] * MILLISECOND_NS):
                self.object(line.symbol, f"{what}, but {print_} came")


def _gap(event: stream_pb2.StreamEvent) -> Gap:
    # Python reserves the name of the field.
    since = getattr(event, "from")
    to_ns = _ns(event.to) if event.HasField("to") else None
    return Gap(_ns(since), to_ns, event.cause)


def _ns(stamp: Timestamp) -> int:
    return stamp.seconds * 1_000_000_000 + stamp.nanos
