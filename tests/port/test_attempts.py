"""Every attempt is in the answer."""

from __future__ import annotations

from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import UNMETERED, Build, House, served_by
from tests.port.roster import AV, SPLIT, YAHOO, broken

SETTINGS = {**UNMETERED, "CACHE__ENABLED": "false"}
TRIES = 3


async def told(home: House) -> list[tuple[str, int, int]]:
    """Fetch, and return each attempt's vendor, outcome and calls."""
    answer = await home.fetch(**SPLIT)
    return [(each.provider, each.outcome, each.calls) for each in answer.attempts]


async def test_an_answer_tells_who_failed_how_often_and_why_before_it(
    build: Build,
) -> None:
    async with build(settings=SETTINGS) as home:
        await home.fault(AV, "status_500")

        answer = await home.fetch(**SPLIT)

        failed, served = answer.attempts
        assert served_by(answer) == [YAHOO]
        assert (failed.provider, failed.outcome) == (AV, truth.ATTEMPT_OUTCOME_FAILED)
        assert failed.calls == await home.calls(AV) == TRIES
        assert "500" in failed.reason
        assert failed.latency.ToTimedelta().total_seconds() > 0
        assert (served.provider, served.outcome) == (
            YAHOO,
            truth.ATTEMPT_OUTCOME_SERVED,
        )
        assert served.calls == await home.calls(YAHOO)


async def test_an_answer_tells_who_was_passed_over_and_why(build: Build) -> None:
    async with build(settings={**SETTINGS, "RETRY__ATTEMPTS": "1"}) as home:
        await broken(home, AV)

        answer = await home.fetch(**SPLIT)

        passed, served = answer.attempts
        assert (passed.provider, passed.outcome, passed.calls) == (
            AV,
            truth.ATTEMPT_OUTCOME_SKIPPED,
            0,
        )
        assert "rests for another" in passed.reason
        assert served.provider == YAHOO


async def test_an_answer_tells_who_had_nothing(build: Build) -> None:
    async with build(settings=SETTINGS) as home:
        await home.fault(AV, "empty")

        (nothing, served) = await told(home)

        assert nothing[:2] == (AV, truth.ATTEMPT_OUTCOME_NO_DATA)
        assert served == (YAHOO, truth.ATTEMPT_OUTCOME_SERVED, 1)
