"""BenchmarkProviders on a real port, before a comparison that is what a test says."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import (
    bar_pb2,
    benchmark_pb2,
    ingestion_service_pb2,
    provenance_pb2,
    provider_service_pb2,
    provider_service_pb2_grpc,
    source_policy_pb2,
)

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.result import Outcome
from ingestion_server.ports.benchmarking import (
    Agreement,
    BenchmarkAnswer,
    BenchmarkReport,
    VendorBenchmark,
)
from ingestion_server.service.admission import Door
from tests.clocks import NOW_NS, SECOND_NS
from tests.service.benchmarkers import FakeBenchmarker
from tests.service.directories import FakeDirectory
from tests.service.refusals import fields, reason, refused

Stub = provider_service_pb2_grpc.ProviderServiceStub
Ask = provider_service_pb2.BenchmarkProvidersRequest
Fetch = ingestion_service_pb2.FetchRequest
Outcomes = provenance_pb2.AttemptOutcome
AAPL = Fetch(symbol="AAPL")
POLICY = source_policy_pb2.SourcePolicy(providers=["yahoo"])


def answer(number: int, **more: object) -> BenchmarkAnswer:
    """Make an answer of a round of its own."""
    served = {"outcome": Outcome.SERVED, "bars": 10, "came": 9, "due": 10}
    return BenchmarkAnswer(question=0, round=number, **(served | more))


async def test_everything_that_is_compared_reaches_the_wire(
    vendors: Stub, benchmarker: FakeBenchmarker
) -> None:
    failed = answer(
        1, outcome=Outcome.FAILED, reason="X: no", calls=3, bars=0, came=0, due=10
    )
    benchmarker.report = BenchmarkReport(
        vendors=[
            VendorBenchmark(
                provider="alpha_vantage",
                answers=[
                    answer(
                        0,
                        latency_seconds=0.25,
                        calls=2,
                        cost_usd=Decimal("0.5"),
                        quarantined=1,
                    ),
                    failed,
                ],
            ),
            VendorBenchmark(provider="yahoo", skipped_reason="QUOTA_EXHAUSTED: no"),
        ],
        agreements=[
            Agreement(
                provider="alpha_vantage",
                other="yahoo",
                compared=9,
                agreeing=8,
                unmatched=1,
                worst=0.5,
                worst_symbol="AAPL",
                worst_ns=SECOND_NS,
            ),
            Agreement(provider="alpha_vantage", other="iex"),
        ],
        as_of_ns=NOW_NS,
    )

    told = await vendors.BenchmarkProviders(Ask())

    quarter = Duration(nanos=250_000_000)
    assert told == provider_service_pb2.BenchmarkProvidersResponse(
        providers=[
            benchmark_pb2.ProviderBenchmark(
                provider="alpha_vantage",
                asked=2,
                answered=1,
                calls=5,
                cost_usd=0.5,
                p50=quarter,
                p95=quarter,
                completeness=0.45,
                quarantined=1,
                answers=[
                    benchmark_pb2.BenchmarkAnswer(
                        outcome=Outcomes.ATTEMPT_OUTCOME_SERVED,
                        latency=quarter,
                        bars=10,
                        completeness=0.9,
                    ),
                    benchmark_pb2.BenchmarkAnswer(
                        round=1,
                        outcome=Outcomes.ATTEMPT_OUTCOME_FAILED,
                        reason="X: no",
                        latency=Duration(),
                        completeness=0,
                    ),
                ],
            ),
            benchmark_pb2.ProviderBenchmark(
                provider="yahoo", skipped_reason="QUOTA_EXHAUSTED: no"
            ),
        ],
        agreements=[
            benchmark_pb2.ProviderAgreement(
                provider="alpha_vantage",
                other="yahoo",
                compared=9,
                agreeing=8,
                unmatched=1,
                worst=0.5,
                worst_symbol="AAPL",
                worst_time=Timestamp(seconds=1),
            ),
            benchmark_pb2.ProviderAgreement(provider="alpha_vantage", other="iex"),
        ],
        as_of=Timestamp(seconds=NOW_NS // SECOND_NS),
    )


@pytest.mark.parametrize(
    ("seconds", "share", "expected"),
    [
        ([3, 1, 2], 0.5, 2),
        ([4, 1, 3, 2], 0.5, 2),
        (range(1, 21), 0.95, 19),
        (range(1, 20), 0.95, 19),
        ([5], 0.95, 5),
    ],
)
def test_a_share_of_the_answers_came_within_a_time(
    seconds: list[int], share: float, expected: int
) -> None:
    vendor = VendorBenchmark(
        provider="yahoo",
        answers=[
            *(answer(0, latency_seconds=float(each)) for each in seconds),
            # Who says no at once is not quick.
            answer(0, outcome=Outcome.FAILED, bars=0, latency_seconds=0.1),
        ],
    )

    assert vendor.latency_seconds(share) == expected


async def test_nothing_said_means_the_usual_questions_to_all(
    vendors: Stub, benchmarker: FakeBenchmarker, directory: FakeDirectory
) -> None:
    directory.change("yahoo", enabled=True)

    await vendors.BenchmarkProviders(Ask())

    ((asked, seconds),) = benchmarker.asked
    assert asked.questions == tuple(
        BarQuery(instrument(symbol), Interval.DAY_1, limit=20)
        for symbol in ("AAPL", "MSFT", "EUR/USD")
    )
    assert list(asked.providers) == ["alpha_vantage", "yahoo"]
    assert (asked.rounds, asked.tolerance, seconds) == (1, 1e-6, 120.0)


async def test_everything_said_reaches_the_comparison(
    vendors: Stub, benchmarker: FakeBenchmarker
) -> None:
    question = Fetch(symbol="msft", interval=bar_pb2.INTERVAL_1_HOUR, limit=5)
    request = Ask(
        questions=[question, AAPL], providers=["yahoo"], rounds=10, tolerance=0
    )

    await vendors.BenchmarkProviders(request, timeout=10)

    ((asked, seconds),) = benchmarker.asked
    assert asked.questions[0] == BarQuery(instrument("MSFT"), Interval.HOUR_1, limit=5)
    assert len(asked.questions) == 2
    assert list(asked.providers) == ["yahoo"]
    assert (asked.rounds, asked.tolerance) == (10, 0)
    # The answer has to arrive, too.
    assert 5 < seconds < 10


async def test_vendors_keep_their_order_and_who_is_off_must_be_named(
    vendors: Stub, benchmarker: FakeBenchmarker, directory: FakeDirectory
) -> None:
    directory.change("yahoo", enabled=False)

    await vendors.BenchmarkProviders(Ask())
    await vendors.BenchmarkProviders(Ask(providers=["yahoo", "alpha_vantage"]))

    assert [list(asked.providers) for asked, _ in benchmarker.asked] == [
        ["alpha_vantage"],
        ["alpha_vantage", "yahoo"],
    ]


async def test_a_policy_that_says_nothing_is_empty(
    vendors: Stub, benchmarker: FakeBenchmarker
) -> None:
    question = Fetch(symbol="AAPL", source_policy=source_policy_pb2.SourcePolicy())

    await vendors.BenchmarkProviders(Ask(questions=[question]))

    assert len(benchmarker.asked) == 1


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (Ask(questions=[AAPL] * 21), {"questions"}),
        (Ask(questions=[AAPL, Fetch()]), {"questions[1].symbol"}),
        (
            Ask(questions=[Fetch(symbol="AAPL", limit=-1, source_policy=POLICY)]),
            {"questions[0].limit", "questions[0].source_policy"},
        ),
        (Ask(providers=["yahoo", "nobody"]), {"providers"}),
        (Ask(providers=[""]), {"providers"}),
        (Ask(rounds=-1), {"rounds"}),
        (Ask(rounds=11), {"rounds"}),
        (Ask(tolerance=1), {"tolerance"}),
        (Ask(tolerance=-0.1), {"tolerance"}),
        (Ask(tolerance=float("nan")), {"tolerance"}),
        (
            Ask(questions=[Fetch()], rounds=11, tolerance=1, providers=["nobody"]),
            {"questions[0].symbol", "rounds", "tolerance", "providers"},
        ),
    ],
)
async def test_every_wrong_field_is_named(
    vendors: Stub, benchmarker: FakeBenchmarker, request_: Ask, wrong: set[str]
) -> None:
    error = await refused(vendors.BenchmarkProviders(request_))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == "INVALID_QUERY"
    assert {field for field, _ in fields(error)} == wrong
    assert benchmarker.asked == []


async def test_giving_up_ends_the_comparison(
    vendors: Stub, benchmarker: FakeBenchmarker
) -> None:
    benchmarker.held = asyncio.Event()
    call = vendors.BenchmarkProviders(Ask())
    await asyncio.wait_for(benchmarker.begun.wait(), 10)
    call.cancel()

    await asyncio.wait_for(benchmarker.ended.wait(), 10)


async def test_a_server_that_stops_does_not_wait_for_it(
    vendors: Stub, benchmarker: FakeBenchmarker, door: Door
) -> None:
    benchmarker.held = asyncio.Event()
    failing = asyncio.create_task(refused(vendors.BenchmarkProviders(Ask())))
    await asyncio.wait_for(benchmarker.begun.wait(), 10)
    door.close()

    assert reason(await asyncio.wait_for(failing, 10)) == "SERVER_STOPPING"
    assert benchmarker.ended.is_set()


async def test_what_the_comparison_finds_wrong_is_told(
    vendors: Stub, benchmarker: FakeBenchmarker
) -> None:
    async def run(*_: object, **__: object) -> BenchmarkReport:
        raise InvalidQueryError([Violation("questions[0].limit", "too many")])

    benchmarker.run = run  # type: ignore[method-assign]

    error = await refused(vendors.BenchmarkProviders(Ask()))

    assert [field for field, _ in fields(error)] == ["questions[0].limit"]
