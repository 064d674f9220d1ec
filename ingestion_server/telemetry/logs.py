"""What a line of log looks like: of which request it is, and without any secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from json import dumps
from typing import Final, TextIO, final

from typing_extensions import override

from ingestion_server.ports.tracing import here
from ingestion_server.telemetry.log_limits import LeftOut, LogLimits

_HANDLER_NAME: Final = "ingestion_server"
_LONGEST_DETAIL: Final = 300
_OF_NO_REQUEST: Final = "of_no_request"
_CONTROLS: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
_ENDS: Final = {code: f"\\u{code:04x}" for code in _CONTROLS if code > ord("~")}
"""What many take for the end of a line, or a terminal for a command, as JSON has it."""
_SHOWN: Final = {
    **{code: ascii(chr(code))[1:-1] for code in _CONTROLS},
    ord("\t"): "\t",
}
"""The same, and more, as Python has it."""


def _as_it_is(text: str) -> str:
    return text


def configure_logging(
    level: str = "INFO", *, json: bool = False, blank: Callable[[str], str] = _as_it_is
) -> None:
    """
    Write everything of a level and above to stderr, a line each, in UTC.

    ``blank`` takes the secrets out of each line. Of one event there are only so many
    lines a minute, see ``LogLimits``. Calling it again changes all of that; handlers
    of others stay.

    Raises:
        ValueError: there is no such level.

    """
    handler = LineHandler(sys.stderr, blank)
    handler.name = _HANDLER_NAME
    handler.setFormatter(JsonLine() if json else PlainLine())
    root = logging.getLogger()
    root.setLevel(level.upper())
    for old in root.handlers[:]:
        if old.name == _HANDLER_NAME:
            root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)


@final
class LineHandler(logging.StreamHandler[TextIO]):
    """Write lines that are not too many, and hold no secret."""

    def __init__(
        self,
        stream: TextIO,
        blank: Callable[[str], str] = _as_it_is,
        limits: LogLimits | None = None,
    ) -> None:
        """Write to a stream what ``blank`` leaves of each line."""
        super().__init__(stream)
        self._blank = blank
        self._limits = limits or LogLimits()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count that it was left out."""
        try:
            for each in self._limits.left_out():
                super().emit(_summary(each))
            is_written = self._limits.admits(record)
        except Exception:  # noqa: BLE001 - a log is no reason to lose an answer
            self.handleError(record)
            return
        if is_written:
            super().emit(record)

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without secrets, whoever wrote them and wherever."""
        return self._blank(super().format(record))


@final
class PlainLine(logging.Formatter):
    """
    Write ``time level logger: message``; line ends within are shown as ``\\n``.

    So are all characters by which a terminal can be told what to do.

    The request that it is about, and its trace, stand at the end.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        text = text.translate(_SHOWN)
        text += "".join(f" {name}={value}" for name, value in _request(record).items())
        return f"{_utc(record)} {record.levelname:<7} {record.name}: {text}"


@final
class JsonLine(logging.Formatter):
    """
    Write an object with ``time``, ``level``, ``logger`` and ``message``.

    What was logged with ``extra={"facts": …}`` is there as ``facts``, so that nobody
    needs to take the message apart; ``request_id`` and ``trace_id`` say of which
    request it is, if it is of one.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return one line; ``exception`` holds the trace, if there is one."""
        line: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_request(record),
        }
        facts = getattr(record, "facts", None)
        if facts is not None:
            line["facts"] = facts
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = dumps(line, ensure_ascii=False, allow_nan=False, default=str)
        except ValueError:
            # No number, or an endless one, which JSON has no word for.
            line["facts"] = str(facts)
            text = dumps(line, ensure_ascii=False, default=str)
        return text.translate(_ENDS)


def suffix(detail: str) -> str:
    """Return a detail as the end of a message: one line, not a whole web page."""
    # Cut twice, so that a long text is not split up for nothing.
    text = " ".join(detail[: 2 * _LONGEST_DETAIL].split())[:_LONGEST_DETAIL]
    return f": {text}" if text else ""


def _summary(left_out: LeftOut) -> logging.LogRecord:
    told = "… %d more of these were left out, the latest: %s"
    record = logging.LogRecord(
        *(left_out.logger, left_out.level, "", 0),
        told,
        (left_out.lines, left_out.latest),
        None,
    )
    # Not of the request that happens to write the next line.
    setattr(record, _OF_NO_REQUEST, True)
    return record


def _request(record: logging.LogRecord) -> Mapping[str, str]:
    """Return of which request a line is; lines are written where they are told."""
    now = here()
    if now is None or hasattr(record, _OF_NO_REQUEST):
        return {}
    found = {"request_id": now.request_id, "trace_id": now.trace_id}
    return {name: value for name, value in found.items() if value}


def _utc(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
