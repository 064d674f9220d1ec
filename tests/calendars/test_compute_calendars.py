"""The real library, in real child processes."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ingestion_server.calendars import ComputedCalendars, archive, child, compute
from ingestion_server.domain.sessions import Sessions
from tests.calendars.fakes import label

ROOT = Path(child.__file__).parents[2]
NAMES = ("XNYS", "XTKS", "XHKG", "XMOS")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sessions | None]:
    """Compute the calendars of this module once."""

    async def ask() -> dict[str, Sessions | None]:
        """Ask for all at the same time."""
        async with ComputedCalendars(tmp_path_factory.mktemp("cache")) as calendars:
            answers = await asyncio.gather(*map(calendars.sessions, NAMES))
            return dict(zip(NAMES, answers, strict=True))

    return asyncio.run(ask())


def row(sessions: Sessions | None, date: str) -> int | None:
    """Find the row of a date."""
    assert sessions is not None
    assert sessions.covers_from_ns <= label(date) < sessions.covers_until_ns
    (rows,) = np.nonzero(sessions.labels_ns == label(date))
    return int(rows[0]) if rows.size else None


def hours(sessions: Sessions | None, date: str, zone: str = "UTC") -> str | None:
    """Write the hours of a date, such as ``09:00-11:30,12:30-15:00``."""
    i = row(sessions, date)
    if i is None:
        return None
    assert sessions is not None

    def clock(ns: int) -> str:
        return dt.datetime.fromtimestamp(ns / 1e9, tz=ZoneInfo(zone)).strftime("%H:%M")

    text = clock(sessions.opens_ns[i])
    if sessions.break_starts_ns[i] != -1:
        breaks = sessions.break_starts_ns[i], sessions.break_ends_ns[i]
        text += f"-{clock(breaks[0])},{clock(breaks[1])}"
    return f"{text}-{clock(sessions.closes_ns[i])}"


@pytest.mark.parametrize(
    ("name", "date", "utc"),
    [
        ("XNYS", "2024-07-03", "13:30-17:00"),  # half day, in summer
        ("XNYS", "2024-07-04", None),  # Independence Day
        ("XNYS", "2024-11-28", None),  # Thanksgiving
        ("XNYS", "2024-11-29", "14:30-18:00"),  # half day, in winter
        ("XNYS", "2024-03-08", "14:30-21:00"),  # the last before DST
        ("XNYS", "2024-03-11", "13:30-20:00"),  # the first of DST
        ("XNYS", "2024-11-01", "13:30-20:00"),
        ("XNYS", "2024-11-04", "14:30-21:00"),
        ("XNYS", "2024-06-01", None),  # Saturday
        ("XNYS", "2001-09-12", None),  # closed without notice
        ("XNYS", "1952-10-04", None),  # the first Saturday for good
        ("XTKS", "2024-05-01", "00:00-02:30,03:30-06:00"),
        ("XTKS", "2024-11-04", None),  # Culture Day, observed
        ("XTKS", "2024-11-05", "00:00-02:30,03:30-06:30"),  # longer from here on
        ("XHKG", "2024-12-23", "01:30-04:00,05:00-08:00"),
        ("XHKG", "2024-12-24", "01:30-04:00"),  # half day: no break
    ],
)
def test_known_days(
    real: Mapping[str, Sessions | None], name: str, date: str, utc: str | None
) -> None:
    """Holidays, half days, breaks and changes of the clock are where they were."""
    assert hours(real[name], date) == utc


def test_breaks_before_1970(real: Mapping[str, Sessions | None]) -> None:
    """A break before the epoch is a negative time, and is not taken for none."""
    local = hours(real["XHKG"], "1965-06-01", "Asia/Hong_Kong")
    assert local is not None
    assert local.count(",") == 1


def test_ranges(real: Mapping[str, Sessions | None]) -> None:
    """
    A calendar begins at its bound, and ends a year from now.

    In New York it begins when there were no Saturdays any more: the library does not
    have them, and "no session" would be a lie.
    """
    new_york, tokyo = real["XNYS"], real["XTKS"]
    assert new_york is not None
    assert tokyo is not None
    assert new_york.covers_from_ns == label("1952-09-29")
    assert tokyo.covers_from_ns == label("1997-01-01")
    now = label(dt.datetime.now(tz=dt.UTC).date().isoformat())
    assert 364 <= (new_york.covers_until_ns - now) // archive.DAY_NS <= 367
    assert (new_york.zone, tokyo.zone) == ("America/New_York", "Asia/Tokyo")
    assert np.all(new_york.break_starts_ns == -1)


def test_no_session_is_left_out_in_silence(
    real: Mapping[str, Sessions | None],
) -> None:
    """With a pandas that loses Moscow's Saturdays there is no Moscow at all."""
    moscow = real["XMOS"]
    assert moscow is None or row(moscow, "2024-04-27") is not None


def test_no_pandas_in_this_process(tmp_path: Path) -> None:
    """The process that asks for a calendar imports neither library."""
    script = """
        import asyncio, pathlib, sys
        from ingestion_server.calendars import ComputedCalendars

        async def main():
            async with ComputedCalendars(pathlib.Path(sys.argv[1])) as calendars:
                always, never = await asyncio.gather(
                    calendars.sessions("24/7"), calendars.sessions("BOGUS")
                )
                assert always.opens_ns[1] == always.closes_ns[0]
                assert never is None

        asyncio.run(main())
        assert not {"pandas", "exchange_calendars"} & set(sys.modules)
    """
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=ROOT,
        check=True,
    )


def test_the_child_dies_with_its_parent() -> None:
    """When standard input ends, the child does, long before it would be done."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", compute.__name__, "XNYS", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


@pytest.mark.parametrize(
    ("day", "later"), [("2023-05-01", "2024-05-01"), ("2024-02-29", "2025-02-28")]
)
def test_a_year_after(day: str, later: str) -> None:
    """A year after a leap day there is one day less in February."""
    after = compute._a_year_after(dt.date.fromisoformat(day))  # noqa: SLF001
    assert after == dt.date.fromisoformat(later)
