"""`benchmark` asks for a comparison of vendors, and shows it."""

from __future__ import annotations

import io
from collections.abc import Callable

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import provider_service_pb2
from rich.console import Console

from ingestion_server.cli import benchmark_table
from ingestion_server.cli.frame import Frame
from ingestion_server.client.benchmarks import benchmark_from
from ingestion_server.client.provider_request import benchmark_request
from tests.cli.conftest import Run
from tests.client.fakes import FakeServer
from tests.client.telling import Refusal
from tests.client.vendors import benchmark as told

Response = provider_service_pb2.BenchmarkProvidersResponse


@pytest.fixture
def benchmark(run: Run, server: FakeServer) -> Run:
    """Run the command `benchmark` against the server."""

    def invoke(*arguments: str):
        return run("benchmark", "--target", server.target, *arguments)

    return invoke


def shown(answer: Response, width: int = 100) -> list[str]:
    """Print a comparison of two questions, with each blank only once."""
    file = io.StringIO()
    Console(file=file, width=width).print(
        benchmark_table.drawn(
            ["AAPL", "MSFT"], benchmark_from(answer), Frame(width=width)
        )
    )
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def test_the_usual_questions_are_asked_without_arguments(
    benchmark: Run, server: FakeServer
) -> None:
    result = benchmark()

    assert (result.exit_code, result.stderr) == (0, "")
    assert server.providers.requests == [
        benchmark_request(
            ["AAPL", "MSFT", "EUR/USD"], query={"interval": "1d", "limit": 20}
        )
    ]


def test_every_option_reaches_the_server(benchmark: Run, server: FakeServer) -> None:
    result = benchmark(
        *["BTC/USD", "ETH/USD", "-i", "1h", "-n", "50", "--rounds", "5"],
        *["-p", "yahoo", "--provider", "alpha_vantage", "--tolerance", "0.01"],
    )

    assert (result.exit_code, result.stderr) == (0, "")
    assert server.providers.requests == [
        benchmark_request(
            ["BTC/USD", "ETH/USD"],
            query={"interval": "1h", "limit": 50},
            providers=["yahoo", "alpha_vantage"],
            rounds=5,
            tolerance=0.01,
        )
    ]


def test_people_see_the_comparison(benchmark: Run) -> None:
    assert (
        "Benchmark of AAPL, MSFT at 2025-01-06 00:00:00 UTC"
        in benchmark("AAPL", "MSFT").stdout
    )


def test_json_is_the_answer_of_the_contract_and_nothing_else(benchmark: Run) -> None:
    result = benchmark("--json")

    assert json_format.Parse(result.stdout, Response()) == told()
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_that_nobody_answered_is_a_failure(
    benchmark: Run, server: FakeServer, arguments: tuple[str, ...]
) -> None:
    del server.providers.benchmark.providers[0]

    assert benchmark(*arguments).exit_code == 5


def test_a_refusal_is_told(benchmark: Run, server: FakeServer) -> None:
    server.providers.refusal = Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_THROTTLED", "compared already"
    )

    result = benchmark()

    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == "CALLER_THROTTLED: compared already\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rounds", "11"),
        ("--rounds", "0"),
        ("--limit", "5001"),
        ("--interval", "7m"),
        ("--tolerance", "-1"),
    ],
)
def test_wrong_options_are_told_without_asking_the_server(
    benchmark: Run, server: FakeServer, arguments: tuple[str, ...]
) -> None:
    result = benchmark(*arguments)

    assert result.exit_code == 2
    assert arguments[0] in result.stderr
    assert server.providers.requests == []


def test_each_vendor_has_a_row() -> None:
    lines = shown(told())

    assert lines[2] == "provider answered p50 p95 complete calls cost"
    assert lines[4:7] == [
        # Rounded up, nothing would be missing.
        "yahoo 2 of 2 25 ms 1.5 s 99.9 % 2 $0.00",
        "finnhub 0 of 2 - - ? 3 $0.02",
        "alpha_vantage not asked",
    ]


def test_what_went_wrong_is_told_once_with_its_questions() -> None:
    lines = shown(told())

    assert lines[8:11] == [
        "yahoo 1 row contradicted itself and was left out",
        "finnhub AAPL, MSFT PINNED_PROVIDER_FAILED: HTTP 500",
        "alpha_vantage QUOTA_EXHAUSTED: 13 of 25 calls are left",
    ]


def test_agreement_is_told_with_the_worst_bar() -> None:
    lines = shown(told())

    start = lines.index("Agreement")
    assert lines[start + 2 : start + 5 : 2] == [
        "providers agree worst alone",
        "yahoo, finnhub 38 of 39 bars 0.048 % (MSFT 2025-01-06) 1",
    ]


def changed(change: Callable[[Response], object]) -> list[str]:
    """Print a comparison after a change."""
    answer = told()
    change(answer)
    return shown(answer)


def test_a_vendor_that_disagrees_by_nothing_is_equal() -> None:
    def equal(answer: Response) -> None:
        answer.agreements[0].worst = 0

    assert "yahoo, finnhub 38 of 39 bars equal 1" in changed(equal)


def test_vendors_without_a_bar_in_common_have_no_worst_one() -> None:
    def nothing(answer: Response) -> None:
        answer.agreements[0].Clear()

    assert changed(nothing)[-4] == ", 0 of 0 bars - 0"


def test_a_single_vendor_is_compared_with_nobody() -> None:
    def alone(answer: Response) -> None:
        del answer.providers[1:], answer.agreements[:]

    assert "Agreement" not in changed(alone)


def test_that_there_is_no_vendor_is_said() -> None:
    assert "no vendor is switched on" in changed(Response.Clear)[2]


def test_it_fits_a_narrow_terminal() -> None:
    assert all(len(line) <= 60 for line in shown(told(), width=60))
