"""`stream` writes live data until it is enough, and outlasts the server."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.cli import streaming
from ingestion_server.client import stream_course
from tests.cli.conftest import Run
from tests.cli.test_main import COMMAND
from tests.client.fakes import FakeServer, Refusal, stamp
from tests.client.streams import (
    TRADES,
    Event,
    at,
    event,
    heartbeat,
    live_bar,
    quote,
    said,
    subscribed,
    trade,
)

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
WRONG = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", "[oops]")
"""Ends a stream for good."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(stream_course, "_FIRST_PAUSE_SECONDS", 0)


@pytest.fixture
def stream(run: Run, server: FakeServer) -> Run:
    """Run the command `stream` against the server."""

    def invoke(*arguments: str):
        return run("stream", "AAPL", "--target", server.target, *arguments)

    return invoke


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write into a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_file_gets_one_line_per_item(stream: Run, server: FakeServer) -> None:
    server.service.live.scripts = [
        [
            said(subscribed(0)),
            said(heartbeat()),
            said(trade(1, conditions=["I"], out_of_order=True), quote(1), live_bar(1)),
            WRONG,
        ]
    ]

    shown = stream()

    assert shown.stdout.splitlines() == [
        "2025-01-06T00:00:00.000Z AAPL: trades from finnhub",
        "2025-01-06T00:00:01.000Z AAPL quote 99.5 / 100.5 x 3 yahoo",
        "2025-01-06T00:00:01.000Z AAPL trade 101 x 10 finnhub (out of order)",
        "2025-01-06T00:00:00.000Z AAPL bar 1m 100/103/99/102 x 500 partial finnhub",
    ]
    assert (shown.exit_code, shown.stderr) == (2, "INVALID_QUERY: [oops]\n")


def test_json_is_one_line_per_message_of_the_contract(
    stream: Run, server: FakeServer
) -> None:
    sent = [
        said(subscribed(0)),
        said(heartbeat(), token=b"t"),
        said(trade(1), quote(1)),
    ]
    server.service.live.scripts = [[*sent, WRONG]]

    shown = stream("--json")

    assert [
        json_format.Parse(line, ingestion_service_pb2.StreamQuotesResponse())
        for line in shown.stdout.splitlines()
    ] == sent
    assert (shown.exit_code, shown.stderr) == (2, "INVALID_QUERY: [oops]\n")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_count_ends_a_stream_well(
    stream: Run, server: FakeServer, arguments: list[str]
) -> None:
    forever = threading.Event()
    server.service.live.scripts = [
        [
            said(subscribed(0)),
            said(trade(1)),
            said(trade(2), trade(3)),
            lambda: forever.wait(20),
        ]
    ]

    shown = stream("--count", "2", *arguments)
    forever.set()

    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 3
    assert shown.stderr.startswith("2 trades in ")


def test_a_time_ends_a_stream_well(stream: Run, server: FakeServer) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(heartbeat()), lambda: forever.wait(20)]]

    shown = stream("--seconds", "0.2")
    forever.set()

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr.startswith("nothing in ")


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (STOPPING, "the server is stopping"),
        (Refusal(grpc.StatusCode.UNAVAILABLE), "the server is gone"),
        (
            Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SUBSCRIBER_TOO_SLOW", "slow"),
            "slow",
        ),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_stream_outlasts_the_server(
    stream: Run,
    server: FakeServer,
    ending: Refusal,
    told: str,
    arguments: list[str],
) -> None:
    server.service.live.scripts = [
        [said(trade(1), token=b"one"), ending],
        [ending],
        [said(trade(1)), said(trade(2))],
    ]

    shown = stream("--count", "2", *arguments)

    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 2
    away, summary = shown.stderr.splitlines()
    assert away == f"{told}; waiting for {server.target}"
    assert summary.startswith("2 trades, 1 interruption in ")


def test_a_hole_that_the_server_keeps_quiet_about_is_told(
    stream: Run, server: FakeServer
) -> None:
    script = [said(trade(1)), said(trade(5))]
    server.service.live.scripts = [script, script]

    lines = stream("--count", "2").stdout.splitlines()
    _, message = stream("--count", "2", "--json").stdout.splitlines()

    assert lines[1].endswith(
        "AAPL: gap of 4 s, 3 trades missing"
        " (numbers 2 to 4 were skipped without a word)"
    )
    (declared,) = json.loads(message)["events"]
    assert (declared["firstMissing"], declared["lastMissing"]) == ("2", "4")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_nobody_at_the_target_is_told_at_once(run: Run, arguments: list[str]) -> None:
    shown = run("stream", "AAPL", "--target", "127.0.0.1:1", *arguments)

    assert (shown.exit_code, shown.stdout) == (4, "")
    assert "no ingestion server answers at 127.0.0.1:1" in shown.stderr


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_table_that_is_redrawn(
    stream: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_REDRAWN_SECONDS", 0.01)
    gap = event(
        Event.KIND_GAP,
        tick_kind=TRADES,
        sequence=1,
        begin=at(1),
        to=stamp(at(3)),
        cause="finnhub cut the connection",
    )
    server.service.live.scripts = [
        [said(subscribed(0), trade(1)), STOPPING],
        [said(gap), said(trade(2))],
    ]

    shown = stream("--count", "2")

    assert shown.exit_code == 0
    assert "\x1b[2K" in shown.stdout
    assert "AAPL: gap of 2 s (finnhub cut the connection)" in shown.stdout
    assert "+0.99%" in shown.stdout
    assert "1 gap, 1 interruption" in shown.stderr


@pytest.mark.usefixtures("terminal")
def test_a_failure_is_told_without_a_table(stream: Run, server: FakeServer) -> None:
    server.service.live.scripts = [[WRONG]]

    shown = stream()

    assert (shown.exit_code, shown.stdout) == (2, "")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_ctrl_c_ends_a_stream_well(server: FakeServer, arguments: list[str]) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(trade(1)), lambda: forever.wait(30)]]
    command = [COMMAND, "stream", "AAPL", "--target", server.target, *arguments]

    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout is not None
        seen = shown.stdout.readline()
        shown.send_signal(signal.SIGINT)
        _, told = shown.communicate(timeout=20)
    forever.set()

    assert seen
    assert told.startswith("1 trade in ")
    assert len(told.splitlines()) == 1
    assert shown.returncode == 0


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_goes_away_ends_a_stream_without_a_traceback(
    server: FakeServer, arguments: list[str]
) -> None:
    gone = threading.Event()

    def patient() -> Iterator[object]:
        yield said(trade(1))
        gone.wait(30)
        for number in range(2, 10_000):
            yield said(trade(number))

    server.service.live.scripts = [patient()]
    command = [COMMAND, "stream", "AAPL", "--target", server.target, *arguments]

    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        assert shown.stdout.readline()
        shown.stdout.close()
        gone.set()
        told = shown.stderr.read()

    assert told == ""
