"""
Live data as metrics: who listens, what was published, and how each vendor's stream is.

Nothing has a label that names an instrument; a vendor has its rows once its stream was
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, final

import msgspec
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.ports.hooks import OnLag
from ingestion_server.ports.live import SlowPolicy
from ingestion_server.telemetry.histogram import LAG_SECONDS, Histogram


class VendorStream(Protocol):
    """Be what is told of one vendor's stream."""

    @property
    def up(self) -> bool:
        """Return whether there is a living connection."""
        ...

    @property
    def connections(self) -> int:
        """Return how many were tried since the start."""
        ...

    @property
    def reconnects(self) -> int:
        """Return how often it was connected again after a loss since the start."""
        ...

    @property
    def stale(self) -> bool:
        """Return whether something is wanted that does not come as it should."""
        ...

    @property
    def wanted(self) -> int:
        """Return how many symbols are wanted of it."""
        ...


Counts = Callable[[], Mapping[str, int]]
"""Return what there is, and what there was since the start, by our short names."""
Dropped = Callable[[], Mapping[str, int]]
"""Return how much slow subscribers were not told, by what they have chosen."""


class _Metric(msgspec.Struct, frozen=True):
    """Say what a metric is called, what it means, and what we call it."""

    name: str
    meaning: str
    count: str


_GAUGES: Final[Sequence[_Metric]] = (
    _Metric(
        "ingestion_stream_subscribers", "Streams that callers read.", "subscribers"
    ),
    _Metric(
        "ingestion_stream_channels",
        "Symbols whose trades or quotes are subscribed, once for each of the two and "
        "for each choice of vendors.",
        "channels",
    ),
    _Metric(
        "ingestion_stream_slow_subscribers",
        "Streams whose callers read slower than data come: many items wait, or some "
        "were left out.",
        "slow",
    ),
)
_COUNTERS: Final[Sequence[_Metric]] = (
    _Metric(
        "ingestion_stream_published",
        "Trades, quotes, bars and events since the start, each once however many "
        "read it.",
        "published",
    ),
    _Metric(
        "ingestion_stream_gaps",
        "Gaps since the start of which subscribers were told.",
        "gaps",
    ),
    _Metric(
        "ingestion_stream_filled_gaps",
        "Gaps since the start that were filled, and verified to be.",
        "filled",
    ),
    _Metric(
        "ingestion_stream_left_out_ticks",
        "Trades and quotes since the start that were not passed on, because they "
        "cannot be true or came twice.",
        "left_out",
    ),
    _Metric(
        "ingestion_stream_malformed_messages",
        "Messages of vendors since the start of which something could not be read.",
        "malformed",
    ),
)


@final
class LagMeter(OnLag):
    """Count how late each vendor's live data are when they are published."""

    def __init__(self) -> None:
        """Begin with none."""
        self.lags: dict[str, Histogram] = {}
        """By vendor."""

    @override
    def __call__(self, provider: str, seconds: float) -> None:
        """Count some of one vendor's."""
        histogram = self.lags.get(provider)
        if histogram is None:
            histogram = self.lags[provider] = Histogram(LAG_SECONDS)
        histogram.observe(seconds)


@final
class StreamCollector(Collector):
    """Tell of live data when somebody asks."""

    def __init__(
        self,
        counts: Counts,
        dropped: Dropped,
        lag: LagMeter,
        vendors: Mapping[str, VendorStream],
    ) -> None:
        """Read the counts, and the vendors by their ids, which become more."""
        self._counts = counts
        self._dropped = dropped
        self._lag = lag
        self._vendors = vendors

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield what is counted of all together, at 0 too; then of each vendor."""
        counts = self._counts()
        for each in _GAUGES:
            yield GaugeMetricFamily(each.name, each.meaning, value=counts[each.count])
        for each in _COUNTERS:
            yield CounterMetricFamily(each.name, each.meaning, value=counts[each.count])
        yield self._of_dropped()
        yield self._of_lag()
        yield from self._of_vendors()

    def _of_dropped(self) -> Metric:
        family = CounterMetricFamily(
            "ingestion_stream_dropped_ticks",
            "Trades, quotes and bars since the start that subscribers were not told "
            "because they read too slowly, by what they chose for that: conflate (a "
            "later one took its place) or drop_oldest. Each is told what it missed.",
            labels=("policy",),
        )
        dropped = self._dropped()
        for policy in (SlowPolicy.CONFLATE, SlowPolicy.DROP_OLDEST):
            family.add_metric((policy,), dropped.get(policy, 0))
        return family

    def _of_lag(self) -> Metric:
        family = HistogramMetricFamily(
            "ingestion_stream_lag_seconds",
            "How long after it happened, by the vendor's clock, the newest of what "
            "came at once was published; of one symbol each time.",
            labels=("provider",),
        )
        for provider, histogram in self._lag.lags.items():
            family.add_metric((provider,), histogram.buckets(), histogram.total_seconds)
        return family

    def _of_vendors(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "ingestion_stream_up",
            "1 while there is a connection to the vendor's stream, else 0.",
            labels=("provider",),
        )
        wanted = GaugeMetricFamily(
            "ingestion_stream_symbols",
            "Symbols that are wanted of the vendor's stream; 0 needs no connection.",
            labels=("provider",),
        )
        connections = CounterMetricFamily(
            "ingestion_stream_connections",
            "Connections to the vendor's stream since the start that were tried.",
            labels=("provider",),
        )
        reconnects = CounterMetricFamily(
            "ingestion_stream_reconnects",
            "Connections to the vendor's stream since the start that took the place "
            "of one that was lost or could not be had.",
            labels=("provider",),
        )
        stale = GaugeMetricFamily(
            "ingestion_stream_stale",
            "1 while something is wanted of the vendor's stream and there is no "
            "connection, or one that is silent for longer than is usual; else 0.",
            labels=("provider",),
        )
        for name, vendor in self._vendors.items():
            up.add_metric((name,), vendor.up)
            wanted.add_metric((name,), vendor.wanted)
            connections.add_metric((name,), vendor.connections)
            reconnects.add_metric((name,), vendor.reconnects)
            stale.add_metric((name,), vendor.stale)
        yield from (up, wanted, connections, reconnects, stale)


def stream_parts(
    counts: Counts,
    dropped: Dropped,
    lag: LagMeter,
    vendors: Mapping[str, VendorStream],
) -> Mapping[str, Collector]:
    """Return what a page tells of live data."""
    return {"stream": StreamCollector(counts, dropped, lag, vendors)}
