"""What has changed in budgets since a watcher was told last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from marketdata.ingestion.v1 import quota_pb2, quota_service_pb2

from ingestion_server.ports.quota import AccountUse, Alert
from ingestion_server.service.news import Known, steady_moments
from ingestion_server.service.quota_encoding import alert_of, quotas_of


class Told:
    """Remember what one watcher knows, and find what is news to it."""

    def __init__(self, wanted: Collection[str]) -> None:
        """Name the vendors that the watcher wants to hear of."""
        self._wanted = wanted
        self._windows = Known(_window_key, _steady_window)
        self._providers = Known(_provider_key, _steady_provider)

    def news(
        self, accounts: Iterable[AccountUse], alerts: Sequence[Alert], as_of_ns: int
    ) -> quota_service_pb2.WatchQuotasResponse:
        """Return what has changed, the first time everything, and alerts."""
        state = quotas_of(
            [account for account in accounts if account.provider in self._wanted],
            as_of_ns,
        )
        return quota_service_pb2.WatchQuotasResponse(
            windows=self._windows.news(state.windows),
            providers=self._providers.news(state.providers),
            alerts=map(alert_of, alerts),
            as_of=state.as_of,
        )


def _window_key(window: quota_pb2.QuotaWindow) -> tuple[str, str]:
    return window.provider, window.name


def _provider_key(provider: quota_pb2.QuotaProvider) -> str:
    return provider.provider


def _steady_window(window: quota_pb2.QuotaWindow, known: quota_pb2.QuotaWindow) -> None:
    steady_moments(window, known, ("resets_at", "free_at"))


def _steady_provider(
    provider: quota_pb2.QuotaProvider, known: quota_pb2.QuotaProvider
) -> None:
    steady_moments(provider, known, ("closed_until",))
    # What the month will cost drifts while nothing happens: cents count.
    if f"{provider.spend.projected_usd:.2f}" == f"{known.spend.projected_usd:.2f}":
        provider.spend.projected_usd = known.spend.projected_usd
