"""The command `report` shows how well callers and vendors were served."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from marketdata.ingestion.v1 import report_service_pb2

from tests.cli.conftest import Run
from tests.client.fakes import FakeServer
from tests.client.telling import Refusal

WIDTHS = pytest.mark.parametrize("columns", [80, 100, 140])


@pytest.fixture
def report(run: Run, server: FakeServer) -> Run:
    """Run the command `report` against the server."""

    def invoke(*arguments: str):
        return run("report", "--target", server.target, *arguments)

    return invoke


@WIDTHS
def test_it_is_readable_at_any_width(
    report: Run, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = report()

    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    (overall,) = (line for line in lines if line.startswith("all "))
    for text in ("1.2M", "99.878 %", "123 ms", "1.23 s", "99.75 %", "-22 %"):
        assert text in overall
    assert any(line.startswith("BenchmarkProviders ") for line in lines)
    assert any(line.startswith("alpha_vantage ") for line in lines)
    assert "yahoo 50 TIMEOUT, 1 MALFORMED" in lines
    assert "Fetch 1,500 ALL_PROVIDERS_FAILED" in lines
    assert "… 2 times before these" in lines
    assert "from 2025-01-06 06:00:00 UTC for 90 s" in lines
    assert "incomplete: the disk is full" in lines
    assert "99.9 % of calls should be answered" in lines


def test_the_longest_call_is_shown_where_there_is_room(
    report: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")

    assert "29 s" in report().stdout


def test_the_last_day_is_asked_for_by_default(report: Run, server: FakeServer) -> None:
    report()

    (request,) = server.reports.requests
    ago = datetime.now(UTC) - request.start.ToDatetime(UTC)
    assert timedelta(hours=24) <= ago < timedelta(hours=24, minutes=1)
    assert not request.HasField("end")
    assert request.objective == 0


def test_what_is_asked_for_reaches_the_server(report: Run, server: FakeServer) -> None:
    shown = report(
        *("--since", "2025-01-01", "--until", "2d", "-p", "yahoo"),
        *("--objective", "99.9"),
    )

    assert shown.exit_code == 0
    (request,) = server.reports.requests
    assert request.start.ToDatetime(UTC) == datetime(2025, 1, 1, tzinfo=UTC)
    ago = datetime.now(UTC) - request.end.ToDatetime(UTC)
    assert timedelta(days=2) <= ago < timedelta(days=2, minutes=1)
    assert list(request.providers) == ["yahoo"]
    assert request.objective == 0.999


def test_json_is_the_answer_as_it_came(report: Run, server: FakeServer) -> None:
    shown = report("--json")

    told = json.loads(shown.stdout)
    assert told["overall"]["failures"] == {"ALL_PROVIDERS_FAILED": "1500"}
    assert told["downtimes"][0]["start"] == "2025-01-06T00:00:00Z"
    assert len(server.reports.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--since", "yesterday"), "since"),
        (("--until", "25h30"), "end"),
        (("--objective", "100"), "objective 100 is no number of calls in 100"),
        (("--objective", "0"), "objective 0 is no number of calls in 100"),
        (("--objective", "nan"), "objective nan"),
    ],
)
def test_wrong_usage_is_told_without_asking_the_server(
    report: Run, server: FakeServer, arguments: tuple[str, ...], told: str
) -> None:
    shown = report(*arguments)

    assert shown.exit_code == 2
    assert told.replace("since", "start") in shown.stderr
    assert server.reports.requests == []


def test_a_refusal_is_told(report: Run, server: FakeServer) -> None:
    server.reports.told = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")

    shown = report()

    assert shown.exit_code == 2
    assert "INVALID_QUERY" in shown.stderr


def test_a_server_that_was_asked_nothing_has_nothing_to_show(
    report: Run, server: FakeServer
) -> None:
    server.reports.told = report_service_pb2.GetSlaReportResponse()

    shown = report()

    assert shown.exit_code == 0
    assert "incomplete" not in shown.stdout
    assert "No server ran" not in shown.stdout
