"""Questions as Finnhub wants them asked: how many, about what, and with which key."""

from __future__ import annotations

import itertools

import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.provider import Credentials
from ingestion_server.providers.finnhub import Finnhub
from tests.providers.finnhub.answers import (
    AAPL,
    BITCOIN,
    EURUSD,
    LONDON,
    NOW,
    ask,
    ns,
    seconds,
)

BASE = "https://finnhub.io/api/v1/"


def test_a_range_of_days_is_one_request() -> None:
    (request,) = Finnhub().bar_requests(ask(start="2004-01-01", end="2024-01-10"))

    assert request.url == BASE + "stock/candle"
    assert dict(request.params) == {
        "symbol": "AAPL",
        "resolution": "D",
        "from": str(seconds("2004-01-01")),
        "to": str(seconds("2024-01-10") - 1),
    }
    assert request.feature == "stock/candle"


@pytest.mark.parametrize(
    ("instrument", "path", "symbol"),
    [
        (AAPL, "stock/candle", "AAPL"),
        (LONDON, "stock/candle", "VOD.L"),
        (EURUSD, "forex/candle", "OANDA:EUR_USD"),
        (BITCOIN, "crypto/candle", "BINANCE:BTCUSDT"),
    ],
)
def test_each_kind_has_a_path_of_its_own(
    instrument: Instrument, path: str, symbol: str
) -> None:
    (request,) = Finnhub().bar_requests(ask(instrument, Interval.MINUTE_5))

    assert request.url == BASE + path
    assert ("symbol", symbol) in request.params


def test_minutes_are_asked_for_by_the_month_and_without_holes() -> None:
    asked = ask(interval=Interval.MINUTE_1, start="2023-10-01", end="2024-01-10")

    requests = Finnhub().bar_requests(asked)

    spans = [
        (int(dict(each.params)["from"]), int(dict(each.params)["to"]))
        for each in requests
    ]
    assert len(spans) == 4
    assert spans[0][0] == seconds("2023-10-01")
    assert spans[-1][1] == seconds("2024-01-10") - 1
    assert all(last - first < 28 * 86_400 for first, last in spans)
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(spans))


def test_the_future_is_not_asked_for() -> None:
    asked = ask(interval=Interval.MINUTE_1, start="2024-02-01", end="2024-12-31")

    (request,) = Finnhub().bar_requests(asked)

    assert dict(request.params)["to"] == str(seconds(NOW) - 1)
    assert not Finnhub().bar_requests(ask(start="2024-03-01", end="2024-03-02"))


@pytest.mark.parametrize(
    ("interval", "first", "last"),
    [
        (Interval.WEEK_1, "2024-01-01", "2024-01-15"),
        (Interval.MONTH_1, "2024-01-01", "2024-02-01"),
    ],
)
def test_weeks_and_months_are_asked_for_wholly(
    interval: Interval, first: str, last: str
) -> None:
    asked = ask(interval=interval, start="2024-01-03", end="2024-01-10")

    (request,) = Finnhub().bar_requests(asked)

    assert request.span == Span(ns(first), ns(last))


def test_days_of_currencies_may_begin_on_the_evening_before() -> None:
    (request,) = Finnhub().bar_requests(ask(EURUSD))

    assert dict(request.params)["from"] == str(seconds("2024-01-01T20:00"))


@pytest.mark.parametrize(
    ("instrument", "interval", "adjustment"),
    [
        (AAPL, Interval.HOUR_1, Adjustment.RAW),
        (AAPL, Interval.DAY_1, Adjustment.RAW),
        (AAPL, Interval.MINUTE_1, Adjustment.SPLIT),
        (Instrument("^GSPC", AssetClass.INDEX), Interval.DAY_1, Adjustment.RAW),
    ],
)
def test_what_the_vendor_lacks_is_not_asked_for(
    instrument: Instrument, interval: Interval, adjustment: Adjustment
) -> None:
    with pytest.raises(CapabilityMissingError):
        Finnhub().bar_requests(ask(instrument, interval, adjustment))


def test_what_the_plan_refused_is_not_asked_again() -> None:
    refused = frozenset({"stock/candle"})

    with pytest.raises(EntitlementMissingError) as caught:
        Finnhub().bar_requests(ask(refused=refused))

    assert caught.value.feature == "stock/candle"


def test_a_refusal_at_home_says_nothing_about_other_markets_and_kinds() -> None:
    refused = frozenset({"stock/candle"})

    abroad = Finnhub().bar_requests(ask(LONDON, refused=refused))
    currencies = Finnhub().bar_requests(ask(EURUSD, refused=refused))

    assert [each.feature for each in (*abroad, *currencies)] == [
        "stock/candle:international",
        "forex/candle",
    ]


def test_the_key_travels_in_a_header_and_in_no_url() -> None:
    (request,) = Finnhub().bar_requests(ask())

    signed = Finnhub().sign(request, Credentials(key="k3y"))

    assert ("X-Finnhub-Token", "k3y") in signed.headers
    assert "k3y" not in signed.full_url


def test_without_a_key_nothing_is_signed() -> None:
    (request,) = Finnhub().bar_requests(ask())

    with pytest.raises(CredentialsRefusedError, match="FINNHUB_API_KEY"):
        Finnhub().sign(request, Credentials())


def test_splits_alone_take_one_call_and_dividends_three() -> None:
    vendor, now_ns = Finnhub(), ns(NOW)

    splits = vendor.action_requests(AAPL, frozenset({Adjustment.RAW}), now_ns)
    dividends = vendor.action_requests(
        AAPL, frozenset({Adjustment.SPLIT_DIVIDEND}), now_ns
    )

    assert [each.url.removeprefix(BASE) for each in splits] == ["stock/split"]
    assert dict(splits[0].params) == {
        "symbol": "AAPL",
        "from": "1970-01-01",
        "to": "2024-02-01",
    }
    assert [each.url.removeprefix(BASE) for each in dividends] == [
        "stock/split",
        "stock/dividend",
        "stock/candle",
    ]


def test_pairs_have_no_actions() -> None:
    assert not Finnhub().action_requests(EURUSD, frozenset({Adjustment.RAW}), ns(NOW))


def test_every_request_goes_to_its_hosts_and_has_a_name_that_can_be_weighed() -> None:
    vendor = Finnhub()
    everything = frozenset({Adjustment.SPLIT_DIVIDEND})
    requests = [
        request
        for instrument in (AAPL, LONDON, EURUSD, BITCOIN)
        for request in (
            *vendor.bar_requests(ask(instrument)),
            *vendor.action_requests(instrument, everything, ns(NOW)),
        )
    ]

    assert len(requests) == 8
    for request in requests:
        assert request.url.split("/")[2] in vendor.hosts
        assert request.feature in vendor.endpoints
