"""Bars of several vendors stand in one series only if they mean the same."""

from __future__ import annotations

import pytest

from ingestion_server.domain.interval import Interval
from ingestion_server.ingest import mixing
from tests.builders import days
from tests.ingest.making import ACME, ZENITH, june, piece, progress


@pytest.mark.parametrize(
    ("have", "given", "exchange", "fits"),
    [
        ("USD", "USD", "", True),
        ("", "", "", True),
        ("USD", "EUR", "", False),
        ("USD", "", "", False),
        ("", "USD", "", False),
        ("GBp", "GBp", "XLON", True),
        ("GBp", "GBP", "XLON", False),
        ("", "", "XLON", False),
    ],
)
def test_prices_of_another_unit_never_stand_beside_each_other(
    have: str, given: str, exchange: str, *, fits: bool
) -> None:
    begun = progress(exchange=exchange)
    begun.collected.add(piece(ACME, june(3), currency=have))

    why = mixing.unlike(
        begun.query, begun.collected, piece(ZENITH, june(4), currency=given)
    )

    assert (why == "") is fits
    assert fits or why.startswith("prices in ")


def test_the_first_piece_suits_whatever_its_unit() -> None:
    fresh = progress(exchange="XLON")

    why = mixing.unlike(fresh.query, fresh.collected, piece(ACME, june(3), currency=""))

    assert why == ""


@pytest.mark.parametrize(
    ("symbol", "interval", "mixes"),
    [
        ("EUR/USD", Interval.DAY_1, False),
        ("EUR/USD", Interval.WEEK_1, False),
        ("EUR/USD", Interval.HOUR_1, True),
        ("BTC/USD", Interval.DAY_1, True),
        ("AAPL", Interval.DAY_1, True),
    ],
)
def test_days_of_currencies_are_never_mixed(
    symbol: str, interval: Interval, *, mixes: bool
) -> None:
    begun = progress(symbol=symbol, interval=interval)
    assert mixing.unmixable(begun.query, begun.collected, ZENITH) == ""

    begun.collected.add(piece(ACME, days("2024-06-03", 1)))

    assert (mixing.unmixable(begun.query, begun.collected, ZENITH) == "") is mixes
    assert mixing.unmixable(begun.query, begun.collected, ACME) == ""
