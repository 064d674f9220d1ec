"""Bars are asked for once they are over, together, and not for ever."""

from __future__ import annotations

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ingest.live.unfinished import Series, Unfinished, WhyNot
from tests.ingest.live.letters import bar
from tests.ingest.live.ticks import TEN

SETTLED = TEN + 16 * MINUTE_NS
"""When the bar of ten o'clock is over and a vendor has had time to settle."""
SPAN = Span(TEN, TEN + 60 * MINUTE_NS)
LATE = WhyNot("it is late")


def wanted(*numbers: int) -> Unfinished:
    """Want some minutes after ten o'clock."""
    found = Unfinished(
        Series(instrument("AAPL"), Interval.MINUTE_1, TradingHours.REGULAR, ())
    )
    for number in numbers:
        assert add(found, number)
    return found


def add(bars: Unfinished, number: int) -> bool:
    """Want a minute after ten o'clock."""
    open_ns = TEN + number * MINUTE_NS
    return bars.add(open_ns, open_ns + MINUTE_NS)


def test_there_is_nothing_to_ask_before_a_vendor_has_settled() -> None:
    bars = wanted(0, 1)

    assert bars.wait_seconds(0.0, SETTLED - 10 * SECOND_NS) == 10.0
    assert bars.wait_seconds(0.0, SETTLED) == 0.0
    assert bars.span(SETTLED) == Span(TEN, TEN + MINUTE_NS)
    assert bars.span(SETTLED + MINUTE_NS) == Span(TEN, TEN + 2 * MINUTE_NS)


def test_a_bar_is_wanted_once_however_often_that_is_said() -> None:
    bars = wanted(0, 0)

    assert len(bars) == 1


def test_a_bar_that_is_looked_for_beside_others_loses_no_try_by_it() -> None:
    bars = wanted(0)
    assert not bars.answered(SPAN, {}, lambda _: LATE, 100.0)
    assert bars.wait_seconds(100.0, SETTLED) == 15.0
    add(bars, 1)

    for now in (115.0, 175.0, 355.0):
        assert not bars.answered(SPAN, {}, lambda _: LATE, now)
    (word,) = bars.answered(SPAN, {}, lambda _: LATE, 655.0)

    assert (word.open_ns, word.reason) == (TEN, "it is late")
    assert len(bars) == 1


def test_what_lies_outside_of_the_question_goes_on_waiting() -> None:
    bars = wanted(0, 90)

    (word,) = bars.answered(SPAN, {TEN: bar(TEN)}, lambda _: LATE, 0.0)

    assert word.bar is not None
    assert len(bars) == 1


def test_no_more_wait_than_can_be_asked_for() -> None:
    bars = wanted(*range(64))

    assert not add(bars, 64)
    assert add(bars, 63)
    assert len(bars) == 64
