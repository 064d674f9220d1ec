"""The options of `stream` reach the server, and wrong ones are refused."""

from __future__ import annotations

import subprocess
import sys

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import ingestion_service_pb2

from tests.cli.conftest import Run
from tests.client.fakes import FakeServer, Refusal


@pytest.fixture
def stream(run: Run, server: FakeServer) -> Run:
    """Run the command `stream` against a server that refuses it."""
    server.service.live.scripts = [
        [Refusal(grpc.StatusCode.NOT_FOUND, "SYMBOL_UNKNOWN", "nobody knows it")]
    ]

    def invoke(*arguments: str):
        return run("stream", *arguments, "--target", server.target)

    return invoke


def test_by_default_the_trades_of_all_vendors_are_asked_for(
    stream: Run, server: FakeServer
) -> None:
    shown = stream("AAPL", "EUR/USD")

    assert (shown.exit_code, shown.stdout) == (3, "")
    assert shown.stderr == "SYMBOL_UNKNOWN: nobody knows it\n"
    (request,) = server.service.live.requests
    assert request == json_format.ParseDict(
        {
            "symbols": ["AAPL", "EUR/USD"],
            "kinds": ["TICK_KIND_TRADES"],
            "sourcePolicy": {"mode": "MODE_ANY"},
            "slowConsumer": "SLOW_CONSUMER_CONFLATE",
            "heartbeatInterval": "5s",
            "interval": "INTERVAL_1_MINUTE",
            "session": "SESSION_EXTENDED",
        },
        ingestion_service_pb2.StreamQuotesRequest(),
    )


def test_every_option_reaches_the_server(stream: Run, server: FakeServer) -> None:
    stream(
        *("TSLA", "--kinds", "bars, quotes", "--interval", "5m"),
        *("--start", "2025-01-06", "--session", "regular", "--exchange", "XLON"),
        *("--asset-class", "equity", "--provider", "finnhub", "-p", "yahoo"),
        *("--slow", "drop_oldest"),
    )

    (request,) = server.service.live.requests
    assert request == json_format.ParseDict(
        {
            "symbols": ["TSLA"],
            "kinds": ["TICK_KIND_BARS", "TICK_KIND_QUOTES"],
            "sourcePolicy": {
                "mode": "MODE_ORDERED",
                "providers": ["finnhub", "yahoo"],
            },
            "slowConsumer": "SLOW_CONSUMER_DROP_OLDEST",
            "heartbeatInterval": "5s",
            "interval": "INTERVAL_5_MINUTES",
            "session": "SESSION_REGULAR",
            "start": "2025-01-06T00:00:00Z",
            "exchange": "XLON",
            "assetClass": "ASSET_CLASS_EQUITY",
        },
        ingestion_service_pb2.StreamQuotesRequest(),
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "SYMBOL"),
        (["AAPL", "--kinds", "prices"], "'prices' is none of: trades, quotes, bars"),
        (["AAPL", "--kinds", ","], "--kinds"),
        (["AAPL", "--start", "2025-01-06"], "--start is only for --kinds bars"),
        (["AAPL", "--start", "soon", "-k", "bars"], "start 'soon' is no ISO date"),
        (["AAPL", "--interval", "1d"], "--interval"),
        (["AAPL", "--count", "0"], "--count"),
        (["AAPL", "--seconds", "0"], "--seconds"),
    ],
)
def test_wrong_usage_is_told_without_asking_the_server(
    stream: Run, server: FakeServer, arguments: list[str], told: str
) -> None:
    shown = stream(*arguments)

    assert shown.exit_code == 2
    assert told in shown.stderr
    assert server.service.live.requests == []


def test_help_explains_the_picture_and_the_exit_status(run: Run) -> None:
    shown = run("stream", "--help")

    assert shown.exit_code == 0
    for text in ("redrawn in place", "Ctrl-C", "gaps", "--count", "Exit status"):
        assert text in shown.stdout


def test_the_worker_is_not_needed_for_help() -> None:
    program = (
        "import sys; import ingestion_server.cli.stream; "
        "print('ingestion_server.cli.streaming' in sys.modules)"
    )

    shown = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == "False"
