"""What is known is not asked again, and what is not known any more is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provider_service_pb2,
)
from marketdata.ingestion.v1 import provenance_pb2 as truth

from ingestion_server.app.mode import Mode
from tests.port.house import (
    UNMETERED,
    Build,
    House,
    asked,
    attempts,
    closes,
    flags,
    holes,
    ordered,
    pinned,
    served_by,
    times,
)

AV: Final = "alpha_vantage"
IN_SESSION = datetime(2024, 6, 12, 15, 2, tzinfo=UTC)
NEXT_DAY_SECONDS: Final = 24 * 3600
VENDORS = [AV, "yahoo"]
NATIVE = {AV: "ADJUSTMENT_RAW", "yahoo": "ADJUSTMENT_SPLIT"}
Answer = ingestion_service_pb2.FetchResponse


def of(vendor: str, start: str, end: str, **more: Any) -> dict[str, Any]:
    """Return a request that one vendor answers with one call."""
    return {
        "symbol": "MSFT",
        "start": f"{start}T00:00:00Z",
        "end": f"{end}T00:00:00Z",
        "adjustment": NATIVE[vendor],
        "source_policy": pinned(vendor),
        **more,
    }


def cached(answer: Answer) -> list[bool]:
    """Tell of each stretch whether it came from the cache."""
    return [source.from_cache for source in answer.sources]


def by_state(answer: Answer, state: int) -> list[str]:
    """Return the opens of the bars in a state."""
    bars = answer.series.bars
    return [bar.open_time.ToJsonString() for bar in bars if bar.state == state]


async def news(home: House, **what: Any) -> None:
    """Let something be learnt late."""
    url = f"{home.sandbox_url}/control/market"
    async with home.web.post(url, json=what) as reply:
        assert reply.status < 300, await reply.text()


async def use(home: House) -> Any:
    """Return what is kept, by the providers' service."""
    found = await home.providers.ListProviders(
        provider_service_pb2.ListProvidersRequest()
    )
    return found.cache


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_known_is_not_asked_again(build: Build, vendor: str) -> None:
    async with build(settings=UNMETERED) as home:
        first = await home.fetch(**of(vendor, "2024-05-06", "2024-05-11"))
        calls = await home.calls(vendor)
        home.clock.advance(90)
        second = await home.fetch(**of(vendor, "2024-05-06", "2024-05-11"))

        assert await home.calls(vendor) == calls
        assert (await use(home)).hits == 1
    assert second.series == first.series
    assert cached(first) == [False]
    assert cached(second) == [True]
    assert second.sources[0].cache_age.ToSeconds() == pytest.approx(90, abs=2)
    assert second.sources[0].received_at == first.sources[0].received_at
    assert second.completeness == truth.COMPLETENESS_COMPLETE
    assert not second.attempts
    assert second.request_id != first.request_id


async def test_only_missing_intervals_are_asked(build: Build, tmp_path: Path) -> None:
    mode = Mode(sandbox=True, record=tmp_path)
    async with build(settings=UNMETERED, mode=mode) as home:
        await home.fetch(**of("yahoo", "2024-05-06", "2024-05-11"))
        answer = await home.fetch(**of("yahoo", "2024-05-06", "2024-05-25"))

    assert cached(answer) == [True, False]
    assert len(times(answer)) == 15
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    charts = [p for vendor, p in asked(tmp_path) if "period1" in p]
    later = datetime.fromtimestamp(int(charts[-1]["period1"]), UTC)
    # The bars that were known are asked for once more only to see if they are so still.
    assert later >= datetime(2024, 5, 6, tzinfo=UTC)
    assert len(charts) == 2


async def test_a_part_of_what_is_known_is_known(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        whole = await home.fetch(**of("yahoo", "2024-05-01", "2024-06-01"))
        calls = await home.calls("yahoo")
        part = await home.fetch(**of("yahoo", "2024-05-13", "2024-05-18"))

        assert await home.calls("yahoo") == calls
    assert len(times(part)) == 5
    assert set(closes(part)) < set(closes(whole))


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_bar_that_forms_is_known_for_a_moment_only(
    build: Build, vendor: str
) -> None:
    request = {
        "symbol": "MSFT",
        "limit": 5,
        "adjustment": NATIVE[vendor],
        "source_policy": pinned(vendor),
        "interval": "INTERVAL_5_MINUTES",
    }
    async with build(settings=UNMETERED, start=IN_SESSION) as home:
        await home.fetch(**request)
        calls = await home.calls(vendor)
        at_once = await home.fetch(**request)
        assert await home.calls(vendor) == calls
        home.clock.advance(6)
        later = await home.fetch(**request)

        assert await home.calls(vendor) == calls + 1
    assert cached(at_once) == [True]
    assert by_state(at_once, bar_pb2.BAR_STATE_PARTIAL)
    assert cached(later)[-1] is False
    assert times(later) == times(at_once)


async def test_who_wants_nothing_old_is_asked_for_each_time(build: Build) -> None:
    policy = {**pinned("yahoo"), "max_staleness": "0s"}
    request = {"symbol": "MSFT", "limit": 5, "source_policy": policy}
    async with build(settings=UNMETERED, start=IN_SESSION) as home:
        await home.fetch(**request)
        calls = await home.calls("yahoo")
        await home.fetch(**request)

        assert await home.calls("yahoo") == calls + 1


async def test_final_bars_are_served_when_all_vendors_are_down(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        await home.fetch(**of("yahoo", "2024-05-06", "2024-05-11"))
        await home.fault("yahoo", "status_500")
        answer = await home.fetch(**of("yahoo", "2024-05-06", "2024-05-11"))

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert len(times(answer)) == 5


async def test_what_forms_is_missing_when_nobody_can_be_asked(build: Build) -> None:
    request = {"symbol": "MSFT", "limit": 5, "source_policy": pinned("yahoo")}
    async with build(settings=UNMETERED, start=IN_SESSION) as home:
        await home.fetch(**request)
        await home.fault("yahoo", "status_500")
        home.clock.advance(60)
        answer = await home.fetch(**request)
        strict = {**pinned("yahoo"), "allow_partial": False}
        failed = await home.refused(**request | {"source_policy": strict})

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert [start for start, _ in holes(answer)] == ["2024-06-12T00:00:00Z"]
    assert failed.code is Code.UNAVAILABLE
    assert set(cached(answer)) == {True}


@pytest.mark.parametrize(("allowed", "served"), [("120s", True), ("30s", False)])
async def test_what_is_stale_is_served_only_if_allowed_and_says_so(
    build: Build, allowed: str, *, served: bool
) -> None:
    policy = {**pinned("yahoo"), "max_staleness": allowed}
    request = {"symbol": "MSFT", "limit": 5, "source_policy": policy}
    async with build(settings=UNMETERED, start=IN_SESSION) as home:
        fresh = await home.fetch(**request)
        await home.fault("yahoo", "status_500")
        home.clock.advance(60)
        answer = await home.fetch(**request)
        stale = (await use(home)).stale

    if served:
        assert answer.completeness == truth.COMPLETENESS_DEGRADED
        assert flags(answer, truth.QUALITY_FLAG_KIND_STALE) == [""]
        assert closes(answer) == closes(fresh)
        assert attempts(answer)[0][0] == "yahoo"
        assert stale == 1
    else:
        assert answer.completeness == truth.COMPLETENESS_PARTIAL
        assert not flags(answer, truth.QUALITY_FLAG_KIND_STALE)


async def test_an_unknown_symbol_is_asked_for_once_a_minute(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        await home.refused(symbol="NOSUCH")
        calls = [await home.calls(vendor) for vendor in VENDORS]
        again = await home.refused(symbol="NOSUCH")
        assert [await home.calls(vendor) for vendor in VENDORS] == calls
        home.clock.advance(61)
        await home.refused(symbol="NOSUCH")

        assert [await home.calls(vendor) for vendor in VENDORS] > calls
        assert (await use(home)).negative_hits == len(VENDORS)
    assert (again.code, again.reason) == (Code.NOT_FOUND, "SYMBOL_UNKNOWN")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_late_correction_is_revised(build: Build, vendor: str) -> None:
    async with build(settings=UNMETERED) as home:
        await home.fetch(**of(vendor, "2024-06-03", "2024-06-12"))
        await news(
            home, news="correction", symbol="MSFT", date="2024-06-11", close=500.25
        )
        home.clock.advance(NEXT_DAY_SECONDS)
        answer = await home.fetch(**of(vendor, "2024-06-03", "2024-06-14"))
        calls = await home.calls(vendor)
        again = await home.fetch(**of(vendor, "2024-06-03", "2024-06-12"))

        assert await home.calls(vendor) == calls
        assert (await use(home)).revised == 1
    for each in (answer, again):
        assert by_state(each, bar_pb2.BAR_STATE_REVISED) == ["2024-06-11T00:00:00Z"]
        corrected = times(each).index("2024-06-11T00:00:00Z")
        assert closes(each)[corrected] == pytest.approx(500.25)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_split_drops_the_prices_that_it_changes(
    build: Build, vendor: str
) -> None:
    request = of(vendor, "2024-05-06", "2024-05-11", adjustment="ADJUSTMENT_SPLIT")
    async with build(settings=UNMETERED) as home:
        before = await home.fetch(**request)
        await news(home, news="split", symbol="MSFT", date="2024-06-13", ratio=4)
        home.clock.advance(2 * NEXT_DAY_SECONDS)
        after = await home.fetch(**request)

        assert (await use(home)).rebased == 1
    assert closes(after) == pytest.approx([close / 4 for close in closes(before)])
    assert cached(after) == [False]


async def test_adjusted_prices_are_verified_once_a_day(build: Build) -> None:
    request = of("yahoo", "2024-05-01", "2024-06-01", symbol="IBM")
    async with build(settings=UNMETERED) as home:
        before = await home.fetch(**request)
        calls = await home.calls("yahoo")
        home.clock.advance(NEXT_DAY_SECONDS)
        after = await home.fetch(**request)
        assert await home.calls("yahoo") == calls + 1
        again = await home.fetch(**request)

        assert await home.calls("yahoo") == calls + 1
    assert closes(before) == closes(after) == closes(again)
    assert True in cached(after)


async def test_prices_as_traded_need_no_verification(build: Build) -> None:
    request = of(AV, "2024-05-06", "2024-05-11")
    async with build(settings=UNMETERED) as home:
        await home.fetch(**request)
        calls = await home.calls(AV)
        home.clock.advance(NEXT_DAY_SECONDS)
        await home.fetch(**request)

        assert await home.calls(AV) == calls


async def test_what_is_known_survives_a_restart(build: Build, tmp_path: Path) -> None:
    settings = {**UNMETERED, "STATE__FOLDER": str(tmp_path)}
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=settings) as home:
        before = await home.fetch(**request)
    async with build(settings=settings) as home:
        after = await home.fetch(**request)

        assert await home.calls("yahoo") == 0
    assert after.series == before.series
    assert cached(after) == [True]


async def test_it_can_be_switched_off(build: Build) -> None:
    settings = {**UNMETERED, "CACHE__ENABLED": "false"}
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=settings) as home:
        await home.fetch(**request)
        calls = await home.calls("yahoo")
        answer = await home.fetch(**request)

        assert await home.calls("yahoo") == 2 * calls
        assert not (await use(home)).enabled
    assert cached(answer) == [False]


async def test_the_callers_order_is_obeyed_whatever_is_known(build: Build) -> None:
    request = of(AV, "2024-05-06", "2024-05-11", adjustment="ADJUSTMENT_SPLIT")
    async with build(settings=UNMETERED) as home:
        await home.fetch(**request)
        policy = ordered("yahoo", AV)
        answer = await home.fetch(**request | {"source_policy": policy})

        assert await home.calls("yahoo") > 0
    assert served_by(answer) == ["yahoo"]


async def test_nothing_of_a_vendor_that_is_switched_off_is_served(
    build: Build,
) -> None:
    request = of("yahoo", "2024-05-06", "2024-05-11", source_policy={})
    async with build(settings=UNMETERED) as home:
        await home.fetch(**request | {"source_policy": pinned("yahoo")})
        await home.providers.UpdateProvider(
            provider_service_pb2.UpdateProviderRequest(name="yahoo", enabled=False)
        )
        answer = await home.fetch(**request)

    assert served_by(answer) == [AV]


async def test_what_one_vendor_lacks_is_not_asked_of_it_again_at_once(
    build: Build,
) -> None:
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=UNMETERED) as home:
        await home.fault("yahoo", "partial", fraction=0.6)
        first = await home.fetch(**request)
        calls = await home.calls("yahoo")
        second = await home.fetch(**request)
        assert await home.calls("yahoo") == calls
        await home.mend("yahoo")
        home.clock.advance(61)
        third = await home.fetch(**request)

    assert first.completeness == second.completeness == truth.COMPLETENESS_PARTIAL
    assert holes(second) == holes(first)
    assert "yahoo" in second.missing[0].reason
    assert third.completeness == truth.COMPLETENESS_COMPLETE


async def test_a_hundred_equal_questions_are_one_call(build: Build) -> None:
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=UNMETERED) as home:
        await home.fault("yahoo", "latency", seconds=0.2)
        answers = await asyncio.gather(*(home.fetch(**request) for _ in range(100)))

        assert await home.calls("yahoo") == 1
    assert {tuple(closes(each)) for each in answers} == {tuple(closes(answers[0]))}
    assert sum(each.attempts[0].calls for each in answers) == 1
    assert sum(each.attempts[0].shared for each in answers) == 99


@pytest.mark.parametrize("cache", ["true", "false"])
async def test_overlapping_questions_share_what_they_have_in_common(
    build: Build, tmp_path: Path, cache: str
) -> None:
    settings = {**UNMETERED, "CACHE__ENABLED": cache}
    mode = Mode(sandbox=True, record=tmp_path)
    async with build(settings=settings, mode=mode) as home:
        await home.fault("yahoo", "latency", seconds=0.3, times=1)
        first = asyncio.create_task(
            home.fetch(**of("yahoo", "2024-05-06", "2024-05-18"))
        )
        await home.until_called("yahoo")
        second = await home.fetch(**of("yahoo", "2024-05-13", "2024-05-25"))
        await first

    charts = [p for _, p in asked(tmp_path) if "period1" in p]
    assert len(charts) == 2
    assert len(times(second)) == 10
    assert second.completeness == truth.COMPLETENESS_COMPLETE


async def test_cancelling_who_asked_first_does_not_cancel_the_others(
    build: Build,
) -> None:
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=UNMETERED) as home:
        await home.fault("yahoo", "latency", seconds=0.3, times=1)
        leader = asyncio.create_task(home.fetch(**request))
        await home.until_called("yahoo")
        followers = [asyncio.create_task(home.fetch(**request)) for _ in range(5)]
        for _ in range(5):
            # Once what was asked after them is answered, they are on their way too.
            await use(home)
        leader.cancel()
        answers = await asyncio.gather(*followers)

        assert await home.calls("yahoo") == 1
    assert all(len(times(each)) == 5 for each in answers)


async def test_whose_time_is_over_does_not_end_that_of_others(build: Build) -> None:
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=UNMETERED) as home:
        await home.fault("yahoo", "latency", seconds=0.5)
        hasty = asyncio.create_task(home.refused(**request, timeout=0.2))
        await home.until_called("yahoo")
        answer = await home.fetch(**request)
        assert (await hasty).code is Code.DEADLINE_EXCEEDED

    assert len(times(answer)) == 5


async def test_what_it_is_worth_is_told(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        assert not (await use(home)).HasField("hit_ratio")
        await home.fetch(**of("yahoo", "2024-05-06", "2024-05-11"))
        await home.fetch(**of("yahoo", "2024-05-06", "2024-05-11"))
        await home.fetch(**of("yahoo", "2024-05-06", "2024-05-18"))
        found = await use(home)

    assert (found.misses, found.hits, found.partial_hits) == (1, 1, 1)
    assert found.hit_ratio == pytest.approx(1 / 3)
    assert (found.series, found.bars) == (1, 10)
    assert 0 < found.bytes < found.limit_bytes


async def test_answers_kept_as_they_were_sent_are_in_the_bytes_told(
    build: Build,
) -> None:
    request = of("yahoo", "2024-05-06", "2024-05-11")
    async with build(settings=UNMETERED) as home:
        await home.fetch(**request)
        bars = (await use(home)).bytes
        await home.fetch(**request)

        assert (await use(home)).bytes > bars


@pytest.mark.parametrize(
    ("symbol", "interval", "start", "minutes"),
    [("MSFT", "INTERVAL_1_MINUTE", "2024-06-12T13:30:00Z", 12)],
)
async def test_what_lies_before_a_question_about_now_is_not_final_too_early(
    build: Build, symbol: str, interval: str, start: str, minutes: int
) -> None:
    request = {
        "symbol": symbol,
        "interval": interval,
        "source_policy": pinned("yahoo"),
    }
    async with build(settings=UNMETERED, start=IN_SESSION) as home:
        await home.fetch(**request, start=start)
        home.clock.advance(60 * minutes)
        # It asks for more than it needs, to see if what is known is so still.
        await home.fetch(**request, limit=1)
        answer = await home.fetch(**request, start=start)

    settled = IN_SESSION.timestamp() + 60 * minutes - 15 * 60
    early = [
        bar.open_time.ToJsonString()
        for bar in answer.series.bars
        if bar.open_time.seconds + 60 > settled + 5
        and bar.state == bar_pb2.BAR_STATE_FINAL
    ]
    assert not early
