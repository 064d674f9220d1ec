"""Listeners hear how each call ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from ingestion_server.policies.deadline import late
from ingestion_server.policies.tell import Tell
from ingestion_server.ports.hooks import CallDetails
from tests.clocks import ManualClock
from tests.policies.fakes import (
    RESPONSE,
    Hanging,
    Listener,
    Vendor,
    busy,
    call,
    unavailable,
)


async def test_a_good_call_is_told_with_its_time_and_no_symbol(
    clock: ManualClock,
) -> None:
    listener, vendor = Listener(), Hanging()
    tell = Tell([listener], clock, kind="bars:equity")
    task = asyncio.ensure_future(tell(call(), vendor))
    await clock.advance(1.5)

    vendor.ends.set_exception(unavailable())
    await asyncio.wait((task,))

    assert isinstance(task.exception(), Exception)
    assert listener.heard == [
        CallDetails(
            provider="acme",
            feature="DAILY",
            seconds=1.5,
            outcome="ALL_PROVIDERS_FAILED",
            detail="acme answered HTTP 503",
            kind="bars:equity",
            vendor_failed=True,
        )
    ]


@pytest.mark.parametrize(
    ("act", "outcome"),
    [(None, "ok"), (busy(), "QUOTA_EXHAUSTED"), (ValueError("bug"), "INTERNAL")],
)
async def test_an_outcome_is_ok_or_a_reason(
    clock: ManualClock, act: Exception | None, outcome: str
) -> None:
    listener = Listener()

    task = asyncio.ensure_future(Tell([listener], clock)(call(), Vendor(act)))
    await asyncio.wait((task,))

    assert task.exception() is act
    assert [details.outcome for details in listener.heard] == [outcome]
    assert "NVDA" not in str(listener.heard)


@pytest.mark.parametrize(
    ("act", "blamed"),
    [
        (None, False),
        (busy(), False),
        (unavailable(), True),
        (late(call()), False),
        (ValueError("bug"), False),
    ],
)
async def test_the_vendor_is_blamed_for_what_the_breaker_blames_it_for(
    *, clock: ManualClock, act: Exception | None, blamed: bool
) -> None:
    listener = Listener()

    task = asyncio.ensure_future(Tell([listener], clock)(call(), Vendor(act)))
    await asyncio.wait((task,))

    assert task.exception() is act
    assert [details.vendor_failed for details in listener.heard] == [blamed]


async def test_silence_for_a_fair_time_is_the_vendors_though_the_caller_left(
    clock: ManualClock,
) -> None:
    listener, error = Listener(), late(call())
    error.__cause__ = unavailable()

    task = asyncio.ensure_future(Tell([listener], clock)(call(), Vendor(error)))
    await asyncio.wait((task,))

    assert task.exception() is error
    assert [details.vendor_failed for details in listener.heard] == [True]


async def test_a_cancelled_call_is_told_as_such(clock: ManualClock) -> None:
    listener = Listener()
    task = asyncio.ensure_future(Tell([listener], clock)(call(), Hanging()))
    await clock.advance(1.0)

    task.cancel()
    await clock.advance(0.0)

    assert task.cancelled()
    assert [details.outcome for details in listener.heard] == ["CANCELLED"]


async def test_a_listener_that_fails_harms_nobody(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()

    def broken(details: CallDetails) -> None:
        raise RuntimeError(details.provider)

    with caplog.at_level(logging.ERROR):
        await Tell([broken, listener], clock)(call(), Vendor())

    assert len(listener.heard) == 1
    assert "a listener to calls failed" in caplog.text


class Leaving:
    """Count the calls that are out."""

    def __init__(self) -> None:
        self.out: list[tuple[str, str]] = []

    def __call__(self, provider: str, kind: str) -> Callable[[], None]:
        self.out.append((provider, kind))
        return lambda: self.out.remove((provider, kind))


async def test_who_hears_of_leaving_hears_of_it_before_the_call_ends(
    clock: ManualClock,
) -> None:
    leaving, vendor = Leaving(), Hanging()
    tell = Tell([], clock, kind="bars:equity", leaving=[leaving])
    task = asyncio.ensure_future(tell(call(), vendor))
    await clock.advance(1.0)
    assert leaving.out == [("acme", "bars:equity")]

    vendor.ends.set_result(RESPONSE)
    await task

    assert leaving.out == []


@pytest.mark.parametrize("act", [unavailable(), ValueError("bug"), SystemExit()])
async def test_no_way_to_end_leaves_a_call_out(
    clock: ManualClock, act: BaseException
) -> None:
    leaving = Leaving()

    with pytest.raises(type(act)):
        await Tell([], clock, leaving=[leaving])(call(), Vendor(act))

    assert leaving.out == []


async def test_a_call_that_is_cancelled_is_no_longer_out(clock: ManualClock) -> None:
    leaving = Leaving()
    task = asyncio.ensure_future(Tell([], clock, leaving=[leaving])(call(), Hanging()))
    await clock.advance(1.0)

    task.cancel()
    await asyncio.wait((task,))

    assert leaving.out == []


async def test_one_who_fails_to_hear_of_leaving_harms_nobody(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    leaving, listener = Leaving(), Listener()

    def deaf(provider: str, kind: str) -> Callable[[], None]:
        raise RuntimeError(provider + kind)

    def fails() -> None:
        raise RuntimeError

    def careless(provider: str, kind: str) -> Callable[[], None]:
        del provider, kind
        return fails

    tell = Tell([listener], clock, leaving=[deaf, careless, leaving])
    with caplog.at_level(logging.ERROR):
        await tell(call(), Vendor())

    assert leaving.out == []
    assert [details.outcome for details in listener.heard] == ["ok"]
    assert caplog.text.count("a listener to calls failed") == 2
