"""Who tells subscribers the bars before the live ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final, NamedTuple, final

from msgspec.structs import replace

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import MINUTE_NS
from ingestion_server.domain.ticks import LiveBar, TickKind
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.live.past import Past, history
from ingestion_server.ingest.live.standing import away, joined, number
from ingestion_server.ingest.live.subscriber import Line
from ingestion_server.ingest.scope import SETTLING_NS
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import StreamEvent, StreamEventKind, StreamQuery

if TYPE_CHECKING:
    from ingestion_server.ingest.live.hub import Hub

_HISTORY_SECONDS: Final = 30.0
_AT_ONCE: Final = 8
_FRESH_NS: Final = 10 * MINUTE_NS
"""Of a longer time, not all of our bars are kept."""
_UNSETTLED_NS: Final = SETTLING_NS + _FRESH_NS
"""What is over for longer, and not final, will not be; answers may be a bit old."""


class Answer(NamedTuple):
    """Be the history of one symbol, as far as it went when it was asked for."""

    line: Line
    past: Past
    asked_ns: int


class Telling(NamedTuple):
    """Be what is told of one symbol's bars, in this order."""

    events: list[StreamEvent]
    bars: list[LiveBar]
    afterwards: list[StreamEvent]


@final
class Historian:
    """Ask for histories, eight at once for all subscribers together."""

    def __init__(self, hub: Hub, fetcher: Fetcher, clock: Clock) -> None:
        self._hub = hub
        self._fetcher = fetcher
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, query: StreamQuery, line: Line) -> Answer:
        """Return the history up to the bar that is forming; a failure is a hole."""
        async with self._turns:
            now_ns = self._clock.now_ns()
            forming_ns = line.line.labels.open_ns(now_ns)
            past = await history(
                self._fetcher,
                line.channel.instrument,
                query.interval,
                query.hours,
                start_ns=query.start_ns or 0,
                end_ns=now_ns if forming_ns is None else forming_ns,
                policy=query.policy,
                budget_seconds=_HISTORY_SECONDS,
            )
        return Answer(line, past, now_ns)

    def fresh(self, answer: Answer) -> bool:
        """Return whether all bars that came since it was asked for are still known."""
        return self._clock.now_ns() - answer.asked_ns <= _FRESH_NS

    def tell(self, query: StreamQuery, answer: Answer) -> Telling:
        """
        Return a history and the bars since, as they stand.

        They are numbered so that the next one that is published goes on from them.
        Of those that are not whole, the vendor's own are asked for.
        """
        line, past, asked_ns = answer
        partition = line.line.partition
        bars = joined(past.bars, line.line.builder.known(query.start_ns or 0))
        before = number(bars, partition)
        for bar in past.bars:
            bar.interval = query.interval
        unfinished = {
            bar.open_time_ns
            for bar in past.bars
            if bar.state is BarState.PARTIAL
            and line.line.labels.end_ns(bar.open_time_ns) > asked_ns - _UNSETTLED_NS
        }
        for bar in bars:
            if not bar.derived and bar.open_time_ns in unfinished:
                self._hub.confirm(line.channel, line.line, bar.open_time_ns)
        events = [self._begun(line, before)]
        events += [
            StreamEvent(
                kind=StreamEventKind.GAP,
                time_ns=self._clock.now_ns(),
                symbol=partition.symbol,
                tick_kind=TickKind.BARS,
                sequence=before,
                from_ns=hole.start_ns,
                to_ns=hole.end_ns,
                cause=hole.reason,
            )
            for hole in past.holes
        ]
        silent = None if line.channel.live else away(self._hub, line.channel, partition)
        return Telling(events, bars, [] if silent is None else [silent])

    def _begun(self, line: Line, sequence: int) -> StreamEvent:
        if line.channel.active:
            event = self._hub.subscribed_event(line.channel, line.line.partition)
            return replace(event, sequence=sequence)
        # Numbers need a beginning, also before anybody serves what is live.
        return StreamEvent(
            kind=StreamEventKind.SUBSCRIBED,
            time_ns=self._clock.now_ns(),
            symbol=line.channel.symbol,
            tick_kind=TickKind.BARS,
            sequence=sequence,
        )


@final
class Histories:
    """
    Be the histories that one subscriber has not been told.

    Of those, a few are on their way or wait to be told, since each may be large.
    """

    def __init__(
        self, historian: Historian, query: StreamQuery, lines: Iterable[Line]
    ) -> None:
        self._historian = historian
        self._query = query
        self._left = deque(lines)
        self._asked: dict[asyncio.Task[Answer], None] = {}
        self._ask()

    @property
    def tasks(self) -> AbstractSet[asyncio.Task[Answer]]:
        """Return what is on its way; empty = all have been told."""
        return self._asked.keys()

    def come(self) -> Iterator[Answer]:
        """Yield those that have come and are to be told now."""
        for task in list(self._asked):
            if not task.done():
                continue
            del self._asked[task]
            answer = task.result()
            if self._historian.fresh(answer):
                yield answer
            else:
                self._left.appendleft(answer.line)
            self._ask()

    def tell(self, answer: Answer) -> Telling:
        """Return what is told of one."""
        return self._historian.tell(self._query, answer)

    def end(self) -> None:
        """Ask for no more."""
        self._left.clear()
        for task in self._asked:
            task.cancel()

    def _ask(self) -> None:
        while self._left and len(self._asked) < _AT_ONCE:
            line = self._left.popleft()
            work = self._historian.ask(self._query, line)
            self._asked[asyncio.ensure_future(work)] = None
