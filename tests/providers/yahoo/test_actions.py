"""Splits and dividends out of a chart; all bodies made by us."""

from __future__ import annotations

import numpy as np
import pytest

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.errors import CapabilityMissingError, MalformedPayloadError
from ingestion_server.domain.instrument import instrument
from ingestion_server.providers.yahoo import Yahoo
from tests.providers.yahoo.charts import Row, answer, chart, complaint, ns, seconds

CLOSES = {
    "2024-01-02T14:30": 100.0,
    "2024-01-03T14:30": 80.0,
    "2024-01-04T14:30": 50.0,
    "2024-01-05T14:30": 25.0,
}
ROWS: dict[str, Row] = {stamp: (close,) * 5 for stamp, close in CLOSES.items()}
LISTED = {"firstTradeDate": seconds("2024-01-02T14:30")}
RECEIVED = "2024-01-05T22:00"


def split(date: str, new: float, old: float = 1.0) -> dict[str, object]:
    """Compose a split."""
    return {"date": seconds(date), "numerator": new, "denominator": old}


def dividend(date: str, amount: float) -> dict[str, object]:
    """Compose a dividend."""
    return {"date": seconds(date), "amount": amount}


def keyed(*events: dict[str, object]) -> dict[str, object]:
    """Key events, as Yahoo does, by what need not be their date."""
    return {str(number): event for number, event in enumerate(events)}


def actions(
    *,
    splits: dict[str, object] | None = None,
    dividends: dict[str, object] | None = None,
    received: str = RECEIVED,
    **meta: object,
) -> CorporateActions:
    """Read the actions of a chart with known closes."""
    events = {"splits": splits or {}, "dividends": dividends or {}}
    body = chart(ROWS, events=events, **{**LISTED, **meta})
    return Yahoo().read_actions(
        [answer(body, received_at=received)], instrument("AAPL")
    )


def test_a_history_without_events_is_an_answer() -> None:
    found = actions()

    assert len(found.split_days_ns) == 0
    assert len(found.dividend_days_ns) == 0
    assert found.complete_dividends
    assert found.known_until_ns == ns(RECEIVED)


def test_splits_are_told_by_day_ascending() -> None:
    found = actions(
        splits=keyed(split("2024-01-04T14:30", 4), split("2024-01-03T14:30", 1, 10))
    )

    assert found.split_days_ns.tolist() == [ns("2024-01-03"), ns("2024-01-04")]
    assert found.split_ratios.tolist() == [0.1, 4.0]


def test_a_split_that_is_there_twice_happened_once() -> None:
    twins = keyed(split("2024-01-04T14:30", 4), split("2024-01-04T14:30:01", 4))

    assert actions(splits=twins).split_ratios.tolist() == [4.0]


def test_a_dividend_is_worth_its_share_of_the_close_before() -> None:
    found = actions(
        dividends=keyed(
            dividend("2024-01-05T14:30", 5.0), dividend("2024-01-03T14:30", 1.0)
        )
    )

    assert found.dividend_days_ns.tolist() == [ns("2024-01-03"), ns("2024-01-05")]
    np.testing.assert_allclose(found.dividend_factors, [0.99, 0.9], rtol=1e-15)
    assert found.complete_dividends


def test_two_dividends_of_one_day_were_both_paid_and_twins_once() -> None:
    found = actions(
        dividends=keyed(
            dividend("2024-01-03T14:30", 1.0),
            dividend("2024-01-03T14:30:01", 1.0),
            dividend("2024-01-03T14:30", 9.0),
        )
    )

    assert found.dividend_factors.tolist() == [0.9]


def test_a_dividend_before_the_first_close_affects_no_bar() -> None:
    found = actions(dividends=keyed(dividend("2024-01-02T14:30", 1.0)))

    assert len(found.dividend_days_ns) == 0
    assert found.complete_dividends


def test_a_dividend_larger_than_the_price_makes_dividends_incomplete() -> None:
    found = actions(dividends=keyed(dividend("2024-01-03T14:30", 100.5)))

    assert not found.complete_dividends


def test_what_is_announced_for_a_later_day_has_not_happened() -> None:
    found = actions(
        splits=keyed(split("2024-01-05T14:30", 2), split("2024-01-08T14:30", 3)),
        dividends=keyed(dividend("2024-01-08T14:30", 1.0)),
    )

    assert found.split_ratios.tolist() == [2.0]
    assert len(found.dividend_days_ns) == 0
    assert found.complete_dividends


@pytest.mark.parametrize(
    "meta",
    [
        {"firstTradeDate": seconds("2023-12-20")},
        {"firstTradeDate": None},
        {"firstTradeDate": -(10**30)},
        {"received": "2024-07-01"},
        {"received": "2024-07-01", "regularMarketTime": seconds("2024-06-30")},
        {"received": "2024-07-01", "regularMarketTime": seconds("2020-01-01")},
    ],
)
def test_a_part_of_the_history_is_refused(meta: dict[str, object]) -> None:
    with pytest.raises(CapabilityMissingError, match="not the whole history"):
        actions(**meta)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        complaint("Bad Request", "Data doesn't exist for startDate = 1"),
        chart({}, **LISTED),
    ],
)
def test_no_history_at_all_is_refused(body: object) -> None:
    with pytest.raises(CapabilityMissingError):
        Yahoo().read_actions([answer(body)], instrument("AAPL"))


def test_the_history_of_what_is_delisted_ends_with_its_last_trade() -> None:
    last = seconds("2024-01-05T21:00")

    found = actions(received="2026-07-01", regularMarketTime=last)

    assert found.known_until_ns == ns("2026-07-01")


def test_a_clock_that_is_behind_does_not_unsay_the_rows() -> None:
    assert actions(received="1970-01-02").known_until_ns == ns("2024-01-05T14:30")


@pytest.mark.parametrize(
    "events",
    [
        {"splits": keyed(split("2024-01-04T14:30", 0))},
        {"splits": keyed(split("2024-01-04T14:30", 4, 0))},
        {"splits": keyed(split("2024-01-04T14:30", -4))},
        {"splits": keyed(split("2024-01-04T14:30", 1e300, 1e-300))},
        {"splits": {"1": {"date": 10**30, "numerator": 4, "denominator": 1}}},
        {"splits": {"1": {"date": "2024", "numerator": 4, "denominator": 1}}},
        {"splits": {"1": {"date": 1}}},
        {"dividends": keyed(dividend("2024-01-04T14:30", -1))},
        {"dividends": keyed(dividend("2024-01-04T14:30", 1e300))},
        {"dividends": {"1": {"date": 10**17, "amount": 1}}},
        {"dividends": {"1": {"date": 1, "amount": None}}},
    ],
)
def test_an_event_that_cannot_be_is_malformed(events: dict[str, object]) -> None:
    with pytest.raises(MalformedPayloadError):
        actions(**events)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "meta", [{"symbol": "MSFT"}, {"dataGranularity": "1wk"}, {"zone": "Mars/Phobos"}]
)
def test_the_history_of_something_else_is_malformed(meta: dict[str, object]) -> None:
    with pytest.raises(MalformedPayloadError):
        actions(**meta)  # type: ignore[arg-type]
