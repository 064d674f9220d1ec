"""Some units of a vast job, and all the others that are like them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from ingestion_server.domain.instrument import Instrument
from ingestion_server.ingest.jobs.rehearsing import Work


async def scaled_up(sample: Sequence[Work], count: int) -> list[Work]:
    """
    Return so much work, of which some is given, and the rest is like that.

    What is made up is of instruments of its own: some calls are needed once for each,
    and a call that is shared is weighed by how many it names.
    """
    found = list(sample[:count])
    while len(found) < count:
        await asyncio.sleep(0)
        others: dict[Instrument, Instrument] = {}
        for work in sample[: count - len(found)]:
            instrument = work.instrument
            other = others.get(instrument)
            if other is None:
                symbol = f"{instrument.symbol}-{len(found)}"
                other = msgspec.structs.replace(instrument, symbol=symbol)
                others[instrument] = other
            found.append(Work(other, work.pieces))
    return found
