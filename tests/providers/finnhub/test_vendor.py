"""The vendor as a whole: declarations, recordings, and any bytes at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import Identity, Page, Provider
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.finnhub.quotes import FinnhubQuoting
from ingestion_server.providers.finnhub.trades import FinnhubTrades
from ingestion_server.quota.faults import faults
from ingestion_server.quota.told import readings
from tests.providers.finnhub.answers import (
    AAPL,
    BITCOIN,
    EURUSD,
    NOW,
    ROW,
    answer,
    ask,
    candles,
    ns,
    seconds,
)

FOLDER = Path(__file__).parents[4] / "shared" / "recordings" / "finnhub"
BASE = "https://finnhub.io/api/v1/"
CANDLES = BASE + "stock/candle?symbol=AAPL&resolution=D"


def test_it_is_a_vendor_that_needs_a_key() -> None:
    vendor: Provider = Finnhub()

    assert vendor.name == "finnhub"
    assert vendor.default_plan == "free"
    assert vendor.needs_key
    assert vendor.streaming is not None
    assert vendor.quoting is not None
    assert vendor.trade_history is not None
    assert "token" in vendor.secret_parameters


@pytest.mark.parametrize(
    ("plan", "most"), [(None, 50), ("free", 50), ("premium", None), ("900", None)]
)
def test_only_the_free_plan_has_a_limit_of_symbols(
    plan: str | None, most: int | None
) -> None:
    streaming = Finnhub(plan=plan).streaming

    assert streaming is not None
    assert streaming.declaration.most_symbols == most


def test_every_plan_has_a_minute_of_its_own_and_the_same_second() -> None:
    plans = Finnhub().plans

    per_minute = {name: plan.windows[0].limit for name, plan in plans.items()}
    assert per_minute == {"free": 60, "150": 150, "premium": 300, "900": 900}
    for name, plan in plans.items():
        assert not list(faults(plan))
        assert (plan.windows[1].limit, plan.windows[1].seconds) == (30, 1.0)
        assert (plan.monthly_price_usd == Decimal(0)) == (name == "free")


def test_what_is_left_of_the_minute_is_read_off_the_headers() -> None:
    headers = {
        "x-ratelimit-limit": "60",
        "x-ratelimit-remaining": "41",
        "x-ratelimit-reset": str(seconds(NOW) + 12),
    }

    (told,) = readings(Finnhub().plans["free"], headers, ns(NOW))

    assert told == ("minute", 60, 41, 12.0)


def test_days_come_adjusted_for_splits_minutes_raw_and_hours_of_shares_not() -> None:
    rows = Finnhub().capabilities
    shares = [row for row in rows if AssetClass.EQUITY in row.asset_classes]

    given_as = {each: row.adjustments for row in shares for each in row.intervals}
    assert given_as[Interval.DAY_1] == {Adjustment.SPLIT}
    assert given_as[Interval.MINUTE_1] == {Adjustment.RAW}
    assert Interval.HOUR_1 not in given_as
    assert not any(row.extended_hours for row in rows)


def test_there_is_nothing_to_exchange_before_the_first_question() -> None:
    (request,) = Finnhub().bar_requests(ask())

    assert not request.headers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CANDLES + "&from=1&to=2", CANDLES + "&to=9&token=k3y"),
        (CANDLES, CANDLES.replace("AAPL", "aapl")),
        (BASE + "quote?symbol=AAPL&token=a", BASE + "quote?token=b&symbol=AAPL"),
        (
            BASE + "stock/split?symbol=AAPL&from=1970-01-01&to=2024-01-01",
            BASE + "stock/split?symbol=AAPL&from=1970-01-01&to=2025-01-01",
        ),
        (
            BASE + "stock/tick?symbol=AAPL&date=2024-01-03&limit=25000&skip=0",
            BASE + "stock/tick?symbol=AAPL&date=2024-01-03&limit=25000",
        ),
    ],
)
def test_two_ways_to_ask_the_same_are_one(one: str, other: str) -> None:
    found = Finnhub().identity(one, b"")

    assert found is not None
    assert found == Finnhub().identity(other, b"")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CANDLES, CANDLES.replace("AAPL", "MSFT")),
        (CANDLES, CANDLES.replace("=D", "=W")),
        (CANDLES, CANDLES.replace("stock", "crypto")),
        (BASE + "quote?symbol=AAPL", BASE + "quote?symbol=MSFT"),
        (
            BASE + "stock/tick?symbol=AAPL&date=2024-01-03",
            BASE + "stock/tick?symbol=AAPL&date=2024-01-04",
        ),
    ],
)
def test_another_symbol_resolution_or_day_is_another_question(
    one: str, other: str
) -> None:
    assert Finnhub().identity(one, b"") != Finnhub().identity(other, b"")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://[",
        BASE,
        BASE + "stock/candle?symbol=AAPL",
        "https://evil.example/api/v1/quote?symbol=AAPL",
        "https://finnhub.io/docs/api",
        "wss://ws.finnhub.io?token=***",
    ],
)
def test_what_is_no_question_of_ours_has_no_identity(url: str) -> None:
    assert Finnhub().identity(url, b"{}") is None


def test_every_request_of_ours_is_found_among_its_recordings() -> None:
    vendor = Finnhub()
    requests = [
        *vendor.bar_requests(ask()),
        *vendor.bar_requests(ask(EURUSD, Interval.HOUR_1)),
        *vendor.bar_requests(ask(BITCOIN)),
        *vendor.action_requests(AAPL, frozenset({Adjustment.SPLIT_DIVIDEND}), ns(NOW)),
        FinnhubQuoting().quote_request([AAPL]),
        *FinnhubTrades().trade_requests(AAPL, ns("2024-01-03"), ns("2024-01-04")),
    ]

    assert all(vendor.identity(each.full_url, b"") for each in requests)


def test_candles_cover_the_time_from_the_first_to_the_end_of_the_last() -> None:
    body = candles({"2024-01-02": ROW, "2024-01-05": ROW})

    found = Finnhub().body_span(CANDLES, body)

    assert found == Span(ns("2024-01-02"), ns("2024-01-06"))


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (CANDLES, b'{"s":"no_data"}'),
        (CANDLES, b""),
        (CANDLES.replace("=D", "=7"), candles({"2024-01-02": ROW})),
        (BASE + "quote?symbol=AAPL", b'{"c":1,"t":1}'),
        ("", candles({"2024-01-02": ROW})),
    ],
)
def test_what_holds_no_candles_covers_nothing(url: str, body: bytes) -> None:
    assert Finnhub().body_span(url, body) is None


def test_a_quote_was_not_recorded_before_its_trade() -> None:
    assert Finnhub().told_at_ns(b'{"c":1,"t":1629316803}') == 1629316803 * SECOND_NS
    assert Finnhub().told_at_ns(b'{"s":"no_data"}') is None
    assert Finnhub().told_at_ns(b"[]") is None


@pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recordings are not beside this checkout"
)
def test_every_recorded_answer_is_a_resource_and_no_complaint() -> None:
    seen = set()
    for meta in FOLDER.glob("*.json.meta.json"):
        told = json.loads(meta.read_bytes())
        body = meta.with_name(meta.name.removesuffix(".meta.json")).read_bytes()

        found = Finnhub().identity(told["url"], body)
        Finnhub().check(HttpRequest("finnhub", told["url"]), answer(body))

        assert found is not None
        assert "token" not in dict(found.resource)
        seen.add(found)
    assert len(seen) == 4


def attempted(act: Callable[[], object]) -> object:
    """Return what comes of it: a result, or an error of ours."""
    try:
        return act()
    except ProviderError as error:
        return error


def harmless(body: bytes, status: int = 200) -> None:
    """Hand a body to everything that reads bodies."""
    vendor, response = Finnhub(), answer(body, status)
    request = HttpRequest("finnhub", CANDLES)
    attempted(lambda: vendor.check(request, response))
    for asked in ASKS:
        page = attempted(lambda asked=asked: vendor.read_bars(response, asked))
        if isinstance(page, Page):
            times = page.series.open_time_ns
            assert (times[1:] > times[:-1]).all()
    for responses in ([response], [response] * 3):
        attempted(lambda each=responses: vendor.read_actions(each, AAPL))
    attempted(lambda: FinnhubQuoting().read_quotes(response, [AAPL]))
    (ticks,) = FinnhubTrades().trade_requests(AAPL, ns(NOW), ns(NOW) + 1)
    attempted(lambda: FinnhubTrades().read_trades(response, ticks))
    assert isinstance(vendor.body_span(CANDLES, body), Span | None)
    assert isinstance(vendor.told_at_ns(body), int | None)


ASKS = (
    ask(),
    ask(interval=Interval.MINUTE_1),
    ask(EURUSD, Interval.WEEK_1),
    ask(BITCOIN, Interval.MONTH_1),
)


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 401, 403, 422, 429]))
def test_any_bytes_end_in_a_result_or_in_our_error(body: bytes, status: int) -> None:
    harmless(body, status)


@given(url=st.text(), tail=st.text())
def test_any_url_does_no_harm(url: str, tail: str) -> None:
    for address in (url, "https://" + url, BASE + tail):
        assert isinstance(Finnhub().identity(address, b""), Identity | None)
        Finnhub().body_span(address, b"")


NAMES = st.sampled_from(
    [*"stohlcvpd", "pc", "dp", "skip", "count", "total", "error", "date"]
)
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([2**63, -(2**64), 10**400, 9_000_000_000 - 1, 1e308, -0.0]),
        st.floats(),
        st.sampled_from(["ok", "no_data", "USD", "2024-01-03", "NaT", "now", ""]),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)
    ),
    max_leaves=12,
)
ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["date", "fromFactor", "toFactor", "adjustedAmount", "currency"]
        ),
        JUNK,
        max_size=5,
    ),
    max_size=3,
)
REAL = json.loads(candles({"2024-01-02": ROW, "2024-01-03": ROW}))
CHANGED = st.dictionaries(NAMES, JUNK, max_size=3).map(lambda junk: {**REAL, **junk})


@settings(deadline=None)
@given(body=st.one_of(JUNK, ROWS, CHANGED))
def test_an_answer_with_anything_in_it_ends_in_a_result_or_in_our_error(
    body: object,
) -> None:
    harmless(json.dumps(body).encode())


@pytest.mark.parametrize("token", ["NaN", "Infinity", "1e999", "[" * 5000])
def test_tokens_that_are_no_json_do_no_harm(token: str) -> None:
    harmless(json.dumps(REAL).replace("10.5", token).encode())
