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
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override


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
    def wanted(self) -> int:
        """Return how many symbols are wanted of it."""
        ...


Counts = Callable[[], Mapping[str, int]]
"""Return what there is, and what there was since the start, by our short names."""


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
class StreamCollector(Collector):
    """Tell of live data when somebody asks."""

    def __init__(self, counts: Counts, vendors: Mapping[str, VendorStream]) -> None:
        """Read the counts, and the vendors by their ids, which become more."""
        self._counts = counts
        self._vendors = vendors

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield what is counted of all together, at 0 too; then of each vendor."""
        counts = self._counts()
        for each in _GAUGES:
            yield GaugeMetricFamily(each.name, each.meaning, value=counts[each.count])
        for each in _COUNTERS:
            yield CounterMetricFamily(each.name, each.meaning, value=counts[each.count])
        yield from self._of_vendors()

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
        for name, vendor in self._vendors.items():
            up.add_metric((name,), vendor.up)
            wanted.add_metric((name,), vendor.wanted)
            connections.add_metric((name,), vendor.connections)
        yield from (up, wanted, connections)


def stream_parts(
    counts: Counts, vendors: Mapping[str, VendorStream]
) -> Mapping[str, Collector]:
    """Return what a page tells of live data."""
    return {"stream": StreamCollector(counts, vendors)}
