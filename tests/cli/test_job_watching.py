"""`jobs watch` tells how a job gets on until it has ended, and outlasts the server."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections import deque

import grpc
import pytest
from rich.console import Console

from ingestion_server.cli import job_watching, watching
from ingestion_server.client.job_values import job_from
from tests.cli.conftest import Run
from tests.cli.test_main import COMMAND
from tests.client.fakes import FakeServer, Refusal
from tests.client.jobs import JOB, failed, job, news, partial, progress, unit, unknown
from tests.client.telling import FIRST, stamp

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
DEFECT = Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "[oops]")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(watching, "_PAUSE_SECONDS", 0)


@pytest.fixture(autouse=True)
def _healthy(server: FakeServer) -> None:
    """Serve."""
    server.healthy(serving=True)


@pytest.fixture
def watch(run: Run, server: FakeServer) -> Run:
    """Run the command `jobs watch` against the server."""

    def invoke(*arguments: str):
        return run("jobs", "watch", JOB, "--target", server.target, *arguments)

    return invoke


def test_a_file_gets_a_line_for_each_state_and_each_failure(
    watch: Run, server: FakeServer
) -> None:
    server.jobs.watches = [
        [
            news(),
            news(),
            news("RUNNING", unit(1), failed(2)),
            news("PAUSED_QUOTA", detail="no quota is left"),
            news("COMPLETED"),
        ]
    ]

    shown = watch()

    assert shown.stdout.splitlines() == [
        f"job {JOB} RUNNING (1 landed, 1 failed, 2 pending)",
        "MSFT [2025-04-16, 2025-07-25) FAILED: ALL_PROVIDERS_FAILED: yahoo: 503",
        f"job {JOB} PAUSED_QUOTA: no quota is left (1 landed, 1 failed, 2 pending)",
        f"job {JOB} COMPLETED (1 landed, 1 failed, 2 pending)",
    ]
    assert shown.exit_code == 0
    assert shown.stderr == (
        f"job {JOB} COMPLETED: 1 landed, 1 failed, 2 pending of 4 units, 250 bars\n"
    )


def test_what_is_missing_at_the_end_is_named_and_is_a_failure(
    watch: Run, server: FakeServer
) -> None:
    server.jobs.watches = [[news("INCOMPLETE")]]
    # Stretches that touch, with the same reason, are one.
    server.jobs.units = [unit(1), failed(2), failed(3), partial(4), failed(5, "IBM")]

    shown = watch()

    assert shown.exit_code == 5
    assert shown.stderr.splitlines()[1:] == [
        "missing MSFT [2025-04-16, 2025-11-02) ALL_PROVIDERS_FAILED: yahoo: 503",
        "missing TSLA [2025-11-02, 2025-11-03) yahoo has no row",
        "missing IBM [2026-02-10, 2026-05-21) ALL_PROVIDERS_FAILED: yahoo: 503",
    ]


def test_of_very_much_that_is_missing_the_first_is_named(
    watch: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_watching, "_MOST_MISSING", 1)
    server.jobs.watches = [[news("CANCELLED")]]
    server.jobs.units = [failed(1, "IBM"), failed(2, "TSLA")]

    shown = watch()

    assert shown.exit_code == 5
    assert "missing IBM" in shown.stderr
    assert "missing TSLA" not in shown.stderr
    assert f"and more: ingestion-server jobs show {JOB}" in shown.stderr


def test_json_is_one_line_per_message_of_the_contract(
    watch: Run, server: FakeServer
) -> None:
    server.jobs.watches = [[news(), news("COMPLETED", unit(1))]]

    shown = watch("--json")

    first, second = map(json.loads, shown.stdout.splitlines())
    assert first["job"]["state"] == "JOB_STATE_RUNNING"
    assert [each["symbol"] for each in second["units"]] == ["AAPL"]
    assert shown.exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["--json"]])
@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (STOPPING, "the server is stopping"),
        (Refusal(grpc.StatusCode.UNAVAILABLE), "the server is gone"),
    ],
)
def test_a_watch_outlasts_the_server(
    watch: Run, server: FakeServer, ending: Refusal, told: str, arguments: list[str]
) -> None:
    server.jobs.watches = [[news(), ending], [], [news("COMPLETED")]]

    shown = watch(*arguments)

    assert shown.exit_code == 0
    assert shown.stderr.splitlines()[0] == f"{told}; waiting for {server.target}"


def test_a_terminal_gets_a_bar_and_what_failed_last(
    watch: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    server.jobs.watches = [
        [news(), news("RUNNING", failed(2)), STOPPING],
        [news("COMPLETED", progress=progress(3))],
    ]

    shown = watch()

    assert "\x1b[2K" in shown.stdout
    for text in ("━", "units/s", "ALL_PROVIDERS_FAILED", "the server is stopping"):
        assert text in shown.stdout
    assert shown.exit_code == 0


def test_a_picture_tells_units_bars_rate_and_end() -> None:
    console = Console(width=80)
    told = job_from(
        job(
            "SCHEDULED",
            resumes_at=stamp(FIRST),
            next_run_at=stamp(FIRST),
            progress=progress(finishes_at=stamp(FIRST)),
        )
    )

    with console.capture() as drawn:
        console.print(
            job_watching.drawn(
                told, FIRST, width=80, amiss=deque(["A line"]), note="away"
            )
        )

    assert "2/4 units · 250 bars · 3 calls · $0.25 · done in now" in drawn.get()
    assert "A line" in drawn.get()
    assert "away" in drawn.get()


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_defect_ends_a_watch(
    watch: Run, server: FakeServer, arguments: list[str]
) -> None:
    server.jobs.watches = [[news(), DEFECT]]

    shown = watch(*arguments)

    assert shown.exit_code == 1
    assert shown.stderr == "INTERNAL: [oops]\n"


def test_a_job_that_is_deleted_meanwhile_is_told(
    watch: Run, server: FakeServer
) -> None:
    server.jobs.watches = [[news(), unknown()]]

    shown = watch()

    assert shown.exit_code == 2
    assert shown.stderr == "JOB_UNKNOWN: there is no such job\n"


def test_ctrl_c_ends_a_watch_well(server: FakeServer) -> None:
    forever = threading.Event()
    server.jobs.watches = [[news(), lambda: forever.wait(30)]]
    with subprocess.Popen(  # noqa: S603
        [COMMAND, "jobs", "watch", JOB, "--target", server.target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()

        process.send_signal(signal.SIGINT)
        _, aside = process.communicate(timeout=30)
        forever.set()

    assert "RUNNING" in line
    assert (process.returncode, aside) == (0, "")
