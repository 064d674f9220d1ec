"""Whatever lands in whatever order, what is there is what a simple model says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, BarState
from ingestion_server.domain.interval import DAY_NS
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult, Missing
from ingestion_server.ports.jobs import Landed
from ingestion_server.store.parquet.placing import Placing
from ingestion_server.store.parquet.series import Series
from tests.builders import ns
from tests.clocks import NOW_NS
from tests.store.answers import holding, result

RAW = holding(adjustment=Adjustment.RAW)
FIRST_NS = ns("2022-12-28")
"""A year ends within the days below."""
DAYS = 400


class Answer(NamedTuple):
    """Be what a vendor says of some days, which are numbered."""

    first: int
    end: int
    closes: dict[int, float]
    missing: tuple[int, int]
    partial: int | None

    def result(self) -> BarResult:
        """Return it as the server has it."""
        numbers = sorted(self.closes)
        closes = np.array([self.closes[number] for number in numbers], np.float64)
        opens = FIRST_NS + np.array(numbers, np.int64) * DAY_NS
        series = BarSeries(opens, closes, closes, closes, closes, None)
        found = result(series, of=RAW)
        found.missing.append(Missing(at(self.missing[0]), at(self.missing[1]), "?"))
        found.states[np.array(numbers) == self.partial] = BarState.PARTIAL
        return found


def at(number: int) -> int:
    return FIRST_NS + number * DAY_NS


@st.composite
def answer(draw: st.DrawFn) -> Answer:
    edges = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 30, 367, 369, 370, 371, DAYS])
    first, end = sorted((draw(edges), draw(edges)))
    days = st.integers(first, max(first, end - 1))
    close = st.sampled_from([1.0, 2.0, float("nan")])
    closes = draw(st.dictionaries(days, close, max_size=6)) if end > first else {}
    hole = (draw(days), draw(days))
    partial = draw(st.sampled_from([None, *closes]))
    return Answer(first, end, closes, (min(hole), max(hole)), partial)


def read(file: Path) -> list[tuple[int, float | None, int | None]]:
    table = pq.read_table(file).to_pydict()
    opens = [round(time.timestamp()) * 10**9 for time in table["open_time"]]
    marks = [None if at is None else at.value for at in table["revised_at"]]
    return list(zip(opens, table["close"], marks, strict=True))


@settings(deadline=None, max_examples=60)
@given(st.lists(answer(), max_size=6))
def test_landing_is_what_a_simple_model_says(told: list[Answer]) -> None:
    bars: dict[int, tuple[float | None, int | None]] = {}
    lost: list[tuple[int, float | None, int | None]] = []
    covered: set[int] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn, each in enumerate(told):
            now_ns = NOW_NS + turn * 1000
            revised = 0
            final = {
                number: None if np.isnan(close) else close
                for number, close in each.closes.items()
                if number != each.partial
            }
            for number, close in final.items():
                former = bars.get(number)
                if former is None:
                    bars[number] = close, None
                elif former[0] != close:
                    lost.append((at(number), former[0], now_ns))
                    bars[number] = close, now_ns
                    revised += 1
            end = each.end if each.partial is None else each.partial
            covered |= set(range(each.first, end)) - set(range(*each.missing))

            placing = Placing(folder)
            placing.ready()
            series = Series(folder, placing, RAW)
            span = Span(at(each.first), at(each.end))
            landed = series.land(span, each.result(), now_ns=now_ns)

            assert landed == Landed(len(final), revised)
        series = Series(folder, Placing(folder), RAW)
        everything = Span(at(0), at(DAYS))
        found = series.read(everything)
        assert {
            number
            for span in series.covered(everything)
            for number in range(
                (span.start_ns - FIRST_NS) // DAY_NS, (span.end_ns - FIRST_NS) // DAY_NS
            )
        } == covered
        assert found.series.open_time_ns.tolist() == [at(n) for n in sorted(bars)]
        rows = [
            row
            for file in sorted(folder.glob("bars/**/*.parquet"))
            for row in read(file)
        ]
        assert rows == [(at(n), *bars[n]) for n in sorted(bars)]
        assert found.states.tolist() == [
            BarState.FINAL if mark is None else BarState.REVISED for *_, mark in rows
        ]
        rows = [
            row for file in folder.glob("revisions/**/*.parquet") for row in read(file)
        ]
        assert sorted(rows, key=lambda row: row[::2]) == sorted(
            lost, key=lambda row: row[::2]
        )
