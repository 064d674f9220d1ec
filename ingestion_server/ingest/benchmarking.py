"""The same questions to several vendors: how fast, how complete, how much agreed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations
from typing import Final, final

import msgspec
import numpy as np
import numpy.typing as npt
from typing_extensions import override

from ingestion_server.domain.bars import BarSeries, empty_series
from ingestion_server.domain.errors import (
    CallerThrottledError,
    CapabilityMissingError,
    DeadlineExceededError,
    IngestionError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
    ProviderError,
)
from ingestion_server.domain.quality import FlagKind
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.result import BarResult, Outcome
from ingestion_server.ingest.call_meter import CallMeter, Metered
from ingestion_server.ingest.entrants import Entrant, Registrar
from ingestion_server.ingest.explaining import exhausted
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.progress import reason_of
from ingestion_server.ingest.questions import MOST_BARS, Question, questions_of
from ingestion_server.ports.benchmarking import (
    Agreement,
    Benchmark,
    BenchmarkAnswer,
    Benchmarker,
    BenchmarkReport,
    VendorBenchmark,
)
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.registry.agreement import differences, settled

_RETRY_SECONDS: Final = 5.0
_LONGEST_ANSWER_SECONDS: Final = 30.0
"""What a Fetch takes at most whose caller names no deadline."""
_SHORTEST_ANSWER_SECONDS: Final = 5.0
"""What each question may take, even if some others cannot be asked then."""


class _Turn(msgspec.Struct, frozen=True):
    """Be one question to one vendor."""

    name: str
    question: int
    round: int


@dataclass(slots=True)
class _Results:
    """Gather what vendors answered."""

    answers: dict[str, list[BenchmarkAnswer]] = field(default_factory=dict)
    bars: dict[tuple[str, int], BarResult] = field(default_factory=dict)
    """The latest answer of a vendor to a question."""


@final
class Benchmarking(Benchmarker):
    """
    Ask several vendors the same questions, one after another.

    It is fair: each question goes to one vendor at a time, and each time another one
    is the first. Latency is what the vendor's calls took, retries included, from
    leaving to being read; waiting for its quota is not in it.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        registrar: Registrar,
        calendars: Calendars,
        meter: CallMeter,
        clock: Clock,
    ) -> None:
        """
        Set up.

        Args:
            fetcher: asks the vendors.
            registrar: says who takes part.
            calendars: say what should be there.
            meter: hears all calls of the fetcher's vendors.
            clock: tells the time.

        """
        self._fetcher = fetcher
        self._registrar = registrar
        self._calendars = calendars
        self._meter = meter
        self._clock = clock
        self._running = False

    @override
    async def run(
        self, benchmark: Benchmark, *, budget_seconds: float
    ) -> BenchmarkReport:
        """
        Ask the vendors, and compare how they answered.

        What was not asked in time says so. One comparison runs at a time, since two
        would measure each other.

        Raises:
            InvalidQueryError: A question cannot be asked; nobody was.
            CallerThrottledError: Vendors are being compared already.

        """
        if self._running:
            raise CallerThrottledError(
                "vendors are being compared already, and two comparisons would "
                "disturb each other",
                limit=1,
                retry_after_seconds=_RETRY_SECONDS,
            )
        self._running = True
        try:
            deadline = self._clock.monotonic() + budget_seconds
            return await self._compare(benchmark, deadline)
        finally:
            self._running = False

    async def _compare(self, benchmark: Benchmark, deadline: float) -> BenchmarkReport:
        questions = await questions_of(
            benchmark.questions,
            self._calendars,
            now_ns=self._clock.now_ns(),
            budget_seconds=deadline - self._clock.monotonic(),
        )
        entrants: dict[str, Entrant] = {}
        left_out: dict[str, ProviderError] = {}
        for name in benchmark.providers:
            found = await self._registrar.entrant(name, questions, benchmark.rounds)
            if isinstance(found, ProviderError):
                left_out[name] = found
            else:
                entrants[name] = found
        results = _Results({name: [] for name in entrants})
        turns = list(_turns(list(entrants), len(questions), benchmark.rounds))
        for asked, turn in enumerate(turns):
            left = (deadline - self._clock.monotonic()) / (len(turns) - asked)
            share = min(max(left, _SHORTEST_ANSWER_SECONDS), _LONGEST_ANSWER_SECONDS)
            answer = await self._ask(
                turn,
                entrants[turn.name],
                questions[turn.question],
                results,
                deadline=deadline,
                longest_seconds=share,
            )
            results.answers[turn.name].append(answer)
        vendors = [
            _vendor(name, left_out.get(name), results.answers.get(name, ()))
            for name in benchmark.providers
        ]
        called = [each.provider for each in vendors if not each.skipped_reason]
        return BenchmarkReport(
            vendors=vendors,
            agreements=[
                _agreement(pair, questions, results.bars, benchmark.tolerance)
                for pair in combinations(called, 2)
            ],
            as_of_ns=self._clock.now_ns(),
        )

    async def _ask(
        self,
        turn: _Turn,
        entrant: Entrant,
        question: Question,
        results: _Results,
        *,
        deadline: float,
        longest_seconds: float,
    ) -> BenchmarkAnswer:
        hindrance = await self._hindrance(turn, entrant, deadline)
        if hindrance is not None:
            return _answer(turn, Outcome.SKIPPED, reason_of(hindrance))
        left = max(deadline - self._clock.monotonic(), 0.0)
        query = msgspec.structs.replace(
            question.query,
            # Others may have used up meanwhile what the flat price pays for.
            policy=SourcePolicy(SourceMode.PINNED, (turn.name,), max_cost_usd=0.0),
        )
        with self._meter.metering() as metered:
            try:
                result = await self._fetcher.fetch(
                    query,
                    budget_seconds=min(left, longest_seconds),
                    most_bars=MOST_BARS,
                    fresh=True,
                )
            except IngestionError as error:
                return _failed(turn, question, error, metered)
        if len(result.series):
            results.bars[turn.name, turn.question] = result
        return _answered(turn, question, result, metered)

    async def _hindrance(
        self, turn: _Turn, entrant: Entrant, deadline: float
    ) -> IngestionError | None:
        """Wait for a vendor's turn; return why a question cannot be asked."""
        if deadline <= self._clock.monotonic():
            return DeadlineExceededError("no time was left for this question")
        hindrance = entrant.unable.get(turn.question) or self._registrar.shortage(
            entrant, turn.question
        )
        if hindrance is not None:
            return hindrance
        waits = await self._registrar.turn_seconds(entrant, turn.question)
        if waits >= deadline - self._clock.monotonic():
            return exhausted(turn.name, waits)
        if waits:
            await self._clock.sleep(waits)
        return None


def _turns(names: Sequence[str], questions: int, rounds: int) -> Iterator[_Turn]:
    """Yield whom to ask what; of each question, each round has another first."""
    for number in range(rounds):
        for question in range(questions):
            first = (question + number) % max(len(names), 1)
            for name in (*names[first:], *names[:first]):
                yield _Turn(name, question, number)


def _answer(turn: _Turn, outcome: Outcome, reason: str) -> BenchmarkAnswer:
    return BenchmarkAnswer(
        question=turn.question, round=turn.round, outcome=outcome, reason=reason
    )


def _failed(
    turn: _Turn, question: Question, error: IngestionError, metered: Metered
) -> BenchmarkAnswer:
    if not metered.calls:
        return _answer(turn, Outcome.SKIPPED, reason_of(error))
    reason = reason_of(error)
    if isinstance(error, PinnedProviderFailedError) and metered.complaint:
        # Nobody has pinned it but we.
        reason = f"{error.reason}: {metered.complaint}"
    silent = isinstance(error, NoDataUnexplainedError | CapabilityMissingError)
    return msgspec.structs.replace(
        _answer(turn, Outcome.NO_DATA if silent else Outcome.FAILED, reason),
        latency_seconds=metered.seconds,
        calls=metered.calls,
        cost_usd=error.cost_usd,
        due=question.due(),
    )


def _answered(
    turn: _Turn, question: Question, result: BarResult, metered: Metered
) -> BenchmarkAnswer:
    came, due = question.measured(result)
    last = result.attempts[-1]
    return BenchmarkAnswer(
        question=turn.question,
        round=turn.round,
        outcome=last.outcome,
        reason=last.reason,
        # Another request may have had the calls under way.
        latency_seconds=metered.seconds or last.latency_seconds,
        calls=metered.calls,
        cost_usd=sum((each.cost_usd for each in result.attempts), start=Decimal(0)),
        bars=len(result.series),
        came=came,
        due=due,
        quarantined=sum(f.kind is FlagKind.ROW_QUARANTINED for f in result.flags),
    )


def _vendor(
    name: str, error: ProviderError | None, answers: Sequence[BenchmarkAnswer]
) -> VendorBenchmark:
    if error is not None:
        return VendorBenchmark(provider=name, skipped_reason=reason_of(error))
    found = VendorBenchmark(provider=name, answers=answers)
    if found.asked or not answers:
        return found
    return msgspec.structs.replace(found, skipped_reason=answers[0].reason)


def _agreement(
    pair: tuple[str, str],
    questions: Sequence[Question],
    bars: Mapping[tuple[str, int], BarResult],
    tolerance: float,
) -> Agreement:
    """Compare the latest answers of two vendors."""
    name, other = pair
    found = Agreement(provider=name, other=other)
    for number, question in enumerate(questions):
        one = differences(
            *settled(
                *_bars_of(bars.get((name, number))),
                *_bars_of(bars.get((other, number))),
            ),
            tolerance=tolerance,
        )
        unmatched = len(one.unmatched_mine_ns) + len(one.unmatched_theirs_ns)
        found = msgspec.structs.replace(
            found,
            compared=found.compared + one.compared,
            agreeing=found.agreeing + one.agreeing,
            unmatched=found.unmatched + unmatched,
        )
        if one.worst is not None and (found.worst is None or one.worst > found.worst):
            found = msgspec.structs.replace(
                found,
                worst=one.worst,
                worst_symbol=question.query.instrument.symbol,
                worst_ns=one.worst_ns,
            )
    return found


def _bars_of(result: BarResult | None) -> tuple[BarSeries, npt.NDArray[np.uint8]]:
    if result is None:
        return empty_series(), np.empty(0, np.uint8)
    return result.series, result.states
