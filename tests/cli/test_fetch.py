"""The options of `fetch` reach the server, and wrong ones are refused."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from marketdata.ingestion.v1 import ingestion_service_pb2, source_policy_pb2

from ingestion_server.cli.fetch import fetch as command
from ingestion_server.client import Query, vocabulary
from ingestion_server.client.request import fetch_request
from tests.cli.conftest import Run
from tests.client.fakes import FakeServer


def test_every_option_reaches_the_server(fetch: Run, server: FakeServer) -> None:
    result = fetch(
        *["-i", "1h", "--start", "2025-01-06", "--end", "2025-01-07T12:00:00Z"],
        *["--limit", "5"],
        *["--adjustment", "raw", "--session", "extended", "--exchange", "XLON"],
        *["--asset-class", "equity", "-p", "yahoo", "-p", "finnhub", "--no-partial"],
        *["--max-cost", "0.05", "--consensus", "--tolerance", "0.01"],
        *["--max-staleness", "30"],
    )

    assert result.exit_code == 0
    assert server.service.requests == [
        fetch_request(
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


def test_one_provider_is_pinned(fetch: Run, server: FakeServer) -> None:
    fetch("--provider", "yahoo")

    (request,) = server.service.requests
    assert isinstance(request, ingestion_service_pb2.FetchRequest)
    assert request.source_policy.mode == source_policy_pb2.SourcePolicy.MODE_PINNED


def test_several_providers_are_asked_in_order(fetch: Run, server: FakeServer) -> None:
    fetch("-p", "yahoo", "-p", "finnhub")

    (request,) = server.service.requests
    assert request == fetch_request(
        "AAPL", Query(providers=["yahoo", "finnhub"], mode="ordered")
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("interval", vocabulary.INTERVALS),
        ("adjustment", vocabulary.ADJUSTMENTS),
        ("session", vocabulary.SESSIONS),
        ("asset_class", vocabulary.ASSET_CLASSES),
    ],
)
def test_the_choices_are_the_client_s(option: str, words: dict[str, int]) -> None:
    hint = get_type_hints(command)[option]

    choices = get_args(hint) if option != "asset_class" else get_args(get_args(hint)[0])

    assert list(choices) == list(words)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--interval", "2d"], "1mo"),
        (["--start", "soon"], "start 'soon' is no ISO date or time"),
        (["--start", "2025-01-06T10:00"], "has no time zone"),
        (["--json", "--csv"], "exclude each other"),
        (["--limit", "-1"], "--limit"),
        (["--timeout", "0"], "--timeout"),
        (["--max-cost", "-1"], "--max-cost"),
        (["--max-staleness", "-1"], "--max-staleness"),
        (["--max-staleness", "inf"], "max_staleness_seconds inf is no length of time"),
        (["--tolerance", "0.01"], "--tolerance is only for --consensus"),
        (["--consensus", "--tolerance", "-1"], "--tolerance"),
    ],
)
def test_wrong_usage_is_told_without_asking_the_server(
    fetch: Run, server: FakeServer, arguments: list[str], complaint: str
) -> None:
    result = fetch(*arguments)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stdout == ""
    assert server.service.requests == []
