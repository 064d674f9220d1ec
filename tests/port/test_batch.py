"""FetchBatch: one symbol's failure is that symbol's result."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import groupby, pairwise

import pytest
from google.protobuf import json_format
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import UNMETERED, Build, House, RefusedError, pinned, times, until

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
TWO_WEEKS = {
    "interval": "INTERVAL_1_MINUTE",
    "start": "2024-05-13T00:00:00Z",
    "end": "2024-06-08T00:00:00Z",
}


async def test_one_symbols_failure_is_that_symbols_result(home: House) -> None:
    symbols = ["AAPL", "NOSUCH", "MSFT", "bad symbol", "🚀", "EUR/USD"]
    responses = await home.batch(symbols=symbols, **MAY)

    found = {response.symbol: response for response in responses}
    assert len(responses) == len(found) == 6
    assert all(response.last for response in responses)
    for symbol in ("AAPL", "MSFT"):
        assert len(found[symbol].chunk.series.bars) == 22
        assert found[symbol].chunk.completeness == truth.COMPLETENESS_COMPLETE
        assert found[symbol].chunk.attempts
    assert len(found["EUR/USD"].chunk.series.bars) == 23
    unknown = found["NOSUCH"].failure
    assert (unknown.code, unknown.reason) == (
        Code.NOT_FOUND.value[0],
        "SYMBOL_UNKNOWN",
    )
    assert unknown.metadata["symbol"] == "NOSUCH"
    for symbol in ("bad symbol", "🚀"):
        assert found[symbol].failure.code == Code.INVALID_ARGUMENT.value[0]
        assert found[symbol].failure.reason == "INVALID_QUERY"
        assert found[symbol].failure.metadata["fields"] == "symbol"


async def test_a_failure_says_when_to_come_back(home: House) -> None:
    await home.fault("yahoo", "status_429", retry_after=120)

    (response,) = await home.batch(
        symbols=["MSFT"], source_policy=pinned("yahoo"), timeout=1, **MAY
    )

    assert response.failure.reason == "QUOTA_EXHAUSTED"
    assert response.failure.code == Code.RESOURCE_EXHAUSTED.value[0]
    assert 115 < response.failure.retry_delay.seconds <= 121


async def test_many_symbols_are_all_answered_once(quick: House) -> None:
    symbols = [f"SBX{number:04}" for number in range(1, 81)]

    responses = await quick.batch(
        symbols=[*symbols, *symbols[:10]],
        source_policy=pinned("yahoo"),
        **MAY,
    )

    assert Counter(response.symbol for response in responses) == Counter(symbols)
    assert all(len(response.chunk.series.bars) == 22 for response in responses)


async def test_symbols_that_mean_the_same_are_answered_as_they_were_spelled(
    quick: House,
) -> None:
    responses = await quick.batch(
        symbols=["msft", "MSFT"], source_policy=pinned("yahoo"), **MAY
    )

    assert {response.symbol for response in responses} == {"msft", "MSFT"}


async def test_a_long_history_comes_in_order_in_chunks_and_the_truth_with_it(
    build: Build,
) -> None:
    async with build(settings=UNMETERED) as home:
        await home.fault("yahoo", "partial", times=1, fraction=0.5)
        responses = await home.batch(
            symbols=["MSFT"], source_policy=pinned("yahoo"), **TWO_WEEKS
        )

    assert len(responses) > 1
    assert [response.last for response in responses] == [
        *(False for _ in responses[1:]),
        True,
    ]
    chunks = [response.chunk for response in responses]
    assert [len(chunk.series.bars) for chunk in chunks[:-1]] == [5_000] * (
        len(chunks) - 1
    )
    assert 0 < len(chunks[-1].series.bars) <= 5_000
    found = [time for chunk in chunks for time in times(chunk)]
    assert found == sorted(set(found))
    for chunk in chunks:
        first, last = times(chunk)[0], times(chunk)[-1]
        (source,) = chunk.sources
        assert source.start.ToJsonString() == first
        assert source.end.ToJsonString() > last
        assert chunk.completeness == truth.COMPLETENESS_PARTIAL
    assert not any(chunk.attempts for chunk in chunks[:-1])
    assert chunks[-1].attempts
    # The holes of the first requests' pages lie where the bars of the first chunks do.
    holes = [hole.start.ToJsonString() for chunk in chunks for hole in chunk.missing]
    assert holes == sorted(set(holes))
    for chunk, following in pairwise(chunks):
        for hole in chunk.missing:
            assert hole.start.ToJsonString() < times(following)[0]


async def test_chunks_hold_what_columns_hold(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        request = {
            "symbols": ["MSFT"],
            "source_policy": pinned("yahoo"),
            **TWO_WEEKS,
        }
        rows = await home.batch(**request)
        columns = await home.batch(layout="LAYOUT_COLUMNS", **request)

    assert [bar.close for response in rows for bar in response.chunk.series.bars] == [
        close for response in columns for close in response.chunk.series.columns.close
    ]
    assert max(len(r.chunk.series.columns.close) for r in columns) == 5_000


async def test_the_chunks_of_a_symbol_are_not_torn_apart_by_another(
    build: Build,
) -> None:
    async with build(settings=UNMETERED) as home:
        responses = await home.batch(
            symbols=["MSFT", "AAPL", "IBM"],
            source_policy=pinned("yahoo"),
            **TWO_WEEKS,
        )

    runs = [symbol for symbol, _ in groupby(response.symbol for response in responses)]
    assert sorted(runs) == ["AAPL", "IBM", "MSFT"]


async def test_a_symbol_that_fails_slowly_does_not_hold_up_the_others(
    quick: House,
) -> None:
    await quick.fault("yahoo", "hang", symbols=["AAPL"])
    request = json_format.ParseDict(
        {"symbols": ["AAPL", "MSFT", "IBM"], "sourcePolicy": pinned("yahoo"), **MAY},
        ingestion_service_pb2.FetchBatchRequest(),
    )

    call = quick.stub.FetchBatch(request, timeout=1.5)
    first = [(await anext(aiter(call))).symbol for _ in range(2)]
    assert set(first) == {"MSFT", "IBM"}
    last = await anext(aiter(call))
    assert last.symbol == "AAPL"
    assert last.failure.reason == "DEADLINE_EXCEEDED"


async def test_a_client_that_leaves_ends_the_calls_of_vendors(quick: House) -> None:
    await quick.fault("yahoo", "latency", seconds=0.3)
    symbols = [f"SBX{number:04}" for number in range(1, 101)]
    request = json_format.ParseDict(
        {"symbols": symbols, "sourcePolicy": pinned("yahoo"), **MAY},
        ingestion_service_pb2.FetchBatchRequest(),
    )
    call = quick.stub.FetchBatch(request, timeout=30)
    await anext(aiter(call))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await anext(aiter(call))

    async def ended() -> bool:
        return not any("fetch_all" in repr(task) for task in asyncio.all_tasks())

    await until(ended)
    calls = await quick.calls("yahoo")
    assert calls < 40
    await quick.mend("yahoo")
    await quick.fetch(symbol="MSFT", source_policy=pinned("yahoo"), **MAY)
    assert await quick.calls("yahoo") == calls + 1


@pytest.mark.parametrize(
    ("symbols", "extra", "fields"),
    [
        ([f"SBX{number:04}" for number in range(1, 1002)], {}, {"symbols"}),
        ([], {}, {"symbols"}),
        (["MSFT"], {"limit": -3}, {"limit"}),
        (["MSFT"], {"interval": 77}, {"interval"}),
        (["MSFT"], {"assetClass": 77}, {"asset_class"}),
    ],
)
async def test_what_is_wrong_for_every_symbol_refuses_the_whole(
    home: House, symbols: list[str], extra: dict[str, object], fields: set[str]
) -> None:
    with pytest.raises(RefusedError) as raised:
        await home.batch(symbols=symbols, **{**MAY, **extra})

    failed = raised.value
    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == fields


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"start": MAY["end"], "end": MAY["start"]}, "start"),
        (
            {"sourcePolicy": {"providers": ["bloomberg"]}},
            "source_policy.providers[0]",
        ),
        ({"exchange": "XXXX"}, "exchange"),
    ],
)
async def test_what_cannot_be_asked_is_named_for_each_symbol(
    home: House, extra: dict[str, object], field: str
) -> None:
    responses = await home.batch(symbols=["MSFT", "AAPL"], **{**MAY, **extra})

    assert [response.failure.reason for response in responses] == ["INVALID_QUERY"] * 2
    assert {response.failure.metadata["fields"] for response in responses} == {field}
    assert await home.calls("alpha_vantage") == await home.calls("yahoo") == 0


async def test_a_batch_answers_more_than_a_fetch_may(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        responses = await home.batch(
            symbols=["BTC/USD"],
            interval="INTERVAL_5_MINUTES",
            start="2024-04-16T00:00:00Z",
            end="2024-06-12T00:00:00Z",
            source_policy=pinned("yahoo"),
            layout="LAYOUT_COLUMNS",
        )

    total = sum(len(one.chunk.series.columns.close) for one in responses)
    assert total == 57 * 288
