"""Quotes from vendors: whom to ask, in how many calls, and what to make of answers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import inf, nan

import pytest
from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CapabilityMissingError,
    CostLimitError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    InvalidQueryError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    ServerStoppingError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import MINUTE_NS
from ingestion_server.domain.query import Priority, SourceMode, SourcePolicy
from ingestion_server.domain.result import Outcome
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade
from ingestion_server.ingest.quote_asking import QuoteAsker
from ingestion_server.ingest.quote_checks import checked
from ingestion_server.ingest.quote_flights import QuoteFlights
from ingestion_server.ingest.quote_route import QuoteRoute
from ingestion_server.ingest.quoting import Latest, Quoter, nothing_live
from ingestion_server.ports.budget import Window
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.live import Asked, QuoteAnswer, QuotesQuery
from ingestion_server.ports.quota import Lane
from tests.ingest.making import RECEIVED
from tests.ingest.vendors import Market, Shop

EQUITIES = frozenset({AssetClass.EQUITY})
DAY = Window(name="day", limit=20, seconds=86_400)


@dataclass
class Teller:
    """Tell a price of 100 of everything but what it does not know."""

    name: str
    most_symbols: int = 1
    asset_classes: frozenset[AssetClass] = EQUITIES
    day_only: frozenset[AssetClass] = frozenset()
    unknown: set[str] = field(default_factory=set)
    price: float = 100.0
    feature: str = "QUOTE"

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """Ask for all of them."""
        symbols = ",".join(each.symbol for each in instruments)
        return HttpRequest(
            self.name,
            f"https://{self.name}.example/quote",
            (("symbols", symbols),),
            feature=self.feature,
        )

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """Tell of all that it knows; what is called GONE is left out."""
        del response
        return {
            each: SymbolUnknownError("never heard", provider=self.name)
            if each.symbol in self.unknown
            else Snapshot(trade=Trade(each.symbol, RECEIVED, self.price))
            for each in instruments
            if each.symbol != "GONE"
        }


class Exchange(Market):
    """Join real rooms around shops that tell quotes."""

    def __init__(
        self,
        *shops: Shop,
        ranked: bool = False,
        fresh_seconds: float = 1.0,
        live: Latest = nothing_live,
    ) -> None:
        """Build all of it."""
        super().__init__(*shops, ranked=ranked)
        self.asked = QuoteFlights(
            self.clock, fresh_seconds=fresh_seconds, absent_seconds=60.0
        )
        self.quoter = Quoter(
            QuoteRoute(self.vendors, self.ranking, self.standings, random=lambda: 0.5),
            QuoteAsker(self.clock, self.asked),
            self.ranking,
            self.clock,
            live=live,
        )

    @override
    async def __aexit__(self, *_: object) -> None:
        await self.asked.__aexit__(None, None, None)
        await super().__aexit__(None, None, None)

    async def quotes(
        self,
        *symbols: str,
        policy: SourcePolicy | None = None,
        seconds: float = 30.0,
        priority: Priority = Priority.INTERACTIVE,
    ) -> list[QuoteAnswer]:
        """Ask for the quotes of some symbols."""
        asked = tuple(Asked(symbol, _meant(symbol)) for symbol in symbols)
        query = QuotesQuery(
            asked=asked, policy=policy or SourcePolicy(), priority=priority
        )
        return list(await self.quoter.quotes(query, budget_seconds=seconds))


def _meant(symbol: str) -> Instrument | InvalidQueryError:
    try:
        return instrument(symbol)
    except InvalidQueryError as error:
        return error


def shop(
    name: str,
    most_symbols: int = 1,
    *,
    cents: int = 0,
    windows: Sequence[Window] = (),
    needs_key: bool = False,
    **quoting: object,
) -> Shop:
    """Open a shop that tells quotes."""
    teller = Teller(name, most_symbols, **quoting)  # type: ignore[arg-type] # of a test
    return Shop(name, cents=cents, windows=windows, needs_key=needs_key, quoting=teller)


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., object]]:
    """Return what enters an exchange, which is left at the end."""
    async with AsyncExitStack() as stack:

        async def enter(*shops: Shop, **options: object) -> Exchange:
            return await stack.enter_async_context(Exchange(*shops, **options))  # type: ignore[arg-type]

        yield enter


Open = Callable[..., object]


def pinned(name: str) -> SourcePolicy:
    """Allow one vendor only."""
    return SourcePolicy(SourceMode.PINNED, (name,))


def ordered(*names: str) -> SourcePolicy:
    """Ask in this order."""
    return SourcePolicy(SourceMode.ORDERED, names)


def tried(answer: QuoteAnswer) -> list[tuple[str, Outcome]]:
    """Return each attempt's vendor and outcome."""
    return [(each.provider, each.outcome) for each in answer.attempts]


def error_of(answer: QuoteAnswer) -> IngestionError:
    """Return why there is nothing."""
    assert isinstance(answer.snapshot, IngestionError)
    return answer.snapshot


def price_of(answer: QuoteAnswer) -> float:
    """Return the price that is told."""
    assert isinstance(answer.snapshot, Snapshot), answer.snapshot
    assert answer.snapshot.trade is not None
    return answer.snapshot.trade.price


async def test_an_answer_is_signed_by_its_vendor(opened: Open) -> None:
    market = await opened(shop("acme", 10))

    (answer,) = await market.quotes("aapl")

    assert (answer.symbol, answer.provider) == ("aapl", "acme")
    assert not answer.live
    assert answer.received_at_ns == RECEIVED
    assert price_of(answer) == 100.0
    trade = answer.snapshot.trade
    assert (trade.symbol, trade.provider, trade.received_at_ns) == (
        "AAPL",
        "acme",
        RECEIVED,
    )
    (attempt,) = answer.attempts
    assert (attempt.outcome, attempt.calls, attempt.shared) == (
        Outcome.SERVED,
        1,
        False,
    )


async def test_who_takes_fewer_calls_is_asked_first(opened: Open) -> None:
    market = await opened(shop("single"), shop("batched", 10))

    many = await market.quotes(*(f"S{n}" for n in range(25)))
    assert {answer.provider for answer in many} == {"batched"}
    assert market.wire.asked == ["batched QUOTE"] * 3

    (one,) = await market.quotes("AAPL")
    assert one.provider == "single"


async def test_an_operators_order_is_kept_however_many_calls_it_takes(
    opened: Open,
) -> None:
    market = await opened(shop("single"), shop("batched", 10), ranked=True)

    many = await market.quotes("A", "B", "C")

    assert {answer.provider for answer in many} == {"single"}


async def test_who_tells_only_the_day_is_asked_last(opened: Open) -> None:
    market = await opened(
        shop("daily", day_only=EQUITIES), shop("timely", unknown={"B"})
    )

    first, second = await market.quotes("A", "B")

    assert (first.provider, second.provider) == ("timely", "daily")


async def test_who_charges_is_asked_after_who_does_not(opened: Open) -> None:
    market = await opened(shop("paid", 10, cents=1), shop("free"))

    answers = await market.quotes("A", "B")

    assert {answer.provider for answer in answers} == {"free"}


async def test_of_equals_one_who_has_used_less_of_a_days_quota_is_asked_first(
    opened: Open,
) -> None:
    market = await opened(shop("acme", windows=[DAY]), shop("zenith"))

    names = [(await market.quotes(f"S{number}"))[0].provider for number in range(10)]

    assert names == ["acme"] + ["zenith"] * 9


async def test_two_who_count_by_the_day_are_used_up_evenly(opened: Open) -> None:
    market = await opened(shop("acme", windows=[DAY]), shop("zenith", windows=[DAY]))

    names = [(await market.quotes(f"S{number}"))[0].provider for number in range(10)]

    assert names.count("acme") == names.count("zenith") == 5


async def test_an_operators_order_is_kept_whatever_quota_is_used(opened: Open) -> None:
    market = await opened(shop("acme", windows=[DAY]), shop("zenith"), ranked=True)

    names = [(await market.quotes(f"S{number}"))[0].provider for number in range(10)]

    assert names == ["acme"] * 10


async def test_what_one_cannot_tell_goes_on_to_the_next(opened: Open) -> None:
    market = await opened(
        shop("acme", 10, unknown={"B", "C"}), shop("zeta", unknown={"C"})
    )

    a, b, c = await market.quotes("A", "B", "C")

    assert (a.provider, b.provider) == ("acme", "zeta")
    assert isinstance(error_of(c), SymbolUnknownError)
    assert tried(b) == [("acme", Outcome.NO_DATA), ("zeta", Outcome.SERVED)]
    assert tried(c) == [("acme", Outcome.NO_DATA), ("zeta", Outcome.NO_DATA)]
    assert market.wire.asked == ["acme QUOTE", "zeta QUOTE", "zeta QUOTE"]


async def test_what_is_left_out_of_an_answer_is_not_explained(opened: Open) -> None:
    market = await opened(shop("acme", 10))

    gone, there = await market.quotes("GONE", "A")

    assert isinstance(error_of(gone), NoDataUnexplainedError)
    assert price_of(there) == 100.0


async def test_a_price_that_cannot_be_true_is_no_answer(opened: Open) -> None:
    market = await opened(shop("acme", price=nan), shop("zeta"))

    (answer,) = await market.quotes("A")

    assert answer.provider == "zeta"
    assert "can be true" in answer.attempts[0].reason


async def test_kinds_that_no_vendor_tells_say_who_lacks_what(opened: Open) -> None:
    silent = dataclasses.replace(shop("silent"), quoting=None)
    market = await opened(shop("acme"), silent)

    index, share, wrong = await market.quotes("^GSPC", "A", "not one")

    error = error_of(index)
    assert isinstance(error, CapabilityMissingError)
    assert set(error.facts()) == {"acme", "silent"}
    assert price_of(share) == 100.0
    assert isinstance(error_of(wrong), InvalidQueryError)
    assert wrong.attempts == ()


class Picky(Shop):
    """Have a symbol for some only."""

    @override
    def spelling(self, instrument: Instrument) -> str | None:
        return None if instrument.symbol.startswith("X") else instrument.symbol


async def test_a_vendor_is_asked_only_for_what_it_has_a_symbol_for(
    opened: Open,
) -> None:
    picky = Picky("picky", quoting=Teller("picky", 10))
    market = await opened(picky, shop("acme"), ranked=True)

    a, x = await market.quotes("A", "X")
    (pinned_x,) = await market.quotes("XX", policy=pinned("picky"))

    assert (a.provider, x.provider) == ("picky", "acme")
    assert x.attempts[0].reason == "CAPABILITY_MISSING: has no equity X on XNYS"
    assert isinstance(error_of(pinned_x), CapabilityMissingError)
    assert market.wire.asked == ["picky QUOTE", "acme QUOTE"]


async def test_who_went_behind_is_tried_again_now_and_then(opened: Open) -> None:
    market = await opened(shop("acme"), shop("zeta"))
    for number in range(6):
        market.wire.failures["acme QUOTE"] = [
            NoDataUnexplainedError("nothing", provider="acme")
        ]
        await market.quotes(f"S{number}")
    market.wire.failures.clear()
    market.wire.failures["acme QUOTE"] = [
        ProviderUnavailableError("down", provider="acme") for _ in range(9)
    ]
    for number in range(3):
        await market.quotes(f"T{number}")
    (behind,) = await market.quotes("U")
    assert tried(behind) == [("zeta", Outcome.SERVED)]

    market.wire.failures.clear()
    market.clock.pass_by(30)
    (probed,) = await market.quotes("V")
    (after,) = await market.quotes("W")

    assert probed.provider == "acme"
    assert after.provider == "zeta"


async def test_who_is_switched_off_or_has_no_key_is_not_asked(opened: Open) -> None:
    market = await opened(shop("off"), shop("keyless"), shop("acme"))
    del market.vendors["off"]
    market.vendors["keyless"] = replace(
        market.vendors["keyless"], no_key="set KEYLESS_KEY"
    )

    (answer,) = await market.quotes("A")

    assert answer.provider == "acme"
    assert [each.reason.partition(":")[0] for each in answer.attempts] == [
        "CAPABILITY_MISSING",
        "CREDENTIALS_REFUSED",
        "",
    ]
    assert market.wire.asked == ["acme QUOTE"]


async def test_a_consensus_and_unknown_vendors_are_refused(opened: Open) -> None:
    market = await opened(shop("acme"))

    for policy in (
        SourcePolicy(SourceMode.CONSENSUS),
        pinned("nobody"),
        SourcePolicy(SourceMode.ORDERED),
    ):
        with pytest.raises(InvalidQueryError):
            await market.quotes("A", policy=policy)


async def test_a_callers_order_is_kept(opened: Open) -> None:
    market = await opened(shop("acme"), shop("zeta", unknown={"B"}))

    first, second = await market.quotes("A", "B", policy=ordered("zeta", "acme"))

    assert (first.provider, second.provider) == ("zeta", "acme")


async def test_what_is_live_takes_no_vendor(opened: Open) -> None:
    names_seen: list[Sequence[str]] = []

    def live(
        about: Instrument, names: Sequence[str]
    ) -> tuple[Snapshot, str, int] | None:
        names_seen.append(names)
        if about.symbol != "A":
            return None
        return Snapshot(trade=Trade("A", RECEIVED, 7.0, sequence=3)), "zeta", 5

    market = await opened(shop("acme"), shop("zeta"), live=live)

    a, b = await market.quotes("A", "B", policy=ordered("zeta", "acme"))

    assert (a.live, a.provider, a.received_at_ns, price_of(a)) == (True, "zeta", 5, 7.0)
    assert a.attempts == ()
    assert not b.live
    assert names_seen[0] == ("zeta", "acme")
    assert market.wire.asked == ["zeta QUOTE"]


async def test_calls_are_at_most_eight_at_once(opened: Open) -> None:
    market = await opened(shop("acme"))
    market.wire.held["acme QUOTE"] = held = asyncio.Event()

    asking = asyncio.create_task(market.quotes(*(f"S{n}" for n in range(20))))
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(market.wire.asked) == 8

    held.set()
    assert len(await asking) == len(market.wire.asked) == 20


async def test_equal_questions_at_once_share_their_calls(opened: Open) -> None:
    market = await opened(shop("acme", 10))
    market.wire.held["acme QUOTE"] = held = asyncio.Event()

    first = asyncio.create_task(market.quotes("A", "B"))
    await asyncio.sleep(0)
    second = asyncio.create_task(market.quotes("B", "C"))
    for _ in range(50):
        await asyncio.sleep(0)
    held.set()
    (_, b), (again, c) = await asyncio.gather(first, second)

    assert market.wire.asked == ["acme QUOTE", "acme QUOTE"]
    assert not b.attempts[0].shared
    assert again.attempts[0].shared
    assert again.attempts[0].calls == 0
    assert not c.attempts[0].shared


async def test_questions_of_the_very_same_moment_share_a_call(opened: Open) -> None:
    market = await opened(shop("acme", 10))

    answers = await asyncio.gather(*(market.quotes("A", "B") for _ in range(20)))

    assert market.wire.asked == ["acme QUOTE"]
    assert all(price_of(each) == 100.0 for answer in answers for each in answer)


async def test_who_has_more_time_asks_again_after_a_call_that_had_too_little(
    opened: Open,
) -> None:
    market = await opened(shop("acme"))
    market.wire.held["acme QUOTE"] = held = asyncio.Event()
    hasty = asyncio.create_task(market.quotes("A", seconds=0.2))
    for _ in range(50):
        await asyncio.sleep(0)
    patient = asyncio.create_task(market.quotes("A"))

    (late,) = await hasty
    held.set()
    (answer,) = await patient

    assert isinstance(error_of(late), DeadlineExceededError)
    assert price_of(answer) == 100.0
    assert market.wire.asked == ["acme QUOTE"] * 2


async def test_who_has_less_time_leaves_a_call_that_goes_on(opened: Open) -> None:
    market = await opened(shop("acme"))
    market.wire.held["acme QUOTE"] = held = asyncio.Event()
    patient = asyncio.create_task(market.quotes("A"))
    for _ in range(50):
        await asyncio.sleep(0)

    (late,) = await market.quotes("A", seconds=0.2)
    held.set()
    (answer,) = await patient

    assert isinstance(error_of(late), DeadlineExceededError)
    assert price_of(answer) == 100.0
    assert market.wire.asked == ["acme QUOTE"]


async def test_who_leaves_does_not_end_a_call_that_another_waits_for(
    opened: Open,
) -> None:
    market = await opened(shop("acme"))
    market.wire.held["acme QUOTE"] = held = asyncio.Event()
    first = asyncio.create_task(market.quotes("A"))
    for _ in range(50):
        await asyncio.sleep(0)
    second = asyncio.create_task(market.quotes("A"))
    for _ in range(50):
        await asyncio.sleep(0)

    first.cancel()
    for _ in range(50):
        await asyncio.sleep(0)
    held.set()

    (answer,) = await second
    assert price_of(answer) == 100.0
    assert market.wire.asked == ["acme QUOTE"]


async def test_a_call_that_nobody_waits_for_is_ended(opened: Open) -> None:
    market = await opened(shop("acme"))
    market.wire.held["acme QUOTE"] = asyncio.Event()
    asking = asyncio.create_task(market.quotes("A"))
    for _ in range(50):
        await asyncio.sleep(0)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert market.asked.over("acme", Lane.INTERACTIVE, instrument("A")) is None


async def test_a_batch_call_is_not_waited_for_by_who_is_in_a_hurry(
    opened: Open,
) -> None:
    market = await opened(shop("acme"))
    market.wire.held["acme QUOTE"] = held = asyncio.Event()
    slow = asyncio.create_task(market.quotes("A", priority=Priority.BATCH))
    for _ in range(50):
        await asyncio.sleep(0)
    quick = asyncio.create_task(market.quotes("A"))
    for _ in range(50):
        await asyncio.sleep(0)

    assert [call.lane for call in market.calls] == [Lane.BATCH, Lane.INTERACTIVE]
    held.set()
    await asyncio.gather(slow, quick)


async def test_what_was_told_a_moment_ago_serves_again_for_its_time(
    opened: Open,
) -> None:
    market = await opened(shop("acme", 10, unknown={"X"}))
    await market.quotes("A", "X")

    market.clock.pass_by(0.9)
    known, absent = await market.quotes("A", "X")
    assert market.wire.asked == ["acme QUOTE"]
    assert known.attempts[0].shared
    assert isinstance(error_of(absent), SymbolUnknownError)

    market.clock.pass_by(0.2)
    await market.quotes("A", "X")
    assert market.wire.asked == ["acme QUOTE"] * 2

    market.clock.pass_by(60)
    await market.quotes("X")
    assert market.wire.asked == ["acme QUOTE"] * 3


async def test_nothing_serves_again_if_that_is_switched_off(opened: Open) -> None:
    market = await opened(shop("acme"), fresh_seconds=0.0)

    await market.quotes("A")
    await market.quotes("A")

    assert market.wire.asked == ["acme QUOTE"] * 2


async def test_a_failure_is_not_remembered(opened: Open) -> None:
    market = await opened(shop("acme"))
    market.wire.failures["acme QUOTE"] = [
        MalformedPayloadError("rubbish", provider="acme") for _ in range(3)
    ]

    (failed,) = await market.quotes("A")
    (answer,) = await market.quotes("A")

    assert isinstance(error_of(failed), MalformedPayloadError)
    assert price_of(answer) == 100.0


async def test_a_key_that_is_refused_is_not_tried_with_every_symbol(
    opened: Open,
) -> None:
    market = await opened(shop("acme"))
    market.wire.failures["acme QUOTE"] = [
        CredentialsRefusedError("wrong key", provider="acme") for _ in range(100)
    ]

    answers = await market.quotes(*(f"S{n}" for n in range(100)))

    assert all(isinstance(error_of(a), CredentialsRefusedError) for a in answers)
    assert len(market.wire.asked) <= 8


async def test_what_the_plan_refuses_is_not_asked_for_again_the_same_day(
    opened: Open,
) -> None:
    market = await opened(shop("acme"), shop("zeta"))
    market.wire.failures["acme QUOTE"] = [
        EntitlementMissingError("pay", provider="acme", feature="QUOTE")
    ]

    (first,) = await market.quotes("A")
    (second,) = await market.quotes("B")
    assert (first.provider, second.provider) == ("zeta", "zeta")
    assert market.wire.asked == ["acme QUOTE", "zeta QUOTE", "zeta QUOTE"]
    assert tried(second)[0] == ("acme", Outcome.SKIPPED)

    market.clock.pass_by(86_401)
    (third,) = await market.quotes("C")
    assert third.provider == "acme"


async def test_half_of_a_days_quota_is_kept_from_one_question_about_many(
    opened: Open,
) -> None:
    market = await opened(shop("acme", windows=[DAY]), shop("batched", 50))
    market.wire.failures["batched QUOTE"] = [
        ProviderUnavailableError("down", provider="batched") for _ in range(3)
    ]

    answers = await market.quotes(*(f"S{n}" for n in range(40)))

    served = [a for a in answers if a.provider == "acme"]
    assert 10 <= len(served) == market.wire.asked.count("acme QUOTE") <= 18
    missed = next(a for a in answers if not a.provider)
    assert "kept for others" in missed.attempts[-1].reason


async def test_a_pinned_vendor_spends_what_it_has(opened: Open) -> None:
    market = await opened(shop("acme", windows=[DAY]), shop("batched", 50))

    answers = await market.quotes(*(f"S{n}" for n in range(25)), policy=pinned("acme"))

    served = [a for a in answers if a.provider == "acme"]
    assert len(served) == 20
    errors = [error_of(a) for a in answers if not a.provider]
    assert all(isinstance(error, QuotaExhaustedError) for error in errors)


async def test_quota_is_not_waited_for_while_another_is_as_good(opened: Open) -> None:
    minute = Window(name="minute", limit=1, seconds=60.0)
    market = await opened(shop("acme", windows=[minute]), shop("zeta"), ranked=True)
    await market.quotes("A")

    (answer,) = await market.quotes("B")

    assert answer.provider == "zeta"
    assert tried(answer) == [("acme", Outcome.SKIPPED), ("zeta", Outcome.SERVED)]
    assert market.clock.monotonic() < 1001


async def test_who_had_no_quota_at_once_is_asked_again_at_the_end(
    opened: Open,
) -> None:
    seconds = Window(name="seconds", limit=1, seconds=3.0)
    market = await opened(
        shop("acme", windows=[seconds]), shop("zeta", unknown={"B"}), ranked=True
    )
    await market.quotes("A")

    (answer,) = await market.quotes("B")

    assert answer.provider == "acme"
    assert tried(answer) == [
        ("acme", Outcome.SKIPPED),
        ("zeta", Outcome.NO_DATA),
        ("acme", Outcome.SERVED),
    ]
    assert 1002 < market.clock.monotonic() < 1004


async def test_a_limit_of_cost_is_never_passed(opened: Open) -> None:
    market = await opened(shop("acme", cents=1))

    policy = SourcePolicy(max_cost_usd=0.05)
    answers = await market.quotes(*(f"S{n}" for n in range(20)), policy=policy)

    served = [a for a in answers if a.provider]
    assert len(served) == len(market.wire.asked) == 5
    errors = [error_of(a) for a in answers if not a.provider]
    assert all(isinstance(error, CostLimitError) for error in errors)


async def test_a_resting_vendor_is_passed_over(opened: Open) -> None:
    market = await opened(shop("acme", 10), shop("zeta"))
    for _ in range(5):
        market.wire.failures["acme QUOTE"] = [
            MalformedPayloadError("rubbish", provider="acme") for _ in range(3)
        ]
        await market.quotes("A", "B", policy=pinned("acme"))
    calls = market.wire.asked.count("acme QUOTE")
    market.wire.failures.clear()

    answers = await market.quotes("A", "B")

    assert {a.provider for a in answers} == {"zeta"}
    assert market.wire.asked.count("acme QUOTE") == calls
    (alone,) = await market.quotes("C", policy=pinned("acme"))
    assert alone.snapshot.reason == "PINNED_PROVIDER_FAILED"
    assert not isinstance(alone.snapshot, BreakerOpenError)


async def test_when_no_time_is_left_each_symbol_says_so(opened: Open) -> None:
    market = await opened(shop("acme"))

    answers = await market.quotes("A", "B", seconds=0.0)

    assert all(isinstance(error_of(a), DeadlineExceededError) for a in answers)
    assert market.wire.asked == []


async def test_who_hangs_takes_no_more_than_its_share(opened: Open) -> None:
    market = await opened(shop("acme"), shop("zeta"))
    market.wire.held["acme QUOTE"] = asyncio.Event()

    (answer,) = await market.quotes("A", seconds=0.4)

    assert answer.provider == "zeta"
    assert tried(answer) == [("acme", Outcome.FAILED), ("zeta", Outcome.SERVED)]


async def test_a_server_that_stops_says_so(opened: Open) -> None:
    market = await opened(shop("acme", unknown={"B"}), shop("zeta"))
    market.wire.held["acme QUOTE"] = asyncio.Event()
    asking = asyncio.create_task(market.quotes("A"))
    for _ in range(50):
        await asyncio.sleep(0)

    await market.asked.__aexit__(None, None, None)

    (ended,) = await asking
    assert isinstance(error_of(ended), ServerStoppingError)
    (late,) = await market.quotes("C")
    assert isinstance(error_of(late), ServerStoppingError)


def quote(**parts: float | None) -> Snapshot | ProviderError:
    """Check a snapshot of a price and a quote of such parts."""
    snapshot = Snapshot(trade=Trade("A", 1, 5.0), quote=Quote("A", 1, **parts))
    return checked(snapshot, symbol="A", provider="acme", received_at_ns=1)


@pytest.mark.parametrize(
    "parts",
    [
        {"bid": 2.0, "ask": 1.0},
        {"bid": nan, "ask": inf},
        {"bid": 0.0, "ask": -1.0},
        {},
    ],
)
def test_a_quote_that_cannot_be_true_is_left_out(parts: dict[str, float]) -> None:
    told = quote(**parts)

    assert isinstance(told, Snapshot)
    assert told.quote is None
    assert told.trade is not None


def test_what_of_a_quote_can_be_true_is_kept() -> None:
    told = quote(bid=1.0, bid_size=-1.0, ask=nan, ask_size=5.0)
    assert isinstance(told, Snapshot)
    assert told.quote is not None
    assert (told.quote.bid, told.quote.bid_size) == (1.0, None)
    assert (told.quote.ask, told.quote.ask_size) == (None, None)

    equal = quote(bid=1.0, ask=1.0, bid_size=0.0)
    assert isinstance(equal, Snapshot)
    assert equal.quote is not None
    assert equal.quote.bid_size == 0.0


def test_a_time_too_far_ahead_is_doubtful_and_what_was_marked_stays_so() -> None:
    def marks(ahead_ns: int, marked: int = 0) -> int:
        trade = Trade("A", RECEIVED + ahead_ns, 5.0, size=nan, marks=marked)
        told = checked(
            Snapshot(trade=trade, previous_close=-1.0),
            symbol="A",
            provider="acme",
            received_at_ns=RECEIVED,
        )
        assert isinstance(told, Snapshot)
        assert told.trade is not None
        assert told.trade.size is None
        assert told.previous_close is None
        return told.trade.marks

    assert marks(5 * MINUTE_NS) == 0
    assert marks(5 * MINUTE_NS + 1) == TickMark.TIME_DOUBTFUL
    assert marks(0, TickMark.TIME_DOUBTFUL) == TickMark.TIME_DOUBTFUL
