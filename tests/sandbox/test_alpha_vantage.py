"""Alpha Vantage's ways, and the public package that reads it unchanged."""

import asyncio
import csv
import io

import alpha_vantage.alphavantage
import pandas as pd
import pytest
from alpha_vantage.cryptocurrencies import CryptoCurrencies
from alpha_vantage.foreignexchange import ForeignExchange
from alpha_vantage.timeseries import TimeSeries


@pytest.fixture
async def package(opened, monkeypatch):
    """Point the package at a sandbox; its calls block, so they run in a thread."""
    caller = await opened()
    monkeypatch.setattr(
        alpha_vantage.alphavantage.AlphaVantage,
        "_ALPHA_VANTAGE_API_URL",
        f"{caller.url}/query?",
    )
    return caller


async def in_thread(call, *args, **kwargs):
    """Run a blocking call beside the sandbox."""
    return await asyncio.to_thread(call, *args, **kwargs)


@pytest.mark.parametrize(
    ("method", "args", "fields"),
    [
        ("get_daily", {}, 5),
        ("get_daily_adjusted", {}, 8),
        ("get_weekly", {}, 5),
        ("get_weekly_adjusted", {}, 7),
        ("get_monthly", {}, 5),
        ("get_monthly_adjusted", {}, 7),
        ("get_intraday", {"interval": "5min"}, 5),
        ("get_intraday", {"interval": "60min", "month": "2024-07"}, 5),
    ],
)
async def test_the_package_reads_stocks(package, method, args, fields):
    """As JSON and as data frames, with every column."""
    as_json, as_frame = TimeSeries(key="k"), TimeSeries(key="k", output_format="pandas")

    data, meta = await in_thread(getattr(as_json, method), "AAPL", **args)
    frame, _ = await in_thread(getattr(as_frame, method), "AAPL", **args)

    assert package.url
    assert meta["2. Symbol"] == "AAPL"
    assert list(data) == sorted(data, reverse=True)
    assert frame.shape == (len(data), fields)
    assert frame.index.is_monotonic_decreasing
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert (frame["2. high"] >= frame["3. low"]).all()


async def test_the_package_reads_the_rest(package):
    """Quotes, searches, currencies, coins and CSV."""
    stocks, fx = TimeSeries(key="k"), ForeignExchange(key="k")
    coins = CryptoCurrencies(key="k")

    quote, _ = await in_thread(stocks.get_quote_endpoint, "MSFT")
    search, _ = await in_thread(stocks.get_symbol_search, "micro")
    rate, _ = await in_thread(fx.get_currency_exchange_rate, "BTC", "USD")
    euro, _ = await in_thread(fx.get_currency_exchange_daily, "EUR", "USD")
    weeks, _ = await in_thread(fx.get_currency_exchange_weekly, "EUR", "USD")
    months, _ = await in_thread(fx.get_currency_exchange_monthly, "EUR", "USD")
    minutes, _ = await in_thread(fx.get_currency_exchange_intraday, "EUR", "USD")
    bitcoin, _ = await in_thread(coins.get_digital_currency_daily, "BTC", "USD")
    hours, _ = await in_thread(coins.get_crypto_intraday, "BTC", "EUR", "60min")
    rows, _ = await in_thread(TimeSeries(key="k", output_format="csv").get_daily, "GE")

    assert package.url
    assert quote["01. symbol"] == "MSFT"
    assert "MSFT" in search["1. symbol"].tolist()
    assert float(rate["5. Exchange Rate"]) > 1000
    assert len(euro) == len(minutes) == len(hours) == 100
    assert len(weeks) > 1000
    assert len(months) > 290
    assert len(next(iter(bitcoin.values()))) == 5
    assert len(list(rows)) == 101


async def test_the_package_raises_soft_errors(package):
    """Limits, unknown symbols and notes are errors to it."""
    stocks = TimeSeries(key="me-free")
    await in_thread(stocks.get_daily, "IBM")

    with pytest.raises(ValueError, match="1 request per second"):
        await in_thread(stocks.get_daily, "IBM")
    package.clock.move(1)
    with pytest.raises(ValueError, match="Invalid API call"):
        await in_thread(stocks.get_daily, "NOPE")


@pytest.mark.parametrize(
    ("function", "query", "header"),
    [
        (
            "TIME_SERIES_DAILY",
            {"symbol": "IBM"},
            "timestamp,open,high,low,close,volume",
        ),
        (
            "TIME_SERIES_DAILY_ADJUSTED",
            {"symbol": "IBM"},
            (
                "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,"
                "split_coefficient"
            ),
        ),
        (
            "FX_DAILY",
            {"from_symbol": "EUR", "to_symbol": "USD"},
            "timestamp,open,high,low,close",
        ),
    ],
)
async def test_csv_holds_the_same_rows(caller, function, query, header):
    """With the vendor's header, newest first."""
    document = await caller.alpha_vantage(function, **query)

    status, body = await caller.get(
        "/query", function=function, apikey="k", datatype="csv", **query
    )

    rows = list(csv.reader(io.StringIO(body.decode())))
    assert status == 200
    assert ",".join(rows[0]) == header
    series = document["Time Series (Daily)" if "symbol" in query else FX_KEY]
    assert rows[1:] == [[label, *row.values()] for label, row in series.items()]


FX_KEY = "Time Series FX (Daily)"


@pytest.mark.parametrize(
    "query",
    [
        {"function": "NOPE"},
        {"function": ""},
        {"function": "TIME_SERIES_DAILY", "symbol": "NOPE"},
        {"function": "TIME_SERIES_DAILY", "symbol": "^GSPC"},
        {"function": "TIME_SERIES_DAILY", "symbol": "IBM", "outputsize": "big"},
        {"function": "TIME_SERIES_INTRADAY", "symbol": "IBM"},
        {"function": "TIME_SERIES_INTRADAY", "symbol": "IBM", "interval": "2min"},
        {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "EUR"},
        {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "GBP"},
        {"function": "SPLITS", "symbol": "NOPE"},
        {"function": "SYMBOL_SEARCH"},
        *(
            {
                "function": "TIME_SERIES_INTRADAY",
                "symbol": "TSLA",
                "interval": "5min",
                "month": month,
            }
            for month in ("2024-13", "1999-12", "2009-01", "2031-01")
        ),
    ],
)
async def test_unknown_and_wrong_look_alike(caller, query):
    """JSON with status 200 even where CSV was asked for."""
    served = await caller.json("/query", apikey="k", datatype="csv", **query)

    assert list(served) == ["Error Message"]
    assert served["Error Message"].startswith("Invalid API call")


@pytest.mark.parametrize(
    ("label", "first", "last"),
    [("start", "04:00:00", "19:45:00"), ("end", "04:15:00", "20:00:00")],
)
async def test_stamps_name_the_start_or_the_end(opened, label, first, last):
    """Naive US/Eastern time, extended hours unless told otherwise."""
    caller = await opened(alpha_vantage_label=label)

    served = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY",
        symbol="AAPL",
        interval="15min",
        month="2024-07",
        outputsize="full",
    )

    stamps = [s for s in served["Time Series (15min)"] if s.startswith("2024-07-02")]
    assert (stamps[-1][11:], stamps[0][11:]) == (first, last)
    assert served["Meta Data"]["6. Time Zone"] == "US/Eastern"


async def test_hours_lie_on_the_clock(caller):
    """Not at the open: the bar of 09:00 holds both sides of 09:30."""
    served = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY", symbol="AAPL", interval="60min"
    )

    stamps = [s for s in served["Time Series (60min)"] if s.startswith("2025-01-03")]
    assert [s[11:13] for s in stamps[::-1]] == [f"{hour:02d}" for hour in range(4, 20)]
    assert {s[14:] for s in stamps} == {"00:00"}


async def test_intraday_is_adjusted_unless_told_otherwise(caller):
    """By later splits and dividends."""
    query = {"symbol": "NVDA", "interval": "60min", "month": "2024-06"}
    adjusted = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY", outputsize="full", **query
    )
    raw = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY", outputsize="full", adjusted="false", **query
    )

    stamp, after = "2024-06-07 12:00:00", "2024-06-10 12:00:00"
    rows, raw_rows = (part["Time Series (60min)"] for part in (adjusted, raw))
    ratio = float(raw_rows[stamp]["4. close"]) / float(rows[stamp]["4. close"])
    assert ratio == pytest.approx(10, rel=1e-4)
    assert rows[after] == raw_rows[after]


async def test_sizes(caller):
    """Compact is the latest hundred; full intraday is thirty days."""
    query = {"symbol": "IBM", "interval": "60min"}
    compact = await caller.alpha_vantage("TIME_SERIES_INTRADAY", **query)
    full = await caller.alpha_vantage(
        "TIME_SERIES_INTRADAY", outputsize="full", **query
    )

    rows = full["Time Series (60min)"]
    assert list(compact["Time Series (60min)"]) == list(rows)[:100]
    assert min(rows) > "2024-12-04"
    assert compact["Meta Data"]["5. Output Size"] == "Compact"
    assert full["Meta Data"]["5. Output Size"] == "Full size"


async def test_events_are_in_the_adjusted_rows(caller):
    """Dividends and splits stand in the row of their day, and of their period."""
    served = await caller.alpha_vantage("DIVIDENDS", symbol="AAPL")
    days = await caller.alpha_vantage(
        "TIME_SERIES_DAILY_ADJUSTED", symbol="AAPL", outputsize="full"
    )
    months = await caller.alpha_vantage("TIME_SERIES_MONTHLY_ADJUSTED", symbol="AAPL")

    newest = served["data"][0]
    day = days["Time Series (Daily)"][newest["ex_dividend_date"]]
    split = days["Time Series (Daily)"]["2020-08-31"]
    assert day["7. dividend amount"] == newest["amount"]
    assert split["8. split coefficient"] == "4.0"
    month = months["Monthly Adjusted Time Series"]["2024-11-29"]
    assert month["7. dividend amount"] == newest["amount"]
    assert list(newest) == [
        "ex_dividend_date",
        "declaration_date",
        "record_date",
        "payment_date",
        "amount",
    ]


async def test_statistics_count_by_function(caller):
    """Functions that do not exist are counted together."""
    await caller.alpha_vantage("SPLITS", symbol="AAPL")
    await caller.alpha_vantage("WHATEVER")

    stats = await caller.stats("alpha_vantage")

    assert stats["calls"] == stats["served"] == 2
    assert stats["by_function"] == {"SPLITS": 1, "other": 1}
    assert stats["last_call_time"] == caller.clock() / 1e9
