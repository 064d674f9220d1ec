"""A budget that would let too much through, or nothing for ever, has a fault."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ingestion_server.ports.budget import (
    Budget,
    Counts,
    Period,
    Scope,
    Window,
    WindowKind,
)
from ingestion_server.ports.provider import Provider
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.quota.faults import Fault, faults

VENDORS: tuple[Provider, ...] = (AlphaVantage(), Yahoo())


def rolling(**parts: Any) -> Window:
    """Return a window of a minute, with some parts of it otherwise."""
    return Window(**{"name": "minute", "limit": 5, "seconds": 60.0} | parts)


def bucket(**parts: Any) -> Window:
    """Return a bucket that is refilled in a minute."""
    return rolling(kind=WindowKind.BUCKET, **parts)


def fixed(**parts: Any) -> Window:
    """Return a window of a day, with some parts of it otherwise."""
    day = {"name": "day", "limit": 25, "kind": WindowKind.FIXED, "period": Period.DAY}
    return Window(**day | parts)


def paths(*windows: Window, **parts: Any) -> list[str]:
    """Name the wrong parts of a budget."""
    return [fault.path for fault in faults(Budget(windows=windows, **parts))]


@pytest.mark.parametrize(
    ("vendor", "plan"),
    [(vendor, plan) for vendor in VENDORS for plan in vendor.plans],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_every_plan_that_a_vendor_declares_has_none(
    vendor: Provider, plan: str
) -> None:
    assert list(faults(vendor.plans[plan])) == []


def test_a_rich_budget_has_none() -> None:
    budget = Budget(
        windows=(
            rolling(reset_header="x-ratelimit-reset", margin_seconds=29.9),
            bucket(name="burst", limit=10_000_000, seconds=0.5),
            fixed(reset_zone="America/New_York", margin_seconds=0.0),
            fixed(name="credits", limit=100, counts=Counts.UNITS),
            rolling(name="address", scope=Scope.IP),
            rolling(name="year", seconds=400 * 86_400.0),
        ),
        weights={"chart": 100, "chart:1d": 1, "*": 2},
        price_per_unit_usd=Decimal("0.0005"),
        allowance_units=1000,
        monthly_price_usd=Decimal(29),
        used_header="x-credits_used!",
    )

    assert list(faults(budget)) == []


def test_a_fault_names_the_place_and_what_was_expected_there() -> None:
    (fault,) = faults(Budget(windows=(fixed(), rolling(limit=0))))

    assert fault == Fault("windows[1].limit", "an integer ≥ 1")


@pytest.mark.parametrize(
    ("window", "part"),
    [
        (rolling(limit=0), "limit"),
        (rolling(limit=-3), "limit"),
        (rolling(limit=10_000_001), "limit"),
        (rolling(seconds=0.0), "seconds"),
        (rolling(seconds=-1.0), "seconds"),
        (rolling(seconds=float("inf")), "seconds"),
        (rolling(seconds=float("nan")), "seconds"),
        (rolling(seconds=400 * 86_400.0 + 1), "seconds"),
        (bucket(seconds=0.0), "seconds"),
        (bucket(seconds=float("nan")), "seconds"),
        (fixed(seconds=86_400.0), "seconds"),
        (fixed(period=None), "period"),
        (rolling(period=Period.DAY), "period"),
        (bucket(period=Period.MINUTE), "period"),
        (fixed(reset_zone="Mars/Olympus"), "reset_zone"),
        (fixed(reset_zone=""), "reset_zone"),
        (fixed(reset_zone="America"), "reset_zone"),
        (fixed(reset_zone="../localtime"), "reset_zone"),
        (rolling(reset_zone="America/New_York"), "reset_zone"),
        (bucket(reset_zone=""), "reset_zone"),
        (rolling(name=""), "name"),
        (rolling(name="Minute"), "name"),
        (rolling(name="1st"), "name"),
        (rolling(name="minute\n"), "name"),
        (rolling(name="a" * 33), "name"),
        (rolling(margin_seconds=-0.1), "margin_seconds"),
        (rolling(margin_seconds=float("nan")), "margin_seconds"),
        (rolling(margin_seconds=30.0), "margin_seconds"),
        (fixed(period=Period.MINUTE, margin_seconds=30.0), "margin_seconds"),
        (fixed(period=Period.HOUR, margin_seconds=1800.0), "margin_seconds"),
        (fixed(margin_seconds=43_200.0), "margin_seconds"),
        (fixed(period=Period.MONTH, margin_seconds=14 * 86_400.0), "margin_seconds"),
        (rolling(limit_header="X-Limit"), "limit_header"),
        (rolling(remaining_header="x limit"), "remaining_header"),
        (rolling(reset_header="x-reset:"), "reset_header"),
        (rolling(reset_header="x-réset"), "reset_header"),
    ],
)
def test_a_wrong_window_is_told_by_its_wrong_part(window: Window, part: str) -> None:
    assert paths(window) == [f"windows[0].{part}"]


def test_the_day_of_a_margin_is_the_shortest_one() -> None:
    # With 11 hours and three quarters at both ends, nothing would leave that day.
    assert paths(fixed(margin_seconds=11.75 * 3600)) == ["windows[0].margin_seconds"]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = paths(
        rolling(limit=0, seconds=-1.0),
        fixed(period=None, margin_seconds=-1.0),
        allowance_units=-1,
        used_header="A",
    )

    assert wrong == [
        "windows[0].limit",
        "windows[0].seconds",
        "windows[1].period",
        "windows[1].margin_seconds",
        "allowance_units",
        "used_header",
    ]


@pytest.mark.parametrize("scope", [Scope.KEY, Scope.IP])
def test_a_name_belongs_to_one_window_whatever_its_scope(scope: Scope) -> None:
    assert paths(rolling(), rolling(seconds=1.0, scope=scope)) == ["windows[1].name"]


@pytest.mark.parametrize(
    ("one", "other", "part"),
    [
        (rolling(), rolling(name="other", limit=7), "seconds"),
        (rolling(), bucket(name="other"), "seconds"),
        (fixed(), fixed(name="other", reset_zone="Asia/Tokyo"), "period"),
    ],
)
def test_two_windows_do_not_meter_the_same_twice(
    one: Window, other: Window, part: str
) -> None:
    assert paths(one, other) == [f"windows[1].{part}"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rolling(), rolling(name="other", scope=Scope.IP)),
        (rolling(), rolling(name="other", counts=Counts.UNITS)),
        (rolling(), rolling(name="other", seconds=61.0)),
        (rolling(), fixed(period=Period.MINUTE)),
        (fixed(), fixed(name="other", period=Period.MONTH)),
    ],
)
def test_windows_that_meter_something_else_may_stand_side_by_side(
    one: Window, other: Window
) -> None:
    assert paths(one, other) == []


def test_there_are_at_most_eight_windows() -> None:
    windows = [rolling(name=f"w{n}", seconds=1.0 + n) for n in range(9)]

    assert paths(*windows[:8]) == []
    assert paths(*windows) == ["windows"]


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("CHART", 0),
        ("CHART", -1),
        ("CHART", 26),
        ("", 1),
        ("a b", 1),
    ],
)
def test_a_wrong_weight_is_told_by_its_endpoint(name: str, weight: int) -> None:
    units = fixed(counts=Counts.UNITS)

    assert paths(units, rolling(), weights={name: weight}) == [f"weights.{name}"]


def test_a_weight_fits_the_smallest_window_that_counts_units() -> None:
    units = {"counts": Counts.UNITS}
    day, minute = fixed(limit=9, **units), rolling(limit=4, **units)

    (fault,) = faults(Budget(windows=(day, minute), weights={"chart": 5}))

    assert fault.expected == "an integer ≤ 4, the limit of window 'minute'"
    assert paths(day, rolling(limit=4), weights={"chart": 9}) == []


@pytest.mark.parametrize("windows", [(), (fixed(),), (fixed(limit=10_000_000),)])
def test_a_weight_is_at_most_a_million(windows: tuple[Window, ...]) -> None:
    for weight in (1_000_001, 10**19):
        (fault,) = faults(Budget(windows=windows, weights={"*": weight}))

        assert fault == Fault("weights.*", "an integer ≤ 1000000")
    assert paths(*windows, weights={"*": 1_000_000}) == []


def test_the_smaller_of_two_bounds_of_a_weight_is_told() -> None:
    units = fixed(counts=Counts.UNITS)

    (fault,) = faults(Budget(windows=(units,), weights={"*": 10**19}))

    assert fault.expected == "an integer ≤ 25, the limit of window 'day'"


@pytest.mark.parametrize("part", ["price_per_unit_usd", "monthly_price_usd"])
@pytest.mark.parametrize("price", ["-0.01", "NaN", "sNaN", "Infinity", "1000001"])
def test_a_price_is_a_number_that_can_be_paid(part: str, price: str) -> None:
    assert paths(**{part: Decimal(price)}) == [part]


def test_an_allowance_needs_a_price() -> None:
    priced = Decimal("0.01")

    assert paths(allowance_units=1) == ["allowance_units"]
    assert paths(allowance_units=10**13, price_per_unit_usd=priced) == [
        "allowance_units"
    ]
    assert paths(allowance_units=1, price_per_unit_usd=priced) == []
