"""Events are numbered, kept for a while, and told to those who wait."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.ingest.events import Events
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.routing import BreakerChange, Event, EventKind
from tests.clocks import ManualClock
from tests.ingest.making import ACME, ZENITH

KIND = "bars:equity"
LONG_SECONDS = 3600.0


@pytest.fixture
def clock() -> ManualClock:
    """Tell a time that passes when a test says so."""
    return ManualClock()


@pytest.fixture
def events(clock: ManualClock) -> Events:
    """Keep events, of which there are none yet."""
    return Events(clock)


def update(events: Events, times: int = 1) -> None:
    """Let operators change a vendor."""
    for _ in range(times):
        events.add(EventKind.UPDATED, ACME, "by an operator")


def numbers(events: Events, after: int = 0) -> list[int]:
    """Return the numbers of those with higher numbers."""
    return [event.number for event in events.after(after)]


async def test_an_event_tells_what_happened_to_whom_and_when(
    events: Events, clock: ManualClock
) -> None:
    await clock.advance(5.0)

    events.add(EventKind.UPDATED, ZENITH, "switched off")

    assert events.after(0) == [
        Event(
            number=1,
            kind=EventKind.UPDATED,
            provider=ZENITH,
            data_kind="",
            at_ns=clock.now_ns(),
            detail="switched off",
        )
    ]


@pytest.mark.parametrize(
    ("position", "kind"),
    [
        (BreakerPosition.OPEN, EventKind.BREAKER_OPENED),
        (BreakerPosition.HALF_OPEN, EventKind.BREAKER_HALF_OPEN),
        (BreakerPosition.CLOSED, EventKind.BREAKER_CLOSED),
    ],
)
def test_each_move_of_a_breaker_is_an_event(
    events: Events, position: BreakerPosition, kind: EventKind
) -> None:
    events(BreakerChange(ACME, KIND, position, "HTTP 503", 0.0))

    [event] = events.after(0)

    assert (event.kind, event.provider, event.data_kind) == (kind, ACME, KIND)


@pytest.mark.parametrize(
    ("reason", "rest_seconds", "detail"),
    [
        ("HTTP 503", 30.0, "HTTP 503, rests for 30 s"),
        ("HTTP 503", 0.0, "HTTP 503"),
        ("", 0.0, "no failure"),
    ],
)
def test_a_move_tells_its_reason_and_the_rest(
    events: Events, reason: str, rest_seconds: float, detail: str
) -> None:
    events(BreakerChange(ACME, KIND, BreakerPosition.OPEN, reason, rest_seconds))

    assert events.after(0)[0].detail == detail


def test_numbers_ascend_without_holes_and_only_newer_ones_are_told(
    events: Events,
) -> None:
    update(events, 5)

    assert numbers(events) == [1, 2, 3, 4, 5]
    assert numbers(events, after=3) == [4, 5]
    assert numbers(events, after=5) == []


def test_only_the_latest_hundred_are_kept_and_numbers_go_on(events: Events) -> None:
    update(events, 250)

    assert numbers(events) == list(range(151, 251))


async def test_who_waits_is_woken_by_the_next_event_and_so_are_all_others(
    events: Events,
) -> None:
    update(events)
    waiting = [
        asyncio.create_task(events.changed(1, within_seconds=LONG_SECONDS))
        for _ in range(3)
    ]
    await asyncio.sleep(0)

    assert not any(task.done() for task in waiting)
    update(events)

    await asyncio.gather(*waiting)
    assert numbers(events, after=1) == [2]


async def test_nobody_is_woken_by_what_is_over(events: Events) -> None:
    update(events)

    waiting = asyncio.create_task(events.changed(1, within_seconds=LONG_SECONDS))
    await asyncio.sleep(0)

    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_who_missed_an_event_does_not_wait(events: Events) -> None:
    update(events, 2)

    await asyncio.wait_for(events.changed(1, within_seconds=LONG_SECONDS), timeout=5)


async def test_nobody_waits_longer_than_he_wants(events: Events) -> None:
    await asyncio.wait_for(events.changed(0, within_seconds=0.0), timeout=5)

    assert numbers(events) == []
