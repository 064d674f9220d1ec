"""Many queries at once: bounded, each on its own, results as they are ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.result import BarResult
from ingestion_server.ingest.fetch import Fetcher

MOST_BATCH_BARS: Final = 1_000_000
"""Most bars of one symbol: some 40 MB, which a server can hold several times."""

Answered = tuple[int, BarResult | IngestionError]
"""Index of the query, and what became of it."""


async def fetch_all(
    fetcher: Fetcher,
    queries: Sequence[BarQuery | IngestionError],
    *,
    budget_seconds: float,
    at_once: int,
) -> AsyncGenerator[Answered, None]:
    """
    Yield what becomes of each query, in the order in which they are ready.

    A result waits until it is taken before the next query starts, so memory is
    bounded by ``at_once`` results.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + budget_seconds
    ready: asyncio.Queue[Answered] = asyncio.Queue(maxsize=1)
    waiting = iter(enumerate(queries))

    async def _work() -> None:
        for index, query in waiting:
            await ready.put((index, await _one(fetcher, query, end - loop.time())))

    async with asyncio.TaskGroup() as workers:
        tasks = [workers.create_task(_work()) for _ in range(at_once)]
        try:
            for _ in queries:
                yield await ready.get()
        finally:
            for task in tasks:
                task.cancel()


async def _one(
    fetcher: Fetcher, query: BarQuery | IngestionError, budget_seconds: float
) -> BarResult | IngestionError:
    if isinstance(query, IngestionError):
        return query
    try:
        return await fetcher.fetch(
            query,
            budget_seconds=max(budget_seconds, 0.0),
            most_bars=MOST_BATCH_BARS,
        )
    except IngestionError as error:
        return error
