"""The forms of an answer: tables, JSON, CSV and pictures."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import threading

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provenance_pb2,
)

from tests.cli.conftest import Run
from tests.cli.test_main import COMMAND
from tests.client.fakes import (
    FakeServer,
    Refusal,
    answer,
    columns,
    partial_answer,
)


def test_people_see_bars_and_the_truth(fetch: Run, server: FakeServer) -> None:
    server.service.answers = [partial_answer()]

    shown = fetch()

    assert (shown.exit_code, shown.stderr) == (0, "")
    for text in (
        "AAPL · 1d · split · USD · XNYS",
        "2025-01-08   102.5   104.25   101   103.5     3000   partial",
        "PARTIAL · 3 bars · request r-1",
        "missing [2025-01-09, 2025-01-10): yahoo has no row",
        "2025-01-16 00:00",
        "QUOTA_EXHAUSTED: 25 a day    120 ms       2   $0.01",
        "ROW_QUARANTINED   2025-01-06   high below low",
    ):
        assert text in shown.stdout


def test_all_bars_are_shown_when_asked_for(fetch: Run, server: FakeServer) -> None:
    server.service.answers = [answer(columns(50))]

    assert "2025-01-06" not in fetch().stdout.partition("COMPLETE")[0]
    assert "2025-01-06" in fetch("--all").stdout.partition("COMPLETE")[0]


def test_json_is_one_document_of_the_contract(fetch: Run, server: FakeServer) -> None:
    server.service.answers = [partial_answer()]

    shown = fetch("--json")

    read = json_format.Parse(shown.stdout, ingestion_service_pb2.FetchResponse())
    assert read.missing == partial_answer().missing
    assert [row["close"] for row in json.loads(shown.stdout)["series"]["bars"]] == [
        101.5,
        102.5,
        103.5,
    ]
    assert "PARTIAL" in shown.stderr


def test_csv_has_a_line_per_bar(fetch: Run, server: FakeServer) -> None:
    server.service.answers = [answer(columns(volume=[1e21, float("nan"), 0.1]))]

    shown = fetch("--csv")

    assert shown.stderr == ""
    assert shown.stdout.splitlines() == [
        "time,open,high,low,close,volume,state,provider",
        "2025-01-06,100.5,102.25,99,101.5,1000000000000000000000,final,yahoo",
        "2025-01-07,101.5,103.25,100,102.5,,final,yahoo",
        "2025-01-08,102.5,104.25,101,103.5,0.1,partial,yahoo",
    ]


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_doubts_are_told_beside_the_data(
    fetch: Run, server: FakeServer, form: str
) -> None:
    told = answer()
    told.quality_flags.add(
        kind=provenance_pb2.QUALITY_FLAG_KIND_DISAGREEMENT, detail="[1] or [2]"
    )
    server.service.answers = [told]

    assert fetch("--consensus", form).stderr == "DISAGREEMENT: [1] or [2]\n"


def test_csv_of_intraday_bars_has_full_times(fetch: Run, server: FakeServer) -> None:
    told = answer()
    told.series.interval = bar_pb2.INTERVAL_1_HOUR
    server.service.answers = [told]

    rows = list(csv.DictReader(io.StringIO(fetch("--csv").stdout)))

    assert rows[0]["time"] == "2025-01-06T00:00:00Z"


def test_a_chart_comes_with_the_truth(fetch: Run) -> None:
    shown = fetch("--chart")

    assert shown.exit_code == 0
    assert "█" in shown.stdout
    assert "COMPLETE" in shown.stdout
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize("form", ["--json", "--csv", "--chart", "--all"])
def test_no_bars_are_an_answer_in_every_form(
    fetch: Run, server: FakeServer, form: str
) -> None:
    server.service.answers = [answer(columns(0), sources=[], attempts=[])]

    assert fetch(form).exit_code == 0


def test_time_that_ran_out_is_a_failure_of_its_own(
    fetch: Run, server: FakeServer
) -> None:
    release = threading.Event()
    server.service.answers = [release.wait]

    try:
        shown = fetch("--timeout", "0.05")
    finally:
        release.set()

    assert shown.exit_code == 5
    assert "did not answer in time" in shown.stderr


def test_a_defect_of_the_server_is_told_without_a_traceback(
    fetch: Run, server: FakeServer
) -> None:
    server.service.answers = [Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "[oops]")]

    shown = fetch("--json")

    assert shown.exit_code == 1
    assert shown.stderr == "INTERNAL: [oops]\n"
    assert shown.stdout == ""


def test_a_reader_that_leaves_early_ends_it_quietly(server: FakeServer) -> None:
    server.service.answers = [answer(columns(20_000))]
    read, written = os.pipe()
    os.close(read)

    command = [COMMAND, "fetch", "AAPL", "--csv", "--target", server.target]
    with os.fdopen(written, "wb") as pipe:
        ended = subprocess.run(  # noqa: S603
            command, stdout=pipe, stderr=subprocess.PIPE, check=False, text=True
        )

    assert ended.stderr == ""


def test_a_reader_that_leaves_early_ends_a_short_table_quietly(
    server: FakeServer,
) -> None:
    read, written = os.pipe()
    os.close(read)

    with os.fdopen(written, "wb") as pipe:
        ended = subprocess.run(  # noqa: S603
            [COMMAND, "fetch", "AAPL", "--target", server.target],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )

    assert ended.stderr == ""
