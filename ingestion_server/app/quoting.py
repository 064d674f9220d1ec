"""How what tells the latest quotes is joined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.quote_asking import QuoteAsker
from ingestion_server.ingest.quote_flights import QuoteFlights
from ingestion_server.ingest.quote_route import QuoteRoute
from ingestion_server.ingest.quoting import Latest, Quoter, nothing_live
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.suggesting import Suggester
from ingestion_server.ports.clock import Clock
from ingestion_server.registry.standing import Standings


@asynccontextmanager
async def quoting(  # noqa: PLR0913 - everything that it joins
    settings: Settings,
    mode: Mode,
    *,
    vendors: Mapping[str, Vendor],
    ranking: Ranking,
    standings: Standings,
    clock: Clock,
    random: Callable[[], float],
    suggester: Suggester,
    live: Latest = nothing_live,
) -> AsyncIterator[Quoter]:
    """Tell quotes while the block lasts; its end ends what is under way."""
    chosen = settings.cache
    # Recordings are at hand anyway, and what they tell never changes.
    remembers = chosen.enabled and mode.replay is None
    async with QuoteFlights(
        clock,
        fresh_seconds=chosen.quote_seconds if remembers else 0.0,
        absent_seconds=chosen.absent_seconds if remembers else 0.0,
    ) as flights:
        yield Quoter(
            QuoteRoute(vendors, ranking, standings, random=random),
            QuoteAsker(clock, flights),
            ranking,
            clock,
            live=live,
            suggester=suggester,
        )
