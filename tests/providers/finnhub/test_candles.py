"""Candles become bars: every number the vendor's, every label the house's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ingestion_server.domain.errors import MalformedPayloadError, NoDataUnexplainedError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.provider import Page
from ingestion_server.providers.finnhub import Finnhub
from tests.providers.finnhub.answers import (
    AAPL,
    BITCOIN,
    EURUSD,
    LONDON,
    ROW,
    answer,
    ask,
    candles,
    ns,
)


def read(
    body: bytes | object,
    instrument: Instrument = AAPL,
    interval: Interval = Interval.DAY_1,
) -> Page:
    """Read a page of bars."""
    return Finnhub().read_bars(answer(body), ask(instrument, interval))


def test_days_are_labelled_by_their_date_and_prices_are_decimals_again() -> None:
    wide = float(np.float32(116.32))

    page = read(candles({"2024-01-02": (wide, 117.0, 116.0, wide, 12.5)}))

    assert page.series.open_time_ns.tolist() == [ns("2024-01-02")]
    assert page.series.open.tolist() == [116.32]
    assert page.series.close.tolist() == [116.32]
    assert page.series.volume is not None
    assert page.series.volume.tolist() == [12.5]
    assert page.currency == "USD"


def test_minutes_are_labelled_by_their_start() -> None:
    page = read(candles({"2024-01-02T14:31": ROW}), interval=Interval.MINUTE_1)

    assert page.series.open_time_ns.tolist() == [ns("2024-01-02T14:31")]


@pytest.mark.parametrize("stamp", ["2024-01-08", "2024-01-10", "2024-01-14"])
def test_a_week_is_labelled_by_its_monday_whichever_day_is_named(stamp: str) -> None:
    page = read(candles({stamp: ROW}), interval=Interval.WEEK_1)

    assert page.series.open_time_ns.tolist() == [ns("2024-01-08")]


@pytest.mark.parametrize("stamp", ["2024-01-01", "2024-01-31"])
def test_a_month_is_labelled_by_its_first_day(stamp: str) -> None:
    page = read(candles({stamp: ROW}), interval=Interval.MONTH_1)

    assert page.series.open_time_ns.tolist() == [ns("2024-01-01")]


@pytest.mark.parametrize(
    ("interval", "stamp", "label"),
    [
        (Interval.DAY_1, "2024-01-09", "2024-01-09"),
        (Interval.DAY_1, "2024-01-08T22:00", "2024-01-09"),
        (Interval.WEEK_1, "2024-01-07T22:00", "2024-01-08"),
        (Interval.WEEK_1, "2024-01-08", "2024-01-08"),
        (Interval.MONTH_1, "2023-12-31T22:00", "2024-01-01"),
        (Interval.HOUR_1, "2024-01-07T22:00", "2024-01-07T22:00"),
    ],
)
def test_days_of_currencies_that_begin_on_the_evening_before_keep_their_date(
    interval: Interval, stamp: str, label: str
) -> None:
    page = read(candles({stamp: ROW}), EURUSD, interval)

    assert page.series.open_time_ns.tolist() == [ns(label)]


def test_currencies_have_no_volume_and_crypto_counts_coins() -> None:
    assert read(candles({"2024-01-02": ROW}), EURUSD).series.volume is None
    page = read(candles({"2024-01-02": ROW}), BITCOIN)

    assert page.series.volume is not None
    assert (page.volume_unit, page.currency) == ("BTC", "USDT")


def test_outside_of_the_us_nobody_says_what_the_unit_is() -> None:
    assert read(candles({"2024-01-02": ROW}), LONDON).currency == ""
    assert not Finnhub().names_unit(LONDON)
    assert Finnhub().names_unit(AAPL)


def test_rows_out_of_order_come_in_order_and_once() -> None:
    later = (20.0, 21.0, 19.0, 20.5, 200.0)

    page = read(candles({"2024-01-03": later, "2024-01-02": ROW}))

    assert page.series.open_time_ns.tolist() == [ns("2024-01-02"), ns("2024-01-03")]
    assert page.series.close.tolist() == [10.5, 20.5]


def test_no_data_is_an_answer_without_bars() -> None:
    page = read(b'{"s":"no_data"}')

    assert len(page.series) == 0
    assert page.flags == []


def test_a_null_is_a_price_that_is_not_known() -> None:
    body = json.loads(candles({"2024-01-02": ROW}))
    body["h"] = [None]

    assert np.isnan(read(body).series.high).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"s": "error"},
        {"s": None},
        {"t": None},
        {"t": []},
        {"c": [1.0, 2.0]},
        {"v": []},
        {"l": None},
        {"o": ["1.0"]},
        {"t": ["2024-01-02"]},
        {"t": [10**15]},
        {"t": [10**30]},
    ],
)
def test_what_is_no_candles_is_told(wrong: dict[str, object]) -> None:
    body = {**json.loads(candles({"2024-01-02": ROW})), **wrong}

    with pytest.raises(MalformedPayloadError):
        read(body)


def test_an_empty_object_says_nothing() -> None:
    with pytest.raises(NoDataUnexplainedError):
        read({})


def test_no_data_with_rows_beside_it_is_believed_in_what_it_says() -> None:
    body = {**json.loads(candles({"2024-01-02": ROW})), "s": "no_data"}

    assert len(read(body).series) == 0


def test_bars_are_of_shares_currencies_and_crypto() -> None:
    kinds = {kind for row in Finnhub().capabilities for kind in row.asset_classes}

    assert kinds == {AssetClass.EQUITY, AssetClass.FX, AssetClass.CRYPTO}
