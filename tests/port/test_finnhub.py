"""Finnhub through the port: what a key may have, what it may not, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import provenance_pb2 as truth
from marketdata.ingestion.v1 import quota_pb2

from ingestion_server.app.mode import Mode
from tests.port.house import Build, House, anew, closes, pinned, served_by, times
from tests.port.roster import route

PINNED = {"source_policy": pinned("finnhub")}
MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
FREE = {"SANDBOX__FINNHUB_PLAN": "free"}
FIRST = {"PROVIDERS__ORDER": "finnhub,yahoo,alpha_vantage"}
KINDS = [
    ("MSFT", "INTERVAL_1_DAY"),
    ("MSFT", "INTERVAL_1_WEEK"),
    ("MSFT", "INTERVAL_1_MONTH"),
    ("MSFT", "INTERVAL_1_HOUR"),
    ("MSFT", "INTERVAL_5_MINUTES"),
    ("EUR/USD", "INTERVAL_1_DAY"),
    ("EUR/USD", "INTERVAL_1_HOUR"),
    ("BTC/USD", "INTERVAL_1_DAY"),
    ("BTC/USD", "INTERVAL_1_HOUR"),
]


async def test_a_refusal_of_what_bars_are_adjusted_by_is_remembered_too(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        request = {"symbol": "MSFT", "interval": "INTERVAL_5_MINUTES", **PINNED, **MAY}

        failed = [await home.refused(**anew(request)) for _ in range(3)]

        assert {each.reason for each in failed} == {"ENTITLEMENT_MISSING"}
        assert {each.facts["feature"] for each in failed} == {"stock/split"}
        assert await home.calls("finnhub") == 1


@pytest.mark.parametrize(("symbol", "interval"), KINDS)
async def test_a_premium_key_gets_the_bars_that_others_have_too(
    home: House, symbol: str, interval: str
) -> None:
    request = {"symbol": symbol, "interval": interval, **MAY}

    ours = await home.fetch(**request, **PINNED)
    theirs = await home.fetch(**request, source_policy=pinned("yahoo"))

    assert served_by(ours) == ["finnhub"]
    assert ours.completeness == truth.COMPLETENESS_COMPLETE
    assert times(ours) == times(theirs)
    assert closes(ours) == pytest.approx(closes(theirs), rel=1e-6)


@pytest.mark.parametrize(
    "adjustment", ["ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT", "ADJUSTMENT_SPLIT_DIVIDEND"]
)
@pytest.mark.parametrize("interval", ["INTERVAL_1_DAY", "INTERVAL_15_MINUTES"])
async def test_every_adjustment_agrees_with_that_of_another_vendor(
    home: House, interval: str, adjustment: str
) -> None:
    request = {
        "symbol": "AAPL",
        "interval": interval,
        "adjustment": adjustment,
        "start": "2024-05-01T00:00:00Z",
        "end": "2024-05-15T00:00:00Z",
    }

    ours = await home.fetch(**request, **PINNED)
    theirs = await home.fetch(**request, source_policy=pinned("alpha_vantage"))

    assert times(ours) == times(theirs)
    assert closes(ours) == pytest.approx(closes(theirs), rel=1e-5)


async def test_a_free_key_has_no_bars_and_that_is_said(build: Build) -> None:
    async with build(settings=FREE) as home:
        failed = await home.refused(symbol="MSFT", **PINNED, **MAY)

    assert (failed.code, failed.reason) == (
        Code.FAILED_PRECONDITION,
        "ENTITLEMENT_MISSING",
    )
    assert failed.facts["feature"] == "stock/candle"


async def test_after_a_refusal_the_next_vendor_is_asked_and_the_attempt_shown(
    build: Build,
) -> None:
    async with build(settings=FREE | FIRST) as home:
        answer = await home.fetch(symbol="MSFT", **MAY)

    assert served_by(answer) == ["yahoo"]
    assert [
        (
            attempt.provider,
            attempt.outcome,
            attempt.reason.partition(":")[0],
            attempt.calls,
        )
        for attempt in answer.attempts
    ] == [
        ("finnhub", truth.ATTEMPT_OUTCOME_FAILED, "ENTITLEMENT_MISSING", 1),
        ("yahoo", truth.ATTEMPT_OUTCOME_SERVED, "", 1),
    ]


async def test_where_nobody_chose_otherwise_it_is_asked_last(home: House) -> None:
    told = await route(home, symbol="MSFT", **MAY)

    assert [(each.provider, each.excluded_reason) for each in told] == [
        *(("alpha_vantage", ""), ("yahoo", ""), ("finnhub", ""))
    ]
    assert told[2].why == "asked next: priority 30"


async def test_a_refusal_is_remembered_for_a_day_and_costs_no_more_calls(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        request = {"symbol": "MSFT", **MAY, **PINNED}
        for _ in range(3):
            await home.refused(**anew(request))
        assert await home.calls("finnhub") == 1
        home.clock.advance(86_400)
        await home.refused(**anew(request))
        assert await home.calls("finnhub") == 2


async def test_that_it_has_no_data_does_not_say_that_nobody_has_heard_of_it(
    home: House,
) -> None:
    nobody = {"symbol": "NONSUCH", **MAY}

    alone = await home.refused(**nobody, **PINNED)
    by_all = await home.refused(
        **nobody,
        source_policy={"mode": "MODE_ORDERED", "providers": ["finnhub", "yahoo"]},
    )

    assert (alone.code, alone.reason) == (Code.UNAVAILABLE, "NO_DATA_UNEXPLAINED")
    assert by_all.reason == "SYMBOL_UNKNOWN"


async def test_what_is_left_of_the_minute_is_told_by_its_headers(home: House) -> None:
    await home.fault(
        "finnhub",
        "headers",
        headers={
            "X-Ratelimit-Limit": "200",
            "X-Ratelimit-Remaining": "150",
            "X-Ratelimit-Reset": str(int(home.clock.now().timestamp()) + 30),
        },
    )

    await home.fetch(symbol="MSFT", **PINNED, **MAY)

    window = await home.window("finnhub", "minute")
    assert (window.limit, window.remaining) == (200, 150)
    assert window.source == quota_pb2.QUOTA_SOURCE_HEADER


async def test_a_refusal_for_too_many_calls_is_obeyed(home: House) -> None:
    await home.fault("finnhub", "status_429", times=1, retry_after=30)

    failed = await home.refused(symbol="MSFT", **PINNED, **MAY)
    again = await home.refused(**anew({"symbol": "MSFT", **PINNED, **MAY}))
    calls = await home.calls("finnhub")
    home.clock.advance(61)
    answer = await home.fetch(symbol="MSFT", **PINNED, **MAY)

    assert failed.reason == again.reason == "QUOTA_EXHAUSTED"
    assert 29 < (failed.retry_seconds or 0) <= 31
    assert calls == 1
    assert served_by(answer) == ["finnhub"]


async def test_the_end_of_the_minute_is_heard_before_another_call_is_wasted(
    build: Build,
) -> None:
    async with build(settings={"SANDBOX__FINNHUB_PLAN": "2per20s"}) as home:
        request = {"symbol": "MSFT", **PINNED, **MAY}
        for _ in range(2):
            await home.fetch(**anew(request))

        failed = await home.refused(**anew(request))

        assert failed.reason == "QUOTA_EXHAUSTED"
        assert await home.calls("finnhub") == 2


async def test_a_free_key_gets_quotes(build: Build) -> None:
    async with build(settings=FREE) as home:
        answer = await home.quotes("MSFT", source_policy=pinned("finnhub"))

    (result,) = answer.results
    assert result.provider == "finnhub"
    assert result.trade.price > 0
    assert result.previous_close > 0
    assert not result.HasField("quote")


async def test_of_a_symbol_that_it_does_not_know_it_has_no_quote(home: House) -> None:
    answer = await home.quotes("NONSUCH", source_policy=pinned("finnhub"))

    (result,) = answer.results
    assert result.failure.reason == "SYMBOL_UNKNOWN"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("status_500", (Code.UNAVAILABLE, "PINNED_PROVIDER_FAILED")),
        ("html", (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")),
        ("malformed", (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")),
        ("truncated", (Code.UNAVAILABLE, "MALFORMED_PAYLOAD")),
        ("empty", (Code.UNAVAILABLE, "NO_DATA_UNEXPLAINED")),
        ("premium", (Code.FAILED_PRECONDITION, "ENTITLEMENT_MISSING")),
        ("error_key", (Code.FAILED_PRECONDITION, "CREDENTIALS_REFUSED")),
    ],
)
async def test_each_fault_is_told_as_what_it_is(
    home: House, fault: str, expected: tuple[Code, str]
) -> None:
    await home.fault("finnhub", fault)

    failed = await home.refused(symbol="MSFT", **PINNED, **MAY)

    assert (failed.code, failed.reason) == expected


async def test_the_keys_are_in_no_recording(build: Build, tmp_path: Path) -> None:
    keys = {
        "PROVIDERS__FINNHUB__API_KEY": "f1nnhub-s3cret",
        "PROVIDERS__ALPHA_VANTAGE__API_KEY": "4lpha-s3cret",
    }
    mode = Mode(sandbox=True, record=tmp_path)
    async with build(settings=keys, mode=mode) as home:
        for vendor in ("finnhub", "alpha_vantage"):
            # A vendor may repeat any key to us, in a body or in a header.
            await home.fault(
                vendor, "headers", headers={"X-Keys": ",".join(keys.values())}
            )
            await home.fetch(symbol="MSFT", source_policy=pinned(vendor), **MAY)

    kept = recorded(tmp_path)
    assert any(b"X-Keys" in each or b"x-keys" in each for each in kept)
    assert not any(b"s3cret" in each for each in kept)


async def test_bodies_in_brotli_are_read_and_kept_in_the_clear(
    build: Build, tmp_path: Path
) -> None:
    async with build(mode=Mode(sandbox=True, record=tmp_path)) as home:
        answer = await home.fetch(symbol="MSFT", **PINNED, **MAY)

    assert len(answer.series.bars) == 22
    kept = recorded(tmp_path)
    assert any(b'"content-encoding": "br"' in each.lower() for each in kept)
    assert any(b'"s":"ok"' in each for each in kept)


def recorded(folder: Path) -> list[bytes]:
    """Return all files that were recorded."""
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
