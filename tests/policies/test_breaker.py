"""A vendor that fails again and again is left alone, then tried once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CapabilityMissingError,
    CredentialsRefusedError,
    DeadlineExceededError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.kit.statuses import check_status
from ingestion_server.policies.breaker import Breaker, Breakers, verdict
from ingestion_server.policies.limits import BreakerLimits
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import BreakerPosition, BreakerState, Verdict
from tests.clocks import ManualClock
from tests.policies.fakes import (
    RESPONSE,
    Hanging,
    Vendor,
    asked,
    busy,
    call,
    unavailable,
)

OPEN, CLOSED = BreakerPosition.OPEN, BreakerPosition.CLOSED


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    """Make a closed breaker."""
    return Breaker(BreakerLimits(), clock)


async def fail(breaker: Breaker, times: int = 1) -> None:
    """Make calls that the vendor fails."""
    for _ in range(times):
        with pytest.raises(ProviderUnavailableError):
            await asked(breaker, Vendor(unavailable()))


async def opened(answer: Awaitable[HttpResponse]) -> BreakerOpenError:
    """Return the refusal, which must come."""
    with pytest.raises(BreakerOpenError) as caught:
        await answer
    return caught.value


def usual(_provider: str) -> BreakerLimits:
    """Return the same limits for every vendor."""
    return BreakerLimits()


def refused(status: int) -> ProviderError:
    """Return what an answer with a status means."""
    with pytest.raises(ProviderError) as caught:
        check_status("acme", HttpResponse(status, b""))
    return caught.value


def _late(cause: Exception | None) -> DeadlineExceededError:
    error = DeadlineExceededError("late")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (unavailable(), Verdict.BROKEN),
        (MalformedPayloadError("rubbish", provider="acme"), Verdict.BROKEN),
        (SymbolUnknownError("no such symbol", provider="acme"), Verdict.HEALTHY),
        (CredentialsRefusedError("no", provider="acme"), Verdict.HEALTHY),
        (NoDataUnexplainedError("nothing", provider="acme"), Verdict.HEALTHY),
        (CapabilityMissingError("not that", provider="acme"), Verdict.HEALTHY),
        (refused(400), Verdict.HEALTHY),
        (refused(404), Verdict.HEALTHY),
        (refused(429), Verdict.NONE),
        (refused(302), Verdict.BROKEN),
        (refused(500), Verdict.BROKEN),
        (busy(), Verdict.NONE),
        (BreakerOpenError("acme rests", provider="acme"), Verdict.NONE),
        (_late(None), Verdict.NONE),
        (_late(unavailable()), Verdict.BROKEN),
        (ValueError("a bug of ours"), Verdict.NONE),
    ],
)
def test_what_a_failure_shows(error: Exception, shown: Verdict) -> None:
    assert verdict(error) is shown


async def test_the_fifth_failure_opens_it_and_is_raised_as_it_was(
    breaker: Breaker, clock: ManualClock
) -> None:
    await fail(breaker, 4)
    assert breaker.state() == BreakerState(CLOSED, 4, "acme answered HTTP 503")
    fifth = unavailable()

    with pytest.raises(ProviderUnavailableError) as caught:
        await asked(breaker, Vendor(fifth))

    assert caught.value is fifth
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert breaker.state() == BreakerState(
        OPEN,
        5,
        "acme answered HTTP 503",
        retry_at_seconds=clock.monotonic() + 30.0,
        retry_after_seconds=30.0,
    )
    assert not breaker.state().admits


async def test_while_it_is_open_nothing_is_sent(
    breaker: Breaker, clock: ManualClock
) -> None:
    await fail(breaker, 5)
    vendor = Vendor()
    clock.pass_by(10.0)

    error = await opened(breaker(call(), vendor))
    watched = await opened(breaker.watch(call(), vendor))

    assert vendor.calls == []
    assert error.retry_after_seconds == watched.retry_after_seconds == 20.0
    assert "HTTP 503" in error.message


async def test_a_success_starts_the_count_anew(breaker: Breaker) -> None:
    await fail(breaker, 4)

    await asked(breaker, Vendor())

    assert breaker.state() == BreakerState(CLOSED, 0)
    await fail(breaker, 4)
    assert breaker.state().position is CLOSED


async def test_a_429_is_neither_a_failure_nor_a_success(breaker: Breaker) -> None:
    await fail(breaker, 4)
    for _ in range(10):
        with pytest.raises(QuotaExhaustedError):
            await asked(breaker, Vendor(busy()))
    assert breaker.state().failures == 4

    await fail(breaker)

    assert breaker.state().position is OPEN


async def test_after_the_rest_exactly_one_of_many_calls_is_the_probe(
    breaker: Breaker, clock: ManualClock
) -> None:
    await fail(breaker, 5)
    clock.pass_by(30.0)
    assert breaker.state().admits
    vendor = Hanging()

    tasks = [asyncio.ensure_future(asked(breaker, vendor)) for _ in range(100)]
    await clock.advance(0.0)

    assert len(vendor.calls) == 1
    assert breaker.state().position is BreakerPosition.HALF_OPEN
    assert not breaker.state().admits
    vendor.ends.set_result(RESPONSE)
    assert await tasks[0] is RESPONSE
    refusals = [await opened(task) for task in tasks[1:]]
    assert {error.retry_after_seconds for error in refusals} == {1.0}
    assert breaker.state() == BreakerState(CLOSED, 0)


async def test_a_probe_that_fails_opens_it_for_another_rest(
    breaker: Breaker, clock: ManualClock
) -> None:
    await fail(breaker, 5)
    clock.pass_by(45.0)

    await fail(breaker)

    assert breaker.state().retry_after_seconds == 60.0
    clock.pass_by(59.9)
    await opened(asked(breaker, Vendor()))
    clock.pass_by(0.2)
    await asked(breaker, Vendor())
    assert breaker.state().position is CLOSED


async def test_a_cancelled_probe_gives_its_place_back(
    breaker: Breaker, clock: ManualClock
) -> None:
    await fail(breaker, 5)
    clock.pass_by(30.0)
    probe = asyncio.ensure_future(asked(breaker, Hanging()))
    await clock.advance(1.0)

    probe.cancel()
    await clock.advance(0.0)

    assert probe.cancelled()
    assert breaker.state().position is OPEN
    assert breaker.state().admits
    await asked(breaker, Vendor())
    assert breaker.state().position is CLOSED


async def test_a_probe_that_shows_nothing_gives_its_place_back(
    breaker: Breaker, clock: ManualClock
) -> None:
    await fail(breaker, 5)
    clock.pass_by(30.0)

    for error in (busy(), ValueError("a bug of ours"), _late(None)):
        with pytest.raises(type(error)):
            await asked(breaker, Vendor(error))

    assert breaker.state().position is OPEN
    assert breaker.state().admits


async def test_cancelled_calls_are_no_failures(
    breaker: Breaker, clock: ManualClock
) -> None:
    tasks = [asyncio.ensure_future(asked(breaker, Hanging())) for _ in range(20)]
    await clock.advance(1.0)

    for task in tasks:
        task.cancel()
    await clock.advance(0.0)

    assert breaker.state() == BreakerState(CLOSED, 0)


async def test_stragglers_from_before_neither_prolong_the_rest_nor_end_it(
    breaker: Breaker, clock: ManualClock
) -> None:
    slow, good = Hanging(), Hanging()
    stragglers = [asyncio.ensure_future(asked(breaker, slow)) for _ in range(20)]
    fine = asyncio.ensure_future(asked(breaker, good))
    await clock.advance(0.0)
    await fail(breaker, 5)
    opened_state = breaker.state()
    await clock.advance(9.0)

    slow.ends.set_exception(unavailable())
    good.ends.set_result(RESPONSE)
    await asyncio.wait((*stragglers, fine))

    assert {type(task.exception()) for task in stragglers} == {ProviderUnavailableError}
    assert await fine is RESPONSE
    assert breaker.state().retry_at_seconds == opened_state.retry_at_seconds
    assert breaker.state().failures == 5


async def test_a_straggler_does_not_decide_for_the_probe(
    breaker: Breaker, clock: ManualClock
) -> None:
    slow, probe = Hanging(), Hanging()
    straggler = asyncio.ensure_future(asked(breaker, slow))
    await clock.advance(0.0)
    await fail(breaker, 5)
    await clock.advance(30.0)
    probing = asyncio.ensure_future(asked(breaker, probe))
    await clock.advance(0.0)

    slow.ends.set_result(RESPONSE)
    await straggler

    assert breaker.state().position is BreakerPosition.HALF_OPEN
    probe.ends.set_result(RESPONSE)
    await probing
    assert breaker.state().position is CLOSED


async def test_silence_of_before_says_nothing_of_a_vendor_that_answered_since(
    breaker: Breaker, clock: ManualClock
) -> None:
    before, since = Hanging(), Hanging()
    early = [asyncio.ensure_future(asked(breaker, before)) for _ in range(9)]
    await clock.advance(0.0)
    await asked(breaker, Vendor())
    late = [asyncio.ensure_future(asked(breaker, since)) for _ in range(4)]
    await clock.advance(10.0)

    before.ends.set_exception(unavailable())
    await asyncio.wait(early)
    assert breaker.state() == BreakerState(CLOSED, 0)
    since.ends.set_exception(unavailable())
    await asyncio.wait(late)

    assert breaker.state().failures == 4
    assert {type(task.exception()) for task in (*early, *late)} == {
        ProviderUnavailableError
    }


async def test_each_vendor_and_kind_has_its_own(clock: ManualClock) -> None:
    breakers = Breakers(usual, clock)

    await fail(breakers.for_key("acme", "bars:equity"), 5)

    assert breakers.for_key("acme", "bars:fx").state().position is CLOSED
    assert {key: state.position for key, state in breakers.states().items()} == {
        ("acme", "bars:equity"): OPEN,
        ("acme", "bars:fx"): CLOSED,
    }


async def test_only_so_many_are_kept_and_those_with_failures_longest(
    clock: ManualClock,
) -> None:
    breakers = Breakers(usual, clock, entries=2)
    await fail(breakers.for_key("acme", "a"), 4)

    for kind in ("b", "c", "d"):
        breakers.for_key("acme", kind)
    assert set(breakers.states()) == {("acme", "a"), ("acme", "d")}
    await fail(breakers.for_key("acme", "d"))
    breakers.for_key("acme", "e")

    assert set(breakers.states()) == {("acme", "d"), ("acme", "e")}


async def test_an_open_one_is_kept_whatever_comes_else_calls_would_pass_it(
    clock: ManualClock,
) -> None:
    breakers = Breakers(usual, clock, entries=2)
    for kind in ("a", "b"):
        await fail(breakers.for_key("acme", kind), 5)

    for kind in ("c", "d"):
        breakers.for_key("acme", kind)

    assert set(breakers.states()) == {("acme", kind) for kind in "abd"}
    await opened(asked(breakers.for_key("acme", "a"), Vendor()))


async def test_each_vendor_has_its_own_limits(clock: ManualClock) -> None:
    strict = BreakerLimits(failures=1, rest_seconds=5.0)
    breakers = Breakers({"acme": strict, "kind": BreakerLimits()}.__getitem__, clock)

    for name in ("acme", "kind"):
        await fail(breakers.for_key(name, "bars:fx"))

    assert breakers.for_key("acme", "bars:fx").state().retry_after_seconds == 5.0
    assert breakers.for_key("kind", "bars:fx").state().position is CLOSED


async def test_who_keeps_a_pace_of_its_own_is_counted_and_never_held_back(
    clock: ManualClock,
) -> None:
    breakers = Breakers(usual, clock, paced={"stream"})
    breaker = breakers.for_key("acme", "stream")

    await fail(breaker, 20)

    assert breaker.state().position is OPEN
    assert breaker.state().admits
    await asked(breaker, Vendor())
    assert breaker.state().position is CLOSED
    await fail(breakers.for_key("acme", "bars:fx"), 5)
    await opened(asked(breakers.for_key("acme", "bars:fx"), Vendor()))
