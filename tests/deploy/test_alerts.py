"""Alerts are told of what servers tell, when they should, and with what to do."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

from tests.deploy.conftest import Told
from tests.deploy.monitoring import (
    PROMETHEUS,
    ROOT,
    RULES,
    alerts,
    expressions,
    promtool,
    recorded,
    selectors,
)

CASES = sorted(PROMETHEUS.glob("*.test.yml"))
RUNBOOK = "docs/operations.md"


def test_prometheus_takes_its_settings() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", RULES)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_are_over_afterwards(cases: Path) -> None:
    promtool("test", "rules", cases)


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_is_tested_for_firing_and_for_silence(alert: str) -> None:
    text = "".join(path.read_text() for path in CASES)

    expected = re.findall(rf"alertname: {alert}\n +exp_alerts:( \[\])?\n", text)

    assert set(expected) == {"", " []"}


def test_what_rules_select_is_told_by_servers(told: Told) -> None:
    asked = set(chain.from_iterable(map(selectors, expressions())))

    unknown = [
        each for each in asked if not each.labels <= told.get(each.metric, frozenset())
    ]

    assert asked
    assert unknown == []


def test_what_alerts_look_up_is_recorded() -> None:
    looked_up = set(re.findall(r"\b\w+:\w+(?::\w+)?\b", "".join(expressions())))

    assert looked_up == recorded()


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_says_how_bad_it_is_and_what_it_means(alert: str) -> None:
    text = RULES.read_text().split(f"- alert: {alert}\n")[1].split("\n\n")[0]

    assert re.search(r"\n +severity: (critical|warning)\n", text)
    assert re.search(r"\n +summary: [A-Z0-9].*\.\n", text)
    assert re.search(r"\n +description: >-\n", text)
    assert f"\n          runbook_url: {RUNBOOK}#{alert.lower()}" in text


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    text = (ROOT / RUNBOOK).read_text().split("\n## Runbook\n")[1].split("\n## ")[0]

    assert re.findall(r"(?m)^### (\w+)$", text) == alerts()


@pytest.mark.parametrize("alert", alerts())
def test_each_section_says_what_to_look_at_and_what_to_do(alert: str) -> None:
    text = (ROOT / RUNBOOK).read_text().split(f"\n### {alert}\n")[1].split("\n#")[0]

    said = re.findall(r"(?m)^- \*\*(\w+)\*\*: \S", text)

    assert said == ["Means", "Confirm", "Do", "Ignore"]
