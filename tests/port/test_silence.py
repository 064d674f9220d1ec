"""Who is silent holds up one question, and not all that come after it."""

from __future__ import annotations

import asyncio
import time

from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import UNMETERED, Build, anew, served_by, until

AV = "alpha_vantage"
RAW = {"symbol": "MSFT", "limit": 5, "adjustment": "ADJUSTMENT_RAW"}
"""What Alpha Vantage is asked for first."""
PATIENT = {**UNMETERED, "RETRY__ATTEMPTS": "1", "HEDGE__SHARE": "0"}
"""Nobody is asked early, so that the next one is asked after a second and a half."""
PATIENCE_SECONDS = 1.5
OVERTAKEN = truth.ATTEMPT_OUTCOME_OVERTAKEN


async def test_who_fails_in_place_of_a_silent_one_is_followed_at_once(
    build: Build,
) -> None:
    async with build(settings=PATIENT) as home:
        await home.fault(AV, "hang")
        await home.fault("yahoo", "status_500")

        answer = await home.fetch(**RAW)

    assert served_by(answer) == ["finnhub"]
    assert len(answer.series.bars) == 5
    (lost,) = [each for each in answer.attempts if each.provider == AV]
    assert lost.outcome == OVERTAKEN
    assert lost.latency.ToTimedelta().total_seconds() < 2 * PATIENCE_SECONDS - 0.3


async def test_who_joins_a_silent_call_has_waited_for_as_long_as_it(
    build: Build,
) -> None:
    async with build(settings=PATIENT) as home:
        await home.fault(AV, "hang")
        first = asyncio.create_task(home.fetch(**RAW))
        await home.until_called(AV)
        home.clock.advance(PATIENCE_SECONDS - 0.4)
        started = time.monotonic()

        second = await home.fetch(**RAW)

        assert time.monotonic() - started < PATIENCE_SECONDS - 0.3
        assert await home.calls(AV) == 1
        assert served_by(await first) == ["yahoo"]
    assert served_by(second) == ["yahoo"]
    assert [a.outcome for a in second.attempts if a.provider == AV] == [OVERTAKEN]


async def test_nobody_is_caught_in_a_call_that_has_been_silent_for_too_long(
    build: Build,
) -> None:
    async with build(settings=PATIENT) as home:
        await home.fault(AV, "hang", times=1)
        first = asyncio.create_task(home.fetch(**RAW))
        await home.until_called(AV)
        home.clock.advance(PATIENCE_SECONDS + 0.1)
        started = time.monotonic()

        second = await home.fetch(**RAW)

        assert time.monotonic() - started < 1
        assert await home.calls(AV) == 2
        first.cancel()
        await asyncio.wait([first])
    assert served_by(second) == [AV]


async def test_a_call_that_nobody_waits_for_gives_its_connection_back(
    build: Build,
) -> None:
    async with build(settings=PATIENT) as home:
        for _ in range(8):
            assert served_by(await home.fetch(**anew(RAW))) == [AV]
        await home.fault(AV, "hang", times=1)
        started = time.monotonic()
        answer = await home.fetch(**anew(RAW))
        assert served_by(answer) == ["yahoo"]

        async def ended() -> bool:
            return not {t.get_name() for t in asyncio.all_tasks()} & {"flight"}

        await until(ended)

        # Its own time-out would be ten seconds.
        assert time.monotonic() - started < 5
