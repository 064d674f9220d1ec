"""What outlives the process of one series."""

from __future__ import annotations

from dataclasses import dataclass

from ingestion_server.cache.finals import Block
from ingestion_server.cache.series import Terms
from ingestion_server.cache.spans import Spans, Timed
from ingestion_server.domain.quality import QualityFlag


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """Hold what outlives the process: what is final, and where that was asked for."""

    terms: Terms
    day: int | None
    verified_ns: int
    since_ns: int
    latest_ns: int
    first_trade_ns: int | None
    flags: tuple[QualityFlag, ...]
    coverage: Spans
    voids: tuple[Timed, ...]
    """Parts of the coverage that are to be asked for again."""
    numbers: list[int]
    """Of all blocks."""
    blocks: dict[int, Block]
    """All of them, or those that are others than when it was last saved."""
    anew: bool
    """Whether all that was saved before is to be forgotten."""
