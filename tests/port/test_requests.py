"""Requests: every wrong field is named, and every default is as the contract says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import (
    TWO_VENDORS,
    Build,
    House,
    RefusedError,
    closes,
    ordered,
    pinned,
    served_by,
    times,
)

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}

WRONG: list[tuple[dict[str, Any], set[str]]] = [
    ({"symbol": ""}, {"symbol"}),
    ({"symbol": "   "}, {"symbol"}),
    ({"symbol": "🚀"}, {"symbol"}),
    ({"symbol": "A/"}, {"symbol"}),
    ({"symbol": "A/B/C"}, {"symbol"}),
    ({"symbol": "../etc/passwd"}, {"symbol"}),
    ({"symbol": "MSFT&apikey=x"}, {"symbol"}),
    ({"symbol": "MSFT\r\nX: y"}, {"symbol"}),
    ({"symbol": "A" * 33}, {"symbol"}),
    ({"symbol": "USD/USD"}, {"symbol"}),
    ({"exchange": "XXXX"}, {"exchange"}),
    ({"symbol": "EUR/USD", "exchange": "XLON"}, {"exchange"}),
    ({"assetClass": "ASSET_CLASS_FX"}, {"asset_class"}),
    ({"symbol": "BTC/USD", "assetClass": "ASSET_CLASS_FX"}, {"asset_class"}),
    ({"assetClass": 99}, {"asset_class"}),
    ({"interval": 99}, {"interval"}),
    ({"adjustment": 99}, {"adjustment"}),
    ({"session": 99}, {"session"}),
    ({"layout": 99}, {"layout"}),
    ({"priority": 99}, {"priority"}),
    ({"sourcePolicy": {"mode": 99}}, {"source_policy.mode"}),
    ({"limit": -1}, {"limit"}),
    ({"start": MAY["end"], "end": MAY["start"]}, {"start"}),
    ({"start": MAY["start"], "end": MAY["start"]}, {"start"}),
    ({"start": "0001-01-01T00:00:00Z"}, {"start"}),
    ({"end": "9999-01-01T00:00:00Z"}, {"end"}),
    ({"sourcePolicy": {"providers": ["bloomberg"]}}, {"source_policy.providers[0]"}),
    (
        {"sourcePolicy": ordered("yahoo", "reuters")},
        {"source_policy.providers[1]"},
    ),
    ({"sourcePolicy": {"mode": "MODE_PINNED"}}, {"source_policy.providers"}),
    (
        {
            "sourcePolicy": {
                "mode": "MODE_PINNED",
                "providers": ["yahoo", "alpha_vantage"],
            }
        },
        {"source_policy.providers"},
    ),
    ({"sourcePolicy": {"mode": "MODE_ORDERED"}}, {"source_policy.providers"}),
    (
        {"symbol": "A B", "limit": -1, "interval": 99, "exchange": "NOPE"},
        {"symbol", "limit", "interval"},
    ),
]


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


@pytest.mark.parametrize(("request_", "fields"), WRONG)
async def test_every_wrong_field_is_named_and_no_vendor_is_asked(
    home: House, request_: dict[str, Any], fields: set[str]
) -> None:
    failed = await home.refused(**{"symbol": "MSFT", **MAY, **request_})

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == fields
    assert set(failed.facts["fields"].split(",")) == fields
    assert failed.retry_seconds is None
    assert await home.calls("alpha_vantage") == await home.calls("yahoo") == 0


async def test_nanos_that_are_none_are_named(home: House) -> None:
    request = ingestion_service_pb2.FetchRequest(symbol="MSFT")
    request.start.seconds, request.start.nanos = 1_700_000_000, -5

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await home.stub.Fetch(request)

    assert RefusedError(raised.value).fields == {"start"}


async def test_a_range_that_is_too_long_is_sent_to_fetch_batch(home: House) -> None:
    failed = await home.refused(
        symbol="MSFT",
        interval="INTERVAL_1_MINUTE",
        start="2023-01-01T00:00:00Z",
        end="2024-01-01T00:00:00Z",
    )

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert "FetchBatch" in failed.message
    assert failed.fields
    too_many = await home.refused(symbol="MSFT", limit=50_001)
    assert "FetchBatch" in too_many.message
    assert too_many.fields == {"limit"}


async def test_what_is_not_said_is_a_day_split_rows_regular_and_any(
    home: House,
) -> None:
    answer = await home.fetch(symbol=" msft ")

    assert answer.series.symbol == "MSFT"
    assert answer.series.exchange == "XNYS"
    assert answer.series.time_zone == "America/New_York"
    assert answer.series.interval == bar_pb2.INTERVAL_1_DAY
    assert answer.series.adjustment == bar_pb2.ADJUSTMENT_SPLIT
    assert len(answer.series.bars) == 100
    assert not answer.series.HasField("columns")
    assert served_by(answer) == ["alpha_vantage"]
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert times(answer)[-1] == "2024-06-11T00:00:00Z"
    assert answer.request_id


async def test_start_and_limit_give_the_first_so_many(home: House) -> None:
    all_bars = await home.fetch(symbol="MSFT", **MAY)
    first = await home.fetch(symbol="MSFT", limit=7, **MAY)
    open_ended = await home.fetch(symbol="MSFT", limit=7, start=MAY["start"])
    more = await home.fetch(symbol="MSFT", limit=1_000, **MAY)

    assert times(first) == times(open_ended) == times(all_bars)[:7]
    assert closes(first) == closes(all_bars)[:7]
    assert times(more) == times(all_bars)
    assert len(times(all_bars)) == 22
    assert first.completeness == truth.COMPLETENESS_COMPLETE


async def test_no_start_gives_the_last_so_many(home: House) -> None:
    all_bars = await home.fetch(symbol="MSFT", **MAY)
    last = await home.fetch(symbol="MSFT", limit=7, end=MAY["end"])
    newest = await home.fetch(symbol="MSFT", limit=1)
    default = await home.fetch(symbol="MSFT", end=MAY["end"])

    assert times(last) == times(all_bars)[-7:]
    assert times(newest) == ["2024-06-11T00:00:00Z"]
    assert len(times(default)) == 100
    assert times(default)[-22:] == times(all_bars)


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
@pytest.mark.parametrize(
    ("interval", "limit"),
    [
        ("INTERVAL_1_MINUTE", 800),
        ("INTERVAL_30_MINUTES", 30),
        ("INTERVAL_1_HOUR", 15),
        ("INTERVAL_1_WEEK", 12),
        ("INTERVAL_1_MONTH", 12),
    ],
)
async def test_the_last_so_many_of_every_interval(
    home: House, vendor: str, interval: str, limit: int
) -> None:
    answer = await home.fetch(
        symbol="MSFT", interval=interval, limit=limit, source_policy=pinned(vendor)
    )

    assert len(times(answer)) == limit
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_extended_hours_are_there_if_asked_for_and_only_then(
    home: House, vendor: str
) -> None:
    request = {
        "symbol": "MSFT",
        "interval": "INTERVAL_5_MINUTES",
        "source_policy": pinned(vendor),
        "start": "2024-06-10T00:00:00Z",
        "end": "2024-06-11T00:00:00Z",
    }
    regular = await home.fetch(**request)
    extended = await home.fetch(session="SESSION_EXTENDED", **request)

    assert len(times(regular)) == 78
    assert (times(regular)[0], times(regular)[-1]) == (
        "2024-06-10T13:30:00Z",
        "2024-06-10T19:55:00Z",
    )
    assert set(times(regular)) < set(times(extended))
    assert times(extended)[0] == "2024-06-10T08:00:00Z"
    assert times(extended)[-1] > "2024-06-10T22:00:00Z"
    assert extended.completeness == truth.COMPLETENESS_COMPLETE


async def test_columns_hold_what_rows_hold(home: House) -> None:
    rows = await home.fetch(symbol="MSFT", layout="LAYOUT_ROWS", **MAY)
    answer = await home.fetch(symbol="MSFT", layout="LAYOUT_COLUMNS", **MAY)

    columns, bars = answer.series.columns, rows.series.bars
    assert not answer.series.bars
    assert list(columns.open_time_ns) == [
        bar.open_time.seconds * 1_000_000_000 for bar in bars
    ]
    for field in ("open", "high", "low", "close", "volume", "state"):
        assert list(getattr(columns, field)) == [getattr(bar, field) for bar in bars]


async def test_both_spellings_of_a_class_share_are_understood(home: House) -> None:
    for vendor in ("alpha_vantage", "yahoo"):
        answer = await home.fetch(symbol="brk.b", source_policy=pinned(vendor), **MAY)
        assert answer.series.symbol == "BRK.B"
        assert len(times(answer)) == 22


async def test_an_index_has_no_adjustment(home: House) -> None:
    answer = await home.fetch(symbol="^GSPC", **MAY)

    assert served_by(answer) == ["yahoo"]
    assert answer.series.adjustment == bar_pb2.ADJUSTMENT_RAW
    assert answer.attempts[0].provider == "alpha_vantage"
    assert answer.attempts[0].outcome == truth.ATTEMPT_OUTCOME_SKIPPED
    assert answer.attempts[0].reason.startswith("CAPABILITY_MISSING: ")


async def test_the_callers_id_comes_back_and_a_strange_one_does_not(
    home: House,
) -> None:
    home.metadata = (("x-request-id", "order-7:a.b_c"),)
    assert (await home.fetch(symbol="MSFT", limit=1)).request_id == "order-7:a.b_c"
    for strange in ("two words", "x" * 65, "<script>"):
        home.metadata = (("x-request-id", strange),)
        own = (await home.fetch(symbol="MSFT", limit=1)).request_id
        assert own
        assert own != strange


async def test_the_callers_id_comes_back_with_a_failure(home: House) -> None:
    request = ingestion_service_pb2.FetchRequest(symbol="🚀")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await home.stub.Fetch(request, metadata=(("x-request-id", "abc-1"),))

    assert ("x-request-id", "abc-1") in tuple(raised.value.trailing_metadata() or ())


async def test_more_calls_than_fit_are_refused_at_once(build: Build) -> None:
    async with build(settings={"GRPC__MAX_CONCURRENT_CALLS": "3"}) as home:
        await home.fault("alpha_vantage", "hang", times=3)
        inside = [
            asyncio.create_task(
                home.fetch(symbol=symbol, adjustment="ADJUSTMENT_RAW", **MAY)
            )
            for symbol in ("MSFT", "AAPL", "IBM")
        ]
        await home.until_called("alpha_vantage", 3)

        failed = await home.refused(symbol="MSFT", **MAY)

        assert (failed.code, failed.reason) == (
            Code.RESOURCE_EXHAUSTED,
            "CALLER_THROTTLED",
        )
        assert failed.facts == {"limit": "3"}
        assert failed.retry_seconds
        with pytest.raises(RefusedError) as batch:
            await home.batch(symbols=["MSFT"], **MAY)
        assert batch.value.reason == "CALLER_THROTTLED"
        assert await home.calls("alpha_vantage") == 3
        for task in inside:
            task.cancel()
        await asyncio.wait(inside)
        answer = await home.recovered(symbol="MSFT", **MAY)
        assert len(times(answer)) == 22


async def test_at_the_deadline_the_caller_hears_what_was_tried(quick: House) -> None:
    await quick.fetch(symbol="MSFT", adjustment="ADJUSTMENT_RAW", **MAY)
    await quick.fault("alpha_vantage", "malformed")
    await quick.fault("yahoo", "hang")

    failures = await asyncio.gather(
        *(quick.refused(symbol="MSFT", timeout=1.5, **MAY) for _ in range(20))
    )

    for failed in failures:
        assert (failed.code, failed.reason) == (
            Code.DEADLINE_EXCEEDED,
            "DEADLINE_EXCEEDED",
        )
        # The first to ask see it fail, the others that it rests.
        assert failed.facts["attempts"] in {
            "alpha_vantage FAILED, yahoo pending",
            "alpha_vantage SKIPPED, yahoo pending",
        }
        assert failed.facts["attempts"] in failed.message


async def test_bars_that_came_before_the_deadline_are_not_thrown_away(
    home: House,
) -> None:
    await home.fault("alpha_vantage", "partial")
    await home.fault("yahoo", "hang")

    answer = await home.fetch(symbol="MSFT", timeout=1, **MAY)

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert set(served_by(answer)) == {"alpha_vantage"}
    assert answer.attempts[1].provider == "yahoo"
    assert answer.attempts[1].reason.startswith("DEADLINE_EXCEEDED: ")
    assert "yahoo: DEADLINE_EXCEEDED" in answer.missing[0].reason
