"""What is told about speed is what was measured."""

import gc
import json
import weakref
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import results


def test_the_page_shows_the_results_that_are_kept() -> None:
    kept = json.loads(results.FILE.read_text())

    assert results.page_table(kept) in results.PAGE.read_text()


class _Call:
    """Refer to itself, as those of gRPC do."""

    def __init__(self) -> None:
        self.itself = self


def test_what_one_benchmark_leaves_is_gone_before_the_next_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(results.PAGE.read_text())
    left: list[weakref.ref[_Call]] = []
    seen: list[bool] = []

    def leaves() -> results.Results:
        left.append(weakref.ref(_Call()))
        return {}

    def looks() -> results.Results:
        seen.append(left[0]() is None)
        return {}

    monkeypatch.setattr(program, "BENCHMARKS", {"leaves": leaves, "looks": looks})
    gc.disable()
    try:
        program.main(["--results", str(tmp_path / "results"), "--page", str(page)])
    finally:
        gc.enable()

    assert seen == [True]
