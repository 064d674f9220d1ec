"""Pictures of prices have the size of the terminal and survive odd data."""

from __future__ import annotations

import pytest

from ingestion_server.cli import chart
from ingestion_server.client.bars import decoded
from tests.client.fakes import answer, columns

NAN = float("nan")


@pytest.mark.parametrize("bars", [1, 2, 30])
def test_few_bars_are_candles(bars: int) -> None:
    picture = chart.drawn(decoded([answer(columns(bars))]), 80).plain

    assert "█" in picture
    assert "2025-01-06" in picture
    assert "AAPL 1d USD" in picture
    assert max(map(len, picture.splitlines())) == 80


def test_many_bars_are_a_line() -> None:
    picture = chart.drawn(decoded([answer(columns(500))]), 80).plain

    assert "█" not in picture
    assert "2025-01-06" in picture


def test_a_narrow_terminal_is_enough() -> None:
    picture = chart.drawn(decoded([answer(columns(5))]), 40).plain

    assert max(map(len, picture.splitlines())) == 40


def test_bars_without_a_price_are_left_out() -> None:
    told = answer(columns(close=[101.5, NAN, 103.5]))

    picture = chart.drawn(decoded([told]), 80).plain

    assert "2025-01-07" not in picture
    assert "2025-01-08" in picture


def test_without_prices_there_is_no_picture() -> None:
    told = answer(columns(open=[], high=[], low=[], close=[]))

    assert chart.drawn(decoded([told]), 80).plain == "AAPL: no prices to draw"


def test_one_picture_does_not_show_in_the_next() -> None:
    wide = chart.drawn(decoded([answer(columns(30))]), 80).plain
    chart.drawn(decoded([answer(columns(5))]), 60)

    assert chart.drawn(decoded([answer(columns(30))]), 80).plain == wide
