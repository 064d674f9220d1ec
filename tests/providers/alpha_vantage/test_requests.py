"""Which requests are made for which question."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk, Credentials
from ingestion_server.providers.alpha_vantage import AlphaVantage
from tests.providers.alpha_vantage.pages import ask

KEY = "made-up"


def queries(question: BarAsk, vendor: AlphaVantage | None = None) -> list[str]:
    """Return the query strings of the requests, after the common address."""
    requests = (vendor or AlphaVantage()).bar_requests(question)
    assert all(request.provider == "alpha_vantage" for request in requests)
    head = "https://www.alphavantage.co/query?function="
    return [request.full_url.removeprefix(head) for request in requests]


def features(question: BarAsk) -> list[str]:
    """Return the features of the requests."""
    return [request.feature for request in AlphaVantage().bar_requests(question)]


@pytest.mark.parametrize(
    ("symbol", "interval", "query"),
    [
        ("IBM", Interval.WEEK_1, "TIME_SERIES_WEEKLY&symbol=IBM"),
        ("IBM", Interval.MONTH_1, "TIME_SERIES_MONTHLY&symbol=IBM"),
        ("EUR/USD", Interval.WEEK_1, "FX_WEEKLY&from_symbol=EUR&to_symbol=USD"),
        ("BTC/EUR", Interval.DAY_1, "DIGITAL_CURRENCY_DAILY&symbol=BTC&market=EUR"),
        ("BTC/EUR", Interval.MONTH_1, "DIGITAL_CURRENCY_MONTHLY&symbol=BTC&market=EUR"),
    ],
)
def test_functions_without_an_output_size(
    symbol: str, interval: Interval, query: str
) -> None:
    assert queries(ask(symbol, interval)) == [query]


@pytest.mark.parametrize("symbol", ["IBM", "EUR/USD"])
def test_daily_history_is_asked_in_full_only_where_it_is_needed(symbol: str) -> None:
    near = ask(symbol, start="2024-02-19")
    far = ask(symbol, start="2024-02-18T23:59:59")

    assert "outputsize" not in queries(near)[0]
    assert queries(far)[0].endswith("&outputsize=full")


def test_the_full_size_is_a_feature_of_its_own() -> None:
    full, compact = "TIME_SERIES_DAILY:full", "TIME_SERIES_DAILY"

    assert features(ask()) == [full]
    assert features(ask(start="2024-06-01")) == [compact]
    assert features(ask(refused=[full])) == [compact]
    assert queries(ask(refused=[full])) == ["TIME_SERIES_DAILY&symbol=IBM"]


def test_a_plan_that_refuses_even_the_compact_size_is_not_asked_again() -> None:
    refused = ["FX_INTRADAY:full", "FX_INTRADAY"]

    with pytest.raises(EntitlementMissingError) as raised:
        queries(ask("EUR/USD", Interval.MINUTE_5, refused=refused))

    assert raised.value.feature == "FX_INTRADAY"


def test_recent_intraday_bars_are_one_call_without_a_month() -> None:
    question = ask("IBM", Interval.MINUTE_5, start="2024-06-01", end="2024-07-02")

    assert queries(question) == [
        "TIME_SERIES_INTRADAY&symbol=IBM&interval=5min&adjusted=false&outputsize=full"
    ]


def test_older_intraday_bars_are_one_call_for_each_new_york_month() -> None:
    question = ask(
        "IBM",
        Interval.MINUTE_15,
        adjustment=Adjustment.SPLIT_DIVIDEND,
        start="2023-11-01T03:59:59",  # still October in New York
        end="2024-02-01T05:00:00",  # where February has just begun
    )

    assert queries(question) == [
        f"TIME_SERIES_INTRADAY&symbol=IBM&interval=15min&month={month}&outputsize=full"
        for month in ("2023-10", "2023-11", "2023-12", "2024-01")
    ]
    assert set(features(question)) == {"TIME_SERIES_INTRADAY:full"}


def test_months_before_the_first_and_after_now_are_not_asked_for() -> None:
    old = ask("IBM", Interval.MINUTE_1, start="1998-01-01", end="2000-02-01T05:00:00")
    new = ask("IBM", Interval.MINUTE_1, start="2024-05-10", end="2025-01-01")
    gone = ask("IBM", Interval.MINUTE_1, start="1990-01-01", end="1999-01-01")

    assert ["month=2000-01" in query for query in queries(old)] == [True]
    assert ["month=2024-06" in query for query in queries(new)] == [False, True]
    assert queries(gone) == []


def test_intraday_bars_without_the_full_size_are_the_latest() -> None:
    question = ask("IBM", Interval.MINUTE_1, refused=["TIME_SERIES_INTRADAY:full"])

    assert queries(question) == [
        "TIME_SERIES_INTRADAY&symbol=IBM&interval=1min&adjusted=false"
    ]
    assert features(question) == ["TIME_SERIES_INTRADAY"]


@pytest.mark.parametrize(
    ("symbol", "query"),
    [
        ("EUR/USD", "FX_INTRADAY&from_symbol=EUR&to_symbol=USD"),
        ("ETH/USD", "CRYPTO_INTRADAY&symbol=ETH&market=USD"),
    ],
)
def test_pairs_have_hours_and_no_months(symbol: str, query: str) -> None:
    question = ask(symbol, Interval.HOUR_1, adjustment=Adjustment.SPLIT)

    assert queries(question) == [f"{query}&interval=60min&outputsize=full"]


def test_csv_is_asked_for_only_if_wanted() -> None:
    vendor = AlphaVantage(datatype="csv")

    assert queries(ask(start="2024-06-01"), vendor) == [
        "TIME_SERIES_DAILY&symbol=IBM&datatype=csv"
    ]


def test_an_empty_span_asks_nothing() -> None:
    assert queries(ask(start="2024-01-01", end="2024-01-01")) == []


@pytest.mark.parametrize(
    ("interval", "adjustment"),
    [
        (Interval.HOUR_1, Adjustment.RAW),
        (Interval.DAY_1, Adjustment.SPLIT),
        (Interval.DAY_1, Adjustment.SPLIT_DIVIDEND),
        (Interval.MINUTE_1, Adjustment.SPLIT),
    ],
)
def test_what_is_not_served_is_not_asked_for(
    interval: Interval, adjustment: Adjustment
) -> None:
    with pytest.raises(CapabilityMissingError):
        queries(ask("IBM", interval, adjustment=adjustment))


def test_actions_are_splits_and_if_wanted_dividends_with_the_closes_before() -> None:
    vendor = AlphaVantage()
    ibm = instrument("IBM")

    some = vendor.action_requests(ibm, frozenset({Adjustment.SPLIT}), 0)
    every = vendor.action_requests(ibm, frozenset(Adjustment), 0)

    assert [dict(r.params)["function"] for r in some] == ["SPLITS"]
    assert [dict(r.params)["function"] for r in every] == [
        "SPLITS",
        "DIVIDENDS",
        "TIME_SERIES_DAILY",
    ]
    assert every[2].feature == "TIME_SERIES_DAILY:full"
    assert vendor.action_requests(instrument("EUR/USD"), frozenset(Adjustment), 0) == ()


def asked_of_all_kinds() -> Iterator[str]:
    """Yield the features of whatever is asked for whatever is served."""
    vendor = AlphaVantage()
    refused = [name for name in sorted(vendor.endpoints) if name.endswith(":full")]
    for symbol, interval, adjustment, start, without in itertools.product(
        ("IBM", "EUR/USD", "BTC/EUR"),
        Interval,
        Adjustment,
        ("2023-01-01", "2024-06-28"),
        ([], refused),
    ):
        question = ask(
            symbol, interval, adjustment=adjustment, start=start, refused=without
        )
        with suppress(CapabilityMissingError):
            yield from features(question)
        for request in vendor.action_requests(
            question.instrument, frozenset({adjustment}), 0
        ):
            yield request.feature


def test_the_endpoints_are_what_is_asked_for_and_nothing_else() -> None:
    asked = set(asked_of_all_kinds())

    whole = {name.partition(":")[0] for name in asked}
    quotes = {"GLOBAL_QUOTE", "CURRENCY_EXCHANGE_RATE"}
    assert AlphaVantage().endpoints == asked | whole | quotes


def test_the_key_comes_last_and_nothing_else_changes() -> None:
    request = HttpRequest("alpha_vantage", "https://a/q", (("function", "F"),))

    signed = AlphaVantage().sign(request, Credentials(key=KEY))

    assert signed.params == (("function", "F"), ("apikey", KEY))
    assert request.params == (("function", "F"),)
    assert signed.url == request.url


def test_without_a_key_the_user_is_told_how_to_set_one() -> None:
    request = HttpRequest("alpha_vantage", "https://a/q")

    with pytest.raises(CredentialsRefusedError, match="ALPHAVANTAGE_API_KEY"):
        AlphaVantage().sign(request, Credentials())


def test_there_is_nothing_to_greet() -> None:
    assert AlphaVantage().greet(Credentials()) is None  # type: ignore[func-returns-value]
