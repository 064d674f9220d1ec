"""A room that compares vendors, as the service sees it."""

from __future__ import annotations

import asyncio

from ingestion_server.ports.benchmarking import Benchmark, BenchmarkReport
from tests.clocks import NOW_NS


class FakeBenchmarker:
    """Remember what is asked, and answer with what a test says."""

    def __init__(self) -> None:
        self.report = BenchmarkReport(vendors=(), agreements=(), as_of_ns=NOW_NS)
        self.asked: list[tuple[Benchmark, float]] = []
        self.held: asyncio.Event | None = None
        """What an answer waits for."""
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(
        self, benchmark: Benchmark, *, budget_seconds: float
    ) -> BenchmarkReport:
        """Answer, once it is not held any more."""
        self.asked.append((benchmark, budget_seconds))
        self.begun.set()
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self.ended.set()
        return self.report
