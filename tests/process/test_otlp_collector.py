"""A collector that is killed and comes back is noticed by nobody but operators."""

from __future__ import annotations

import itertools
import re
import signal
import time

import pytest

from ingestion_server.client import SyncClient
from tests.process.conftest import Start
from tests.process.programs import Program
from tests.telemetry.trace_collector import TraceCollector, over_grpc

CALLS = 40
LONGEST_SECONDS = 2.0
"""What a call may take that takes a fraction of that, on a machine that is busy."""
_NUMBERS = itertools.count(2_000)


def settings(url: str) -> dict[str, str]:
    return {
        "INGESTION_PROVIDERS__YAHOO__PLAN": "unmetered",
        "INGESTION_SANDBOX__YAHOO_PER_SECOND": "1000",
        "INGESTION_TELEMETRY__SAMPLE_RATIO": "1",
        # As other programs are told it.
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_SERVICE_NAME": "prices",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }


def slowest(client: SyncClient, calls: int = CALLS) -> float:
    """Make calls that take some spans each, and return how long one took at most."""
    took = 0.0
    for _ in range(calls):
        began = time.monotonic()
        assert len(client.fetch(f"SBX{next(_NUMBERS)}", providers=["yahoo"], limit=5))
        took = max(took, time.monotonic() - began)
    return took


def said(program: Program, of: str = r" opentelemetry[.\w]*: ") -> list[str]:
    """Return the lines of log that are of OpenTelemetry."""
    return [line for line in str(program).splitlines() if re.search(of, line)]


@pytest.mark.timeout(180)
def test_killing_the_collector_changes_nothing_for_callers_and_it_recovers(
    serve: Start,
) -> None:
    collector = TraceCollector()
    began = time.monotonic()
    with over_grpc(collector) as url:
        program = serve("--sandbox", settings=settings(url))
        target, _ = program.addresses()
        client = SyncClient(target)
        with client:
            slowest(client, 1)
            before = slowest(client)
            collector.until(lambda spans: len(spans) > CALLS)
            assert collector.resource["service.name"] == "prices"
            assert collector.resource["deployment.environment"] == "test"
            assert collector.resource["service.instance.id"]
    port = int(url.rpartition(":")[2])
    with SyncClient(target) as client:
        # Long enough for several attempts to send, of which each would be a line.
        until = time.monotonic() + 8
        longest = 0.0
        while time.monotonic() < until:
            longest = max(longest, slowest(client, 5))
        assert longest < max(LONGEST_SECONDS, 3 * before)
        known = len(collector.spans)
        with over_grpc(collector, port):
            slowest(client, 5)
            collector.until(lambda spans: len(spans) > known)
    minutes = 1 + int((time.monotonic() - began) / 60)

    assert program.stopped(signal.SIGTERM).status == 0
    assert 1 <= len(said(program)) <= minutes


def test_a_collector_that_is_away_does_not_hold_up_the_end(serve: Start) -> None:
    with over_grpc(TraceCollector()) as url:
        pass  # it is free again now
    program = serve("--sandbox", settings=settings(url))
    target, _ = program.addresses()
    with SyncClient(target) as client:
        slowest(client, 3)

    ended = program.stopped(signal.SIGTERM)

    assert ended.status == 0
    assert "Traceback" not in ended.complaints
