"""`backfill` brings a file of symbols into files, and names what is missing."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import grpc
import polars as pl
import pytest
from marketdata.ingestion.v1 import bar_pb2, job_pb2, job_service_pb2

from ingestion_server.cli import watching
from ingestion_server.client import job_reading
from tests.cli.conftest import Run
from tests.cli.test_main import COMMAND
from tests.client.fakes import FakeServer, Refusal
from tests.client.jobs import JOB, failed, job, news, partial, result, spec
from tests.client.telling import DAY, FIRST, stamp

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")


@pytest.fixture(autouse=True)
def _prepared(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once; no job is known, and the next one completes."""
    monkeypatch.setattr(watching, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(job_reading, "_FIRST_PAUSE_SECONDS", 0)
    server.healthy(serving=True)
    server.jobs.listed = []
    server.jobs.units = []
    server.jobs.watches = [[news("COMPLETED")]]
    server.jobs.readings = [[result(1), result(2, "MSFT")]]


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    """Write a list of symbols."""
    path = tmp_path / "symbols.txt"
    path.write_text("MSFT\nAAPL\n")
    return path


@pytest.fixture
def backfill(run: Run, server: FakeServer, symbols: Path, tmp_path: Path) -> Run:
    """Run the command `backfill` against the server."""

    def invoke(*arguments: str, file: str = str(symbols)):
        return run(
            *("backfill", file, "--since", "2020-01-01"),
            *("--out", str(tmp_path / "out"), "--target", server.target, *arguments),
        )

    return invoke


def created(server: FakeServer) -> list[job_service_pb2.CreateJobRequest]:
    """Return the jobs that were asked for."""
    kind = job_service_pb2.CreateJobRequest
    return [each for each in server.jobs.requests if isinstance(each, kind)]


def test_each_symbol_gets_a_file(
    backfill: Run, server: FakeServer, tmp_path: Path
) -> None:
    shown = backfill("-i", "1h", "-p", "yahoo", "--until", "2021-01-01")

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr.splitlines()[-1] == f"2 files in {tmp_path / 'out'}"
    frame = pl.read_parquet(tmp_path / "out" / "*.parquet")
    assert frame["symbol"].to_list() == ["AAPL"] * 3 + ["MSFT"] * 3
    (request,) = created(server)
    assert list(request.spec.symbols) == ["AAPL", "MSFT"]
    assert request.spec.interval == bar_pb2.INTERVAL_1_HOUR
    assert request.spec.HasField("end")
    assert request.name.endswith(" symbols.txt")
    # All of it is read each time.
    (reading,) = server.jobs.readers
    assert (reading.acknowledged_cursor, reading.after_cursor) == ("", "")


def test_files_can_be_csv(backfill: Run, tmp_path: Path) -> None:
    shown = backfill("--format", "csv")

    assert shown.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "AAPL.csv",
        "MSFT.csv",
    ]


def test_the_same_content_has_the_same_key_in_whatever_order(
    backfill: Run, server: FakeServer, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("# the same\naapl\n\nMSFT\n")
    server.jobs.watches = [[news("COMPLETED")]] * 3

    backfill()
    backfill(file=str(other))
    backfill("-i", "1h")

    first, same, another = (each.client_key for each in created(server))
    assert first == same
    assert first != another


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED_QUOTA", "PAUSED"])
def test_run_again_it_goes_on_with_the_same_job(
    backfill: Run, server: FakeServer, state: str
) -> None:
    backfill()
    server.jobs.listed = [job(state, name=created(server)[0].name)]
    server.jobs.watches = [[news("COMPLETED")]]

    shown = backfill()

    assert shown.exit_code == 0
    assert f"going on with job {JOB}" in shown.stderr
    assert len(created(server)) == 1
    resumed = [
        each
        for each in server.jobs.requests
        if isinstance(each, job_service_pb2.ResumeJobRequest)
    ]
    assert len(resumed) == (state == "PAUSED")


@pytest.mark.parametrize("state", ["COMPLETED", "INCOMPLETE", "CANCELLED"])
def test_a_job_that_has_ended_is_followed_by_another(
    backfill: Run, server: FakeServer, state: str
) -> None:
    backfill()
    server.jobs.listed = [job(state, name=created(server)[0].name)]
    server.jobs.watches = [[news("COMPLETED")]]

    backfill()

    first, second = created(server)
    assert first.client_key.endswith(" after none")
    assert second.client_key.endswith(f" after {JOB}")


def test_a_job_that_has_all_there_will_ever_be_is_asked_for_its_bars(
    backfill: Run, server: FakeServer, tmp_path: Path
) -> None:
    backfill()
    server.jobs.listed = [
        job(
            "COMPLETED",
            name=created(server)[0].name,
            spec=spec(end=stamp(FIRST - DAY)),
        )
    ]
    server.jobs.watches = [[news("COMPLETED")]]
    server.jobs.readings = [[result(1)]]
    (tmp_path / "out" / "AAPL.parquet").unlink()

    shown = backfill()

    assert shown.exit_code == 0
    assert len(created(server)) == 1
    assert (tmp_path / "out" / "AAPL.parquet").exists()


def test_what_is_missing_is_named_and_the_rest_is_written(
    backfill: Run, server: FakeServer, tmp_path: Path
) -> None:
    server.jobs.watches = [[news("INCOMPLETE")]]
    server.jobs.units = [failed(2), partial(3)]

    shown = backfill()

    assert shown.exit_code == 5
    assert shown.stderr.splitlines()[-3:] == [
        "missing MSFT [2025-04-16, 2025-07-25) ALL_PROVIDERS_FAILED: yahoo: 503",
        "missing TSLA [2025-07-25, 2025-07-26) yahoo has no row",
        f"2 files in {tmp_path / 'out'}; bars are missing of 2 symbols",
    ]
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_json_at_the_end_is_for_programs(
    backfill: Run, server: FakeServer, symbols: Path, tmp_path: Path
) -> None:
    symbols.write_text("AAPL\nA B\n")
    server.jobs.watches = [[news(), news("INCOMPLETE")]]
    server.jobs.units = [failed(2)]

    shown = backfill("--json")

    told = json.loads(shown.stdout)
    assert shown.exit_code == 5
    assert told["job"]["jobId"] == JOB
    assert told["files"] == [
        str(tmp_path / "out" / name) for name in ("AAPL.parquet", "MSFT.parquet")
    ]
    assert told["missing"] == [
        {
            "symbol": "MSFT",
            "start": "2025-04-16T00:00:00+00:00",
            "end": "2025-07-25T00:00:00+00:00",
            "reason": "ALL_PROVIDERS_FAILED: yahoo: 503",
        }
    ]
    assert [each["line"] for each in told["unreadable"]] == [2]


def test_junk_in_the_list_is_named_and_is_no_success(
    backfill: Run, server: FakeServer, symbols: Path
) -> None:
    symbols.write_text("AAPL\n" + "A B\n" * 30)

    shown = backfill()

    assert shown.exit_code == 5
    assert "line 2: A B: has characters that no symbol has" in shown.stderr
    assert "line 21: A B" in shown.stderr
    assert "line 22" not in shown.stderr
    assert "and 10 more lines without a symbol" in shown.stderr
    assert "30 lines could not be read" in shown.stderr
    assert list(created(server)[0].spec.symbols) == ["AAPL"]


def test_symbols_may_be_piped_in(server: FakeServer, tmp_path: Path) -> None:
    shown = subprocess.run(  # noqa: S603
        [
            *(COMMAND, "backfill", "-", "--since", "2020-01-01"),
            *("--out", tmp_path / "out", "--target", server.target),
        ],
        input="AAPL\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (shown.returncode, shown.stdout) == (0, "")
    assert list(created(server)[0].spec.symbols) == ["AAPL"]


@pytest.mark.parametrize(
    ("content", "told"),
    [("", "there is no symbol in it"), ("A B\n", "line 1: A B")],
)
def test_a_list_without_a_symbol_is_refused(
    backfill: Run, server: FakeServer, symbols: Path, content: str, told: str
) -> None:
    symbols.write_text(content)

    shown = backfill()

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert told in shown.stderr
    assert server.jobs.requests == []


@pytest.mark.parametrize("file", ["/nowhere/symbols.txt", "/"])
def test_a_list_that_cannot_be_read_is_told(
    backfill: Run, server: FakeServer, file: str
) -> None:
    shown = backfill(file=file)

    assert shown.exit_code == 2
    assert shown.stderr.startswith(f"{file}: ")
    assert server.jobs.requests == []


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_asked(
    backfill: Run, server: FakeServer, symbols: Path
) -> None:
    shown = backfill("--out", str(symbols))

    assert (shown.exit_code, shown.stderr) == (2, f"{symbols}: File exists\n")
    assert server.jobs.requests == []


def test_nobody_at_the_target_is_told_with_how_to_start_one(
    run: Run, symbols: Path, tmp_path: Path
) -> None:
    shown = run(
        *("backfill", str(symbols), "--since", "2020-01-01", "--out", str(tmp_path)),
        *("--target", "127.0.0.1:1"),
    )

    assert (shown.exit_code, shown.stdout) == (4, "")
    assert "ingestion-server serve --sandbox" in shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["symbols.txt"]


def test_restarts_of_the_server_are_outlasted(
    backfill: Run, server: FakeServer
) -> None:
    server.jobs.watches = [[news(), STOPPING], [news("COMPLETED")]]
    server.jobs.readings = [[result(1), STOPPING], [result(2, "MSFT")]]

    shown = backfill()

    assert shown.exit_code == 0
    assert f"the server is stopping; waiting for {server.target}" in shown.stderr


def test_wrong_options_are_told_by_the_server(
    backfill: Run, server: FakeServer
) -> None:
    server.jobs.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", "'x' is not known"
    )

    shown = backfill("-p", "x")

    assert (shown.exit_code, shown.stderr) == (2, "INVALID_QUERY: 'x' is not known\n")


def test_ctrl_c_leaves_the_job_at_work_and_says_so(
    server: FakeServer, symbols: Path, tmp_path: Path
) -> None:
    forever = threading.Event()
    server.jobs.watches = [[news(), lambda: forever.wait(30)]]
    with subprocess.Popen(  # noqa: S603
        [
            *(COMMAND, "backfill", symbols, "--since", "2020-01-01"),
            *("--out", tmp_path / "out", "--target", server.target),
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "RUNNING" not in process.stderr.readline():
            pass

        process.send_signal(signal.SIGINT)
        _, aside = process.communicate(timeout=30)
        forever.set()

    assert f"job {JOB} goes on at the server" in aside
    assert "Traceback" not in aside
    assert process.returncode == 130
    assert list((tmp_path / "out").iterdir()) == []
    kinds = {type(each) for each in server.jobs.requests}
    assert job_service_pb2.CancelJobRequest not in kinds


def test_help_tells_how_to_go_on_and_the_exit_status(run: Run) -> None:
    shown = run("backfill", "--help")

    assert shown.exit_code == 0
    for text in ("Run it again", "EUR%2FUSD", "--format", "Exit status"):
        assert text in shown.stdout


def test_the_states_that_lack_something_are_all_asked_for(
    backfill: Run, server: FakeServer
) -> None:
    server.jobs.watches = [[news("CANCELLED")]]

    assert backfill().exit_code == 5
    asked = [
        set(each.unit_states)
        for each in server.jobs.requests
        if isinstance(each, job_service_pb2.GetJobRequest) and each.unit_states
    ]
    assert asked == [
        {
            job_pb2.UNIT_STATE_PARTIAL,
            job_pb2.UNIT_STATE_FAILED,
            job_pb2.UNIT_STATE_CANCELLED,
        }
    ]
