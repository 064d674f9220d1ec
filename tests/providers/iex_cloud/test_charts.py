"""Charts become bars: every number the vendor's, every label the house's."""

from __future__ import annotations

import numpy as np
import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import CapabilityMissingError, MalformedPayloadError
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.provider import Page
from ingestion_server.providers.iex_cloud import IexCloud
from tests.providers.iex_cloud.answers import answer, ask, day, minute, ns


def read(body: object, adjustment: Adjustment = Adjustment.RAW) -> Page:
    """Read a chart of days."""
    return IexCloud().read_bars(answer(body), ask(adjustment=adjustment))


def read_minutes(body: object) -> Page:
    """Read a chart of minutes."""
    return IexCloud().read_bars(answer(body), ask(interval=Interval.MINUTE_1))


@pytest.mark.parametrize(
    ("adjustment", "close", "volume"),
    [
        (Adjustment.RAW, 100.0, 1000.0),
        (Adjustment.SPLIT, 25.0, 4000.0),
        (Adjustment.SPLIT_DIVIDEND, 20.0, 5000.0),
    ],
)
def test_each_adjustment_has_columns_of_its_own(
    adjustment: Adjustment, close: float, volume: float
) -> None:
    page = read([day("2024-06-10")], adjustment)

    assert page.series.open_time_ns.tolist() == [ns("2024-06-10")]
    assert page.series.close.tolist() == [close]
    assert page.series.volume is not None
    assert page.series.volume.tolist() == [volume]
    assert page.currency == "USD"


def test_rows_that_come_newest_first_come_in_order_and_once() -> None:
    page = read([day("2024-06-11", 2.0), day("2024-06-10", 1.0), day("2024-06-11")])

    assert page.series.open_time_ns.tolist() == [ns("2024-06-10"), ns("2024-06-11")]
    assert page.series.close.tolist() == [1.0, 100.0]


def test_an_empty_list_is_an_answer_without_bars() -> None:
    assert len(read([]).series) == 0
    assert len(read_minutes([]).series) == 0


def test_a_chart_from_before_the_third_adjustment_does_not_pretend_to_have_it() -> None:
    old = {"date": "2019-07-10", "open": 1, "high": 1, "low": 1, "close": 1}

    assert read([old], Adjustment.SPLIT).series.close.tolist() == [1.0]
    with pytest.raises(CapabilityMissingError, match="split_dividend"):
        read([old], Adjustment.SPLIT_DIVIDEND)


def test_a_null_is_a_price_that_is_not_known() -> None:
    page = read([day("2024-06-10", uHigh=None), day("2024-06-11")])

    assert np.isnan(page.series.high).tolist() == [True, False]


def test_a_chart_without_volumes_has_none() -> None:
    assert read([day("2024-06-10", uVolume=None)]).series.volume is None


def test_minutes_are_of_all_exchanges_where_the_page_has_them() -> None:
    page = read_minutes([minute("09:30", 10.0, 11.0), minute("09:31", None, 12.0)])

    stamps = [ns("2024-06-11T13:30"), ns("2024-06-11T13:31")]
    assert page.series.open_time_ns.tolist() == stamps
    assert page.series.close.tolist() == [11.0, 12.0]
    assert page.series.volume is not None
    assert page.series.volume.tolist() == [500.0, 500.0]


def test_a_minute_without_a_trade_on_the_exchange_that_is_told_is_no_bar() -> None:
    rows = [minute("09:30", 10.0, None), minute("09:31", None, None)]

    page = read_minutes(rows)

    assert page.series.open_time_ns.tolist() == [ns("2024-06-11T13:30")]
    assert page.series.close.tolist() == [10.0]


def test_minutes_of_winter_are_an_hour_later() -> None:
    row = minute("09:30", 10.0, 10.0) | {"date": "2024-01-16"}

    assert read_minutes([row]).series.open_time_ns.tolist() == [ns("2024-01-16T14:30")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"Unknown symbol",
        b"[" * 100_000,
        b"[{}]",
        b'[{"date":"today"}]',
        b'[{"date":"12024-06-1"}]',
        b'[{"date":"2024-06-10","open":"1"}]',
        b'[{"date":20240610}]',
        b"\xff\xfe",
    ],
)
def test_what_is_no_chart_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        read(body)


@pytest.mark.parametrize("clock", ["", "9:30", "25:00", "09:30:00", "later"])
def test_a_minute_at_no_time_is_malformed(clock: str) -> None:
    with pytest.raises(MalformedPayloadError):
        read_minutes([minute(clock, 1.0, 1.0)])
