"""The list of jobs can be read on any paper, however long their names are."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from marketdata.ingestion.v1 import job_pb2
from rich.console import Console

from ingestion_server.cli import job_table
from ingestion_server.client.job_values import job_from
from tests.client.jobs import job
from tests.client.telling import FIRST, stamp

ID = "0198f3c2a7e1b40c9d5e"
SENTENCE = "history of the whole of the Nasdaq, minute bars, adjusted for splits"
WORD = "history_of_the_whole_of_the_nasdaq_minute_bars_adjusted_for_splits"


def waiting(name: str) -> job_pb2.Job:
    """Tell of a large job that goes on later."""
    told = job(
        "PAUSED_QUOTA",
        job_id=ID,
        name=name,
        resumes_at=stamp(FIRST + timedelta(hours=27)),
    )
    told.progress.units = 123_456
    told.progress.landed = 100_000
    told.progress.bars = 98_765_432
    return told


def lines(*told: job_pb2.Job, width: int) -> list[str]:
    """Return the lines of the list on some paper."""
    file = io.StringIO()
    found = [job_from(each) for each in told]
    Console(file=file, width=width).print(job_table.jobs(found, FIRST, width))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_on_wide_paper_a_job_is_one_line() -> None:
    _, _, row = lines(waiting(SENTENCE), width=160)

    assert row.split() == [
        *[ID, *SENTENCE.split(), "PAUSED_QUOTA", "100,001/123,456", "1", "98,765,432"],
        *["goes", "on", "in", "1d", "3h"],
    ]


def test_short_names_stay_in_line_on_usual_paper() -> None:
    head, _, row, other = lines(job(), job("COMPLETED", name="fx"), width=80)

    assert "name" in head.split()
    assert (row.split()[1], other.split()[1]) == ("stocks", "fx")


@pytest.mark.parametrize("name", [SENTENCE, WORD])
def test_on_usual_paper_a_long_name_stands_whole_below_its_job(name: str) -> None:
    head, _, row, *below = lines(waiting(name), job(job_id="b"), width=80)

    assert head.split() == ["job", "state", "units", "missing", "bars"]
    # Facts keep their shape.
    assert row.split() == [ID, "PAUSED_QUOTA", "100,001/123,456", "1", "98,765,432"]
    assert "goes on in 1d 3h" in below[0]
    first_column = head.index("state")
    told = [line[:first_column].strip() for line in below[:-2]]
    assert (" " if " " in name else "").join(told) == name
    assert len(told) <= 4
    assert [line.split()[0] for line in below[-2:]] == ["b", "stocks"]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_ids_and_states_are_whole_on_any_paper(width: int) -> None:
    found = lines(waiting(WORD), width=width)

    assert max(map(len, found)) <= width
    assert found[2].split()[:2] == [ID, "PAUSED_QUOTA"]


@pytest.mark.parametrize("width", [1, 10, 20])
def test_on_paper_that_is_too_narrow_for_anything_nothing_breaks(width: int) -> None:
    assert lines(waiting(WORD), job(name=""), width=width)
