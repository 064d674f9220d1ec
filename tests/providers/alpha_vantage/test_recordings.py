"""What recorded urls and bodies hold, and that every recorded number is read."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import MalformedPayloadError, ProviderError
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk, Credentials, Identity
from ingestion_server.providers.alpha_vantage import AlphaVantage
from tests.providers.alpha_vantage.pages import ROW, answer, ask, ns, reply

QUERY = "https://www.alphavantage.co/query?"
RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings"
recorded = pytest.mark.skipif(
    not (RECORDINGS / "alphavantage").is_dir(),
    reason="the recordings are not beside this checkout",
)


def identity(query: str) -> Identity | None:
    """Identify a query string."""
    return AlphaVantage().identity(QUERY + query, b"")


def test_defaults_key_and_size_make_no_difference() -> None:
    plain = identity("function=TIME_SERIES_INTRADAY&symbol=ibm&interval=5min")
    wordy = identity(
        "apikey=***&outputsize=full&interval=5min&symbol=IBM&datatype=json"
        "&adjusted=true&extended_hours=true&function=time_series_intraday"
    )

    assert plain is not None
    assert plain == wordy
    assert plain.resource == {
        ("function", "TIME_SERIES_INTRADAY"),
        ("symbol", "IBM"),
        ("interval", "5min"),
        ("adjusted", "true"),
        ("extended_hours", "true"),
        ("datatype", "json"),
    }
    assert plain.window == frozenset()


@pytest.mark.parametrize(
    "more",
    [
        "&interval=1min",
        "&interval=5min&adjusted=false",
        "&interval=5min&extended_hours=false",
        "&interval=5min&datatype=csv",
        "&interval=5min&month=2024-01",
    ],
)
def test_what_makes_a_difference(more: str) -> None:
    question = "function=TIME_SERIES_INTRADAY&symbol=IBM"

    assert identity(question + more) != identity(question + "&interval=5min")


def test_a_month_is_a_window() -> None:
    found = identity(
        "function=TIME_SERIES_INTRADAY&symbol=IBM&interval=5min&month=2024-01"
    )

    assert found is not None
    assert found.window == {("month", "2024-01")}


def test_pairs_are_identified_by_both_halves() -> None:
    fx = identity("function=FX_DAILY&from_symbol=EUR&to_symbol=usd")
    crypto = identity("function=DIGITAL_CURRENCY_DAILY&symbol=BTC&market=CNY")

    assert fx is not None
    assert {("from_symbol", "EUR"), ("to_symbol", "USD")} <= fx.resource
    assert crypto is not None
    assert {("symbol", "BTC"), ("market", "CNY")} <= crypto.resource


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://[",
        "https://example.com/query?function=SPLITS&symbol=IBM",
        "https://www.alphavantage.co/premium/",
        "https://www.alphavantage.co/digital_currency_list/",
        QUERY,
        QUERY + "symbol=IBM",
        QUERY + "function=...&apikey=***",
        QUERY + "function=(technical indicator)",
        QUERY + "function=TIME_SERIES_DAILY",
        QUERY + "function=DIGITAL_CURRENCY_DAILY",
        QUERY + "function=TIME_SERIES_INTRADAY&symbol=IBM",
    ],
)
def test_what_is_no_question_of_ours_has_no_identity(url: str) -> None:
    assert AlphaVantage().identity(url, b"") is None
    assert AlphaVantage().body_span(url, b"{}") is None


@pytest.mark.parametrize("datatype", ["json", "csv"])
@pytest.mark.parametrize("interval", [Interval.DAY_1, Interval.MINUTE_5])
def test_what_we_ask_is_found_again(interval: Interval, datatype: str) -> None:
    vendor = AlphaVantage(datatype="csv" if datatype == "csv" else "json")

    for request in vendor.bar_requests(ask("IBM", interval)):
        signed = vendor.sign(request, Credentials(key="made-up"))
        found = vendor.identity(signed.full_url, b"")

        assert found is not None
        assert ("datatype", datatype) in found.resource
        assert "made-up" not in str(found)


def test_actions_are_found_by_function_and_symbol() -> None:
    found = identity("function=SPLITS&symbol=IBM&apikey=x")

    assert found is not None
    assert {("function", "SPLITS"), ("symbol", "IBM")} <= found.resource


@pytest.mark.parametrize(
    ("query", "series", "keys", "span"),
    [
        (
            "function=TIME_SERIES_DAILY&symbol=IBM",
            "Time Series (Daily)",
            ["2024-01-03", "2024-01-02"],
            ("2024-01-02", "2024-01-04"),
        ),
        (
            "function=TIME_SERIES_MONTHLY&symbol=TSCO.LON",
            "Monthly Time Series",
            ["2024-01-31"],
            ("2024-01-01", "2024-02-01"),
        ),
        (
            "function=TIME_SERIES_INTRADAY&symbol=IBM&interval=60min",
            "Time Series (60min)",
            ["2024-01-02 19:00:00", "2024-01-02 04:00:00"],
            ("2024-01-02T09:00", "2024-01-03T01:00"),
        ),
        (
            "function=FX_WEEKLY&from_symbol=EUR&to_symbol=USD",
            "Time Series FX (Weekly)",
            ["2024-01-05"],
            ("2024-01-01", "2024-01-08"),
        ),
    ],
)
def test_a_body_covers_its_bars(
    query: str, series: str, keys: list[str], span: tuple[str, str]
) -> None:
    body = reply(series, dict.fromkeys(keys, ROW))

    found = AlphaVantage().body_span(QUERY + query, body)

    assert found == Span(ns(span[0]), ns(span[1]))


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("function=TIME_SERIES_DAILY&symbol=IBM", b"{}"),
        ("function=TIME_SERIES_DAILY&symbol=IBM", b"timestamp,close\n"),
        ("function=TIME_SERIES_DAILY&symbol=IBM", b'{"Note": "wait"}'),
        ("function=TIME_SERIES_INTRADAY&symbol=IBM&interval=7min", b"{}"),
        ("function=SPLITS&symbol=IBM", b'{"data": []}'),
    ],
)
def test_a_body_without_bars_covers_nothing(query: str, body: bytes) -> None:
    assert AlphaVantage().body_span(QUERY + query, body) is None


@given(url=st.text(), query=st.text(), body=st.binary(max_size=50))
def test_any_url_and_body_do_no_harm(url: str, query: str, body: bytes) -> None:
    for address in (url, QUERY + query):
        AlphaVantage().identity(address, body)
        AlphaVantage().body_span(address, body)


BARS = [
    # file, question, key of the series, minutes that a stamp is after its bar's start
    ("fx_daily_CHF_USD_full.json", ask("CHF/USD"), "Time Series FX (Daily)", 0),
    ("fx_daily_EUR_AUD_partial.json", ask("EUR/AUD"), "Time Series FX (Daily)", 0),
    ("time_series_daily_IBM_partial.json", ask("IBM"), "Time Series (Daily)", 0),
    (
        "time_series_intraday_AAPL_15min_compact.json",
        ask("AAPL", Interval.MINUTE_15),
        "Time Series (15min)",
        15,
    ),
    (
        "time_series_intraday_MSFT_1min_2017.json",
        ask("MSFT", Interval.MINUTE_1),
        "Time Series (1min)",
        0,
    ),
]


@recorded
@pytest.mark.parametrize(("file", "question", "series", "late"), BARS)
def test_every_recorded_number_and_time_is_read(
    file: str, question: BarAsk, series: str, late: int
) -> None:
    body = (RECORDINGS / "alphavantage" / file).read_bytes()
    original = json.loads(body)[series]
    zone = ZoneInfo("US/Eastern" if question.interval.intraday else "UTC")
    expected = []
    for key, row in sorted(original.items()):
        moment = datetime.fromisoformat(key).replace(tzinfo=zone)
        at_ns = int((moment - timedelta(minutes=late)).timestamp()) * 10**9
        expected.append((at_ns, *map(float, row.values())))

    read = AlphaVantage().read_bars(answer(body), question).series

    columns = [read.open_time_ns, read.open, read.high, read.low, read.close]
    if read.volume is not None:
        columns.append(read.volume)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == expected


@recorded
def test_the_recorded_quarter_hour_with_the_opening_trades_begins_at_09_30() -> None:
    file = RECORDINGS / "alphavantage" / "time_series_intraday_AAPL_15min_compact.json"

    page = AlphaVantage().read_bars(
        answer(file.read_bytes()), ask("AAPL", Interval.MINUTE_15)
    )

    assert page.flags == []
    before_and_after = page.series.between(
        ns("2021-08-18T13:15"), ns("2021-08-18T13:45")
    ).volume
    assert before_and_after is not None
    assert before_and_after.tolist() == [129_733, 6_337_758]


@recorded
def test_the_recording_that_holds_no_bars_is_refused() -> None:
    body = (RECORDINGS / "alphavantage" / "digital_currency_2018.json").read_bytes()

    with pytest.raises(MalformedPayloadError):
        AlphaVantage().read_bars(answer(body), ask("BTC/CNY", Interval.MINUTE_5))


@recorded
def test_every_recorded_url_is_identified_or_left_alone() -> None:
    with (RECORDINGS / "MANIFEST.tsv").open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if row["provider"] == "alphavantage"
        ]

    vendor = AlphaVantage()
    found, spans = {}, set()
    for row in rows:
        body = (RECORDINGS / row["file"]).read_bytes()
        name = Path(row["file"]).name
        found[name] = vendor.identity(row["endpoint_url"], body)
        if vendor.body_span(row["endpoint_url"], body) is not None:
            spans.add(name)

    assert {name for name, identity in found.items() if identity is None} == {
        "digital_currency_2018.json",
        "digital_currency_list_partial.csv",
        "error_message_bad_key.json",
        "physical_currency_list_partial.csv",
        "technical_indicator.json",
    }
    assert spans == {file for file, *_ in BARS}


@recorded
@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("error_note_rate_limit_5_per_min.json", "QUOTA_EXHAUSTED"),
        ("error_message_bad_key.json", "CREDENTIALS_REFUSED"),
    ],
)
def test_recorded_complaints_are_understood(file: str, reason: str) -> None:
    body = (RECORDINGS / "alphavantage" / file).read_bytes()

    with pytest.raises(ProviderError) as raised:
        AlphaVantage().check(HttpRequest("alpha_vantage", ""), answer(body))

    assert raised.value.reason == reason


@recorded
def test_no_recorded_data_are_taken_for_a_complaint() -> None:
    folder = RECORDINGS / "alphavantage"
    bodies = [
        file.read_bytes()
        for file in folder.iterdir()
        if not file.name.startswith("error_") and not file.name.endswith(".meta.json")
    ]

    for body in bodies:
        AlphaVantage().check(HttpRequest("alpha_vantage", ""), answer(body))

    assert len(bodies) > 10
