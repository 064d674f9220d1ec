"""What is deployed beside the server, as tests read it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
PROMETHEUS: Final = DEPLOY / "prometheus"
RULES: Final = PROMETHEUS / "alerts.yml"

_SECONDS: Final = 110.0
"""Rules over days take ten; two cores that also run other tests, many more."""
_EXPRESSION: Final = re.compile(r"^( +)expr: \|\n((?:\1 +\S.*\n)+)", re.MULTILINE)
_SELECTED: Final = re.compile(
    r"(?<![:\w])((?:ingestion|grpc|process|python)_\w+)(?![:\w])(?:\{([^}]*)\})?"
)
_LABELS_ASIDE: Final = re.compile(
    r"\b(?:by|on|ignoring|without|group_left|group_right) *\([^)]*\)"
)
_MATCHER: Final = re.compile(r"(\w+) *(?:=~|!~|!=|=) *\"")


class Selector(NamedTuple):
    """Be what an expression selects: a metric, and the labels that it looks at."""

    metric: str
    labels: frozenset[str]


def binary(name: str) -> str:
    """Return where a program of Debian's lies, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here; Debian has it in 'prometheus'")
    return found


def promtool(*arguments: str | Path) -> None:
    """Let promtool judge something; what it complains of fails the test."""
    told = subprocess.run(  # noqa: S603
        [binary("promtool"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def alerts() -> list[str]:
    """Return the names of all alerts."""
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def recorded() -> set[str]:
    """Return the names of what is recorded."""
    return set(re.findall(r"- record: (\S+)", RULES.read_text()))


def expressions() -> list[str]:
    """Return the expressions of all rules."""
    text = RULES.read_text()
    found = [body for _, body in _EXPRESSION.findall(text)]
    assert len(found) == text.count("expr:"), "an expression is not written as a block"
    return found


def selectors(expression: str) -> set[Selector]:
    """Return what an expression selects of that which servers tell."""
    return {
        Selector(metric, frozenset(_MATCHER.findall(matchers)))
        for metric, matchers in _SELECTED.findall(_LABELS_ASIDE.sub("", expression))
    }
