"""
Land the same again and again, and be killed at each step of it.

Run as ``python -m tests.store.killed FOLDER``: what is in ``FOLDER/before`` is copied
for each step, landed upon by a process of its own, and left as that one left it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult
from ingestion_server.store.parquet.places import holding_of
from ingestion_server.store.parquet.placing import Placing
from ingestion_server.store.parquet.series import Series
from tests.builders import bars, ns, span
from tests.clocks import NOW_NS
from tests.store.answers import AAPL, result

BEFORE = "before"
STEPS = ("open", "write", "fsync", "close", "mkdir", "rename", "replace", "unlink")


def earlier() -> tuple[Span, BarResult]:
    """Return what lands first."""
    opens = [ns(f"{year}-06-03") for year in (2022, 2023)]
    return span("2022-06-01", "2023-07-01"), result(bars(opens, [2.0, 3.0]))


def later() -> tuple[Span, BarResult]:
    """Return what lands then: bars that are new, that differ, and that do not."""
    opens = [ns(f"{year}-06-{day}") for year in range(2022, 2025) for day in ("03", 10)]
    closes = [2.5, 20.0, 3.0, 30.0, 4.0, 40.0]
    return span("2022-06-01", "2024-07-01"), result(bars(opens, closes))


def land(folder: Path, what: tuple[Span, BarResult]) -> None:
    """Land something, at once and in this thread."""
    placing = Placing(folder)
    placing.ready()
    series = Series(folder, placing, holding_of(AAPL))
    series.land(*what, now_ns=NOW_NS)


def be_killed_at(step: int) -> None:
    """End without a word at one step; of a write, half is done by then."""
    steps = itertools.count()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            if next(steps) == step:
                if name == "write":
                    file, content = arguments
                    real(file, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return act

    for name in STEPS:
        setattr(os, name, watched(name, getattr(os, name)))


def main(folder: Path) -> None:
    """Go through all steps, until one landing came to its end."""
    land(folder / BEFORE, earlier())
    for step in itertools.count():
        place = folder / f"{step}"
        shutil.copytree(folder / BEFORE, place)
        child = os.fork()
        if not child:
            be_killed_at(step)
            land(place, later())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
