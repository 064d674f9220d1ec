"""What a line of log looks like."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from json import dumps
from typing import Final, final

from typing_extensions import override

_HANDLER_NAME: Final = "ingestion_server"
_LONGEST_DETAIL: Final = 300


def configure_logging(level: str = "INFO", *, json: bool = False) -> None:
    """
    Write everything of a level and above to stderr, a line each, in UTC.

    Calling it again changes the level and the format; handlers of others stay.

    Raises:
        ValueError: there is no such level.

    """
    handler = logging.StreamHandler(sys.stderr)
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
class PlainLine(logging.Formatter):
    """Write ``time level logger: message``; line ends within are shown as ``\\n``."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        text = text.replace("\r", "\\r").replace("\n", "\\n")
        return f"{_utc(record)} {record.levelname:<7} {record.name}: {text}"


@final
class JsonLine(logging.Formatter):
    """
    Write an object with ``time``, ``level``, ``logger`` and ``message``.

    What was logged with ``extra={"facts": …}`` is there as ``facts``, so that nobody
    needs to take the message apart.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return one line; ``exception`` holds the trace, if there is one."""
        line: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts = getattr(record, "facts", None)
        if facts is not None:
            line["facts"] = facts
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return dumps(line, ensure_ascii=False)


def suffix(detail: str) -> str:
    """Return a detail as the end of a message: one line, not a whole web page."""
    # Cut twice, so that a long text is not split up for nothing.
    text = " ".join(detail[: 2 * _LONGEST_DETAIL].split())[:_LONGEST_DETAIL]
    return f": {text}" if text else ""


def _utc(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
