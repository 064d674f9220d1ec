"""
Bars as bytes of the wire, from columns, without an object per bar.

Prices have a fixed width, and times from 1978 on have one too; so every bar that has
all of its values has the same layout. One array writes them all, and what a bar does
not have is cut out of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import bar_pb2

from ingestion_server.domain.bars import BarSeries, BarState, Column
from ingestion_server.domain.interval import SECOND_NS, Times
from ingestion_server.service.moments import timestamp
from ingestion_server.service.vocabulary import STATE_CODES

States = npt.NDArray[np.uint8]
"""A ``BarState`` per bar."""

_VARINT: Final = 0
_FIXED_8_BYTES: Final = 1
_LENGTH_FIRST: Final = 2
"""How a field is written, as the lowest three bits of its tag say."""


def field_tag(number: int, kind: int = _LENGTH_FIRST) -> int:
    """Return the byte before a field; its number is below 16."""
    return number << 3 | kind


_BARS: Final = field_tag(bar_pb2.BarSeries.BARS_FIELD_NUMBER)
_OPEN_TIME: Final = field_tag(bar_pb2.Bar.OPEN_TIME_FIELD_NUMBER)
_SECONDS: Final = field_tag(Timestamp.SECONDS_FIELD_NUMBER, _VARINT)
_SECONDS_BYTES: Final = 6
"""Of a point in time without nanoseconds: the tag, and the seconds."""
_VALUES: Final = tuple(
    field_tag(number, _FIXED_8_BYTES)
    for number in (
        bar_pb2.Bar.OPEN_FIELD_NUMBER,
        bar_pb2.Bar.HIGH_FIELD_NUMBER,
        bar_pb2.Bar.LOW_FIELD_NUMBER,
        bar_pb2.Bar.CLOSE_FIELD_NUMBER,
        bar_pb2.Bar.VOLUME_FIELD_NUMBER,
    )
)
_STATE: Final = field_tag(bar_pb2.Bar.STATE_FIELD_NUMBER, _VARINT)
_MORE: Final = 0x80
"""Marks a byte of a number that another one follows; each has seven bits of it."""
_FIRST_SECOND: Final = 1 << 28
"""From here on, in 1978, seconds take five bytes, and do so until 3058."""
_FIRST_NS: Final = 1 << 56
"""From here on, in 1972, nanoseconds take nine bytes for as long as there are any."""
_NS_BYTES: Final = 9

_ROW: Final = np.dtype(
    [
        ("bar", "u1"),
        ("bar_bytes", "u1"),
        ("time", "u1"),
        ("time_bytes", "u1"),
        ("seconds", "u1"),
        ("seconds_low", "<u4"),
        ("seconds_high", "u1"),
        *(
            part
            for place in range(len(_VALUES))
            for part in ((f"tag_{place}", "u1"), (f"value_{place}", "<f8"))
        ),
        ("state", "u1"),
        ("state_code", "u1"),
    ]
)
_FRAME_BYTES: Final = 2
"""What stands before a bar: its tag and its length."""
_VALUE_BYTES: Final = 9
_STATE_BYTES: Final = 2
_CODES: Final = np.zeros(max(BarState) + 1, np.uint8)
for _state, _code in STATE_CODES.items():
    _CODES[_state] = _code


def _full_row() -> npt.NDArray[np.void]:
    """Return a bar that has all values, without what differs between bars."""
    row = np.zeros((), _ROW)
    row["bar"], row["bar_bytes"] = _BARS, _ROW.itemsize - _FRAME_BYTES
    row["time"], row["time_bytes"] = _OPEN_TIME, _SECONDS_BYTES
    row["seconds"] = _SECONDS
    for place, tag in enumerate(_VALUES):
        row[f"tag_{place}"] = tag
    row["state"] = _STATE
    return row


def _kept() -> npt.NDArray[np.bool_]:
    """Return which bytes of a row stay, for each set of values that it can have."""
    first = _ROW.itemsize - _STATE_BYTES - len(_VALUES) * _VALUE_BYTES
    kept = np.ones((1 << len(_VALUES), _ROW.itemsize), np.bool_)
    for present, row in enumerate(kept):
        for place in range(len(_VALUES)):
            if not present >> place & 1:
                at = first + place * _VALUE_BYTES
                row[at : at + _VALUE_BYTES] = False
    return kept


_FULL_ROW: Final = _full_row()
_KEPT: Final = _kept()
_BAR_BYTES: Final = (_KEPT.sum(axis=1) - _FRAME_BYTES).astype(np.uint8)
_ALL_PRESENT: Final = len(_KEPT) - 1


def encoded_rows(series: BarSeries, states: States) -> bytes:
    """Return the bars as the field ``bars`` of the contract's ``BarSeries``."""
    seconds, nanos = np.divmod(series.open_time_ns, SECOND_NS)
    odd = np.flatnonzero((nanos != 0) | (seconds < _FIRST_SECOND))
    # Times ascend, so these are the first bars of a long history. A bar that opens
    # within a second would take those before it along, but no vendor has one.
    first = int(odd[-1]) + 1 if len(odd) else 0
    if not first:
        return _at_once(series, seconds, states)
    return _one_by_one(series.take(slice(0, first)), states[:first]) + _at_once(
        series.take(slice(first, None)), seconds[first:], states[first:]
    )


def encoded_columns(series: BarSeries, states: States) -> bytes:
    """Return the bars as the contract's ``BarColumns``."""
    columns = {
        bar_pb2.BarColumns.OPEN_FIELD_NUMBER: series.open,
        bar_pb2.BarColumns.HIGH_FIELD_NUMBER: series.high,
        bar_pb2.BarColumns.LOW_FIELD_NUMBER: series.low,
        bar_pb2.BarColumns.CLOSE_FIELD_NUMBER: series.close,
        bar_pb2.BarColumns.VOLUME_FIELD_NUMBER: series.volume,
    }
    parts = [_times(series.open_time_ns)]
    parts += [
        framed(number, column.astype("<f8", copy=False).tobytes())
        for number, column in columns.items()
        if column is not None and not np.isnan(column).all()
    ]
    if len(states):
        codes = _CODES[states].tobytes()
        parts.append(framed(bar_pb2.BarColumns.STATE_FIELD_NUMBER, codes))
    return b"".join(parts)


def framed(number: int, content: bytes) -> bytes:
    """Return a field that holds a message, or a column, of these bytes."""
    left = len(content)
    if left < _MORE:
        return bytes((field_tag(number), left)) + content
    head = bytearray((field_tag(number),))
    while left >= _MORE:
        head.append(left % _MORE | _MORE)
        left >>= 7
    head.append(left)
    return bytes(head) + content


def _at_once(series: BarSeries, seconds: Times, states: States) -> bytes:
    # As bytes: of rows, numpy would copy one field after the other.
    rows = np.frombuffer(bytearray(_FULL_ROW.tobytes() * len(series)), _ROW)
    rows["seconds_low"] = (
        seconds & 0x7F
        | seconds << 1 & 0x7F00
        | seconds << 2 & 0x7F0000
        | seconds << 3 & 0x7F000000
        | 0x80808080
    )
    rows["seconds_high"] = seconds >> 28
    rows["state_code"] = _CODES[states]
    present = np.zeros(len(series), np.uint8)
    for place, column in enumerate(_values(series)):
        if column is not None:
            rows[f"value_{place}"] = column
            present |= ~np.isnan(column) << np.uint8(place)
    if (present == _ALL_PRESENT).all():
        return rows.tobytes()
    rows["bar_bytes"] = _BAR_BYTES[present]
    every_byte = rows.view(np.uint8).reshape(len(rows), _ROW.itemsize)
    return every_byte[_KEPT[present]].tobytes()


def _one_by_one(series: BarSeries, states: States) -> bytes:
    return bar_pb2.BarSeries(bars=_bars(series, states)).SerializeToString()


def _bars(series: BarSeries, states: States) -> Iterator[bar_pb2.Bar]:
    absent = np.full(len(series), np.nan)
    values = [absent if column is None else column for column in _values(series)]
    for time_ns, code, *row in zip(
        series.open_time_ns.tolist(),
        _CODES[states].tolist(),
        *(column.tolist() for column in values),
        strict=True,
    ):
        first, high, low, close, traded = (
            None if math.isnan(value) else value for value in row
        )
        yield bar_pb2.Bar(
            open_time=timestamp(time_ns),
            open=first,
            high=high,
            low=low,
            close=close,
            volume=traded,
            state=code,
        )


def _values(series: BarSeries) -> tuple[Column | None, ...]:
    return series.open, series.high, series.low, series.close, series.volume


def _times(times_ns: Times) -> bytes:
    if not len(times_ns):
        return b""
    if times_ns.min() < _FIRST_NS:
        return bar_pb2.BarColumns(open_time_ns=times_ns).SerializeToString()
    varints = np.empty((len(times_ns), _NS_BYTES), np.uint8)
    for place in range(_NS_BYTES):
        varints[:, place] = times_ns >> 7 * place & 0x7F
    varints[:, :-1] |= _MORE
    return framed(bar_pb2.BarColumns.OPEN_TIME_NS_FIELD_NUMBER, varints.tobytes())
