"""Live data, and what happened to them, in lines of plain words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never

from ingestion_server.cli.frame import LATEST
from ingestion_server.cli.render import shortest
from ingestion_server.cli.writing import span
from ingestion_server.client import LiveBar, Quote, StreamEvent, StreamItem, Trade

_MARKS: Final = (
    "time_doubtful",
    "out_of_order",
    "backfilled",
    "sampled",
)


class Story:
    """Tell what happened; what fills a gap is told together with the gap."""

    def __init__(self) -> None:
        self._lines: Final = deque[tuple[StreamEvent, str]](maxlen=LATEST)
        self._gaps: Final = dict[tuple[str, str], StreamEvent]()

    def tell(self, event: StreamEvent) -> str:
        """Return a line about an event, and remember it; empty for a heartbeat."""
        if event.kind == "heartbeat":
            return ""
        about = (event.symbol, event.tick_kind)
        gap = None
        if event.kind == "gap":
            self._gaps[about] = event
        elif event.kind == "backfilled":
            gap = self._gaps.get(about)
            gap = gap if gap is not None and gap.from_ns == event.from_ns else None
        line = f"{event.symbol or 'stream'}: {_words(event, gap)}"
        self._lines.append((event, line))
        if gap is not None:
            # It is one story, and its end tells all of it.
            kept = [told for told in self._lines if told[0] is not gap]
            self._lines.clear()
            self._lines.extend(kept)
        return line

    def latest(self) -> Sequence[str]:
        """Return the latest lines, oldest first."""
        return [f"{event.time:%H:%M:%S} {line}" for event, line in self._lines]


def item_line(item: Trade | Quote | LiveBar) -> str:
    """Tell of an item in a line."""
    match item:
        case Trade():
            told = f"trade {shortest(item.price)}{_size(item.size)}"
            at = item.time
        case Quote():
            bid = f"{_price(item.bid)}{_size(item.bid_size)}"
            told = f"quote {bid} / {_price(item.ask)}{_size(item.ask_size)}"
            at = item.time
        case LiveBar():
            prices = "/".join(map(_price, (item.open, item.high, item.low, item.close)))
            told = f"bar {item.interval} {prices}{_size(item.volume)} {bar_state(item)}"
            at = item.open_time
        case _:
            assert_never(item)
    marks = "".join(f" ({mark})" for mark in _marks(item))
    return f"{instant(at)} {item.symbol} {told} {item.provider}{marks}"


def bar_state(bar: LiveBar) -> str:
    """Tell in a word whether a bar can still change."""
    return bar.state.name.lower()


def count_of(count: int, kind: str) -> str:
    """Write how many there are of what has this plural."""
    return f"{count:,} {kind.removesuffix('s') if count == 1 else kind}"


def _words(event: StreamEvent, gap: StreamEvent | None) -> str:
    """Tell what happened, and what else there is to say."""
    match event.kind:
        case "subscribed":
            told = f"{event.tick_kind or 'data'} from {event.provider}"
            told = ", ".join([told, *_shortcomings(event)])
        case "rejected":
            told = f"not served: {event.reason}"
        case "gap":
            told = _gap(event)
        case "backfilled":
            # Where it ends may have been unknown when it began.
            whole = event if gap is None else replace(gap, to_ns=event.to_ns)
            filled = f"filled with {count_of(event.count, event.tick_kind or 'items')}"
            end = f"{filled}, verified" if event.verified else "could not be filled"
            told = f"{_gap(whole)}, {end}"
        case "source_changed":
            told = f"from {event.provider or 'nobody'}"
            if event.previous_provider:
                told += f" instead of {event.previous_provider}"
            told = ", ".join([told, *_shortcomings(event)])
        case "stale":
            told = "the connection it comes by is silent"
        case "conflated":
            merged = count_of(event.count, event.tick_kind or "items")
            told = f"{merged} left out, this reader is too slow"
        case newer:
            told = newer.replace("_", " ").lower()
    return f"{told}; {event.detail}" if event.detail else told


def _gap(event: StreamEvent) -> str:
    """Tell what is missing, and why."""
    length = event.length
    told = "gap"
    if length is not None:
        told = f"gap of {span(length)}"
    elif event.from_ns is not None:
        told = "gap, nobody knows how long"
    if event.last_missing:
        missing = event.last_missing - event.first_missing + 1
        told += f", {count_of(missing, event.tick_kind or 'items')} missing"
    return f"{told} ({event.cause})" if event.cause else told


def _shortcomings(event: StreamEvent) -> Iterator[str]:
    if event.feed_delay:
        yield f"{span(event.feed_delay)} late"
    if event.sampled:
        yield "not every trade"


def _marks(item: StreamItem) -> Iterator[str]:
    for mark in _MARKS:
        if getattr(item, mark, False):
            yield mark.replace("_", " ")


def _price(price: float | None) -> str:
    return "-" if price is None else shortest(price)


def _size(size: float | None) -> str:
    return "" if size is None else f" x {shortest(size)}"


def instant(moment: datetime) -> str:
    """Write a point in time, to the millisecond."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03}Z"
