"""Rows as the bytes of a Parquet file, and back."""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.store.parquet.places import span_of
from ingestion_server.store.parquet.rows import NEVER, Rows, Words

VERSION: Final = 1
FOOTER: Final = 8
"""Bytes behind the footer itself: its length, and what every such file ends with."""
_MAGIC: Final = b"PAR1"
_KEY: Final = b"ingestion_server"
_CHECKSUM: Final = b"ingestion_server.crc32"
_STATES: Final = {BarState.FINAL: "final", BarState.REVISED: "revised"}

_WORD: Final = pa.dictionary(pa.int32(), pa.string())
_TIME: Final = pa.timestamp("ns", "UTC")
_PRICES: Final = ("open", "high", "low", "close")
_VARYING: Final = ("state", "provider", "currency", "volume_unit")
_TYPES: Final = {
    "symbol": _WORD,
    "asset_class": _WORD,
    "exchange": _WORD,
    "interval": _WORD,
    "adjustment": _WORD,
    "session": _WORD,
    "currency": _WORD,
    "open_time": _TIME,
    **dict.fromkeys((*_PRICES, "volume"), pa.float64()),
    "volume_unit": _WORD,
    "state": _WORD,
    "provider": _WORD,
    "received_at": _TIME,
    "derived": pa.bool_(),
    "revised_at": _TIME,
}
_MAY_BE_NULL: Final = {*_PRICES, "volume", "revised_at"}
COLUMNS: Final = tuple(_TYPES)
_SCHEMA: Final = pa.schema(
    [pa.field(name, kind, name in _MAY_BE_NULL) for name, kind in _TYPES.items()]
)
_READ: Final = [name for name in COLUMNS if name not in COLUMNS[:6]]
WRITING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 1,
    # Prices are few different ones, times and volumes are not.
    "use_dictionary": [
        name for name in COLUMNS if name not in {"open_time", "volume", "derived"}
    ],
    "column_encoding": {"open_time": "DELTA_BINARY_PACKED"},
    "write_statistics": ["symbol", "open_time"],
    "write_page_checksum": True,
    # Else words would be read as categories, which few programs can join.
    "store_schema": False,
}


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Say what a file holds."""

    version: int = VERSION
    instrument: Instrument
    interval: Interval
    adjustment: Adjustment
    hours: TradingHours
    year: int
    revisions: bool = False
    """Whether its bars are those that lost their place."""
    covered: tuple[Span, ...] = ()
    """What is complete, ascending, without overlap; of revisions, nothing is."""


class BrokenFileError(ValueError):
    """Say why bytes are not a file of ours."""


def encoded(head: Head, rows: Rows) -> pa.Buffer:
    """Return the bytes of a file."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, _SCHEMA, **WRITING) as writer:
        writer.write_table(_table(head, rows), row_group_size=max(len(rows), 1))
        said = msgspec.json.encode(head)
        # Pages have checksums of their own; this would have none.
        writer.add_key_value_metadata({_KEY: said, _CHECKSUM: _checksum(said)})
    return sink.getvalue()


def _table(head: Head, rows: Rows) -> pa.Table:
    count, whose = len(rows), head.instrument
    one = pa.array(np.zeros(count, np.int32))
    columns = {
        "symbol": _word(one, whose.symbol),
        "asset_class": _word(one, whose.asset_class),
        "exchange": _word(one, whose.exchange),
        "interval": _word(one, head.interval),
        "adjustment": _word(one, head.adjustment),
        "session": _word(one, head.hours),
        "open_time": pa.array(rows.open_time_ns).view(_TIME),
        "volume": pa.array(rows.volume, from_pandas=True),
        "currency": _words(rows.currency),
        "volume_unit": _words(rows.volume_unit),
        "state": _states(rows.states),
        "provider": _words(rows.provider),
        "received_at": pa.array(rows.received_at_ns).view(_TIME),
        "derived": pa.array(rows.derived),
        "revised_at": pa.array(
            rows.revised_at_ns, mask=rows.revised_at_ns == NEVER
        ).view(_TIME),
    }
    for name, values in zip(_PRICES, rows.prices, strict=True):
        columns[name] = pa.array(values, from_pandas=True)
    return pa.Table.from_arrays([columns[name] for name in COLUMNS], schema=_SCHEMA)


def footer_length(end: bytes) -> int:
    """
    Return how long the footer is, by the last bytes of a file.

    Raises:
        BrokenFileError: It is no Parquet file.

    """
    if len(end) < FOOTER or end[-4:] != _MAGIC:
        raise BrokenFileError("it does not end as a Parquet file does")
    return int.from_bytes(end[-8:-4], "little")


def head_of(footer: bytes) -> Head:
    """
    Read the head of a file by its footer, the bytes behind that included.

    Raises:
        BrokenFileError: It is not one of ours.

    """
    try:
        # Where there is nothing but a footer, a footer can be read.
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + footer))
    except _BROKEN as error:
        raise BrokenFileError(str(error)) from error
    return _head(metadata.metadata)


def decoded(content: bytes) -> tuple[Head, Rows]:
    """
    Read a file.

    Raises:
        BrokenFileError: It is not one of ours, or not whole.

    """
    try:
        file = pq.ParquetFile(
            pa.BufferReader(content),
            read_dictionary=list(_VARYING),
            page_checksum_verification=True,
        )
        head = _head(file.metadata.metadata)
        if tuple(file.schema.names) != COLUMNS:
            raise BrokenFileError("it has other columns")
        rows = _rows(file.read(_READ, use_threads=False))
    except _BROKEN as error:
        raise BrokenFileError(str(error)) from error
    _check(head, rows)
    return head, rows


# What pyarrow raises depends on where in a file the damage is.
_BROKEN: Final = (
    pa.ArrowException,
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
)


def _head(metadata: dict[bytes, bytes] | None) -> Head:
    said = (metadata or {}).get(_KEY)
    if metadata is None or said is None:
        raise BrokenFileError("another program wrote it")
    if metadata.get(_CHECKSUM) != _checksum(said):
        raise BrokenFileError("its head is damaged")
    try:
        head = msgspec.json.decode(said, type=Head)
    except msgspec.MsgspecError as error:
        raise BrokenFileError(str(error)) from error
    if head.version != VERSION:
        raise BrokenFileError(f"it is of version {head.version}, not {VERSION}")
    return head


def _checksum(said: bytes) -> bytes:
    return b"%08x" % zlib.crc32(said)


def _rows(table: pa.Table) -> Rows:
    columns = {
        name: column.combine_chunks()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    first, high, low, last = (_floats(columns[name]) for name in _PRICES)
    return Rows(
        _times(columns["open_time"]),
        (first, high, low, last),
        _floats(columns["volume"]),
        _numbers(_codes(columns["state"])),
        _codes(columns["provider"]),
        _times(columns["received_at"]),
        columns["derived"].to_numpy(zero_copy_only=False),
        _codes(columns["currency"]),
        _codes(columns["volume_unit"]),
        _times(columns["revised_at"]),
    )


def _check(head: Head, rows: Rows) -> None:
    times = rows.open_time_ns
    year = span_of(head.year)
    steps = np.diff(times)
    ascending = (steps >= 0).all() if head.revisions else (steps > 0).all()
    if not ascending or (
        len(times) and not year.start_ns <= times[0] <= times[-1] < year.end_ns
    ):
        raise BrokenFileError("its bars are out of order")


def _word(one: pa.Array, word: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(one, pa.array([word], pa.string()))


def _words(column: Words) -> pa.Array:
    names = pa.array(column.names, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(column.codes), names)


def _states(states: npt.NDArray[np.uint8]) -> pa.Array:
    codes = (states == BarState.REVISED).astype(np.int32)
    return _words(Words(codes, tuple(_STATES.values())))


def _codes(column: pa.Array) -> Words:
    codes = column.indices.to_numpy().astype(np.int32)
    names = tuple(column.dictionary.to_pylist())
    known = not len(codes) or 0 <= codes.min() <= codes.max() < len(names)
    if not known or not all(isinstance(name, str) for name in names):
        raise BrokenFileError("it lacks a word")
    return Words(codes, names)


def _numbers(column: Words) -> npt.NDArray[np.uint8]:
    known = {word: state for state, word in _STATES.items()}
    states = np.array([known[word] for word in column.names], np.uint8)
    return states[column.codes]


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return values


def _times(column: pa.Array) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.view(pa.int64()).fill_null(NEVER).to_numpy()
    return values
