"""Bars that are kept for good, as Parquet files that people can read as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, final
from weakref import WeakValueDictionary

from typing_extensions import override

from ingestion_server.domain.landed import LandedBars
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import BarLanding, Holding, Landed
from ingestion_server.store.parquet.places import folder_of, holding_of
from ingestion_server.store.parquet.placing import Placing

if TYPE_CHECKING:
    from ingestion_server.store.parquet.series import Series

_Outcome = TypeVar("_Outcome")


@final
class ParquetLanding(BarLanding):
    """
    Keep the bars of each series and year in a file, within a folder of its own.

    What is complete is told by the file itself, so that both become true at once.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        """Name the folder; it is made when there is something to keep."""
        self._folder = folder
        self._clock = clock
        self._placing = Placing(folder)
        self._locks = WeakValueDictionary[str, Lock]()

    @override
    async def land(self, holding: Holding, span: Span, result: BarResult) -> Landed:
        """Keep the final bars of an answer; all of them are safe, or none is."""
        now_ns = self._clock.now_ns()
        return await self._in_thread(
            holding,
            lambda series: series.land(span, result, now_ns=now_ns),
            alone=True,
        )

    @override
    async def covered(self, holding: Holding, span: Span) -> Sequence[Span]:
        """Return what of a span has landed, ascending, without overlap."""
        return await self._in_thread(holding, lambda series: series.covered(span))

    @override
    async def read(self, holding: Holding, span: Span) -> LandedBars:
        """Return the bars of a span that have landed."""
        return await self._in_thread(holding, lambda series: series.read(span))

    async def _in_thread(
        self,
        holding: Holding,
        work: Callable[[Series], _Outcome],
        *,
        alone: bool = False,
    ) -> _Outcome:
        holding = holding_of(holding)
        name = folder_of(holding)
        lock = self._locks.setdefault(name, Lock())

        def run() -> _Outcome:
            # It brings pyarrow with it, of which most servers have no need.
            from ingestion_server.store.parquet.series import (  # noqa: PLC0415
                Series,
            )

            self._placing.ready()
            series = Series(self._folder, self._placing, holding)
            if not alone and self._placing.settled(name):
                return work(series)
            # Held by the thread and not by who waits for it: that one may give up.
            with lock:
                self._placing.settle(name)
                return work(series)

        return await asyncio.to_thread(run)
