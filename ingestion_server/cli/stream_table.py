"""Live data as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.frame import LATEST, Frame
from ingestion_server.cli.render import shortest
from ingestion_server.cli.stream_lines import Story, bar_state, count_of
from ingestion_server.cli.writing import span
from ingestion_server.client import LiveBar, Quote, StreamEvent, StreamMessage, Trade

_COLUMNS: Final = (
    "symbol",
    "last",
    "size",
    "change",
    "bid",
    "ask",
    "trades",
    "age",
    "provider",
    "bar",
)
_LEFT_OUT: Final = ("size", "provider", "trades", "bar", "ask", "bid")
"""What is left out first where there is no room; the rest never is."""
_ALWAYS: Final = frozenset({"symbol", "last", "age"})
_WORDS: Final = frozenset({"symbol", "provider", "bar"})
"""Columns that are no figures."""
_REJECTED: Final = "rejected"
_GAP: Final = 2
"""Blanks between two columns."""
_AROUND: Final = 6 + LATEST
"""Lines of the screen that are not for rows."""
_QUIET_SECONDS: Final = 10.0
"""A stream without items for so long is told to live."""


@dataclass(slots=True)
class _Row:
    """Know the latest of one symbol."""

    last: float | None = None
    size: float | None = None
    first: float | None = None
    bid: float | None = None
    ask: float | None = None
    trades: int = 0
    heard_at: float | None = None
    provider: str = ""
    bar: LiveBar | None = None
    rejected: bool = False
    stale: bool = False

    @property
    def change(self) -> float | None:
        """Return by what share the price has changed; None = it is not known."""
        if self.last is None or not self.first:
            return None
        return self.last / self.first - 1

    def price(self, price: float) -> None:
        """Take the latest price."""
        self.last = price
        if self.first is None:
            self.first = price


class Sheet:
    """Hold what is on show."""

    def __init__(self, symbols: Sequence[str], kinds: Sequence[str]) -> None:
        self.note = ""
        """What keeps the server from telling more; empty = nothing does."""
        self._asked: Final = list(dict.fromkeys(each.upper() for each in symbols))
        self._kinds: Final = kinds
        self._rows: Final = dict[str, _Row]()
        self._story: Final = Story()
        self._items = 0
        self._heard_at: float | None = None
        self._heard_as = "heard"
        self._item_at = 0.0

    def hear(self, message: StreamMessage, now: float) -> None:
        """Take what a message says at a time of a clock that never goes back."""
        self._heard_at, self._heard_as, self.note = now, "heard", ""
        for item in message.items:
            if isinstance(item, StreamEvent):
                self._happened(item)
                continue
            self._items += 1
            self._item_at = now
            row = self._rows.setdefault(item.symbol, _Row())
            row.heard_at, row.provider = now, item.provider
            row.rejected = row.stale = False
            match item:
                case Trade():
                    row.trades += 1
                    row.size = item.size
                    row.price(item.price)
                case Quote():
                    row.bid, row.ask = item.bid, item.ask
                case LiveBar():
                    row.bar = item
                    if "trades" not in self._kinds and item.close is not None:
                        row.price(item.close)
                case _:
                    assert_never(item)

    def drawn(
        self, *, moment: datetime, now: float, width: int, height: int
    ) -> RenderableType:
        """Draw all of it on a screen of so many columns and lines."""
        around = Frame(width=width, lines=self._story.latest(), note=self.note)
        rows = self._shown()
        room = max(1, height - _AROUND)
        parts: list[RenderableType] = [_table(rows[:room], now, width)]
        if len(rows) > room:
            hidden = count_of(len(rows) - room, "symbols")
            parts.append(Text(f"and {hidden} more than fit here", "dim"))
        parts += [Text(), Text(self._status(now), "dim")]
        return around.around("Stream", moment, parts)

    def _shown(self) -> list[tuple[str, _Row]]:
        """List what was heard of, and what was asked for and not heard of so far."""
        # The server may spell a symbol otherwise than the caller.
        unheard = [each for each in self._asked if each not in self._rows]
        lacking = max(0, len(self._asked) - len(self._rows))
        return [*self._rows.items(), *((each, _Row()) for each in unheard[:lacking])]

    def _happened(self, event: StreamEvent) -> None:
        self._story.tell(event)
        if not event.symbol:
            self._heard_as = "heartbeat"
            return
        row = self._rows.setdefault(event.symbol, _Row())
        match event.kind:
            case "subscribed" | "source_changed":
                row.provider = event.provider or row.provider
                row.rejected = row.stale = False
            case "rejected":
                row.rejected = True
            case "stale":
                row.stale = True
            case _:
                pass

    def _status(self, now: float) -> str:
        if self._heard_at is None:
            return "nothing heard yet"
        told = f"{count_of(self._items, 'items')} so far"
        if self.note:
            return told
        heard = f"{self._heard_as} {_age(now - self._heard_at)} ago"
        if not self._items:
            kinds = " or ".join(each.removesuffix("s") for each in self._kinds)
            return f"no {kinds} yet; the stream lives ({heard})"
        if now - self._item_at >= _QUIET_SECONDS:
            quiet = _age(now - self._item_at)
            return f"nothing new for {quiet}; the stream lives ({heard})"
        return told


def _table(rows: Sequence[tuple[str, _Row]], now: float, width: int) -> Table:
    """Draw those columns that say something, as many as there is room for."""
    cells = [_cells(symbol, row, now) for symbol, row in rows]
    shown = [
        name
        for name in _COLUMNS
        if name in _ALWAYS or any(row[name].plain for row in cells)
    ]
    for name in _LEFT_OUT:
        if _width(cells, shown) > width and name in shown:
            shown.remove(name)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    for name in shown:
        table.add_column(
            name,
            no_wrap=True,
            overflow="ellipsis",
            justify="left" if name in _WORDS else "right",
        )
    for row in cells:
        table.add_row(*(row[name] for name in shown))
    return table


def _width(cells: Sequence[Mapping[str, Text]], shown: Sequence[str]) -> int:
    widest = (
        max(cell_len(name), *(cell_len(row[name].plain) for row in cells))
        for name in shown
    )
    return sum(widest) + _GAP * (len(shown) - 1)


def _cells(symbol: str, row: _Row, now: float) -> Mapping[str, Text]:
    style = _style(row.change)
    return {
        "symbol": Text(symbol, "bold"),
        "last": Text(_REJECTED, "red") if row.rejected else _number(row.last, style),
        "size": _number(row.size),
        "change": Text("" if row.change is None else f"{row.change:+.2%}", style),
        "bid": _number(row.bid),
        "ask": _number(row.ask),
        "trades": Text(f"{row.trades:,}" if row.trades else ""),
        "age": _since(row, now),
        "provider": Text(row.provider),
        "bar": Text("" if row.bar is None else _bar(row.bar)),
    }


def _since(row: _Row, now: float) -> Text:
    """Tell how old the latest item is; that of a silent connection is doubtful."""
    age = "" if row.heard_at is None else _age(now - row.heard_at)
    return Text(f"stale {age}".rstrip(), "yellow") if row.stale else Text(age)


def _bar(bar: LiveBar) -> str:
    close = "" if bar.close is None else f" {_short(bar.close)}"
    return f"{bar.interval} {bar.open_time:%H:%M}{close} {bar_state(bar)}"


def _number(value: float | None, style: str = "") -> Text:
    return Text("" if value is None else _short(value), style)


def _short(value: float) -> str:
    """Write a price or a size; what is below 1 may be a tiny share of a coin."""
    return shortest(round(value, 4 if abs(value) >= 1 else 8))


def _style(change: float | None) -> str:
    if not change:
        return ""
    return "green" if change > 0 else "red"


def _age(seconds: float) -> str:
    """Write an age in whole seconds at least, so that it does not flicker."""
    return span(timedelta(seconds=int(seconds))) if seconds >= 1 else "0 s"
