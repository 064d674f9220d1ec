"""Operators see what vendors allow, what is used of it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ingestion_server.ports.budget import Scope
from ingestion_server.ports.quota import AlertKind, Lane
from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.quota_metrics import AlertCounter, quota_parts
from tests.clocks import ManualClock
from tests.telemetry.ledgers import ACME, DAY, FORECASTS, PACE, FakeLedger, alert
from tests.telemetry.pages import OPENMETRICS, families, series

Page = Callable[[str], tuple[bytes, str]]


@pytest.fixture
def ledger() -> FakeLedger:
    """Know a vendor with a day that is nearly used up, and one without numbers."""
    return FakeLedger()


@pytest.fixture
def alerts() -> AlertCounter:
    """Have heard of nothing yet."""
    return AlertCounter()


@pytest.fixture
def page(ledger: FakeLedger, alerts: AlertCounter, clock: ManualClock) -> Page:
    """Write the page as the server would."""
    return MetricsPage(quota_parts(ledger, alerts, clock.now_ns))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_a_window_tells_its_limit_and_what_is_used_of_it(
    page: Page, accept: str
) -> None:
    told = series(page(accept))

    # Labels are written in the order of their names: provider, scope, window.
    day, pace = ("acme", "key", "day"), ("kind", "ip", "pace")
    assert told["ingestion_quota_limit"] == {day: 500, pace: 60}
    assert told["ingestion_quota_used"] == {day: 400, pace: 7}
    assert told["ingestion_quota_reserved"] == {day: 3, pace: 0}
    assert told["ingestion_quota_seconds_until_reset"] == {day: 3600, pace: 0}


def test_what_is_left_is_told_only_where_the_vendor_publishes_a_number(
    page: Page,
) -> None:
    told = series(page(""))

    assert told["ingestion_quota_remaining"] == {("acme", "key", "day"): 97}


def test_a_forecast_is_told_in_seconds_and_only_where_a_window_runs_out(
    page: Page,
) -> None:
    told = series(page(""))

    day, pace = ("acme", "key", "day"), ("kind", "ip", "pace")
    assert told["ingestion_quota_seconds_until_exhaustion"] == {day: 194}
    assert told["ingestion_quota_rate_per_second"] == {day: 0.5, pace: 0.125}


def test_values_are_those_of_the_moment_when_somebody_asks(
    page: Page, ledger: FakeLedger, clock: ManualClock
) -> None:
    page("")
    ledger.accounts = [
        msgspec.structs.replace(ACME, windows=[msgspec.structs.replace(DAY, used=401)])
    ]
    clock.pass_by(100.0)

    told = series(page(""))

    day = ("acme", "key", "day")
    assert told["ingestion_quota_used"] == {day: 401}
    assert told["ingestion_quota_seconds_until_reset"] == {day: 3500}
    assert told["ingestion_quota_seconds_until_exhaustion"] == {day: 94}
    assert told["ingestion_quota_closed_seconds"] == {("acme",): 0}


def test_every_lane_tells_who_waits_even_if_nobody_does(page: Page) -> None:
    told = series(page(""))

    # In the order of label names: lane, provider.
    assert told["ingestion_quota_waiting"] == {
        (Lane.INTERACTIVE, "acme"): 0,
        (Lane.BATCH, "acme"): 12,
        (Lane.INTERACTIVE, "kind"): 1,
        (Lane.BATCH, "kind"): 0,
    }


def test_a_vendor_that_wants_to_be_left_alone_says_for_how_long(page: Page) -> None:
    told = series(page(""))

    assert told["ingestion_quota_closed_seconds"] == {("acme",): 90, ("kind",): 0}


def test_the_cost_of_the_month_and_its_end_are_told_in_dollars(page: Page) -> None:
    told = series(page(""))

    spent, projected = (
        told["ingestion_spend_usd"],
        told["ingestion_spend_projected_usd"],
    )
    assert spent == {("acme",): pytest.approx(51.99), ("kind",): 0}
    assert projected == {("acme",): pytest.approx(56.19), ("kind",): 0}


def test_alerts_are_counted_by_kind_and_shown_before_the_first(
    page: Page, alerts: AlertCounter
) -> None:
    before = series(page(""))["ingestion_quota_alerts"]
    for kind in (*AlertKind, AlertKind.USED_95_PERCENT):
        alerts(alert(kind))
    alerts(alert(AlertKind.VIOLATION, window=""))

    after = series(page(""))["ingestion_quota_alerts"]

    # In the order of label names: kind, provider, window.
    assert set(before.values()) == {0}
    assert before.keys() == after.keys()
    assert {labels: count for labels, count in after.items() if count} == {
        ("used_80_percent", "acme", "day"): 1,
        ("used_95_percent", "acme", "day"): 2,
        ("violation", "acme", "day"): 1,
        ("violation", "acme", ""): 1,
    }


def test_alerts_are_a_counter_and_all_else_is_a_gauge(page: Page) -> None:
    told = families(page(OPENMETRICS))

    ours = {name: each.type for name, each in told.items() if "quota" in name}
    assert {name for name, kind in ours.items() if kind == "counter"} == {
        "ingestion_quota_alerts"
    }
    assert set(ours.values()) == {"counter", "gauge"}


def test_every_metric_says_what_it_means(page: Page) -> None:
    told = families(page(OPENMETRICS))

    ours = [each for name, each in told.items() if name.startswith("ingestion_")]
    assert len(ours) == 13
    assert [each.name for each in ours if not each.documentation.endswith(".")] == []


def test_no_label_names_more_than_vendors_and_their_windows(page: Page) -> None:
    told = families(page(OPENMETRICS))

    labels = {
        label
        for name, each in told.items()
        if name.startswith(("ingestion_quota", "ingestion_spend"))
        for sample in each.samples
        for label in sample.labels
    }
    assert labels == {"provider", "window", "scope", "kind", "lane"}


def test_a_forecast_that_fails_leaves_the_rest_of_the_page(
    page: Page, ledger: FakeLedger
) -> None:
    ledger.forecasts_error = ArithmeticError("no history")

    told = series(page(""))

    assert "ingestion_quota_rate_per_second" not in told
    assert told["ingestion_quota_used"]["acme", "key", "day"] == 400
    assert told["ingestion_metrics_failures"]["forecasts",] == 1


def test_alerts_are_told_while_the_ledger_fails(
    page: Page, ledger: FakeLedger, alerts: AlertCounter
) -> None:
    ledger.uses_error = OSError("no ledger")
    alerts(alert(AlertKind.VIOLATION))

    told = series(page(""))

    assert "ingestion_quota_used" not in told
    assert told["ingestion_quota_alerts"] == {("violation", "acme", "day"): 1}


def test_a_window_that_should_have_been_reset_is_not_due_in_the_past(
    page: Page, ledger: FakeLedger, clock: ManualClock
) -> None:
    ledger.foreseen = FORECASTS
    clock.pass_by(10_000.0)

    told = series(page(""))

    assert min(told["ingestion_quota_seconds_until_reset"].values()) == 0
    assert min(told["ingestion_quota_seconds_until_exhaustion"].values()) == 0


def test_windows_of_one_name_are_told_apart_by_their_scope(
    page: Page, ledger: FakeLedger
) -> None:
    elsewhere = msgspec.structs.replace(DAY, scope=Scope.ACCOUNT, used=1)
    ledger.accounts = [msgspec.structs.replace(ACME, windows=[DAY, elsewhere, PACE])]

    used = series(page(""))["ingestion_quota_used"]

    assert used["acme", "key", "day"] == 400
    assert used["acme", "account", "day"] == 1
