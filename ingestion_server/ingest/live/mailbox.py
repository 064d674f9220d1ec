"""
What one subscriber has not read yet.

Whoever publishes never waits: a mailbox that is full does what its subscriber chose,
and says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import SubscriberTooSlowError
from ingestion_server.domain.ticks import LiveBar, Quote, Tick, TickKind, Trade
from ingestion_server.ingest.live.crowd import CROWDED_ITEMS, Crowd
from ingestion_server.ingest.live.publishing import Batch
from ingestion_server.ports.live import SlowPolicy, StreamEvent, StreamEventKind

_MOST_EVENTS: Final = 16_384
"""So many events may wait; nobody who has more of them could make sense of them."""
_KEPT_SHARE: Final = 2
"""Who drops the oldest keeps the newest half, or it would drop again at once."""

Alone = Callable[[Sequence[Tick], Sequence[StreamEvent], int | None], Batch]
"""Make a message for one subscriber."""
_Key = tuple[str, TickKind, int]


class _Run(msgspec.Struct):
    """Be numbers of one partition that do not come."""

    first: int
    last: int
    count: int
    from_ns: int
    to_ns: int


@final
class Mailbox:
    """Hold what one subscriber has not read."""

    def __init__(
        self,
        policy: SlowPolicy,
        *,
        most_items: int,
        alone: Alone,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        """``alone`` writes what only this subscriber is told."""
        self._policy = policy
        self._most = most_items
        self._alone = alone
        self._now_ns = now_ns
        self._monotonic = monotonic
        self.read_at = monotonic()
        """When the subscriber last took something, in monotonic seconds."""
        self.crowd: Crowd | None = None
        """Who waits for it to be read."""
        self._batches: deque[Batch] = deque()
        self._items = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: SubscriberTooSlowError | None = None
        # What was taken out of the batches, until the subscriber reads again.
        self._latest: dict[_Key, Tick] = {}
        self._skipped: dict[tuple[str, TickKind], _Run] = {}
        self._events: list[StreamEvent] = []
        self._behind = False
        self._dropped = 0
        self.position = 0
        """Up to here everything was put in."""

    def put(self, batch: Batch) -> None:
        """Take a batch; never waits."""
        if self._failure is not None:
            return
        self.position = batch.position or self.position
        if self._behind and self._policy is SlowPolicy.CONFLATE:
            self._merge(batch)
        else:
            self._batches.append(batch)
            self._items += len(batch.ticks) + len(batch.events)
            if self._items > self._most:
                self._overflow()
        self._wake()

    def put_alone(self, *events: StreamEvent, ticks: Sequence[Tick] = ()) -> None:
        """Take what only this subscriber is told, after what is there already."""
        self.put(self._alone(ticks, events, self.position))

    @property
    def waiting(self) -> bool:
        """Return whether the subscriber waits for something to read."""
        return self._waiter is not None

    @property
    def items(self) -> int:
        """Return how much waits to be read."""
        return self._items

    @property
    def behind(self) -> bool:
        """Return whether something was left out that it has not been told of yet."""
        return self._behind

    @property
    def dropped(self) -> tuple[str, int]:
        """Return what was chosen for when it is behind, and how much that cost."""
        return self._policy, self._dropped

    @property
    def idle(self) -> bool:
        """Return whether everything was read."""
        return not self._batches and not self._behind

    async def get(self) -> bytes:
        """
        Wait for the next message.

        Raises:
            SubscriberTooSlowError: it fell behind, and chose to be told so.

        """
        self.read_at = self._monotonic()
        while True:
            if self._failure is not None:
                raise self._failure
            if self._behind:
                return self._caught_up().encoded
            if self._batches:
                batch = self._batches.popleft()
                self._items -= len(batch.ticks) + len(batch.events)
                if self.crowd is not None and self._items < CROWDED_ITEMS:
                    self.crowd.caught_up()
                    self.crowd = None
                return batch.encoded
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _overflow(self) -> None:
        match self._policy:
            case SlowPolicy.DISCONNECT:
                self._fail()
            case SlowPolicy.DROP_OLDEST:
                self._behind = True
                while self._batches and self._items > self._most // _KEPT_SHARE:
                    batch = self._batches.popleft()
                    self._items -= len(batch.ticks) + len(batch.events)
                    self._dropped += len(batch.ticks)
                    for tick in batch.ticks:
                        self._skip(tick)
                    self._keep_events(batch)
            case SlowPolicy.CONFLATE:
                self._behind = True
                while self._batches:
                    self._merge(self._batches.popleft())
                self._items = 0

    def _fail(self) -> None:
        self._failure = SubscriberTooSlowError(
            f"{self._items} items were not read in time; read faster, ask for another "
            "slow_consumer, or come back with the resume token",
            pending=self._items,
        )
        self._batches.clear()
        self._items = 0
        self._latest.clear()
        self._events.clear()

    def _merge(self, batch: Batch) -> None:
        known = len(self._latest) + len(batch.ticks)
        for tick in batch.ticks:
            key = _key(tick)
            before = self._latest.pop(key, None)
            if before is not None:
                self._skip(before)
            self._latest[key] = tick
        while len(self._latest) > self._most:
            oldest = next(iter(self._latest))
            self._skip(self._latest.pop(oldest))
        self._dropped += known - len(self._latest)
        self._keep_events(batch)

    def _keep_events(self, batch: Batch) -> None:
        self._events += (
            event
            for event in batch.events
            if event.kind is not StreamEventKind.HEARTBEAT
        )
        if len(self._events) > _MOST_EVENTS:
            self._fail()

    def _skip(self, tick: Tick) -> None:
        kind, time_ns = _kind(tick), _time_ns(tick)
        run = self._skipped.get((tick.symbol, kind))
        if run is None:
            self._skipped[tick.symbol, kind] = _Run(
                tick.sequence, tick.sequence, 1, time_ns, time_ns
            )
            return
        run.first = min(run.first, tick.sequence)
        run.last = max(run.last, tick.sequence)
        run.count += 1
        run.from_ns = min(run.from_ns, time_ns)
        run.to_ns = max(run.to_ns, time_ns)

    def _caught_up(self) -> Batch:
        """Return what is left of what was not read in time, and what is not."""
        events = [*self._events, *self._declared()]
        ticks = sorted(self._latest.values(), key=_position)
        self._behind = False
        self._events, self._skipped, self._latest = [], {}, {}
        # What was dropped lies before what still waits.
        return self._alone(ticks, events, None if self._batches else self.position)

    def _declared(self) -> Iterator[StreamEvent]:
        conflated = self._policy is SlowPolicy.CONFLATE
        for (symbol, kind), run in self._skipped.items():
            yield StreamEvent(
                kind=(StreamEventKind.CONFLATED if conflated else StreamEventKind.GAP),
                time_ns=self._now_ns(),
                symbol=symbol,
                tick_kind=kind,
                sequence=run.first - 1,
                from_ns=run.from_ns,
                to_ns=run.to_ns + 1,
                cause="the subscriber reads slower than data come",
                count=run.count,
                first_missing=run.first,
                last_missing=run.last,
            )


def _kind(tick: Tick) -> TickKind:
    match tick:
        case Trade():
            return TickKind.TRADES
        case Quote():
            return TickKind.QUOTES
        case LiveBar():
            return TickKind.BARS


def _time_ns(tick: Tick) -> int:
    return tick.open_time_ns if isinstance(tick, LiveBar) else tick.time_ns


def _key(tick: Tick) -> _Key:
    """Return what a later tick takes the place of: of bars, the same bar."""
    if isinstance(tick, LiveBar):
        return tick.symbol, TickKind.BARS, tick.open_time_ns
    return tick.symbol, _kind(tick), 0


def _position(tick: Tick) -> int:
    return tick.position
