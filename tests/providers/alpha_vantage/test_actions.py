"""Splits, dividends, and what a dividend was worth."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.providers.alpha_vantage import AlphaVantage
from tests.providers.alpha_vantage.pages import answer, ns, reply

IBM = instrument("IBM")


def data(*rows: dict[str, object]) -> bytes:
    """Write a reply to SPLITS or DIVIDENDS."""
    return json.dumps({"symbol": "IBM", "data": rows}).encode()


def splits(*rows: tuple[object, object]) -> bytes:
    """Write splits: effective date and factor."""
    return data(*({"effective_date": d, "split_factor": f} for d, f in rows))


def dividends(*rows: tuple[object, object]) -> bytes:
    """Write dividends: ex-date and amount, and the dates that we ignore."""
    return data(
        *(
            {"ex_dividend_date": d, "declaration_date": "None", "amount": a}
            for d, a in rows
        )
    )


def closes(count: int = 120, first: str = "2024-01-01") -> bytes:
    """Write so many days, closing at 100, 101, …."""
    start = date.fromisoformat(first)
    rows = {
        str(start + timedelta(days=day)): ["1", "999", "1", str(100 + day), "5"]
        for day in range(count)
    }
    return reply("Time Series (Daily)", dict(reversed(rows.items())))


def read(*bodies: bytes) -> CorporateActions:
    """Read answers that came a second apart."""
    responses = [
        answer(body, received_at=f"2024-07-01T00:00:0{second}")
        for second, body in enumerate(bodies, start=1)
    ]
    return AlphaVantage().read_actions(responses, IBM)


def test_splits_come_ascending_and_each_once() -> None:
    actions = read(
        splits(("2020-08-31", "4.0000"), ("2014-06-09", 7), ("2020-08-31", "4.0"))
    )

    assert actions.split_days_ns.tolist() == [ns("2014-06-09"), ns("2020-08-31")]
    assert actions.split_ratios.tolist() == [7, 4]
    assert actions.known_until_ns == ns("2024-07-01T00:00:01")


def test_without_a_question_for_dividends_they_are_not_known() -> None:
    actions = read(splits())

    assert len(actions.split_days_ns) == len(actions.dividend_days_ns) == 0
    assert not actions.complete_dividends


def test_a_dividend_is_worth_its_share_of_the_close_before() -> None:
    actions = read(
        splits(),
        dividends(("2024-02-01", "13.0"), ("2024-01-03", "10.1")),
        closes(),
    )

    assert actions.dividend_days_ns.tolist() == [ns("2024-01-03"), ns("2024-02-01")]
    assert actions.dividend_factors.tolist() == [1 - 10.1 / 101, 1 - 13 / 130]
    assert actions.complete_dividends
    assert actions.known_until_ns == ns("2024-07-01T00:00:01")


def test_two_dividends_of_one_day_are_one_and_a_repeated_row_is_paid_once() -> None:
    actions = read(
        splits(),
        dividends(("2024-01-03", "4.1"), ("2024-01-03", "6"), ("2024-01-03", "6.0")),
        closes(),
    )

    assert actions.dividend_factors.tolist() == pytest.approx([0.9])


def test_dividends_before_the_first_close_have_no_effect_after_it() -> None:
    actions = read(
        splits(), dividends(("2024-01-01", "1"), ("1995-01-01", "1")), closes()
    )

    assert len(actions.dividend_days_ns) == 0
    assert actions.complete_dividends


def test_a_page_of_only_100_days_does_not_tell_older_dividends() -> None:
    old = dividends(("2023-12-01", "1"))

    with pytest.raises(CapabilityMissingError, match="100 days"):
        read(splits(), old, closes(100))
    with pytest.raises(CapabilityMissingError):
        read(splits(), old, closes(0))


def test_a_short_page_is_enough_if_nothing_was_paid_before_it() -> None:
    actions = read(splits(), dividends(("2024-01-03", "10.1")), closes(100))

    assert len(actions.dividend_days_ns) == 1
    assert read(splits(), dividends(), closes(0)).complete_dividends


@pytest.mark.parametrize(
    "row", [("None", "1"), (None, "1"), ("2024-01-03", "None"), ("2024-01-03", "500")]
)
def test_what_the_vendor_leaves_open_makes_dividends_incomplete(
    row: tuple[object, object],
) -> None:
    actions = read(splits(), dividends(row, ("2024-01-05", "1")), closes())

    assert not actions.complete_dividends
    assert actions.dividend_days_ns.tolist() == [ns("2024-01-05")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"rubbish",
        b'{"symbol": "IBM"}',
        b'{"data": {}}',
        b'{"data": [1]}',
        b'{"data": [{}]}',
        splits(("2024-01-03", "0")),
        splits(("2024-01-03", "-2")),
        splits(("2024-01-03", "None")),
        splits(("2024-01-03", "inf")),
        splits(("None", "2")),
        splits(("0001-01-01", "2")),
    ],
)
def test_splits_that_cannot_be_read_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"rubbish",
        b'{"data": [{"amount": "1"}]}',
        dividends(("2024-01-03", "-1")),
        dividends(("2024-01-03", "some")),
        dividends(("2024-01-03", "1e999")),
        dividends(("yesterday", "1")),
    ],
)
def test_dividends_that_cannot_be_read_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        read(splits(), body, closes())


def test_an_empty_object_is_no_data() -> None:
    with pytest.raises(NoDataUnexplainedError, match="splits"):
        read(b"{}")


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(
                ["effective_date", "split_factor", "ex_dividend_date", "amount"]
            ),
            st.one_of(
                st.none(),
                st.floats(),
                st.text(max_size=10),
                st.dates().map(str),
                st.just("1e999"),
            ),
        ),
        max_size=3,
    )
)
def test_any_rows_are_read_or_refused(rows: list[dict[str, object]]) -> None:
    for bodies in ((data(*rows),), (splits(), data(*rows), closes(3))):
        try:
            actions = read(*bodies)
        except ProviderError:
            continue
        assert actions.known_until_ns
