"""A Prometheus that watches a server sees a vendor fail, and may fail itself."""

from __future__ import annotations

import contextlib
import itertools
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

import pytest

from ingestion_server.client import IngestionClientError, SyncClient
from tests.deploy.panels import panels
from tests.deploy.watch import Prometheus
from tests.process.programs import (
    ANY_PORTS,
    SANDBOX,
    START_SECONDS,
    STOP_SECONDS,
    Program,
    got,
    post,
)
from tests.waiting import eventually

YAHOO: Final = "yahoo"
ALERT: Final = "BreakerIsOpen yahoo bars:equity"
HASTY: Final = {
    "INGESTION_RETRY__ATTEMPTS": "1",
    "INGESTION_BREAKER__FAILURES": "2",
    "INGESTION_BREAKER__REST_SECONDS": "0.5",
    "INGESTION_BREAKER__LONGEST_REST_SECONDS": "0.5",
}
_NUMBERS = itertools.count(1)

# Two programs start for each, and what is fast here may not be elsewhere.
pytestmark = pytest.mark.timeout(180)


class Watched(NamedTuple):
    """Be a server with its simulated vendors, and the Prometheus that watches it."""

    sandbox: str
    door: str
    http_door: str
    prometheus: Prometheus


@pytest.fixture
def watched(environment: dict[str, str], tmp_path: Path) -> Iterator[Watched]:
    """Start all three."""
    with Program(["serve", *ANY_PORTS, "--sandbox"], environment | HASTY) as program:
        sandbox = program.line(SANDBOX)[1]
        door, http_door = program.addresses()
        with Prometheus(tmp_path, http_door) as prometheus:
            yield Watched(f"http://{sandbox}", door, http_door, prometheus)


def fetch(client: SyncClient, provider: str) -> int:
    """Ask a vendor for what nobody asked for before; tell how many bars came."""
    symbol = f"SBX{next(_NUMBERS):04}"
    return len(client.fetch(symbol, limit=5, adjustment="raw", providers=[provider]))


def cleared(url: str) -> None:
    """Let a vendor be well again."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, method="DELETE")  # noqa: S310
    with opener.open(request, timeout=STOP_SECONDS) as reply:
        assert reply.status < 300


def test_a_vendor_that_fails_raises_the_alert_until_it_is_well_again(
    watched: Watched,
) -> None:
    prometheus = watched.prometheus

    def answered(client: SyncClient) -> bool:
        with contextlib.suppress(IngestionClientError):
            return fetch(client, YAHOO) == 5
        return False

    with SyncClient(watched.door, timeout_seconds=START_SECONDS) as client:
        eventually(lambda: opened(prometheus, 0), what="a breaker is scraped")
        assert ALERT not in prometheus.firing()

        post(f"{watched.sandbox}/control/{YAHOO}", '{"fault": "status_500"}')
        for _ in range(2):
            with pytest.raises(IngestionClientError):
                fetch(client, YAHOO)
        eventually(lambda: ALERT in prometheus.firing(), what="the alert fires")
        told = prometheus.firing()[ALERT]

        cleared(f"{watched.sandbox}/control/{YAHOO}")
        eventually(lambda: answered(client), what="the vendor answers")
        eventually(lambda: ALERT not in prometheus.firing(), what="the alert is over")

    assert told["labels"]["severity"] == "warning"
    assert "The breaker of yahoo for bars:equity" in told["annotations"]["description"]
    assert told["annotations"]["runbook_url"].endswith("#breakerisopen")


def opened(prometheus: Prometheus, value: int) -> bool:
    """Tell whether Prometheus knows that Yahoo's breaker stands so."""
    breaker = f'ingestion_breaker_open{{provider="{YAHOO}", kind="bars:equity"}}'
    return bool(prometheus.value(f"{breaker} == {value}"))


def test_every_rule_and_panel_can_be_evaluated(watched: Watched) -> None:
    prometheus = watched.prometheus

    with SyncClient(watched.door, timeout_seconds=START_SECONDS) as client:
        assert fetch(client, YAHOO) == 5
        eventually(lambda: counted(prometheus), what="a fetch is scraped")
        since = datetime.now(UTC)
        eventually(lambda: evaluated(prometheus, since), what="all rules are evaluated")
        # They are there only if the labels that they ask for have such values.
        for promise in ("failed_calls", "slow_fetches"):
            ratio = f"job:ingestion_{promise}:ratio_rate5m"
            eventually(lambda name=ratio: bool(prometheus.value(name)), what=ratio)

    failed = {
        rule["name"]: rule.get("lastError")
        for rule in prometheus.rules()
        if rule["health"] != "ok"
    }
    assert failed == {}
    # A wrong expression, or one whose sides do not match, fails here.
    for panel in panels():
        for expression in panel.expressions:
            prometheus.value(expression)


def counted(prometheus: Prometheus) -> bool:
    """Tell whether Prometheus knows of a fetch that was answered."""
    fetches = 'ingestion_rpc_ended_total{grpc_method=~".*/Fetch", fault="nobody"}'
    return bool(prometheus.value(f"{fetches} > 0"))


def evaluated(prometheus: Prometheus, since: datetime) -> bool:
    """Tell whether all rules were evaluated after a moment."""
    return all(
        datetime.fromisoformat(rule["lastEvaluation"]) > since
        for rule in prometheus.rules()
    )


class Caller:
    """Ask for bars again and again, and for live data, while the block lasts."""

    def __init__(self, door: str) -> None:
        self.answered = 0
        self.heard = 0
        self.failures: list[Exception] = []
        self._door = door
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=each) for each in (self._ask, self._listen)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with SyncClient(self._door, timeout_seconds=START_SECONDS) as client:
            while not self._over.is_set():
                try:
                    assert fetch(client, "alpha_vantage") == 5
                    self.answered += 1
                except (IngestionClientError, AssertionError) as error:
                    self.failures.append(error)
                self._over.wait(0.02)

    def _listen(self) -> None:
        try:
            with (
                SyncClient(self._door, timeout_seconds=START_SECONDS) as client,
                client.stream("AAPL") as stream,
            ):
                for _ in stream:
                    self.heard += 1
                    if self._over.is_set():
                        break
                self.failures += [stream.last_error] if stream.interruptions else []
        except IngestionClientError as error:
            self.failures.append(error)


def test_killing_prometheus_changes_nothing_for_callers(watched: Watched) -> None:
    prometheus = watched.prometheus
    with Caller(watched.door) as caller:
        eventually(lambda: bool(prometheus.value("up == 1")), what="it is scraped")
        eventually(
            lambda: caller.answered > 5 < caller.heard, what="callers are served"
        )

        prometheus.kill()

        answered, heard = caller.answered, caller.heard
        eventually(
            lambda: caller.answered > answered + 20 and caller.heard > heard + 5,
            what="callers are served as before",
        )

    assert caller.failures == []
    assert got(f"http://{watched.http_door}/readyz")[0] == 200
