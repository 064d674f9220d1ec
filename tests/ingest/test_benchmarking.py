"""Vendors are asked the same questions in turn, and never more than is plentiful."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from typing_extensions import override

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.errors import (
    CallerThrottledError,
    EntitlementMissingError,
    InvalidQueryError,
    ProviderUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.result import Outcome
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.benchmarking import Benchmarking
from ingestion_server.ingest.entrants import Registrar
from ingestion_server.ports.benchmarking import (
    Agreement,
    Benchmark,
    BenchmarkReport,
    VendorBenchmark,
)
from ingestion_server.ports.budget import Budget, Counts, Window
from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.provider import BarAsk
from tests.builders import ns
from tests.ingest.making import ACME, ZENITH, june
from tests.ingest.vendors import QUERY, TEN_DAYS, Market, OneCalendar, Shop

DAY = Window(name="day", limit=20, seconds=86_400)
"""Of which ten calls are plentiful."""
UNITS = msgspec.structs.replace(DAY, counts=Counts.UNITS)
ODD = BarQuery(instrument("EUR/USD"), Interval.DAY_1, limit=5)
"""Which no shop sells."""


@dataclass
class Liar(Shop):
    """Sell bars of which one has another close."""

    lie: float = 101.0

    @override
    def series(self) -> BarSeries:
        """Give the days, with a lie on the seventh."""
        told = june(*self.days)
        told.close[np.searchsorted(told.open_time_ns, ns("2024-06-07"))] = self.lie
        return told


@dataclass
class Weigher(Shop):
    """Sell bars by the piece, of which each call brings several."""

    times: int = 5
    allowance: int = 0

    @property
    @override
    def budget(self) -> Budget:
        """Charge for each piece beyond the allowance, and say how many there were."""
        return msgspec.structs.replace(
            super().budget, allowance_units=self.allowance, used_header="x-used"
        )

    @override
    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Expect so many pieces."""
        return [
            msgspec.structs.replace(each, times=self.times)
            for each in super().bar_requests(ask)
        ]


class NoCalendar:
    """Know no exchange."""

    async def sessions(self, calendar: str) -> Sessions | None:
        """Tell nothing."""
        del calendar


class Fair:
    """Compare shops."""

    def __init__(self, *shops: Shop) -> None:
        self.market = Market(*shops)
        self.wire = self.market.wire
        self.names = [shop.name for shop in shops]
        self.registrar = Registrar(
            self.market.vendors, self.market.ledger, self.wire, self.market.clock
        )
        self.benchmarking = Benchmarking(
            self.market.fetcher,
            self.registrar,
            OneCalendar(),
            self.market.meter,
            self.market.clock,
        )

    async def run(
        self,
        *questions: BarQuery,
        rounds: int = 1,
        seconds: float = 100.0,
        tolerance: float = 1e-6,
        names: Sequence[str] | None = None,
    ) -> BenchmarkReport:
        """Ask for the ten days, or for something else."""
        return await self.benchmarking.run(
            Benchmark(
                questions=questions or (QUERY,),
                providers=self.names if names is None else names,
                rounds=rounds,
                tolerance=tolerance,
            ),
            budget_seconds=seconds,
        )

    @property
    def asked(self) -> list[str]:
        """Return who was called, in order."""
        return [kind.partition(" ")[0] for kind in self.wire.asked]

    async def until_asked(self, name: str) -> None:
        """Let others go on until a vendor is called."""
        while name not in self.asked:  # noqa: ASYNC110 - there is no such event
            await asyncio.sleep(0)

    def slow(self, **seconds: float) -> None:
        """Let calls of vendors take so long."""
        send = self.wire.send

        async def later(
            request: HttpRequest, *, timeout_seconds: float, trip: Trip | None = None
        ) -> HttpResponse:
            await self.market.clock.sleep(seconds.get(request.provider, 0.0))
            return await send(request, timeout_seconds=timeout_seconds, trip=trip)

        self.wire.send = later  # type: ignore[method-assign]


@asynccontextmanager
async def fair(*shops: Shop) -> AsyncIterator[Fair]:
    """Open a fair."""
    found = Fair(*shops)
    async with found.market:
        yield found


def of(report: BenchmarkReport, name: str) -> VendorBenchmark:
    """Return how one vendor answered."""
    return next(each for each in report.vendors if each.provider == name)


def other(symbol: str, **changes: object) -> BarQuery:
    """Ask for the days of something else."""
    return msgspec.structs.replace(QUERY, instrument=instrument(symbol), **changes)


async def test_all_vendors_are_asked_all_questions_in_all_rounds() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        report = await found.run(QUERY, other("MSFT"), rounds=2)

    assert [each.provider for each in report.vendors] == [ACME, ZENITH]
    for each in report.vendors:
        assert (each.asked, each.answered, each.completeness) == (4, 4, 1.0)
        assert [(one.round, one.question) for one in each.answers] == [
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        ]
        assert {one.outcome for one in each.answers} == {Outcome.SERVED}
        assert [one.bars for one in each.answers] == [10] * 4


async def test_each_time_another_vendor_is_the_first() -> None:
    async with fair(Shop("a"), Shop("b"), Shop("c")) as found:
        await found.run(QUERY, other("MSFT"), rounds=2)

    assert found.asked == [*"abc", *"bca", *"bca", *"cab"]


async def test_what_is_known_is_asked_anew() -> None:
    async with fair(Shop(ACME)) as found:
        await found.market.fetch()
        await found.run(rounds=3)

    assert len(found.asked) == 4


async def test_latency_is_what_the_calls_took_without_waiting_for_quota() -> None:
    second = Window(name="second", limit=1, seconds=1)
    async with fair(Shop(ACME, windows=[second]), Shop(ZENITH)) as found:
        found.slow(acme=0.25, zenith=0.5)
        began = found.market.clock.monotonic()
        report = await found.run(rounds=4)
        took = found.market.clock.monotonic() - began

    acme, zenith = report.vendors
    assert [each.latency_seconds for each in acme.answers] == [0.25] * 4
    assert (acme.latency_seconds(0.5), zenith.latency_seconds(0.5)) == (0.25, 0.5)
    assert acme.latency_seconds(0.95) == 0.25
    # It did wait.
    assert took > 3


async def test_bars_that_a_vendor_lacks_show_in_its_completeness() -> None:
    async with fair(Shop(ACME, days=TEN_DAYS[:7]), Shop(ZENITH)) as found:
        report = await found.run()

    acme = of(report, ACME)
    assert (acme.answered, acme.completeness) == (1, pytest.approx(0.7))
    assert acme.answers[0].reason == "PARTIAL: 3 of 10 bars are still missing"
    assert report.agreements == [
        Agreement(
            provider=ACME,
            other=ZENITH,
            compared=7,
            agreeing=7,
            unmatched=3,
            worst=0.0,
            worst_symbol="AAPL",
            worst_ns=ns("2024-06-03"),
        )
    ]


async def test_a_vendor_that_lies_about_a_price_is_found_out() -> None:
    async with fair(Shop(ACME), Liar(ZENITH)) as found:
        report = await found.run(other("MSFT"), QUERY)
        tolerant = await found.run(tolerance=0.02)

    (agreement,) = report.agreements
    assert (agreement.compared, agreement.agreeing) == (20, 18)
    assert agreement.worst == pytest.approx(1 / 101)
    assert (agreement.worst_symbol, agreement.worst_ns) == ("MSFT", ns("2024-06-07"))
    assert tolerant.agreements[0].agreeing == 10


async def test_rows_that_contradict_themselves_are_counted() -> None:
    async with fair(Liar(ACME, lie=-1.0)) as found:
        report = await found.run()

    (answer,) = of(report, ACME).answers
    assert (answer.quarantined, answer.bars, answer.completeness) == (1, 9, 0.9)


async def test_each_two_vendors_are_compared() -> None:
    async with fair(Shop("a"), Shop("b"), Liar("c")) as found:
        report = await found.run()

    assert [(one.provider, one.other, one.agreeing) for one in report.agreements] == [
        ("a", "b", 10),
        ("a", "c", 9),
        ("b", "c", 9),
    ]


async def test_a_failure_is_told_and_the_others_go_on() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        found.wire.failures[f"{ACME} BARS"] = [
            ProviderUnavailableError("acme is on fire", provider=ACME) for _ in range(3)
        ]
        report = await found.run()

    (failed,) = of(report, ACME).answers
    assert (failed.outcome, failed.calls, failed.bars) == (Outcome.FAILED, 3, 0)
    assert failed.reason == "PINNED_PROVIDER_FAILED: acme is on fire"
    assert failed.completeness == 0
    assert of(report, ACME).latency_seconds(0.5) is None
    assert of(report, ZENITH).answered == 1
    # What one did not give, only the other gave.
    assert report.agreements[0].unmatched == 10
    assert report.agreements[0].worst is None


async def test_a_symbol_that_a_vendor_does_not_know_is_told() -> None:
    async with fair(Shop(ACME)) as found:
        found.wire.failures[f"{ACME} BARS"] = [
            SymbolUnknownError("no such thing", provider=ACME)
        ]
        report = await found.run()

    (answer,) = of(report, ACME).answers
    assert answer.outcome is Outcome.FAILED
    assert answer.reason.startswith("SYMBOL_UNKNOWN: ")


async def test_what_a_vendor_cannot_answer_is_not_asked_of_it() -> None:
    async with fair(Shop(ACME)) as found:
        report = await found.run(ODD, QUERY)

    odd, even = of(report, ACME).answers
    assert (odd.outcome, odd.completeness, odd.calls) == (Outcome.SKIPPED, None, 0)
    assert odd.reason.startswith("CAPABILITY_MISSING: ")
    assert even.outcome is Outcome.SERVED
    assert (of(report, ACME).asked, of(report, ACME).skipped_reason) == (1, "")


async def test_who_can_answer_nothing_is_left_out() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        report = await found.run(ODD)

    assert [each.answers for each in report.vendors] == [(), ()]
    assert of(report, ACME).skipped_reason.startswith("CAPABILITY_MISSING: ")
    assert (found.asked, report.agreements) == ([], [])


@pytest.mark.parametrize(
    ("used", "rounds", "asked"), [(0, 10, 10), (1, 9, 9), (1, 10, 0), (11, 1, 0)]
)
async def test_half_of_each_long_window_is_left_for_others(
    used: int, rounds: int, asked: int
) -> None:
    async with fair(Shop(ACME, windows=[DAY]), Shop(ZENITH)) as found:
        for _ in range(used):
            await found.market.fetch(ACME)
        report = await found.run(rounds=rounds)

    acme = of(report, ACME)
    assert acme.asked == asked
    assert found.asked.count(ACME) == used + asked
    assert of(report, ZENITH).asked == rounds
    if not asked:
        assert acme.skipped_reason == (
            f"QUOTA_EXHAUSTED: {20 - used} of 20 calls are left in the window 'day', "
            f"and the questions take {rounds}; at least half must stay for others"
        )


async def test_calls_for_corporate_actions_count_once_for_each_instrument() -> None:
    shop = Shop(ACME, windows=[DAY], action_calls=2)
    async with fair(shop) as found:
        report = await found.run(rounds=8)
        too_much = await found.run(other("MSFT"), rounds=1)

    assert of(report, ACME).asked == 8
    assert "the questions take 3" in of(too_much, ACME).skipped_reason


async def test_units_are_counted_by_what_calls_weigh() -> None:
    async with fair(Shop(ACME, windows=[UNITS], calls=3)) as found:
        report = await found.run(rounds=4)

    assert "the questions take 12" in of(report, ACME).skipped_reason


async def test_calls_that_bring_several_pieces_weigh_as_many_units() -> None:
    async with fair(Weigher(ACME, windows=[UNITS])) as found:
        too_much = await found.run(rounds=3)
        report = await found.run(rounds=2)

    assert "the questions take 15" in of(too_much, ACME).skipped_reason
    # Each of them is one call all the same.
    assert [each.calls for each in of(report, ACME).answers] == [1, 1]
    assert found.asked == [ACME, ACME]
    (use,) = found.market.ledger.uses()
    assert use.windows[0].remaining == 10


async def test_calls_that_bring_several_pieces_cost_as_much() -> None:
    async with fair(Weigher(ACME, cents=2)) as found:
        report = await found.run(rounds=3)

    assert "the calls would cost 0.30 US dollars" in of(report, ACME).skipped_reason
    assert found.asked == []


async def test_calls_that_bring_several_pieces_wait_until_all_of_them_fit() -> None:
    minute = Window(name="minute", limit=6, seconds=60, counts=Counts.UNITS)
    async with fair(Weigher(ACME, windows=[minute])) as found:
        report = await found.run(rounds=3, seconds=300)

    assert of(report, ACME).answered == 3


async def test_a_call_that_fails_costs_what_the_vendor_says_that_it_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Weigher(ACME, cents=2, allowance=5)
    async with fair(shop) as found:
        send = found.wire.send

        async def dear(
            request: HttpRequest, *, timeout_seconds: float, trip: Trip | None = None
        ) -> HttpResponse:
            answer = await send(request, timeout_seconds=timeout_seconds, trip=trip)
            return msgspec.structs.replace(answer, headers={"x-used": "8"})

        def refuse(*_: object) -> None:
            raise EntitlementMissingError("not yours", provider=ACME, feature="BARS")

        monkeypatch.setattr(found.wire, "send", dear)
        monkeypatch.setattr(shop, "check", refuse)
        report = await found.run()

    (failed,) = of(report, ACME).answers
    assert (failed.outcome, failed.calls) == (Outcome.FAILED, 1)
    assert failed.cost_usd == Decimal("0.06")


async def test_who_is_called_by_others_meanwhile_is_not_asked_further() -> None:
    async with fair(Shop(ACME, windows=[DAY]), Shop(ZENITH)) as found:
        held = found.wire.held[f"{ZENITH} BARS"] = asyncio.Event()
        running = asyncio.create_task(found.run(rounds=5))
        await found.until_asked(ZENITH)
        for _ in range(8):
            await found.market.fetch(ACME)
        held.set()
        report = await running

    outcomes = [each.outcome for each in of(report, ACME).answers]
    assert outcomes == [Outcome.SERVED] * 2 + [Outcome.SKIPPED] * 3
    assert of(report, ACME).answers[-1].reason.startswith("QUOTA_EXHAUSTED: ")
    assert of(report, ZENITH).answered == 5


async def test_short_windows_are_waited_for_and_may_be_used_up() -> None:
    minute = Window(name="minute", limit=2, seconds=60)
    async with fair(Shop(ACME, windows=[minute])) as found:
        report = await found.run(rounds=5, seconds=300)

    assert of(report, ACME).answered == 5


async def test_what_does_not_fit_the_time_says_so() -> None:
    minute = Window(name="minute", limit=2, seconds=60)
    async with fair(Shop(ACME, windows=[minute]), Shop(ZENITH)) as found:
        report = await found.run(rounds=5, seconds=30)

    acme = [each.outcome for each in of(report, ACME).answers]
    assert acme.count(Outcome.SERVED) < 5
    assert acme[-1] is Outcome.SKIPPED
    assert of(report, ACME).answers[-1].reason.startswith("QUOTA_EXHAUSTED: no call")
    assert of(report, ZENITH).answered == 5


async def test_who_wants_to_be_left_alone_is_left_out() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        quota = found.market.vendors[ACME].quota
        quota.penalise(retry_after_seconds=3600.0, window="")
        report = await found.run()

    assert of(report, ACME).skipped_reason.startswith(
        "QUOTA_EXHAUSTED: no call to acme fits its quota for another 1 hour"
    )
    assert of(report, ZENITH).answered == 1
    assert ACME not in found.asked


async def test_who_has_no_turn_in_sight_is_left_out() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        quota = found.market.vendors[ACME].quota
        quota.penalise(retry_after_seconds=1e9, window="")
        report = await found.run()

    assert of(report, ACME).skipped_reason.startswith("QUOTA_EXHAUSTED: ")
    assert "inf" not in of(report, ACME).skipped_reason
    assert of(report, ZENITH).answered == 1


async def test_a_question_that_takes_too_many_calls_is_not_asked() -> None:
    async with fair(Shop(ACME, calls=65), Shop(ZENITH)) as found:
        report = await found.run()

    assert of(report, ACME).skipped_reason == (
        "CAPABILITY_MISSING: this would take 65 calls, and one question may take 64; "
        "shorten the range"
    )
    assert of(report, ZENITH).answered == 1


async def test_waiting_for_quota_may_use_up_the_time() -> None:
    minute = Window(name="minute", limit=1, seconds=10)
    async with fair(Shop(ACME, windows=[minute]), Shop(ZENITH)) as found:
        found.slow(zenith=8.0)
        report = await found.run(rounds=2, seconds=12.0)

    first, second = of(report, ACME).answers
    assert (first.outcome, second.outcome) == (Outcome.SERVED, Outcome.SKIPPED)


async def test_without_a_calendar_nobody_knows_what_is_complete() -> None:
    async with fair(Shop(ACME)) as found:
        found.benchmarking = Benchmarking(
            found.market.fetcher,
            found.registrar,
            NoCalendar(),
            found.market.meter,
            found.market.clock,
        )
        report = await found.run()

    assert (of(report, ACME).answered, of(report, ACME).completeness) == (1, None)


async def test_who_charges_for_calls_is_left_out() -> None:
    async with fair(Shop(ACME, cents=2), Shop(ZENITH)) as found:
        report = await found.run(QUERY, other("MSFT"), rounds=3)

    assert of(report, ACME).skipped_reason == (
        "COST_LIMIT_EXCEEDED: the calls would cost 0.12 US dollars, and a benchmark "
        "spends no money"
    )
    assert ACME not in found.asked
    assert sum((one.cost_usd for one in of(report, ZENITH).answers), Decimal(0)) == 0


async def test_who_rests_after_failures_is_left_out() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        found.market.breakers[ACME] = BreakerState(
            BreakerPosition.OPEN, 5, reason="HTTP 503", retry_after_seconds=20.0
        )
        report = await found.run()

    assert of(report, ACME).skipped_reason == (
        "ALL_PROVIDERS_FAILED: acme rests after 5 failures in a row, the last: HTTP 503"
    )
    assert ACME not in found.asked


async def test_who_is_switched_off_is_left_out() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        del found.market.vendors[ACME]
        report = await found.run()

    assert of(report, ACME).skipped_reason == "CAPABILITY_MISSING: is switched off"


async def test_a_vendor_that_hangs_does_not_stop_the_others() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        found.wire.held[f"{ACME} BARS"] = asyncio.Event()
        report = await found.run(seconds=0.4)

    (hung,) = of(report, ACME).answers
    assert (hung.outcome, hung.bars, hung.completeness) == (Outcome.FAILED, 0, 0)
    assert hung.reason.startswith("DEADLINE_EXCEEDED: ")
    assert of(report, ZENITH).answered == 1


async def test_what_was_not_asked_in_time_says_so() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        found.slow(acme=2.0)
        report = await found.run(rounds=3, seconds=3.0)
        late = await found.run(names=[ACME, ZENITH], seconds=1.0)

    for each in report.vendors:
        assert [one.outcome for one in each.answers] == [
            Outcome.SERVED,
            Outcome.SERVED,
            Outcome.SKIPPED,
        ]
        assert each.answers[2].reason.startswith("DEADLINE_EXCEEDED: ")
        assert (each.skipped_reason, each.asked, each.completeness) == ("", 2, 1)
    zenith = of(late, ZENITH)
    assert [one.outcome for one in zenith.answers] == [Outcome.SKIPPED]
    assert zenith.skipped_reason == (
        "DEADLINE_EXCEEDED: no time was left for this question"
    )
    assert late.agreements == []


async def test_one_comparison_runs_at_a_time() -> None:
    async with fair(Shop(ACME)) as found:
        held = found.wire.held[f"{ACME} BARS"] = asyncio.Event()
        running = asyncio.create_task(found.run())
        await found.until_asked(ACME)
        with pytest.raises(CallerThrottledError, match="compared already"):
            await found.run()
        held.set()
        assert of(await running, ACME).answered == 1
        assert of(await found.run(), ACME).answered == 1


async def test_giving_up_ends_the_comparison_at_once() -> None:
    async with fair(Shop(ACME), Shop(ZENITH)) as found:
        found.wire.held[f"{ACME} BARS"] = asyncio.Event()
        running = asyncio.create_task(found.run(rounds=5))
        await found.until_asked(ACME)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        found.wire.held.clear()
        assert found.asked == [ACME]
        assert of(await found.run(), ACME).answered == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"limit": 5_001}, "limit"),
        ({"limit": 5_001, "start_ns": None}, "limit"),
        ({"interval": Interval.MINUTE_1, "start_ns": ns("2024-01-02")}, "limit"),
        ({"end_ns": ns("2024-06-01")}, "start"),
    ],
)
async def test_questions_that_cannot_be_asked_are_refused_before_any_call(
    wrong: dict[str, object], field: str
) -> None:
    async with fair(Shop(ACME)) as found:
        with pytest.raises(InvalidQueryError) as refused:
            await found.run(QUERY, other("MSFT", **wrong))

    assert [each.field for each in refused.value.violations] == [
        f"questions[1].{field}"
    ]
    assert found.asked == []


async def test_for_a_range_without_bars_nobody_is_called() -> None:
    weekend = other("MSFT", start_ns=ns("2024-06-08"), end_ns=ns("2024-06-09"))
    async with fair(Shop(ACME)) as found:
        report = await found.run(weekend, QUERY)
        nothing = await found.run(weekend)

    told = "NO_DATA_UNEXPLAINED: no bar can exist in this range"
    answer = of(report, ACME).answers[0]
    assert (answer.outcome, answer.completeness) == (Outcome.SKIPPED, None)
    assert answer.reason == of(nothing, ACME).skipped_reason == told
    assert found.asked == [ACME]


async def test_all_are_asked_up_to_the_same_moment() -> None:
    open_ended = other("MSFT", start_ns=None, end_ns=None, limit=3)
    async with fair(Shop(ACME, days=range(3, 30)), Shop(ZENITH)) as found:
        report = await found.run(open_ended)

    assert of(report, ACME).answers[0].bars == 3
    assert of(report, ACME).completeness == 1


async def test_nobody_is_compared_if_nobody_is_named() -> None:
    async with fair(Shop(ACME)) as found:
        report = await found.run(names=[])

    assert (report.vendors, report.agreements) == ([], [])
