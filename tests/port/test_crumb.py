"""Yahoo wants to be greeted: once, by one for all."""

from __future__ import annotations

import asyncio

import pytest
from grpc import StatusCode as Code

from tests.port.house import House, anew, pinned, served_by, until

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
REQUEST = {"symbol": "MSFT", "source_policy": pinned("yahoo"), **MAY}


async def paths(home: House) -> dict[str, int]:
    """Return how often each page of Yahoo was called."""
    return dict((await home.stats("yahoo"))["by_path"])


async def test_a_crumb_that_is_wanted_is_fetched(quick: House) -> None:
    await quick.fault("yahoo", "crumb_required")

    answer = await quick.fetch(**REQUEST)

    assert served_by(answer) == ["yahoo"]
    assert len(answer.series.bars) == 22
    found = await paths(quick)
    assert found["/v1/test/getcrumb"] == 1
    assert found["/v8/finance/chart"] == 2
    assert answer.attempts[0].calls == sum(found.values())

    await quick.fetch(**anew(REQUEST))
    found = await paths(quick)
    assert found["/v1/test/getcrumb"] == 1
    assert found["/v8/finance/chart"] == 3


async def test_a_consent_that_is_wanted_is_given(quick: House) -> None:
    await quick.fault("yahoo", "crumb_required")
    await quick.fault("yahoo", "consent_required")

    answer = await quick.fetch(**REQUEST)

    assert served_by(answer) == ["yahoo"]
    found = await paths(quick)
    assert found["/v2/collectConsent"] >= 1
    assert found["/v1/test/getcrumb"] == 1


@pytest.mark.parametrize("consent", [False, True])
async def test_one_greets_for_all(quick: House, *, consent: bool) -> None:
    await quick.fault("yahoo", "crumb_required")
    if consent:
        await quick.fault("yahoo", "consent_required")

    answers = await asyncio.gather(*(quick.fetch(**anew(REQUEST)) for _ in range(10)))

    assert all(served_by(answer) == ["yahoo"] for answer in answers)
    found = await paths(quick)
    assert found["/v1/test/getcrumb"] == 1
    assert found["/"] == 1
    assert found["/v8/finance/chart"] <= 20


async def test_a_caller_that_leaves_while_greeting_does_not_lock_out_the_others(
    quick: House,
) -> None:
    await quick.fault("yahoo", "crumb_required")
    await quick.fault("yahoo", "latency", seconds=0.2)
    leader = asyncio.create_task(quick.fetch(**REQUEST))

    async def greeting() -> bool:
        return "/" in await paths(quick)

    await until(greeting)
    follower = asyncio.create_task(quick.fetch(**anew(REQUEST)))
    leader.cancel()

    assert served_by(await follower) == ["yahoo"]
    await asyncio.wait([leader])


async def test_a_greeting_that_fails_is_told(quick: House) -> None:
    await quick.fault("yahoo", "crumb_required")
    await quick.fault("yahoo", "status_500")

    failed = await quick.refused(**REQUEST)

    assert failed.code is Code.UNAVAILABLE
    assert failed.reason == "PINNED_PROVIDER_FAILED"


async def test_a_crumb_appears_in_no_answer(quick: House) -> None:
    await quick.fault("yahoo", "crumb_required")
    await quick.fault("yahoo", "partial")

    answer = await quick.fetch(**REQUEST)

    assert "crumb=" not in str(answer)
    assert "A3=" not in str(answer)
