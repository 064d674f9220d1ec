"""From what a job wants to units, and what they take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Interval
from ingestion_server.domain.jobs import JobSpec, Unit, UnitState
from ingestion_server.domain.query import SourceMode, SourcePolicy, Span
from ingestion_server.ports.budget import Period, Window, WindowKind
from ingestion_server.ports.quota import Lane
from ingestion_server.providers.alpha_vantage.vendor import AlphaVantage
from tests.builders import dates, ns, span
from tests.ingest.jobs.desks import (
    START,
    Archive,
    PlanningDesk,
    Together,
    seconds_until,
)
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import CENT

DAILY_25 = Window(
    name="day", limit=25, kind=WindowKind.FIXED, period=Period.DAY, reset_zone="UTC"
)
MINUTE_60 = Window(name="minute", limit=60, seconds=60.0)
SECOND_1 = Window(name="second", limit=1, seconds=1.0)
SECOND_2 = Window(name="second", limit=2, seconds=1.0)


def wanted(*symbols: str, **changes: Any) -> JobSpec:
    """Want days of the first half of 2024."""
    spec = JobSpec(symbols or ("AAPL",), start_ns=START)
    return msgspec.structs.replace(spec, **changes)


def many(count: int) -> tuple[str, ...]:
    """Name so many symbols."""
    return tuple(f"S{number}" for number in range(count))


def told(units: list[Unit]) -> list[tuple[str, str, str, str]]:
    """Tell each unit's symbol, stretch and state."""
    return [
        (unit.symbol, *dates([unit.start_ns, unit.end_ns]), unit.state)
        for unit in units
    ]


async def test_what_takes_one_call_is_one_unit_up_to_the_last_bar_that_is_final() -> (
    None
):
    desk = PlanningDesk(Archive(ACME))

    units, plan = await desk.plan(wanted("aapl", "MSFT"))

    # It is Saturday, 2024-06-29.
    assert told(units) == [
        ("aapl", "2024-01-01", "2024-06-29", "pending"),
        ("MSFT", "2024-01-01", "2024-06-29", "pending"),
    ]
    assert [(unit.job_id, unit.number, unit.run) for unit in units] == [
        ("job", 1, 1),
        ("job", 2, 1),
    ]
    assert (plan.units, plan.units_landed, plan.calls, plan.cost_usd) == (2, 0, 2, 0)
    assert desk.market.wire.asked == []


async def test_a_bar_that_still_forms_is_not_planned() -> None:
    desk = PlanningDesk(Archive(ACME))
    desk.market.clock.jump(-2 * 86_400 + 20.1 * 3600)  # Thursday 20:06: just closed

    [unit], _ = await desk.plan(wanted())

    assert dates([unit.end_ns]) == ["2024-06-27"]

    desk.market.clock.jump(600)
    [unit], _ = await desk.plan(wanted())

    assert dates([unit.end_ns]) == ["2024-06-28"]


async def test_each_unit_takes_one_call_of_its_vendor() -> None:
    desk = PlanningDesk(Archive(ACME, days_a_call=40))

    units, plan = await desk.plan(wanted())

    assert told(units) == [
        ("AAPL", "2024-01-01", "2024-02-01", "pending"),
        ("AAPL", "2024-02-01", "2024-03-01", "pending"),
        ("AAPL", "2024-03-01", "2024-04-01", "pending"),
        ("AAPL", "2024-04-01", "2024-05-01", "pending"),
        ("AAPL", "2024-05-01", "2024-06-01", "pending"),
        ("AAPL", "2024-06-01", "2024-06-29", "pending"),
    ]
    assert plan.calls == 6


async def test_for_stretches_without_a_bar_nobody_is_asked() -> None:
    desk = PlanningDesk(Archive(ACME, days_a_call=1))

    units, _ = await desk.plan(
        wanted(start_ns=ns("2024-06-07"), end_ns=ns("2024-06-11"))
    )

    # Between Friday and Monday nothing trades.
    assert dates([unit.start_ns for unit in units]) == ["2024-06-07", "2024-06-10"]


async def test_minutes_are_cut_by_the_days_of_the_exchange() -> None:
    desk = PlanningDesk(Archive(ACME, days_a_call=1, interval=Interval.MINUTE_5))

    units, plan = await desk.plan(
        wanted(
            interval=Interval.MINUTE_5,
            start_ns=ns("2024-06-10"),
            end_ns=ns("2024-06-15"),
        )
    )

    assert dates([unit.start_ns for unit in units]) == [
        "2024-06-10 04:00",
        "2024-06-11 04:00",
        "2024-06-12 04:00",
        "2024-06-13 04:00",
        "2024-06-14 04:00",
    ]
    assert plan.calls == 5


async def test_what_has_landed_is_told_and_not_asked_for_again() -> None:
    desk = PlanningDesk(Archive(ACME))
    desk.disk.spans = {
        "AAPL": [span("2024-01-01", "2024-06-29")],
        "MSFT": [span("2024-02-01", "2024-03-01")],
    }

    units, plan = await desk.plan(wanted("AAPL", "MSFT"))

    assert told(units) == [
        ("AAPL", "2024-01-01", "2024-06-29", "landed"),
        ("MSFT", "2024-02-01", "2024-03-01", "landed"),
        ("MSFT", "2024-01-01", "2024-02-01", "pending"),
        ("MSFT", "2024-03-01", "2024-06-29", "pending"),
    ]
    assert [unit.already_landed for unit in units] == [True, True, False, False]
    assert (plan.units, plan.units_landed, plan.calls) == (2, 2, 2)


async def test_a_gap_in_which_no_bar_can_be_is_no_work() -> None:
    desk = PlanningDesk(Archive(ACME))
    desk.disk.spans = {
        "AAPL": [span("2024-01-01", "2024-06-15"), span("2024-06-17", "2024-06-29")]
    }

    units, _ = await desk.plan(wanted())

    assert {unit.state for unit in units} == {UnitState.LANDED}


async def test_a_later_run_tells_only_what_was_not_final_before() -> None:
    desk = PlanningDesk(Archive(ACME))
    desk.disk.spans = {"AAPL": [span("2024-01-01", "2024-06-29")]}

    units, _ = await desk.plan(wanted(), told_until_ns=ns("2024-06-26 12:00"))

    assert told(units) == [("AAPL", "2024-06-26", "2024-06-29", "landed")]


async def test_junk_among_the_symbols_fails_alone_and_says_why() -> None:
    desk = PlanningDesk(Archive(ACME, only=frozenset({"AAPL"})))

    units, plan = await desk.plan(wanted("not a symbol", "AAPL", "NOBODY", "EUR/USD"))

    assert [(unit.symbol, unit.state) for unit in units] == [
        ("AAPL", UnitState.PENDING),
        ("not a symbol", UnitState.FAILED),
        ("NOBODY", UnitState.FAILED),
        ("EUR/USD", UnitState.FAILED),
    ]
    said = {each.symbol: each.reason for each in plan.failures}
    assert said["not a symbol"].startswith("INVALID_QUERY: symbol: has characters")
    assert "has no equity NOBODY on XNYS" in said["NOBODY"]
    assert "EUR/USD" in said["EUR/USD"]
    assert [unit.last_reason for unit in units[1:]] == [
        said[unit.symbol] for unit in units[1:]
    ]
    assert plan.units == 1


async def test_of_what_nobody_knows_each_is_told_by_its_own_name() -> None:
    desk = PlanningDesk(Archive(ACME, only=frozenset({"AAPL"})))

    units, _ = await desk.plan(wanted("ONE", "TWO"))

    assert ["ONE" in units[0].last_reason, "TWO" in units[1].last_reason] == [True] * 2


async def test_only_if_no_symbol_can_be_read_the_job_is_refused() -> None:
    desk = PlanningDesk(Archive(ACME))

    with pytest.raises(InvalidQueryError) as refused:
        await desk.plan(wanted("a b", "c d"))

    fields = [each.field for each in refused.value.violations]
    assert fields == ["spec.symbols[0]", "spec.symbols[1]"]


async def test_an_instrument_that_is_spelled_twice_counts_once() -> None:
    units, _ = await PlanningDesk(Archive(ACME)).plan(wanted("AAPL", "aapl"))

    assert [unit.symbol for unit in units] == ["AAPL"]


async def test_a_broken_file_is_named_and_the_other_symbols_are_unharmed() -> None:
    desk = PlanningDesk(Archive(ACME, days_a_call=92))
    desk.disk.broken = {"AAPL"}

    units, plan = await desk.plan(wanted("AAPL", "MSFT"))

    states = [(unit.symbol, unit.state) for unit in units]
    assert states == [("MSFT", "pending")] * 2 + [("AAPL", "failed")] * 2
    [failure] = plan.failures
    assert failure.reason == "STATE_UNAVAILABLE: AAPL/2024.parquet is no Parquet file"


async def test_a_range_that_is_upside_down_is_refused() -> None:
    with pytest.raises(InvalidQueryError, match="must be before end"):
        await PlanningDesk(Archive(ACME)).plan(wanted(end_ns=START - DAY_NS))


async def test_of_the_future_there_is_nothing_to_do_yet() -> None:
    desk = PlanningDesk(Archive(ACME))

    units, plan = await desk.plan(wanted(start_ns=ns("2024-07-10")))

    assert (units, plan.units, plan.finishes_at_ns) == ([], 0, desk.now_ns)


async def test_a_policy_that_names_nobody_known_is_refused() -> None:
    policy = SourcePolicy(SourceMode.PINNED, ("nobody",))

    with pytest.raises(InvalidQueryError, match="'nobody' is not known"):
        await PlanningDesk(Archive(ACME)).plan(wanted(policy=policy))


async def test_more_units_than_a_job_may_have_are_refused() -> None:
    desk = PlanningDesk(Archive(ACME, days_a_call=1))

    with pytest.raises(InvalidQueryError, match="takes more than 200000 calls"):
        await desk.plan(wanted(*many(2000)))


async def test_the_first_choice_has_what_it_reaches_and_the_next_what_is_older() -> (
    None
):
    desk = PlanningDesk(Archive(ACME, reach_days=30), Archive(ZENITH), ranked=True)

    units, plan = await desk.plan(wanted())

    assert told(units) == [
        ("AAPL", "2024-01-01", "2024-05-30", "pending"),
        ("AAPL", "2024-05-30", "2024-06-29", "pending"),
    ]
    assert {each.provider: each.units for each in plan.providers} == {
        ACME: 1,
        ZENITH: 1,
    }


async def test_what_nobody_reaches_back_to_is_told_before() -> None:
    desk = PlanningDesk(Archive(ACME, reach_days=30))

    units, plan = await desk.plan(wanted())

    assert told(units) == [
        ("AAPL", "2024-05-30", "2024-06-29", "pending"),
        ("AAPL", "2024-01-01", "2024-05-30", "failed"),
    ]
    assert "reach back only 30 days" in plan.failures[0].reason


async def test_who_costs_less_is_planned_for_and_the_cost_is_told() -> None:
    desk = PlanningDesk(Archive(ACME, 3), Archive(ZENITH, 2))

    _, plan = await desk.plan(wanted(*many(5)))

    [provider] = plan.providers
    assert (provider.provider, provider.units, provider.calls) == (ZENITH, 5, 5)
    assert (plan.cost_usd, provider.cost_usd) == (10 * CENT, 10 * CENT)


async def test_who_costs_more_than_a_unit_may_is_not_planned_for() -> None:
    desk = PlanningDesk(Archive(ACME, 3))

    units, plan = await desk.plan(wanted(policy=SourcePolicy(max_cost_usd=0.02)))

    assert [unit.state for unit in units] == [UnitState.FAILED]
    assert plan.failures[0].reason.startswith("COST_LIMIT_EXCEEDED: ")


async def test_a_limit_of_cost_is_for_each_unit() -> None:
    desk = PlanningDesk(Archive(ACME, 3, days_a_call=92))

    _, plan = await desk.plan(wanted(policy=SourcePolicy(max_cost_usd=0.03)))

    assert (plan.units, plan.cost_usd) == (2, 6 * CENT)


async def test_a_day_that_is_reached_only_in_part_is_not_planned_for() -> None:
    desk = PlanningDesk(Archive(ACME, reach_days=30.5, interval=Interval.MINUTE_5))

    units, plan = await desk.plan(
        wanted("AAPL", "MSFT", interval=Interval.MINUTE_5, start_ns=ns("2024-05-28"))
    )

    assert told(units) == [
        ("AAPL", "2024-05-30 04:00", "2024-06-28 20:00", "pending"),
        ("MSFT", "2024-05-30 04:00", "2024-06-28 20:00", "pending"),
        ("AAPL", "2024-05-28", "2024-05-30 04:00", "failed"),
        ("MSFT", "2024-05-28", "2024-05-30 04:00", "failed"),
    ]
    assert "reach back only 30 days" in plan.failures[0].reason


async def test_where_a_month_ends_the_next_one_is_not_asked_for_as_well() -> None:
    vendor = AlphaVantage()
    desk = PlanningDesk(Archive(ACME, action_calls=1, interval=Interval.MINUTE_30))
    desk.market.vendors[ACME].provider.bar_requests = vendor.bar_requests

    units, plan = await desk.plan(
        wanted(
            interval=Interval.HOUR_1,
            start_ns=ns("2024-01-01"),
            end_ns=ns("2024-04-01"),
        )
    )

    # Hours are made of half hours, which are asked for up to an hour beyond the end.
    assert dates([unit.start_ns for unit in units]) == [
        "2024-01-01 05:00",
        "2024-02-01 05:00",
        "2024-03-01 05:00",
    ]
    assert plan.calls == 3 + 1


async def test_what_costs_nothing_comes_first_then_symbol_then_time() -> None:
    desk = PlanningDesk(
        Archive(ACME, 1, days_a_call=200),
        Archive(ZENITH, only=frozenset({"FREE"}), days_a_call=92),
    )

    units, _ = await desk.plan(wanted("DEAR", "FREE"))

    assert told(units) == [
        ("FREE", "2024-01-01", "2024-04-01", "pending"),
        ("FREE", "2024-04-01", "2024-06-29", "pending"),
        ("DEAR", "2024-01-01", "2024-06-29", "pending"),
    ]


async def test_what_the_day_has_no_quota_for_comes_last() -> None:
    desk = PlanningDesk(
        Archive(ACME, windows=[DAILY_25]),
        Archive(ZENITH, 1, only=frozenset({"S30", "S31"})),
        ranked=True,
    )
    desk.market.vendors[ACME].provider.only = frozenset(many(30))

    units, _ = await desk.plan(wanted(*many(32)))

    # A share of the day is kept for interactive calls.
    soon = [*many(23), "S30", "S31"]
    late = [f"S{number}" for number in range(23, 30)]
    assert [unit.symbol for unit in units] == [*soon, *late]


async def test_actions_are_counted_once_for_each_instrument() -> None:
    desk = PlanningDesk(Archive(ACME, action_calls=2, days_a_call=92))

    _, plan = await desk.plan(wanted(*many(3)))

    assert plan.calls == 3 * 2 + 3 * 2


async def test_units_that_can_share_a_call_do_so_and_stand_together() -> None:
    batching = Together(most_symbols=4)
    desk = PlanningDesk(Archive(ACME, days_a_call=92, batching=batching))

    units, plan = await desk.plan(wanted(*many(10)))

    assert dates([unit.start_ns for unit in units]) == [
        *["2024-01-01"] * 10,
        *["2024-04-01"] * 10,
    ]
    assert (plan.units, plan.calls) == (20, 2 * 3)
    assert batching.together == [4, 4, 2, 4, 4, 2]


async def test_a_call_is_shared_by_no_more_units_than_are_under_way_at_a_time() -> None:
    batching = Together()
    desk = PlanningDesk(Archive(ACME, batching=batching))

    _, plan = await desk.plan(wanted(*many(100)))

    assert (plan.calls, batching.together) == (2, [64, 36])


@pytest.mark.parametrize(
    ("symbols", "batching", "together"),
    [
        (many(10), Together(most_symbols=4), 4),
        (["not a symbol", "AAPL"], Together(), 100),
        (many(10), None, 1),
        (["not a symbol"], Together(), 1),
    ],
)
async def test_the_next_units_tell_how_many_may_share_a_call(
    symbols: Sequence[str], batching: Together | None, together: int
) -> None:
    desk = PlanningDesk(Archive(ACME, batching=batching))
    spec = wanted(*symbols)
    units = [
        Unit(
            job_id="job",
            number=number,
            symbol=symbol,
            start_ns=spec.start_ns,
            end_ns=ns("2024-06-29"),
        )
        for number, symbol in enumerate(symbols, 1)
    ]

    assert await desk.planner.together(spec, units) == together


@pytest.mark.parametrize("count", [200, 25, 23, 1])
async def test_the_end_of_a_job_over_25_calls_a_day_is_told_to_the_day(
    count: int,
) -> None:
    desk = PlanningDesk(Archive(ACME, windows=[DAILY_25]))

    _, plan = await desk.plan(wanted(*many(count)))

    # Batch calls have 23 of 25; it is midnight, and half a second around it is idle.
    days = (count - 1) // 23
    took = seconds_until(desk.now_ns, plan.finishes_at_ns)
    assert took == pytest.approx(days * 86_400, abs=60)
    assert plan.providers[0].finishes_at_ns == plan.finishes_at_ns


async def test_calls_that_are_made_end_when_the_plan_said() -> None:
    desk = PlanningDesk(Archive(ACME, windows=[DAILY_25]))
    _, plan = await desk.plan(wanted(*many(200)))
    begun_ns = desk.now_ns

    for _ in range(200):
        await desk.market.ledger.accounts[ACME].reserve(
            "BARS", longest_wait_seconds=1e9, lane=Lane.BATCH
        )

    foretold = seconds_until(begun_ns, plan.finishes_at_ns)
    assert foretold == pytest.approx(seconds_until(begun_ns, desk.now_ns), rel=0.001)


async def test_the_end_counts_what_was_used_today() -> None:
    desk = PlanningDesk(Archive(ACME, windows=[DAILY_25]))
    async with desk.market:
        for _ in range(23):
            await desk.market.fetch()

    _, plan = await desk.plan(wanted(*many(23)))

    took = seconds_until(desk.now_ns, plan.finishes_at_ns)
    assert took == pytest.approx(86_400, abs=120)


async def test_where_quota_does_not_bind_the_end_is_by_how_long_calls_take() -> None:
    desk = PlanningDesk(Archive(ACME), at_once=4)

    _, plan = await desk.plan(wanted(*many(100)))

    assert seconds_until(desk.now_ns, plan.finishes_at_ns) == pytest.approx(12.5)


async def test_the_end_is_that_of_the_vendor_that_takes_longest() -> None:
    others = frozenset(many(90)) - frozenset(many(30))
    desk = PlanningDesk(
        Archive(ACME, windows=[DAILY_25], only=frozenset(many(30))),
        Archive(ZENITH, 1, windows=[MINUTE_60], only=others),
    )

    _, plan = await desk.plan(wanted(*many(90)))

    assert [each.provider for each in plan.providers] == [ZENITH, ACME]
    assert plan.finishes_at_ns == plan.providers[1].finishes_at_ns


async def test_what_the_first_choice_has_no_quota_for_is_planned_for_the_next() -> None:
    desk = PlanningDesk(
        Archive(ACME, windows=[SECOND_1, DAILY_25]), Archive(ZENITH, windows=[SECOND_2])
    )

    units, plan = await desk.plan(wanted(*many(200)))

    took = seconds_until(desk.now_ns, plan.finishes_at_ns)
    shares = {each.provider: (each.units, each.calls) for each in plan.providers}
    # Batch calls have 23 of 25 a day, and one call a second is as many as leave.
    assert shares == {ACME: (23, 23), ZENITH: (177, 177)}
    assert took == pytest.approx(177 / 2, rel=0.05)
    assert [unit.symbol for unit in units] == [*many(200)]


async def test_what_others_serve_is_counted_and_paid_as_they_do_it() -> None:
    desk = PlanningDesk(
        Archive(ACME, windows=[DAILY_25]),
        Archive(ZENITH, 2, days_a_call=92, action_calls=1, windows=[MINUTE_60]),
    )
    # It is midnight, around which half a second is idle.
    await desk.market.clock.advance(60)

    _, plan = await desk.plan(wanted(*many(30)))

    # Half a year takes two calls, and splits one.
    assert {each.provider: (each.units, each.calls) for each in plan.providers} == {
        ACME: (23, 23),
        ZENITH: (7, 21),
    }
    assert plan.cost_usd == 42 * CENT


async def test_who_does_not_reach_back_or_costs_too_much_helps_nobody_out() -> None:
    desk = PlanningDesk(
        Archive(ACME, windows=[DAILY_25]),
        Archive(ZENITH, reach_days=30),
        Archive("dear", 5),
        ranked=True,
    )

    _, plan = await desk.plan(wanted(*many(30), policy=SourcePolicy(max_cost_usd=0.04)))

    assert [each.provider for each in plan.providers] == [ACME]
    assert seconds_until(desk.now_ns, plan.finishes_at_ns) == pytest.approx(
        86_400, abs=60
    )


async def test_calls_that_are_made_in_vain_are_in_the_plan() -> None:
    desk = PlanningDesk(
        Archive(ACME, action_calls=1, windows=[SECOND_1]),
        Archive(ZENITH, windows=[SECOND_2]),
        ranked=True,
    )

    _, plan = await desk.plan(wanted(*many(40)))

    shares = {each.provider: (each.units, each.calls) for each in plan.providers}
    # It tells the splits, and has no quota for the bars in the same second.
    assert shares[ACME][1] > shares[ACME][0]
    assert shares[ACME][0] + shares[ZENITH][0] == 40


async def test_what_nobody_can_do_today_is_for_whoever_can_first() -> None:
    monthly = msgspec.structs.replace(DAILY_25, name="month", period=Period.MONTH)
    desk = PlanningDesk(
        Archive(ACME, windows=[monthly]), Archive(ZENITH, windows=[DAILY_25])
    )
    # The month is young.
    desk.market.clock.jump(3 * 86_400)

    _, plan = await desk.plan(wanted(*many(100)))

    assert {each.provider: each.units for each in plan.providers} == {
        ACME: 23,
        ZENITH: 77,
    }
    assert seconds_until(desk.now_ns, plan.finishes_at_ns) == pytest.approx(
        3 * 86_400, abs=120
    )


async def test_a_shared_call_is_planned_for_as_long_as_there_is_quota_for_it() -> None:
    batching = Together(most_symbols=4)
    five = msgspec.structs.replace(DAILY_25, limit=5)
    desk = PlanningDesk(
        Archive(ACME, windows=[five], batching=batching),
        Archive(ZENITH, windows=[MINUTE_60]),
    )
    # It is midnight, around which half a second is idle.
    await desk.market.clock.advance(60)

    _, plan = await desk.plan(wanted(*many(30)))

    shares = {each.provider: (each.units, each.calls) for each in plan.providers}
    assert shares == {ACME: (20, 5), ZENITH: (10, 10)}


async def test_of_a_vast_job_what_comes_last_is_foretold_by_what_came_before() -> None:
    desk = PlanningDesk(
        Archive(ACME, windows=[SECOND_1]), Archive(ZENITH, windows=[SECOND_2])
    )

    units, plan = await desk.plan(wanted(*many(30_000)))

    took = seconds_until(desk.now_ns, plan.finishes_at_ns)
    assert len(units) == sum(each.units for each in plan.providers) == 30_000
    assert took == pytest.approx(10_000, rel=0.05)


async def test_an_end_beyond_what_can_be_foreseen_is_not_told() -> None:
    hardly = msgspec.structs.replace(DAILY_25, limit=1)
    desk = PlanningDesk(Archive(ACME, windows=[hardly]))

    _, plan = await desk.plan(wanted(*many(600)))

    assert (plan.finishes_at_ns, plan.providers[0].calls) == (None, 600)


async def test_an_end_that_no_vendor_reaches_in_a_year_is_not_told() -> None:
    hardly = msgspec.structs.replace(DAILY_25, limit=1)
    desk = PlanningDesk(
        Archive(ACME, windows=[hardly]), Archive(ZENITH, windows=[hardly])
    )

    units, plan = await desk.plan(wanted(*many(1200)))

    assert (plan.finishes_at_ns, plan.calls, len(units)) == (None, 1200, 1200)


async def test_what_is_left_is_foretold_by_the_same_measure() -> None:
    desk = PlanningDesk(Archive(ACME, windows=[DAILY_25]))
    spec = wanted(*many(60))
    units, _ = await desk.plan(spec)

    left = await desk.planner.remaining(spec, units[14:], of=46, now_ns=desk.now_ns)

    assert left.calls == 46
    took = seconds_until(desk.now_ns, left.finishes_at_ns)
    assert took == pytest.approx(86_400, abs=60)


async def test_what_is_left_takes_nothing_where_nobody_can_serve_it() -> None:
    desk = PlanningDesk(Archive(ACME, only=frozenset({"AAPL"})))
    spec = wanted("AAPL", "NOBODY", "a b")
    units, _ = await desk.plan(spec)

    left = await desk.planner.remaining(spec, units, of=3, now_ns=desk.now_ns)
    none = await desk.planner.remaining(spec, units[1:], of=2, now_ns=desk.now_ns)

    assert (left.calls, none.calls) == (1, 0)


@pytest.mark.parametrize("batching", [None, Together(10)])
async def test_what_is_left_of_a_vast_job_is_foretold_by_a_sample_of_it(
    batching: Together | None,
) -> None:
    desk = PlanningDesk(
        # Half a year takes two calls, and splits another one.
        Archive(ACME, 2, days_a_call=92, action_calls=1, windows=[MINUTE_60]),
        Archive(ZENITH, windows=[DAILY_25], batching=batching),
        ranked=True,
    )
    spec = wanted(*many(4_000))
    units, _ = await desk.plan(spec)
    every = await desk.planner.remaining(spec, units, of=len(units), now_ns=desk.now_ns)
    some = await desk.planner.remaining(
        spec,
        [*units[:250], *units[-250:]],
        of=len(units),
        now_ns=desk.now_ns,
    )

    assert some.calls == pytest.approx(every.calls, rel=0.02)
    took, foretold = (
        seconds_until(desk.now_ns, each.finishes_at_ns) for each in (every, some)
    )
    # What does not fit a day is served by the other one.
    assert 3_600 < took < 86_400 * 2
    assert foretold == pytest.approx(took, rel=0.05)


async def test_ten_thousand_symbols_are_planned_in_seconds_and_others_go_on() -> None:
    desk = PlanningDesk(Archive(ACME, days_a_call=92), Archive(ZENITH, 1))
    longest = 0.0

    async def others() -> None:
        nonlocal longest
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - begun)

    running = asyncio.create_task(others())
    begun = time.perf_counter()
    units, plan = await desk.plan(wanted(*many(10_000)))
    took = time.perf_counter() - begun
    running.cancel()

    assert (len(units), plan.calls) == (20_000, 20_000)
    assert took < 20
    assert longest < 2


async def test_a_plan_is_made_for_the_span_that_is_asked_for() -> None:
    desk = PlanningDesk(Archive(ACME))

    [unit], _ = await desk.plan(wanted(end_ns=ns("2024-02-03 10:00")))

    # The last bar before the end is that of Saturday's eve.
    assert Span(unit.start_ns, unit.end_ns) == span("2024-01-01", "2024-02-03")
    assert (unit.bars, unit.cost_usd, unit.retry_at_ns) == (0, Decimal(0), None)
    assert unit.end_ns % SECOND_NS == 0
