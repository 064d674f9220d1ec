"""Bars built from trades as they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, Interval
from ingestion_server.domain.ticks import LiveBar, TickMark, Trade
from ingestion_server.ingest.live.bars import BarBuilder, Closed
from ingestion_server.ingest.live.labels import BarLabels
from tests.builders import sessions
from tests.ingest.live.ticks import SECOND, TEN, trade

FINAL, PARTIAL, REVISED = BarState.FINAL, BarState.PARTIAL, BarState.REVISED
CALENDAR = sessions("2024-06-03", "2024-06-14")
OPEN = -30 * 60
"""When New York opened, in seconds from ten o'clock."""


def builder(since: float = 0.0, hours: TradingHours = TradingHours.REGULAR):
    """Build bars of a minute from trades that are heard since ten, or so."""
    labels = BarLabels(Interval.MINUTE_1, hours, instrument("AAPL"), CALENDAR)
    return BarBuilder("AAPL", labels, since_ns=at(since))


def at(seconds: float) -> int:
    """Give a time so many seconds after ten."""
    return TEN + round(seconds * SECOND)


def fed(bars: BarBuilder, *trades: Trade) -> list[LiveBar]:
    """Let trades come in; return the bars that they corrected."""
    return [bar for each in trades if (bar := bars.add(each)) is not None]


def prices(bar: LiveBar | None) -> tuple[float | None, ...]:
    """Tell open, high, low and close."""
    assert bar is not None
    return bar.open, bar.high, bar.low, bar.close


def told(closed: list[Closed]) -> list[tuple[int, bool, BarState | None]]:
    """Tell which minutes closed, whether whole, and what was said of them."""
    return [
        ((each.open_ns - TEN) // MINUTE_NS, each.whole, each.bar and each.bar.state)
        for each in closed
    ]


def test_a_bar_grows_with_its_trades_and_is_told_when_it_has_changed() -> None:
    bars = builder()
    fed(bars, trade(1, 100.0, 10), trade(2, 103.0, 20), trade(3, 99.0, 30))

    (bar,) = bars.forming()

    assert bar == LiveBar(
        "AAPL",
        TEN,
        100.0,
        103.0,
        99.0,
        99.0,
        volume=60.0,
        vwap=pytest.approx((1000 + 2060 + 2970) / 60),
        trade_count=3,
        state=PARTIAL,
        derived=True,
        provider="acme",
    )
    assert not bars.forming()


def test_open_and_close_go_by_the_vendors_time_and_ties_by_arrival() -> None:
    bars = builder()
    fed(bars, trade(5, 100.0), trade(5, 101.0), trade(9, 102.0), trade(9, 103.0))
    fed(bars, trade(3, 104.0), trade(3, 105.0), trade(7, 90.0))

    (bar,) = bars.forming()

    assert prices(bar) == (104.0, 105.0, 90.0, 103.0)


def test_a_bar_is_final_once_the_grace_has_passed_and_not_before() -> None:
    bars = builder()
    fed(bars, trade(1), trade(60.5))

    assert not bars.close(at(61.9))
    assert told(bars.close(at(62))) == [(0, True, FINAL)]
    assert not bars.close(at(100))
    assert [bar.open_time_ns for bar in bars.forming()] == [at(60)]


def test_trades_within_the_grace_count_for_both_minutes() -> None:
    bars = builder()
    fed(bars, trade(59, 100.0), trade(60.1, 110.0), trade(59.5, 101.0))

    assert [prices(bar) for bar in bars.forming()] == [
        (100.0, 101.0, 100.0, 101.0),
        (110.0,) * 4,
    ]


def test_bars_are_known_as_they_stand_whether_they_were_told_or_not() -> None:
    bars = builder()
    fed(bars, trade(1, 10.0), trade(61, 11.0), trade(121, 12.0))
    bars.forming()
    bars.close(at(123))
    fed(bars, trade(125, 13.0))

    assert [(bar.close, bar.state) for bar in bars.known(at(0))] == [
        (10.0, BarState.FINAL),
        (11.0, BarState.FINAL),
        (13.0, BarState.PARTIAL),
    ]
    assert bars.known(at(60)) == bars.known(at(0))[1:]
    assert bars.unfinished() == bars.known(at(120))
    assert [bar.close for bar in bars.forming()] == [13.0]


def test_a_late_trade_revises_a_final_bar_at_once() -> None:
    bars = builder()
    fed(bars, trade(1, 100.0))
    bars.close(at(62))

    (bar,) = fed(bars, trade(30, 120.0, 5))

    assert bar.state is REVISED
    assert prices(bar) == (100.0, 120.0, 100.0, 120.0)
    assert bar.volume == 15.0
    assert not bars.forming()


def test_a_bar_of_which_nothing_was_heard_in_time_comes_as_revised() -> None:
    bars = builder()
    bars.close(at(125))

    (bar,) = fed(bars, trade(30))

    assert (bar.open_time_ns, bar.state) == (TEN, REVISED)


def test_a_trade_that_is_twenty_bars_late_is_ignored_and_counted() -> None:
    bars = builder()
    fed(bars, trade(1), trade(61))
    bars.close(at(60 * 21 + 2))

    corrected = fed(bars, trade(2), trade(62))

    assert [bar.open_time_ns for bar in corrected] == [at(60)]
    assert bars.ignored == 1


def test_only_the_latest_bars_are_kept() -> None:
    bars = builder()
    for minute in range(300):
        fed(bars, trade(minute * 60))
        bars.close(at(minute * 60 + 2))

    assert len(bars._bars) <= 22  # noqa: SLF001 - memory cannot be seen from outside


def test_the_bar_that_was_forming_at_the_start_is_not_whole() -> None:
    bars = builder(since=20)
    fed(bars, trade(30), trade(70))

    assert told(bars.close(at(122))) == [(0, False, PARTIAL), (1, True, FINAL)]


def test_what_took_place_before_the_first_bar_is_none_of_ours() -> None:
    bars = builder(since=20)

    assert not fed(bars, trade(-5))
    assert bars.ignored == 1
    assert not bars.forming()


def test_a_bar_in_a_gap_stays_partial_and_its_neighbours_are_final() -> None:
    bars = builder()
    fed(bars, trade(1), trade(61), trade(121))
    bars.doubt(at(70), at(80))

    assert told(bars.close(at(200))) == [
        (0, True, FINAL),
        (1, False, PARTIAL),
        (2, True, FINAL),
    ]


def test_bars_in_a_gap_of_which_nothing_was_heard_are_named() -> None:
    bars = builder()
    fed(bars, trade(1))
    bars.doubt(at(70), at(185))
    fed(bars, trade(190))

    assert told(bars.close(at(190))) == [
        (0, True, FINAL),
        (1, False, None),
        (2, False, None),
    ]
    assert told(bars.close(at(245))) == [(3, False, PARTIAL)]


def test_of_a_long_silence_only_the_latest_bars_are_named() -> None:
    bars = builder()
    bars.doubt(at(0))

    assert [minute for minute, _, _ in told(bars.close(at(6 * 3600 - 10)))] == list(
        range(339, 359)
    )


def test_outside_of_trading_hours_no_bar_is_missed() -> None:
    bars = builder(since=6 * 3600 - 60)
    bars.doubt(at(6 * 3600 - 60))
    bars.close(at(6 * 3600 - 30))

    assert len(bars.close(at(6 * 3600 + 600))) == 1
    assert not bars.close(at(8 * 3600))


def test_a_filled_gap_makes_bars_whole_and_those_that_are_over_final() -> None:
    bars = builder()
    fed(bars, trade(1), trade(61), trade(125))
    bars.doubt(at(50))
    bars.close(at(122))

    fed(bars, trade(55, 130.0, marks=TickMark.BACKFILLED))
    final = bars.trust(at(50), at(125))
    bars.doubt(at(125), at(126))

    assert [(bar.open_time_ns, bar.state, bar.high) for bar in final] == [
        (TEN, FINAL, 130.0),
        (at(60), FINAL, 100.0),
    ]
    assert told(bars.close(at(182))) == [(2, False, PARTIAL)]


def test_a_gap_that_is_filled_in_part_is_doubted_for_the_rest() -> None:
    bars = builder()
    fed(bars, trade(1), trade(61))
    bars.doubt(at(10), at(70))
    bars.close(at(130))

    assert [bar.open_time_ns for bar in bars.trust(at(20), at(70))] == [at(60)]
    assert [bar.open_time_ns for bar in bars.trust(at(0), at(30))] == [TEN]


def test_final_bars_that_turn_out_to_be_doubtful_are_named() -> None:
    bars = builder()
    fed(bars, trade(1), trade(61))
    bars.close(at(62))

    assert told(bars.doubt(at(30))) == [(0, False, FINAL)]
    assert told(bars.close(at(130))) == [(1, False, PARTIAL)]


def test_bars_that_were_passed_over_in_a_silence_are_named_once_it_is_doubted() -> None:
    bars = builder()
    fed(bars, trade(1))
    bars.close(at(200))

    assert told(bars.doubt(at(30), at(190))) == [
        (0, False, FINAL),
        (1, False, None),
        (2, False, None),
    ]
    assert told(bars.close(at(250))) == [(3, False, None)]


def test_a_silence_longer_than_is_kept_names_only_what_is_kept() -> None:
    bars = builder()
    bars.close(at(3602))

    assert [minute for minute, _, _ in told(bars.doubt(at(0)))] == list(range(40, 60))


def test_a_late_trade_of_a_doubtful_bar_leaves_it_partial() -> None:
    bars = builder(since=20)
    fed(bars, trade(30, 100.0))
    bars.close(at(62))

    assert not fed(bars, trade(40, 90.0))
    (bar,) = bars.forming()
    assert (bar.state, bar.close) == (PARTIAL, 90.0)


def test_once_the_vendors_own_bar_is_served_nothing_changes_it() -> None:
    bars = builder(since=20)
    fed(bars, trade(30))
    bars.close(at(62))

    bars.settle(TEN)

    assert not fed(bars, trade(40))
    assert not bars.forming()
    assert not bars.trust(at(0), at(60))
    assert bars.ignored == 1


def test_sampled_trades_make_no_whole_bar_and_no_volume() -> None:
    bars = builder()
    fed(bars, trade(1, marks=TickMark.SAMPLED), trade(2))

    (closed,) = bars.close(at(62))

    assert told([closed]) == [(0, False, PARTIAL)]
    assert closed.bar is not None
    assert (closed.bar.volume, closed.bar.vwap, closed.bar.trade_count) == (None,) * 3
    assert not fed(bars, trade(3, marks=TickMark.SAMPLED))
    assert not bars.trust(at(0), at(60))


def test_a_late_sampled_trade_finds_no_final_bar() -> None:
    bars = builder()
    bars.close(at(62))

    assert not fed(bars, trade(3, marks=TickMark.SAMPLED))
    assert [bar.state for bar in bars.forming()] == [PARTIAL]


def test_one_trade_without_a_size_leaves_the_volume_unknown() -> None:
    bars = builder()
    fed(bars, trade(1, size=10), trade(2, size=None))

    (bar,) = bars.forming()

    assert (bar.volume, bar.vwap, bar.trade_count) == (None, None, 2)


def test_a_trade_of_size_zero_counts_for_the_price() -> None:
    bars = builder()
    fed(bars, trade(1, 100.0, 0.0), trade(2, 105.0, 0.0))

    (bar,) = bars.forming()

    assert (bar.high, bar.volume, bar.vwap, bar.trade_count) == (105.0, 0.0, None, 2)


def test_trades_of_two_vendors_make_no_whole_bar() -> None:
    bars = builder()
    fed(bars, trade(1), trade(2, provider="zenith"))

    (closed,) = bars.close(at(62))

    assert told([closed]) == [(0, False, PARTIAL)]
    assert closed.bar is not None
    assert closed.bar.provider == "zenith"


def test_a_late_trade_of_another_vendor_corrects_nothing() -> None:
    bars = builder()
    fed(bars, trade(1))
    bars.close(at(62))

    assert not fed(bars, trade(2, 200.0, provider="zenith"))
    assert bars.ignored == 1


def test_a_trade_whose_time_is_not_believed_is_missing_in_the_bar_of_now() -> None:
    bars = builder()
    fed(bars, trade(1))
    fed(bars, trade(500, marks=TickMark.TIME_DOUBTFUL, received_at=10))

    assert bars.ignored == 1
    assert told(bars.close(at(62))) == [(0, False, PARTIAL)]


def test_old_news_with_a_time_that_is_not_believed_harms_no_bar() -> None:
    bars = builder()
    fed(bars, trade(1))
    fed(bars, trade(-90_000, marks=TickMark.TIME_DOUBTFUL, received_at=10))

    assert told(bars.close(at(62))) == [(0, True, FINAL)]


def test_outside_of_regular_hours_nothing_is_built() -> None:
    bars = builder(since=OPEN - 600)
    fed(bars, trade(OPEN - 1), trade(OPEN))

    (bar,) = bars.forming()

    assert bar.open_time_ns == at(OPEN)
    assert told(bars.close(at(OPEN + 62))) == [(-30, True, FINAL)]


def test_a_clock_that_was_ahead_and_is_set_right_closes_bars_again() -> None:
    bars = builder()
    bars.close(at(3600))
    bars.close(at(70))
    fed(bars, trade(75))

    assert [bar.state for bar in bars.forming()] == [PARTIAL]
    assert told(bars.close(at(122))) == [(1, True, FINAL)]


def test_a_clock_that_steps_back_a_little_changes_nothing() -> None:
    bars = builder()
    fed(bars, trade(1))
    bars.close(at(63))

    assert not bars.close(at(61))
    assert not bars.close(at(64))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 300), st.floats(1, 1e6), st.floats(0, 1e6), st.booleans()
        ),
        max_size=60,
    )
)
def test_whenever_trades_come_the_last_word_is_that_of_all_of_them(events) -> None:
    bars = builder()
    last: dict[int, LiveBar] = {}
    clock = 0

    def hear(found: list[LiveBar]) -> None:
        last.update({bar.open_time_ns: bar for bar in found})

    for moment, price, size, look in events:
        hear(fed(bars, trade(moment, price, size)))
        clock = max(clock, moment)
        if look:
            hear(bars.forming())
            hear([each.bar for each in bars.close(at(clock)) if each.bar])
    hear(bars.forming())
    hear([each.bar for each in bars.close(at(1000)) if each.bar])

    for open_ns, bar in last.items():
        mine = [
            (moment, price, size)
            for moment, price, size, _ in events
            if at(moment // 60 * 60) == open_ns
        ]
        assert bar.high == max(price for _, price, _ in mine)
        assert bar.low == min(price for _, price, _ in mine)
        assert bar.trade_count == len(mine)
        assert bar.volume == pytest.approx(sum(size for _, _, size in mine))
        assert bar.state is not PARTIAL
        assert bar.open == min(mine, key=lambda each: each[0])[1]
        latest = max(moment for moment, _, _ in mine)
        assert bar.close == [price for moment, price, _ in mine if moment == latest][-1]
        assert bar.low <= (bar.vwap or bar.low) <= bar.high
    assert len(last) == len({moment // 60 for moment, _, _, _ in events})
