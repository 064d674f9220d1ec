"""What a report tells outlives the server, however that ends."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Final

from ingestion_server.client import SlaReport, SyncClient
from tests.process.conftest import Run, Start

RPC: Final = "ProviderService/ListProviders"
WRITE_SECONDS: Final = 1.0
SETTINGS: Final = {
    "INGESTION_REPORT__WRITE_SECONDS": str(WRITE_SECONDS),
    "INGESTION_REGISTRY__PROBE_SECONDS": "0",
}
WRITING_SECONDS: Final = 3.0
"""What a write may take on a machine that does other things as well."""
ASKING_SECONDS: Final = 6.0


def told(target: str) -> SlaReport:
    """Return what the server tells."""
    with SyncClient(target) as client:
        return client.reports.sla()


def asked(target: str, times: int) -> None:
    """Ask so many times."""
    with SyncClient(target) as client:
        for _ in range(times):
            client.providers()


def test_a_server_that_is_stopped_forgets_nothing_and_restarts_are_told(
    serve: Start, run: Run, tmp_path: Path
) -> None:
    for times in (3, 4):
        server = serve("--sandbox", "--state", tmp_path, settings=SETTINGS)
        asked(server.addresses()[0], times)
        assert server.stopped().status == 0
    server = serve("--sandbox", "--state", tmp_path, settings=SETTINGS)
    target = server.addresses()[0]

    report = told(target)
    shown = run("report", "--target", target, "--json")

    assert report.rpcs[RPC].calls == report.rpcs[RPC].answered == 7
    assert len(report.downtimes) == 2
    assert not report.incomplete_reason
    assert shown.status == 0
    assert json.loads(shown.output)["rpcs"][0]["rpc"] == RPC


def test_kill_loses_no_more_than_what_is_promised(serve: Start, tmp_path: Path) -> None:
    server = serve("--sandbox", "--state", tmp_path, settings=SETTINGS)
    answered: list[float] = []
    with SyncClient(server.addresses()[0]) as client:
        began = time.monotonic()
        while time.monotonic() - began < ASKING_SECONDS:
            client.providers()
            answered.append(time.monotonic())
        server.send(signal.SIGKILL)
        killed = time.monotonic()
        server.ended(10)

    server = serve("--sandbox", "--state", tmp_path, settings=SETTINGS)
    report = told(server.addresses()[0])

    kept = report.rpcs[RPC].calls
    promised = sum(each < killed - WRITE_SECONDS - WRITING_SECONDS for each in answered)
    assert 0 < promised <= kept <= len(answered)
    assert len(report.downtimes) == 1
