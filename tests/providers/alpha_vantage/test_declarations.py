"""What Alpha Vantage is said to offer, allow and cost."""

from __future__ import annotations

from decimal import Decimal

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.budget import Period, Scope, WindowKind
from ingestion_server.ports.provider import Provider
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.alpha_vantage.declarations import FUNCTIONS
from tests.providers.alpha_vantage.pages import ns


def served() -> set[tuple[AssetClass, Interval, Adjustment]]:
    """Multiply the capabilities out."""
    return {
        (kind, interval, adjustment)
        for capability in AlphaVantage().capabilities
        for kind in capability.asset_classes
        for interval in capability.intervals
        for adjustment in capability.adjustments
    }


def test_it_is_a_provider() -> None:
    vendor: Provider = AlphaVantage()

    assert vendor.name == "alpha_vantage"
    assert vendor.needs_key
    assert vendor.secret_parameters == {"apikey"}
    assert vendor.hosts == {"www.alphavantage.co", "alphavantage.co"}
    assert vendor.feed_delay_seconds is None
    assert vendor.lifecycle.stage == "active"


def test_the_free_plan_allows_one_call_a_second_and_25_a_new_york_day() -> None:
    vendor = AlphaVantage()

    windows = {w.name: w for w in vendor.plans[vendor.default_plan].windows}

    assert {name: w.limit for name, w in windows.items()} == {"second": 1, "day": 25}
    assert windows["second"].kind is WindowKind.ROLLING
    assert windows["second"].seconds == 1.0
    assert windows["day"].kind is WindowKind.FIXED
    assert windows["day"].period is Period.DAY
    assert windows["day"].reset_zone == "America/New_York"
    assert {window.scope for window in windows.values()} == {Scope.KEY}


def test_paid_plans_are_named_by_their_calls_a_minute() -> None:
    paid = {
        name: (
            [(window.limit, window.seconds) for window in plan.windows],
            plan.monthly_price_usd,
        )
        for name, plan in AlphaVantage().plans.items()
        if name != "free"
    }

    assert paid == {
        "75": ([(75, 60.0)], Decimal("49.99")),
        "150": ([(150, 60.0)], Decimal("99.99")),
        "300": ([(300, 60.0)], Decimal("149.99")),
        "600": ([(600, 60.0)], Decimal("199.99")),
        "1200": ([(1200, 60.0)], Decimal("249.99")),
    }


def test_equity_bars_are_raw_by_day_and_raw_or_fully_adjusted_within_it() -> None:
    equity = {(i, a) for kind, i, a in served() if kind is AssetClass.EQUITY}

    assert (Interval.DAY_1, Adjustment.RAW) in equity
    assert (Interval.MINUTE_30, Adjustment.SPLIT_DIVIDEND) in equity
    assert not any(adjustment is Adjustment.SPLIT for _, adjustment in equity)
    assert (Interval.DAY_1, Adjustment.SPLIT_DIVIDEND) not in equity


def test_hours_of_equities_are_on_clock_hours_and_so_not_served() -> None:
    hours = {kind for kind, interval, _ in served() if interval is Interval.HOUR_1}

    assert hours == {AssetClass.FX, AssetClass.CRYPTO}


def test_nothing_is_claimed_for_indices_and_futures() -> None:
    assert {kind for kind, _, _ in served()} == {
        AssetClass.EQUITY,
        AssetClass.FX,
        AssetClass.CRYPTO,
    }


def test_everything_claimed_has_a_function() -> None:
    assert {(kind, interval) for kind, interval, _ in served()} <= FUNCTIONS.keys()
    assert FUNCTIONS[AssetClass.CRYPTO, Interval.WEEK_1] == "DIGITAL_CURRENCY_WEEKLY"
    assert FUNCTIONS[AssetClass.FX, Interval.HOUR_1] == "FX_INTRADAY"


def test_history_begins_in_november_1999_and_january_2000() -> None:
    earliest = {
        capability.extended_hours: capability.earliest_ns
        for capability in AlphaVantage().capabilities
        if AssetClass.EQUITY in capability.asset_classes
    }

    assert earliest == {False: ns("1999-11-01"), True: ns("2000-01-01")}
