"""One line for each alert, but not for each of many alike."""

from __future__ import annotations

import json
import logging

import pytest

from ingestion_server.ports.quota import AlertKind
from ingestion_server.telemetry.logs import JsonLine, PlainLine
from ingestion_server.telemetry.quota_log import QuotaLog
from tests.clocks import ManualClock
from tests.telemetry.ledgers import alert

LOGGER = logging.getLogger("test.quota")


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    """Hear warnings and above."""
    caplog.set_level(logging.WARNING, LOGGER.name)


@pytest.fixture
def log(clock: ManualClock) -> QuotaLog:
    """Write to a logger that a test can read."""
    return QuotaLog(LOGGER, monotonic=clock.monotonic)


@pytest.mark.parametrize(
    ("kind", "level", "words"),
    [
        (AlertKind.USED_80_PERCENT, "WARNING", "80 % used"),
        (AlertKind.USED_95_PERCENT, "ERROR", "95 % used"),
        (AlertKind.VIOLATION, "ERROR", "the vendor refused a call that fitted"),
    ],
)
def test_each_kind_has_its_level_and_words(
    log: QuotaLog,
    caplog: pytest.LogCaptureFixture,
    kind: AlertKind,
    level: str,
    words: str,
) -> None:
    log(alert(kind, used=480))

    assert [(record.levelname, record.message) for record in caplog.records] == [
        (level, f"acme day: {words}, 480 of 500")
    ]


def test_a_violation_tells_what_the_vendor_said_on_one_line(
    log: QuotaLog, caplog: pytest.LogCaptureFixture
) -> None:
    log(alert(AlertKind.VIOLATION, window="", detail="429:\n too many"))

    assert caplog.messages == [
        "acme -: the vendor refused a call that fitted, 400 of 500: 429: too many"
    ]


def test_of_many_alike_one_is_written_and_the_next_says_how_many_were_not(
    log: QuotaLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        log(alert(AlertKind.VIOLATION))
    clock.pass_by(59.0)
    log(alert(AlertKind.VIOLATION))
    assert len(caplog.messages) == 1

    clock.pass_by(1.0)
    log(alert(AlertKind.VIOLATION))
    clock.pass_by(60.0)
    log(alert(AlertKind.VIOLATION))

    assert len(caplog.messages) == 3
    assert caplog.messages[1].endswith(" (and 4 like it since the last line)")
    assert caplog.messages[2] == caplog.messages[0]


def test_other_windows_and_kinds_are_written_all_the_same(
    log: QuotaLog, caplog: pytest.LogCaptureFixture
) -> None:
    log(alert())
    log(alert(window="minute"))
    log(alert(AlertKind.USED_95_PERCENT))

    assert len(caplog.messages) == 3


def test_a_program_reads_the_facts_of_an_alert(
    log: QuotaLog, caplog: pytest.LogCaptureFixture
) -> None:
    log(alert(AlertKind.USED_95_PERCENT, used=475))

    (record,) = caplog.records
    line = json.loads(JsonLine().format(record))
    assert line["level"] == "ERROR"
    assert line["facts"] == {
        "number": 17,
        "kind": "used_95_percent",
        "provider": "acme",
        "window": "day",
        "used": 475,
        "limit": 500,
        "left_out": 0,
    }


def test_a_person_reads_one_line_without_them(
    log: QuotaLog, caplog: pytest.LogCaptureFixture
) -> None:
    log(alert())

    (line,) = PlainLine().format(caplog.records[0]).splitlines()
    assert line.endswith("WARNING test.quota: acme day: 80 % used, 400 of 500")


def test_a_log_that_cannot_be_written_harms_nobody(clock: ManualClock) -> None:
    class Broken(logging.Logger):
        """Fail, as a handler of somebody else may."""

        def isEnabledFor(self, level: int) -> bool:  # noqa: N802
            """Fail."""
            raise OSError(level)

    QuotaLog(Broken("broken"), monotonic=clock.monotonic)(alert())
