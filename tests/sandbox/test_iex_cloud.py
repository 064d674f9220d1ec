"""The simulated IEX Cloud answers as its documents and recordings say."""

import json

import pytest

API = "/stable"
KEY = "test-1000000"
SPENT = (
    b"You have exceeded your allotted message quota and pay-as-you-go is not enabled."
)


async def told(caller, path, **query):
    """Return the JSON of an answer, and the messages that it cost."""
    url = f"{caller.url}{API}{path}"
    async with caller.session.get(url, params={"token": KEY} | query) as reply:
        assert reply.status == 200, await reply.text()
        used = reply.headers["iexcloud-messages-used"]
        assert reply.headers["iexcloud-premium-messages-used"] == "0"
        return await reply.json(), int(used)


async def refused(caller, path, **query):
    """Return status and text of a refusal."""
    return await caller.get(f"{API}{path}", **({"token": KEY} | query))


async def used(caller, key=KEY):
    """Return what the month has used of a key."""
    told = await caller.json(f"{API}/account/usage", token=key)
    return told["messages"]["monthlyUsage"]


def shape(row):
    """Reduce a row to its keys and the types of its leaves."""
    return {
        key: "number" if isinstance(value, int | float) else type(value).__name__
        for key, value in row.items()
    }


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/stock/MSFT/chart/ytd", "chart_GME_ytd_2022-03.json"),
        ("/stock/MSFT/chart/date/20250102", "4j_v1_stock_IntradayPricesResponse.json"),
        ("/stock/MSFT/dividends/6m", "dividends_msft.json"),
        ("/stock/AAPL/splits/5y", "4j_v1_stock_SplitsResponse.json"),
    ],
)
async def test_rows_have_the_recorded_fields(caller, recordings, path, file):
    """Of the first row, by name and kind."""
    recorded = json.loads((recordings / "iex_cloud" / file).read_text())

    rows, _ = await told(caller, path)

    served = next(row for row in rows if None not in row.values())
    assert shape(served) == shape(recorded[0])


async def test_a_quote_has_the_recorded_fields(caller, recordings):
    """Nulls and all that a simulation does not know aside."""
    recorded = json.loads((recordings / "iex_cloud" / "quote_msft.json").read_text())

    quote, cost = await told(caller, "/stock/MSFT/quote")

    assert quote.keys() == recorded.keys()
    assert cost == 1
    assert (quote["iexBidPrice"], quote["iexAskPrice"]) == (0, 0)


async def test_a_day_has_its_prices_three_times(opened):
    """As traded, for splits, and for dividends too; others tell the same."""
    caller = await opened("2020-09-15 12:00:00")

    rows, cost = await told(caller, "/stock/AAPL/chart/6m")
    theirs = await caller.chart("AAPL", range="6mo", interval="1d")

    assert cost == 10 * len(rows)
    assert rows[-1]["date"] == "2020-09-14"
    by_date = {row["date"]: row for row in rows}
    before, after = by_date["2020-08-28"], by_date["2020-08-31"]
    assert before["uClose"] == pytest.approx(4 * before["close"], rel=1e-4)
    assert after["uClose"] == after["close"]
    assert rows[0]["fClose"] < rows[0]["close"]
    closes = theirs["indicators"]["quote"][0]["close"]
    assert [row["close"] for row in rows[-20:]] == pytest.approx(
        closes[-21:-1], rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "first", "rows"),
    [
        ("5d", "2024-12-27", 5),
        ("1m", "2024-12-03", 22),
        ("3m", "2024-10-03", None),
        ("6m", "2024-07-03", None),
        ("ytd", "2025-01-01", 2),
        ("1y", "2024-01-03", None),
        ("2y", "2023-01-03", None),
        ("5y", "2020-01-03", None),
        ("", "2024-12-03", 22),
    ],
)
async def test_a_range_begins_as_long_ago_as_it_says(caller, name, first, rows):
    """And ends with the day before, on the evening of Friday 2025-01-03."""
    chart, cost = await told(caller, f"/stock/IBM/chart/{name}".rstrip("/"))

    assert chart[0]["date"] == first
    assert chart[-1]["date"] == "2025-01-02"
    assert rows is None or len(chart) == rows
    assert cost == 10 * len(chart)


async def test_a_chart_can_be_cut_turned_and_have_the_present_day(caller):
    """And costs by what is left."""
    chart, cost = await told(
        caller,
        "/stock/IBM/chart/1m",
        chartLast="3",
        includeToday="true",
        sort="desc",
    )

    assert [row["date"] for row in chart] == ["2025-01-03", "2025-01-02", "2025-01-01"]
    assert cost == 30


async def test_one_day_is_a_bar_or_its_minutes(caller):
    """The minutes of all exchanges add up to the bar; those of IEX have holes."""
    bars, ten = await told(caller, "/stock/IBM/chart/date/20241231", chartByDay="true")
    minutes, fifty = await told(caller, "/stock/IBM/chart/date/20241231")
    holiday, nothing = await told(caller, "/stock/IBM/chart/date/20241225")

    (bar,) = bars
    assert (ten, fifty, nothing) == (10, 50, 0)
    assert holiday == []
    assert (minutes[0]["minute"], minutes[-1]["minute"]) == ("09:30", "15:59")
    assert minutes[0]["label"] == "09:30 AM"
    assert len(minutes) == 390
    assert sum(row["marketVolume"] for row in minutes) == bar["volume"]
    assert minutes[-1]["marketClose"] == bar["close"]
    quiet = [row for row in minutes if row["close"] is None]
    assert 40 < len(quiet) < 120
    assert all(row["volume"] == 0 and row["high"] is None for row in quiet)


async def test_the_present_day_grows_and_costs_by_the_minute_at_first(opened):
    """Up to fifty."""
    caller = await opened("2025-01-03 09:40:00")

    ten, cheap = await told(caller, "/stock/IBM/intraday-prices")
    caller.clock.move(3600)
    many, dear = await told(caller, "/stock/IBM/intraday-prices")

    assert (len(ten), cheap) == (10, 10)
    assert (len(many), dear) == (70, 50)


async def test_a_quote_in_the_session_is_the_last_trade(opened):
    """With a bid below and an ask above."""
    caller = await opened("2025-01-03 11:07:33", trades_per_second=20.0)
    times = {"symbol": "IBM", "token": "x"}

    quote, _ = await told(caller, "/stock/IBM/quote")
    theirs = await caller.json("/api/v1/quote", **times)

    assert quote["latestPrice"] == theirs["c"]
    assert quote["previousClose"] == theirs["pc"]
    assert quote["latestUpdate"] // 1000 == theirs["t"]
    assert quote["iexBidPrice"] < quote["latestPrice"] < quote["iexAskPrice"]


async def test_a_batch_has_what_each_symbol_has_and_costs_the_sum(caller):
    """What is unknown is left out."""
    chart, ten = await told(caller, "/stock/IBM/chart/1m", chartLast="1")
    batch, cost = await told(
        caller,
        "/stock/market/batch",
        symbols="ibm,MSFT,NOPE",
        types="chart,quote",
        range="1m",
        chartLast="1",
    )

    assert list(batch) == ["IBM", "MSFT"]
    assert batch["IBM"]["chart"] == chart
    assert batch["MSFT"]["quote"]["symbol"] == "MSFT"
    assert cost == 2 * (ten + 1)


@pytest.mark.parametrize(
    ("path", "query", "status", "text"),
    [
        ("/stock/NOPE/chart/1m", {}, 404, b"Unknown symbol"),
        ("/stock/OCDO.L/quote", {}, 404, b"Unknown symbol"),
        ("/stock/IBM/nonsense", {}, 404, b"Not Found"),
        ("/stock/IBM/chart/7d", {}, 403, b"The API key provided is not valid."),
        ("/stock/IBM/chart/1m", {"chartLast": "0"}, 400, b"You have supplied"),
        ("/stock/IBM/chart/date/soon", {}, 400, b"You have supplied"),
        ("/stock/market/batch", {"symbols": "IBM"}, 400, b"You have supplied"),
        (
            "/stock/market/batch",
            {"symbols": ",".join(f"S{n}" for n in range(101)), "types": "quote"},
            413,
            b"Maximum number",
        ),
        ("/stock/IBM/quote", {"token": ""}, 401, b"An API key is required"),
        ("/stock/IBM/quote", {"token": "a-invalid"}, 403, b"The API key provided"),
    ],
)
async def test_complaints_are_sentences_and_cost_nothing(
    caller, path, query, status, text
):
    """With the recorded statuses and words, where there are any."""
    answered, body = await refused(caller, path, **query)

    assert answered == status
    assert body.startswith(text)
    assert await used(caller) == 0


async def test_a_range_that_is_none_is_no_complaint_of_actions(caller):
    """Recorded of dividends."""
    rows, cost = await told(caller, "/stock/IBM/dividends/7d")

    assert (rows, cost) == ([], 0)


async def test_a_month_has_so_many_messages(caller):
    """What would take more is refused and costs nothing; the next month has all."""
    key = {"token": "load-25"}
    await told(caller, "/stock/IBM/chart/5d", chartLast="2", **key)

    too_dear = await refused(caller, "/stock/IBM/chart/5d", **key)
    for _ in range(5):
        await told(caller, "/stock/IBM/quote", **key)
    spent = await refused(caller, "/stock/IBM/quote", **key)
    stats = await caller.stats("iex_cloud")
    usage = await used(caller, "load-25")
    caller.clock.move(31 * 86_400)
    await told(caller, "/stock/IBM/quote", **key)

    assert too_dear == spent == (402, SPENT)
    assert usage == 25
    assert (stats["violations"], stats["keys"]["load-25"]["refused"]) == (1, 1)
    assert await used(caller, "load-25") == 1
    assert await used(caller) == 0


async def test_an_address_may_make_a_hundred_calls_in_a_second(caller):
    """Whatever they cost."""
    for _ in range(100):
        await told(caller, "/stock/IBM/quote")

    status, body = await refused(caller, "/stock/IBM/quote")
    caller.clock.move(1)
    await told(caller, "/stock/IBM/quote")

    assert (status, body) == (429, b"Too many requests")


async def test_a_reset_forgets_what_was_used(caller):
    """As it does of all vendors."""
    await told(caller, "/stock/IBM/quote")

    await caller.control("POST", "reset")

    assert await used(caller) == 0


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("status_429", 429, b"Too many requests"),
        ("status_500", 500, b"<!DOCTYPE html>"),
        ("html", 200, b"<!DOCTYPE html>"),
        ("empty", 200, b"[]"),
        ("premium", 451, b"The requested data requires additional permission"),
        ("error_key", 403, b"The API key provided is not valid."),
    ],
)
async def test_faults_have_the_vendors_words(caller, fault, status, text):
    """And cost nothing."""
    await caller.fault("iex_cloud", fault=fault)

    answered, body = await refused(caller, "/stock/IBM/chart/1m")

    assert answered == status
    assert body.startswith(text)
    await caller.control("DELETE", "iex_cloud")
    assert await used(caller) == 0


async def test_faults_of_rows_strike_charts(caller):
    """Some are missing, or one is impossible."""
    whole, _ = await told(caller, "/stock/IBM/chart/1m")
    await caller.fault("iex_cloud", fault="partial", times=1)
    part, cost = await told(caller, "/stock/IBM/chart/1m")
    await caller.fault("iex_cloud", fault="bad_row", times=1)
    wrong, _ = await told(caller, "/stock/IBM/chart/1m")

    assert len(part) == int(len(whole) * 0.6)
    assert cost == 10 * len(part)
    assert any(row["low"] > row["open"] for row in wrong)
    assert (await caller.stats("iex_cloud"))["by_path"] == {"chart": 3}
