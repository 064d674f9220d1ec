"""Yahoo's ways: cookie and crumb, stamps, ranges and refusals."""

import json
import re

import numpy as np
import pytest


async def crumb_of(caller) -> str:
    """Return the crumb for the cookie the session holds."""
    status, body = await caller.get("/v1/test/getcrumb")
    assert status == 200
    return body.decode()


async def test_the_basic_way_to_a_crumb(caller):
    """A 404 sets the cookie, the cookie gives a crumb, both give a quote."""
    assert (await caller.get("/v1/test/getcrumb"))[0] == 401
    assert (await caller.get("/"))[0] == 404

    crumb = await crumb_of(caller)

    assert re.fullmatch(r"\w{11}", crumb)
    served = await caller.json("/v7/finance/quote", symbols="AAPL,NOPE", crumb=crumb)
    (quote,) = served["quoteResponse"]["result"]
    assert quote["symbol"] == "AAPL"
    status, body = await caller.get("/v7/finance/quote", symbols="AAPL", crumb="no")
    assert (status, json.loads(body)["finance"]["error"]["description"]) == (
        401,
        "Invalid Crumb",
    )


async def test_the_consent_chain_leads_to_a_crumb(caller):
    """Redirect by redirect, all of them on this origin."""
    await caller.fault("yahoo", fault="consent_required")
    await caller.get("/")
    assert (await caller.get("/v1/test/getcrumb"))[0] == 401

    async with caller.session.get(caller.url + "/quote/AAPL") as reply:
        assert [r.status for r in reply.history] == [307, 302]
        page, form_url = await reply.text(), reply.url
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page))
    assert {"csrfToken", "sessionId", "originalDoneUrl", "namespace"} <= set(fields)
    wrong = fields | {"csrfToken": "x", "agree": "agree"}
    async with caller.session.post(form_url, data=wrong) as reply:
        assert reply.status == 400
    pairs = [*fields.items(), ("agree", "agree"), ("agree", "agree")]
    async with caller.session.post(form_url, data=pairs) as reply:
        assert [r.status for r in reply.history] == [302, 302, 301]
        assert reply.status == 200
        cookies = {c.key for c in caller.session.cookie_jar}

    assert {"GUC", "A1", "A3", "A1S", "EuConsent"} <= cookies
    assert len(await crumb_of(caller)) == 11


async def test_a_chart_may_ask_for_a_crumb(caller):
    """Only while the fault is active, and only without cookie and crumb."""
    await caller.fault("yahoo", fault="crumb_required")
    refused = await caller.get("/v8/finance/chart/KO")
    await caller.get("/")

    served = await caller.get("/v8/finance/chart/KO", crumb=await crumb_of(caller))

    assert (refused[0], served[0]) == (401, 200)


@pytest.mark.parametrize(
    ("interval", "days", "status"),
    [
        ("1m", 8, 200),
        ("1m", 9, 422),
        ("5m", 59, 200),
        ("5m", 61, 422),
        ("90m", 61, 422),
        ("1h", 729, 200),
        ("60m", 731, 422),
        ("1d", 5000, 200),
    ],
)
async def test_ranges_are_limited(caller, interval, days, status):
    """Each interval reaches only so far back."""
    now = caller.clock() // 10**9

    served, body = await caller.get(
        "/v8/finance/chart/KO",
        interval=interval,
        period1=str(now - days * 86_400),
        period2=str(now),
    )

    assert served == status
    if status == 422:
        assert json.loads(body)["chart"]["error"]["code"] == "Unprocessable Entity"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"interval": "4h"}, "interval=4h is not supported. Valid intervals: [1m, "),
        ({"range": "7d"}, "range=7d is not supported"),
        ({"period1": "100", "period2": "50"}, "start date cannot be after"),
        ({"period1": "0", "period2": "86400"}, "Data doesn't exist for startDate = 0"),
        ({"period1": "4000000000", "period2": "4000086400"}, "Data doesn't exist"),
        ({"period1": "x"}, "not a number"),
    ],
)
async def test_wrong_parameters_are_400(caller, query, words):
    """With the vendor's error object."""
    status, body = await caller.get("/v8/finance/chart/KO", **query)

    assert status == 400
    error = json.loads(body)["chart"]["error"]
    assert error["code"] == "Bad Request"
    assert words in error["description"]


async def test_a_weekend_has_no_stamps(caller, time_at):
    """No data is no error: the key is absent."""
    chart = await caller.chart(
        "KO",
        interval="1m",
        period1=str(time_at("2024-12-28 00:00:00") // 10**9),
        period2=str(time_at("2024-12-29 00:00:00") // 10**9),
    )

    assert "timestamp" not in chart
    assert chart["indicators"] == {"quote": [{}]}


async def test_the_end_of_a_window_is_left_out(caller):
    """period1 is included, period2 is not."""
    stamps = (await caller.chart("KO", range="5d"))["timestamp"]

    chart = await caller.chart("KO", period1=str(stamps[1]), period2=str(stamps[3]))

    assert chart["timestamp"] == stamps[1:3]


@pytest.mark.parametrize(
    ("symbol", "interval", "expected"),
    [
        ("KO", "1d", "2024-07-01 09:30:00"),
        ("KO", "1wk", "2024-07-01 00:00:00"),
        ("KO", "1mo", "2024-07-01 00:00:00"),
        ("KO", "3mo", "2024-07-01 00:00:00"),
        ("GC=F", "1d", "2024-07-01 00:00:00"),
        ("EURUSD=X", "1d", "2024-06-30 19:00:00"),
        ("BTC-USD", "1d", "2024-06-30 20:00:00"),
        ("OCDO.L", "1d", "2024-07-01 03:00:00"),
        ("7203.T", "1d", "2024-06-30 20:00:00"),
    ],
)
async def test_stamps_are_opens_or_local_midnights(
    caller, time_at, symbol, interval, expected
):
    """Open for days of exchanges, midnight there for anything else."""
    chart = await caller.chart(
        symbol,
        interval=interval,
        period1=str(time_at("2024-06-30 12:00:00") // 10**9),
        period2=str(time_at("2024-08-01 00:00:00") // 10**9),
    )

    assert chart["timestamp"][0] == time_at(expected) // 10**9


async def test_today_is_stamped_with_the_time(opened, time_at):
    """While the session runs; in a week today is a row of its own."""
    caller = await opened("2025-01-02 11:00:07")

    days = await caller.chart("KO", range="5d")
    weeks = await caller.chart("KO", range="1mo", interval="1wk")
    coin = await caller.chart("BTC-USD", range="1mo", interval="1wk")

    now = time_at("2025-01-02 11:00:07") // 10**9
    monday = time_at("2024-12-30 00:00:00") // 10**9
    assert days["timestamp"][-1] == now
    assert weeks["timestamp"][-2:] == [monday, now]
    assert coin["timestamp"][-1] < now


async def test_extended_hours_come_if_asked_for(caller, time_at):
    """From 04:00 to 20:00, without volume outside of regular hours."""
    query = {"range": "1d", "interval": "1m"}
    regular = await caller.chart("KO", **query)

    wide = await caller.chart("KO", includePrePost="true", **query)

    assert len(regular["timestamp"]) == 390
    assert wide["timestamp"][0] == time_at("2025-01-03 04:00:00") // 10**9
    assert wide["timestamp"][-1] == time_at("2025-01-03 19:59:00") // 10**9
    assert set(wide["meta"]["tradingPeriods"]) == {"pre", "regular", "post"}
    stamps, volume = wide["timestamp"], wide["indicators"]["quote"][0]["volume"]
    early = [v for t, v in zip(stamps, volume, strict=True) if t < stamps[0] + 19_800]
    assert len(early) > 50
    assert set(early) == {0}


async def test_a_half_day_is_short(caller, time_at):
    """The session closes at 13:00."""
    chart = await caller.chart(
        "KO",
        interval="1h",
        period1=str(time_at("2024-11-29 00:00:00") // 10**9),
        period2=str(time_at("2024-11-30 00:00:00") // 10**9),
    )

    opening = time_at("2024-11-29 09:30:00") // 10**9
    assert chart["timestamp"] == [opening + 3600 * hour for hour in range(4)]


async def test_events_of_weeks_have_the_week_as_key(caller):
    """The date inside stays the true day."""
    query = {"range": "10y", "interval": "1wk", "events": "div,splits"}
    events = (await caller.chart("AAPL", **query))["events"]

    ((key, split),) = events["splits"].items()

    assert split["splitRatio"] == "4:1"
    assert int(key) < split["date"] < int(key) + 86_400
    assert len(events["dividends"]) == 40


async def test_crosses_the_lunch_break(caller):
    """Tokyo's afternoon has a grid of its own."""
    chart = await caller.chart("7203.T", range="1d", interval="1h")

    hours = (np.diff(chart["timestamp"]) / 60).tolist()

    assert hours == [60, 60, 90, 60, 60]


async def test_slashes_and_unknown_paths(caller):
    """Double slashes are one; a path of nobody is 404 and not counted."""
    async with caller.session.get(caller.url + "//v8//finance/chart/KO") as reply:
        assert reply.status == 200

    assert (await caller.get("/v9/finance"))[0] == 404
    assert (await caller.stats("yahoo"))["by_path"] == {"/v8/finance/chart": 1}


@pytest.mark.parametrize("symbol", ["USDJPY=X", "JPY=X"])
async def test_dollar_yen_has_two_names(caller, symbol):
    """The dollar may be left out."""
    chart = await caller.chart(symbol, range="ytd", interval="5d")

    assert chart["meta"]["symbol"] == symbol
    assert chart["meta"]["currency"] == "JPY"
    assert 50 < chart["meta"]["regularMarketPrice"] < 500


async def test_a_quote_may_be_empty(caller):
    """The fault gives what an unknown symbol gives."""
    await caller.fault("yahoo", fault="empty")

    served = await caller.json("/v7/finance/quote", symbols="KO")

    assert served == {"quoteResponse": {"result": [], "error": None}}
