"""`providers` asks once, or watches and outlasts the server."""

from __future__ import annotations

import json

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import provider_service_pb2

from ingestion_server.cli import watching
from tests.cli.conftest import Run
from tests.client.fakes import FakeServer
from tests.client.telling import Refusal
from tests.client.vendors import cache, event, provider_changes, providers

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
DEFECT = Refusal(grpc.StatusCode.INTERNAL, "INTERNAL", "[oops]")
"""Ends a watch for good."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(watching, "_PAUSE_SECONDS", 0)


@pytest.fixture
def roster(run: Run, server: FakeServer) -> Run:
    """Run the command `providers` against the server."""

    def invoke(*arguments: str):
        return run("providers", "--target", server.target, *arguments)

    return invoke


def test_json_is_the_answer_of_the_contract(roster: Run) -> None:
    shown = roster("--json")

    told = json_format.Parse(shown.stdout, provider_service_pb2.ListProvidersResponse())
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert told == providers()


def test_people_see_what_is_kept_of_answers(roster: Run) -> None:
    for arguments in ((), ("-p", "iex")):
        assert "Cache hit ratio 75%: 1,500 hits" in roster(*arguments).stdout


def test_a_watch_shows_what_is_kept_as_it_was_told_last(
    roster: Run, server: FakeServer
) -> None:
    server.providers.streams = [
        [provider_changes(20), provider_changes(30, cache=cache(hits=1_501)), DEFECT]
    ]

    shown = roster("--watch")

    first, second = shown.stdout.split("Providers at ")[1:]
    assert "1,500 hits" in first
    assert "1,501 hits" in second


def test_json_has_only_the_vendors_that_are_named(roster: Run) -> None:
    told = json.loads(roster("--json", "-p", "iex").stdout)

    assert [one["name"] for one in told["providers"]] == ["iex"]


@pytest.mark.parametrize("arguments", [[], ["--json"], ["-w"], ["-w", "--json"]])
def test_a_wrong_vendor_is_told_at_once(roster: Run, arguments: list[str]) -> None:
    shown = roster("-p", "x", *arguments)

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "'x' is no vendor; there are: alpha_vantage, iex\n" in shown.stderr


@pytest.mark.parametrize("arguments", [[], ["--json"], ["-w"], ["--enable", "yahoo"]])
def test_nobody_at_the_target_is_told_at_once(run: Run, arguments: list[str]) -> None:
    shown = run("providers", "--target", "127.0.0.1:1", *arguments)

    assert (shown.exit_code, shown.stdout) == (4, "")
    assert "no ingestion server answers at 127.0.0.1:1" in shown.stderr


def test_a_watch_writes_one_line_of_json_per_message(
    roster: Run, server: FakeServer
) -> None:
    server.providers.streams = [
        [provider_changes(20), STOPPING],
        [provider_changes(30), DEFECT],
    ]

    shown = roster("--watch", "--json")

    lines = [
        json_format.Parse(line, provider_service_pb2.WatchProvidersResponse())
        for line in shown.stdout.splitlines()
    ]
    assert lines == [provider_changes(20), provider_changes(30)]
    assert shown.exit_code == 1
    assert shown.stderr.splitlines() == [
        f"the server is stopping; waiting for {server.target}",
        "INTERNAL: [oops]",
    ]


def test_a_watch_into_a_file_writes_a_table_per_message(
    roster: Run, server: FakeServer
) -> None:
    server.providers.streams = [
        [provider_changes(20, events=[event()]), STOPPING],
        [provider_changes(30), DEFECT],
    ]

    shown = roster("--watch", "-p", "alpha_vantage")

    first, away, second = shown.stdout.split("Providers at ")[1:]
    assert " 20 " in first
    assert "alpha_vantage bars:equity: left alone; HTTP 503" in first
    assert f"the server is stopping; waiting for {server.target}" in away
    assert " 30 " in second
    # It is told anew by a server that still knows of it.
    assert "left alone" not in second
    assert "iex" not in shown.stdout
    assert [list(each.providers) for each in server.providers.requests[2::2]] == [
        ["alpha_vantage"],
        ["alpha_vantage"],
    ]
