"""One market, whoever tells it."""

import math

import numpy as np
import pytest

SPLITS = [
    ("AAPL", "2020-08-31", 4),
    ("TSLA", "2022-08-25", 3),
    ("NVDA", "2024-06-10", 10),
    ("MSFT", "2003-02-18", 2),
]


async def raw_days(caller, symbol, **query):
    """Return Alpha Vantage's daily rows as dates and arrays, oldest first."""
    served = await caller.alpha_vantage(
        "TIME_SERIES_DAILY", symbol=symbol, outputsize="full", **query
    )
    rows = dict(reversed(served["Time Series (Daily)"].items()))
    return list(rows), np.array([[float(x) for x in r.values()] for r in rows.values()])


def quote_array(result):
    """Return Yahoo's rows as open, high, low, close, volume."""
    quote = result["indicators"]["quote"][0]
    names = ("open", "high", "low", "close", "volume")
    return np.array([quote[name] for name in names], dtype=float).T


@pytest.mark.parametrize(("symbol", "date", "ratio"), SPLITS)
async def test_vendors_agree_around_splits(caller, symbol, date, ratio):
    """As-traded prices over later splits are Yahoo's to the precision of float32."""
    chart = await caller.chart(symbol, range="max", interval="1d", events="split")
    dates, raw = await raw_days(caller, symbol)
    yahoo = quote_array(chart)
    listed = await caller.alpha_vantage("SPLITS", symbol=symbol)

    factor = np.ones(len(dates))
    for row in listed["data"]:
        at = dates.index(row["effective_date"])
        factor[:at] *= float(row["split_factor"])

    assert {"effective_date": date, "split_factor": f"{ratio:.4f}"} in listed["data"]
    assert len(chart["events"]["splits"]) == len(listed["data"])
    np.testing.assert_allclose(raw[:, :4] / factor[:, None], yahoo[:, :4], rtol=1e-7)
    np.testing.assert_allclose(raw[:, 4] * factor, yahoo[:, 4])
    at = dates.index(date)
    assert raw[at - 1, 3] / raw[at, 3] == pytest.approx(ratio, rel=0.2)
    np.testing.assert_array_equal(yahoo[:, :4], yahoo[:, :4].astype(np.float32))


@pytest.mark.parametrize("symbol", ["IBM", "AAPL", "SPY"])
async def test_adjusted_closes_agree(caller, symbol):
    """Both vendors leave out the same splits and dividends."""
    chart = await caller.chart(symbol, range="max", interval="1d")
    served = await caller.alpha_vantage(
        "TIME_SERIES_DAILY_ADJUSTED", symbol=symbol, outputsize="full"
    )

    rows = list(served["Time Series (Daily)"].values())[::-1]
    adjusted = [float(row["5. adjusted close"]) for row in rows]
    close = chart["indicators"]["quote"][0]["close"]
    theirs = chart["indicators"]["adjclose"][0]["adjclose"]
    np.testing.assert_allclose(adjusted, theirs, rtol=1e-6, atol=5e-5)
    assert theirs[0] < close[0] * 0.95


async def test_dividends_lower_earlier_closes_by_their_part(caller):
    """The factor is 1 - amount / close of the day before, as Yahoo's."""
    chart = await caller.chart("IBM", range="max", interval="1d", events="div")
    close = chart["indicators"]["quote"][0]["close"]
    adjusted = chart["indicators"]["adjclose"][0]["adjclose"]
    dividend = list(chart["events"]["dividends"].values())[-1]

    at = chart["timestamp"].index(dividend["date"])

    kept = 1 - dividend["amount"] / close[at - 1]
    assert adjusted[at - 1] / close[at - 1] == pytest.approx(kept, rel=1e-5)
    assert adjusted[at] == close[at]


@pytest.mark.parametrize("interval", ["1min", "5min", "15min", "30min", "60min"])
async def test_intraday_adds_up_to_the_day(caller, interval):
    """Regular minutes of a month give its daily bars exactly."""
    query = {"month": "2024-07", "outputsize": "full", "extended_hours": "false"}
    served = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY",
        symbol="MSFT",
        interval=interval,
        adjusted="false",
        **query,
    )
    dates, raw = await raw_days(caller, "MSFT")

    rows = list(served[f"Time Series ({interval})"].items())[::-1]
    for date in ("2024-07-01", "2024-07-03", "2024-07-31"):
        parts = [
            [float(value) for value in row.values()]
            for stamp, row in rows
            if stamp.startswith(date)
        ]
        table = np.array(parts)
        day = [
            table[0, 0],
            table[:, 1].max(),
            table[:, 2].min(),
            table[-1, 3],
            table[:, 4].sum(),
        ]
        assert day == raw[dates.index(date)].tolist()
    assert not [stamp for stamp, _ in rows if stamp.startswith("2024-07-04")]


async def test_yahoo_hours_add_up_to_the_day(caller):
    """Hours begin at the open, the last is shorter, and they sum to the day."""
    hours = await caller.chart("AAPL", range="5d", interval="1h")
    days = await caller.chart("AAPL", range="5d", interval="1d")

    table, day = quote_array(hours), quote_array(days)
    assert len(table) == 35
    assert hours["timestamp"][::7] == days["timestamp"]
    for index in range(5):
        part = table[7 * index : 7 * index + 7]
        assert part[0, 0] == day[index, 0]
        assert part[:, 1].max() == day[index, 1]
        assert part[:, 2].min() == day[index, 2]
        assert part[-1, 3] == day[index, 3]
        assert part[:, 4].sum() == day[index, 4]


async def test_vendors_agree_in_the_minutes(caller):
    """The same minutes under the same times, for as long as Yahoo has them."""
    ours = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY",
        symbol="TSLA",
        interval="5min",
        outputsize="full",
        extended_hours="false",
    )
    theirs = await caller.chart("TSLA", range="5d", interval="5m")

    rows = list(ours["Time Series (5min)"].values())[::-1][-len(theirs["timestamp"]) :]
    table = np.array([[float(value) for value in row.values()] for row in rows])
    np.testing.assert_allclose(table, quote_array(theirs), rtol=1e-6)


async def test_the_market_is_a_function_of_the_seed(opened):
    """Two sandboxes of one seed agree to the byte, another seed does not."""
    path, query = "/v8/finance/chart/KO", {"range": "1mo", "interval": "1h"}
    first = await (await opened()).get(path, **query)

    same = await (await opened()).get(path, **query)
    other = await (await opened(seed=8)).get(path, **query)

    assert first == same
    assert first != other


async def test_the_past_does_not_depend_on_the_time_of_asking(opened, time_at):
    """A finished day looks the same a year later, before any new split."""
    query = {
        "period1": str(time_at("2024-01-02 00:00:00") // 10**9),
        "period2": str(time_at("2024-02-01 00:00:00") // 10**9),
    }
    early = await (await opened("2024-03-01 12:00:00")).chart("IBM", **query)
    late = await (await opened("2025-01-03 12:00:00")).chart("IBM", **query)

    assert early["timestamp"] == late["timestamp"]
    assert early["indicators"]["quote"] == late["indicators"]["quote"]


async def test_a_split_to_come_is_unknown(opened):
    """Before its day a split neither shows nor adjusts."""
    before = await opened("2024-06-07 20:00:00")
    after = await opened("2024-06-10 20:00:00")

    old = await before.chart("NVDA", range="5d")
    new = await after.chart("NVDA", range="5d")

    (old_close,) = old["indicators"]["quote"][0]["close"][-1:]
    new_close = new["indicators"]["quote"][0]["close"][-2]
    assert old_close / new_close == pytest.approx(10)
    assert len((await before.alpha_vantage("SPLITS", symbol="NVDA"))["data"]) == 1
    assert len((await after.alpha_vantage("SPLITS", symbol="NVDA"))["data"]) == 2


async def test_rows_are_possible_and_the_day_grows(opened):
    """High and low enclose the rest at any moment of a running session."""
    caller = await opened("2025-01-03 09:31:30")
    volumes = []
    for _ in range(4):
        _, raw = await raw_days(caller, "GME")
        assert (raw[:, 1] >= raw[:, [0, 3]].max(axis=1)).all()
        assert (raw[:, 2] <= raw[:, [0, 3]].min(axis=1)).all()
        assert (raw[:, 2] > 0).all()
        volumes.append(raw[-1, 4])
        caller.clock.move(7200)

    assert volumes == sorted(set(volumes))


async def test_crosses_agree(caller):
    """EURUSD over GBPUSD is EURGBP at every close."""
    closes = {}
    for pair in ("EURUSD", "GBPUSD", "EURGBP"):
        chart = await caller.chart(f"{pair}=X", range="1y")
        closes[pair] = np.array(chart["indicators"]["quote"][0]["close"][:-1])

    cross = closes["EURUSD"] / closes["GBPUSD"]

    np.testing.assert_allclose(cross, closes["EURGBP"], rtol=3e-5)


async def test_weeks_and_months_are_made_of_days(caller):
    """Keys are the last trading day; the rest is what the days give."""
    dates, raw = await raw_days(caller, "XOM")
    weeks = await caller.alpha_vantage("TIME_SERIES_WEEKLY", symbol="XOM")
    months = await caller.alpha_vantage("TIME_SERIES_MONTHLY", symbol="XOM")

    newest, *_ = weeks["Weekly Time Series"].items()
    assert newest[0] == dates[-1] == "2025-01-03"
    begin = dates.index("2024-12-30")
    assert float(newest[1]["2. high"]) == raw[begin:, 1].max()
    assert float(newest[1]["5. volume"]) == raw[begin:, 4].sum()
    december = months["Monthly Time Series"]["2024-12-31"]
    begin, end = dates.index("2024-12-02"), dates.index("2024-12-31") + 1
    assert float(december["1. open"]) == raw[begin, 0]
    assert float(december["3. low"]) == raw[begin:end, 2].min()


@pytest.mark.parametrize("symbol", ["NOPE", "SBX12", "SBX0000", "aapl.l", "BTC"])
async def test_unknown_symbols_exist(caller, symbol):
    """What is not listed is unknown to both, each in its own words."""
    status, _ = await caller.get(f"/v8/finance/chart/{symbol}")
    served = await caller.alpha_vantage("TIME_SERIES_DAILY", symbol=symbol)
    quote = await caller.alpha_vantage("GLOBAL_QUOTE", symbol=symbol)

    assert status == 404
    assert list(served) == ["Error Message"]
    assert served["Error Message"].startswith("Invalid API call")
    assert quote == {"Global Quote": {}}


@pytest.mark.parametrize(
    ("yahoo", "alpha_vantage"),
    [("BRK-B", "BRK.B"), ("OCDO.L", "OCDO.LON"), ("SAP.DE", "SAP.DEX")],
)
async def test_spellings_meet(caller, yahoo, alpha_vantage):
    """The two spellings of a stock are one stock."""
    chart = await caller.chart(yahoo, range="5d")
    _, raw = await raw_days(caller, alpha_vantage)

    closes = chart["indicators"]["quote"][0]["close"]

    assert all(
        math.isclose(a, b, rel_tol=1e-7)
        for a, b in zip(raw[-5:, 3], closes, strict=True)
    )


async def test_synthetic_symbols_are_many(caller):
    """Load tests find thousands of different stocks."""
    charts = [await caller.chart(f"SBX{n:04d}") for n in (1, 2, 777, 9999)]

    prices = {chart["meta"]["regularMarketPrice"] for chart in charts}

    assert len(prices) == 4


async def test_a_stock_is_unknown_before_its_listing(opened):
    """And has its first bar on the first day."""
    before = await opened("2010-06-28 20:00:00")
    after = await opened("2010-06-29 20:00:00")

    unknown = await before.alpha_vantage("TIME_SERIES_DAILY", symbol="TSLA")
    dates, _ = await raw_days(after, "TSLA")

    assert "Error Message" in unknown
    assert (await before.get("/v8/finance/chart/TSLA"))[0] == 404
    assert dates == ["2010-06-29"]
    assert (await after.chart("TSLA", range="max"))["timestamp"]
