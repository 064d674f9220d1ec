"""What a line of log looks like."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from ingestion_server.telemetry.logs import configure_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def log_failure() -> None:
    """Log a failure with its trace, and a text of two lines."""
    try:
        int("bad")
    except ValueError:
        logging.getLogger("house").exception("first\nsecond %d", 2)


def test_a_plain_line_is_one_line_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")

    logging.getLogger("house").debug("unheard")
    log_failure()

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    time, level, logger, text = lines[0].split(maxsplit=3)
    assert time.endswith("Z")
    assert (level, logger) == ("ERROR", "house:")
    assert text.startswith("first\\nsecond 2\\nTraceback")


def test_a_json_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", json=True)

    log_failure()
    logging.getLogger("house").info("fine")

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "exception" not in json.loads(lines[1])
    line = json.loads(lines[0])
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"]) == ("ERROR", "house")
    assert line["message"] == "first\nsecond 2"
    assert "ValueError: invalid literal" in line["exception"]


def test_odd_text_is_one_line_and_still_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = "a\u2028b\x85c\x1b[2Jd\x00e\x7f\u2029\x9bf"
    house = logging.getLogger("house")

    configure_logging("INFO", json=True)
    house.info("odd %s", odd)
    house.info("facts", extra={"facts": {"share": float("nan")}})
    (first, second) = capsys.readouterr().err.splitlines()
    configure_logging("INFO")
    house.info("odd %s", odd)
    (plain,) = capsys.readouterr().err.splitlines()

    def refused(word: str) -> float:
        raise AssertionError(word)

    assert json.loads(first)["message"] == f"odd {odd}"
    assert "nan" in json.loads(second, parse_constant=refused)["facts"]
    assert plain.isprintable()
    assert plain.endswith("odd a\\u2028b\\x85c\\x1b[2Jd\\x00e\\x7f\\u2029\\x9bf")


def test_configuring_again_replaces_and_does_not_add(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("DEBUG", json=True)
    configure_logging("WARNING")

    logging.getLogger("house").info("unheard")
    logging.getLogger("house").warning("heard")

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("loud")
