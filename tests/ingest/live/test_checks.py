"""What is looked at before a tick is believed."""

from __future__ import annotations

from math import inf, nan

import pytest

from ingestion_server.domain.ticks import Quote, TickMark, Trade
from ingestion_server.ingest.live.checks import Duplicates, TickChecks
from tests.ingest.live.ticks import SECOND, TEN, quote, trade

DAY_SECONDS = 86_400.0


@pytest.mark.parametrize(
    "good", [trade(), trade(size=None), trade(size=0.0), trade(price=1e-9)]
)
def test_a_plausible_trade_is_taken_as_it_is(good: Trade) -> None:
    assert not TickChecks().trade(good, TEN)
    assert good.marks == TickMark.NONE


@pytest.mark.parametrize("price", [0.0, -1.0, nan, inf, -inf])
def test_a_price_that_cannot_be_loses_the_trade(price: float) -> None:
    assert "price" in TickChecks().trade(trade(price=price), TEN)


@pytest.mark.parametrize("size", [-1.0, nan, inf])
def test_a_size_that_cannot_be_loses_the_trade(size: float) -> None:
    assert "size" in TickChecks().trade(trade(size=size), TEN)


@pytest.mark.parametrize("time_ns", [0, -1, TEN + round((DAY_SECONDS + 1) * 1e9)])
def test_an_absurd_time_loses_the_trade_and_the_quote(time_ns: int) -> None:
    late, told = trade(), quote()
    late.time_ns = told.time_ns = time_ns

    assert "time" in TickChecks().trade(late, TEN)
    assert "time" in TickChecks().quote(told, TEN)


@pytest.mark.parametrize(
    ("ahead", "delay", "doubtful"),
    [
        (60.0, 0.0, False),
        (60.001, 0.0, True),
        (-DAY_SECONDS + 1, 0.0, False),
        (-DAY_SECONDS, 0.0, True),
        (-DAY_SECONDS, 900.0, False),
        (-DAY_SECONDS - 900, 900.0, True),
        (61.0, 900.0, True),
    ],
)
def test_an_odd_time_is_marked(ahead: float, delay: float, *, doubtful: bool) -> None:
    odd, told = trade(ahead), quote(at=ahead)
    odd.marks = told.marks = TickMark.SAMPLED
    checks = TickChecks(feed_delay_seconds=delay)

    assert not checks.trade(odd, TEN)
    assert not checks.quote(told, TEN)
    expected = TickMark.SAMPLED | (TickMark.TIME_DOUBTFUL if doubtful else 0)
    assert odd.marks == told.marks == expected


@pytest.mark.parametrize(
    "good", [quote(), quote(100.0, 100.0), quote(None), quote(ask=None)]
)
def test_a_plausible_quote_is_taken(good: Quote) -> None:
    assert not TickChecks().quote(good, TEN)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (quote(None, None), "neither"),
        (quote(0.0), "bid"),
        (quote(nan), "bid"),
        (quote(ask=inf), "ask"),
        (quote(None, -1.0), "ask"),
        (quote(101.0, 100.0), "above the ask"),
        (quote(bid_size=-1.0), "size"),
        (quote(ask_size=nan), "size"),
    ],
)
def test_a_quote_that_cannot_be_is_left_out(bad: Quote, why: str) -> None:
    assert why in TickChecks().quote(bad, TEN)


def test_equal_trades_without_ids_are_different_trades() -> None:
    duplicates = Duplicates()

    assert [duplicates.seen(trade()) for _ in range(3)] == [False] * 3


def test_a_trade_with_an_id_is_told_once() -> None:
    duplicates = Duplicates()
    told = [trade(trade_id="1"), trade(trade_id="2"), trade(trade_id="1")]

    assert [duplicates.seen(each) for each in told] == [False, False, True]


def test_an_id_that_is_used_again_for_another_trade_is_no_duplicate() -> None:
    duplicates = Duplicates()
    told = [trade(trade_id="1"), trade(1.0, trade_id="1"), trade(price=9, trade_id="1")]

    assert not any(duplicates.seen(each) for each in told)


def test_only_the_latest_trades_of_a_symbol_are_remembered() -> None:
    duplicates = Duplicates(most_per_symbol=2)
    for number in ("1", "2", "3"):
        duplicates.seen(trade(trade_id=number))

    assert duplicates.seen(trade(trade_id="3"))
    assert not duplicates.seen(trade(trade_id="1"))


def test_what_nobody_wants_any_more_is_forgotten() -> None:
    duplicates = Duplicates()
    duplicates.seen(trade(trade_id="1"))

    duplicates.forget("AAPL")
    duplicates.forget("never heard of")

    assert not duplicates.seen(trade(trade_id="1"))


def test_seconds_may_be_chosen() -> None:
    odd = trade()
    odd.time_ns = TEN + 6 * SECOND

    TickChecks(doubtful_seconds=5.0).trade(odd, TEN)

    assert odd.marks == TickMark.TIME_DOUBTFUL
