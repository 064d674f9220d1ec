"""How vendors compare that were asked the same questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marketdata.ingestion.v1 import (
    benchmark_pb2,
    provenance_pb2,
    provider_service_pb2,
)

from ingestion_server.client import wire
from ingestion_server.client.wire import maybe_moment, maybe_span, moment, span


@dataclass(frozen=True, slots=True)
class BenchmarkAnswer:
    """Tell one answer of one vendor."""

    question: int
    """Number of the question, from 0."""
    round: int
    """Number of the round, from 0."""
    outcome: str
    """``SERVED``, ``NO_DATA``, ``FAILED`` or ``SKIPPED``."""
    reason: str
    """A reason, a colon, and plain words; empty if all is well."""
    latency: timedelta
    """Time to the answer, without waiting for quota; 0 if the vendor was not called."""
    bars: int
    """Bars that came."""
    completeness: float | None
    """Which share of the bars that should exist came; None = nobody can know."""


@dataclass(frozen=True, slots=True)
class ProviderBenchmark:
    """Tell how one vendor answered."""

    provider: str
    """Id of the vendor."""
    skipped_reason: str
    """Why it was not asked at all; empty if it was."""
    asked: int
    """Questions asked, rounds included."""
    answered: int
    """Questions answered with bars."""
    calls: int
    """Calls that left, retries included."""
    cost_usd: float
    """Price of the calls, in US dollars at the margin."""
    p50: timedelta | None
    """Median time to an answer; None if there was none."""
    p95: timedelta | None
    """Time within which 95 % of the answers came; None if there was none."""
    completeness: float | None
    """Which share of the bars that should exist came; None = nobody can know."""
    quarantined: int
    """Rows that contradicted themselves and were left out."""
    answers: tuple[BenchmarkAnswer, ...]
    """Each answer, in the order in which the questions were asked."""


@dataclass(frozen=True, slots=True)
class ProviderAgreement:
    """Tell how far two vendors agree about the prices of the same bars."""

    provider: str
    """Id of one vendor."""
    other: str
    """Id of the other one."""
    compared: int
    """Final bars that both gave."""
    agreeing: int
    """Those whose four prices are all within the tolerance."""
    unmatched: int
    """Bars that only one of them gave."""
    worst: float | None
    """The largest distance of two prices, relative to the larger; None = none is."""
    worst_symbol: str
    """Symbol of the bar with the largest distance."""
    worst_time: datetime | None
    """Open time of the bar with the largest distance."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Hold how vendors compare."""

    providers: tuple[ProviderBenchmark, ...]
    """The vendors, in the order in which they are usually asked."""
    agreements: tuple[ProviderAgreement, ...]
    """How far each two of them agree."""
    as_of: datetime
    """When the last question was answered, by the server's clock."""
    _answer: provider_service_pb2.BenchmarkProvidersResponse = field(
        repr=False, compare=False
    )
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the BenchmarkProvidersResponse in JSON; indent None = a line."""
        return wire.json(self._answer, indent)


def benchmark_from(
    answer: provider_service_pb2.BenchmarkProvidersResponse,
) -> Benchmark:
    """Read how vendors compare."""
    return Benchmark(
        providers=tuple(map(_provider, answer.providers)),
        agreements=tuple(map(_agreement, answer.agreements)),
        as_of=moment(answer.as_of),
        _answer=answer,
    )


def _provider(told: benchmark_pb2.ProviderBenchmark) -> ProviderBenchmark:
    return ProviderBenchmark(
        provider=told.provider,
        skipped_reason=told.skipped_reason,
        asked=told.asked,
        answered=told.answered,
        calls=told.calls,
        cost_usd=told.cost_usd,
        p50=maybe_span(told, "p50"),
        p95=maybe_span(told, "p95"),
        completeness=told.completeness if told.HasField("completeness") else None,
        quarantined=told.quarantined,
        answers=tuple(map(_answer, told.answers)),
    )


def _answer(told: benchmark_pb2.BenchmarkAnswer) -> BenchmarkAnswer:
    outcomes = provenance_pb2.AttemptOutcome.items()
    return BenchmarkAnswer(
        question=told.question,
        round=told.round,
        outcome=wire.name(outcomes, told.outcome, "ATTEMPT_OUTCOME_"),
        reason=told.reason,
        latency=span(told.latency),
        bars=told.bars,
        completeness=told.completeness if told.HasField("completeness") else None,
    )


def _agreement(told: benchmark_pb2.ProviderAgreement) -> ProviderAgreement:
    return ProviderAgreement(
        provider=told.provider,
        other=told.other,
        compared=told.compared,
        agreeing=told.agreeing,
        unmatched=told.unmatched,
        worst=told.worst if told.HasField("worst") else None,
        worst_symbol=told.worst_symbol,
        worst_time=maybe_moment(told, "worst_time"),
    )
