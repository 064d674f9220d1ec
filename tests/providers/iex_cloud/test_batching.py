"""Days of several symbols by one call."""

from __future__ import annotations

import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    EntitlementMissingError,
    MalformedPayloadError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.batching import BarBatching
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.iex_cloud import IexCloud
from ingestion_server.providers.yahoo import Yahoo
from tests.providers.iex_cloud.answers import AAPL, LONDON, MSFT, answer, ask, day

EARLY = ask(AAPL, start="2024-06-03")
LATE = ask(MSFT, adjustment=Adjustment.SPLIT)


def batching() -> BarBatching:
    """Return the part that is meant."""
    found = IexCloud().batching
    assert found is not None
    return found


def test_all_charts_are_as_long_as_the_longest_that_is_needed() -> None:
    request = batching().batch_request([EARLY, LATE])

    assert request.full_url.endswith(
        "/stable/stock/market/batch?symbols=AAPL,MSFT&types=chart&range=1m&chartLast=7"
    )
    assert (request.feature, request.times) == ("chart", 14)


def test_a_symbol_asked_for_twice_is_paid_for_once() -> None:
    request = batching().batch_request([EARLY, ask(AAPL, adjustment=Adjustment.SPLIT)])

    assert request.times == 7


def test_each_question_has_its_page_in_its_adjustment() -> None:
    nobody = ask(Instrument("NONSUCH", AssetClass.EQUITY, "XNYS"))
    body = {
        "aapl": {"chart": [day("2024-06-10")]},
        "MSFT": {"chart": [day("2024-06-10")]},
    }

    found = batching().read_batch(answer(body), [EARLY, LATE, nobody])

    assert closes(found[EARLY]) == [100.0]
    assert closes(found[LATE]) == [25.0]
    assert isinstance(found[nobody], SymbolUnknownError)


def closes(told: object) -> list[float]:
    """Return the closes of a page."""
    assert isinstance(told, Page)
    return told.series.close.tolist()


def test_a_chart_that_cannot_be_read_spoils_no_other() -> None:
    body = {"AAPL": {"chart": [day("never")]}, "MSFT": {"chart": []}}

    found = batching().read_batch(answer(body), [EARLY, LATE])

    assert isinstance(found[EARLY], MalformedPayloadError)
    assert closes(found[LATE]) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"Unknown symbol", b'{"AAPL":[]}'])
def test_what_holds_no_charts_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        batching().read_batch(answer(body), [EARLY])


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        (EARLY, True),
        (ask(interval=Interval.MINUTE_1), False),
        (ask(LONDON), False),
        (ask(start="2023-03-10", end="2023-03-14"), False),
        (ask(start="2024-07-01", end="2024-07-02"), False),
        (ask(refused=frozenset({"chart"})), False),
    ],
)
def test_only_days_that_cost_no_more_together_fit(
    question: BarAsk, *, fits: bool
) -> None:
    assert batching().fits(question) is fits


def test_what_does_not_fit_is_refused() -> None:
    many = [
        ask(Instrument(f"SBX{n:04}", AssetClass.EQUITY, "XNYS")) for n in range(101)
    ]

    assert batching().batch_request(many[:100]).times == 200
    for wrong in (
        [EARLY, ask(LONDON)],
        [EARLY, ask(interval=Interval.MINUTE_1)],
        [ask(start="2024-07-01", end="2024-07-02")],
        many,
    ):
        with pytest.raises(CapabilityMissingError):
            batching().batch_request(wrong)
    with pytest.raises(EntitlementMissingError):
        batching().batch_request([ask(refused=frozenset({"chart"}))])


def test_nobody_else_tells_bars_of_several_symbols_at_once() -> None:
    assert [each.batching for each in (AlphaVantage(), Finnhub(), Yahoo())] == [
        None
    ] * 3
