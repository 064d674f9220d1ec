"""What a caller asks for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval

AGREEMENT: Final = 1e-6
"""Two vendors agree within this, relative to the larger: some have seven digits."""


class SourceMode(StrEnum):
    """Name how the vendor is chosen."""

    ANY = "any"
    ORDERED = "ordered"
    PINNED = "pinned"
    CONSENSUS = "consensus"


class SourcePolicy(msgspec.Struct, frozen=True):
    """Say which vendors may answer."""

    mode: SourceMode = SourceMode.ANY
    providers: tuple[str, ...] = ()
    allow_partial: bool = True
    max_cost_usd: float | None = None
    """Most that the calls for the answer may cost together; None = no limit."""
    max_staleness_seconds: float | None = None
    """How old bars may be that can still change; None = not asked to be stale."""
    tolerance: float = AGREEMENT
    """How far apart two prices may be, relative to the larger, in a consensus."""


class Priority(StrEnum):
    """Name how urgent an answer is."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class BarQuery(msgspec.Struct, frozen=True):
    """Ask for the bars of one instrument that open in ``[start, end)``."""

    instrument: Instrument
    interval: Interval
    start_ns: int | None = None
    """None = as many bars before the end as ``limit`` says."""
    end_ns: int | None = None
    """None = now."""
    limit: int = 0
    """With a start: the first so many, 0 = all. Without: the last, 0 = 100."""
    adjustment: Adjustment = Adjustment.SPLIT
    hours: TradingHours = TradingHours.REGULAR
    policy: SourcePolicy = SourcePolicy()
    priority: Priority = Priority.INTERACTIVE


class Span(msgspec.Struct, frozen=True, order=True):
    """Be the stretch of time ``[start, end)``, in nanoseconds since 1970 UTC."""

    start_ns: int
    end_ns: int
