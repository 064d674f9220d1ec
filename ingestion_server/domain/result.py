"""The answer: bars, and the truth about them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.quality import QualityFlag


class Completeness(StrEnum):
    """Say whether everything that was asked for is there."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    DEGRADED = "degraded"


class Missing(msgspec.Struct, frozen=True):
    """Name a stretch whose bars should exist and do not, and why."""

    start_ns: int
    end_ns: int
    reason: str


class Source(msgspec.Struct, frozen=True):
    """Sign one stretch of the series."""

    provider: str
    start_ns: int
    end_ns: int
    received_at_ns: int
    feed_delay_seconds: float | None = None
    from_cache: bool = False
    cache_age_seconds: float | None = None
    derivation: str = ""
    """How the bars were computed from other data; empty if they were not."""


class Outcome(StrEnum):
    """Name how it went with one vendor."""

    SERVED = "served"
    NO_DATA = "no_data"
    FAILED = "failed"
    SKIPPED = "skipped"
    OVERTAKEN = "overtaken"


class Attempt(msgspec.Struct, frozen=True):
    """Say what was tried with one vendor."""

    provider: str
    outcome: Outcome
    reason: str = ""
    latency_seconds: float = 0.0
    cost_usd: Decimal = Decimal(0)
    calls: int = 0
    hedge: bool = False
    """Whether it was asked beside another that was slow."""
    shared: bool = False
    """Whether the answer, or a part of it, came of another request's calls."""
    shared_calls: int = 0
    """How many of those were about this question from the start."""
    retry_after_seconds: float | None = None
    """When the vendor may do better; None if it has not failed, or nobody knows."""


class BarResult(msgspec.Struct, frozen=True, eq=False):
    """Hold the bars of a query and the truth about them."""

    instrument: Instrument
    interval: Interval
    adjustment: Adjustment
    currency: str
    volume_unit: str
    zone: str
    series: BarSeries
    states: npt.NDArray[np.uint8]
    """A ``BarState`` per bar."""
    completeness: Completeness
    missing: list[Missing]
    sources: list[Source]
    attempts: list[Attempt]
    flags: list[QualityFlag]
    good_for_seconds: float = 0.0
    """How long an equal question has the same answer; 0 = it is not known."""
