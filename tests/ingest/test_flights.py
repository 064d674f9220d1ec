"""Calls that several wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from ingestion_server.domain.errors import ServerStoppingError
from ingestion_server.domain.query import Span
from ingestion_server.ingest.flights import Arrival, Flights
from ingestion_server.ports.policy import CallTally

KEY = "bars of acme"


@dataclass(frozen=True)
class Parcel:
    """Be what comes."""

    label: str
    failed: bool = False
    by_limit: bool = False


class Airport:
    """Begin flights that land when they are told to."""

    def __init__(self) -> None:
        self.begun: list[list[Span]] = []
        self.landing: list[asyncio.Future[Parcel]] = []
        self.tallies: list[CallTally] = []
        self.overdue: list[CallTally] = []
        self.flights: Flights[Parcel] = Flights()

    async def begin(self, spans: Sequence[Span]) -> Parcel:
        """Wait for the word."""
        self.begun.append(list(spans))
        self.landing.append(asyncio.get_running_loop().create_future())
        return await self.landing[-1]

    def ask(self, *spans: Span, key: str = KEY) -> asyncio.Task[list[Arrival[Parcel]]]:
        """Want some spans."""
        self.tallies.append(CallTally())
        return asyncio.create_task(
            self.flights.brought(
                key, spans, self.begin, tally=self.tallies[-1], overdue=self.late
            )
        )

    def late(self, tally: CallTally) -> bool:
        """Tell whether calls are said to have been silent for too long."""
        return any(tally is each for each in self.overdue)

    def land(self, number: int, parcel: Parcel | None = None) -> None:
        """Let a flight come down."""
        self.landing[number].set_result(parcel or Parcel(str(number)))


@pytest.fixture
async def airport() -> AsyncIterator[Airport]:
    """Open an airport for a while."""
    opened = Airport()
    async with opened.flights:
        yield opened


async def settle() -> None:
    """Let everybody come as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def labels(arrivals: list[Arrival[Parcel]]) -> list[tuple[str, bool]]:
    """Tell what came, and whose flight it was."""
    return [(each.cargo.label, each.mine) for each in arrivals]


async def test_equal_questions_are_one_flight(airport: Airport) -> None:
    asked = [airport.ask(Span(0, 10)) for _ in range(3)]
    await settle()
    airport.land(0)
    brought = [labels(await each) for each in asked]

    assert airport.begun == [[Span(0, 10)]]
    assert brought == [[("0", True)], [("0", False)], [("0", False)]]


async def test_of_what_overlaps_only_the_rest_is_flown(airport: Airport) -> None:
    first, second = airport.ask(Span(0, 10)), airport.ask(Span(5, 15))
    await settle()
    airport.land(0)
    await settle()
    airport.land(1)

    assert labels(await first) == [("0", True)]
    assert labels(await second) == [("0", False), ("1", True)]
    assert airport.begun == [[Span(0, 10)], [Span(10, 15)]]


@pytest.mark.parametrize(("span", "key"), [(Span(10, 20), KEY), (Span(0, 10), "else")])
async def test_what_is_apart_is_flown_apart(
    airport: Airport, span: Span, key: str
) -> None:
    first, second = airport.ask(Span(0, 10)), airport.ask(span, key=key)
    await settle()
    airport.land(0)
    airport.land(1)
    await asyncio.gather(first, second)

    assert len(airport.begun) == 2


async def test_who_leaves_does_not_end_it_for_others(airport: Airport) -> None:
    first, second = airport.ask(Span(0, 10)), airport.ask(Span(0, 10))
    await settle()
    first.cancel()
    await settle()
    airport.land(0)

    assert labels(await second) == [("0", False)]
    assert len(airport.begun) == 1


async def test_what_nobody_waits_for_is_ended_and_not_boarded(
    airport: Airport,
) -> None:
    first = airport.ask(Span(0, 10))
    await settle()
    first.cancel()
    second = airport.ask(Span(0, 10))
    await settle()
    airport.land(1)

    assert labels(await second) == [("1", True)]
    assert airport.landing[0].cancelled()


async def test_the_failure_of_a_vendor_is_everybodys(airport: Airport) -> None:
    first, second = airport.ask(Span(0, 10)), airport.ask(Span(0, 20))
    await settle()
    airport.land(0, Parcel("broken", failed=True))

    assert labels(await first) == [("broken", True)]
    assert labels(await second) == [("broken", False)]
    assert len(airport.begun) == 1


async def test_the_limit_of_one_is_not_that_of_others(airport: Airport) -> None:
    late = Parcel("too late", failed=True, by_limit=True)
    asked = [airport.ask(Span(0, 10)) for _ in range(3)]
    await settle()
    airport.land(0, late)
    await settle()
    airport.land(1)
    brought = [labels(await each) for each in asked]

    assert brought == [[("too late", True)], [("1", True)], [("1", False)]]


async def test_a_defect_is_told_to_all_who_wait(airport: Airport) -> None:
    asked = [airport.ask(Span(0, 10)) for _ in range(2)]
    await settle()
    airport.landing[0].set_exception(KeyError("a bug"))

    for each in asked:
        with pytest.raises(KeyError):
            await each


async def test_when_it_closes_who_waits_is_told_and_nothing_begins() -> None:
    airport = Airport()
    async with airport.flights:
        waiting = airport.ask(Span(0, 10))
        await settle()
    with pytest.raises(ServerStoppingError):
        await waiting
    with pytest.raises(ServerStoppingError):
        await airport.ask(Span(0, 10))


async def test_a_task_that_is_left_to_itself_ends_with_the_house() -> None:
    airport = Airport()
    async with airport.flights:
        task: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
        airport.flights.linger(task)
        await settle()
        assert not task.done()

    assert task.cancelled()


async def test_only_so_many_are_left_to_themselves(airport: Airport) -> None:
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(70)]
    for task in tasks:
        airport.flights.linger(task)
    await settle()

    assert sum(task.cancelled() for task in tasks) == 70 - 64


async def test_nobody_boards_what_was_given_up_as_too_slow(airport: Airport) -> None:
    slow = airport.ask(Span(0, 10))
    await settle()
    airport.flights.linger(slow)
    second = airport.ask(Span(0, 10))
    await settle()
    airport.land(1)

    assert labels(await second) == [("1", True)]
    airport.land(0)
    assert labels(await slow) == [("0", True)]


async def test_what_others_wait_for_too_is_boarded_still(airport: Airport) -> None:
    slow, patient = airport.ask(Span(0, 10)), airport.ask(Span(0, 10))
    await settle()
    airport.flights.linger(slow)
    late = airport.ask(Span(0, 10))
    await settle()
    airport.land(0)

    assert [labels(await each) for each in (patient, late)] == [[("0", False)]] * 2
    assert len(airport.begun) == 1


async def test_nobody_boards_what_has_been_silent_for_too_long(
    airport: Airport,
) -> None:
    slow = airport.ask(Span(0, 10))
    await settle()
    airport.overdue.extend(airport.tallies)
    second, third = airport.ask(Span(0, 10)), airport.ask(Span(0, 10))
    await settle()
    airport.land(1)

    assert [labels(await each) for each in (second, third)] == [
        [("1", True)],
        [("1", False)],
    ]
    airport.land(0)
    assert labels(await slow) == [("0", True)]


async def test_who_boards_is_told_of_the_calls_that_it_waits_for(
    airport: Airport,
) -> None:
    def boarding(span: Span) -> CallTally | None:
        return airport.flights.boarding(KEY, [span], overdue=airport.late)

    assert boarding(Span(0, 10)) is None
    asked = airport.ask(Span(0, 10))
    await settle()

    assert boarding(Span(5, 15)) is airport.tallies[0]
    assert boarding(Span(10, 20)) is None
    airport.overdue.extend(airport.tallies)
    assert boarding(Span(5, 15)) is None
    airport.land(0)
    await asked


async def test_calls_that_nobody_waits_for_are_given_only_so_long(
    airport: Airport,
) -> None:
    slow, patient = airport.ask(Span(0, 10)), airport.ask(Span(0, 10))
    await settle()
    airport.flights.linger(slow, spare_seconds=4.0)
    while_one_waits = airport.tallies[0].spare_seconds
    airport.flights.linger(patient, spare_seconds=4.0)

    assert while_one_waits is None
    assert airport.tallies[0].spare_seconds == 4.0
    airport.land(0)
    await asyncio.wait([slow, patient])
