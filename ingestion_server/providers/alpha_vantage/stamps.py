"""
Times as Alpha Vantage writes them: dates, and naive wall clocks.

Intraday stamps of equities are readings of New York's clock [R], those of FX and
crypto are UTC [R].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.interval import DAY_NS, HOUR_NS, SECOND_NS, Times
from ingestion_server.domain.venues import VENUES
from ingestion_server.providers.alpha_vantage.declarations import (
    EASTERN,
    IntradayLabel,
)
from ingestion_server.providers.alpha_vantage.payloads import malformed, quoted

_TEMPLATE: Final = "0000-00-00 00:00:00"
_LENGTHS: Final = frozenset({10, 16, 19})
"""A date alone, with hours and minutes, with seconds."""
_DIGITS: Final = np.array([i for i, c in enumerate(_TEMPLATE) if c == "0"])
_MARKS: Final = np.array([i for i, c in enumerate(_TEMPLATE) if c != "0"])
_MARK_BYTES: Final = np.frombuffer(_TEMPLATE.encode(), np.uint8)[_MARKS]
_ZERO: Final = ord("0")
_NINE: Final = 9
_YEARS: Final = (1900, 2099)
"""Nanoseconds and time zones are only good for about these."""
_DAYS_OF_YEARS: Final = tuple(
    int(np.datetime64(f"{year}-01-01", "D").astype(np.int64))
    for year in (_YEARS[0], _YEARS[1] + 1)
)
_DATE_LENGTH: Final = 10

_ZONES: Final[Mapping[str, str]] = MappingProxyType(
    {venue.zone: venue.zone for venue in VENUES.values()}
    | {"US/Eastern": EASTERN, "UTC": "UTC"}
)

_LAST_HOUR: Final = 20
_FIRST_HOUR: Final = 4
"""Extended trading lasts from 04:00 to 20:00 in New York."""


def wall_times(texts: Sequence[str]) -> Times:
    """
    Return dates and clock readings in nanoseconds, as if they were UTC.

    Raises:
        MalformedPayloadError: One is no date, or no date of our age.

    """
    if not texts:
        return np.empty(0, np.int64)
    joined = "".join(texts)
    days = _plain_days(joined, texts)
    if days is not None:
        return days
    lengths = set(map(len, texts))
    if not lengths <= _LENGTHS or not joined.isascii():
        raise _no_time(
            next(t for t in texts if len(t) not in _LENGTHS or not t.isascii())
        )
    if len(lengths) > 1:
        joined = "".join(text + _TEMPLATE[len(text) :] for text in texts)
    width = max(lengths) if len(lengths) == 1 else len(_TEMPLATE)
    letters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, width)
    digits = letters[:, _DIGITS[width > _DIGITS]] - np.uint8(_ZERO)
    marks = _MARKS[width > _MARKS]
    good = (digits <= _NINE).all(axis=1)
    good &= (letters[:, marks] == _MARK_BYTES[: len(marks)]).all(axis=1)
    pairs = digits[:, ::2] * np.int64(10) + digits[:, 1::2]
    years, months, days = pairs[:, 0] * 100 + pairs[:, 1], pairs[:, 2], pairs[:, 3]
    good &= (years >= _YEARS[0]) & (years <= _YEARS[1])
    first_days = ((years - 1970) * 12 + months - 1).astype("datetime64[M]")
    dates = first_days.astype("datetime64[D]") + (days - 1).astype("timedelta64[D]")
    good &= (months >= 1) & (months <= 12) & (days >= 1)  # noqa: PLR2004 - December
    good &= dates.astype("datetime64[M]") == first_days
    seconds = dates.astype(np.int64) * (DAY_NS // SECOND_NS)
    for pair, (limit, unit) in enumerate(((24, 3600), (60, 60), (60, 1)), start=4):
        if pair < pairs.shape[1]:
            good &= pairs[:, pair] < limit
            seconds += pairs[:, pair] * unit
    if not good.all():
        raise _no_time(texts[int(np.argmin(good))])
    return np.asarray(seconds * SECOND_NS, np.int64)


def _plain_days(joined: str, texts: Sequence[str]) -> Times | None:
    """Return dates, twice as fast; None if one of them needs a closer look."""
    dashes = "-" * len(texts)
    # That each has its dashes where they belong, numpy will see.
    if (
        len(joined) != len(texts) * _DATE_LENGTH
        or joined[4::_DATE_LENGTH] != dashes
        or joined[7::_DATE_LENGTH] != dashes
        or joined.count("-") != 2 * len(texts)
        or not joined.encode().translate(None, b"-").isdigit()
    ):
        return None
    try:
        days = np.array(texts, "datetime64[D]").astype(np.int64)
    except ValueError:
        return None
    first, last = _DAYS_OF_YEARS
    return days * DAY_NS if first <= days.min() and days.max() < last else None


def zone_named(name: str) -> str:
    """
    Return the time zone that the vendor names.

    Raises:
        MalformedPayloadError: It is none that an exchange of ours has.

    """
    zone = _ZONES.get(name.strip())
    if zone is None:
        raise malformed(f"times in the unknown zone {quoted(name)}")
    return zone


def label_shown(wall_ns: Times) -> IntradayLabel | None:
    """
    Return what a page of New York's extended trading shows about its stamps.

    A bar stamped 20:00 can only have ended then, one stamped 04:00 only have begun
    [R, M]. None if the page shows neither, or both.
    """
    hours = wall_ns % DAY_NS
    ends = bool((hours == _LAST_HOUR * HOUR_NS).any())
    starts = bool((hours == _FIRST_HOUR * HOUR_NS).any())
    if ends is starts:
        return None
    return "end" if ends else "start"


def _no_time(text: str) -> MalformedPayloadError:
    return malformed(f"a row dated {quoted(text)}")
