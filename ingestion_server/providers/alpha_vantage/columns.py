"""
Rows of numbers written as text, turned into columns.

The numbers before field names differ from layout to layout ("5. volume" and
"6. volume" [R]), so a field is known by the words after its number. The decoder is
made for the fields of the first row, and goes in one pass from the bytes of the page
to floats, without keeping text; a page whose rows differ among themselves is read the
slow way.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from math import nan
from struct import Struct
from typing import Final, Protocol

import msgspec
import numpy as np

from ingestion_server.domain.bars import BarSeries, Column
from ingestion_server.providers.alpha_vantage.payloads import (
    UNREADABLE,
    malformed,
    names,
    quoted,
)
from ingestion_server.providers.alpha_vantage.stamps import wall_times

PRICES: Final = ("open", "high", "low", "close")
COLUMNS: Final = (*PRICES, "volume")
_FIELD: Final = re.compile(
    r"(?:\d+[a-z]?[.:])?\s*(?P<name>[a-z]+)\s*(?:\((?P<unit>\w+)\))?", re.IGNORECASE
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9 .:()_%-]+")
"""msgspec takes no quotes or control characters as names of fields."""
_TIME_COLUMNS: Final = frozenset({"timestamp", "time"})
"""``time`` headed the retired extended history [R]."""
_MOST_FIELDS: Final = 24
"""A row with more is none the vendor documents; no decoder is made for it."""

_any_rows: Final = msgspec.json.Decoder(dict[str, dict[str, str | float | None]])
_first_row: Final = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])


class _Row(Protocol):
    """Be a row of any layout; NaN where the vendor gives no number."""

    open: float
    high: float
    low: float
    close: float
    volume: float


class _Page(Protocol):
    rows: dict[str, _Row]


def at_once(
    body: bytes, member: str, first_row: msgspec.Raw, unit: str
) -> BarSeries | None:
    """
    Read the rows of a page, as ``from_json`` does; None if they are not all alike.

    Args:
        body: the whole page.
        member: the name of the member that holds the rows.
        first_row: that member with the first of its rows alone.
        unit: chooses between twin columns.

    Raises:
        MalformedPayloadError: They have no prices.

    """
    try:
        (fields,) = map(tuple, _first_row.decode(first_row).values())
    except (*UNREADABLE, ValueError):
        return None
    plain = all(map(_PLAIN.fullmatch, (member, *fields)))
    if not plain or not 0 < len(fields) <= _MOST_FIELDS:
        return None
    places = _places(fields, unit)
    try:
        page = _page_decoder(member, fields, tuple(places.items())).decode(body)
    except UNREADABLE:
        return None
    rows = list(page.rows.values())
    # Not by the names of the columns: written out, it takes half the time. And numpy
    # takes twice as long as ``struct`` to look at each number.
    pack = Struct(f"{len(rows)}d").pack
    columns = {
        "open": pack(*[row.open for row in rows]),
        "high": pack(*[row.high for row in rows]),
        "low": pack(*[row.low for row in rows]),
        "close": pack(*[row.close for row in rows]),
        "volume": pack(*[row.volume for row in rows]),
    }
    return _series(
        list(page.rows), {name: np.frombuffer(columns[name]) for name in places}
    )


def from_json(rows: msgspec.Raw, unit: str) -> BarSeries:
    """
    Read the rows of a series, in the vendor's order, stamped by its wall clock.

    ``unit`` chooses between twin columns such as ``1a. open (CNY)`` and
    ``1b. open (USD)`` [R]. A price that is missing or no number is NaN.

    Raises:
        MalformedPayloadError: They are no rows, or have no prices.

    """
    try:
        found = _any_rows.decode(rows)
    except UNREADABLE as error:
        raise malformed(f"rows that cannot be read ({error})") from error
    if not found:
        return _series([], {})
    fields = dict.fromkeys(name for row in found.values() for name in row)
    return _series(
        list(found),
        {
            column: _numbers([row.get(name) for row in found.values()])
            for column, name in _places(fields, unit).items()
        },
    )


def from_csv(text: str, unit: str) -> BarSeries:
    """
    Read a table with a header, in the vendor's order, stamped by its wall clock.

    Raises:
        MalformedPayloadError: It is no such table.

    """
    lines = text.strip().splitlines()
    header = [name.strip() for name in lines[0].split(",")] if lines else []
    if not header or header[0].lower() not in _TIME_COLUMNS:
        start = lines[0] if lines else ""
        raise malformed(f"neither an object nor a table: {quoted(start)}")
    width, rows = len(header), lines[1:]
    if any(row.count(",") != width - 1 for row in rows):
        raise malformed(f"a table whose rows do not all have {width} fields")
    cells = ",".join(rows).split(",") if rows else []
    places = _places(header[1:], unit)
    return _series(
        [stamp.strip() for stamp in cells[::width]],
        {
            column: _numbers(cells[header.index(name) :: width])
            for column, name in places.items()
        },
    )


def number(value: str | float | None) -> float:
    """
    Return a number as the vendor writes it, NaN for none.

    ``None``, ``-`` and ``.`` mean that there is none [R]; other text that is no
    number loses its row by becoming NaN too, not the page.
    """
    if value is None:
        return nan
    try:
        return float(value)
    except ValueError:
        return nan


def _places(fields: Collection[str], unit: str) -> dict[str, str]:
    """
    Return which vendor's field fills which column.

    Raises:
        MalformedPayloadError: None is a price.

    """
    places: dict[str, str] = {}
    for field in fields:
        found = _FIELD.fullmatch(field.strip())
        column = found["name"].lower() if found else ""
        if found is None or column not in COLUMNS:
            continue
        if found["unit"] is None or found["unit"].upper() == unit:
            places.setdefault(column, field)
    if not places.keys() & set(PRICES):
        raise malformed(
            "rows without open, high, low and close"
            + (f" in {unit}" if unit else "")
            + f", but with {names(fields)}"
        )
    return places


@lru_cache(maxsize=32)
def _page_decoder(
    member: str, fields: tuple[str, ...], places: tuple[tuple[str, str], ...]
) -> msgspec.json.Decoder[_Page]:
    """Return a decoder of rows that have some of these fields and no other."""
    columns = {field: column for column, field in places}
    attributes = {
        columns.get(field, f"unused_{position}"): field
        for position, field in enumerate(fields)
    }
    row = msgspec.defstruct(
        "Row",
        [
            (name, float, nan)
            if name in COLUMNS
            else (name, msgspec.Raw, msgspec.Raw())
            for name in attributes
        ],
        # A column that this layout lacks is looked for all the same.
        namespace=dict.fromkeys(set(COLUMNS) - attributes.keys(), nan),
        rename=attributes,
        forbid_unknown_fields=True,
        gc=False,
    )
    page = msgspec.defstruct(
        "Page",
        [("rows", dict[str, row])],  # type: ignore[valid-type]
        rename={"rows": member},
    )
    # Not strict: numbers are written as text.
    return msgspec.json.Decoder(page, strict=False)


def _numbers(values: Sequence[str | float | None]) -> Column:
    try:
        return np.fromiter(map(float, values), np.float64, len(values))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return np.fromiter(map(number, values), np.float64, len(values))


def _series(stamps: list[str], columns: dict[str, Column]) -> BarSeries:
    absent = np.full(len(stamps), nan)
    return BarSeries(
        wall_times(stamps),
        columns.get("open", absent),
        columns.get("high", absent),
        columns.get("low", absent),
        columns.get("close", absent),
        columns.get("volume"),
    )
