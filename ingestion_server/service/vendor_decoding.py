"""What requests about vendors have in common, from the wire."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from marketdata.ingestion.v1 import (
    job_service_pb2,
    provider_service_pb2,
    quota_service_pb2,
)

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.interval import SECOND_NS

_LONGEST_NAME: Final = 64
"""How much of a name is told back: what a failure tells has little room."""
_USUAL_INTERVAL_SECONDS: Final = 1.0
_SHORTEST_INTERVAL_SECONDS: Final = 0.05
_LONGEST_INTERVAL_SECONDS: Final = 3_600.0
_LONGEST_DURATION_SECONDS: Final = 315_576_000_000
"""What protobuf says a Duration may hold: 10,000 years."""
_WatchVendors = (
    quota_service_pb2.WatchQuotasRequest | provider_service_pb2.WatchProvidersRequest
)
WatchRequest = _WatchVendors | job_service_pb2.WatchJobRequest
"""Asks to be told of changes, but not too often."""


class Vendors:
    """Know which vendors a request may name."""

    def __init__(self, known: Collection[str], *, lacking: str = "not known") -> None:
        """Name them, and say what one that is not among them is."""
        self._known = known
        self._lacking = lacking

    def chosen(self, named: Sequence[str], wrong: list[Violation]) -> Collection[str]:
        """Return the vendors that a request is about: those it names, or all."""
        for provider in dict.fromkeys(named):
            self.check(provider, "providers", wrong)
        return set(named) or self._known

    def check(self, name: str, field: str, wrong: list[Violation]) -> None:
        """Note what is wrong with a name."""
        if not name:
            wrong.append(Violation(field, "names no vendor"))
        elif name not in self._known:
            there = ", ".join(self._known) or "none"
            spelled = repr(name[:_LONGEST_NAME])
            wrong.append(
                Violation(field, f"{spelled} is {self._lacking}; there are: {there}")
            )


def watch_of(request: _WatchVendors, vendors: Vendors) -> tuple[Collection[str], float]:
    """
    Return the vendors that a request is about, and the seconds between two messages.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    wanted = vendors.chosen(request.providers, wrong)
    interval_seconds = interval_seconds_of(request, wrong)
    refuse(wrong)
    return wanted, interval_seconds


def refuse(wrong: Sequence[Violation]) -> None:
    """
    Refuse a request of which something is wrong.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    if wrong:
        raise InvalidQueryError(wrong)


def interval_seconds_of(request: WatchRequest, wrong: list[Violation]) -> float:
    """Return the seconds between two messages, within their bounds."""
    if not request.HasField("min_interval"):
        return _USUAL_INTERVAL_SECONDS
    interval = request.min_interval
    if interval.seconds < 0 or interval.nanos < 0:
        wrong.append(Violation("min_interval", "must not be negative"))
    elif interval.seconds > _LONGEST_DURATION_SECONDS or interval.nanos >= SECOND_NS:
        wrong.append(Violation("min_interval", "is no valid Duration"))
    return min(
        max(interval.seconds + interval.nanos / SECOND_NS, _SHORTEST_INTERVAL_SECONDS),
        _LONGEST_INTERVAL_SECONDS,
    )
