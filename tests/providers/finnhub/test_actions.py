"""Splits, and the effect of dividends, out of three answers."""

from __future__ import annotations

import json

import pytest

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import MalformedPayloadError, NoDataUnexplainedError
from ingestion_server.providers.finnhub import Finnhub
from tests.providers.finnhub.answers import (
    AAPL,
    LONDON,
    NOW,
    answer,
    candles,
    ns,
)

SPLIT = {"symbol": "AAPL", "date": "2020-08-31", "fromFactor": 1, "toFactor": 4}
DIVIDEND = {
    "symbol": "AAPL",
    "date": "2024-01-04",
    "amount": 1.0,
    "currency": "USD",
    "adjustedAmount": 0.5,
    "payDate": "2024-02-01",
}
CLOSES = candles(
    {
        "2024-01-02": (10.0, 11.0, 9.0, 10.0, 1.0),
        "2024-01-03": (10.0, 11.0, 9.0, 10.0, 1.0),
        "2024-01-04": (9.0, 11.0, 9.0, 9.5, 1.0),
    }
)


def read(
    splits: object, dividends: object = None, closes: object = CLOSES
) -> CorporateActions:
    """Read the actions; without dividends, of the splits alone."""
    bodies = [splits] if dividends is None else [splits, dividends, closes]
    return Finnhub().read_actions([answer(body) for body in bodies], AAPL)


def test_a_split_is_so_many_new_shares_for_an_old_one() -> None:
    actions = read([SPLIT])

    assert actions.split_days_ns.tolist() == [ns("2020-08-31")]
    assert actions.split_ratios.tolist() == [4.0]
    assert actions.known_until_ns == ns(NOW)
    assert not actions.complete_dividends


def test_splits_come_in_order_and_each_once() -> None:
    earlier = {**SPLIT, "date": "2014-06-09", "toFactor": 7}

    actions = read([SPLIT, earlier, SPLIT])

    assert actions.split_ratios.tolist() == [7.0, 4.0]


def test_what_is_announced_for_later_can_be_called_off() -> None:
    later = {**SPLIT, "date": "2024-06-09"}

    assert read([later]).split_ratios.tolist() == []
    assert read([], [{**DIVIDEND, "date": "2024-06-09"}]).dividend_factors.size == 0


def test_a_dividend_is_weighed_against_the_close_before_it() -> None:
    actions = read([], [DIVIDEND])

    assert actions.dividend_days_ns.tolist() == [ns("2024-01-04")]
    assert actions.dividend_factors.tolist() == [0.95]
    assert actions.complete_dividends


def test_two_dividends_of_a_day_are_added_and_a_row_that_is_there_twice_is_not() -> (
    None
):
    special = {**DIVIDEND, "adjustedAmount": 1.0}

    actions = read([], [DIVIDEND, special, DIVIDEND])

    assert actions.dividend_factors.tolist() == [0.85]


def test_a_dividend_of_before_the_first_close_has_no_effect_on_any_bar() -> None:
    actions = read([], [DIVIDEND, {**DIVIDEND, "date": "1999-01-04"}])

    assert actions.dividend_factors.tolist() == [0.95]
    assert actions.complete_dividends


@pytest.mark.parametrize(
    "unclear",
    [
        {"date": ""},
        {"date": None},
        {"adjustedAmount": None},
        {"currency": "EUR"},
        {"currency": None},
        {"adjustedAmount": 10.5},
    ],
)
def test_a_dividend_that_cannot_be_weighed_makes_them_incomplete(
    unclear: dict[str, object],
) -> None:
    actions = read([], [DIVIDEND, {**DIVIDEND, **unclear}])

    assert not actions.complete_dividends


def test_outside_of_the_us_only_splits_are_asked_for() -> None:
    wanted = frozenset({Adjustment.SPLIT_DIVIDEND})

    requests = Finnhub().action_requests(LONDON, wanted, ns(NOW))

    assert [each.feature for each in requests] == ["stock/split:international"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fromFactor": 0},
        {"toFactor": 0},
        {"toFactor": -4},
        {"toFactor": 1e300},
        {"date": "soon"},
        {"date": "now"},
        {"date": "2020-13-01"},
        {"date": "9999-01-01"},
        {"date": "0001-01-01"},
        {"date": "2020-08"},
    ],
)
def test_a_split_that_is_none_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises(MalformedPayloadError):
        read([{**SPLIT, **wrong}])


@pytest.mark.parametrize("amount", [-1.0, 1e300])
def test_a_dividend_that_is_none_is_told(amount: float) -> None:
    with pytest.raises(MalformedPayloadError):
        read([], [{**DIVIDEND, "adjustedAmount": amount}])


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"[" * 5000])
def test_rubbish_is_told(body: bytes) -> None:
    for bodies in ((body,), ([], body), ([], [], body)):
        with pytest.raises((MalformedPayloadError, NoDataUnexplainedError)):
            read(*bodies)


def test_the_days_of_candles_are_what_dividends_are_weighed_against() -> None:
    closes = json.loads(CLOSES)
    closes["c"][1] = None

    actions = read([], [DIVIDEND], closes)

    assert actions.dividend_factors.tolist() == [0.95]
