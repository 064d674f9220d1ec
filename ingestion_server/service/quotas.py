"""QuotaService: let people look at the budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from marketdata.ingestion.v1 import quota_service_pb2, quota_service_pb2_grpc
from typing_extensions import override

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Ledger, WindowForecast
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.quota_decoding import forecast_request_of, list_of
from ingestion_server.service.quota_encoding import forecast_of, quotas_of
from ingestion_server.service.quota_news import Told
from ingestion_server.service.vendor_decoding import Vendors, watch_of
from ingestion_server.service.watching import Subject, Watcher


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    """Answer the RPCs of QuotaService."""

    def __init__(self, ledger: Ledger, door: Door, clock: Clock) -> None:
        self._ledger = ledger
        self._door = door
        self._clock = clock

    @override
    async def ListQuotas(
        self, request: quota_service_pb2.ListQuotasRequest, context: Context
    ) -> quota_service_pb2.ListQuotasResponse:
        """Answer with every window as it is now."""
        async with self._door.call(context, "QuotaService/ListQuotas"):
            accounts = self._ledger.uses()
            wanted = list_of(request, self._vendors())
            return quotas_of(
                [account for account in accounts if account.provider in wanted],
                self._clock.now_ns(),
            )
        raise AssertionError

    @override
    async def WatchQuotas(
        self, request: quota_service_pb2.WatchQuotasRequest, context: Context
    ) -> AsyncIterator[quota_service_pb2.WatchQuotasResponse]:
        """Answer with every window first, then with what has changed."""
        async with self._door.watch(context, "QuotaService/WatchQuotas"):
            wanted, interval_seconds = watch_of(request, self._vendors())
            told = Told(wanted)
            watcher = Watcher(
                Subject(
                    self._ledger.alerts,
                    self._ledger.changed,
                    lambda alerts: told.news(
                        self._ledger.uses(), alerts, self._clock.now_ns()
                    ),
                ),
                wanted,
                interval_seconds,
                self._door,
                self._clock,
            )
            while True:
                yield await watcher.next()

    @override
    async def ForecastQuota(
        self, request: quota_service_pb2.ForecastQuotaRequest, context: Context
    ) -> quota_service_pb2.ForecastQuotaResponse:
        """Answer with what is to come."""
        async with self._door.call(context, "QuotaService/ForecastQuota"):
            wanted, planned = forecast_request_of(request, self._vendors())
            foreseen = await self._ledger.foresee(planned) if planned else ()
            return forecast_of(
                _in_order(self._ledger.forecasts(), self._known(), wanted),
                foreseen,
                self._clock.now_ns(),
            )
        raise AssertionError

    def _known(self) -> Sequence[str]:
        return [account.provider for account in self._ledger.uses()]

    def _vendors(self) -> Vendors:
        return Vendors(self._known(), lacking="not known or switched off")


def _in_order(
    forecasts: Sequence[WindowForecast], known: Sequence[str], wanted: Collection[str]
) -> Sequence[WindowForecast]:
    """Return the wanted ones as ListQuotas does: by vendor, the shortest first."""
    return sorted(
        (one for one in forecasts if one.use.provider in wanted),
        key=lambda one: (known.index(one.use.provider), one.use.seconds),
    )
