"""Requests to compare vendors, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from marketdata.ingestion.v1 import ingestion_service_pb2, provider_service_pb2

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import AGREEMENT, BarQuery
from ingestion_server.ports.benchmarking import Benchmark
from ingestion_server.ports.routing import ProviderReport
from ingestion_server.service.decoding import query_of
from ingestion_server.service.provider_decoding import fields_within
from ingestion_server.service.vendor_decoding import Vendors, refuse

_MOST_QUESTIONS: Final = 20
_MOST_ROUNDS: Final = 10
_USUAL_BARS: Final = 20
_USUAL_QUESTIONS: Final = tuple(
    BarQuery(instrument(symbol), Interval.DAY_1, limit=_USUAL_BARS)
    for symbol in ("AAPL", "MSFT", "EUR/USD")
)


def benchmark_of(
    request: provider_service_pb2.BenchmarkProvidersRequest,
    reports: Sequence[ProviderReport],
) -> Benchmark:
    """
    Return what is to be compared.

    Vendors are those that the request names, or all that are switched on, in the
    order of ``reports``.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    known = Vendors([report.name for report in reports])
    chosen = known.chosen(request.providers, wrong)
    questions = _questions(request.questions, wrong)
    if not 0 <= request.rounds <= _MOST_ROUNDS:
        told = f"{request.rounds} is not from 1 to {_MOST_ROUNDS}; 0 means 1"
        wrong.append(Violation("rounds", told))
    tolerance = request.tolerance if request.HasField("tolerance") else AGREEMENT
    if not 0 <= tolerance < 1:
        told = f"{tolerance:g} is not from 0 to below 1; it is relative to the larger "
        wrong.append(Violation("tolerance", told + "price"))
    refuse(wrong)
    return Benchmark(
        questions=questions or _USUAL_QUESTIONS,
        providers=[
            report.name
            for report in reports
            if report.name in chosen and (report.enabled or request.providers)
        ],
        rounds=request.rounds or 1,
        tolerance=tolerance,
    )


def _questions(
    requests: Sequence[ingestion_service_pb2.FetchRequest], wrong: list[Violation]
) -> list[BarQuery]:
    if len(requests) > _MOST_QUESTIONS:
        told = f"has {len(requests)} entries; one call takes {_MOST_QUESTIONS}"
        wrong.append(Violation("questions", told))
    questions = []
    for place, request in enumerate(requests[:_MOST_QUESTIONS]):
        field = f"questions[{place}]"
        if request.source_policy.ByteSize():
            told = "must be empty: each vendor is asked the same"
            wrong.append(Violation(f"{field}.source_policy", told))
        try:
            with fields_within(field):
                questions.append(query_of(request))
        except InvalidQueryError as error:
            wrong.extend(error.violations)
    return questions
