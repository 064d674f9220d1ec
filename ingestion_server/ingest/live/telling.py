"""What is told of one stream to whoever records its trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ingestion_server.ports.live import StreamEvent, StreamEventKind
from ingestion_server.ports.tracing import Span

_TOLD: Final = frozenset(
    {
        StreamEventKind.REJECTED,
        StreamEventKind.GAP,
        StreamEventKind.BACKFILLED,
        StreamEventKind.SOURCE_CHANGED,
        StreamEventKind.STALE,
        StreamEventKind.CONFLATED,
    }
)
"""What says that a stream is not perfect."""


def note(part: Span, events: Sequence[StreamEvent]) -> None:
    """Tell the span of a stream what its subscriber is told."""
    if not part.is_recorded:
        return
    for event in events:
        if event.kind in _TOLD:
            part.event(
                f"stream {event.kind.value}",
                {
                    "ingestion.symbol": event.symbol,
                    "ingestion.provider": event.provider,
                    "ingestion.reason": event.reason or event.cause or event.detail,
                },
            )
