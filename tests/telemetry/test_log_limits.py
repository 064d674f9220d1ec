"""Lines say of which request they are, are not too many, and hold no secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable

import pytest

from ingestion_server.ports import tracing
from ingestion_server.ports.tracing import NO_SPAN, Here
from ingestion_server.telemetry.log_limits import LogLimits
from ingestion_server.telemetry.logs import JsonLine, LineHandler, PlainLine

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Log:
    """Be a log of which time is handed in."""

    def __init__(
        self,
        formatter: logging.Formatter | None = None,
        *,
        blank: Callable[[str], str] = str,
        lines: int = 3,
    ) -> None:
        self.now = 1_000.0
        self._written = io.StringIO()
        limits = LogLimits(lines=lines, clock=lambda: self.now)
        self._handler = LineHandler(self._written, blank, limits)
        self._handler.setFormatter(formatter or PlainLine())

    def write(self, name: str, template: str, *values: object, **more: object) -> None:
        """Write a line, as a logger would."""
        level = logging.WARNING
        record = logging.LogRecord(name, level, "", 0, template, values, None)
        for key, value in more.items():
            setattr(record, key, value)
        self._handler.handle(record)

    @property
    def lines(self) -> list[str]:
        """Return what was written."""
        return self._written.getvalue().splitlines()


@pytest.fixture
def request_here() -> object:
    """Be within a request."""
    return Here("r-1", TRACE, NO_SPAN)


async def told(log: Log, here: Here) -> None:
    """Write a line of a request."""

    async def work() -> None:
        tracing.enter(here)
        log.write("house", "something")

    await asyncio.create_task(work())


async def test_a_plain_line_ends_with_its_request(request_here: Here) -> None:
    log = Log()

    await told(log, request_here)
    log.write("house", "of no request")

    first, second = log.lines
    assert first.endswith(f"something request_id=r-1 trace_id={TRACE}")
    assert second.endswith("of no request")


async def test_a_json_line_holds_its_request(request_here: Here) -> None:
    log = Log(JsonLine())

    await told(log, request_here)
    log.write("house", "of no request")

    first, second = map(json.loads, log.lines)
    assert (first["request_id"], first["trace_id"]) == ("r-1", TRACE)
    assert not {"request_id", "trace_id"} & second.keys()


def test_of_one_event_so_many_lines_are_written_and_then_how_many_were_not() -> None:
    log = Log(lines=3)

    for number in range(10):
        log.write("house", "failed %d times", number)
        log.write("house", "something else")
    log.now += 61
    log.write("garden", "a line of somebody else")

    failed = [line for line in log.lines if "failed" in line]
    assert len(failed) == 4
    assert failed[-1].endswith(
        "… 7 more of these were left out, the latest: failed 9 times"
    )
    assert "house:" in failed[-1]


def test_after_a_minute_an_event_is_written_again() -> None:
    log = Log(lines=1)

    for _ in range(3):
        log.write("house", "again")
        log.now += 200

    assert sum("again" in line for line in log.lines) == 3


def test_all_that_telemetry_itself_says_is_one_line_a_minute() -> None:
    log = Log(lines=50)

    for second in range(600):
        log.now = 1_000.0 + second
        log.write("opentelemetry.exporter.otlp", "Transient error %s", second)
        log.write("opentelemetry.sdk", "Failed to export %s", second)
        log.write("house", "all is well")

    ours = [line for line in log.lines if "opentelemetry" in line]
    assert 5 <= len(ours) <= 10
    # What is wrong is still told when it has been wrong for long.
    assert "Failed to export 5" in ours[-1]


def test_a_flood_about_one_thing_hides_nothing_else() -> None:
    log = Log(lines=2)

    for _ in range(100):
        log.write("calls", "%s failed", "yahoo", about="yahoo")
        log.write("calls", "%s failed", "fine", levelno=logging.DEBUG)
        log.write("rpc", "a defect", exc_info=(OSError, OSError("disk"), None))
    log.write("calls", "%s failed", "finnhub", about="finnhub")
    log.write("calls", "%s failed", "loud")
    log.write("rpc", "a defect", exc_info=(KeyError, KeyError("bug"), None))

    assert len([line for line in log.lines if "yahoo" in line]) == 2
    for what in ("finnhub", "loud", "KeyError"):
        assert [line for line in log.lines if what in line]


def test_events_without_end_take_no_memory_without_end_and_no_more_lines() -> None:
    log = Log(lines=2)

    for number in range(20_000):
        log.write("library", f"never the same {number}" + "x" * 1_000)

    assert len(log.lines) <= 1_002


def test_a_secret_is_blanked_wherever_it_stands() -> None:
    log = Log(JsonLine(), blank=lambda text: text.replace("s3cr3t", "***"))

    log.write("library", "asking %s", "https://x/?apikey=s3cr3t")
    log.write("house", "with facts", facts={"url": "s3cr3t"})
    try:
        int("s3cr3t")
    except ValueError as error:
        log.write("house", "failed", exc_info=(type(error), error, error.__traceback__))

    assert len(log.lines) == 3
    assert not any("s3cr3t" in line for line in log.lines)
    assert all("***" in line for line in log.lines)


def test_a_line_that_cannot_be_counted_harms_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    log = Log()

    log.write("library", Unreadable())  # type: ignore[arg-type]
    log.write("house", "still here")

    assert [line for line in log.lines if "still here" in line]
    assert "no text" in capsys.readouterr().err
