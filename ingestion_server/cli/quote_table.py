"""The latest quotes as a table for a terminal."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.render import shortest
from ingestion_server.cli.writing import span
from ingestion_server.client import QuoteSnapshot, QuoteSnapshots

_COLUMNS: Final = (
    "symbol",
    "last",
    "change",
    "bid",
    "ask",
    "from",
    "age",
    "late",
    "note",
)
_FIGURES: Final = frozenset({"last", "change", "bid", "ask", "age", "late"})


def drawn(quotes: QuoteSnapshots) -> RenderableType:
    """
    Draw a row for each symbol, and below why there is nothing in some of them.

    Columns that say nothing are left out.
    """
    rows = [_row(each) for each in quotes]
    used = [
        place
        for place, _ in enumerate(_COLUMNS)
        if place == 0 or any(row[place].plain for row in rows)
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place in used:
        name = _COLUMNS[place]
        table.add_column(
            name,
            justify="right" if name in _FIGURES else "left",
            overflow="fold",
            # An error's reason is one word.
            no_wrap=name == "note",
        )
    for row in rows:
        table.add_row(*(row[place] for place in used))
    failures = [
        Text.assemble((one.symbol, "bold"), ": ", one.error.message)
        for one in quotes
        if one.error is not None
    ]
    return Group(table, *failures)


def _row(one: QuoteSnapshot) -> list[Text]:
    if one.error is not None:
        blank = [Text()] * (len(_COLUMNS) - 2)
        reason = Text(one.error.reason or "error", "bold red")
        return [Text(one.symbol, "bold"), *blank, reason]
    trade, quote = one.trade, one.quote
    last = "" if trade is None else f"{shortest(trade.price)} {one.currency}".rstrip()
    return [
        Text(one.symbol, "bold"),
        Text(last),
        _change(one.change),
        Text("" if quote is None else _side(quote.bid, quote.bid_size)),
        Text("" if quote is None else _side(quote.ask, quote.ask_size)),
        Text.assemble(
            one.provider, (" live", "green") if one.live else (" asked", "dim")
        ),
        Text(_length(one.age)),
        Text(_length(one.feed_delay or None), "yellow"),
        Text(_note(one), "yellow"),
    ]


def _change(share: float | None) -> Text:
    if share is None:
        return Text()
    colour = "green" if share > 0 else "red" if share < 0 else ""
    return Text(f"{share:+.2%}", colour)


def _side(price: float | None, size: float | None) -> str:
    if price is None:
        return ""
    return shortest(price) + ("" if size is None else f" x {shortest(size)}")


def _length(length: timedelta | None) -> str:
    return "" if length is None else span(length)


def _note(one: QuoteSnapshot) -> str:
    ticks = (one.trade, one.quote)
    if any(tick is not None and tick.time_doubtful for tick in ticks):
        return "time doubtful"
    return ""
