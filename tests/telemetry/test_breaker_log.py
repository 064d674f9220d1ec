"""One line for each move of a breaker, but never a flood."""

from __future__ import annotations

import json
import logging

import pytest

from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.routing import BreakerChange
from ingestion_server.telemetry.breaker_log import BreakerLog
from ingestion_server.telemetry.logs import JsonLine
from tests.clocks import ManualClock

LOGGER = logging.getLogger("test.breakers")
CLOSED, OPEN, HALF_OPEN = BreakerPosition


def change(
    position: BreakerPosition = OPEN,
    *,
    kind: str = "bars:fx",
    reason: str = "acme answered\n HTTP 503",
    rest_seconds: float = 0.0,
) -> BreakerChange:
    """Return a move of a breaker of acme."""
    return BreakerChange("acme", kind, position, reason, rest_seconds)


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    """Hear everything but debugging."""
    caplog.set_level(logging.INFO, LOGGER.name)


@pytest.fixture
def log(clock: ManualClock) -> BreakerLog:
    """Write to a logger that a test can read."""
    return BreakerLog(LOGGER, monotonic=clock.monotonic)


@pytest.mark.parametrize(
    ("move", "level", "words"),
    [
        (
            change(OPEN, rest_seconds=30.0),
            "WARNING",
            "the breaker is open for 30 s: acme answered HTTP 503",
        ),
        (
            change(HALF_OPEN),
            "INFO",
            "the breaker lets one call through as a probe",
        ),
        (change(CLOSED, reason=""), "INFO", "the breaker is closed again"),
        (
            change(OPEN),
            "INFO",
            "the probe showed nothing, the next call is another",
        ),
    ],
)
def test_an_opening_is_a_warning_and_all_else_is_information(
    log: BreakerLog,
    caplog: pytest.LogCaptureFixture,
    move: BreakerChange,
    level: str,
    words: str,
) -> None:
    log(move)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        (level, f"acme bars:fx: {words}")
    ]


def test_an_ordinary_outage_is_told_in_full(
    log: BreakerLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    rests = (30.0, 60.0, 120.0, 240.0, 300.0, 300.0)
    for seconds in rests:
        log(change(OPEN, rest_seconds=seconds))
        clock.pass_by(seconds)
        log(change(HALF_OPEN))
    log(change(CLOSED, reason=""))

    assert len(caplog.messages) == 2 * len(rests) + 1


def test_of_a_flood_so_many_lines_are_written_and_the_next_says_how_many_were_not(
    log: BreakerLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        log(change(HALF_OPEN))
        log(change(OPEN))
    assert len(caplog.messages) == 12

    clock.pass_by(60.0)
    log(change(CLOSED, reason=""))
    log(change(OPEN))

    assert len(caplog.messages) == 14
    assert caplog.messages[12] == (
        "acme bars:fx: the breaker is closed again (and 88 moves since the last line)"
    )
    assert "since" not in caplog.messages[13]


def test_another_breaker_is_told_all_the_same(
    log: BreakerLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(13):
        log(change())
    log(change(kind="bars:equity"))

    assert len(caplog.messages) == 13


def test_a_program_reads_the_facts_of_a_move(
    log: BreakerLog, caplog: pytest.LogCaptureFixture
) -> None:
    log(change(OPEN, reason="down", rest_seconds=60.0))

    (record,) = caplog.records
    line = json.loads(JsonLine().format(record))
    assert line["facts"] == {
        "provider": "acme",
        "kind": "bars:fx",
        "position": "open",
        "reason": "down",
        "rest_seconds": 60.0,
        "left_out": 0,
    }


def test_a_log_that_cannot_be_written_harms_nobody(clock: ManualClock) -> None:
    class Broken(logging.Logger):
        """Fail, as a handler of somebody else may."""

        def isEnabledFor(self, level: int) -> bool:  # noqa: N802
            """Fail."""
            raise OSError(level)

    BreakerLog(Broken("broken"), monotonic=clock.monotonic)(change())
