"""A line for each call, but never a flood."""

from __future__ import annotations

import logging

import pytest

from ingestion_server.ports.hooks import CallDetails
from ingestion_server.telemetry.call_log import CallLog
from tests.clocks import ManualClock

LOGGER = logging.getLogger("test.calls")
FAILED = CallDetails("acme", "DAILY", 0.25, "ALL_PROVIDERS_FAILED", "HTTP\n 503")


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    """Hear warnings and above."""
    caplog.set_level(logging.WARNING, LOGGER.name)


def test_a_failed_call_is_a_warning_on_one_line(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    CallLog(LOGGER, monotonic=clock.monotonic)(FAILED)

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "acme DAILY: ALL_PROVIDERS_FAILED after 0.250 s: HTTP 503")
    ]


@pytest.mark.parametrize("outcome", ["ok", "CANCELLED"])
def test_a_good_call_is_for_debugging(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, outcome: str
) -> None:
    log = CallLog(LOGGER, monotonic=clock.monotonic)
    details = CallDetails("acme", "", 0.25, outcome)

    log(details)
    caplog.set_level(logging.DEBUG, LOGGER.name)
    log(details)

    assert caplog.messages == [f"acme -: {outcome} after 0.250 s"]


def test_of_each_vendor_only_so_many_lines_are_written(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = CallLog(LOGGER, monotonic=clock.monotonic, lines=20, seconds=10.0)
    caplog.set_level(logging.DEBUG, LOGGER.name)
    for _ in range(25):
        log(FAILED)
    log(CallDetails("acme", "DAILY", 0.1, "ok"))
    log(CallDetails("other", "DAILY", 0.1, "MALFORMED_PAYLOAD"))
    assert len(caplog.messages) == 22

    clock.pass_by(10.0)
    log(FAILED)

    assert caplog.messages[-2] == "acme: … 5 more suppressed"
    assert caplog.messages[-1].startswith("acme DAILY: ALL_PROVIDERS_FAILED")


def test_a_long_detail_is_cut(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    CallLog(LOGGER, monotonic=clock.monotonic)(
        CallDetails("acme", "DAILY", 0.1, "INTERNAL", "x" * 10_000)
    )

    assert len(caplog.messages[0]) < 400


def test_a_log_that_cannot_be_written_harms_nobody(clock: ManualClock) -> None:
    class Broken(logging.Logger):
        """Fail, as a handler of somebody else may."""

        def isEnabledFor(self, level: int) -> bool:  # noqa: N802
            """Fail."""
            raise OSError(level)

    CallLog(Broken("broken"), monotonic=clock.monotonic)(FAILED)
