"""The fewest messages that tell what was asked for."""

from __future__ import annotations

import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
)
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk, Credentials
from ingestion_server.providers.iex_cloud import IexCloud
from tests.providers.iex_cloud.answers import AAPL, BERKSHIRE, EURUSD, LONDON, ask, ns

ROOT = "https://cloud.iexapis.com/stable/stock/"


def asked(question: BarAsk) -> list[str]:
    """Return what of each url says what is wanted."""
    return [
        request.full_url.removeprefix(ROOT)
        for request in IexCloud().bar_requests(question)
    ]


def messages(question: BarAsk) -> int:
    """Return what the calls are thought to cost."""
    budget = IexCloud().plans["free"]
    return sum(
        budget.weight(request.feature) * request.times
        for request in IexCloud().bar_requests(question)
    )


@pytest.mark.parametrize(
    ("start", "chart", "cost"),
    [
        ("2024-06-10", "5d?chartLast=2", 20),
        ("2024-06-05", "5d?chartLast=5", 50),
        ("2024-06-04", "1m?chartLast=6", 60),
        ("2024-05-12", "1m?chartLast=22", 220),
        ("2024-05-11", "3m?chartLast=22", 220),
        ("2024-03-11", "ytd?chartLast=67", 670),
        ("2024-01-01", "ytd?chartLast=117", 1170),
        ("2023-12-29", "6m?chartLast=118", 1180),
        ("2023-12-11", "1y?chartLast=132", 1320),
        ("2023-06-11", "2y?chartLast=262", 2620),
        ("2020-01-01", "5y?chartLast=1160", 11_600),
        ("2010-01-01", "max?chartLast=3768", 37_680),
    ],
)
def test_the_shortest_chart_that_reaches_so_far_is_asked_for_and_cut(
    start: str, chart: str, cost: int
) -> None:
    question = ask(start=start)

    assert asked(question) == [f"AAPL/chart/{chart}"]
    assert messages(question) == cost


def test_the_present_day_is_asked_for_only_where_it_is_wanted() -> None:
    question = ask(end="2024-06-13", now="2024-06-12T15:00")

    (request,) = IexCloud().bar_requests(question)

    assert ("includeToday", "true") in request.params
    assert request.times == 3


def test_a_few_days_of_long_ago_are_cheaper_one_by_one() -> None:
    question = ask(start="2023-03-10", end="2023-03-14")

    assert asked(question) == [
        "AAPL/chart/date/20230310?chartByDay=true",
        "AAPL/chart/date/20230313?chartByDay=true",
    ]
    assert messages(question) == 20


def test_days_whose_chart_costs_hardly_more_take_one_call() -> None:
    assert asked(ask(start="2024-06-07", end="2024-06-11")) == [
        "AAPL/chart/5d?chartLast=3"
    ]


def test_many_days_of_long_ago_take_one_call() -> None:
    assert len(asked(ask(start="2023-03-01", end="2023-04-01"))) == 1


@pytest.mark.parametrize(
    ("start", "end"),
    [("2024-06-08", "2024-06-10"), ("2024-07-01", "2024-07-03")],
    ids=["a weekend", "the future"],
)
def test_days_without_trading_cost_nothing(start: str, end: str) -> None:
    assert asked(ask(start=start, end=end)) == []
    assert asked(ask(interval=Interval.MINUTE_1, start=start, end=end)) == []


def test_minutes_are_asked_for_by_the_day_of_new_york() -> None:
    question = ask(
        interval=Interval.MINUTE_1,
        start="2024-06-07T19:00",
        end="2024-06-12T16:00",
        now="2024-06-12T15:00",
    )

    assert asked(question) == [
        "AAPL/chart/date/20240607",
        "AAPL/chart/date/20240610",
        "AAPL/chart/date/20240611",
        "AAPL/intraday-prices",
    ]
    assert messages(question) == 200


def test_a_symbol_is_escaped_in_the_path() -> None:
    assert asked(ask(BERKSHIRE)) == ["BRK.B/chart/5d?chartLast=2"]


def test_another_service_is_asked_at_its_own_address() -> None:
    vendor = IexCloud(base_url="https://iex.example:8443/api/v1/")

    (request,) = vendor.bar_requests(ask())

    assert request.url == "https://iex.example:8443/api/v1/stock/AAPL/chart/5d"
    assert "iex.example" in vendor.hosts


@pytest.mark.parametrize(
    "question",
    [
        ask(interval=Interval.HOUR_1),
        ask(interval=Interval.WEEK_1),
        ask(interval=Interval.MINUTE_1, adjustment=Adjustment.SPLIT),
        ask(EURUSD),
        ask(LONDON),
    ],
)
def test_what_it_does_not_have_is_not_asked_for(question: BarAsk) -> None:
    with pytest.raises(CapabilityMissingError):
        IexCloud().bar_requests(question)


@pytest.mark.parametrize(
    ("interval", "feature"),
    [
        (Interval.DAY_1, "chart"),
        (Interval.MINUTE_1, "chart:minutes"),
    ],
)
def test_what_the_plan_refused_before_is_not_asked_for_again(
    interval: Interval, feature: str
) -> None:
    with pytest.raises(EntitlementMissingError) as caught:
        IexCloud().bar_requests(ask(interval=interval, refused=frozenset({feature})))

    assert caught.value.feature == feature


def test_actions_are_those_of_six_months() -> None:
    vendor = IexCloud()

    splits = vendor.action_requests(
        AAPL, frozenset({Adjustment.SPLIT}), ns("2024-06-12")
    )
    all_ = vendor.action_requests(
        AAPL, frozenset({Adjustment.SPLIT_DIVIDEND}), ns("2024-06-12")
    )

    assert [each.url.removeprefix(ROOT) for each in splits] == ["AAPL/splits/6m"]
    assert [each.url.removeprefix(ROOT) for each in all_] == [
        "AAPL/splits/6m",
        "AAPL/dividends/6m",
        "AAPL/chart/6m",
    ]
    assert vendor.action_requests(EURUSD, frozenset(), ns("2024-06-12")) == ()


def test_the_key_comes_last_and_only_at_the_wire() -> None:
    vendor = IexCloud()
    (request,) = vendor.bar_requests(ask())

    signed = vendor.sign(request, Credentials(key="sk_1"))

    assert signed.params[-1] == ("token", "sk_1")
    assert signed.params[:-1] == request.params
    with pytest.raises(CredentialsRefusedError, match="IEX_TOKEN"):
        vendor.sign(HttpRequest("iex_cloud", ROOT), Credentials())
