"""A server's page of metrics, as all that is deployed beside it reads it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion_server.client import SyncClient
from tests.deploy.monitoring import ROOT
from tests.process.programs import ANY_PORTS, START_SECONDS, Program, got, isolated

OF_PROMETHEUS: Final = frozenset({"job", "instance"})

Told = Mapping[str, frozenset[str]]
"""The labels of each metric."""

_ROW: Final = re.compile(r"(?m)^\| `(\w+)` \| (\w+) \| ([^|]*) \|")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """
    Return the metrics of a server that was asked for something.

    Those that it tells only in some hour of need are as the documents have them.
    """
    folder = tmp_path_factory.mktemp("user")
    settings = {
        # Nobody listens there: what cannot be sent is counted.
        "INGESTION_TELEMETRY__OTLP_ENDPOINT": "http://127.0.0.1:9",
        "INGESTION_TELEMETRY__SAMPLE_RATIO": "1",
        "INGESTION_DISCOVERY__FILE_SD_PATH": str(folder / "targets.json"),
    }
    program = Program(["serve", *ANY_PORTS, "--sandbox"], isolated(folder) | settings)
    with program:
        grpc_door, http_door = program.addresses()
        with SyncClient(grpc_door, timeout_seconds=START_SECONDS) as client:
            client.fetch("AAPL", limit=5)
            with client.stream("AAPL") as stream:
                next(iter(stream))
        _, page = got(f"http://{http_door}/metrics")
    labels: dict[str, set[str]] = defaultdict(lambda: set(OF_PROMETHEUS))
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels[sample.name].update(sample.labels)
    text = (ROOT / "docs" / "observability.md").read_text()
    for name, kind, listed in _ROW.findall(text):
        if name not in labels and f"{name}_bucket" not in labels:
            whole = f"{name}_bucket" if kind == "histogram" else name
            labels[whole].update(re.findall(r"`(\w+)`", listed))
    return {name: frozenset(found) for name, found in labels.items()}
