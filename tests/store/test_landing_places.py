"""Whatever a symbol is spelled like, it has one place that every file system takes."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.jobs import Holding
from ingestion_server.store.parquet.places import (
    by_year,
    folder_of,
    span_of,
    year_of,
    years_of,
)
from tests.builders import days, ns, span


def name(
    symbol: str, kind: AssetClass = AssetClass.EQUITY, exchange: str = "XNYS"
) -> str:
    whose = Instrument(symbol, kind, exchange)
    folder = folder_of(Holding(whose, Interval.DAY_1, Adjustment.RAW))
    assert folder.startswith("1d/raw/")
    return folder.removeprefix("1d/raw/")


@pytest.mark.parametrize(
    ("symbol", "kind", "exchange", "spelled"),
    [
        ("AAPL", AssetClass.EQUITY, "XNYS", "AAPL"),
        ("BRK.B", AssetClass.EQUITY, "XNYS", "BRK.B"),
        ("VOD", AssetClass.EQUITY, "XLON", "VOD@XLON"),
        ("VOD", AssetClass.EQUITY, "", "VOD@"),
        ("^GSPC", AssetClass.INDEX, "XNYS", "^GSPC"),
        ("EUR/USD", AssetClass.FX, "", "EUR%2FUSD"),
        ("EUR/USD", AssetClass.CRYPTO, "", "EUR%2FUSD@crypto"),
        ("BTC/USD", AssetClass.CRYPTO, "", "BTC%2FUSD"),
        ("GC", AssetClass.FUTURE, "", "GC@future"),
        ("GC", AssetClass.FUTURE, "XCME", "GC@future@XCME"),
        ("CON", AssetClass.EQUITY, "XNYS", "%43ON"),
        ("COM1.A", AssetClass.EQUITY, "XNYS", "%43OM1.A"),
        ("PRN", AssetClass.EQUITY, "XNYS", "%50RN"),
        ("aapl", AssetClass.EQUITY, "XNYS", "%61%61%70%6C"),
        ("..", AssetClass.EQUITY, "XNYS", "%2E%2E@equity@XNYS"),
        ("A.", AssetClass.EQUITY, "XNYS", "A%2E@equity@XNYS"),
        ("🚀", AssetClass.EQUITY, "XNYS", "%F0%9F%9A%80@equity@XNYS"),
    ],
)
def test_a_symbol_is_spelled_as_one_part_of_a_path(
    symbol: str, kind: AssetClass, exchange: str, spelled: str
) -> None:
    assert name(symbol, kind, exchange) == spelled


@given(st.text(min_size=1, max_size=300))
def test_no_symbol_leaves_its_folder_or_is_too_long(symbol: str) -> None:
    spelled = name(symbol)

    assert PurePosixPath(spelled).parts == (spelled,)
    assert spelled.isascii()
    assert len(spelled) <= 255
    assert not spelled.startswith(".")


@given(st.text(max_size=40), st.text(max_size=40))
def test_different_symbols_have_different_places_in_any_case(
    one: str, other: str
) -> None:
    assert (name(one).lower() == name(other).lower()) == (one == other)


def test_years_are_those_of_utc() -> None:
    series = days("2022-12-30", 400)

    assert [
        (year, series.open_time_ns[rows].size)
        for year, rows in years_of(series.open_time_ns)
    ] == [(2022, 2), (2023, 365), (2024, 33)]
    assert year_of(ns("2023-01-01")) == 2023
    assert year_of(ns("2023-01-01") - 1) == 2022
    assert year_of(ns("1901-05-05")) == 1901
    assert span_of(2024) == span("2024-01-01", "2025-01-01")
    assert by_year([span("2022-12-31", "2023-01-02"), Span(5, 5)]) == {
        2022: [span("2022-12-31", "2023-01-01")],
        2023: [Span(ns("2023-01-01"), ns("2023-01-01") + DAY_NS)],
    }
