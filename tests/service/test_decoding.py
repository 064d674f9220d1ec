"""What an answer may cost is an amount of money, or not said."""

from __future__ import annotations

import math

import pytest
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.service.decoding import batch_of, query_of


def request(most: float | None) -> ingestion_service_pb2.FetchRequest:
    """Ask for AAPL at a price."""
    return ingestion_service_pb2.FetchRequest(
        symbol="AAPL", source_policy={"max_cost_usd": most}
    )


@pytest.mark.parametrize("most", [None, 0.0, 0.05])
def test_the_most_an_answer_may_cost_is_understood(most: float | None) -> None:
    assert query_of(request(most)).policy.max_cost_usd == most


@pytest.mark.parametrize("most", [-0.01, math.nan, math.inf, -math.inf])
def test_what_is_no_amount_of_money_is_refused(most: float) -> None:
    with pytest.raises(InvalidQueryError) as raised:
        query_of(request(most))

    assert [wrong.field for wrong in raised.value.violations] == [
        "source_policy.max_cost_usd"
    ]


def test_a_batch_is_refused_as_a_whole_for_its_price() -> None:
    batch = ingestion_service_pb2.FetchBatchRequest(
        symbols=["AAPL"], source_policy={"max_cost_usd": -1}
    )

    with pytest.raises(InvalidQueryError, match="-1 is no amount of money"):
        batch_of(batch)
