"""The options of `jobs …` reach the server, and wrong ones are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import job_pb2, job_service_pb2

from tests.cli.conftest import Run
from tests.client.fakes import FakeServer, Refusal
from tests.client.jobs import JOB, failed, job, news, partial, unit
from tests.client.telling import FIRST, stamp

CONFLICT = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION, "JOB_STATE_CONFLICT", "it has ended"
)


@pytest.fixture
def jobs(run: Run, server: FakeServer) -> Run:
    """Run the commands `jobs` against the server."""

    def invoke(command: str, *arguments: str):
        return run("jobs", command, "--target", server.target, *arguments)

    return invoke


def test_every_option_of_create_reaches_the_server(
    jobs: Run, server: FakeServer
) -> None:
    shown = jobs(
        *("create", "AAPL", "TSLA", "--since", "2010-01-04", "--until", "2020-01-01"),
        *("-i", "5m", "--adjustment", "raw", "--session", "extended"),
        *("--exchange", "XLON", "--asset-class", "equity", "-p", "yahoo"),
        *("--name", "stocks", "--key", "mine"),
    )

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert server.jobs.requests == [
        json_format.ParseDict(
            {
                "clientKey": "mine",
                "name": "stocks",
                "spec": {
                    "symbols": ["AAPL", "TSLA"],
                    "start": "2010-01-04T00:00:00Z",
                    "end": "2020-01-01T00:00:00Z",
                    "interval": "INTERVAL_5_MINUTES",
                    "adjustment": "ADJUSTMENT_RAW",
                    "session": "SESSION_EXTENDED",
                    "exchange": "XLON",
                    "assetClass": "ASSET_CLASS_EQUITY",
                    "sourcePolicy": {"mode": "MODE_PINNED", "providers": ["yahoo"]},
                },
            },
            job_service_pb2.CreateJobRequest(),
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "schedule"),
    [
        (
            ["--cron", "30 18 * * mon-fri", "--zone", "America/New_York"],
            {"cron": "30 18 * * mon-fri", "timeZone": "America/New_York"},
        ),
        (
            ["--after-close", "xnys"],
            {"afterClose": {"exchange": "XNYS", "delay": "0s"}},
        ),
        (
            ["--after-close", "XNYS+15m"],
            {"afterClose": {"exchange": "XNYS", "delay": "900s"}},
        ),
        (
            ["--after-close", "XLON+1h30m5s"],
            {"afterClose": {"exchange": "XLON", "delay": "5405s"}},
        ),
    ],
)
def test_a_schedule_reaches_the_server(
    jobs: Run, server: FakeServer, arguments: list[str], schedule: dict
) -> None:
    jobs("create", "AAPL", "--since", "2024-01-02", *arguments)

    (request,) = server.jobs.requests
    wanted = json_format.ParseDict(schedule, job_pb2.Schedule())
    assert request.spec.schedule == wanted


def test_symbols_are_taken_from_a_file_too_and_junk_is_named(
    jobs: Run, server: FakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "symbols.txt"
    file.write_text("MSFT\nA B\n")

    shown = jobs("create", "AAPL", "--file", str(file), "--since", "2024-01-02")

    assert shown.exit_code == 0
    assert shown.stderr.startswith("line 2: A B: has characters that no symbol has")
    assert list(server.jobs.requests[0].spec.symbols) == ["AAPL", "MSFT"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["AAPL"], "--since"),
        (["--since", "2024-01-02"], "name symbols"),
        (["AAPL", "--since", "soon"], "start 'soon' is no ISO date"),
        (["AAPL", "--since", "2024-01-02", "-i", "2m"], "--interval"),
        (["AAPL", "--since", "2024-01-02", "--after-close", "XNYS+"], "XNYS+15m"),
        (["AAPL", "--since", "2024-01-02", "--zone", "UTC"], "only for cron"),
        (["AAPL", "--since", "2024-01-02", "--dry-run", "-w"], "exclude each other"),
        (["--file", "/nowhere/x", "--since", "2024-01-02"], "No such file"),
        (["--file", "/", "--since", "2024-01-02"], "directory"),
    ],
)
def test_wrong_usage_is_told_without_asking_the_server(
    jobs: Run, server: FakeServer, arguments: list[str], told: str
) -> None:
    shown = jobs("create", *arguments)

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert told in shown.stderr
    assert server.jobs.requests == []


def test_a_plan_is_a_table_of_units_calls_cost_and_end_by_vendor(
    jobs: Run, server: FakeServer
) -> None:
    shown = jobs("create", "AAPL", "--since", "2024-01-02", "--dry-run")

    rows = [line.split() for line in shown.stdout.splitlines()]
    assert shown.exit_code == 0
    assert rows[0] == ["provider", "units", "calls", "cost", "done"]
    assert rows[2][:4] == ["yahoo", "3", "3", "$0.00"]
    assert " ".join(rows[3]) == "alpha_vantage 1 4 $0.50 farther than can be foreseen"
    assert rows[4][:4] == ["all", "4", "7", "$0.50"]
    assert "2 units landed before: nobody is asked" in shown.stdout
    assert "A B INVALID_QUERY: no symbol has it" in shown.stdout
    assert server.jobs.requests[0].dry_run


def test_a_job_that_is_created_is_told_with_its_plan(jobs: Run) -> None:
    shown = jobs("create", "AAPL", "--since", "2024-01-02")

    assert shown.stdout.startswith(f"Job {JOB} created, RUNNING\n")
    assert "alpha_vantage" in shown.stdout


def test_a_job_that_was_there_before_says_so(jobs: Run, server: FakeServer) -> None:
    server.jobs.created = job_service_pb2.CreateJobResponse(
        job=job("PAUSED", detail="by request")
    )

    shown = jobs("create", "AAPL", "--since", "2024-01-02", "--key", "k")

    assert shown.stdout == f"Job {JOB} was there before, PAUSED: by request\n"


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_json_of_create_is_the_answer_of_the_contract(
    jobs: Run, server: FakeServer, arguments: list[str]
) -> None:
    shown = jobs("create", "AAPL", "--since", "2024-01-02", "--json", *arguments)

    told = json_format.Parse(shown.stdout, job_service_pb2.CreateJobResponse())
    assert told.plan == server.jobs.created.plan
    assert told.created is (not arguments)


def test_one_can_create_and_look_on(jobs: Run, server: FakeServer) -> None:
    server.jobs.watches = [[news(), news("COMPLETED")]] * 2

    shown = jobs("create", "AAPL", "--since", "2024-01-02", "--watch")
    lines = jobs("create", "AAPL", "--since", "2024-01-02", "--watch", "--json")

    assert shown.exit_code == lines.exit_code == 0
    assert f"job {JOB} COMPLETED" in shown.stdout
    first, *others = map(json.loads, lines.stdout.splitlines())
    assert first["created"]
    assert [each["job"]["state"] for each in others] == [
        "JOB_STATE_RUNNING",
        "JOB_STATE_COMPLETED",
    ]


def test_jobs_are_listed(jobs: Run, server: FakeServer) -> None:
    tomorrow = stamp(FIRST + timedelta(days=40_000))
    server.jobs.listed = [
        job(),
        job("PAUSED_QUOTA", job_id="quota", resumes_at=tomorrow),
        job("SCHEDULED", job_id="daily", next_run_at=tomorrow),
    ]

    shown = jobs("list")

    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert lines[2].split() == [JOB, "stocks", "RUNNING", "2/4", "1", "250"]
    assert "goes on in" in lines[3]
    assert "runs in" in lines[4]


def test_a_list_is_filtered_and_cut(jobs: Run, server: FakeServer) -> None:
    server.jobs.listed = [job(job_id=f"j{n}") for n in range(5)]

    shown = jobs("list", "-s", "running", "--name", "st", "-n", "2", "--json")

    assert [json.loads(line)["jobId"] for line in shown.stdout.splitlines()] == [
        "j0",
        "j1",
    ]
    (request,) = server.jobs.requests
    assert (list(request.states), request.name_prefix) == (
        [job_pb2.JOB_STATE_RUNNING],
        "st",
    )


def test_an_empty_list_says_so(jobs: Run, server: FakeServer) -> None:
    server.jobs.listed = []

    assert jobs("list").stdout == "no jobs\n"


def test_a_state_that_does_not_exist_is_told(jobs: Run) -> None:
    shown = jobs("list", "--state", "done")

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "'done' is none of: running, paused" in shown.stderr


def test_a_job_is_shown_with_what_is_missing(jobs: Run, server: FakeServer) -> None:
    server.jobs.units = [unit(1), failed(2), partial(3)]

    shown = jobs("show", JOB)

    assert shown.exit_code == 0
    for text in (
        f"Job {JOB} RUNNING",
        "1d split, 2023-02-06 to what is final",
        "AAPL, MSFT",
        "4: 1 landed, 1 failed, 2 pending",
        "ALL_PROVIDERS_FAILED: yahoo: 503",
        "yahoo has no row",
    ):
        assert text in shown.stdout


def test_a_schedule_is_shown(jobs: Run, server: FakeServer) -> None:
    spec = job().spec
    spec.schedule.after_close.exchange = "XNYS"
    spec.schedule.after_close.delay.FromTimedelta(timedelta(minutes=15))
    server.jobs.job = job(spec=spec)
    after = jobs("show", JOB)
    spec.schedule.after_close.ClearField("delay")
    server.jobs.job = job(spec=spec)
    at = jobs("show", JOB)
    spec.schedule.cron = "30 18 * * *"
    server.jobs.job = job(spec=spec, run_ended_at=stamp(FIRST + timedelta(hours=3)))
    cron = jobs("show", JOB)

    assert "15 min after the close of XNYS" in after.stdout
    assert "at the close of XNYS" in at.stdout
    assert "30 18 * * * (UTC)" in cron.stdout
    assert "took 3 h" in cron.stdout


def test_units_are_shown_by_state_and_not_all_at_once(
    jobs: Run, server: FakeServer
) -> None:
    server.jobs.units = [unit(n) for n in range(1, 4)]

    shown = jobs("show", JOB, "--units", "landed", "--limit", "2")
    lines = jobs("show", JOB, "--units", "landed", "--limit", "2", "--json")

    assert shown.stdout.count("LANDED") == 2
    assert "and more; --limit 20 shows them" in shown.stdout
    told = json.loads(lines.stdout)
    assert told["job"]["jobId"] == JOB
    assert [each["number"] for each in told["units"]] == ["1", "2"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("pause", f"job {JOB} PAUSED: by request\n"),
        ("resume", f"job {JOB} RUNNING\n"),
        ("cancel", f"job {JOB} CANCELLED\n"),
        ("retry", f"job {JOB} RUNNING; 2 units tried again\n"),
        ("delete", ""),
    ],
)
def test_a_job_can_be_changed(
    jobs: Run, server: FakeServer, command: str, told: str
) -> None:
    shown = jobs(command, JOB)

    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, told, "")
    assert [each.job_id for each in server.jobs.requests] == [JOB]


def test_a_retry_of_nothing_says_so(jobs: Run, server: FakeServer) -> None:
    server.jobs.units = []

    assert jobs("retry", JOB).stdout == f"job {JOB} RUNNING; nothing is missing\n"


def test_json_of_a_change_is_the_job(jobs: Run) -> None:
    shown = jobs("pause", JOB, "--json")

    assert json.loads(shown.stdout)["state"] == "JOB_STATE_PAUSED"


@pytest.mark.parametrize(
    "command",
    ["show", "watch", "pause", "resume", "cancel", "retry", "delete", "results"],
)
def test_what_cannot_be_done_is_told(
    jobs: Run, server: FakeServer, command: str
) -> None:
    server.jobs.refusal = CONFLICT

    shown = jobs(command, JOB)

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == "JOB_STATE_CONFLICT: it has ended\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "AAPL", "--since", "2024-01-02"],
        ["list"],
        *([name, JOB] for name in ("show", "watch", "pause", "delete", "results")),
    ],
    ids=lambda each: each[0],
)
def test_nobody_at_the_target_is_told_with_how_to_start_one(
    run: Run, arguments: list[str]
) -> None:
    shown = run("jobs", *arguments, "--target", "127.0.0.1:1")

    assert (shown.exit_code, shown.stdout) == (4, "")
    assert "ingestion-server serve --sandbox" in shown.stderr


def test_help_names_all_commands_and_the_exit_status(run: Run) -> None:
    shown = run("jobs", "--help")
    create = run("jobs", "create", "--help")
    watch = run("jobs", "watch", "--help")

    for name in ("create", "list", "show", "watch", "pause", "resume", "cancel"):
        assert name in shown.stdout
    assert shown.exit_code == create.exit_code == watch.exit_code == 0
    for text in ("--after-close", "XNYS+15m", "--dry-run", "Exit status"):
        assert text in create.stdout
    assert "Ctrl-C" in watch.stdout


def test_the_workers_are_not_needed_for_help() -> None:
    program = (
        "import sys; import ingestion_server.cli.jobs, ingestion_server.cli.backfill; "
        "print(*{'ingestion_server.cli.job_asking', 'numpy'} & set(sys.modules))"
    )

    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == ""
