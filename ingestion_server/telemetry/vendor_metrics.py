"""
Vendors as metrics: calls of them, how they are judged, and whether they can be asked.

Labels name a vendor and a kind of data, of which there are few; never an instrument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.ports.hooks import OK, CallDetails
from ingestion_server.ports.policy import BreakerState
from ingestion_server.ports.routing import ProviderReport
from ingestion_server.ports.tracing import here
from ingestion_server.telemetry.histogram import CALL_SECONDS, Histogram

_Key = tuple[str, str]
"""A vendor, and a kind of data."""
_VENDOR: Final = ("provider", "kind")
_LONGEST_WAIT_SECONDS: Final = 60.0
"""Windows of a minute or less are meant to be full."""

Reports = Callable[[], Sequence[ProviderReport]]
"""Return what is known of each vendor."""
States = Callable[[], Mapping[_Key, BreakerState]]
"""Return the state of each breaker."""
Waits = Callable[[], Mapping[str, float]]
"""Return for how long a call of each vendor would wait for its quota, in seconds."""


@final
class VendorMeter:
    """Listen to calls of vendors come and go, and count them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.attempts: Counter[tuple[str, str, str]] = Counter()
        """How many there were by vendor, kind of data and outcome."""
        self.durations: dict[_Key, Histogram] = {}
        """How long they took."""
        self.in_flight: Counter[_Key] = Counter()
        """How many are on their way."""

    def ended(self, details: CallDetails) -> None:
        """Hear how one ended; it is an ``OnCall``."""
        key = (details.provider, details.kind)
        self.attempts[*key, details.outcome] += 1
        histogram = self.durations.get(key)
        if histogram is None:
            histogram = self.durations[key] = Histogram(CALL_SECONDS)
        now = here()
        traced = now is not None and now.span.is_recorded
        histogram.observe(details.seconds, now.trace_id if now and traced else "")

    def left(self, provider: str, kind: str) -> Callable[[], None]:
        """Hear that one leaves; it is an ``OnLeaving``."""
        key = (provider, kind)
        self.in_flight[key] += 1

        def over() -> None:
            self.in_flight[key] -= 1

        return over


@final
class AttemptCollector(Collector):
    """Tell of calls of vendors when somebody asks."""

    def __init__(self, meter: VendorMeter, states: States) -> None:
        """Read what was counted; each that has a breaker has its rows at 0."""
        self._meter = meter
        self._states = states

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        served = dict.fromkeys(self._states(), 0)
        attempts = CounterMetricFamily(
            "ingestion_vendor_attempts",
            "Calls of a vendor since the start, by outcome: ok, or the reason of the "
            "failure. Questions that are asked again count again.",
            labels=(*_VENDOR, "outcome"),
        )
        first = {(*key, OK): 0 for key in served}
        for labels, count in {**first, **self._meter.attempts}.items():
            attempts.add_metric(labels, count)
        durations = HistogramMetricFamily(
            "ingestion_vendor_attempt_duration_seconds",
            "How long calls of a vendor took, however they ended.",
            labels=_VENDOR,
        )
        for key, histogram in self._meter.durations.items():
            durations.add_metric(key, histogram.buckets(), histogram.total_seconds)
        in_flight = GaugeMetricFamily(
            "ingestion_vendor_in_flight",
            "Calls of a vendor that are on their way.",
            labels=_VENDOR,
        )
        for key, count in {**served, **self._meter.in_flight}.items():
            in_flight.add_metric(key, count)
        yield from (attempts, durations, in_flight)


@final
class StandingCollector(Collector):
    """Tell how vendors are judged, and whether they can be asked."""

    def __init__(self, reports: Reports, states: States, waits: Waits) -> None:
        """Read what routes are made from."""
        self._reports = reports
        self._states = states
        self._waits = waits

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        score = GaugeMetricFamily(
            "ingestion_vendor_score",
            "How good a choice a vendor is now, from 0 to 1: its factors, each times "
            "its weight, together.",
            labels=_VENDOR,
        )
        factors = GaugeMetricFamily(
            "ingestion_vendor_score_factor",
            "What the score is made of, each from 0 to 1; what is not known is 1.",
            labels=(*_VENDOR, "factor"),
        )
        available = GaugeMetricFamily(
            "ingestion_vendor_available",
            "1 if a vendor would be asked now: it is switched on and has the key it "
            "needs, its breaker lets calls pass, and its quota is not used up for more "
            "than a minute; else 0.",
            labels=_VENDOR,
        )
        states, waits = self._states(), self._waits()
        for report in self._reports():
            name = report.name
            usable = report.enabled and not report.unusable_reason
            usable = usable and waits.get(name, 0.0) <= _LONGEST_WAIT_SECONDS
            for health in report.health:
                key = (name, health.kind)
                score.add_metric(key, health.score.value)
                for factor in health.score.factors:
                    factors.add_metric((*key, factor.name), factor.value)
                state = states.get(key)
                admitted = state is None or state.admits
                available.add_metric(key, float(usable and admitted))
        yield from (score, factors, available)


def vendor_parts(
    meter: VendorMeter, reports: Reports, states: States, waits: Waits
) -> Mapping[str, Collector]:
    """Return what a page tells of vendors, in parts that may fail by themselves."""
    return {
        "attempts": AttemptCollector(meter, states),
        "standings": StandingCollector(reports, states, waits),
    }
