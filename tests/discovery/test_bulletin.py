"""Log lines are few, and the last of them is true."""

from __future__ import annotations

import logging

import pytest

from ingestion_server.discovery.bulletin import Bulletin
from tests.clocks import ManualClock

LOGGER = logging.getLogger("tests.discovery")


@pytest.fixture
def clock() -> ManualClock:
    """Stand still."""
    return ManualClock(runs=False)


@pytest.fixture
def bulletin(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> Bulletin:
    """Write to what the test reads."""
    caplog.set_level(logging.INFO, LOGGER.name)
    return Bulletin(LOGGER, clock)


def test_what_stays_well_is_told_once(
    bulletin: Bulletin, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        bulletin.well("fine")
        clock.pass_by(5)

    assert caplog.messages == ["fine"]


def test_what_goes_on_failing_is_told_once_a_minute_with_how_often(
    bulletin: Bulletin, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(25):
        bulletin.failed("broken")
        clock.pass_by(5)

    assert caplog.messages == [
        "broken",
        "broken (failures since the last line: 11)",
        "broken (failures since the last line: 11)",
    ]


def test_a_recovery_within_the_minute_is_told_at_its_end(
    bulletin: Bulletin, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    bulletin.failed("broken")
    bulletin.failed("broken")
    bulletin.failed("broken")
    for _ in range(20):
        bulletin.well("fine")
        clock.pass_by(5)

    assert caplog.messages == ["broken", "fine (failures since the last line: 2)"]


def test_what_flaps_writes_no_more_than_a_line_a_minute(
    bulletin: Bulletin, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(600):
        bulletin.failed("broken")
        bulletin.well("fine")
        clock.pass_by(1)

    assert len(caplog.messages) == 10
