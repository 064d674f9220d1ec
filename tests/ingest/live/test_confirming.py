"""The vendor's own bars, once they are final."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from msgspec.structs import replace

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    CapabilityMissingError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    InvalidQueryError,
    Violation,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS, Interval
from ingestion_server.domain.query import BarQuery, Priority, SourceMode
from ingestion_server.domain.result import BarResult, Completeness, Missing, Source
from ingestion_server.ingest.live.confirming import BarConfirmer
from ingestion_server.ingest.live.unfinished import Series, Unfinished, Word
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


def minutes(
    *numbers: int,
    providers: tuple[str, ...] = (ACME, ZENITH),
    hours: TradingHours = REGULAR,
) -> Unfinished:
    """Want some minutes after ten o'clock."""
    found = Unfinished(Series(AAPL, Interval.MINUTE_1, hours, providers))
    for number in numbers:
        open_ns = TEN + number * MINUTE_NS
        assert found.add(open_ns, open_ns + MINUTE_NS)
    return found


async def confirmed(answers: Answers, wanted: Unfinished) -> list[Word]:
    """Ask until the last word on all is known."""
    confirmer = BarConfirmer(answers, answers.clock)
    words: list[Word] = []
    while wanted:
        words += await confirmer.words(wanted)
    return words


async def test_the_vendor_is_asked_once_its_last_word_can_be_expected() -> None:
    answers = Answers(ManualClock(TEN + MINUTE_NS), [result()])

    (word,) = await confirmed(answers, minutes(0))

    bar = word.bar
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

    await confirmed(answers, minutes(0, providers=()))

    assert answers.asked[0][1].policy.mode is SourceMode.ANY


async def test_a_bar_that_was_corrected_is_the_vendors_last_word_too() -> None:
    answers = Answers(ManualClock(SETTLED), [result(BarState.REVISED)])

    (word,) = await confirmed(answers, minutes(0))

    assert word.bar is not None
    assert word.bar.state is BarState.REVISED


async def test_all_bars_of_a_series_that_are_over_are_one_call() -> None:
    opens_ns = [TEN + number * MINUTE_NS for number in range(16)]
    clock = ManualClock(SETTLED + 15 * MINUTE_NS)
    answers = Answers(clock, [result(BarState.FINAL, *opens_ns)])

    words = await confirmed(answers, minutes(*range(16)))

    assert [word.bar.open_time_ns for word in words if word.bar] == opens_ns
    ((_, query),) = answers.asked
    assert (query.start_ns, query.end_ns) == (TEN, opens_ns[-1] + MINUTE_NS)


async def test_bars_that_are_over_soon_after_a_call_wait_and_share_the_next() -> None:
    opens_ns = [TEN + number * MINUTE_NS for number in range(6)]
    answers = Answers(ManualClock(SETTLED), [result(BarState.FINAL, *opens_ns)])

    words = await confirmed(answers, minutes(*range(6)))

    assert len(words) == 6
    assert [round(when) for when, _ in answers.asked] == [0, 300]


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

    (word,) = await confirmed(answers, minutes(0))

    assert word.bar is None
    assert word.reason == "vendors have none"
    assert [round(when) for when, _ in answers.asked] == [0, 15, 75, 255, 555]


async def test_a_bar_that_comes_late_is_taken() -> None:
    answers = Answers(ManualClock(SETTLED), [nothing(), nothing(), result()])

    (word,) = await confirmed(answers, minutes(0))

    assert word.bar is not None
    assert len(answers.asked) == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (result(BarState.PARTIAL), "its own is not final"),
        (
            replace(nothing(), missing=[Missing(TEN, SETTLED, "acme is down")]),
            "acme is down",
        ),
        (DeadlineExceededError("too late"), "DEADLINE_EXCEEDED: too late"),
    ],
)
async def test_who_gets_no_bar_is_told_why(answer, reason) -> None:
    (word,) = await confirmed(Answers(ManualClock(SETTLED), [answer]), minutes(0))

    assert word == Word(TEN, TEN + MINUTE_NS, None, reason)


@pytest.mark.parametrize(
    "error",
    [
        EntitlementMissingError("premium", provider=ACME, feature="BARS"),
        InvalidQueryError([Violation("symbol", "is wrong")]),
    ],
)
async def test_what_will_not_change_is_not_tried_again(error) -> None:
    answers = Answers(ManualClock(SETTLED + 15 * MINUTE_NS), [error])

    words = await confirmed(answers, minutes(0, 1, 2))

    assert {word.reason for word in words} == {f"{error.reason}: {error.message}"}
    assert len(words) == 3
    assert len(answers.asked) == 1


async def test_who_tells_regular_hours_only_confirms_what_is_within_them() -> None:
    no_extended = CapabilityMissingError("no extended hours", provider=ACME)
    answers = Answers(ManualClock(SETTLED + MINUTE_NS), [no_extended, result()])

    words = await confirmed(answers, minutes(0, 1, hours=TradingHours.EXTENDED))

    assert [query.hours for _, query in answers.asked] == [
        TradingHours.EXTENDED,
        TradingHours.REGULAR,
    ]
    within, outside = words
    assert within.bar is not None
    assert outside.bar is None
    assert outside.reason == "no vendor that may be asked tells bars of extended hours"


async def test_a_regular_bar_that_is_late_is_waited_for_in_extended_hours_too() -> None:
    no_extended = CapabilityMissingError("no extended hours", provider=ACME)
    late = replace(nothing(), missing=[Missing(TEN, SETTLED, "acme is late")])
    answers = Answers(ManualClock(SETTLED), [no_extended, late, no_extended, result()])

    (word,) = await confirmed(answers, minutes(0, hours=TradingHours.EXTENDED))

    assert word.bar is not None


async def test_a_clock_that_is_set_while_we_wait_is_looked_at_again() -> None:
    clock = ManualClock(TEN + MINUTE_NS, runs=False)
    answers = Answers(clock, [result()])
    task = asyncio.create_task(confirmed(answers, minutes(0)))
    await clock.advance(1)

    clock.jump(3600)
    await clock.advance(60)

    (word,) = await task
    assert word.bar is not None


async def test_a_clock_that_is_set_back_during_others_turns_is_waited_for() -> None:
    answers = Answers(
        ManualClock(SETTLED, runs=False), [result()], held=asyncio.Event()
    )
    confirmer = BarConfirmer(answers, answers.clock)
    wanted = [minutes(0) for _ in range(5)]
    tasks = [asyncio.create_task(confirmer.words(each)) for each in wanted]
    await answers.clock.advance(0)

    answers.clock.jump(-600)
    answers.held.set()
    await asyncio.gather(*tasks)

    assert [len(each) for each in wanted] == [0, 0, 0, 0, 1]
    assert tasks[4].result() == ()


async def test_only_four_series_are_asked_for_at_once_and_all_have_their_turn() -> None:
    answers = Answers(ManualClock(SETTLED), [result()], held=asyncio.Event())
    confirmer = BarConfirmer(answers, answers.clock)

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(confirmer.words(minutes(0))) for _ in range(2_000)]
        while answers.at_once < 4:  # noqa: ASYNC110 - until all got so far
            await asyncio.sleep(0)
        answers.held.set()

    assert answers.most_at_once == 4
    assert all(word.bar for task in waiting for word in task.result())
    assert len(answers.asked) == 2_000


async def test_a_real_route_is_asked_in_the_order_that_is_given() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        (word,) = await BarConfirmer(market.fetcher, market.clock).words(
            day((ZENITH, ACME))
        )

    bar = word.bar
    assert bar is not None
    assert (bar.provider, bar.state) == (ZENITH, BarState.FINAL)
    assert bar.open_time_ns == ns("2024-06-03")
    assert market.wire.asked == [f"{ZENITH} BARS"]


async def test_a_call_that_costs_money_is_not_made() -> None:
    async with Market(Shop(ACME, cents=1), Shop(ZENITH)) as market:
        (word,) = await BarConfirmer(market.fetcher, market.clock).words(
            day((ACME, ZENITH))
        )

    assert word.bar is not None
    assert word.bar.provider == ZENITH
    assert market.wire.asked == [f"{ZENITH} BARS"]


def day(providers: tuple[str, ...]) -> Unfinished:
    """Want the bar of a day."""
    wanted = Unfinished(Series(AAPL, Interval.DAY_1, REGULAR, providers))
    assert wanted.add(ns("2024-06-03"), ns("2024-06-04"))
    return wanted
