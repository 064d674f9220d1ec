"""How vendors compare, from the house to the wire."""

from __future__ import annotations

from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import benchmark_pb2, provider_service_pb2

from ingestion_server.ports.benchmarking import (
    Agreement,
    BenchmarkAnswer,
    BenchmarkReport,
    VendorBenchmark,
)
from ingestion_server.service.moments import duration, maybe_timestamp, timestamp
from ingestion_server.service.vocabulary import OUTCOME_CODES


def benchmark_response_of(
    report: BenchmarkReport,
) -> provider_service_pb2.BenchmarkProvidersResponse:
    """Return how vendors compare."""
    return provider_service_pb2.BenchmarkProvidersResponse(
        providers=map(_vendor, report.vendors),
        agreements=map(_agreement, report.agreements),
        as_of=timestamp(report.as_of_ns),
    )


def _vendor(vendor: VendorBenchmark) -> benchmark_pb2.ProviderBenchmark:
    answers = vendor.answers
    return benchmark_pb2.ProviderBenchmark(
        provider=vendor.provider,
        skipped_reason=vendor.skipped_reason,
        asked=vendor.asked,
        answered=vendor.answered,
        calls=sum(each.calls for each in answers),
        cost_usd=float(sum((each.cost_usd for each in answers), start=Decimal(0))),
        p50=_time_to_answer(vendor, 0.5),
        p95=_time_to_answer(vendor, 0.95),
        completeness=vendor.completeness,
        quarantined=sum(each.quarantined for each in answers),
        answers=map(_answer, answers),
    )


def _time_to_answer(vendor: VendorBenchmark, share: float) -> Duration | None:
    seconds = vendor.latency_seconds(share)
    return None if seconds is None else duration(seconds)


def _answer(answer: BenchmarkAnswer) -> benchmark_pb2.BenchmarkAnswer:
    return benchmark_pb2.BenchmarkAnswer(
        question=answer.question,
        round=answer.round,
        outcome=OUTCOME_CODES[answer.outcome],
        reason=answer.reason,
        latency=duration(answer.latency_seconds),
        bars=answer.bars,
        completeness=answer.completeness,
    )


def _agreement(agreement: Agreement) -> benchmark_pb2.ProviderAgreement:
    return benchmark_pb2.ProviderAgreement(
        provider=agreement.provider,
        other=agreement.other,
        compared=agreement.compared,
        agreeing=agreement.agreeing,
        unmatched=agreement.unmatched,
        worst=agreement.worst,
        worst_symbol=agreement.worst_symbol,
        worst_time=maybe_timestamp(agreement.worst_ns),
    )
