"""Pages of bars: which numbers are taken from which layout."""

from __future__ import annotations

import json
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
)
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.alpha_vantage import AlphaVantage
from tests.providers.alpha_vantage.pages import (
    NUMBERED,
    ROW,
    answer,
    ask,
    ns,
    reply,
    table,
)

DAILY = "Time Series (Daily)"
ADJUSTED = (
    *NUMBERED[:4],
    "5. adjusted close",
    "6. volume",
    "7. dividend amount",
    "8. split coefficient",
)
HEADER = "timestamp,open,high,low,close,volume"


def read(body: bytes, question: BarAsk | None = None) -> Page:
    """Read a page, of IBM's days unless told otherwise."""
    return AlphaVantage().read_bars(answer(body), question or ask())


def volumes(page: Page) -> list[float]:
    """Return the volumes of a page that has some."""
    assert page.series.volume is not None
    return page.series.volume.tolist()


def test_rows_come_ascending_with_their_numbers() -> None:
    page = read(
        reply(DAILY, {"2024-01-03": ROW, "2024-01-02": ["9", "12", "8", "11", "7"]})
    )

    assert page.series.open_time_ns.tolist() == [ns("2024-01-02"), ns("2024-01-03")]
    assert page.series.open.tolist() == [9, 10.1]
    assert page.series.high.tolist() == [12, 10.5]
    assert page.series.low.tolist() == [8, 10.0]
    assert page.series.close.tolist() == [11, 10.25]
    assert volumes(page) == [7, 1200]
    assert page.currency == "USD"
    assert page.flags == []


def test_it_makes_no_difference_in_which_order_the_parts_of_a_page_stand() -> None:
    body = reply(DAILY, {"2024-01-03": ROW, "2024-01-02": ["9", "12", "8", "11", "7"]})
    turned = json.dumps(dict(reversed(json.loads(body).items()))).encode()

    usual, other = read(body).series, read(turned).series

    assert other.open_time_ns.tolist() == usual.open_time_ns.tolist()
    assert other.close.tolist() == usual.close.tolist() == [11, 10.25]
    assert volumes(read(turned)) == volumes(read(body)) == [7, 1200]


def test_the_fifth_field_of_the_adjusted_layout_is_no_volume() -> None:
    row = ["10.1", "10.5", "10.0", "10.25", "5.1", "1200", "0.0000", "1.0"]

    page = read(reply(DAILY, {"2024-01-03": row}, fields=ADJUSTED))

    assert page.series.close.tolist() == [10.25]
    assert volumes(page) == [1200]


def test_currencies_have_no_volume() -> None:
    body = reply("Time Series FX (Daily)", {"2024-01-03": ROW[:4]}, fields=NUMBERED[:4])

    page = read(body, ask("CHF/JPY"))

    assert page.series.volume is None
    assert page.currency == "JPY"


@pytest.mark.parametrize(("market", "close"), [("CNY", 71.0), ("USD", 10.0)])
def test_of_twin_columns_the_one_in_the_market_s_money_is_taken(
    market: str, close: float
) -> None:
    fields = [
        f"{number}{letter}. {name} ({unit})"
        for number, name in enumerate(("open", "high", "low", "close"), start=1)
        for letter, unit in (("a", "CNY"), ("b", "USD"))
    ]
    body = reply(
        "Time Series (Digital Currency Daily)",
        {"2018-01-03": ["71", "10"] * 4 + ["3.5", "9"]},
        fields=[*fields, "5. volume", "6. market cap (USD)"],
    )

    page = read(body, ask(f"BTC/{market}"))

    assert page.series.close.tolist() == [close]
    assert volumes(page) == [3.5]
    assert page.currency == market
    with pytest.raises(MalformedPayloadError, match="in EUR"):
        read(body, ask("BTC/EUR"))


@pytest.mark.parametrize("none", ["None", "-", ".", "", "n/a", None])
def test_a_number_that_is_not_there_is_nan_and_loses_no_other(
    none: str | None,
) -> None:
    rows = {"2024-01-03": ROW, "2024-01-02": ["9", none, "8", "11", none]}

    page = read(reply(DAILY, rows))

    assert isnan(page.series.high[0])
    assert page.series.high[1] == 10.5
    assert isnan(volumes(page)[0])
    assert page.series.close.tolist() == [11, 10.25]


def test_rows_may_differ_in_their_fields() -> None:
    rows = {"2024-01-03": ROW[:4], "2024-01-02": ROW}

    page = read(reply(DAILY, rows))

    assert volumes(page)[0] == 1200
    assert isnan(volumes(page)[1])


def test_numbers_may_be_numbers() -> None:
    page = read(reply(DAILY, {"2024-01-03": [1, 2.5, 1, 2, 10]}))

    assert page.series.high.tolist() == [2.5]


@pytest.mark.parametrize("field", ['1. "quoted"', "1. line\nfeed", "x" * 500])
def test_odd_names_of_other_fields_do_no_harm(field: str) -> None:
    page = read(reply(DAILY, {"2024-01-03": [*ROW, "1"]}, fields=[*NUMBERED, field]))

    assert page.series.close.tolist() == [10.25]


def test_a_remark_beside_good_data_is_no_error() -> None:
    body = json.loads(reply(DAILY, {"2024-01-03": ROW}))

    page = read(json.dumps({"Information": "premium!", **body}).encode())

    assert len(page.series) == 1


def test_a_series_without_rows_is_an_empty_page() -> None:
    question = ask("IBM", Interval.MINUTE_5)

    assert len(read(reply(DAILY, {})).series) == 0
    assert len(read(HEADER.encode()).series) == 0
    assert read(reply("Time Series (5min)", {}), question).flags == []


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_csv_and_json_are_the_same(line_end: bytes) -> None:
    rows = {"2024-01-03": ROW, "2024-01-02": ["9", "12", "8", "11", "None"]}

    by_json = read(reply(DAILY, rows)).series
    by_csv = read(table(HEADER, rows).replace(b"\r\n", line_end)).series

    assert by_csv.open_time_ns.tolist() == by_json.open_time_ns.tolist()
    for column in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(by_csv, column), getattr(by_json, column))


def test_csv_of_other_layouts() -> None:
    adjusted = table(
        "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,"
        "split_coefficient",
        {"2024-01-03": [*ROW[:4], "5.1", "1200", "0", "1"]},
    )
    retired = table("time,open,high,low,close,volume", {"2021-08-18 04:00:00": ROW})
    currency = table("timestamp,open,high,low,close", {"2024-01-03": ROW[:4]})

    assert volumes(read(adjusted)) == [1200]
    assert read(
        retired, ask("IBM", Interval.MINUTE_1)
    ).series.open_time_ns.tolist() == [ns("2021-08-18T08:00")]
    assert read(currency, ask("EUR/USD")).series.volume is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "neither"),
        (b"   \n", "neither"),
        (b"[]", "neither"),
        (b"<html>", "neither"),
        (b"\xff\xfe", "UTF-8"),
        (b"{", "no JSON object"),
        (b'{"\xff": 1}', "no JSON object"),
        (b'{"a":' * 100_000, "no JSON object"),
        (b'{"Meta Data": {}, "Global Quote": {}}', "'Meta Data', 'Global Quote'"),
        (b'{"Time Series (5min)": {}}', r"no Daily .* 'Time Series \(5min\)'"),
        (b'{"Time Series (Daily)": []}', "rows"),
        (b'{"Time Series (Daily)": {"2024-01-02": 1}}', "rows"),
        (b'{"Time Series (Daily)": {"2024-01-02": {"1. open": [1]}}}', "rows"),
        (b'{"Time Series (Daily)": {"2024-01-02": {"SMA": "1"}}}', "'SMA'"),
        (b'{"Time Series (Daily)": {"2024-01-02": {"1. open": "1"}, "x": {}}}', "date"),
        (b'{"Meta Data": [], "Time Series (Daily)": {}}', "meta data"),
        (b"timestamp,open\n2024-01-02,1,2\n", "2 fields"),
        (b"timestamp,SMA\n2024-01-02,1\n", "SMA"),
        (b"timestamp\n", "without open"),
        (b"date,open\n2024-01-02,1\n", "neither"),
    ],
)
def test_rubbish_is_named(body: bytes, says: str) -> None:
    with pytest.raises(MalformedPayloadError, match=says):
        read(body)


def test_the_keys_of_rubbish_are_named_and_never_its_values() -> None:
    with pytest.raises(MalformedPayloadError) as raised:
        read(json.dumps({f"key {n}" * 40: "secret" for n in range(99)}).encode())

    assert "key 0" in raised.value.message
    assert "secret" not in raised.value.message
    assert len(raised.value.message) < 1500


def test_an_empty_object_is_no_data() -> None:
    with pytest.raises(NoDataUnexplainedError):
        read(b" {} ")


def test_a_truncated_reply_is_never_half_a_page() -> None:
    body = reply(DAILY, {"2024-01-03": ROW, "2024-01-02": ROW})

    for length in range(len(body)):
        with pytest.raises(ProviderError):
            read(body[:length])


decimals = st.builds(
    lambda digits, places: (
        f"{digits / 1:.0f}"
        if not places
        else f"{str(digits).zfill(places + 1)[:-places]}"
        f".{str(digits).zfill(places + 1)[-places:]}"
    ),
    st.integers(0, 10**15 - 1),
    st.integers(0, 15),
)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(decimals, min_size=5, max_size=5))
def test_every_decimal_of_15_digits_survives(texts: list[str]) -> None:
    rows = {"2024-01-02": texts}

    for series in (
        read(reply(DAILY, rows)).series,
        read(reply(DAILY, rows | {"2024-01-01": ["None"]})).series,
        read(table(HEADER, rows)).series,
    ):
        assert series.volume is not None
        columns = (series.open, series.high, series.low, series.close, series.volume)
        assert [float(column[-1]) for column in columns] == [*map(float, texts)]


questions = st.sampled_from(
    [
        ask(),
        ask("EUR/USD", Interval.WEEK_1),
        ask("BTC/CNY", Interval.MONTH_1),
        ask("IBM", Interval.MINUTE_5),
        ask("BTC/USD", Interval.HOUR_1),
    ]
)
SERIES = (
    DAILY,
    "Time Series FX (Weekly)",
    "Time Series (Digital Currency Monthly)",
    "Time Series (5min)",
    "Time Series Crypto (60min)",
)
odd_texts = st.one_of(
    st.sampled_from(
        ["1e999", "-1e999", "NaN", "inf", "None", "0001-01-01", "9999-12-31", "1" * 400]
    ),
    st.text(max_size=20),
    st.dates().map(str),
    st.datetimes().map(lambda moment: str(moment)[:19]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), odd_texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(odd_texts, inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(
    st.one_of(st.sampled_from((*SERIES, "Meta Data")), odd_texts),
    st.one_of(
        st.dictionaries(
            odd_texts,
            st.one_of(
                st.dictionaries(st.sampled_from(ADJUSTED), values, max_size=6), values
            ),
            max_size=4,
        ),
        values,
    ),
    max_size=4,
)


def must_be_read_or_refused(body: bytes, question: BarAsk) -> None:
    """Demand a page, ascending, or one of the house's own errors."""
    try:
        page = read(body, question)
    except ProviderError:
        return
    assert bool(np.all(np.diff(page.series.open_time_ns) > 0))


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200), question=questions)
def test_any_bytes_are_read_or_refused(body: bytes, question: BarAsk) -> None:
    must_be_read_or_refused(body, question)


@settings(max_examples=300, deadline=None)
@given(body=objects, question=questions)
def test_any_object_is_read_or_refused(body: object, question: BarAsk) -> None:
    must_be_read_or_refused(json.dumps(body).encode(), question)


@settings(max_examples=300, deadline=None)
@given(
    series=st.sampled_from(SERIES),
    asked=questions,
    csv=st.booleans(),
    place=st.integers(0, 2000),
    length=st.integers(0, 30),
    patch=st.one_of(
        st.binary(max_size=30),
        odd_texts.map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
)
def test_any_damage_to_a_reply_is_read_or_refused(
    *, series: str, asked: BarAsk, csv: bool, place: int, length: int, patch: bytes
) -> None:
    rows = {"2024-01-03": ROW, "2024-01-02 04:00:00": ROW, "2023-12-29": ROW}
    body = table(HEADER, rows) if csv else reply(series, rows)
    place %= len(body)

    must_be_read_or_refused(body[:place] + patch + body[place + length :], asked)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "inf"])
def test_numbers_that_are_none_stay_visible_for_quarantine(text: str) -> None:
    page = read(reply(DAILY, {"2024-01-03": [text, *ROW[1:]]}))

    assert not np.isfinite(page.series.open).any()


def test_of_a_repeated_date_the_last_stands() -> None:
    body = reply(DAILY, {"2024-01-03": ROW, "2024-01-02": ROW}).replace(
        b"2024-01-02", b"2024-01-03"
    )

    assert len(read(body).series) == 1
