"""The vendor as a whole: declarations, signing, identities, and any bytes at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.budget import Scope
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import Credentials, Identity, Page, Provider
from ingestion_server.providers.yahoo import Yahoo
from tests.providers.yahoo.charts import ask, chart, ns, seconds

CHARTS = "https://query2.finance.yahoo.com/v8/finance/chart/"
ROW = (10.0, 11.0, 9.0, 10.5, 100.0)
KNOWN = Credentials(crumb="abc", cookies=(("A3", "x"), ("A1", "y")))


def test_it_is_a_vendor_whose_every_request_goes_to_its_hosts() -> None:
    vendor: Provider = Yahoo()

    assert vendor.name == "yahoo"
    assert vendor.default_plan in vendor.plans
    assert not vendor.needs_key
    assert vendor.feed_delay_seconds == 900.0
    for request in vendor.bar_requests(ask()):
        assert request.url.split("/")[2] in vendor.hosts


def test_its_only_pace_is_our_caution_and_a_gateway_has_none() -> None:
    plans = Yahoo().plans

    (pace,) = plans["unofficial"].windows
    assert (pace.limit, pace.seconds, pace.scope) == (2, 1.0, Scope.IP)
    assert plans["unmetered"].windows == ()
    assert not any(plan.published for plan in plans.values())


def test_shares_come_adjusted_for_splits_and_other_kinds_raw() -> None:
    for row in Yahoo().capabilities:
        listed = row.asset_classes == {AssetClass.EQUITY}
        assert row.adjustments == {Adjustment.SPLIT if listed else Adjustment.RAW}
        assert Interval.MINUTE_30 not in row.intervals


def test_a_request_is_signed_with_cookies_and_crumb() -> None:
    (request,) = Yahoo().bar_requests(ask())

    signed = Yahoo().sign(request, KNOWN)

    assert dict(signed.headers)["Cookie"] == "A3=x; A1=y"
    assert dict(signed.params)["crumb"] == "abc"
    assert "crumb" in Yahoo().secret_parameters


def test_without_a_greeting_nothing_but_the_name_is_added() -> None:
    (request,) = Yahoo().bar_requests(ask())

    signed = Yahoo().sign(request, Credentials())

    assert [name for name, _ in signed.headers] == ["User-Agent"]
    assert signed.params == request.params


def test_a_greeting_carries_its_own_cookies_only() -> None:
    own = (("Cookie", "A3=new"),)
    for headers in ((), own):
        request = HttpRequest("yahoo", "https://a", headers=headers, feature="session")

        signed = Yahoo().sign(request, KNOWN)

        assert [pair for pair in signed.headers if pair[0] == "Cookie"] == [*headers]
        assert signed.params == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("AAPL?interval=1d&period1=1&events=div", "aapl?crumb=x&interval=1d&range=max"),
        ("%5EGSPC?interval=1d", "^GSPC?interval=1d"),
        ("AAPL?interval=60m", "AAPL?interval=1h"),
        ("JPY=X?interval=1d", "USDJPY%3DX?interval=1d"),
    ],
)
def test_two_ways_to_ask_the_same_are_one(one: str, other: str) -> None:
    found = Yahoo().identity(CHARTS + one, b"")

    assert found is not None
    assert found == Yahoo().identity(CHARTS.replace("query2", "query1") + other, b"")


@pytest.mark.parametrize("other", ["MSFT?interval=1d", "AAPL?interval=1wk"])
def test_another_symbol_or_interval_is_another_question(other: str) -> None:
    asked = Yahoo().identity(CHARTS + "AAPL?interval=1d", b"")

    assert asked != Yahoo().identity(CHARTS + other, b"")


@pytest.mark.parametrize("url", ["", CHARTS, CHARTS + "?interval=1d"])
def test_what_the_url_does_not_say_the_body_does(url: str) -> None:
    body = chart({"2024-01-02T14:30": ROW}, symbol="AAPL", dataGranularity="1d")

    found = Yahoo().identity(url, json.dumps(body).encode())

    assert found == Yahoo().identity(CHARTS + "AAPL?interval=1d", b"")


@pytest.mark.parametrize(
    "url",
    [
        "",
        CHARTS,
        CHARTS + "AAPL",
        "https://[",
        "https://evil.example/v8/finance/chart/AAPL?interval=1d",
        "https://fc.yahoo.com/",
        "wss://streamer.finance.yahoo.com/?version=2",
    ],
)
def test_what_is_no_question_of_ours_has_no_identity(url: str) -> None:
    assert Yahoo().identity(url, b"{}") is None


def test_pages_of_one_path_differ_by_what_they_are_about() -> None:
    quote = "https://query2.finance.yahoo.com/v7/finance/quote?symbols="

    found = Yahoo().identity(quote + "A&crumb=x", b"")

    assert found is not None
    assert found == Yahoo().identity(quote + "A&crumb=y", b"")
    assert found != Yahoo().identity(quote + "B", b"")


def test_a_body_covers_its_rows_whatever_its_zone() -> None:
    rows = {"2024-01-02T14:30": ROW, "2024-01-03T14:30": ROW}
    body = json.dumps(chart(rows, zone="")).encode()

    found = Yahoo().body_span("", body)

    assert found == Span(ns("2024-01-02T14:30"), ns("2024-01-03T14:30") + 1)


@pytest.mark.parametrize("body", [b"", b"{}", json.dumps(chart({})).encode()])
def test_a_body_without_rows_covers_nothing(body: bytes) -> None:
    assert Yahoo().body_span("", body) is None


def attempted(act: Callable[[], object]) -> object:
    """Return what comes of it: a result, or an error of ours."""
    try:
        return act()
    except ProviderError as error:
        return error


def harmless(body: bytes, status: int = 200) -> None:
    """Hand a body to everything that reads bodies."""
    vendor = Yahoo()
    response = HttpResponse(status, body, received_at_ns=ns("2024-01-06"))
    request = HttpRequest("yahoo", CHARTS)
    assert isinstance(attempted(lambda: vendor.check(request, response)), _NOTHING)
    for asked in ASKS:
        page = attempted(lambda asked=asked: vendor.read_bars(response, asked))
        assert isinstance(page, Page | ProviderError)
        if isinstance(page, Page):
            times = page.series.open_time_ns
            assert (times[1:] > times[:-1]).all()
    attempted(lambda: vendor.read_actions([response], ASKS[0].instrument))
    assert isinstance(vendor.identity("", body), Identity | None)
    assert isinstance(vendor.body_span("", body), Span | None)


_NOTHING = (type(None), ProviderError)
ASKS = (
    ask(),
    ask(interval=Interval.MINUTE_1),
    ask(interval=Interval.WEEK_1),
    ask(interval=Interval.MONTH_1),
)


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 400, 404, 500, 999]))
def test_any_bytes_end_in_a_page_or_in_our_error(body: bytes, status: int) -> None:
    harmless(body, status)


@given(url=st.text(), tail=st.text())
def test_any_url_does_no_harm(url: str, tail: str) -> None:
    for address in (url, "https://" + url, CHARTS + tail):
        Yahoo().identity(address, b"")
        Yahoo().body_span(address, b"")


EDGE = {"start": seconds("2024-01-02T14:30"), "end": seconds("2024-01-05T21:00")}
SPLIT = {"date": seconds("2024-01-04T14:30"), "numerator": 4, "denominator": 1}
REALISTIC = chart(
    {f"2024-01-0{day}T14:30": ROW for day in (2, 3, 4, 5)} | {"2024-01-05T21:00": ROW},
    symbol="AAPL",
    firstTradeDate=seconds("2024-01-02T14:30"),
    regularMarketTime=seconds("2024-01-05T21:00"),
    currentTradingPeriod={"regular": EDGE},
    events={
        "dividends": {"1": {"date": SPLIT["date"], "amount": 0.5}},
        "splits": {"1": SPLIT},
    },
)
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [
            2**63,
            2**64,
            -(2**63) - 1,
            10**30,
            10**400,
            9_000_000_000 - 1,
            -9_000_000_000 + 1,
            1e308,
            -1e308,
            5e-324,
            1e-300,
            3.4028235e38,
            0.0,
            -0.0,
            float("nan"),
            float("inf"),
        ]
    ),
    st.floats(),
    st.sampled_from(["", "../../etc/passwd", "Mars/Phobos", "Asia", "1wk", "UTC"]),
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.floats(), st.integers()), max_size=6),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the paths to everything inside."""
    inside: list[tuple[object, object]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    deeper = (places(child, (*path, key)) for key, child in inside)
    return [(*path, key) for key, _ in inside] + [
        way for ways in deeper for way in ways
    ]


PLACES = places(REALISTIC)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    changes=st.lists(st.tuples(st.sampled_from(PLACES), junk), max_size=3),
    repeated=st.booleans(),
)
def test_a_chart_with_anything_in_it_ends_in_a_page_or_in_our_error(
    changes: list[tuple[tuple[object, ...], object]],
    repeated: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    body: Any = json.loads(json.dumps(REALISTIC))
    if repeated:
        stamps = body["chart"]["result"][0]["timestamp"]
        stamps[1], stamps[2] = stamps[2], stamps[0]
    for path, value in changes:
        holder = body
        for key in path[:-1]:
            if not isinstance(holder, dict | list) or (
                isinstance(holder, dict) and key not in holder
            ):
                break
            if isinstance(holder, list) and not (
                isinstance(key, int) and key < len(holder)
            ):
                break
            holder = holder[key]
        else:
            last = path[-1]
            if isinstance(holder, dict) or (
                isinstance(holder, list)
                and isinstance(last, int)
                and last < len(holder)
            ):
                holder[last] = value

    harmless(json.dumps(body).encode())


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "[" * 5000])
def test_tokens_that_are_no_json_do_no_harm(token: str) -> None:
    text = json.dumps(REALISTIC)

    for number in ("10.5", "100.0", str(EDGE["start"])):
        harmless(text.replace(number, token).encode())


def test_the_realistic_chart_is_read_by_everything() -> None:
    body = json.dumps(REALISTIC).encode()
    response = HttpResponse(200, body, received_at_ns=ns("2024-01-06"))

    page = Yahoo().read_bars(response, ask())
    actions = Yahoo().read_actions([response], ask().instrument)

    assert len(page.series) == 4
    assert actions.split_ratios.tolist() == [4.0]
