"""The vendor's own bar, once it is final."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    InvalidQueryError,
    Violation,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS, Interval
from ingestion_server.domain.query import BarQuery, Priority, SourceMode
from ingestion_server.domain.result import BarResult, Completeness, Source
from ingestion_server.domain.ticks import LiveBar
from ingestion_server.ingest.live.confirming import BarConfirmer
from tests.builders import bars, ns
from tests.clocks import ManualClock
from tests.ingest.live.ticks import TEN
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import Market, Shop

AAPL = instrument("AAPL")
REGULAR = TradingHours.REGULAR
SETTLED = TEN + 16 * MINUTE_NS
"""When the bar of ten o'clock is over and a vendor has had time to settle."""


def result(state: BarState = BarState.FINAL, *opens_ns: int) -> BarResult:
    """Answer with one bar, or with some."""
    series = bars(opens_ns or [TEN])
    return BarResult(
        instrument=AAPL,
        interval=Interval.MINUTE_1,
        adjustment=Adjustment.SPLIT,
        currency="USD",
        volume_unit="",
        zone="UTC",
        series=series,
        states=np.full(len(series), state, np.uint8),
        completeness=Completeness.COMPLETE,
        missing=[],
        sources=[Source(ACME, int(series.open_time_ns[0]), SETTLED, SETTLED)],
        attempts=[],
        flags=[],
    )


def nothing() -> BarResult:
    """Answer with no bars."""
    found = result()
    return replace(
        found,
        series=found.series.take(slice(0, 0)),
        states=found.states[:0],
        sources=[],
    )


@dataclass
class Answers:
    """Answer queries one after the other; the last answer is given again and again."""

    clock: ManualClock
    given: list[BarResult | IngestionError]
    asked: list[tuple[float, BarQuery]] = field(default_factory=list)
    """Seconds since the bar was due, and what was asked."""
    held: asyncio.Event | None = None
    at_once: int = 0
    most_at_once: int = 0

    async def fetch(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int
    ) -> BarResult:
        """Answer."""
        assert budget_seconds > 0
        assert most_bars > 0
        self.asked.append(((self.clock.now_ns() - SETTLED) / SECOND_NS, query))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self.at_once -= 1
        answer = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(answer, IngestionError):
            raise answer
        return answer


async def confirmed(
    answers: Answers, providers: tuple[str, ...] = (ACME, ZENITH)
) -> LiveBar | None:
    """Ask for the minute of ten o'clock."""
    return await BarConfirmer(answers, answers.clock).confirm(
        AAPL, Interval.MINUTE_1, REGULAR, TEN, providers
    )


async def test_the_vendor_is_asked_once_its_last_word_can_be_expected() -> None:
    answers = Answers(ManualClock(TEN + MINUTE_NS), [result()])

    bar = await confirmed(answers)

    assert bar is not None
    assert (bar.open_time_ns, bar.state, bar.derived, bar.provider) == (
        TEN,
        BarState.FINAL,
        False,
        ACME,
    )
    ((when, query),) = answers.asked
    assert 0 <= when < 1
    assert (query.start_ns, query.end_ns) == (TEN, TEN + MINUTE_NS)
    assert query.priority is Priority.BATCH
    assert query.policy.mode is SourceMode.ORDERED
    assert query.policy.providers == (ACME, ZENITH)
    assert query.policy.max_cost_usd == 0


async def test_without_names_anybody_may_confirm() -> None:
    answers = Answers(ManualClock(SETTLED), [result()])

    await confirmed(answers, ())

    assert answers.asked[0][1].policy.mode is SourceMode.ANY


async def test_a_bar_that_was_corrected_is_the_vendors_last_word_too() -> None:
    bar = await confirmed(Answers(ManualClock(SETTLED), [result(BarState.REVISED)]))

    assert bar is not None
    assert bar.state is BarState.REVISED


async def test_it_is_tried_again_ever_later_for_ten_minutes() -> None:
    answers = Answers(
        ManualClock(SETTLED),
        [
            AllProvidersFailedError("down", facts={}),
            DeadlineExceededError("late"),
            result(BarState.PARTIAL),
            nothing(),
            result(BarState.FINAL, TEN + MINUTE_NS),
        ],
    )

    assert await confirmed(answers) is None
    assert [round(when) for when, _ in answers.asked] == [0, 15, 75, 255, 555]


async def test_a_bar_that_comes_late_is_taken() -> None:
    answers = Answers(ManualClock(SETTLED), [nothing(), nothing(), result()])

    assert await confirmed(answers) is not None
    assert len(answers.asked) == 3


@pytest.mark.parametrize(
    "error",
    [
        EntitlementMissingError("premium", provider=ACME, feature="BARS"),
        InvalidQueryError([Violation("symbol", "is wrong")]),
    ],
)
async def test_what_will_not_change_is_not_tried_again(error) -> None:
    answers = Answers(ManualClock(SETTLED), [error])

    assert await confirmed(answers) is None
    assert len(answers.asked) == 1


async def test_a_clock_that_is_set_while_we_wait_is_looked_at_again() -> None:
    clock = ManualClock(TEN + MINUTE_NS, runs=False)
    answers = Answers(clock, [result()])
    task = asyncio.create_task(confirmed(answers))
    await clock.advance(1)

    clock.jump(3600)
    await clock.advance(60)

    assert await task is not None


async def test_only_four_ask_at_once_and_a_thousand_wait() -> None:
    answers = Answers(ManualClock(SETTLED), [result()], held=asyncio.Event())
    confirmer = BarConfirmer(answers, answers.clock)

    async def confirm() -> LiveBar | None:
        return await confirmer.confirm(AAPL, Interval.MINUTE_1, REGULAR, TEN, (ACME,))

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(confirm()) for _ in range(1_010)]
        while not waiting[-1].done() or answers.at_once < 4:  # noqa: ASYNC110 - until all got so far
            await asyncio.sleep(0)
        answers.held.set()

    assert answers.most_at_once == 4
    assert sum(task.result() is None for task in waiting) == 6
    assert await confirm() is not None


async def test_a_real_route_is_asked_in_the_order_that_is_given() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        bar = await BarConfirmer(market.fetcher, market.clock).confirm(
            AAPL, Interval.DAY_1, REGULAR, ns("2024-06-03"), (ZENITH, ACME)
        )

    assert bar is not None
    assert (bar.provider, bar.state) == (ZENITH, BarState.FINAL)
    assert bar.open_time_ns == ns("2024-06-03")
    assert market.wire.asked == [f"{ZENITH} BARS"]


async def test_a_call_that_costs_money_is_not_made() -> None:
    async with Market(Shop(ACME, cents=1), Shop(ZENITH)) as market:
        bar = await BarConfirmer(market.fetcher, market.clock).confirm(
            AAPL, Interval.DAY_1, REGULAR, ns("2024-06-03"), (ACME, ZENITH)
        )

    assert bar is not None
    assert bar.provider == ZENITH
    assert market.wire.asked == [f"{ZENITH} BARS"]
