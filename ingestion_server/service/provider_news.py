"""What has changed about vendors since a watcher was told last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from marketdata.ingestion.v1 import cache_pb2, provider_pb2, provider_service_pb2

from ingestion_server.ports.caching import CacheUse
from ingestion_server.ports.routing import Event, ProviderReport
from ingestion_server.service.cache_encoding import cache_of
from ingestion_server.service.moments import timestamp
from ingestion_server.service.news import Known, steady_moments
from ingestion_server.service.provider_encoding import event_of, provider_of

_SAME_SCORE: Final = 0.01
"""What does not count as another score: it drifts while nothing happens."""


class Told:
    """Remember what one watcher knows, and find what is news to it."""

    def __init__(self, wanted: Collection[str]) -> None:
        """Name the vendors that the watcher wants to hear of."""
        self._wanted = wanted
        self._providers = Known(_key, _steady)
        # There is but one.
        self._cache = Known(lambda _: "", _steady_cache)

    def news(
        self,
        reports: Iterable[ProviderReport],
        cache: CacheUse,
        events: Sequence[Event],
        as_of_ns: int,
    ) -> provider_service_pb2.WatchProvidersResponse:
        """
        Return what has changed, the first time everything, and events.

        The cache is told whole with whatever is told; alone only if it has changed.
        """
        providers = self._providers.news(
            [provider_of(report) for report in reports if report.name in self._wanted]
        )
        use = cache_of(cache)
        tells = bool(self._cache.news([use]) or providers or events)
        return provider_service_pb2.WatchProvidersResponse(
            providers=providers,
            events=map(event_of, events),
            as_of=timestamp(as_of_ns),
            cache=use if tells else None,
        )


def _key(provider: provider_pb2.Provider) -> str:
    return provider.name


def _steady_cache(cache: cache_pb2.CacheUse, known: cache_pb2.CacheUse) -> None:
    # An age grows while nothing happens.
    if cache.HasField("oldest_forming") and known.HasField("oldest_forming"):
        cache.oldest_forming.CopyFrom(known.oldest_forming)


def _steady(provider: provider_pb2.Provider, known: provider_pb2.Provider) -> None:
    before = {health.kind: health for health in known.health}
    for health in provider.health:
        if health.kind in before:
            _steady_health(health, before[health.kind])


def _steady_health(
    health: provider_pb2.ProviderHealth, known: provider_pb2.ProviderHealth
) -> None:
    steady_moments(health.breaker, known.breaker, ("opened_at", "retry_at"))
    # Calls count less as they grow old. A new one shows in when it ended.
    health.samples = known.samples
    if abs(health.score - known.score) < _SAME_SCORE:
        health.score = known.score
    for factor, before in zip(health.factors, known.factors, strict=False):
        if (
            factor.name == before.name
            and abs(factor.value - before.value) < _SAME_SCORE
        ):
            # The words tell of the value, and drift with it.
            factor.value, factor.detail = before.value, before.detail
