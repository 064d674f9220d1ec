"""A process under load, looked at from outside, twice a second."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.process.programs import got

_EVERY_SECONDS: Final = 0.5


class Sight(NamedTuple):
    """Hold what was seen at one moment; but for the memory, since the start."""

    resident_bytes: float
    longest_stall_seconds: float
    longest_own_stall_seconds: float
    task_errors: float


class Watched:
    """Look at a server again and again."""

    def __init__(self, http_door: str) -> None:
        """Look at this one."""
        self._page = f"http://{http_door}/metrics"
        self.sights: list[Sight] = []

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        """Look once."""
        _, page = await asyncio.to_thread(got, self._page)
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if not sample.labels
        }
        self.sights.append(
            Sight(
                values["process_resident_memory_bytes"],
                values["ingestion_event_loop_longest_stall_seconds"],
                values["ingestion_event_loop_longest_own_stall_seconds"],
                values["ingestion_unhandled_task_errors_total"],
            )
        )
