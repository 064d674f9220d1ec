"""The body of ``/stock/tick``: every trade of a day, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.sandbox.days import DAY_NS, HOUR_NS, Int64, midnights_ns
from ingestion_server.sandbox.faults import Fault, named
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.prints import Prints, joined
from ingestion_server.sandbox.tape import Tape

MOST_ROWS: Final = 25_000
_MILLISECOND_NS: Final = 1_000_000
_ROUND_LOT: Final = 100
_REGULAR: Final = "1"
_ODD_LOT: Final = "12"
_EXTENDED: Final = "24"


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold what a call asks for."""

    label_ns: int
    """The local date, at 00:00 UTC."""
    limit: int
    skip: int
    now_ns: int


async def tick_document(
    history: History, tape: Tape, asked: Asked, faults: Sequence[Fault]
) -> dict[str, object]:
    """Return a page of the trades of a local date, also of those in no bar."""
    hours = _hours(history, asked.label_ns, asked.now_ns)
    skip, limit = asked.skip, asked.limit
    # A busy day does not fit into memory, so it is gone through twice.
    total = 0
    for begin_ns, end_ns in hours:
        total += len(await tape.prints(history.instrument, begin_ns, end_ns))
    fault = named(faults, "omit_rows")
    parts: list[Prints] = []
    row = told = 0
    for begin_ns, end_ns in hours:
        hour = await tape.prints(history.instrument, begin_ns, end_ns)
        rows = np.arange(row, row + len(hour), dtype=np.int64)
        row += len(hour)
        kept = hour if fault is None else hour.at(_left(rows, total, fault))
        parts.append(kept.at(slice(max(skip - told, 0), max(skip + limit - told, 0))))
        told += len(kept)
    page = joined(parts)
    return {
        "c": conditions(history, page),
        "count": len(page),
        "p": page.price.tolist(),
        "s": history.instrument.symbol,
        "skip": skip,
        "t": (page.time_ns // _MILLISECOND_NS).tolist(),
        "total": told,
        "v": page.size.tolist(),
        "x": [history.instrument.venue.code[0]] * len(page),
    }


def no_ticks(symbol: str, skip: int) -> dict[str, object]:
    """Return the body of a symbol that has no trades."""
    empty: dict[str, object] = {name: [] for name in ("c", "p", "t", "v", "x")}
    return empty | {"count": 0, "s": symbol, "skip": skip, "total": 0}


def conditions(history: History, prints: Prints) -> list[list[str]]:
    """Return the codes of trades of shares: regular, of extended hours, odd lots."""
    sessions = history.sessions
    number = np.searchsorted(sessions.opens_ns, prints.time_ns, side="right") - 1
    closed = prints.time_ns >= sessions.closes_ns[np.maximum(number, 0)]
    late = ((number < 0) | closed).tolist()
    odd = (prints.size < _ROUND_LOT).tolist()
    return [
        [_REGULAR, *([_EXTENDED] if outside else []), *([_ODD_LOT] if few else [])]
        for outside, few in zip(late, odd, strict=True)
    ]


def _hours(history: History, label_ns: int, now_ns: int) -> list[tuple[int, int]]:
    labels = np.array([label_ns, label_ns + DAY_NS], dtype=np.int64)
    first_ns, last_ns = midnights_ns(labels, history.sessions.zone).tolist()
    last_ns = min(last_ns, now_ns + 1)
    return [
        (begin_ns, min(begin_ns + HOUR_NS, last_ns))
        for begin_ns in range(first_ns, last_ns, HOUR_NS)
    ]


def _left(rows: Int64, total: int, fault: Fault) -> Int64:
    if fault.count is not None:
        # Every second one, from the newest on: so there are holes, and not an end.
        back = total - 1 - rows
        gone = (back % 2 == 1) & (back < 2 * fault.count)
    else:
        gone = np.floor((rows + 1) * fault.fraction) > np.floor(rows * fault.fraction)
    return np.flatnonzero(~gone)
