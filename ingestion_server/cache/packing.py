"""What is kept of a series in a file, as bytes that tell whether they are whole."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
import numpy as np

from ingestion_server.cache.finals import Block, owned
from ingestion_server.cache.saved import Saved
from ingestion_server.cache.series import Terms
from ingestion_server.cache.spans import Spans
from ingestion_server.domain.bars import BarSeries, BarState
from ingestion_server.domain.quality import QualityFlag

_CHECK_BYTES: Final = 4
_COUNT_BYTES: Final = 4
_VOLUME: Final = 1
_WIDTH: Final = 8
_COLUMNS: Final = 6
"""Of eight bytes each: times, four prices, and when each bar came."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Hold all of a series but its bars."""

    terms: Terms
    day: int | None
    verified_ns: int
    since_ns: int
    latest_ns: int
    first_trade_ns: int | None
    flags: tuple[QualityFlag, ...]
    edges: list[int]
    numbers: list[int]
    """Of all its blocks."""


def head_of(saved: Saved) -> bytes:
    """Return all of a series but its bars."""
    coverage = Spans(saved.coverage)
    for void in saved.voids:
        coverage.cut(void.start_ns, void.end_ns)
    head = Head(
        terms=saved.terms,
        day=saved.day,
        verified_ns=saved.verified_ns,
        since_ns=saved.since_ns,
        latest_ns=saved.latest_ns,
        first_trade_ns=saved.first_trade_ns,
        flags=saved.flags,
        edges=coverage.edges,
        numbers=saved.numbers,
    )
    return _checked(msgspec.msgpack.encode(head))


def read_head(blob: bytes) -> Head:
    """
    Return what ``head_of`` made bytes of.

    Raises:
        ValueError: It is something else.

    """
    try:
        return msgspec.msgpack.decode(_content(blob), type=Head)
    except msgspec.MsgspecError as error:
        raise ValueError(f"a series is unreadable: {error}") from error


def restored(head: Head, blocks: dict[int, Block]) -> Saved:
    """
    Return what was saved.

    Raises:
        ValueError: What was asked for makes no sense.

    """
    return Saved(
        terms=head.terms,
        day=head.day,
        verified_ns=head.verified_ns,
        since_ns=head.since_ns,
        latest_ns=head.latest_ns,
        first_trade_ns=head.first_trade_ns,
        flags=head.flags,
        coverage=Spans.of(head.edges),
        voids=(),
        numbers=list(blocks),
        blocks=blocks,
        anew=False,
    )


def packed(block: Block) -> bytes:
    """Return the bars of a block: a head, then column by column."""
    series = block.series
    columns = [
        series.open_time_ns.astype("<i8"),
        block.received_ns.astype("<i8"),
        *(
            column.astype("<f8")
            for column in (series.open, series.high, series.low, series.close)
        ),
    ]
    if series.volume is not None:
        columns.append(series.volume.astype("<f8"))
    flags = _VOLUME if series.volume is not None else 0
    return _checked(
        b"".join(
            (
                len(block).to_bytes(_COUNT_BYTES, "big"),
                bytes((flags,)),
                block.states.tobytes(),
                *(column.tobytes() for column in columns),
            )
        )
    )


def unpacked(blob: bytes) -> Block:
    """
    Return the bars that ``packed`` made bytes of.

    Raises:
        ValueError: It is something else, or makes no sense.

    """
    content = _content(blob)
    count = int.from_bytes(content[:_COUNT_BYTES], "big")
    has_volume = content[_COUNT_BYTES : _COUNT_BYTES + 1] == bytes((_VOLUME,))
    columns = _COLUMNS + has_volume
    place = _COUNT_BYTES + 1
    if len(content) != place + count * (1 + columns * _WIDTH):
        raise ValueError("a block of bars has another length than it says")
    states = np.frombuffer(content, np.uint8, count, place)
    place += count
    times, received = (
        np.frombuffer(content, "<i8", count, place + index * count * _WIDTH)
        for index in range(2)
    )
    values = [
        np.frombuffer(content, "<f8", count, place + index * count * _WIDTH)
        for index in range(2, columns)
    ]
    if not count or not bool((times[1:] > times[:-1]).all()):
        raise ValueError("the bars of a block are not in order")
    if not bool(np.isin(states, (BarState.FINAL, BarState.REVISED)).all()):
        raise ValueError("the bars of a block are not final")
    volume = values[4] if has_volume else None
    opens, highs, lows, closes = values[:4]
    series = BarSeries(times, opens, highs, lows, closes, volume)
    return owned(Block(series, states, received))


def _checked(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECK_BYTES, "big") + content


def _content(blob: bytes) -> bytes:
    # SQLite checks its pages' order and not what is in them.
    content = blob[_CHECK_BYTES:]
    if int.from_bytes(blob[:_CHECK_BYTES], "big") != zlib.crc32(content):
        raise ValueError("what was kept of a series does not match its checksum")
    return content
