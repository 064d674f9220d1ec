"""Faults that vendors share: whole replies, damaged rows, damaged bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars
from ingestion_server.sandbox.faults import Fault, named
from ingestion_server.sandbox.headers import sent_headers
from ingestion_server.sandbox.wire import HTML, TEXT, Reply

_BLOCK: Final = 10
_RECENT: Final = 50
"""A caller who asks for a whole history is most often after its end."""
TOO_MANY: Final = b"Too Many Requests\r\n"
"""Yahoo's whole 429 body, as its users report it."""

_PAGE: Final = (
    b'<!DOCTYPE html>\n<html lang="en-us">\n<head><title>%b</title></head>\n'
    b"<body><h1>%b</h1><p>Our engineers are working quickly to resolve the issue."
    b"</p></body>\n</html>\n"
)


def whole_reply(fault: Fault) -> Reply | None:
    """Return the reply of a refusal that looks the same at several vendors."""
    match fault.name:
        case "status_429":
            return too_many(fault.retry_after)
        case "status_500":
            title = b"500 Internal Server Error"
            return Reply(_PAGE % (title, title), 500, HTML)
        case "html":
            title = b"Will be right back..."
            return Reply(_PAGE % (title, title), 200, HTML)
        case _:
            return None


def too_many(retry_after: float | None) -> Reply:
    """Return a 429, with the header only if the seconds are given."""
    headers = () if retry_after is None else (("Retry-After", f"{retry_after:g}"),)
    return Reply(TOO_MANY, 429, TEXT, headers)


def with_headers(reply: Reply, faults: Sequence[Fault], now_ns: int) -> Reply:
    """Return the reply with the faults' headers, which replace its own."""
    added: dict[str, tuple[str, str]] = {}
    for fault in faults:
        for name, value in sent_headers(fault.headers, now_ns).items():
            added[name.lower()] = (name, value)
    if not added:
        return reply
    kept = [item for item in reply.headers if item[0].lower() not in added]
    return replace(reply, headers=(*kept, *added.values()))


def damaged_rows(bars: Bars, faults: Sequence[Fault], *, ranged: bool) -> Bars:
    """
    Return the bars with some of them gone, or with one impossible row.

    A vendor that was asked for a range loses the newer part of it. One that answers
    with all it has loses part of each ten bars, so that whatever range the caller
    is after, some of it is gone.
    """
    if (fault := named(faults, "partial")) is not None:
        if ranged:
            bars = bars.at(slice(int(len(bars) * fault.fraction)))
        else:
            place = np.arange(len(bars)) % _BLOCK
            bars = bars.at(np.flatnonzero(place < _BLOCK * fault.fraction))
    if named(faults, "bad_row") is not None and len(bars):
        low = bars.low.copy()
        row = len(bars) // 2 if ranged else max(len(bars) - _RECENT, 0)
        low[row] = bars.open[row] * 1.01
        bars = replace(bars, low=low)
    return bars


def damaged_bytes(reply: Reply, faults: Sequence[Fault]) -> Reply:
    """Return the reply shortened, with its middle no longer JSON, or not all sent."""
    body, sent = reply.body, reply.sent_bytes
    if named(faults, "truncated") is not None:
        body = body[: len(body) * 3 // 5]
    if named(faults, "malformed") is not None:
        middle = len(body) // 2
        body = body[:middle] + b"\x00}{,\xff" + body[middle:]
    if named(faults, "cut") is not None:
        sent = len(body) * 3 // 5
    return replace(reply, body=body, sent_bytes=sent)
