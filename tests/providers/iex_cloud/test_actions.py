"""Splits and dividends of late."""

from __future__ import annotations

import pytest

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.errors import CapabilityMissingError, MalformedPayloadError
from ingestion_server.providers.iex_cloud import IexCloud
from tests.providers.iex_cloud.answers import AAPL, answer, day, ns

SPLIT = {
    "exDate": "2024-06-07",
    "fromFactor": 1,
    "toFactor": 10,
    "ratio": 0.1,
    "date": ns("2024-06-10") // 1_000_000,
}
DIVIDEND = {"exDate": "2024-05-10", "amount": 4.0, "currency": "USD"}
CHART = [day("2024-05-08"), day("2024-05-09", 200.0), day("2024-05-10")]


def read(*bodies: object) -> CorporateActions:
    """Read actions."""
    return IexCloud().read_actions([answer(body) for body in bodies], AAPL)


def test_a_split_is_on_its_first_day_of_the_new_shares() -> None:
    actions = read([SPLIT, SPLIT])

    assert actions.split_days_ns.tolist() == [ns("2024-06-10")]
    assert actions.split_ratios.tolist() == [10.0]
    assert not actions.complete_dividends


def test_where_only_the_ex_date_is_told_it_is_that() -> None:
    actions = read([SPLIT | {"date": None}])

    assert actions.split_days_ns.tolist() == [ns("2024-06-07")]


def test_what_is_announced_is_left_out_until_it_happens() -> None:
    announced = SPLIT | {"date": ns("2024-07-01") // 1_000_000}
    dividend = DIVIDEND | {"exDate": "2024-08-01"}

    actions = read([announced], [dividend], CHART)

    assert actions.split_days_ns.tolist() == []
    assert actions.dividend_days_ns.tolist() == []
    assert actions.complete_dividends


@pytest.mark.parametrize("amount", [4.0, "4.00"])
def test_a_dividend_is_weighed_against_the_close_as_it_was_traded(
    amount: object,
) -> None:
    actions = read([], [DIVIDEND | {"amount": amount}], CHART)

    assert actions.dividend_days_ns.tolist() == [ns("2024-05-10")]
    assert actions.dividend_factors.tolist() == [pytest.approx(0.98)]
    assert actions.complete_dividends


@pytest.mark.parametrize(
    "more", [{"currency": "EUR"}, {"amount": None}, {"amount": ""}, {"exDate": None}]
)
def test_a_dividend_that_cannot_be_weighed_is_not_passed_over_in_silence(
    more: dict[str, object],
) -> None:
    assert not read([], [DIVIDEND | more], CHART).complete_dividends


@pytest.mark.parametrize(
    "bodies",
    [
        (b"{}",),
        ([{"exDate": "2024-06-07"}],),
        ([SPLIT | {"toFactor": 0}],),
        ([SPLIT | {"fromFactor": 0}],),
        ([SPLIT | {"date": 10**17}],),
        ([SPLIT | {"exDate": "soon"}],),
        ([], [DIVIDEND | {"amount": "much"}], CHART),
        ([], [DIVIDEND | {"amount": -1}], CHART),
        ([], [DIVIDEND], b"Unknown symbol"),
    ],
)
def test_what_is_no_action_is_malformed(bodies: tuple[object, ...]) -> None:
    with pytest.raises(MalformedPayloadError):
        read(*bodies)


def test_a_chart_without_closes_as_traded_tells_no_dividend() -> None:
    with pytest.raises(CapabilityMissingError):
        read([], [DIVIDEND], [{"date": "2024-05-09", "close": 1.0}])
