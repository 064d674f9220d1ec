"""
The child process: ``python -m ingestion_server.calendars.compute NAME OUTPUT``.

``OUTPUT`` is a file, or ``-`` for standard output. An optional third argument is
the date that counts as today (``2026-01-31``). With ``-`` the caller is a parent
process: standard input is the line to it, and its end is ours.

Exit status: 0, or 3 if the library knows no such calendar, or 1 with a traceback.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np

from ingestion_server.calendars import archive
from ingestion_server.calendars.child import UNKNOWN
from ingestion_server.domain.sessions import Sessions

# The first that a calendar accepts is taken. Some calendars name a bound, and are
# asked from there on; others just fail on holidays too far in the past.
_STARTS: Final = tuple(
    dt.date(year, 1, 1) for year in (1950, 1970, 1990, 2000, 2010, 2020)
)
# Before these dates the library is known to lack sessions: it has no Saturdays in New
# York, which traded on them for the last time in 1952.
_COMPLETE_SINCE: Final = {"XNYS": dt.date(1952, 9, 29)}


def compute(name: str, today: dt.date) -> archive.Computed | None:
    """Compute a calendar until a year from today; None if there is none such."""
    # Imported late: with `-` the watch over the parent must already be kept.
    import exchange_calendars  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        kind = exchange_calendars.get_calendar(
            name, start=(today - dt.timedelta(days=60)).isoformat()
        )
    except exchange_calendars.errors.InvalidCalendarName:
        return None
    except Exception:  # noqa: BLE001 - even the recent past can be out of bounds
        kind = exchange_calendars.get_calendar(name)
    bound, last = kind.bound_min(), kind.bound_max()
    first = _COMPLETE_SINCE.get(kind.name, dt.date.min)
    if bound is not None:
        first = max(first, bound.date())
    end = _a_year_after(today)
    exhausted = last is not None and last.date() <= end
    if exhausted:
        end = last.date()
    starts = sorted({max(start, first) for start in _STARTS if max(start, first) < end})
    for start in starts:
        try:
            calendar = exchange_calendars.get_calendar(
                name, start=start.isoformat(), end=end.isoformat()
            )
        except Exception:
            if start == starts[-1]:
                raise
        else:
            _refuse_wrong_days(calendar)
            return archive.Computed(
                _sessions(name, calendar, start, end), exhausted=exhausted
            )
    raise ValueError(f"{name} has no dates before {end}")


def _refuse_wrong_days(calendar: Any) -> None:  # noqa: ANN401 - no types over there
    """
    Raise if this pandas makes the library leave out sessions.

    Exchanges that used to trade on some Saturdays (XKRX, XMOS, XBOM) are built with
    offsets that the library derives from those of pandas. Since pandas 3.1 the
    overridden methods of such offsets are not called any more: most just fail, but
    these three lose the sessions in silence. No answer is better than that one.
    """
    from exchange_calendars.pandas_extensions import (  # type: ignore[import-untyped]  # noqa: PLC0415
        offsets,
    )

    if type(calendar.day).__module__ != offsets.__name__:
        return
    try:
        calendar.first_session + offsets.OrthodoxEaster()
    except NotImplementedError as e:
        raise RuntimeError(
            "this pandas ignores the offsets of exchange_calendars, and some sessions"
            " would be missing: install another, such as pandas<3.1"
        ) from e


def _sessions(
    name: str,
    calendar: Any,  # noqa: ANN401 - the library has no types
    start: dt.date,
    end: dt.date,
) -> Sessions:
    """Copy out what we keep of the library's calendar."""
    # "Not a time" is the smallest int64 over there and -1 over here; other negative
    # numbers are times before 1970.
    nat = np.iinfo(np.int64).min
    breaks = (calendar.break_starts_nanos, calendar.break_ends_nanos)
    break_starts, break_ends = (np.where(b == nat, -1, b) for b in breaks)
    return Sessions(
        calendar=name,
        zone=str(calendar.tz.key),
        labels_ns=calendar.sessions_nanos,
        opens_ns=calendar.opens_nanos,
        closes_ns=calendar.closes_nanos,
        break_starts_ns=break_starts,
        break_ends_ns=break_ends,
        covers_from_ns=_label(start),
        covers_until_ns=_label(end) + archive.DAY_NS,
    )


def _a_year_after(day: dt.date) -> dt.date:
    """Move one year on; the 29th of February becomes the 28th."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)


def _label(day: dt.date) -> int:
    """Give the nanoseconds of a date at 00:00 UTC."""
    return (day - dt.date(1970, 1, 1)).days * archive.DAY_NS


def _die_with_parent() -> None:
    """Exit as soon as nobody holds the other end of standard input any more."""

    def watch() -> None:
        # A killed parent runs no cleanup, but the system closes its pipes.
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main() -> int:
    """Do what the command line says; return the exit status."""
    name, output, *rest = sys.argv[1:]
    to_parent = output == "-"
    answer = -1
    if to_parent:
        _die_with_parent()
        os.nice(10)  # the server's requests come first
        # Whatever a library prints must not end up amid the answer.
        answer = os.dup(1)
        os.dup2(2, 1)
    today = (
        dt.date.fromisoformat(rest[0]) if rest else dt.datetime.now(tz=dt.UTC).date()
    )
    computed = compute(name, today)
    if computed is None:
        return UNKNOWN
    data = archive.encode(computed, archive.library_version())
    if to_parent:
        with open(answer, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(data)
    else:
        archive.write(Path(output), data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
