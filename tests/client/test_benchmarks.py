"""Comparisons of vendors over both clients, and as users hold them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provider_service_pb2,
)

from ingestion_server.client import (
    BenchmarkAnswer,
    CallerThrottledError,
    Client,
    InvalidOptionError,
    ProviderAgreement,
    ProviderBenchmark,
    SyncClient,
)
from ingestion_server.client.benchmarks import benchmark_from
from ingestion_server.client.provider_request import benchmark_request
from tests.client.fakes import FakeServer
from tests.client.telling import FIRST, Refusal
from tests.client.vendors import benchmark


async def test_both_clients_tell_the_same(server: FakeServer) -> None:
    def blocking() -> object:
        with SyncClient(server.target) as client:
            return client.benchmark(
                ["AAPL", "MSFT"], query={"limit": 5}, providers="yahoo", rounds=2
            )

    async with Client(server.target) as client:
        told = await client.benchmark(
            ["AAPL", "MSFT"], query={"limit": 5}, providers="yahoo", rounds=2
        )

    assert told == await asyncio.to_thread(blocking) == benchmark_from(benchmark())
    request, other = server.providers.requests
    assert request == other
    assert [each.symbol for each in request.questions] == ["AAPL", "MSFT"]
    assert (list(request.providers), request.rounds) == (["yahoo"], 2)


def test_a_comparison_is_told_with_everything() -> None:
    told = benchmark_from(benchmark())

    yahoo, finnhub, alpha_vantage = told.providers
    assert yahoo == ProviderBenchmark(
        provider="yahoo",
        skipped_reason="",
        asked=2,
        answered=2,
        calls=2,
        cost_usd=0.0,
        p50=timedelta(milliseconds=25),
        p95=timedelta(seconds=1.5),
        completeness=0.9996,
        quarantined=1,
        answers=(
            BenchmarkAnswer(
                0, 0, "SERVED", "", timedelta(milliseconds=25), 20, completeness=1.0
            ),
            BenchmarkAnswer(
                1,
                0,
                "SERVED",
                "PARTIAL: 1 of 20 bars are still missing",
                timedelta(seconds=1.5),
                19,
                completeness=0.95,
            ),
        ),
    )
    assert (finnhub.p50, finnhub.p95, finnhub.completeness) == (None, None, None)
    assert finnhub.answers[0].completeness is None
    assert alpha_vantage.skipped_reason.startswith("QUOTA_EXHAUSTED")
    assert told.agreements == (
        ProviderAgreement("yahoo", "finnhub", 39, 38, 1, 0.000484, "MSFT", FIRST),
    )
    assert told.as_of == FIRST


def test_json_is_the_answer_of_the_contract() -> None:
    text = benchmark_from(benchmark()).to_json(indent=None)

    parsed = json_format.Parse(text, provider_service_pb2.BenchmarkProvidersResponse())
    assert parsed == benchmark()
    assert "\n" not in text


def test_questions_name_no_vendors() -> None:
    request = benchmark_request(
        "AAPL", query={"interval": "1h", "limit": 5}, tolerance=0.01
    )

    assert request == provider_service_pb2.BenchmarkProvidersRequest(
        questions=[
            ingestion_service_pb2.FetchRequest(
                symbol="AAPL",
                interval=bar_pb2.INTERVAL_1_HOUR,
                limit=5,
                adjustment=bar_pb2.ADJUSTMENT_SPLIT,
                session=ingestion_service_pb2.SESSION_REGULAR,
                layout=ingestion_service_pb2.LAYOUT_COLUMNS,
            )
        ],
        rounds=1,
        tolerance=0.01,
    )


def test_without_symbols_the_server_chooses_the_questions() -> None:
    request = benchmark_request(())

    assert request == provider_service_pb2.BenchmarkProvidersRequest(rounds=1)


@pytest.mark.parametrize(
    ("symbols", "options", "said"),
    [
        ("AAPL", {"query": {"providers": "yahoo"}}, "providers cannot be said"),
        ("AAPL", {"query": {"mode": "any"}}, "mode cannot be said"),
        ("AAPL", {"query": {"max_cost_usd": 1.0}}, "max_cost_usd cannot be said"),
        ("AAPL", {"query": {"interval": "7m"}}, "interval"),
        ((), {"query": {"limit": 5}}, "needs symbols"),
        ((), {"rounds": 2**40}, "no number of rounds"),
    ],
)
async def test_wrong_options_are_told_without_asking(
    server: FakeServer, symbols: Any, options: Any, said: str
) -> None:
    async with Client(server.target) as client:
        with pytest.raises(InvalidOptionError, match=said):
            await client.benchmark(symbols, **options)

    assert server.providers.requests == []


async def test_a_comparison_is_not_asked_for_again_by_itself(
    server: FakeServer,
) -> None:
    server.providers.refusal = Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_THROTTLED"
    )

    async with Client(server.target) as client:
        with pytest.raises(CallerThrottledError):
            await client.benchmark()

    assert len(server.providers.requests) == 1
