"""What is known is taken into an answer, where nothing speaks against it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.memory import Memory
from ingestion_server.ingest.progress import Progress


def recall(
    memory: Memory | None,
    names: Iterable[str],
    progress: Progress,
    now_ns: int,
    *,
    again: bool = False,
) -> None:
    """
    Take what is known of vendors' bars, and is as good as asking.

    With ``again``, also what was taken and given up, since it has changed.
    """
    if memory is None:
        return
    for name in names:
        if not again and (name in progress.consulted or not progress.gaps()):
            continue
        progress.consulted.add(name)
        query, span = progress.query, progress.scope.span
        known = memory.recalled(name, query, span, now_ns)
        if known is None or not known.verified or not known.covered:
            continue
        told = progress.collected.flags
        flags = [flag for flag in known.piece.flags if flag not in told]
        progress.recall(replace(known.piece, flags=flags), known.covered)
        note = f"{name}: had no such bar when asked lately"
        if known.absent and note not in progress.notes:
            progress.notes.append(note)


def recall_stale(
    memory: Memory | None, candidates: Iterable[Candidate], progress: Progress
) -> None:
    """Take what is older than usual, if nobody answered and the caller allows it."""
    if memory is None or progress.answered:
        return
    for candidate in candidates:
        if not progress.gaps():
            break
        known = memory.stale(
            candidate.name, progress.query, progress.scope.span, candidate.now_ns
        )
        if known is not None:
            progress.recall(known.piece, known.covered)
    if progress.collected.stale:
        memory.counts.stale += 1
