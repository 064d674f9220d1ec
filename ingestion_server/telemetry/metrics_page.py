"""A page of metrics, written anew for each scrape."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, final

from prometheus_client import (
    CollectorRegistry,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

_log: Final = logging.getLogger(__name__)
Parts: TypeAlias = Mapping[str, Collector]
"""What a page is made of, each part under a name for when it fails."""


@final
class MetricsPage:
    """
    Write what all parts tell, in the format that the asker prefers.

    A part that fails is left out of that scrape, counted, and logged when it begins
    to fail. What the library tells of the process and of Python is always there: it
    is read from the kernel's memory in 50 microseconds.
    """

    def __init__(self, parts: Parts) -> None:
        """Write these parts."""
        # Of our own: the library's default registry is one for the whole process.
        self._registry = CollectorRegistry()
        failures = _Failures()
        own = {
            "process": ProcessCollector(registry=None),
            "python": PlatformCollector(registry=None),
        }
        for name, part in {**parts, **own}.items():
            self._registry.register(_Shielded(name, part, failures))
        # Last, so that it tells of the scrape that it is part of.
        self._registry.register(failures)

    def families(self) -> Iterable[Metric]:
        """Return what all parts tell, for who writes it in another way."""
        return self._registry.collect()

    def __call__(self, accept: str) -> tuple[bytes, str]:
        """Return the page for an Accept header, and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # The library trips over versions that are no numbers.
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type


@final
class _Failures(Collector):
    """Count scrapes that parts were missing from."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def expect(self, name: str) -> None:
        """Show a part before it fails, since a rate needs something to begin with."""
        self._counts[name] += 0

    def count(self, name: str) -> None:
        """Count one failure of a part."""
        self._counts[name] += 1

    @override
    def collect(self) -> Iterable[Metric]:
        """Return the one metric."""
        family = CounterMetricFamily(
            "ingestion_metrics_failures",
            "Scrapes that a part of this page is missing from, because it failed.",
            labels=("part",),
        )
        for name, count in self._counts.items():
            family.add_metric((name,), count)
        return (family,)


@final
class _Shielded(Collector):
    """Let a part fail without the others: all of it is told, or nothing."""

    def __init__(self, name: str, part: Collector, failures: _Failures) -> None:
        self._name = name
        self._part = part
        self._failures = failures
        self._failing = False
        failures.expect(name)

    @override
    def collect(self) -> Iterable[Metric]:
        """Return what the part tells."""
        try:
            metrics = list(self._part.collect())
        except Exception:  # noqa: BLE001 - whatever it is, the rest is told
            self._failures.count(self._name)
            # Each scrape would say the same again.
            if not self._failing:
                _log.exception("/metrics lacks its part %r", self._name)
            self._failing = True
            return ()
        self._failing = False
        return metrics
