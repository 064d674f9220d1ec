"""aiobreaker's states, by our clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Self

import pytest

from ingestion_server.policies.circuit import Circuit
from ingestion_server.policies.limits import BreakerLimits
from tests.clocks import ManualClock

LIMITS = BreakerLimits(failures=3, rest_seconds=30.0)


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def _zone(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Live elsewhere, where utcnow() and now() differ."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class _Modern(datetime):
    """Be Python 3.12 and later, where warnings are errors."""

    @classmethod
    def utcnow(cls) -> Self:
        """Complain."""
        raise DeprecationWarning("datetime.datetime.utcnow() is deprecated")


@pytest.fixture
def _deprecated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aiobreaker hear of it."""
    monkeypatch.setattr("aiobreaker.state.datetime", _Modern)
    monkeypatch.setattr("aiobreaker.circuitbreaker.datetime", _Modern)


@pytest.mark.usefixtures("_deprecated")
def test_it_needs_nothing_that_python_deprecates(clock: ManualClock) -> None:
    circuit = Circuit(LIMITS, clock)
    for _ in range(3):
        circuit.failed()
    clock.pass_by(30.0)
    circuit.failed()
    clock.pass_by(60.0)
    circuit.succeeded()

    assert not circuit.is_open


@pytest.mark.usefixtures("_zone")
def test_it_opens_after_so_many_failures_in_a_row_and_rests_by_our_clock(
    clock: ManualClock,
) -> None:
    circuit = Circuit(LIMITS, clock)
    for _ in range(2):
        circuit.failed()
    circuit.succeeded()
    for _ in range(2):
        circuit.failed()
    assert not circuit.is_open
    assert circuit.failures == 2

    circuit.failed()

    assert circuit.is_open
    assert circuit.rested_at_seconds == clock.monotonic() + 30.0


@pytest.mark.usefixtures("_zone")
def test_a_success_after_the_rest_closes_it(clock: ManualClock) -> None:
    circuit = Circuit(LIMITS, clock)
    for _ in range(3):
        circuit.failed()
    clock.pass_by(30.0)

    circuit.succeeded()

    assert not circuit.is_open
    assert circuit.failures == 0


@pytest.mark.usefixtures("_zone")
def test_a_failure_after_the_rest_opens_it_for_another(clock: ManualClock) -> None:
    circuit = Circuit(LIMITS, clock)
    for _ in range(3):
        circuit.failed()
    clock.pass_by(45.0)

    circuit.failed()

    assert circuit.is_open
    assert circuit.rested_at_seconds == clock.monotonic() + 60.0


@pytest.mark.usefixtures("_zone")
def test_each_rest_is_twice_the_one_before_up_to_the_longest(
    clock: ManualClock,
) -> None:
    circuit = Circuit(LIMITS, clock)
    for _ in range(3):
        circuit.failed()

    rests = []
    for _ in range(7):
        rests.append(circuit.rest_seconds)
        clock.pass_by(circuit.rest_seconds)
        circuit.failed()

    assert rests == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 300.0]


@pytest.mark.usefixtures("_zone")
def test_a_success_leads_back_to_the_first_rest(clock: ManualClock) -> None:
    circuit = Circuit(LIMITS, clock)
    for _ in range(3):
        circuit.failed()
    for _ in range(3):
        clock.pass_by(circuit.rest_seconds)
        circuit.failed()
    assert circuit.next_rest_seconds == 300.0
    clock.pass_by(circuit.rest_seconds)

    circuit.succeeded()

    assert circuit.next_rest_seconds == 30.0
    for _ in range(3):
        circuit.failed()
    assert circuit.rest_seconds == 30.0
    assert circuit.next_rest_seconds == 60.0


def test_a_first_rest_that_is_longer_than_the_longest_stays_as_it_is(
    clock: ManualClock,
) -> None:
    circuit = Circuit(BreakerLimits(failures=1, rest_seconds=600.0), clock)

    circuit.failed()
    clock.pass_by(600.0)
    circuit.failed()

    assert circuit.rest_seconds == circuit.next_rest_seconds == 600.0


def test_it_can_be_set_not_to_rest_at_all(clock: ManualClock) -> None:
    circuit = Circuit(BreakerLimits(failures=1, rest_seconds=0.0), clock)

    circuit.failed()
    assert circuit.is_open
    circuit.succeeded()

    assert not circuit.is_open


@pytest.mark.usefixtures("_zone")
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_aiobreaker_itself_agrees_on_the_rest(clock: ManualClock) -> None:
    """Its own comparison, which nobody relies on, is right in any zone too."""
    circuit = Circuit(LIMITS, clock)
    for _ in range(3):
        circuit.failed()
    clock.pass_by(29.0)

    circuit.failed()
    clock.pass_by(1.0)

    assert circuit.is_open
    assert circuit.failures == 3
    assert circuit.rested_at_seconds == clock.monotonic()
