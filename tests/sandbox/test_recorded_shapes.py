"""The bodies have the keys of the recorded ones, and types that fit."""

import json

import pytest


def shape(value):
    """Reduce a document to its keys and the types of its leaves."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        # All items of a list look alike but for nulls.
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__


def series_shape(document):
    """Reduce a series to its meta keys and the keys of each row."""
    (key,) = (name for name in document if name != "Meta Data")
    rows = document[key]
    fields = {tuple(row) for row in rows.values()}
    assert len(fields) == 1
    return list(document["Meta Data"]), key, fields


@pytest.mark.parametrize(
    ("file", "function", "query"),
    [
        (
            "time_series_intraday_AAPL_15min_compact.json",
            "TIME_SERIES_INTRADAY",
            {"symbol": "AAPL", "interval": "15min"},
        ),
        (
            "fx_daily_CHF_USD_full.json",
            "FX_DAILY",
            {"from_symbol": "CHF", "to_symbol": "USD", "outputsize": "full"},
        ),
        (
            "fx_daily_EUR_AUD_partial.json",
            "FX_DAILY",
            {"from_symbol": "EUR", "to_symbol": "AUD", "outputsize": "full"},
        ),
    ],
)
async def test_alpha_vantage_series_are_those_recorded(
    caller, recordings, file, function, query
):
    """Meta data, key of the series and fields of the rows are equal."""
    recorded = json.loads((recordings / "alphavantage" / file).read_text())

    served = await caller.alpha_vantage(function, **query)

    assert series_shape(served) == series_shape(recorded)
    labels = list(served[list(served)[1]])
    assert labels == sorted(labels, reverse=True)


async def test_alpha_vantage_daily_has_the_recorded_meta_data(caller, recordings):
    """The recorded daily series was shortened and lacks the volume."""
    file = recordings / "alphavantage" / "time_series_daily_IBM_partial.json"
    recorded = json.loads(file.read_text())

    served = await caller.alpha_vantage("TIME_SERIES_DAILY", symbol="IBM")

    meta, key, (fields,) = series_shape(served)
    recorded_meta, recorded_key, (recorded_fields,) = series_shape(recorded)
    assert (meta, key) == (recorded_meta, recorded_key)
    assert fields == (*recorded_fields, "5. volume")


@pytest.mark.parametrize(
    ("file", "function", "query"),
    [
        ("global_quote_MSFT.json", "GLOBAL_QUOTE", {"symbol": "MSFT"}),
        ("symbol_search_BA.json", "SYMBOL_SEARCH", {"keywords": "BA"}),
        (
            "currency_exchange_rate_EUR_USD.json",
            "CURRENCY_EXCHANGE_RATE",
            {"from_currency": "EUR", "to_currency": "USD"},
        ),
    ],
)
async def test_alpha_vantage_documents_are_those_recorded(
    caller, recordings, file, function, query
):
    """Every key is there, in the recorded order."""
    recorded = json.loads((recordings / "alphavantage" / file).read_text())

    served = await caller.alpha_vantage(function, **query)

    assert json.dumps(shape(served)) == json.dumps(shape(recorded))


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("error_message_bad_key.json", "error_key"),
        ("error_note_rate_limit_5_per_min.json", "note"),
    ],
)
async def test_alpha_vantage_complaints_are_those_recorded(
    caller, recordings, file, fault
):
    """The texts are equal to the letter."""
    recorded = json.loads((recordings / "alphavantage" / file).read_text())
    await caller.fault("alpha_vantage", fault=fault)

    served = await caller.alpha_vantage("TIME_SERIES_DAILY", symbol="IBM")

    assert served == recorded


DAY = {"interval": "1d", "period1": "1577836800", "period2": "1578009600"}


@pytest.mark.parametrize("symbol", ["AAPL", "QQQ", "GC=F", "BTC-USD", "OCDO.L"])
async def test_yahoo_daily_charts_are_those_recorded(caller, recordings, symbol):
    """Every key of 2025 is there and no other."""
    name = f"nyf2_chart-{symbol}-2020-01-01-to-2020-01-03.json"
    recorded = json.loads((recordings / "yahoo" / name).read_text())

    served = await caller.json(f"/v8/finance/chart/{symbol}", **DAY)

    assert shape(served) == shape(recorded)
    meta, recorded_meta = (
        document["chart"]["result"][0]["meta"] for document in (served, recorded)
    )
    assert list(meta) == list(recorded_meta)
    for key in ("currency", "instrumentType", "exchangeTimezoneName", "validRanges"):
        assert meta[key] == recorded_meta[key]


async def test_yahoo_stamps_are_those_recorded(caller, recordings):
    """Stamps, splits and keys of events equal the recorded autumn of 2020."""
    name = "nyf2_chart-AAPL-2020-08-31-to-2020-11-07.json"
    recorded = json.loads((recordings / "yahoo" / name).read_text())
    recorded = recorded["chart"]["result"][0]

    served = await caller.chart(
        "AAPL", period1="1598832000", period2="1604707200", events="div|split|earn"
    )

    assert served["timestamp"] == recorded["timestamp"]
    assert served["events"]["splits"] == recorded["events"]["splits"]
    assert shape(list(served["events"]["dividends"].values())) == shape(
        list(recorded["events"]["dividends"].values())
    )


@pytest.mark.parametrize(
    ("file", "symbol", "query"),
    [
        ("v8_chart_CRM_1h.json", "CRM", {"interval": "1h", "range": "1d"}),
        ("v8_chart_TSLA_1m_nulls.json", "TSLA", {"interval": "1m", "range": "1d"}),
    ],
)
async def test_yahoo_intraday_charts_add_only_the_keys_of_2025(
    caller, recordings, file, symbol, query
):
    """The intraday recordings are of 2022: what is new is what is new in days."""
    recorded = json.loads((recordings / "yahoo" / file).read_text())
    old = json.loads((recordings / "yahoo" / "v8_chart_GM_1d.json").read_text())
    new = json.loads((recordings / "yahoo" / "nyf2_chart-AAPL.json").read_text())

    served = await caller.chart(symbol, **query)

    recorded = recorded["chart"]["result"][0]
    added = set(new["chart"]["result"][0]["meta"]) - set(
        old["chart"]["result"][0]["meta"]
    )
    assert set(served["meta"]) == set(recorded["meta"]) | added
    without = {key: part for key, part in served["meta"].items() if key not in added}
    assert shape(without) == shape(recorded["meta"])
    assert set(served) == set(recorded)
    assert shape(served["indicators"]) == shape(recorded["indicators"])


async def test_yahoo_unknown_symbol_is_that_recorded(caller, recordings):
    """The 404 is equal to the byte."""
    recorded = (recordings / "yahoo" / "v8_error_404_delisted.json").read_bytes()

    served = await caller.get("/v8/finance/chart/-BTC")

    assert served == (404, recorded)


@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("yfrs_quote_v7_AAPL-MSFT.json", "AAPL"),
        ("nyf2_quote-BTC-USD.json", "BTC-USD"),
        ("nyf2_quote-EURUSD=X.json", "EURUSD=X"),
    ],
)
async def test_yahoo_quotes_have_the_recorded_keys(caller, recordings, file, symbol):
    """A quote with cookie and crumb has every key and no other."""
    recorded = json.loads((recordings / "yahoo" / file).read_text())
    await caller.get("/")
    crumb = (await caller.get("/v1/test/getcrumb"))[1].decode()

    served = await caller.json("/v7/finance/quote", symbols=symbol, crumb=crumb)

    expected = shape(recorded["quoteResponse"]["result"][0])
    assert shape(served["quoteResponse"]["result"][0]) == expected
