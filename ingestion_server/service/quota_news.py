"""What has changed since a watcher was told last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeVar

from marketdata.ingestion.v1 import quota_pb2, quota_service_pb2

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.quota import AccountUse, Alert
from ingestion_server.service.moments import nanoseconds
from ingestion_server.service.quota_encoding import alert_of, quotas_of

_MOST_OLD_ALERTS: Final = 100
_SAME_MOMENT_NS: Final = SECOND_NS // 10
"""
What does not count as another moment.

A moment that is reckoned from now differs a little each time it is reckoned.
"""
_WINDOW_MOMENTS: Final = ("resets_at", "free_at")
_PROVIDER_MOMENTS: Final = ("closed_until",)
_State = TypeVar("_State", quota_pb2.QuotaWindow, quota_pb2.QuotaProvider)


class Told:
    """Remember what one watcher knows, and find what is news to it."""

    def __init__(self, wanted: Collection[str]) -> None:
        """Name the vendors that the watcher wants to hear of."""
        self.last_alert = 0
        """The number of the last alert that was looked at."""
        self._wanted = wanted
        self._begun = False
        self._windows: dict[tuple[str, str], quota_pb2.QuotaWindow] = {}
        self._providers: dict[str, quota_pb2.QuotaProvider] = {}

    def alerts(self, alerts: Sequence[Alert]) -> list[quota_pb2.QuotaAlert]:
        """Return those of the latest alerts that the watcher wants to hear of."""
        if alerts:
            self.last_alert = alerts[-1].number
        return [alert_of(one) for one in alerts if one.provider in self._wanted]

    def news(
        self,
        accounts: Iterable[AccountUse],
        alerts: Sequence[quota_pb2.QuotaAlert],
        as_of_ns: int,
    ) -> quota_service_pb2.WatchQuotasResponse | None:
        """Return what has changed; the first time everything; None = nothing has."""
        state = quotas_of(
            [account for account in accounts if account.provider in self._wanted],
            as_of_ns,
        )
        windows = [one for one in state.windows if self._is_new_window(one)]
        providers = [one for one in state.providers if self._is_new_provider(one)]
        self._windows |= {(one.provider, one.name): one for one in windows}
        self._providers |= {one.provider: one for one in providers}
        if self._begun and not (windows or providers or alerts):
            return None
        self._begun = True
        return quota_service_pb2.WatchQuotasResponse(
            windows=windows,
            providers=providers,
            alerts=alerts[-_MOST_OLD_ALERTS:],
            as_of=state.as_of,
        )

    def _is_new_window(self, window: quota_pb2.QuotaWindow) -> bool:
        known = self._windows.get((window.provider, window.name))
        return known is None or _steadied(window, known, _WINDOW_MOMENTS) != known

    def _is_new_provider(self, provider: quota_pb2.QuotaProvider) -> bool:
        known = self._providers.get(provider.provider)
        if known is None:
            return True
        steadied = _steadied(provider, known, _PROVIDER_MOMENTS)
        # What the month will cost drifts while nothing happens: cents count.
        if f"{provider.spend.projected_usd:.2f}" == f"{known.spend.projected_usd:.2f}":
            steadied.spend.projected_usd = known.spend.projected_usd
        return steadied != known


def _steadied(state: _State, known: _State, moments: Sequence[str]) -> _State:
    """Return a state with the known moments where they are as good as the same."""
    steadied = type(state)()
    steadied.CopyFrom(state)
    for name in moments:
        if state.HasField(name) and known.HasField(name):  # type: ignore[arg-type]
            before, now = getattr(known, name), getattr(state, name)
            if abs(nanoseconds(now) - nanoseconds(before)) < _SAME_MOMENT_NS:
                getattr(steadied, name).CopyFrom(before)
    return steadied
