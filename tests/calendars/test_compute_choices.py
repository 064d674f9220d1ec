"""Which dates are asked of the library, and what becomes of its answer."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ingestion_server.calendars import archive, compute
from tests.calendars.fakes import HOUR_NS, LIBRARY, label

TODAY = dt.date(2024, 2, 29)
NAT = np.iinfo(np.int64).min


class InvalidCalendarNameError(Exception):
    """Stand for the library's error of about that name."""


class OrthodoxEaster:
    """Stand for the offset whose addition pandas 3.1 broke."""

    works = True

    def __radd__(self, other: object) -> object:
        """Add, or refuse as pandas does."""
        if self.works:
            return other
        raise NotImplementedError


class Library:
    """Stand for ``exchange_calendars``: one calendar, open on every day."""

    name = "XLON"
    refuses_before = "1900-01-01"
    bounds: tuple[dt.datetime | None, dt.datetime | None] = (None, None)
    day: object = object()

    def __init__(self) -> None:
        """Begin with no calls."""
        self.asked: list[tuple[str, str]] = []

    def get_calendar(
        self, name: str, start: str = "2010-01-01", end: str = "2024-06-01"
    ) -> Any:
        """Give the calendar, or fail as the library does."""
        if name != self.name:
            raise InvalidCalendarNameError
        self.asked.append((start, end))
        if start < self.refuses_before:
            raise ValueError(f"not from {start}")
        labels = np.arange(label(start), label(end) + 1, archive.DAY_NS)
        none = np.full(labels.shape, NAT)
        first, last = self.bounds
        return SimpleNamespace(
            name=name,
            tz=SimpleNamespace(key="Europe/London"),
            day=self.day,
            first_session=1,
            bound_min=lambda: first,
            bound_max=lambda: last,
            sessions_nanos=labels,
            opens_nanos=labels + 8 * HOUR_NS,
            closes_nanos=labels + 16 * HOUR_NS,
            break_starts_nanos=none,
            break_ends_nanos=none,
        )


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """Put the stand-in where the library would be imported from."""
    library = Library()
    module: Any = ModuleType("exchange_calendars")
    module.get_calendar = library.get_calendar
    module.errors = SimpleNamespace(InvalidCalendarName=InvalidCalendarNameError)
    extensions: Any = ModuleType("exchange_calendars.pandas_extensions")
    extensions.offsets = SimpleNamespace(
        __name__=__name__, OrthodoxEaster=OrthodoxEaster
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, extensions.__name__, extensions)
    return library


def covered(computed: archive.Computed | None) -> tuple[int, int]:
    """Tell the range of labels."""
    assert computed is not None
    return computed.sessions.covers_from_ns, computed.sessions.covers_until_ns


def test_from_1950_for_another_year(library: Library) -> None:
    """Without bounds it is from 1950 until a year from today, inclusive."""
    computed = compute.compute("XLON", TODAY)
    assert covered(computed) == (label("1950-01-01"), label("2025-03-01"))
    assert computed is not None
    assert not computed.exhausted
    assert np.all(computed.sessions.break_starts_ns == -1)
    assert library.asked == [
        ("2023-12-31", "2024-06-01"),
        ("1950-01-01", "2025-02-28"),
    ]


def test_bounds_are_kept(library: Library) -> None:
    """A calendar's own bounds are kept, and a near upper one is remembered."""
    library.bounds = (dt.datetime(1997, 5, 1), dt.datetime(2024, 12, 31))  # noqa: DTZ001
    library.refuses_before = "1997-05-01"
    computed = compute.compute("XLON", TODAY)
    assert covered(computed) == (label("1997-05-01"), label("2025-01-01"))
    assert computed is not None
    assert computed.exhausted


def test_later_starts_are_tried(library: Library) -> None:
    """A calendar that fails on its past is asked for less of it."""
    library.refuses_before = "1985-01-01"
    assert covered(compute.compute("XLON", TODAY))[0] == label("1990-01-01")


def test_the_last_refusal_is_raised(library: Library) -> None:
    """A calendar that fails from every start says why."""
    library.refuses_before = "2021-01-01"
    with pytest.raises(ValueError, match="not from 2020-01-01"):
        compute.compute("XLON", TODAY)


def test_no_dates_at_all(library: Library) -> None:
    """A calendar that begins after its end has nothing to give."""
    library.bounds = (dt.datetime(2030, 1, 1), None)  # noqa: DTZ001
    with pytest.raises(ValueError, match="no dates before"):
        compute.compute("XLON", TODAY)


def test_out_of_bounds_today(library: Library) -> None:
    """Where not even the recent past is accepted, the library's default tells more."""
    library.refuses_before = "2010-01-01"
    library.bounds = (dt.datetime(2010, 1, 1), None)  # noqa: DTZ001
    computed = compute.compute("XLON", dt.date(2010, 1, 31))
    assert covered(computed) == (label("2010-01-01"), label("2011-02-01"))
    assert library.asked[:2] == [
        ("2009-12-02", "2024-06-01"),
        ("2010-01-01", "2024-06-01"),
    ]


@pytest.mark.parametrize("works", [True, False])
def test_lost_sessions_are_refused(
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    works: bool,  # noqa: FBT001
) -> None:
    """A calendar of special days is refused where pandas ignores those."""
    library.day = OrthodoxEaster()
    monkeypatch.setattr(OrthodoxEaster, "works", works)
    if works:
        assert compute.compute("XLON", TODAY) is not None
    else:
        with pytest.raises(RuntimeError, match=r"install another, such as pandas<3\.1"):
            compute.compute("XLON", TODAY)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call the command with arguments."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["compute", *arguments])
        return compute.main()

    return run


@pytest.mark.usefixtures("library")
def test_the_command_writes_a_file(call: Callable[..., int], tmp_path: Path) -> None:
    """By hand, the answer goes into a file."""
    assert call("XLON", str(tmp_path / "out.npz"), "2024-02-29") == 0
    read = archive.read(tmp_path / "out.npz", "XLON", LIBRARY)
    assert covered(read)[1] == label("2025-03-01")


@pytest.mark.usefixtures("library")
def test_the_command_knows_today(call: Callable[..., int], tmp_path: Path) -> None:
    """Without a date, today is today."""
    assert call("XLON", str(tmp_path / "out.npz")) == 0
    read = archive.read(tmp_path / "out.npz", "XLON", LIBRARY)
    assert covered(read)[1] > label(dt.datetime.now(tz=dt.UTC).date().isoformat())


@pytest.mark.usefixtures("library")
def test_the_command_says_unknown(call: Callable[..., int], tmp_path: Path) -> None:
    """A name that the library does not know has an exit status of its own."""
    assert call("BOGUS", str(tmp_path / "out.npz")) == 3
    assert not (tmp_path / "out.npz").exists()
