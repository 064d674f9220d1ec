"""Whatever was asked before, an answer is what a server without memory would say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pytest
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth
from typing_extensions import override

from tests.port import house as houses
from tests.port.house import (
    UNMETERED,
    Build,
    House,
    RefusedError,
    flags,
    holes,
    ordered,
    pinned,
    times,
)

Answer = ingestion_service_pb2.FetchResponse
Both = Callable[[datetime], AbstractAsyncContextManager["Pair"]]

VENDORS: Final = ("alpha_vantage", "yahoo")
DAY_SECONDS: Final = 86_400
ABSENT_SECONDS: Final = 61
"""As long as it is believed that a bar is not there, and a second."""
QUESTIONS: Final = 35
MARKETS: Final = (
    {"symbol": "AAPL"},
    {"symbol": "NVDA"},
    {"symbol": "IBM"},
    {"symbol": "SBX0010"},
    {"symbol": "OCDO", "exchange": "XLON"},
    {"symbol": "7203", "exchange": "XTKS"},
    {"symbol": "SAP", "exchange": "XETR"},
    {"symbol": "EUR/USD"},
    {"symbol": "BTC/USD"},
    {"symbol": "^GSPC"},
    {"symbol": "GC", "asset_class": "ASSET_CLASS_FUTURE"},
)
"""The last one has no calendar."""
MINUTES: Final = {
    "INTERVAL_1_MINUTE": 1,
    "INTERVAL_5_MINUTES": 5,
    "INTERVAL_30_MINUTES": 30,
    "INTERVAL_1_HOUR": 60,
    "INTERVAL_1_DAY": 24 * 60,
    "INTERVAL_1_WEEK": 7 * 24 * 60,
    "INTERVAL_1_MONTH": 30 * 24 * 60,
}
ADJUSTMENTS: Final = ("ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT", "ADJUSTMENT_SPLIT_DIVIDEND")
POLICIES: Final = (*map(pinned, VENDORS), ordered(*VENDORS), ordered(*VENDORS[::-1]))
PAUSES: Final = (0, 6, 61, 61, 300, 901, 3600, 7 * 3600, DAY_SECONDS, DAY_SECONDS)
"""Longer than a forming bar is known, or none at all."""
DISTURBED: Final = [
    # New York changes its clocks, London does, a half day, the end of a year.
    (datetime(2024, 3, 8, 12, tzinfo=UTC), 1),
    (datetime(2024, 10, 27, 22, 2, tzinfo=UTC), 2),
    (datetime(2024, 11, 29, 17, 30, tzinfo=UTC), 3),
    (datetime(2024, 12, 31, 15, 33, tzinfo=UTC), 4),
]
FAULTS: Final = ("partial", "empty", "status_500")


class StandingClock(houses.ShiftedClock):
    """Stand still until told to advance, so that both servers see the same time."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._start_ns = int(start.timestamp() * 1e9)

    @override
    def now_ns(self) -> int:
        return self._start_ns + int(self._ahead_seconds * 1e9)

    @override
    def monotonic(self) -> float:
        return 1e6 + self._ahead_seconds


class Pair(NamedTuple):
    """Be a server that remembers and one that does not, at the same time of day."""

    warm: House
    cold: House

    async def each(self, act: Callable[[House], Awaitable[None]]) -> None:
        """Do the same to the vendors of both."""
        for home in self:
            await act(home)

    async def same(self, question: dict[str, Any]) -> Answer | None:
        """Ask both, and compare; None if both refuse alike."""
        ours, theirs = [await told(home, question) for home in self]
        assert ours == theirs, question
        return None if isinstance(ours, str) else await self.warm.fetch(**question)


@pytest.fixture
def both(build: Build, monkeypatch: pytest.MonkeyPatch) -> Both:
    """Return what builds the two servers, at a time."""

    @asynccontextmanager
    async def built(start: datetime) -> AsyncIterator[Pair]:
        clock = StandingClock(start)
        monkeypatch.setattr(houses, "ShiftedClock", lambda _: clock)
        forgetful = {**UNMETERED, "CACHE__ENABLED": "false"}
        async with (
            build(start=start, settings=UNMETERED) as warm,
            build(start=start, settings=forgetful) as cold,
        ):
            yield Pair(warm, cold)

    return built


async def told(home: House, question: dict[str, Any]) -> object:
    """Return what a caller may rely on, in a form that can be compared."""
    try:
        answer = await home.fetch(**question)
    except RefusedError as error:
        return error.reason
    return {
        "bars": [row(bar) for bar in answer.series.bars],
        "units": (answer.series.currency, answer.series.volume_unit),
        "completeness": answer.completeness,
        "missing": holes(answer),
    }


def row(bar: bar_pb2.Bar) -> tuple[object, ...]:
    """Return a bar; one that was corrected is as good as one that is final."""
    final = bar.state != bar_pb2.BAR_STATE_PARTIAL
    values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    return (bar.open_time.ToJsonString(), final, *(float(f"{v:.6g}") for v in values))


def asked(
    draw: random.Random, now: datetime, known: list[dict[str, Any]], *, certain: bool
) -> dict[str, Any]:
    """
    Return a question, mostly for a series that was asked for already.

    If that is to be ``certain``, a calendar tells which bars there are.
    """
    if known and draw.random() < 0.75:
        question = dict(draw.choice(known))
    else:
        question = {
            **draw.choice(MARKETS[:-1] if certain else MARKETS),
            "interval": draw.choice(tuple(MINUTES)),
            "adjustment": draw.choice(ADJUSTMENTS),
            "source_policy": draw.choice(POLICIES),
        }
        if not certain and draw.random() < 0.3:
            question["session"] = "SESSION_EXTENDED"
        known.append(dict(question))
    return question | stretch(draw, now, MINUTES[question["interval"]])


def stretch(draw: random.Random, now: datetime, minutes: int) -> dict[str, Any]:
    """Return a range: before now or some time ago, by its edges or by a limit."""
    end = now - timedelta(minutes=minutes * draw.choice((0, 0, 0, 5, 40, 120)))
    start = end - timedelta(minutes=minutes * draw.choice((3, 20, 80)))
    begins, ends = {"start": text(start)}, {"end": text(end + timedelta(minutes=1))}
    return draw.choice(
        (
            begins,
            begins | ends,
            begins | ends,
            begins | {"limit": draw.choice((1, 4, 25))},
            {"limit": draw.choice((1, 3, 10, 60))},
            ends | {"limit": 10},
        )
    )


def drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - questions, not keys


def text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(("start", "seed"), DISTURBED)
async def test_it_answers_as_if_nothing_had_been_asked_before(
    both: Both, start: datetime, seed: int
) -> None:
    draw, known = drawn(seed), list[dict[str, Any]]()
    async with both(start) as pair:
        for _ in range(QUESTIONS):
            pair.warm.clock.advance(draw.choice(PAUSES))
            await pair.same(asked(draw, pair.warm.clock.now(), known, certain=False))


@pytest.mark.parametrize(("start", "seed"), DISTURBED[:2])
async def test_what_vendors_did_not_give_once_is_asked_for_again(
    both: Both, start: datetime, seed: int
) -> None:
    draw, known = drawn(seed), list[dict[str, Any]]()
    async with both(start) as pair:
        for _ in range(QUESTIONS // 2):
            now = pair.warm.clock.now()
            fault, vendor = draw.choice(FAULTS), draw.choice(VENDORS)
            await pair.each(lambda home: home.fault(vendor, fault))  # noqa: B023 - awaited
            await told(pair.warm, asked(draw, now, known, certain=True))
            await pair.each(lambda home: home.mend(vendor))  # noqa: B023 - awaited
            pair.warm.clock.advance(ABSENT_SECONDS + draw.choice(PAUSES))
            now = pair.warm.clock.now()
            await pair.same(asked(draw, now, known, certain=True))


async def test_a_correction_where_no_calendar_is_known_costs_no_bars(
    both: Both,
) -> None:
    gold = {"symbol": "GC", "asset_class": "ASSET_CLASS_FUTURE"}
    question: dict[str, Any] = {**gold, "start": "2024-09-25T00:00:00Z"}
    async with both(datetime(2024, 12, 12, 12, tzinfo=UTC)) as pair:
        await pair.warm.fetch(**question)
        await pair.each(lambda home: correction(home, "GC=F", "2024-12-11"))
        pair.warm.clock.advance(DAY_SECONDS)
        answer = await pair.same(question)

    assert answer is not None
    assert times(answer)[0] == "2024-09-25T00:00:00Z"


async def test_an_empty_answer_hides_nothing_of_what_was_asked_beside_it(
    both: Both,
) -> None:
    bitcoin = {"symbol": "BTC/USD", "source_policy": pinned("yahoo")}
    early = {"start": "2024-05-01T00:00:00Z", "end": "2024-05-11T00:00:00Z"}
    async with both(datetime(2024, 5, 13, 12, tzinfo=UTC)) as pair:
        await pair.same({**bitcoin, **early})
        pair.warm.clock.advance(14 * DAY_SECONDS)
        await pair.warm.fault("yahoo", "empty")
        await pair.warm.refused(**bitcoin, limit=3)
        await pair.warm.mend("yahoo")
        pair.warm.clock.advance(ABSENT_SECONDS)
        await pair.same({**bitcoin, "start": early["start"]})


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_dividend_that_is_told_late_changes_all_bars_before_it(
    both: Both, vendor: str
) -> None:
    question: dict[str, Any] = {
        "symbol": "MSFT",
        "adjustment": "ADJUSTMENT_SPLIT_DIVIDEND",
        "start": "2024-05-01T00:00:00Z",
        "source_policy": pinned(vendor),
    }
    async with both(datetime(2024, 6, 13, 22, tzinfo=UTC)) as pair:
        await pair.same(question)
        await pair.each(lambda home: dividend(home, "MSFT", "2024-06-11"))
        for days in (1, 3, 7):
            pair.warm.clock.advance(days * DAY_SECONDS)
            await pair.same(question)


async def test_bars_of_extended_hours_that_failed_are_asked_for_again(
    both: Both,
) -> None:
    question: dict[str, Any] = {
        "symbol": "MSFT",
        "interval": "INTERVAL_5_MINUTES",
        "session": "SESSION_EXTENDED",
        "adjustment": "ADJUSTMENT_RAW",
        "start": "2024-04-25T00:00:00Z",
        "end": "2024-05-09T00:00:00Z",
        "source_policy": pinned("alpha_vantage"),
    }
    async with both(houses.NOON) as pair:
        await pair.warm.fault("alpha_vantage", "latency", seconds=0.2)
        first = asyncio.create_task(pair.warm.fetch(**question))
        await pair.warm.until_called("alpha_vantage")
        # From here on, so it strikes the second month only.
        await pair.warm.fault("alpha_vantage", "status_500")
        assert holes(await first)
        await pair.warm.mend("alpha_vantage")
        pair.warm.clock.advance(3600)
        await pair.same(question)


async def test_when_currencies_rest_does_not_depend_on_what_was_asked_before(
    both: Both,
) -> None:
    euro = {
        "symbol": "EUR/USD",
        "interval": "INTERVAL_1_HOUR",
        "start": "2024-06-05T00:00:00Z",
        "source_policy": pinned("yahoo"),
    }
    async with both(datetime(2024, 6, 10, 12, tzinfo=UTC)) as pair:
        await pair.same({**euro, "end": "2024-06-07T00:00:00Z"})
        await pair.same({**euro, "end": "2024-06-09T00:00:00Z"})


async def test_a_row_that_came_right_in_the_end_is_not_called_unsound(
    both: Both,
) -> None:
    question: dict[str, Any] = {
        "symbol": "MSFT",
        "start": "2024-05-01T00:00:00Z",
        "source_policy": pinned("yahoo"),
    }
    async with both(houses.NOON) as pair:
        await pair.warm.fault("yahoo", "bad_row")
        assert quarantined(await pair.warm.fetch(**question))
        await pair.warm.mend("yahoo")
        pair.warm.clock.advance(ABSENT_SECONDS)
        answer = await pair.same(question)

        assert answer is not None
        assert not set(quarantined(answer)) & set(times(answer))


def quarantined(answer: Answer) -> Sequence[str]:
    """Return the times of the rows that were left out."""
    return flags(answer, truth.QUALITY_FLAG_KIND_ROW_QUARANTINED)


async def correction(home: House, symbol: str, date: str) -> None:
    await news(home, news="correction", symbol=symbol, date=date, close=2700.0)


async def dividend(home: House, symbol: str, date: str) -> None:
    await news(home, news="dividend", symbol=symbol, date=date, amount=40)


async def news(home: House, **what: Any) -> None:
    """Let something be learnt late."""
    url = f"{home.sandbox_url}/control/market"
    async with home.web.post(url, json=what) as reply:
        assert reply.status < 300, await reply.text()
