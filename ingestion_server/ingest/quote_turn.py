"""How one vendor is asked for quotes in its turn, and how it went."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.stream import Quoting

_AT_ONCE: Final = 8
"""Calls of one question under way at the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Hold how it went with one vendor, for one instrument."""

    word: Snapshot | IngestionError
    received_at_ns: int = 0
    calls: int = 0
    """Calls that left for it; one that is about others as well stands with each."""
    cost_usd: Decimal = Decimal(0)
    latency_seconds: float = 0.0
    shared: bool = False
    """Whether another request's call brought it."""


@dataclass(slots=True, eq=False)
class Purse:
    """Bound what the calls of one question may cost, and how many are made at once."""

    most_usd: Decimal | None
    spent_usd: Decimal = Decimal(0)
    places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Let calls go one after the other if what each may cost hangs on the last."""
        self.places = asyncio.Semaphore(1 if self.most_usd is not None else _AT_ONCE)

    @property
    def left_usd(self) -> Decimal | None:
        """Return what may still be spent; None = there is no limit."""
        return None if self.most_usd is None else self.most_usd - self.spent_usd


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """Say how one vendor is asked in its turn."""

    vendor: Vendor
    quoting: Quoting
    kind: str
    """Kind of data and asset class, for its breaker."""
    deadline: float
    longest_quota_wait_seconds: float
    last_resort: bool
    lane: Lane
    purse: Purse
    thrifty: bool = False
    """Whether half of its quota is kept for the questions of others."""

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return self.vendor.provider.name
