"""
Breakers as metrics: which of them keep calls back, and how often each moved.

Labels name a vendor and a kind of data, of which there are few; never an instrument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.routing import BreakerChange, OnBreaker

States = Callable[[], Mapping[tuple[str, str], BreakerState]]
"""Return the state of each breaker by vendor and kind of data."""

_BREAKER: Final = ("provider", "kind")


@final
class MoveCounter(OnBreaker):
    """Count the moves of each breaker since the start."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[tuple[str, str, BreakerPosition]] = Counter()

    @override
    def __call__(self, change: BreakerChange) -> None:
        """Count one move."""
        self.counts[change.provider, change.kind, change.position] += 1


@final
class BreakerCollector(Collector):
    """Tell where breakers stand when somebody asks, and how often each moved."""

    def __init__(self, states: States, moves: MoveCounter) -> None:
        """Read the states, and the moves that were counted."""
        self._states = states
        self._moves = moves

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield both metrics; moves at 0 too, which a rate would not see otherwise."""
        states = self._states()
        yield _open(states)
        yield _counted(states, self._moves.counts)


def breaker_parts(states: States, moves: MoveCounter) -> Mapping[str, Collector]:
    """Return what a page tells of breakers."""
    return {"breakers": BreakerCollector(states, moves)}


def _open(states: Mapping[tuple[str, str], BreakerState]) -> Metric:
    family = GaugeMetricFamily(
        "ingestion_breaker_open",
        "1 from when a breaker opens until a probe closes it, else 0: its average is "
        "the share of time in which the vendor was left alone.",
        labels=_BREAKER,
    )
    for key, state in states.items():
        # Half-open counts as open: all calls but the probe are refused.
        family.add_metric(key, float(state.position is not BreakerPosition.CLOSED))
    return family


def _counted(
    keys: Iterable[tuple[str, str]],
    counts: Mapping[tuple[str, str, BreakerPosition], int],
) -> Metric:
    family = CounterMetricFamily(
        "ingestion_breaker_moves",
        "Moves of a breaker since the start, by where it moved.",
        labels=(*_BREAKER, "to"),
    )
    for provider, kind in keys:
        for to in BreakerPosition:
            family.add_metric((provider, kind, to), counts.get((provider, kind, to), 0))
    return family
