"""
The ledger as metrics: what vendors allow, what is used of it, and what it costs.

Values are read when a page is asked for, so calls of vendors pay nothing for them.
No label names an instrument: their number is bounded by that of the windows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.ports.quota import (
    AccountUse,
    Alert,
    AlertKind,
    Lane,
    Ledger,
    OnAlert,
    WindowForecast,
    WindowUse,
)

_T = TypeVar("_T")
_NS_PER_SECOND: Final = 1_000_000_000
_WINDOW: Final = ("provider", "window", "scope")
_ACCOUNT: Final = ("provider",)
_LANE: Final = ("provider", "lane")


@dataclass(frozen=True, slots=True)
class _Gauge(Generic[_T]):
    """Say what a metric is called, what it means, and where it is found."""

    name: str
    meaning: str
    value: Callable[[_T, int], float | None]
    """Of a thing at a moment; None = the thing has no such value now."""

    def family(
        self,
        labels: Sequence[str],
        rows: Iterable[tuple[Sequence[str], _T]],
        now_ns: int,
    ) -> GaugeMetricFamily:
        """Return the values of all things that have one."""
        family = GaugeMetricFamily(self.name, self.meaning, labels=labels)
        for values, thing in rows:
            value = self.value(thing, now_ns)
            if value is not None:
                family.add_metric(values, value)
        return family


def _seconds_until(moment_ns: int | None, now_ns: int) -> float:
    """Return how far off a moment is; what was, or never will be, is not far."""
    return max(((moment_ns or now_ns) - now_ns) / _NS_PER_SECOND, 0.0)


def _exhaustion(forecast: WindowForecast, now_ns: int) -> float | None:
    moment_ns = forecast.exhausts_at_ns
    return None if moment_ns is None else _seconds_until(moment_ns, now_ns)


_OF_WINDOWS: Final[Sequence[_Gauge[WindowUse]]] = (
    _Gauge(
        "ingestion_quota_limit",
        "Calls, or units where the vendor counts those, that a window allows; where "
        "the vendor publishes no number, what the server allows itself.",
        lambda use, _: use.limit,
    ),
    _Gauge(
        "ingestion_quota_used",
        "Calls or units that were answered and that a window still counts.",
        lambda use, _: use.used,
    ),
    _Gauge(
        "ingestion_quota_reserved",
        "Calls or units that a window counts and that are on their way.",
        lambda use, _: use.reserved,
    ),
    _Gauge(
        "ingestion_quota_remaining",
        "Calls or units that are left in a window; absent where the vendor publishes "
        "no number.",
        lambda use, _: use.remaining if use.tracked else None,
    ),
    _Gauge(
        "ingestion_quota_seconds_until_reset",
        "Seconds until all of a window is free if nothing is added; 0 if it is.",
        lambda use, now_ns: _seconds_until(use.resets_at_ns, now_ns),
    ),
)
_OF_FORECASTS: Final[Sequence[_Gauge[WindowForecast]]] = (
    _Gauge(
        "ingestion_quota_seconds_until_exhaustion",
        "Seconds until a window is used up if it goes on like this; absent if it "
        "resets before.",
        _exhaustion,
    ),
    _Gauge(
        "ingestion_quota_rate_per_second",
        "Calls or units per second that a window was asked for of late, smoothed.",
        lambda forecast, _: forecast.rate_per_second,
    ),
)
_OF_ACCOUNTS: Final[Sequence[_Gauge[AccountUse]]] = (
    _Gauge(
        "ingestion_quota_closed_seconds",
        "Seconds for which the vendor still wants to be left alone; 0 if it does not.",
        lambda account, now_ns: _seconds_until(account.closed_until_ns, now_ns),
    ),
    _Gauge(
        "ingestion_spend_usd",
        "What the vendor costs so far this calendar month (UTC), in US dollars: the "
        "flat price and the units beyond the allowance.",
        lambda account, _: float(account.spend.total_usd),
    ),
    _Gauge(
        "ingestion_spend_projected_usd",
        "What the vendor costs by the end of this calendar month (UTC) if it goes on "
        "like this, in US dollars.",
        lambda account, _: float(account.spend.projected_usd),
    ),
)
_WAITING: Final[_Gauge[int]] = _Gauge(
    "ingestion_quota_waiting",
    "Calls that wait for their turn at the vendor.",
    lambda count, _: count,
)


@final
class AlertCounter(OnAlert, Collector):
    """Count the alerts of each window since the start."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: Counter[tuple[str, str, AlertKind]] = Counter()

    @override
    def __call__(self, alert: Alert) -> None:
        """Count one alert."""
        self._counts[alert.provider, alert.window, alert.kind] += 1

    def expect(self, provider: str, windows: Iterable[str]) -> None:
        """Show alerts at 0 before the first, which a rate would not see otherwise."""
        # A vendor may refuse a call without naming a window.
        self._counts[provider, "", AlertKind.VIOLATION] += 0
        for window in windows:
            for kind in AlertKind:
                self._counts[provider, window, kind] += 0

    @override
    def collect(self) -> Iterable[Metric]:
        """Return the one metric."""
        family = CounterMetricFamily(
            "ingestion_quota_alerts",
            "Alerts since the start: 80 % or 95 % of a window used, or a call refused "
            "that fitted all windows.",
            labels=("provider", "window", "kind"),
        )
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        return (family,)


@final
class UseCollector(Collector):
    """Tell what is used of each window, who waits, and what it costs."""

    def __init__(
        self, ledger: Ledger, alerts: AlertCounter, now_ns: Callable[[], int]
    ) -> None:
        """Read a ledger, and let alerts know of its windows."""
        self._ledger = ledger
        self._alerts = alerts
        self._now_ns = now_ns

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of windows, then those of vendors."""
        accounts, now_ns = self._ledger.uses(), self._now_ns()
        for account in accounts:
            windows = [use.window for use in account.windows]
            self._alerts.expect(account.provider, windows)
        uses = [(_labels(use), use) for a in accounts for use in a.windows]
        for of_window in _OF_WINDOWS:
            yield of_window.family(_WINDOW, uses, now_ns)
        waiting = [
            ((account.provider, lane), account.waiting.get(lane, 0))
            for account in accounts
            for lane in Lane
        ]
        yield _WAITING.family(_LANE, waiting, now_ns)
        vendors = [((account.provider,), account) for account in accounts]
        for of_account in _OF_ACCOUNTS:
            yield of_account.family(_ACCOUNT, vendors, now_ns)


@final
class ForecastCollector(Collector):
    """Tell how fast each window is used, and when it runs out."""

    def __init__(self, ledger: Ledger, now_ns: Callable[[], int]) -> None:
        """Read a ledger."""
        self._ledger = ledger
        self._now_ns = now_ns

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of forecasts."""
        forecasts = [(_labels(each.use), each) for each in self._ledger.forecasts()]
        now_ns = self._now_ns()
        for gauge in _OF_FORECASTS:
            yield gauge.family(_WINDOW, forecasts, now_ns)


def quota_parts(
    ledger: Ledger, alerts: AlertCounter, now_ns: Callable[[], int]
) -> Mapping[str, Collector]:
    """Return what a page tells of a ledger, in parts that may fail by themselves."""
    return {
        "quota": UseCollector(ledger, alerts, now_ns),
        "forecasts": ForecastCollector(ledger, now_ns),
        "alerts": alerts,
    }


def _labels(use: WindowUse) -> tuple[str, str, str]:
    return use.provider, use.window, use.scope
