"""The services behind the gRPC door, each with the rooms it delegates to."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion_server.app.settings import Settings
from ingestion_server.app.wiring import Joined
from ingestion_server.service.admission import Door
from ingestion_server.service.ingestion import IngestionServicer
from ingestion_server.service.jobs import JobServicer
from ingestion_server.service.providers import ProviderServicer
from ingestion_server.service.quotas import QuotaServicer
from ingestion_server.service.quoting import QuoteDesk
from ingestion_server.service.reports import ReportServicer
from ingestion_server.service.server import Servicer
from ingestion_server.service.streaming import Streams


def services(house: Joined, door: Door, settings: Settings) -> Sequence[Servicer]:
    """Return all that callers can ask, behind one door."""
    return (
        IngestionServicer(
            house.fetcher,
            door,
            symbols_at_once=settings.grpc.symbols_at_once,
            replies=house.replies,
            quotes=QuoteDesk(house.quoter, door, house.clock),
            streams=Streams(house.live, door, house.clock),
        ),
        QuotaServicer(house.ledger, door, house.clock),
        ProviderServicer(
            house.roster,
            house.fetcher,
            door,
            house.clock,
            cache=house.cache_use,
            benchmarker=house.benchmarking,
        ),
        JobServicer(house.jobs, door),
        ReportServicer(house.reports, house.roster, door, house.clock),
    )
