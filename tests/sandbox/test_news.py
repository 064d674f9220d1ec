"""What is learnt late is told by both vendors, in their own words."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ingestion_server.sandbox import news

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"
DATE = "2024-12-30"
MONTH = {"month": "2024-12", "outputsize": "full", "extended_hours": "true"}
DAYS = {"range": "1mo", "interval": "1d"}


async def tell(caller, **document):
    """Tell news, which the market takes."""
    status, answer = await caller.control("POST", "market", document)
    assert status == 200, answer


async def days(caller, symbol):
    """Return Alpha Vantage's rows as traded, by date."""
    served = await caller.alpha_vantage(
        "TIME_SERIES_DAILY", symbol=symbol, outputsize="full"
    )
    return {
        date: [float(value) for value in row.values()]
        for date, row in served["Time Series (Daily)"].items()
    }


async def adjusted_days(caller, symbol):
    """Return Alpha Vantage's adjusted rows by date."""
    served = await caller.alpha_vantage(
        "TIME_SERIES_DAILY_ADJUSTED", symbol=symbol, outputsize="full"
    )
    return served["Time Series (Daily)"]


async def minutes(caller, symbol):
    """Return Alpha Vantage's minutes of a month as traded, by local time."""
    served = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY",
        symbol=symbol,
        interval="1min",
        adjusted="false",
        **MONTH,
    )
    return {
        time: [float(value) for value in row.values()]
        for time, row in served["Time Series (1min)"].items()
    }


def changed(before, after):
    """Return the keys whose values differ, the keys being the same."""
    assert before.keys() == after.keys()
    return {key for key, value in before.items() if after[key] != value}


def row_of(chart, place):
    """Return close and volume of one row of a chart."""
    quote = chart["indicators"]["quote"][0]
    return quote["close"][place], quote["volume"][place]


async def test_a_corrected_day_is_another_in_all_histories(caller, time_at):
    before = await days(caller, "IBM")
    volume = before[DATE][4] + 5000

    await tell(
        caller, news="correction", symbol="IBM", date=DATE, close=300.5, volume=volume
    )

    after = await days(caller, "IBM")
    opening, high, low, close, _ = before[DATE]
    assert changed(before, after) == {DATE}
    assert after[DATE] == [opening, 300.5, min(low, close), 300.5, volume]
    assert after[DATE][1] >= high
    chart = await caller.chart("IBM", **DAYS)
    assert chart["timestamp"][-5] == time_at(f"{DATE} 09:30:00") // 10**9
    assert row_of(chart, -5) == (300.5, volume)


async def test_a_corrected_day_is_still_the_sum_of_its_minutes(caller):
    before = await minutes(caller, "IBM")
    volume = (await days(caller, "IBM"))[DATE][4] + 5000

    await tell(
        caller, news="correction", symbol="IBM", date=DATE, close=300.5, volume=volume
    )

    after = await minutes(caller, "IBM")
    assert changed(before, after) == {f"{DATE} 15:59:00"}
    assert after[f"{DATE} 15:59:00"][3:] == [
        300.5,
        before[f"{DATE} 15:59:00"][4] + 5000,
    ]


async def test_a_corrected_minute_leaves_all_others_and_adds_to_its_day(caller):
    before, whole = await minutes(caller, "IBM"), await days(caller, "IBM")
    minute = f"{DATE} 11:15:00"
    _, high, low, close, volume = before[minute]
    better = round((high + low) / 2, 2)

    await tell(
        caller,
        news="correction",
        symbol="IBM",
        date=DATE,
        time="11:15",
        close=better,
        volume=volume + 7,
    )

    after, day = await minutes(caller, "IBM"), (await days(caller, "IBM"))[DATE]
    assert changed(before, after) == {minute}
    assert after[minute][3:] == [better, volume + 7]
    assert better != close
    assert day == [*whole[DATE][:4], whole[DATE][4] + 7]


async def test_a_corrected_crypto_day_is_told_in_coins(caller):
    query = {"symbol": "BTC", "market": "EUR"}
    key = "Time Series (Digital Currency Daily)"

    await tell(
        caller,
        news="correction",
        symbol="BTC/EUR",
        date=DATE,
        close=90_000,
        volume=70_000,
    )

    row = (await caller.alpha_vantage("DIGITAL_CURRENCY_DAILY", **query))[key][DATE]
    assert float(row["4. close"]) == 90_000
    assert float(row["5. volume"]) == pytest.approx(70_000)


async def test_a_new_split_leaves_what_was_traded_before_it(caller):
    before = await days(caller, "IBM")

    await tell(caller, news="split", symbol="IBM", date=DATE, ratio=4)

    after = await days(caller, "IBM")
    assert changed(before, after) == {date for date in before if date >= DATE}
    np.testing.assert_allclose(
        np.array(after[DATE][:4]) * 4, before[DATE][:4], atol=0.03
    )
    assert after[DATE][4] == pytest.approx(before[DATE][4] * 4, rel=1e-5)


async def test_a_new_split_changes_all_adjusted_histories(caller):
    before, chart = (
        await adjusted_days(caller, "IBM"),
        await caller.chart("IBM", **DAYS),
    )

    await tell(caller, news="split", symbol="IBM", date=DATE, ratio=4)

    after = await adjusted_days(caller, "IBM")
    split_chart = await caller.chart("IBM", events="split", **DAYS)
    for row, other in zip(before.values(), after.values(), strict=True):
        was, now = (float(each["5. adjusted close"]) for each in (row, other))
        assert now == pytest.approx(was / 4, abs=0.005)
    assert after[DATE]["8. split coefficient"] == "4.0"
    np.testing.assert_allclose(
        np.array(split_chart["indicators"]["quote"][0]["close"]) * 4,
        chart["indicators"]["quote"][0]["close"],
        atol=0.03,
    )
    assert [
        event["splitRatio"] for event in split_chart["events"]["splits"].values()
    ] == ["4:1"]
    listed = await caller.alpha_vantage("SPLITS", symbol="IBM")
    assert listed["data"][0] == {"effective_date": DATE, "split_factor": "4.0000"}


async def test_a_split_to_come_is_not_known_before_its_day(opened):
    caller = await opened("2024-12-27 21:00:00")
    before = await adjusted_days(caller, "IBM")

    await tell(caller, news="split", symbol="IBM", date=DATE, ratio=4)

    assert await adjusted_days(caller, "IBM") == before
    caller.clock.move(3 * 86_400)
    after = await adjusted_days(caller, "IBM")
    assert after[DATE]["8. split coefficient"] == "4.0"
    was, now = (
        float(each["2024-12-27"]["5. adjusted close"]) for each in (before, after)
    )
    assert now == pytest.approx(was / 4, abs=1e-4)


async def test_a_new_dividend_lowers_adjusted_prices_and_no_others(caller):
    raw = await days(caller, "IBM")
    before = await adjusted_days(caller, "IBM")
    close = raw["2024-12-27"][3]

    await tell(caller, news="dividend", symbol="IBM", date=DATE, amount=2.5)

    after = await adjusted_days(caller, "IBM")
    assert await days(caller, "IBM") == raw
    for date, row in before.items():
        was, now = (float(each["5. adjusted close"]) for each in (row, after[date]))
        kept = 1 - 2.5 / close if date < DATE else 1
        assert now == pytest.approx(was * kept, abs=2e-4)
    assert after[DATE]["7. dividend amount"] == "2.5000"
    listed = await caller.alpha_vantage("DIVIDENDS", symbol="IBM")
    assert (listed["data"][0]["ex_dividend_date"], listed["data"][0]["amount"]) == (
        DATE,
        "2.5000",
    )
    chart = await caller.chart("IBM", events="div", **DAYS)
    paid = [event["amount"] for event in chart["events"]["dividends"].values()]
    assert paid == [2.5]
    theirs = chart["indicators"]["adjclose"][0]["adjclose"][0]
    assert theirs == pytest.approx(
        float(list(after.values())[len(chart["timestamp"]) - 1]["5. adjusted close"]),
        abs=1e-3,
    )


async def test_news_add_up(caller):
    for document in (
        {"news": "split", "date": DATE, "ratio": 2},
        {"news": "dividend", "date": DATE, "amount": 1},
        {"news": "correction", "date": DATE, "close": 120},
        {"news": "correction", "date": DATE, "close": 121},
    ):
        await tell(caller, symbol="IBM", **document)

    row = (await adjusted_days(caller, "IBM"))[DATE]

    assert [
        row["4. close"],
        row["7. dividend amount"],
        row["8. split coefficient"],
    ] == [
        "121.0000",
        "1.0000",
        "2.0",
    ]


async def test_news_outlive_many_other_symbols(caller):
    await tell(caller, news="correction", symbol="IBM", date=DATE, close=300.5)

    for number in range(1, 70):
        await caller.chart(f"SBX{number:04}", **DAYS)

    assert (await days(caller, "IBM"))[DATE][3] == 300.5


@pytest.mark.parametrize(("method", "name"), [("DELETE", "market"), ("POST", "reset")])
async def test_news_end_when_they_are_cleared(caller, method, name):
    before = await adjusted_days(caller, "IBM")
    await tell(caller, news="split", symbol="IBM", date=DATE, ratio=4)

    status, _ = await caller.control(method, name)

    assert status == 200
    assert await adjusted_days(caller, "IBM") == before


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"news": "rumour"}, "correction, split, dividend"),
        ({"symbol": None}, "symbol must be a string"),
        ({"symbol": "NOBODY"}, "does not list"),
        ({"symbol": "EUR/USD"}, "neither splits nor dividends"),
        ({"date": "30.12.2024"}, "date must be like"),
        ({"date": "2024-02-30"}, "date must be like"),
        ({"date": "2024-12-28"}, "must be a session"),
        ({"date": "1950-01-03"}, "must be a session"),
        ({"ratio": 1}, "between 2 and 100"),
        ({"ratio": True}, "whole number"),
        ({"ratio": None}, "whole number"),
        ({"close": 3}, "unknown fields close"),
        ({"symbol": "AAPL", "date": "2020-08-31"}, "date has one already"),
    ],
)
async def test_a_split_that_cannot_be_is_a_400(caller, document, words):
    split = {"news": "split", "symbol": "IBM", "date": DATE, "ratio": 2}

    status, answer = await caller.control("POST", "market", split | document)

    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"amount": 0}, "amount must be above 0"),
        ({"amount": None}, "amount must be given"),
        ({"amount": 1e6}, "below the last close"),
    ],
)
async def test_a_dividend_that_cannot_be_is_a_400(caller, document, words):
    dividend = {"news": "dividend", "symbol": "IBM", "date": DATE}

    status, answer = await caller.control("POST", "market", dividend | document)

    assert status == 400
    assert words in answer["error"]
    assert DATE not in str(await caller.alpha_vantage("DIVIDENDS", symbol="IBM"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "close or volume must be given"),
        ({"close": "much"}, "close must be a number"),
        ({"close": 0}, "close must be above 0"),
        ({"volume": -1}, "volume must be from 0"),
        ({"volume": 1}, "volume must be"),
        ({"close": 1, "time": "15.59"}, "time must be like"),
        ({"close": 1, "time": "25:00"}, "time must be like"),
        ({"close": 1, "time": "08:00"}, "minute of regular hours"),
        ({"close": 1, "date": "2025-01-06"}, "must have ended"),
        ({"close": 1, "date": "2025-01-06", "time": "10:00"}, "must have ended"),
        ({"symbol": "EUR/USD", "volume": 1}, "no volume"),
    ],
)
async def test_a_correction_that_cannot_be_is_a_400(caller, document, words):
    correction = {"news": "correction", "symbol": "IBM", "date": DATE}

    status, answer = await caller.control("POST", "market", correction | document)

    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b""])
async def test_news_that_are_no_object_are_a_400(caller, body):
    url = f"{caller.url}/control/market"

    async with caller.session.post(url, data=body) as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]


def test_the_sandbox_takes_the_news_in_the_document():
    shell = DOCUMENT.read_text().replace("\\\n", " ")
    examples = re.findall(r"-d '(\{\"news\".*?\})' +\S+/control/market", shell)

    told = {type(news.parsed(json.loads(body))[1]) for body in examples}

    assert told == {news.Correction, news.NewSplit, news.NewDividend}
