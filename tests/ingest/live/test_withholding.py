"""Bars are left out until their history is told, and tokens say so."""

from __future__ import annotations

from msgspec.structs import replace

from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.publishing import Batch
from ingestion_server.ingest.live.withholding import Withholding
from ingestion_server.ports.live import StreamEvent, StreamEventKind
from tests.ingest.live.letters import (
    Scribe,
    bar,
    event,
    position,
    publisher,
    said,
    some,
)
from tests.ingest.live.ticks import TEN

STALE, REJECTED = StreamEventKind.STALE, StreamEventKind.REJECTED


def withholding(*symbols: str) -> Withholding:
    """Withhold the bars of some symbols."""
    found = Withholding(publisher(), Scribe())
    found.begin(symbols)
    return found


def told_of_bars(kind: StreamEventKind, symbol: str = "AAPL") -> StreamEvent:
    """Make an event about bars."""
    return replace(event(kind), symbol=symbol, tick_kind=TickKind.BARS)


def batch(*parts: object) -> Batch:
    """Make a message of ticks and events."""
    events = [each for each in parts if isinstance(each, StreamEvent)]
    ticks = [each for each in parts if not isinstance(each, StreamEvent)]
    return publisher().alone(ticks, events, 5)  # type: ignore[arg-type]


def token_of(message: bytes) -> tokens.Token | None:
    """Return what the token of a message says."""
    last = message.decode().splitlines()[-1]
    return tokens.read(bytes.fromhex(last.removeprefix("@")))


def test_what_is_not_withheld_is_the_same_message() -> None:
    message = batch(*some(2), bar(TEN))

    assert withholding().told(message) is message


def test_only_bars_of_those_symbols_are_left_out() -> None:
    message = batch(
        told_of_bars(STALE),
        told_of_bars(STALE, "TSLA"),
        event(STALE),
        *some(1),
        bar(TEN),
        bar(TEN, "TSLA"),
    )

    told = withholding("AAPL").told(message)

    assert told is not None
    assert [(type(t).__name__, t.symbol) for t in told.ticks] == [
        ("Trade", "AAPL"),
        ("LiveBar", "TSLA"),
    ]
    assert [(e.symbol, e.tick_kind) for e in told.events] == [
        ("TSLA", TickKind.BARS),
        ("AAPL", None),
    ]
    assert len(said(told.encoded)) == 4


def test_a_message_of_which_nothing_is_left_is_none() -> None:
    held = withholding("AAPL")

    assert held.told(batch(bar(TEN), told_of_bars(STALE))) is None


def test_tokens_say_that_history_is_due_until_it_was_told() -> None:
    held = withholding("AAPL", "TSLA")
    message = batch(*some(1))
    assert token_of(message.encoded) == tokens.Token(7, 5, TEN)

    for symbol in ("AAPL", "TSLA"):
        told = held.told(message)
        assert told is not None
        assert token_of(told.encoded) == tokens.Token(7, 5, TEN, history_due=True)
        assert token_of(held.alone((), [event(STALE)], 5).encoded) == token_of(
            told.encoded
        )
        assert position(held.alone((), [event(STALE)]).encoded) == 0
        held.end(symbol)

    assert held.told(message) is message
    alone = held.alone((), [event(STALE)], 5)
    assert token_of(alone.encoded) == tokens.Token(7, 5, TEN)


def test_a_rejection_is_kept_until_history_was_told() -> None:
    held = withholding("AAPL", "TSLA")
    rejection = told_of_bars(REJECTED)

    assert held.told(batch(rejection)) is None
    assert held.end("TSLA") is None
    assert held.end("AAPL") == rejection
    assert not held.withholds("AAPL")
