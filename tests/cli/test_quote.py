"""The command `quote`: a table, one document, and what its exit status means."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import ingestion_service_pb2, source_policy_pb2

from tests.cli.conftest import Run
from tests.client.fakes import FakeServer, quotes, unquoted
from tests.client.telling import Refusal


@pytest.fixture
def quote(run: Run, server: FakeServer) -> Run:
    """Run the command against the server."""

    def invoke(*arguments: str) -> object:
        return run("quote", "--target", server.target, *arguments)

    return invoke


def test_people_see_a_row_for_each_symbol(quote: Run) -> None:
    shown = quote("AAPL", "btc/usd", "NOSUCH")

    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "symbol last change bid ask from age late note" in lines
    assert "AAPL 101.5 USD +1.50% 101.25 x 3 101.5 yahoo asked 90 s 15 min" in lines
    assert "btc/usd 42000.5 finnhub live 250 ms time doubtful" in lines
    assert "NOSUCH SYMBOL_UNKNOWN" in lines
    assert "NOSUCH: it failed" in lines


def test_columns_that_say_nothing_are_left_out(quote: Run, server: FakeServer) -> None:
    del server.service.quoted.results[1:]
    server.service.quoted.results[0].ClearField("quote")
    server.service.quoted.results[0].ClearField("feed_delay")

    lines = [" ".join(line.split()) for line in quote("AAPL").stdout.splitlines()]

    assert "symbol last change from age" in lines


def test_json_is_one_document_of_the_contract(quote: Run) -> None:
    shown = quote("AAPL", "--json")

    assert shown.exit_code == 0
    read = json_format.Parse(shown.stdout, ingestion_service_pb2.GetQuotesResponse())
    assert read == quotes()


@pytest.mark.parametrize(
    ("reason", "code", "status"),
    [
        ("SYMBOL_UNKNOWN", 5, 3),
        ("ALL_PROVIDERS_FAILED", 14, 5),
        ("INVALID_QUERY", 3, 2),
    ],
)
def test_if_nothing_was_answered_the_status_is_that_of_the_first_failure(
    quote: Run, server: FakeServer, reason: str, code: int, status: int
) -> None:
    server.service.quoted = ingestion_service_pb2.GetQuotesResponse(
        results=[unquoted("A", reason, code), unquoted("B", "QUOTA_EXHAUSTED", 8)]
    )

    shown = quote("A", "B")

    assert shown.exit_code == status
    assert reason in shown.stdout
    assert "B: it failed" in shown.stdout


def test_a_refusal_is_told_beside(quote: Run, server: FakeServer) -> None:
    server.service.quoted = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")

    shown = quote("AAPL")

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "INVALID_QUERY" in shown.stderr


def test_every_option_reaches_the_server(quote: Run, server: FakeServer) -> None:
    quote(
        *["VOD", "BARC", "--exchange", "XLON", "--asset-class", "equity"],
        *["-p", "yahoo", "--max-cost", "0.5"],
    )

    (request,) = server.service.requests
    assert isinstance(request, ingestion_service_pb2.GetQuotesRequest)
    assert list(request.symbols) == ["VOD", "BARC"]
    assert request.exchange == "XLON"
    assert request.asset_class == ingestion_service_pb2.ASSET_CLASS_EQUITY
    assert request.source_policy.mode == source_policy_pb2.SourcePolicy.MODE_PINNED
    assert request.source_policy.max_cost_usd == 0.5


def test_the_help_says_what_the_columns_mean(run: Run) -> None:
    shown = " ".join(run("quote", "--help").stdout.split())

    for text in ("the last close", "by the vendor's clock", "Exit status"):
        assert text in shown
