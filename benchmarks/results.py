"""
What a benchmark found, and whether that is as promised: as data, a table, a page.

Machines are noisy and differ, so each figure stands beside a reference that was
measured in the same run.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypedDict

FILE: Final = Path(__file__).with_name("results.json")
PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
_BEGIN: Final = "<!-- results: begin -->\n"
_END: Final = "<!-- results: end -->\n"


class Result(TypedDict):
    """Be one figure, as it is kept."""

    value: float
    unit: str
    reference: float
    """In the same unit."""
    ratio: float
    """The value, as a multiple of the reference."""
    must: str
    passed: bool


Results = Mapping[str, Result]


def at_most(value: float, unit: str, reference: float, most: float) -> Result:
    """Judge a figure that must not be larger."""
    return _result(value, unit, reference, f"<= {most:g} {unit}", passed=value <= most)


def at_least_of(value: float, unit: str, reference: float, least: float) -> Result:
    """Judge a figure that must not be less than a share of its reference."""
    return _result(
        value,
        unit,
        reference,
        f">= {least:g} of it",
        passed=value >= least * reference,
    )


def at_most_times(value: float, unit: str, reference: float, most: float) -> Result:
    """Judge a figure that must not be more than a multiple of its reference."""
    return _result(
        value,
        unit,
        reference,
        f"<= {most:g} times it",
        passed=value <= most * reference,
    )


def table(results: Results) -> str:
    """Return a table for people at a terminal."""
    lines = [f"{'':<36}{'measured':>18}{'reference':>18}{'ratio':>9}  must"]
    lines += [
        f"{name:<36}{_figure(each['value'], each['unit']):>18}"
        f"{_figure(each['reference'], each['unit']):>18}{each['ratio']:>9.3g}"
        f"  {each['must']:<12}  {_verdict(each)}"
        for name, each in results.items()
    ]
    return "\n".join(lines)


def page_table(results: Results) -> str:
    """Return the same table in Markdown."""
    lines = [
        "| benchmark | measured | reference | ratio | must | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {_figure(each['value'], each['unit'])}"
        f" | {_figure(each['reference'], each['unit'])} | {each['ratio']:.3g}"
        f" | {_symbols(each['must'])} | {_verdict(each)} |"
        for name, each in results.items()
    ]
    return "\n".join(lines) + "\n"


def merge(results: Results, file: Path) -> Results:
    """Write results among those of earlier runs, and return them all."""
    known = json.loads(file.read_text()) if file.exists() else {}
    merged = dict(sorted({**known, **results}.items()))
    file.write_text(json.dumps(merged, indent=2) + "\n")
    return merged


def rewrite(page: Path, results: Results) -> None:
    """Put the results into their place on a page; the words around it stay."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    cores, system = os.cpu_count(), platform.system()
    page.write_text(
        f"{before}{_BEGIN}{page_table(results)}\n"
        f"The last run was on {cores} cores ({platform.machine()}, {system}) with "
        f"Python {platform.python_version()}.\n{_END}{after}"
    )


def all_passed(results: Iterable[Result]) -> bool:
    """Return whether everything is as promised."""
    return all(each["passed"] for each in results)


def _result(
    value: float, unit: str, reference: float, must: str, *, passed: bool
) -> Result:
    return Result(
        value=_rounded(value),
        unit=unit,
        reference=_rounded(reference),
        # An idle loop may use no time that the clock can see.
        ratio=_rounded(value / reference) if reference else 0.0,
        must=must,
        passed=passed,
    )


def _rounded(number: float) -> float:
    # Whole parts of large figures count, and the leading digits of small ones.
    return round(number, 3) if abs(number) >= 1 else float(f"{number:.3g}")


def _figure(number: float, unit: str) -> str:
    return f"{number:.4g} {unit}"


def _symbols(must: str) -> str:
    return must.replace("<=", "≤").replace(">=", "≥")


def _verdict(result: Result) -> str:
    return "passed" if result["passed"] else "MISSED"
