"""`jobs results` writes what has landed, and forgets nothing that was not written."""

from __future__ import annotations

import csv
import errno
import json
from datetime import timedelta
from pathlib import Path

import grpc
import polars as pl
import pytest
from marketdata.ingestion.v1 import bar_pb2

from ingestion_server.cli import symbol_files
from ingestion_server.client import job_reading
from tests.cli.conftest import Run
from tests.client.fakes import FakeServer, Refusal
from tests.client.jobs import JOB, partial, result
from tests.client.telling import DAY, FIRST

GONE = Refusal(grpc.StatusCode.UNAVAILABLE)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(job_reading, "_FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(job_reading, "_ACKNOWLEDGED_SECONDS", 3600)


@pytest.fixture
def results(run: Run, server: FakeServer) -> Run:
    """Run the command `jobs results` against the server."""

    def invoke(*arguments: str):
        return run("jobs", "results", JOB, "--target", server.target, *arguments)

    return invoke


def test_people_see_what_each_message_holds(results: Run, server: FakeServer) -> None:
    server.jobs.readings = [[result(1), result(2, "TSLA", of=partial(2)), GONE], []]

    shown = results()

    assert shown.stdout.splitlines() == [
        "AAPL [2025-01-06, 2025-04-16) 3 bars from yahoo",
        "TSLA [2025-04-16, 2025-07-25) 3 bars from yahoo (partial)",
    ]
    assert (shown.exit_code, shown.stderr) == (0, "")


def test_without_a_consumer_nothing_is_remembered(
    results: Run, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1)]]

    results()

    assert [each.acknowledged_cursor for each in server.jobs.readers] == [""]


def test_a_consumer_is_remembered(results: Run, server: FakeServer) -> None:
    server.jobs.readings = [[result(1)], []]

    results("--consumer", "me", "--follow")

    assert [
        (each.consumer, each.acknowledged_cursor, each.follow)
        for each in server.jobs.readers
    ] == [("me", "", True), ("me", "c1", True)]


def test_json_is_one_line_per_message_with_rows(
    results: Run, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1), result(2)]]

    shown = results("--json")

    told = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [each["cursor"] for each in told] == ["c1", "c2"]
    assert [row["close"] for row in told[0]["series"]["bars"]] == [101.5, 102.5, 103.5]


def test_csv_is_one_line_per_bar(results: Run, server: FakeServer) -> None:
    server.jobs.readings = [[result(1), result(2, "TSLA")]]

    shown = results("--csv")

    rows = list(csv.DictReader(shown.stdout.splitlines()))
    assert len(rows) == 6
    assert rows[0] == {
        "symbol": "AAPL",
        "time": "2025-01-06",
        "open": "100.5",
        "high": "102.25",
        "low": "99",
        "close": "101.5",
        "volume": "1000",
        "state": "final",
        "provider": "yahoo",
    }
    assert rows[5]["symbol"] == "TSLA"


def test_files_hold_each_symbol_ascending_and_each_bar_once(
    results: Run, server: FakeServer, tmp_path: Path
) -> None:
    server.jobs.readings = [
        [
            # Later first, then a part of it anew with other prices.
            result(1, first=FIRST + 3 * DAY),
            result(2, "EUR/USD"),
            result(3, first=FIRST),
            result(4, first=FIRST + 4 * DAY, close=200.0),
        ]
    ]

    shown = results("--out", str(tmp_path / "new" / "out"))

    out = tmp_path / "new" / "out"
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == f"2 files in {out}\n"
    assert sorted(path.name for path in out.iterdir()) == [
        "AAPL.parquet",
        "EUR%2FUSD.parquet",
    ]
    frame = pl.read_parquet(out / "AAPL.parquet")
    assert frame["time"].to_list() == [FIRST + n * DAY for n in range(7)]
    assert frame["close"].to_list() == [101.5, 102.5, 103.5, 101.5, 200, 201, 202]
    assert set(pl.read_parquet(out / "*.parquet")["symbol"]) == {"AAPL", "EUR/USD"}


def test_files_can_be_csv(results: Run, server: FakeServer, tmp_path: Path) -> None:
    server.jobs.readings = [[result(1, interval=bar_pb2.INTERVAL_1_HOUR)]]

    results("--out", str(tmp_path), "--csv")

    lines = (tmp_path / "AAPL.csv").read_text().splitlines()
    assert lines[1] == "2025-01-06T00:00:00Z,100.5,102.25,99,101.5,1000,final,yahoo"


def test_a_file_stays_as_it_was_until_all_is_there(
    results: Run, server: FakeServer, tmp_path: Path
) -> None:
    old = tmp_path / "AAPL.parquet"
    old.write_text("old")
    server.jobs.readings = [
        [result(1), Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "oops")]
    ]

    shown = results("--out", str(tmp_path))

    assert (shown.exit_code, shown.stderr) == (1, "INTERNAL: oops\n")
    assert [path.name for path in tmp_path.iterdir()] == ["AAPL.parquet"]
    assert old.read_text() == "old"


def test_a_full_disk_is_told_and_leaves_what_was_there(
    results: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(symbol_files.os, "fsync", full)
    old = tmp_path / "AAPL.parquet"
    old.write_text("old")
    server.jobs.readings = [[result(1)]]

    shown = results("--out", str(tmp_path))

    assert (shown.exit_code, shown.stdout) == (5, "")
    assert shown.stderr == f"{tmp_path}: No space left on device\n"
    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["AAPL.parquet"]


def test_a_folder_that_is_none_is_told_before_anything_is_asked(
    results: Run, server: FakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")

    shown = results("--out", str(file))

    assert (shown.exit_code, shown.stderr) == (2, f"{file}: File exists\n")
    assert server.jobs.readers == []


def test_what_others_left_unfinished_is_removed_once_it_is_old(
    results: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".unfinished-x"
    left.mkdir()
    (left / "0.rows").write_text("")
    server.jobs.readings = [[result(1)], [result(1)]]

    results("--out", str(tmp_path))
    kept = left.exists()
    day = timedelta(days=2).total_seconds()
    now = symbol_files.time.time()
    monkeypatch.setattr(symbol_files.time, "time", lambda: now + day)
    results("--out", str(tmp_path))

    assert kept
    assert not left.exists()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BRK.B", "BRK.B"),
        ("^GSPC", "^GSPC"),
        ("BTC/USD", "BTC%2FUSD"),
        ("CON", "%43ON"),
        ("COM1", "%43OM1"),
        ("CONN", "CONN"),
    ],
)
def test_every_symbol_is_the_name_of_a_file_on_every_system(
    symbol: str, name: str
) -> None:
    assert symbol_files.file_name(symbol) == name


@pytest.mark.parametrize("arguments", [["--json", "--csv"], ["--json", "--out", "x"]])
def test_forms_exclude_each_other(
    results: Run, server: FakeServer, arguments: list[str]
) -> None:
    shown = results(*arguments)

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert server.jobs.readers == []


def test_files_are_for_no_consumer(results: Run) -> None:
    shown = results("--out", "x", "--consumer", "me")

    assert shown.exit_code == 2
    assert "--consumer" in shown.stderr
