"""A comparison of vendors on the same questions: what is asked, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from ingestion_server.domain.query import AGREEMENT, BarQuery
from ingestion_server.domain.result import Outcome


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """Ask vendors the same questions."""

    questions: Sequence[BarQuery]
    providers: Sequence[str]
    """Ids of vendors, in the order in which they are told of."""
    rounds: int = 1
    """How often each question is asked."""
    tolerance: float = AGREEMENT
    """How far apart two prices may be, relative to the larger, and still agree."""


class BenchmarkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Be what became of one question to one vendor."""

    question: int
    """Counted from 0."""
    round: int
    """Counted from 0."""
    outcome: Outcome
    reason: str = ""
    """An ErrorInfo reason, a colon, and plain words; empty if all is well."""
    latency_seconds: float = 0.0
    """How long the vendor's calls took, retries included; 0 if there was none."""
    calls: int = 0
    cost_usd: Decimal = Decimal(0)
    bars: int = 0
    came: int = 0
    """Of the bars that are due, those that came."""
    due: int | None = None
    """Bars that should exist by now; None where nobody can know."""
    quarantined: int = 0
    """Rows that contradicted themselves and were left out."""

    @property
    def completeness(self) -> float | None:
        """Return which share of the bars that are due came; None = nobody can know."""
        return self.came / self.due if self.due else None


class VendorBenchmark(msgspec.Struct, frozen=True, kw_only=True):
    """Be how one vendor answered."""

    provider: str
    skipped_reason: str = ""
    """Why it was not asked at all; empty if it was."""
    answers: Sequence[BenchmarkAnswer] = ()
    """In the order in which the questions were asked."""

    @property
    def asked(self) -> int:
        """Return how many questions the vendor was called for."""
        return sum(each.outcome is not Outcome.SKIPPED for each in self.answers)

    @property
    def answered(self) -> int:
        """Return how many were answered with bars."""
        return sum(each.bars > 0 for each in self.answers)

    @property
    def completeness(self) -> float | None:
        """Return which share of all bars that are due came; None = nobody can know."""
        known = [each for each in self.answers if each.due is not None]
        due = sum(each.due or 0 for each in known)
        return sum(each.came for each in known) / due if due else None

    def latency_seconds(self, share: float) -> float | None:
        """Return within what time that share of the answers came; None = none did."""
        ascending = sorted(each.latency_seconds for each in self.answers if each.bars)
        if not ascending:
            return None
        return ascending[math.ceil(share * len(ascending)) - 1]


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Be how far two vendors agree about the prices of the same bars."""

    provider: str
    other: str
    compared: int = 0
    """Final bars that both gave."""
    agreeing: int = 0
    """Those whose prices are all within the tolerance."""
    unmatched: int = 0
    """Final bars that only one of them gave."""
    worst: float | None = None
    """The largest distance of two prices, relative to the larger; None = none is."""
    worst_symbol: str = ""
    worst_ns: int | None = None
    """Open of the bar that has it."""


class BenchmarkReport(msgspec.Struct, frozen=True, kw_only=True):
    """Be how vendors compare."""

    vendors: Sequence[VendorBenchmark]
    agreements: Sequence[Agreement]
    as_of_ns: int
    """When the last question was answered."""


class Benchmarker(Protocol):
    """Compare vendors."""

    async def run(
        self, benchmark: Benchmark, *, budget_seconds: float
    ) -> BenchmarkReport:
        """
        Ask the vendors, and compare how they answered.

        Raises:
            InvalidQueryError: A question cannot be asked; nobody was.
            CallerThrottledError: Vendors are being compared already.

        """
        ...
