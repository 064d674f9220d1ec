"""The panels of the dashboards, as Grafana would draw them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.deploy.monitoring import DEPLOY

DASHBOARDS: Final = sorted((DEPLOY / "grafana").glob("*.json"))
_VALUES: Final = {
    "__rate_interval": "1m",
    "__range": "1h",
    "job": "ingestion-server",
    "instance": ".*",
    "provider": ".*",
}
"""What a user has chosen, and what Grafana puts in by itself."""


class Panel(NamedTuple):
    """Be one panel of one dashboard."""

    dashboard: str
    title: str
    description: str
    unit: str
    source: str
    expressions: Sequence[str]


def read(dashboard: Path) -> Mapping[str, Any]:
    """Read a dashboard."""
    return json.loads(dashboard.read_text())


def panels() -> list[Panel]:
    """Return the panels of all dashboards."""
    return [panel for dashboard in DASHBOARDS for panel in panels_of(dashboard)]


def panels_of(dashboard: Path) -> Iterator[Panel]:
    """Yield the panels of one dashboard; rows only part them."""
    for panel in read(dashboard)["panels"]:
        if panel["type"] != "row":
            yield Panel(
                dashboard.stem,
                panel.get("title", ""),
                panel.get("description", ""),
                panel.get("fieldConfig", {}).get("defaults", {}).get("unit", ""),
                panel.get("datasource", {}).get("uid", ""),
                [_chosen(target["expr"]) for target in panel.get("targets", [])],
            )


def _chosen(expression: str) -> str:
    return re.sub(r"\$([a-z_]+)", lambda name: _VALUES[name[1]], expression)
