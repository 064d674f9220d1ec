"""Answers are written as bytes, whole or in chunks, and say the same."""

from __future__ import annotations

from itertools import chain

import pytest
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provenance_pb2,
)

from ingestion_server.domain.errors import SymbolUnknownError
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.domain.result import BarResult, Missing
from ingestion_server.service.encoding import (
    failure_message_of,
    messages_of,
    reply_of,
    response_of,
)
from tests.builders import dates
from tests.clocks import NOW_NS, SECOND_NS
from tests.service.answers import answer, day, source

ROWS = ingestion_service_pb2.LAYOUT_ROWS
COLUMNS = ingestion_service_pb2.LAYOUT_COLUMNS
LONG = answer(
    12_000,
    source("acme", 0, 7_000),
    source("zenith", 7_000, 12_000, 5.0),
    missing=[Missing(day(6_000), day(6_001), "acme has none")],
    flags=[
        QualityFlag(FlagKind.ROW_EMPTY, "acme", day(10)),
        QualityFlag(FlagKind.ROW_EMPTY, "zenith", day(11_000)),
        QualityFlag(FlagKind.FIELD_ABSENT, "no volume"),
    ],
)


def whole(
    result: BarResult,
    layout: ingestion_service_pb2.Layout.ValueType = ROWS,
    *,
    seconds: float = 0.0,
) -> ingestion_service_pb2.FetchResponse:
    """Return a whole answer as a client reads it, so long after it was made."""
    written = response_of(reply_of(result, layout), "request-1", seconds)
    return ingestion_service_pb2.FetchResponse.FromString(written)


def chunks(
    result: BarResult, layout: ingestion_service_pb2.Layout.ValueType = ROWS
) -> list[ingestion_service_pb2.FetchBatchResponse]:
    """Return the messages of a batch as a client reads them."""
    return [
        ingestion_service_pb2.FetchBatchResponse.FromString(message)
        for message in messages_of("aapl", result, layout, "request-1")
    ]


def opened(bars: bar_pb2.BarSeries) -> list[int]:
    """Return when each bar opens, whichever way they are written."""
    if bars.HasField("columns"):
        return list(bars.columns.open_time_ns)
    return [bar.open_time.seconds * SECOND_NS for bar in bars.bars]


def test_an_answer_has_its_series_and_the_truth_about_it() -> None:
    result = answer(3, missing=[Missing(day(1), day(2), "nobody has it")])

    told = whole(result)

    assert told.series.symbol == "AAPL"
    assert told.series.exchange == result.instrument.exchange
    assert told.series.interval == bar_pb2.INTERVAL_1_DAY
    assert told.series.adjustment == bar_pb2.ADJUSTMENT_SPLIT
    assert told.series.currency == "USD"
    assert told.series.time_zone == "America/New_York"
    assert dates(opened(told.series)) == ["1990-01-01", "1990-01-02", "1990-01-03"]
    assert [bar.close for bar in told.series.bars] == [100.0, 100.0, 100.0]
    assert told.series.bars[-1].state == bar_pb2.BAR_STATE_PARTIAL
    assert told.completeness == provenance_pb2.COMPLETENESS_PARTIAL
    assert [hole.reason for hole in told.missing] == ["nobody has it"]
    assert [one.provider for one in told.sources] == ["acme"]
    assert [one.calls for one in told.attempts] == [1]
    assert told.request_id == "request-1"


def test_columns_are_there_instead_of_rows_if_asked_for() -> None:
    told = whole(answer(3), COLUMNS)

    assert not told.series.bars
    assert list(told.series.columns.close) == [100.0, 100.0, 100.0]
    assert told.series.columns.state[-1] == bar_pb2.BAR_STATE_PARTIAL


def test_an_answer_without_bars_is_an_empty_series_of_its_symbol() -> None:
    told = whole(answer(0))

    assert told.series.symbol == "AAPL"
    assert not told.series.bars


def test_a_source_is_signed_with_all_that_is_known_of_it() -> None:
    acme, zenith = whole(
        answer(3, source("acme", 0, 2), source("z", 2, 3, 5.5))
    ).sources

    assert (acme.provider, zenith.provider) == ("acme", "z")
    assert (acme.start.seconds, acme.end.seconds) == (
        day(0) // SECOND_NS,
        day(2) // SECOND_NS,
    )
    assert acme.feed_delay.seconds == 900
    assert acme.received_at.ToNanoseconds() == NOW_NS
    assert not acme.from_cache
    assert not acme.HasField("cache_age")
    assert zenith.from_cache
    assert zenith.cache_age.ToMilliseconds() == 5_500


def test_only_what_came_from_the_cache_grows_older() -> None:
    result = answer(3, source("acme", 0, 2), source("zenith", 2, 3, 5.5))

    acme, zenith = whole(result, seconds=10.0).sources

    assert not acme.HasField("cache_age")
    assert zenith.cache_age.ToMilliseconds() == 15_500
    assert zenith.received_at.ToNanoseconds() == NOW_NS


def test_what_came_from_the_cache_just_now_says_so() -> None:
    (acme,) = whole(answer(3, source("acme", 0, 3, 0.0))).sources

    assert acme.HasField("cache_age")
    assert acme.cache_age.ToMilliseconds() == 0


@pytest.mark.parametrize("layout", [ROWS, COLUMNS])
def test_chunks_hold_all_bars_in_order_and_the_last_says_so(
    layout: ingestion_service_pb2.Layout.ValueType,
) -> None:
    messages = chunks(LONG, layout)

    told = [opened(message.chunk.series) for message in messages]
    assert [len(bars) for bars in told] == [5_000, 5_000, 2_000]
    assert list(chain.from_iterable(told)) == LONG.series.open_time_ns.tolist()
    assert [message.last for message in messages] == [False, False, True]
    assert {message.symbol for message in messages} == {"aapl"}
    assert {message.chunk.series.symbol for message in messages} == {"AAPL"}
    assert {message.chunk.request_id for message in messages} == {"request-1"}


def test_what_is_about_a_stretch_stands_in_the_chunk_of_its_time() -> None:
    first, second, third = (message.chunk for message in chunks(LONG))

    signed = [
        [(one.provider, one.start.seconds, one.end.seconds) for one in chunk.sources]
        for chunk in (first, second, third)
    ]
    edges = [day(number) // SECOND_NS for number in (0, 5_000, 7_000, 10_000, 12_000)]
    assert signed == [
        [("acme", edges[0], edges[1])],
        [("acme", edges[1], edges[2]), ("zenith", edges[2], edges[3])],
        [("zenith", edges[3], edges[4])],
    ]
    assert [len(chunk.missing) for chunk in (first, second, third)] == [0, 1, 0]
    noted = [[flag.detail for flag in one.quality_flags] for one in (first, second)]
    assert noted == [["acme"], []]


def test_what_is_about_the_whole_stands_in_the_last_chunk() -> None:
    first, second, third = (message.chunk for message in chunks(LONG))

    assert [len(chunk.attempts) for chunk in (first, second, third)] == [0, 0, 1]
    assert [flag.detail for flag in third.quality_flags] == ["zenith", "no volume"]


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_an_answer_that_fits_is_one_chunk_as_fetch_would_give_it(count: int) -> None:
    result = answer(count)

    (message,) = chunks(result)

    assert message.last
    assert message.chunk == whole(result)


def test_a_failure_is_the_last_message_about_its_symbol() -> None:
    error = SymbolUnknownError("nobody knows it", provider="acme", symbol="NONE")

    message = ingestion_service_pb2.FetchBatchResponse.FromString(
        failure_message_of("none", error)
    )

    assert (message.symbol, message.last) == ("none", True)
    assert message.failure.reason == "SYMBOL_UNKNOWN"
