"""Live data in a table, on wide and on narrow screens."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from marketdata.ingestion.v1 import bar_pb2
from rich.console import Console

from ingestion_server.cli.stream_table import Sheet
from ingestion_server.client.continuity import Continuity
from ingestion_server.client.stream_course import StreamMessage
from tests.client.streams import (
    TRADES,
    Event,
    at,
    event,
    heartbeat,
    live_bar,
    quote,
    said,
    subscribed,
    trade,
)
from tests.client.telling import FIRST, stamp

EVERYTHING = (
    said(subscribed(0), subscribed(0, "BTC/USD", provider="yahoo")),
    said(trade(1), quote(1), live_bar(1), trade(1, "BTC/USD", price=67_123.456789)),
    said(trade(2, price=99.0), trade(2, "BTC/USD", price=67_500.0, size=0.00012)),
)


def sheet(*messages, symbols=("aapl",), kinds=("trades",)) -> Sheet:
    """Hear messages, a second after each other."""
    heard = Sheet(symbols, kinds)
    for second, told in enumerate(messages):
        items, _ = Continuity([TRADES]).check(told, 0)
        heard.hear(StreamMessage(tuple(items), told), float(second))
    return heard


def drawn(
    heard: Sheet, *, now: float = 3.0, width: int = 120, height: int = 40, color=None
) -> str:
    """Draw a sheet as a screen shows it."""
    screen = io.StringIO()
    console = Console(
        file=screen,
        width=width,
        color_system=color,
        force_terminal=color is not None,
        legacy_windows=False,
    )
    console.print(heard.drawn(moment=FIRST, now=now, width=width, height=height))
    return "\n".join(line.rstrip() for line in screen.getvalue().splitlines())


def row(text: str, symbol: str) -> str:
    """Return the cells of a symbol, a blank between each two."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{symbol} "))
    return " ".join(line.split())


def test_a_row_tells_the_latest_of_a_symbol() -> None:
    shown = drawn(sheet(*EVERYTHING, symbols=("aapl", "btc/usd")))

    assert "Stream at 2025-01-06 00:00:00 UTC" in shown
    assert row(shown, "symbol") == (
        "symbol last size change bid ask trades age provider bar"
    )
    assert row(shown, "AAPL") == (
        "AAPL 99 10 -1.98% 99.5 100.5 2 1 s finnhub 1m 00:00 102 partial"
    )
    assert row(shown, "BTC/USD") == ("BTC/USD 67500 0.00012 +0.56% 2 1 s finnhub")


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, "symbol last size change bid ask trades age provider bar"),
        (80, "symbol last change bid ask trades age provider bar"),
        (60, "symbol last change bid ask age"),
        (40, "symbol last change bid ask age"),
        (32, "symbol last change age"),
    ],
)
def test_what_does_not_fit_is_left_out(width: int, columns: str) -> None:
    shown = drawn(sheet(*EVERYTHING, symbols=("aapl", "btc/usd")), width=width)

    assert row(shown, "symbol") == columns
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown


def test_a_rise_is_green_and_a_fall_is_red() -> None:
    shown = drawn(sheet(*EVERYTHING), color="standard")

    (aapl,) = (line for line in shown.splitlines() if "AAPL" in line and "%" in line)
    (btc,) = (line for line in shown.splitlines() if "BTC" in line and "%" in line)
    assert "\x1b[31m" in aapl
    assert "\x1b[32m" in btc


def test_a_symbol_that_nothing_was_heard_of_has_a_row_until_it_is() -> None:
    silent = Sheet(["aapl", "brk-b"], ["trades"])
    shown = drawn(silent)
    assert row(shown + " ", "symbol") == "symbol last age"
    assert "AAPL" in shown
    assert "BRK-B" in shown
    assert "nothing heard yet" in shown

    # The server spells it in its own way.
    respelled = sheet(
        said(subscribed(0), subscribed(0, "BRK.B")), symbols=("aapl", "brk-b")
    )
    assert "BRK-B" not in drawn(respelled)


def test_more_symbols_than_fit_the_screen_are_counted() -> None:
    symbols = [f"S{n}" for n in range(50)]
    messages = [said(*(trade(1, each) for each in symbols))]

    shown = drawn(sheet(*messages, symbols=symbols), height=24)

    assert "and 37 symbols more than fit here" in shown
    assert len(shown.splitlines()) <= 24


def test_a_quiet_stretch_says_that_the_stream_lives() -> None:
    before = sheet(said(subscribed(0)), said(heartbeat()))
    assert "no trade yet; the stream lives (heartbeat 2 s ago)" in drawn(before)

    kinds = sheet(said(subscribed(0)), kinds=("quotes", "bars"))
    assert "no quote or bar yet; the stream lives (heard 3 s ago)" in drawn(kinds)

    after = sheet(said(trade(1)), said(heartbeat()))
    assert "1 item so far" in drawn(after)
    assert "nothing new for 42 s; the stream lives (heartbeat 41 s ago)" in drawn(
        after, now=42.0
    )


def test_an_interruption_is_told_until_the_server_is_back() -> None:
    heard = sheet(said(trade(1)))
    heard.note = "the server is gone; waiting for here:1"

    assert "waiting for here:1" in drawn(heard, now=60.0)
    assert "lives" not in drawn(heard, now=60.0)

    heard.hear(StreamMessage((), said(heartbeat())), 61.0)
    assert "waiting for" not in drawn(heard)


def test_a_symbol_that_is_not_served_says_so() -> None:
    rejected = event(
        Event.KIND_REJECTED, "NOPE", reason="SYMBOL_UNKNOWN", detail="nobody knows it"
    )

    shown = drawn(sheet(said(rejected)))

    assert row(shown, "NOPE") == "NOPE rejected"
    assert "NOPE: not served: SYMBOL_UNKNOWN; nobody knows it" in shown


def test_a_silent_connection_makes_its_symbols_stale() -> None:
    stale = event(Event.KIND_STALE, detail="30 s of finnhub")
    heard = sheet(said(trade(1)), said(stale))

    assert "stale 3 s" in drawn(heard)
    assert "AAPL: the connection it comes by is silent; 30 s of finnhub" in drawn(heard)

    heard = sheet(said(trade(1)), said(stale), said(trade(2)))
    assert "stale" not in drawn(heard).splitlines()[4]


def test_a_gap_and_what_fills_it_are_one_line() -> None:
    gap = event(
        Event.KIND_GAP,
        tick_kind=TRADES,
        begin=at(1),
        cause="finnhub cut the connection",
    )
    filled = event(
        Event.KIND_BACKFILLED,
        tick_kind=TRADES,
        begin=at(1),
        to=stamp(at(1) + timedelta(seconds=2.1)),
        count=14,
        verified=True,
    )

    open_gap = drawn(sheet(said(gap)))
    shown = drawn(sheet(said(gap), said(filled)))

    assert "AAPL: gap, nobody knows how long (finnhub cut the connection)" in open_gap
    assert shown.count("gap") == 1
    assert (
        "AAPL: gap of 2.1 s (finnhub cut the connection), filled with 14 trades,"
        " verified" in shown
    )


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            event(Event.KIND_BACKFILLED, tick_kind=TRADES, detail="2 of 14 came"),
            "AAPL: gap, could not be filled; 2 of 14 came",
        ),
        (
            event(
                Event.KIND_SOURCE_CHANGED,
                provider="yahoo",
                previous_provider="finnhub",
                sampled=True,
                detail="finnhub is away",
            ),
            "AAPL: from yahoo instead of finnhub, not every trade; finnhub is away",
        ),
        (
            event(Event.KIND_CONFLATED, tick_kind=TRADES, count=1),
            "AAPL: 1 trade left out, this reader is too slow",
        ),
        (event(99), "AAPL: 99"),
    ],
)
def test_every_event_is_told_in_plain_words(told: Event, words: str) -> None:
    assert words in drawn(sheet(said(told)))


def test_a_late_feed_says_how_late() -> None:
    late = subscribed(0)
    late.feed_delay.FromTimedelta(timedelta(minutes=15))

    assert "AAPL: trades from finnhub, 15 min late" in drawn(sheet(said(late)))


def test_bars_alone_give_the_price() -> None:
    shown = drawn(
        sheet(
            said(live_bar(1)),
            said(live_bar(2, close=104.04, state=bar_pb2.BAR_STATE_FINAL)),
            kinds=("bars",),
        )
    )

    assert row(shown, "AAPL") == (
        "AAPL 104.04 +2.00% 2 s finnhub 1m 00:00 104.04 final"
    )
