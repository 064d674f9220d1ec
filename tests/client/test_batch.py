"""Chunks of a batch become one item per symbol."""

from __future__ import annotations

import numpy as np
import pytest
from marketdata.ingestion.v1 import provenance_pb2

from ingestion_server.client import (
    BatchItem,
    Completeness,
    SymbolUnknownError,
    UnexpectedStatusError,
)
from ingestion_server.client.batch import Batch
from tests.client.fakes import DAY, FIRST, answer, chunk, columns, failed, source

LATER = FIRST + 3 * DAY


def item_of(*messages) -> BatchItem:
    """Add messages of which only the last completes an item."""
    batch = Batch()
    *before, item = [batch.add(message) for message in messages]
    assert before == [None] * len(before)
    assert item is not None
    return item


def test_chunks_of_one_symbol_join_in_order() -> None:
    item = item_of(
        chunk("AAPL", answer(), last=False),
        chunk(
            "AAPL",
            answer(columns(2, LATER), sources=[source("finnhub", LATER, 2)]),
        ),
    )

    bars = item.result()
    assert bars.close.tolist() == [101.5, 102.5, 103.5, 101.5, 102.5]
    assert np.all(np.diff(bars.open_time_ns) > 0)
    assert bars.provider_names() == ["yahoo"] * 3 + ["finnhub"] * 2
    assert bars.symbol == "AAPL"


def test_a_column_that_one_chunk_lacks_is_unknown_there() -> None:
    item = item_of(
        chunk("AAPL", answer(columns(volume=[])), last=False),
        chunk("AAPL", answer(columns(2, LATER, trade_count=[4, 5]))),
    )

    bars = item.result()
    assert np.isnan(bars.volume).tolist() == [True] * 3 + [False] * 2
    assert bars.trade_count is not None
    assert bars.trade_count.tolist() == [-1, -1, -1, 4, 5]


def test_the_least_complete_chunk_speaks_for_all() -> None:
    partial = answer(completeness=provenance_pb2.COMPLETENESS_PARTIAL)

    item = item_of(
        chunk("AAPL", partial, last=False), chunk("AAPL", answer(columns(2, LATER)))
    )

    assert item.result().completeness is Completeness.PARTIAL
    assert '"COMPLETENESS_PARTIAL"' in item.result().to_json()


def test_symbols_may_come_mixed() -> None:
    batch = Batch()

    items = [
        batch.add(message)
        for message in (
            chunk("A", answer(), last=False),
            chunk("B", answer()),
            chunk("A", answer(columns(1, LATER))),
        )
    ]

    lengths = {item.symbol: len(item.result()) for item in items if item}
    assert lengths == {"B": 3, "A": 4}


def test_a_failed_symbol_carries_its_error() -> None:
    item = item_of(failed("NOPE", "SYMBOL_UNKNOWN", 5))

    assert item.bars is None
    assert isinstance(item.error, SymbolUnknownError)
    assert item.error.code.name == "NOT_FOUND"
    assert item.error.metadata == {"symbol": "NOPE"}
    assert item.error.retry_delay is not None
    with pytest.raises(SymbolUnknownError, match="it failed"):
        item.result()


def test_a_failure_after_chunks_is_a_failure() -> None:
    item = item_of(chunk("AAPL", answer(), last=False), failed("AAPL", "INTERNAL", 999))

    assert item.bars is None
    assert item.error is not None
    assert item.error.code.name == "UNKNOWN"


def test_a_symbol_that_is_cut_off_is_told() -> None:
    batch = Batch()
    batch.add(chunk("AAPL", answer(), last=False))

    (item,) = batch.unfinished()

    assert item.symbol == "AAPL"
    with pytest.raises(UnexpectedStatusError, match="ended within AAPL"):
        item.result()
