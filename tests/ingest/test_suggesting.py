"""What an unknown symbol may mean: asked for only if nobody else pays for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.query import Priority, SourceMode, SourcePolicy
from ingestion_server.ingest.candidates import kinds_served
from ingestion_server.ingest.suggesting import MOST_KEPT, Suggester, ranked
from ingestion_server.ports.budget import Window
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.live import Asked, QuoteAnswer, QuotesQuery
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.searching import Suggestion
from tests.ingest.vendors import Market, Shop

ACME, ZENITH = "acme", "zenith"
SEARCH = f"{ACME} SEARCH"
APPL = instrument("APPL")
AAPL, AMAT = Suggestion("AAPL", "Apple Inc"), Suggestion("AMAT", "")
ERROR = SymbolUnknownError("APPL is not known to acme", provider=ACME, symbol="APPL")
DAY_SECONDS = 86_400.0


@dataclass
class Finder:
    """Find the same for every symbol but pairs."""

    name: str = ACME
    finds: Sequence[Suggestion] = (AAPL, AMAT)
    defect: bool = False
    asked: list[str] = field(default_factory=list)

    def search_request(self, instrument: Instrument) -> HttpRequest | None:
        """Ask for one symbol."""
        if "/" in instrument.symbol:
            return None
        return HttpRequest(
            self.name,
            f"https://{self.name}.example/search",
            (("q", instrument.symbol),),
            feature="SEARCH",
        )

    def read_search(
        self, response: HttpResponse, instrument: Instrument
    ) -> Sequence[Suggestion]:
        """Note who is asked for."""
        del response
        self.asked.append(instrument.symbol)
        if self.defect:
            raise KeyError(instrument.symbol)
        return self.finds


class Counter(Market):
    """Be a market with somebody who helps out."""

    def __init__(self, *shops: Shop) -> None:
        super().__init__(*shops)
        self.searches: BoundedCache[object, tuple[Suggestion, ...]] = BoundedCache(
            MOST_KEPT, self.clock
        )
        self.suggester = Suggester(
            self.vendors,
            self.ranking,
            self.searches,  # type: ignore[arg-type] # its keys are nobody's business
            self.clock,
        )

    async def completed(
        self,
        symbol: str = "APPL",
        *,
        policy: SourcePolicy | None = None,
        priority: Priority = Priority.INTERACTIVE,
        seconds: float = 20.0,
    ) -> SymbolUnknownError:
        """Complete an error about a symbol."""
        return await self.suggester.completed(
            ERROR,
            instrument(symbol),
            policy or SourcePolicy(),
            priority,
            left_seconds=seconds,
        )


def shop(finder: Finder | None = None, **more: object) -> Shop:
    """Open a shop that finds symbols."""
    found = finder or Finder()
    return Shop(found.name, symbol_search=found, **more)  # type: ignore[arg-type] # of a test


@asynccontextmanager
async def counter(*shops: Shop) -> AsyncIterator[Counter]:
    """Open for business."""
    async with Counter(*shops) as market, market.searches:
        yield market


async def until(happened: Callable[[], bool]) -> None:
    """Let others run until something has happened."""
    while not happened():  # noqa: ASYNC110 - there is no such event
        await asyncio.sleep(0)


async def test_the_error_says_in_its_sentence_and_its_facts_what_may_be_meant() -> None:
    async with counter(shop()) as market:
        told = await market.completed()

    assert told.message == (
        "APPL is not known to acme; did you mean AAPL (Apple Inc) or AMAT?"
    )
    assert told.facts() == {
        "providers": ACME,
        "symbol": "APPL",
        "suggestions": "AAPL,AMAT",
    }


async def test_where_nothing_is_like_it_the_error_is_as_it_was_and_that_is_known() -> (
    None
):
    async with counter(shop(Finder(finds=()))) as market:
        told = [await market.completed() for _ in range(3)]

        assert told == [ERROR] * 3
        assert market.wire.asked == [SEARCH]


async def test_who_does_not_wait_is_not_searched_for() -> None:
    async with counter(shop()) as market:
        assert await market.completed(priority=Priority.BATCH) is ERROR
        assert not market.wire.asked


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.19])
async def test_who_has_no_time_left_is_not_searched_for(seconds: float) -> None:
    async with counter(shop()) as market:
        assert await market.completed(seconds=seconds) is ERROR
        assert not market.wire.asked


@pytest.mark.parametrize("mode", [SourceMode.PINNED, SourceMode.ORDERED])
async def test_only_a_vendor_that_the_caller_allows_is_asked(mode: SourceMode) -> None:
    async with counter(shop(), Shop(ZENITH)) as market:
        others = await market.completed(policy=SourcePolicy(mode, (ZENITH,)))
        assert others is ERROR
        assert not market.wire.asked

        own = await market.completed(policy=SourcePolicy(mode, (ACME,)))
        assert own.suggestions == ("AAPL", "AMAT")


async def test_it_is_asked_behind_others_and_without_waiting_or_paying() -> None:
    async with counter(shop()) as market:
        await market.completed()

        (call,) = market.calls
        assert call.lane is Lane.BATCH
        assert call.longest_quota_wait_seconds == 0
        assert call.most_cost_usd == 0


async def test_a_search_that_costs_something_is_not_made() -> None:
    async with counter(shop(cents=1)) as market:
        assert await market.completed() is ERROR
        assert not market.wire.asked


async def test_with_less_than_half_of_its_quota_left_a_vendor_is_not_searched() -> None:
    windows = [Window(name="day", limit=4, seconds=DAY_SECONDS)]
    async with counter(shop(windows=windows)) as market:
        told = [await market.completed(f"A{n}") for n in range(4)]

        assert [bool(each.suggestions) for each in told] == [True] * 3 + [False]
        assert market.wire.asked == [SEARCH] * 3


async def test_a_window_that_is_full_for_the_moment_is_not_waited_for() -> None:
    windows = [Window(name="second", limit=1, seconds=1.0)]
    async with counter(shop(windows=windows)) as market:
        first, second = await market.completed("A"), await market.completed("B")
        assert (first.suggestions, second) == (("AAPL", "AMAT"), ERROR)

        await market.clock.advance(2)
        assert (await market.completed("B")).suggestions


async def test_a_vendor_without_its_key_or_of_another_kind_is_passed_over() -> None:
    other = shop(Finder(ZENITH))
    async with counter(shop(needs_key=True), other) as market:
        told = await market.completed(policy=SourcePolicy())
        assert told is ERROR

    async with counter(Shop(ACME), other) as market:
        assert (await market.completed()).suggestions
        assert await market.completed("EUR/CHF") is ERROR
        assert market.wire.asked == [f"{ZENITH} SEARCH"]


async def test_equal_questions_at_once_are_one_call_and_so_are_those_of_a_day() -> None:
    async with counter(shop()) as market:
        market.wire.held[SEARCH] = asyncio.Event()
        asking = [asyncio.create_task(market.completed()) for _ in range(100)]
        await until(lambda: bool(market.wire.asked))
        market.wire.held[SEARCH].set()
        told = await asyncio.gather(*asking)
        assert all(each.suggestions == ("AAPL", "AMAT") for each in told)

        await market.clock.advance(DAY_SECONDS - 1)
        assert (await market.completed()).suggestions
        assert market.wire.asked == [SEARCH]

        await market.clock.advance(2)
        assert (await market.completed()).suggestions
        assert market.wire.asked == [SEARCH] * 2


async def test_one_who_leaves_does_not_take_the_search_from_the_others() -> None:
    async with counter(shop()) as market:
        market.wire.held[SEARCH] = asyncio.Event()
        leaving = asyncio.create_task(market.completed())
        staying = asyncio.create_task(market.completed())
        await until(lambda: bool(market.wire.asked))
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        market.wire.held[SEARCH].set()

        assert (await staying).suggestions


async def test_a_search_that_hangs_is_left_and_its_late_answer_is_kept() -> None:
    async with counter(shop()) as market:
        market.wire.held[SEARCH] = asyncio.Event()
        assert await market.completed(seconds=0.3) is ERROR

        market.wire.held[SEARCH].set()
        assert (await market.completed()).suggestions
        assert market.wire.asked == [SEARCH]


async def test_many_searches_go_a_few_at_a_time_and_too_many_are_not_made() -> None:
    async with counter(shop()) as market:
        market.wire.held[SEARCH] = asyncio.Event()
        asking = [asyncio.create_task(market.completed(f"A{n}")) for n in range(100)]
        await until(lambda: sum(each.done() for each in asking) >= 36)
        assert market.wire.asked == [SEARCH] * 4

        market.wire.held[SEARCH].set()
        told = await asyncio.gather(*asking)
        assert sum(bool(each.suggestions) for each in told) == 64


@pytest.mark.parametrize(
    ("error", "rests_seconds"),
    [
        (MalformedPayloadError("rubbish", provider=ACME), 30.0),
        (EntitlementMissingError("no", provider=ACME, feature="SEARCH"), DAY_SECONDS),
        (CredentialsRefusedError("no", provider=ACME), DAY_SECONDS),
    ],
)
async def test_after_a_failure_the_error_is_as_it_was_and_the_search_rests(
    error: ProviderError, rests_seconds: float
) -> None:
    async with counter(shop()) as market:
        market.wire.failures[SEARCH] = [error] * 3
        assert await market.completed("A") is ERROR
        asked = len(market.wire.asked)

        await market.clock.advance(rests_seconds - 10)
        assert await market.completed("B") is ERROR
        assert len(market.wire.asked) == asked

        await market.clock.advance(11)
        market.wire.failures.clear()
        assert (await market.completed("A")).suggestions


async def test_that_one_search_says_nothing_does_not_keep_others_from_being_made() -> (
    None
):
    async with counter(shop()) as market:
        market.wire.failures[SEARCH] = [
            NoDataUnexplainedError("nothing", provider=ACME)
        ]
        assert await market.completed("A") is ERROR
        assert (await market.completed("B")).suggestions


async def test_a_defect_of_a_search_is_logged_and_the_error_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with counter(shop(Finder(defect=True))) as market:
        assert await market.completed() is ERROR

    assert "symbols like APPL could not be found" in caplog.text


async def test_once_the_server_stops_the_error_is_as_it_was() -> None:
    async with counter(shop()) as market:
        await market.searches.__aexit__(None, None, None)
        assert await market.completed() is ERROR


def test_what_begins_with_what_was_typed_comes_first_and_only_once() -> None:
    found = [Suggestion(each, "") for each in ("AMS", "MSF", "MSFT", "AMS", "MSFX")]

    assert [each.symbol for each in ranked(found, "MSF")] == ["MSFT", "MSFX", "AMS"]


def test_no_more_than_five_are_told() -> None:
    found = [Suggestion(f"A{number}", "") for number in range(9)]

    assert len(ranked(found, "A")) == 5


async def test_a_sentence_names_three_and_the_facts_have_all() -> None:
    finds = [Suggestion(f"A{number}", f"Acme {number}") for number in range(5)]
    async with counter(shop(Finder(finds=finds))) as market:
        told = await market.completed()

    assert told.message.endswith(
        "did you mean A0 (Acme 0), A1 (Acme 1) or A2 (Acme 2)?"
    )
    assert told.suggestions == ("A0", "A1", "A2", "A3", "A4")


async def test_of_many_quotes_the_first_twenty_unknown_ones_are_searched_for() -> None:
    symbols = [f"A{number}" for number in range(30)]
    query = QuotesQuery(
        asked=tuple(Asked(symbol, instrument(symbol)) for symbol in symbols)
    )
    answers = [QuoteAnswer(symbol=symbol, snapshot=ERROR) for symbol in symbols]
    finder = Finder()
    async with counter(shop(finder)) as market:
        told = await market.suggester.completed_quotes(query, answers, left_seconds=20)

    assert [each.symbol for each in told] == symbols
    completed = [
        isinstance(each.snapshot, SymbolUnknownError) and each.snapshot.suggestions
        for each in told
    ]
    assert completed == [("AAPL", "AMAT")] * 20 + [()] * 10
    assert sorted(finder.asked) == sorted(symbols[:20])


def test_the_search_is_a_kind_of_its_own_so_that_its_breaker_is_too() -> None:
    assert "search" in kinds_served(shop())
    assert "search" not in kinds_served(Shop(ACME))
