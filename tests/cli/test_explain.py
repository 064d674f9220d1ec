"""`explain` asks what `fetch` would ask, and shows the route."""

from __future__ import annotations

import inspect
import io

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import provider_pb2, provider_service_pb2
from rich.console import Console

from ingestion_server.cli import route_table
from ingestion_server.cli.explain import explain as command
from ingestion_server.cli.fetch import fetch
from ingestion_server.cli.frame import Frame
from ingestion_server.client import Query
from ingestion_server.client.provider_request import explain_request
from ingestion_server.client.providers import route_from
from tests.cli.conftest import Run
from tests.client.fakes import FakeServer
from tests.client.telling import Refusal
from tests.client.vendors import route


@pytest.fixture
def explain(run: Run, server: FakeServer) -> Run:
    """Run the command `explain` against the server."""

    def invoke(*arguments: str):
        return run("explain", "AAPL", "--target", server.target, *arguments)

    return invoke


def shown(told: provider_service_pb2.ExplainRouteResponse) -> list[str]:
    """Print a route."""
    file = io.StringIO()
    Console(file=file, width=100).print(
        route_table.drawn("AAPL", route_from(told), Frame(width=100))
    )
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_every_option_reaches_the_server(explain: Run, server: FakeServer) -> None:
    result = explain(
        *["-i", "1h", "--start", "2025-01-06", "--end", "2025-01-07T12:00:00Z"],
        *["--limit", "5"],
        *["--adjustment", "raw", "--session", "extended", "--exchange", "XLON"],
        *["--asset-class", "equity", "-p", "yahoo", "-p", "finnhub", "--no-partial"],
        *["--max-cost", "0.05", "--consensus", "--tolerance", "0.01"],
        *["--max-staleness", "30"],
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert server.providers.requests == [
        explain_request(
            "AAPL",
            Query(
                interval="1h",
                start="2025-01-06",
                end="2025-01-07T12:00:00Z",
                limit=5,
                adjustment="raw",
                session="extended",
                exchange="XLON",
                asset_class="equity",
                providers=["yahoo", "finnhub"],
                mode="consensus",
                tolerance=0.01,
                max_staleness_seconds=30.0,
                allow_partial=False,
                max_cost_usd=0.05,
            ),
        )
    ]


def test_it_takes_what_fetch_takes() -> None:
    own, other = (inspect.signature(each).parameters for each in (command, fetch))

    forms = {"as_json", "as_csv", "as_chart", "every_bar"}
    assert {name: one for name, one in own.items() if name not in forms} == {
        name: one for name, one in other.items() if name not in forms
    }


def test_people_see_the_route(explain: Run) -> None:
    assert "Route for AAPL at 2025-01-06 00:00:00 UTC" in explain().stdout


def test_json_is_the_answer_of_the_contract(explain: Run) -> None:
    told = json_format.Parse(
        explain("--json").stdout, provider_service_pb2.ExplainRouteResponse()
    )

    assert told == route()


def test_a_wrong_question_is_told(explain: Run, server: FakeServer) -> None:
    server.providers.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", "request.symbol: [no]"
    )

    result = explain()

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "INVALID_QUERY: request.symbol: [no]\n"


def test_a_wrong_option_is_told_without_asking_the_server(
    explain: Run, server: FakeServer
) -> None:
    result = explain("--start", "soon")

    assert result.exit_code == 2
    assert "start 'soon' is no ISO date" in result.stderr
    assert server.providers.requests == []


def test_a_tolerance_without_a_comparison_is_refused(
    explain: Run, server: FakeServer
) -> None:
    result = explain("--tolerance", "0.01")

    assert result.exit_code == 2
    assert "--tolerance is only for --consensus" in result.stderr
    assert server.providers.requests == []


def test_the_route_is_ranked_with_each_factor_of_the_score() -> None:
    lines = shown(route())

    assert [" ".join(line.split()) for line in lines[4:7]] == [
        "1. yahoo ████·· 0.75 the better score; 30m from 15m; $0.01",
        "success █████· 0.90 50% 9 of 10 calls",
        "latency ████·· 0.60 50% half within 0.2 s",
    ]


def test_those_left_out_are_told_with_why_and_until_when() -> None:
    lines = shown(route())

    assert lines[8] == "Left out"
    assert [" ".join(line.split()) for line in lines[-2:]] == [
        "alpha_vantage 2025-01-06 05:00:00 UTC (5h) QUOTA_EXHAUSTED: 25 a day",
        "iex - CAPABILITY_MISSING: it has ended",
    ]


def test_a_candidate_of_which_little_is_known_has_a_row() -> None:
    told = provider_service_pb2.ExplainRouteResponse(
        candidates=[provider_pb2.RouteCandidate(provider="yahoo")]
    )

    lines = shown(told)

    assert lines[-1].split() == ["1.", "yahoo"]
    assert "Left out" not in lines


def test_a_route_of_nobody_is_said_to_be_none() -> None:
    told = route()
    del told.candidates[0]

    assert shown(told)[2] == "nobody would be asked"
