"""Questions in no hurry that share calls of a vendor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
import pytest

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CostLimitError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
    ServerStoppingError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.query import Priority, SourceMode, SourcePolicy, Span
from ingestion_server.domain.result import BarResult
from ingestion_server.ingest.coaches import (
    LONGEST_SECONDS,
    MOST_BARS,
    QUIET_SECONDS,
    seats,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import BarAsk, Page
from tests.builders import ns
from tests.ingest.making import ACME, june
from tests.ingest.vendors import CENT, QUERY, TEN_DAYS, Market, Shop

BARS = f"{ACME} BARS"
NAMES = [f"S{number}" for number in range(10)]


@dataclass
class Together:
    """Tell bars of several symbols by one call."""

    most_symbols: int = 100
    unknown: frozenset[str] = frozenset()
    rubbish: list[frozenset[str]] = field(default_factory=list)
    """Whose bars cannot be read, answer by answer."""
    fitting: bool = True
    refuses: bool = False
    """Whether no two questions go together after all."""
    extra: int = 0
    """What a call for several weighs more than calls for each."""
    asked: list[list[str]] = field(default_factory=list)

    def fits(self, ask: BarAsk) -> bool:
        """Take whatever is asked, or nothing."""
        del ask
        return self.fitting

    def batch_request(self, asks: Sequence[BarAsk]) -> HttpRequest:
        """Weigh as much as they weigh alone."""
        if self.refuses:
            raise CapabilityMissingError("not together", provider=ACME)
        self.asked.append([ask.instrument.symbol for ask in asks])
        return HttpRequest(
            ACME,
            f"https://{ACME}.example/batch",
            feature="BARS",
            times=len(asks) + self.extra,
        )

    def read_batch(
        self, response: HttpResponse, asks: Sequence[BarAsk]
    ) -> Mapping[BarAsk, Page | ProviderError]:
        """Give each symbol a price of its own, but not what it does not know."""
        del response
        rubbish = self.rubbish.pop(0) if self.rubbish else frozenset[str]()
        return {ask: self._told(ask, rubbish) for ask in asks}

    def _told(self, ask: BarAsk, rubbish: frozenset[str]) -> Page | ProviderError:
        symbol = ask.instrument.symbol
        if symbol in self.unknown:
            return SymbolUnknownError(symbol, provider=ACME)
        if symbol in rubbish:
            return MalformedPayloadError(f"{symbol}: no chart", provider=ACME)
        return Page(june(*TEN_DAYS, close=price_of(symbol)), currency="USD")


class Town:
    """Ask a vendor that tells bars of several symbols at once."""

    def __init__(self, cents: int = 0, **batching: object) -> None:
        self.together = Together(**batching)  # type: ignore[arg-type]  # of a test
        self.market = Market(Shop(ACME, cents, batching=self.together))

    @property
    def alone(self) -> int:
        """Return how many calls were about a single symbol."""
        urls = [call.request.url for call in self.market.calls]
        return sum(not url.endswith("/batch") for url in urls)

    async def ask(
        self,
        symbol: str,
        *,
        priority: Priority = Priority.BATCH,
        after_seconds: float = 0.0,
        start: str = "2024-06-03",
        most_cents: float | None = None,
        seconds: float = 30.0,
    ) -> BarResult:
        """Ask for the ten days of a symbol."""
        if after_seconds:
            await self.market.clock.sleep(after_seconds)
        most = None if most_cents is None else most_cents / 100
        query = msgspec.structs.replace(
            QUERY,
            instrument=instrument(symbol),
            start_ns=ns(start),
            priority=priority,
            policy=SourcePolicy(SourceMode.PINNED, (ACME,), max_cost_usd=most),
        )
        return await self.market.fetcher.fetch(
            query, budget_seconds=seconds, most_bars=1000
        )

    async def ask_all(
        self, *symbols: str, most_cents: float | None = None
    ) -> list[BarResult | BaseException]:
        """Ask for several at the same time."""
        asking = (self.ask(each, most_cents=most_cents) for each in symbols)
        return await asyncio.gather(*asking, return_exceptions=True)


def price_of(symbol: str) -> float:
    """Return a number that tells whose bars they are."""
    return float(sum(map(ord, symbol)))


def told(results: Sequence[BarResult | BaseException]) -> list[float | str]:
    """Return whose bars came, or why none did."""
    found: list[float | str] = []
    for each in results:
        if isinstance(each, IngestionError):
            found.append(each.reason)
        else:
            assert isinstance(each, BarResult), each
            found.append(float(each.series.close[0]))
    return found


async def until_asked(town: Town, calls: int = 1) -> None:
    """Let the clock run until so many calls have left."""
    while len(town.market.wire.asked) < calls:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0)


async def test_questions_that_come_together_are_one_call_each_with_its_bars() -> None:
    async with (town := Town()).market:
        results = await town.ask_all(*NAMES)

    assert told(results) == [price_of(name) for name in NAMES]
    assert town.market.wire.asked == [BARS]
    assert town.together.asked == [NAMES]


async def test_who_is_in_a_hurry_waits_for_nobody() -> None:
    async with (town := Town()).market:
        began = town.market.clock.monotonic()
        await asyncio.gather(
            *(town.ask(name, priority=Priority.INTERACTIVE) for name in NAMES)
        )
        took = town.market.clock.monotonic() - began

    assert town.alone == len(town.market.wire.asked) == len(NAMES)
    assert took == 0


async def test_who_is_alone_asks_as_if_nobody_could_share() -> None:
    async with (town := Town()).market:
        await town.ask("S1")

    assert town.alone == len(town.market.wire.asked) == 1
    assert town.together.asked == []


async def test_a_call_is_about_no_more_than_it_may() -> None:
    async with (town := Town(most_symbols=4)).market:
        results = await town.ask_all(*NAMES)

    assert [len(each) for each in town.together.asked] == [4, 4, 2]
    assert told(results) == [price_of(name) for name in NAMES]


async def test_who_comes_while_others_still_wait_goes_with_them() -> None:
    pause = QUIET_SECONDS * 0.75
    async with (town := Town()).market:
        await asyncio.gather(
            *(
                town.ask(name, after_seconds=pause * number)
                for number, name in enumerate(NAMES)
            )
        )

    assert town.together.asked == [NAMES]


async def test_nobody_waits_long_however_many_still_come() -> None:
    pause = QUIET_SECONDS * 0.75
    names = [f"S{number}" for number in range(40)]
    async with (town := Town()).market:
        await asyncio.gather(
            *(
                town.ask(name, after_seconds=pause * number)
                for number, name in enumerate(names)
            )
        )

    first, *_ = town.together.asked
    assert len(first) == pytest.approx(LONGEST_SECONDS / pause, abs=2)
    assert sum(map(len, town.together.asked)) == len(names)


async def test_who_wants_another_stretch_goes_with_others_of_that() -> None:
    async with (town := Town()).market:
        await asyncio.gather(
            town.ask("S1"),
            town.ask("S2", start="2024-06-05"),
            town.ask("S3"),
            town.ask("S4", start="2024-06-05"),
        )

    assert town.together.asked == [["S1", "S3"], ["S2", "S4"]]


@pytest.mark.parametrize(
    "batching", [{"fitting": False}, {"refuses": True}, {"extra": 1}]
)
async def test_where_nothing_is_gained_each_goes_alone(batching: object) -> None:
    async with (town := Town(**batching)).market:  # type: ignore[arg-type]  # of a test
        results = await town.ask_all("S1", "S2", "S3")

    assert town.alone == len(town.market.wire.asked) == 3
    assert len(told(results)) == 3


async def test_what_the_vendor_does_not_know_fails_alone() -> None:
    async with (town := Town(unknown=frozenset({"S1"}))).market:
        results = await town.ask_all("S0", "S1", "S2")

    assert told(results) == [price_of("S0"), "SYMBOL_UNKNOWN", price_of("S2")]
    assert town.market.wire.asked == [BARS]


async def test_rubbish_about_one_is_asked_for_again_for_that_one() -> None:
    names = ["S0", "S1", "S2"]
    async with (town := Town(rubbish=[frozenset({"S1"})])).market:
        results = await town.ask_all(*names)

    assert told(results)[::2] == [price_of("S0"), price_of("S2")]
    assert (town.together.asked, town.alone) == ([names], 1)


async def test_rubbish_about_all_is_a_call_that_failed_and_is_tried_again() -> None:
    names = ["S0", "S1", "S2"]
    async with (town := Town(rubbish=[frozenset(names)])).market:
        results = await town.ask_all(*names)

    assert told(results) == [price_of(name) for name in names]
    assert (town.market.wire.asked, town.together.asked) == ([BARS] * 2, [names])


async def test_a_call_that_fails_for_a_moment_is_tried_again_as_one() -> None:
    broken = ProviderUnavailableError("acme answered HTTP 503", provider=ACME)
    async with (town := Town()).market:
        town.market.wire.failures[BARS] = [broken]
        results = await town.ask_all(*NAMES)

    assert told(results) == [price_of(name) for name in NAMES]
    assert (town.market.wire.asked, town.together.asked) == ([BARS] * 2, [NAMES])


async def test_what_the_plan_refuses_is_told_to_all_and_asked_once() -> None:
    refusal = EntitlementMissingError("no bars", provider=ACME, feature="BARS")
    async with (town := Town()).market:
        town.market.wire.failures[BARS] = [refusal]
        results = await town.ask_all(*NAMES)

    assert told(results) == ["ENTITLEMENT_MISSING"] * len(NAMES)
    assert town.market.wire.asked == [BARS]


async def test_who_gives_up_ends_nothing_for_the_others() -> None:
    async with (town := Town()).market:
        town.market.wire.held[BARS] = held = asyncio.Event()
        asking = [asyncio.create_task(town.ask(name)) for name in NAMES]
        await until_asked(town)
        for task in asking[:4]:
            task.cancel()
        await asyncio.wait(asking[:4])
        held.set()
        results = await asyncio.gather(*asking[4:])

    assert told(results) == [price_of(name) for name in NAMES[4:]]
    assert town.market.wire.asked == [BARS]
    # Who is still there when it ends has made the call.
    assert [each.attempts[0].calls for each in results] == [1, 0, 0, 0, 0, 0]


async def test_who_gives_up_before_it_leaves_is_not_asked_for() -> None:
    async with (town := Town()).market:
        asking = [asyncio.create_task(town.ask(name)) for name in NAMES[:3]]
        while town.market.clock.slept == []:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0)
        asking[1].cancel()
        await asyncio.wait(asking)

    assert town.together.asked == [["S0", "S2"]]


async def test_a_call_that_nobody_waits_for_is_ended() -> None:
    async with (town := Town()).market:
        town.market.wire.held[BARS] = asyncio.Event()
        asking = [asyncio.create_task(town.ask(name)) for name in NAMES]
        await until_asked(town)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        del town.market.wire.held[BARS]
        again = await town.ask_all(*NAMES)

    assert told(again) == [price_of(name) for name in NAMES]
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "coach"]


async def test_whose_time_is_over_leaves_the_others_theirs() -> None:
    async with (town := Town()).market:
        town.market.wire.held[BARS] = held = asyncio.Event()
        patient = asyncio.create_task(town.ask("S0"))
        hasty = asyncio.create_task(town.ask("S1", seconds=0.1))
        await asyncio.wait([hasty])
        held.set()
        result = await patient

    assert isinstance(hasty.exception(), DeadlineExceededError)
    assert told([result]) == [price_of("S0")]


async def test_the_price_is_divided_and_the_call_counted_once() -> None:
    async with (town := Town(cents=1)).market:
        results = await town.ask_all("S0", "S1", "S2")

    attempts = [each.attempts[0] for each in results if isinstance(each, BarResult)]
    assert [each.cost_usd for each in attempts] == [CENT] * 3
    assert [each.calls for each in attempts] == [1, 0, 0]
    assert [each.shared for each in attempts] == [False, True, True]


async def test_a_price_that_cannot_be_divided_is_paid_in_full() -> None:
    broken = ProviderUnavailableError("acme answered HTTP 503", provider=ACME)
    async with (town := Town(cents=1, extra=-1)).market:
        town.market.wire.failures[BARS] = [broken]
        results = await town.ask_all("S0", "S1", "S2")

    costs = [
        each.attempts[0].cost_usd for each in results if isinstance(each, BarResult)
    ]
    assert sum(costs) == 4 * CENT
    assert max(costs) - min(costs) < Decimal("0.00000001")


async def test_who_may_pay_for_his_own_bars_may_share_a_call() -> None:
    async with (town := Town(cents=2)).market:
        results = await town.ask_all("S0", "S1", "S2", most_cents=2)

    assert told(results) == [price_of(name) for name in ("S0", "S1", "S2")]
    assert town.market.wire.asked == [BARS]


async def test_a_second_try_that_would_cost_more_than_they_may_pay_is_not_made() -> (
    None
):
    broken = ProviderUnavailableError("acme answered HTTP 503", provider=ACME)
    async with (town := Town(cents=2)).market:
        town.market.wire.failures[BARS] = [broken]
        results = await town.ask_all("S0", "S1", most_cents=3)

    assert all(isinstance(each, IngestionError) for each in results)
    assert not any(isinstance(each, CostLimitError) for each in results)
    assert town.market.wire.asked == [BARS]


async def test_who_may_not_pay_as_much_goes_apart() -> None:
    async with (town := Town(cents=2)).market:
        await asyncio.gather(
            town.ask("S0", most_cents=2),
            town.ask("S1", most_cents=5),
            town.ask("S2", most_cents=2),
            town.ask("S3"),
            town.ask("S4"),
        )

    assert town.together.asked == [["S0", "S2"], ["S3", "S4"]]
    assert town.alone == 1


async def test_a_vendor_that_fails_them_all_is_asked_as_often_as_for_one() -> None:
    broken = [
        ProviderUnavailableError("acme answered HTTP 503", provider=ACME)
        for _ in range(20)
    ]
    async with (town := Town()).market:
        town.market.wire.failures[BARS] = broken
        results = await town.ask_all(*NAMES)

    assert all(isinstance(each, IngestionError) for each in results)
    assert len(town.market.wire.asked) == 3


async def test_when_the_server_stops_who_waits_is_told() -> None:
    async with (town := Town()).market:
        town.market.wire.held[BARS] = asyncio.Event()
        asking = [asyncio.create_task(town.ask(name)) for name in NAMES[:2]]
        await until_asked(town)
        await town.market.coaches.__aexit__(None, None, None)
        await asyncio.wait(asking)
        with pytest.raises(ServerStoppingError):
            await town.ask("S5")

    assert all(isinstance(each.exception(), ServerStoppingError) for each in asking)


async def test_of_long_charts_fewer_share_a_call() -> None:
    ask = BarAsk(
        QUERY.instrument, QUERY.interval, QUERY.adjustment, Span(0, 1), now_ns=1
    )

    found = [seats(Together(), ask, MOST_BARS // bars) for bars in (1, 10, 1000)]

    assert found == [1, 10, 100]
    assert seats(Together(), ask, MOST_BARS * 2) == 1
