"""`quota` asks once, or watches and outlasts the server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import quota_service_pb2

from ingestion_server.cli import watching
from tests.cli.conftest import Run
from tests.cli.test_main import COMMAND
from tests.client.fakes import (
    FakeServer,
    Refusal,
    changes,
    forecast,
    quota_alert,
    quotas,
)

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
DEFECT = Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "[oops]")
"""Ends a watch for good."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(watching, "_PAUSE_SECONDS", 0)


@pytest.fixture
def quota(run: Run, server: FakeServer) -> Run:
    """Run the command `quota` against the server."""

    def invoke(*arguments: str):
        return run("quota", "--target", server.target, *arguments)

    return invoke


def test_people_see_a_table(quota: Run) -> None:
    shown = quota()

    assert (shown.exit_code, shown.stderr) == (0, "")
    for text in ("Quotas at 2025-01-06 00:00:00 UTC", "20+2/25", "9h 30m", "own pace"):
        assert text in shown.stdout


def test_json_is_one_document_of_both_answers(quota: Run) -> None:
    shown = quota("--json")

    told = json.loads(shown.stdout)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert (
        json_format.ParseDict(told["quotas"], quota_service_pb2.ListQuotasResponse())
        == quotas()
    )
    assert (
        json_format.ParseDict(
            told["forecast"], quota_service_pb2.ForecastQuotaResponse()
        )
        == forecast()
    )


@pytest.mark.parametrize("arguments", [[], ["--json"], ["-w"], ["-w", "--json"]])
def test_a_wrong_vendor_is_told_at_once(
    quota: Run, server: FakeServer, arguments: list[str]
) -> None:
    server.quotas.listed = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", "'x' is not known"
    )

    shown = quota("-p", "x", *arguments)

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == "INVALID_QUERY: 'x' is not known\n"


@pytest.mark.parametrize("arguments", [[], ["--json"], ["-w"], ["-w", "--json"]])
def test_nobody_at_the_target_is_told_at_once(run: Run, arguments: list[str]) -> None:
    shown = run("quota", "--target", "127.0.0.1:1", *arguments)

    assert (shown.exit_code, shown.stdout) == (4, "")
    assert "no ingestion server answers at 127.0.0.1:1" in shown.stderr


def test_a_watch_writes_one_line_of_json_per_message(
    quota: Run, server: FakeServer
) -> None:
    server.quotas.streams = [[changes(21), changes(22), DEFECT]]

    shown = quota("--watch", "--json")

    lines = [
        json_format.Parse(line, quota_service_pb2.WatchQuotasResponse())
        for line in shown.stdout.splitlines()
    ]
    assert lines == [changes(21), changes(22)]
    assert shown.exit_code == 1
    assert shown.stderr == "INTERNAL: [oops]\n"


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (STOPPING, "the server is stopping"),
        (Refusal(grpc.StatusCode.UNAVAILABLE), "the server is gone"),
        (
            Refusal(grpc.StatusCode.DEADLINE_EXCEEDED),
            "the server did not answer in time",
        ),
    ],
)
def test_a_watch_outlasts_the_server(
    quota: Run, server: FakeServer, ending: Refusal, told: str
) -> None:
    server.quotas.streams = [[changes(21), ending], [changes(22), DEFECT]]
    # Once nobody is healthy in time: that is no reason to give up.
    server.health.refusals = [Refusal(grpc.StatusCode.DEADLINE_EXCEEDED)]

    shown = quota("--watch", "--json")

    assert [json.loads(line)["windows"][0]["used"] for line in _lines(shown)] == [
        "21",
        "22",
    ]
    assert shown.stderr.splitlines() == [
        f"{told}; waiting for {server.target}",
        "INTERNAL: [oops]",
    ]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_watch_that_ends_for_no_reason_begins_again(
    quota: Run, server: FakeServer, arguments: list[str]
) -> None:
    server.quotas.streams = [[changes(21)], [changes(22), DEFECT]]

    shown = quota("--watch", *arguments)

    assert shown.stderr == "INTERNAL: [oops]\n"
    assert server.quotas.streams == []


def test_a_watch_into_a_file_writes_a_table_per_message(
    quota: Run, server: FakeServer
) -> None:
    server.quotas.streams = [
        [changes(21, alerts=[quota_alert()]), STOPPING],
        [changes(22), DEFECT],
    ]

    shown = quota("--watch")

    first, away, second = shown.stdout.split("Quotas at ")[1:]
    assert "21+2/25" in first
    assert "alpha_vantage day: 80 % used (20/25); careful" in first
    assert f"the server is stopping; waiting for {server.target}" in away
    assert "22+2/25" in second
    # It is told anew by a server that still knows of it.
    assert "80 % used" not in second
    assert "waiting for" not in second
    assert "\x1b" not in shown.stdout


def test_a_watch_in_a_terminal_redraws_in_place(
    quota: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    server.quotas.streams = [[changes(21), STOPPING], [changes(22), DEFECT]]

    shown = quota("--watch")

    assert "\x1b[2K" in shown.stdout
    assert "22+2/25" in shown.stdout
    assert "INTERNAL" in shown.stderr


def test_a_forecast_is_renewed_while_nothing_changes(
    quota: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_RENEWAL_SECONDS", 0.01)

    def patient() -> Iterator[object]:
        yield changes(21)
        for _ in range(4):
            server.quotas.forecasts.get(timeout=10)
        yield DEFECT

    server.quotas.streams = [patient()]

    shown = quota("--watch")

    assert shown.stdout.count("Quotas at ") == 1
    assert shown.exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_ctrl_c_ends_a_watch_well(server: FakeServer, arguments: list[str]) -> None:
    forever = threading.Event()

    def patient() -> Iterator[object]:
        yield changes(21)
        forever.wait(30)

    server.quotas.streams = [patient()]
    command = [COMMAND, "quota", "--watch", "--target", server.target, *arguments]

    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        seen = watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, complaints = watching.communicate(timeout=20)
    forever.set()

    assert seen
    assert complaints == ""
    assert watching.returncode == 0


def test_the_worker_is_not_needed_for_help() -> None:
    program = (
        "import sys; import ingestion_server.cli.quota; "
        "print('ingestion_server.cli.metering' in sys.modules)"
    )

    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == "False"


def _lines(shown) -> list[str]:
    return shown.stdout.splitlines()
