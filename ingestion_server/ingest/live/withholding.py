"""What a subscriber is not told yet: bars of symbols whose history comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

from ingestion_server.domain.ticks import LiveBar, Tick, TickKind
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.publishing import Batch, Publisher
from ingestion_server.ports.live import StreamEncoder, StreamEvent, StreamEventKind


@final
class Withholding:
    """
    Leave out of messages what is said of bars whose history has not been told.

    Nothing of that is kept, so it takes no room however long it lasts: with its
    history, a symbol's bars are told as they stand then. Until all have been told,
    tokens say so, and who comes back by one of them is told history then.
    """

    def __init__(self, publisher: Publisher, encoder: StreamEncoder) -> None:
        self._publisher = publisher
        self._encoder = encoder
        self._due: set[str] = set()
        self._rejections: dict[str, StreamEvent] = {}

    def begin(self, symbols: Iterable[str]) -> None:
        """Withhold the bars of these symbols."""
        self._due.update(symbols)

    def withholds(self, symbol: str) -> bool:
        """Return whether the bars of a symbol are withheld."""
        return symbol in self._due

    def end(self, symbol: str) -> StreamEvent | None:
        """Withhold a symbol's bars no longer; return whether it was rejected since."""
        self._due.discard(symbol)
        return self._rejections.pop(symbol, None)

    def told(self, batch: Batch) -> Batch | None:
        """Return what may be told of a message; None if nothing."""
        if not self._due:
            return batch
        ticks = [
            tick
            for tick in batch.ticks
            if not (isinstance(tick, LiveBar) and tick.symbol in self._due)
        ]
        events = [event for event in batch.events if not self._leaves_out(event)]
        if not ticks and not events:
            return None
        return self.alone(ticks, events, batch.position)

    def alone(
        self,
        ticks: Sequence[Tick],
        events: Sequence[StreamEvent],
        position: int | None = None,
    ) -> Batch:
        """Return a message for this subscriber; without a position, without a token."""
        if position is None or not self._due:
            return self._publisher.alone(ticks, events, position)
        publisher = self._publisher
        token = tokens.Token(
            publisher.epoch, position, publisher.now_ns(), history_due=True
        )
        part = self._encoder.token(tokens.written(token))
        batch = publisher.alone(ticks, events)
        return Batch(ticks, events, batch.encoded + part, position)

    def _leaves_out(self, event: StreamEvent) -> bool:
        if event.tick_kind is not TickKind.BARS or event.symbol not in self._due:
            return False
        if event.kind is StreamEventKind.REJECTED:
            # It stays true, and nobody says it again.
            self._rejections[event.symbol] = event
        return True
