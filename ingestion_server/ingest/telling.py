"""What is told of one request to whoever records its trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingestion_server.ingest.asking import Question
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.describing import describe_route
from ingestion_server.ingest.memory import Memory
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.recalling import recall
from ingestion_server.ingest.walk import Walker
from ingestion_server.ports.tracing import Span, span


async def routed(
    walker: Walker,
    able: Sequence[Candidate],
    progress: Progress,
    question: Question,
    deadline: float,
) -> None:
    """
    Have vendors asked, as ``Walker.gather`` does.

    Raises:
        DeadlineExceededError: The caller's time is over.

    """
    with span("route") as part:
        try:
            await walker.gather(able, progress, question, deadline)
        finally:
            if part.is_recorded:
                _describe(part, progress)


async def looked_up(
    memory: Memory,
    able: Sequence[Candidate],
    first: Iterable[Candidate],
    progress: Progress,
    now_ns: int,
) -> None:
    """Take what is known of the bars of those who come first."""
    with span("cache look-up") as part:
        await memory.ready(able, progress.query)
        recall(memory, (each.name for each in first), progress, now_ns)
        if part.is_recorded:
            part.set("ingestion.layer", "bars")
            part.set("ingestion.outcome", _worth(progress))


def _worth(progress: Progress) -> str:
    if not progress.gaps():
        return "hit"
    return "partial" if progress.collected.pieces else "miss"


def _describe(part: Span, progress: Progress) -> None:
    query = progress.query
    part.set("ingestion.symbol", query.instrument.symbol)
    part.set("ingestion.interval", str(query.interval))
    pieces = progress.collected.pieces
    served = (piece.provider for piece in pieces)
    describe_route(part, query.policy.mode, served, progress.attempts)
