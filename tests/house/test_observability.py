"""The page on metrics and spans says what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingestion_server.ports.spans import ATTRIBUTES, EVENTS, SPANS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "observability.py"
PAGE = ROOT / "docs" / "observability.md"
FROM_OTHERS = (
    "grpc_server_call_started_total",
    "grpc_server_call_duration_seconds",
    "process_resident_memory_bytes",
)


def section(title: str) -> str:
    """Return what stands below a heading of the page."""
    return PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the page anew."""
    page = tmp_path_factory.mktemp("docs") / "observability.md"
    subprocess.run([sys.executable, SCRIPT, page], check=True, timeout=120)  # noqa: S603
    return page.read_text()


def test_the_page_is_what_the_code_says(fresh: str) -> None:
    assert PAGE.read_text() == fresh, "it is out of date: run `make generate`"


def test_every_metric_says_what_it_means_and_has_a_kind() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", section("Metrics"), re.MULTILINE
    )

    assert {kind for _, kind, *_ in rows} == {"counter", "gauge", "histogram"}
    assert all(meaning for *_, meaning in rows)
    names = [name for name, *_ in rows]
    assert len(set(names)) == len(names)
    assert set(FROM_OTHERS) <= set(names)


def test_no_metric_is_told_apart_by_what_callers_send() -> None:
    labels = re.findall(r"^\| `(\w+)` \| [^|]* \|$", section("Metrics"), re.MULTILINE)

    assert not {"symbol", "symbols", "request_id", "job_id", "caller"} & set(labels)
    assert labels


def test_every_attribute_of_a_span_or_event_is_explained() -> None:
    used = {
        name
        for meanings in (SPANS, EVENTS)
        for meaning in meanings.values()
        for name in meaning.attributes
    }

    assert used == ATTRIBUTES.keys()


@pytest.mark.parametrize("name", ["acme_strange_things", "ingestion_acme"])
def test_a_metric_that_belongs_nowhere_is_an_error(name: str) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import observability as o\n"
        "from prometheus_client.core import GaugeMetricFamily as G\n"
        "o.grouped([G(sys.argv[2], 'Strange.')])"
    )

    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, SCRIPT.parent, name],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert f"{name} belongs to none of GROUPS" in ended.stderr
