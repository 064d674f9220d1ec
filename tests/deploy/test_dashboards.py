"""Dashboards show what servers tell, and say what it means."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from tests.deploy.conftest import Told
from tests.deploy.monitoring import (
    DEPLOY,
    binary,
    promtool,
    recorded,
    selectors,
)
from tests.deploy.panels import DASHBOARDS, panels, panels_of, read

EVERY_DASHBOARD = pytest.mark.parametrize(
    "dashboard", DASHBOARDS, ids=lambda path: path.stem
)
SOURCE = "${DS_PROMETHEUS}"


def test_there_is_one_for_each_thing_that_an_operator_asks_about() -> None:
    assert [path.stem for path in DASHBOARDS] == [
        *("jobs", "overview", "process", "quotas", "streams", "vendors")
    ]


@EVERY_DASHBOARD
def test_each_panel_says_what_it_shows_and_in_what_unit(dashboard: Path) -> None:
    shown = list(panels_of(dashboard))

    assert shown
    for panel in shown:
        assert panel.title
        assert panel.description.endswith("."), panel.title
        assert panel.unit, panel.title
        assert panel.source == SOURCE, panel.title
        assert panel.expressions, panel.title
    assert max(Counter(panel.title for panel in shown).values()) == 1


@EVERY_DASHBOARD
def test_a_dashboard_can_be_found_and_asks_for_its_data_source(dashboard: Path) -> None:
    board = read(dashboard)
    variables = {each["name"]: each for each in board["templating"]["list"]}

    assert board["uid"] == f"ingestion-{dashboard.stem}"
    assert board["title"]
    assert board["description"]
    assert variables["DS_PROMETHEUS"]["type"] == "datasource"
    used = set(re.findall(r"\$\{?([a-zA-Z_]+)", json.dumps(board)))
    assert {name for name in used if not name.startswith("__")} == variables.keys()


@EVERY_DASHBOARD
def test_no_panel_covers_another(dashboard: Path) -> None:
    places = [panel["gridPos"] for panel in read(dashboard)["panels"]]

    assert all(each["x"] >= 0 and each["x"] + each["w"] <= 24 for each in places)
    assert [pair for pair in combinations(places, 2) if _overlap(*pair)] == []


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[length]
        and other[start] < one[start] + one[length]
        for start, length in (("x", "w"), ("y", "h"))
    )


def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    binary("promtool")
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(
            expression for panel in panels() for expression in panel.expressions
        )
    ]
    file = tmp_path / "panels.yml"
    # Whatever is JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    promtool("check", "rules", file)


def test_what_panels_select_is_told_by_servers(told: Told) -> None:
    unknown = [
        (panel.dashboard, panel.title, each)
        for panel in panels()
        for expression in panel.expressions
        for each in selectors(expression)
        if not each.labels <= told.get(each.metric, frozenset())
    ]

    assert unknown == []


def test_what_panels_look_up_is_recorded() -> None:
    looked_up = {
        name
        for panel in panels()
        for expression in panel.expressions
        for name in re.findall(r"\b\w+:\w+(?::\w+)?\b", expression)
    }

    assert looked_up <= recorded()


def test_all_that_servers_tell_of_themselves_is_on_a_panel(told: Told) -> None:
    shown = {
        each.metric
        for panel in panels()
        for expression in panel.expressions
        for each in selectors(expression)
    }
    missing = {
        name
        for name in told
        if name.startswith(("ingestion_", "grpc_"))
        and not name.endswith(("_sum", "_count"))
    } - shown

    assert missing == set()


def test_grafana_finds_the_data_sources_and_the_dashboards() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = (provisioning / "datasources" / "datasources.yml").read_text()
    boards = (provisioning / "dashboards" / "dashboards.yml").read_text()
    compose = (DEPLOY / "compose.yaml").read_text()

    uids = set(re.findall(r"(?m)^    uid: (\w+)$", sources))
    linked = set(re.findall(r"datasourceUid: (\w+)", sources))
    (path,) = re.findall(r"path: (\S+)", boards)

    assert uids == {"prometheus", "jaeger"}
    assert linked <= uids
    assert f"./grafana:{path}:ro" in compose
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in compose
