"""Units are counted per calendar month, and priced beyond the allowance."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.ports.budget import Budget
from ingestion_server.quota.spend import KEPT_MONTHS, SpendBook

short = settings(deadline=None, max_examples=100, database=None)
CENT = Decimal("0.01")
METERED = Budget(
    price_per_unit_usd=CENT, allowance_units=10, monthly_price_usd=Decimal(49)
)


def ns(year: int, month: int, day: int = 15) -> int:
    """Return midnight of a day."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * SECOND_NS


NOVEMBER = ns(2026, 11)
DECEMBER = ns(2026, 12)


def units(book: SpendBook, wall_ns: int) -> int:
    """Return what a month has counted."""
    return book.spend(wall_ns, 0).units


def test_units_within_the_allowance_are_free() -> None:
    book = SpendBook(METERED)

    assert book.price(10, NOVEMBER) == 0
    assert book.add(10, NOVEMBER) == 0
    assert book.price(1, NOVEMBER) == CENT


def test_a_call_that_straddles_the_allowance_pays_for_what_is_beyond() -> None:
    book = SpendBook(METERED)
    book.add(8, NOVEMBER)

    assert book.price(5, NOVEMBER) == 3 * CENT
    assert book.add(5, NOVEMBER) == 3 * CENT
    assert book.add(5, NOVEMBER) == 5 * CENT


def test_a_price_that_is_asked_for_counts_nothing() -> None:
    book = SpendBook(METERED)

    assert [book.price(11, NOVEMBER) for _ in range(3)] == [CENT] * 3
    assert units(book, NOVEMBER) == 0
    assert book.dump() == []


def test_flat_plans_cost_nothing_more_but_are_counted() -> None:
    book = SpendBook(Budget(monthly_price_usd=Decimal(29)))

    assert book.price(1_000_000, NOVEMBER) == 0
    assert book.add(1_000_000, NOVEMBER) == 0

    spend = book.spend(NOVEMBER, 5)
    assert (spend.units, spend.total_usd, spend.projected_usd) == (1_000_000, 29, 29)


@given(st.lists(st.integers(0, 7), max_size=30))
@short
def test_what_the_calls_cost_is_what_the_month_costs(calls: list[int]) -> None:
    book = SpendBook(METERED)

    asked = [(book.price(each, NOVEMBER), book.add(each, NOVEMBER)) for each in calls]

    assert all(price == cost for price, cost in asked)
    spend = book.spend(NOVEMBER, 0)
    assert spend.metered_usd == sum((cost for _, cost in asked), Decimal(0))
    assert spend.metered_usd == max(sum(calls) - 10, 0) * CENT


def test_a_month_begins_anew_at_its_first_nanosecond() -> None:
    book = SpendBook(METERED)
    first = ns(2026, 12, 1)

    book.add(12, first - 1)
    book.add(3, first)

    assert book.price(1, first - 1) == CENT
    assert book.price(1, first) == 0
    assert book.dump() == [("2026-11", 12), ("2026-12", 3)]


@given(st.integers(0, 2**63 - 1))
@short
def test_a_month_is_called_as_the_calendar_calls_it(wall_ns: int) -> None:
    book = SpendBook(METERED)
    moment = datetime.fromtimestamp(wall_ns // SECOND_NS, UTC)

    spend = book.spend(wall_ns, 0)

    assert spend.month == f"{moment:%Y-%m}"


def test_a_clock_that_is_set_back_counts_in_the_month_it_shows() -> None:
    book = SpendBook(METERED)
    book.add(5, NOVEMBER)
    book.add(7, DECEMBER)

    book.add(6, NOVEMBER)
    book.add(1, DECEMBER)

    assert book.dump() == [("2026-11", 11), ("2026-12", 8)]


def test_a_clock_that_ran_ahead_costs_no_month_of_late() -> None:
    book = SpendBook(METERED)
    for month in range(1, 12):
        book.add(month, ns(2026, month))

    book.add(1, ns(2050, 1))
    book.add(1, NOVEMBER)

    assert units(book, NOVEMBER) == 12
    assert units(book, ns(2026, 1)) == 1


def test_a_clock_that_is_set_back_for_decades_forgets_nothing() -> None:
    book = SpendBook(METERED)
    for month in range(1, 13):
        book.add(month, ns(2026, month))
    book.add(13, ns(2027, 1))
    before = book.dump()

    book.add(99, ns(1970, 1))

    assert book.dump() == [("1970-01", 99), *before]
    book.add(1, ns(2027, 1))
    assert book.dump() == [*before[:-1], ("2027-01", 14)]


def test_the_present_month_and_the_twelve_before_are_kept() -> None:
    book = SpendBook(METERED)

    for year in (2024, 2025, 2026):
        for month in range(1, 13):
            book.add(1, ns(year, month))

    kept = [month for month, _ in book.dump()]
    assert len(kept) == KEPT_MONTHS
    assert (kept[0], kept[-1]) == ("2025-12", "2026-12")


def test_what_is_taken_back_no_longer_costs() -> None:
    book = SpendBook(METERED)
    book.add(10, NOVEMBER)
    cost = book.add(5, NOVEMBER)

    book.take_back(5, NOVEMBER)

    assert book.spend(NOVEMBER, 0).metered_usd == 0
    assert book.price(5, NOVEMBER) == cost


def test_what_is_taken_back_makes_room_in_the_allowance() -> None:
    book = SpendBook(METERED)
    book.add(10, NOVEMBER)
    book.add(5, NOVEMBER)

    book.take_back(10, NOVEMBER)

    assert book.spend(NOVEMBER, 0).metered_usd == 0


def test_what_is_taken_back_after_the_turn_changes_the_former_month() -> None:
    book = SpendBook(METERED)
    book.add(5, NOVEMBER)
    book.add(5, DECEMBER)

    book.take_back(2, NOVEMBER)

    assert book.dump() == [("2026-11", 3), ("2026-12", 5)]


@pytest.mark.parametrize("wall_ns", [ns(2020, 1), DECEMBER])
def test_what_is_taken_back_from_a_month_not_kept_changes_nothing(
    wall_ns: int,
) -> None:
    book = SpendBook(METERED)
    book.add(5, NOVEMBER)

    book.take_back(2, wall_ns)

    assert book.dump() == [("2026-11", 5)]


def test_no_more_is_taken_back_than_was_counted() -> None:
    book = SpendBook(METERED)
    book.add(5, NOVEMBER)

    book.take_back(9, NOVEMBER)

    assert book.dump() == [("2026-11", 0)]


def test_the_projection_adds_what_is_still_to_come() -> None:
    book = SpendBook(METERED)
    book.add(8, NOVEMBER)

    spend = book.spend(NOVEMBER, 102)

    assert msgspec.structs.asdict(spend) == {
        "month": "2026-11",
        "units": 8,
        "allowance_units": 10,
        "price_per_unit_usd": CENT,
        "flat_usd": 49,
        "metered_usd": 0,
        "projected_metered_usd": 1,
    }
    assert (spend.total_usd, spend.projected_usd) == (49, 50)


def test_a_look_at_another_month_does_not_mix_the_two() -> None:
    book = SpendBook(METERED)
    book.add(20, NOVEMBER)

    assert units(book, NOVEMBER - 40 * DAY_NS) == 0
    assert book.add(1, NOVEMBER) == CENT
    assert units(book, NOVEMBER) == 21


@given(st.dictionaries(st.integers(0, 40), st.integers(0, 10**12), max_size=20))
@short
def test_what_is_dumped_is_restored(months: dict[int, int]) -> None:
    book, other = SpendBook(METERED), SpendBook(METERED)
    for month in sorted(months):
        book.add(months[month], ns(2026 + month // 12, month % 12 + 1))
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(book.dump()))
    other.add(1, DECEMBER)

    other.restore(sent)

    assert other.dump() == book.dump()


def test_more_months_than_are_kept_are_not_restored() -> None:
    book = SpendBook(METERED)

    book.restore(
        (f"{year}-{month:02}", 1) for year in (2025, 2026) for month in range(1, 13)
    )

    assert len(book.dump()) == KEPT_MONTHS
    assert book.dump()[0] == ("2025-12", 1)
