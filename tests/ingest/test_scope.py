"""What a query means on the calendar."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, Interval
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.scope import SETTLING_NS, Scope, scope
from tests.builders import NEW_YORK, dates, ns, sessions, texts

YEARS = sessions("2022-01-03", "2025-12-31", closed=["2024-07-04"])
NOW = ns("2024-06-12 11:00", NEW_YORK)
D1, M1, H1, W1, MO1 = (
    Interval.DAY_1,
    Interval.MINUTE_1,
    Interval.HOUR_1,
    Interval.WEEK_1,
    Interval.MONTH_1,
)


def scoped(  # noqa: PLR0913 - each has its default
    interval: Interval = D1,
    start: str | None = None,
    end: str | None = None,
    limit: int = 0,
    *,
    symbol: str = "AAPL",
    kind: AssetClass | None = None,
    hours: TradingHours = TradingHours.REGULAR,
    now_ns: int = NOW,
    most_bars: int = 50_000,
    calendar: Sessions | None = YEARS,
) -> Scope:
    """Resolve a query."""
    query = BarQuery(
        instrument(symbol, asset_class=kind),
        interval,
        start_ns=None if start is None else ns(start),
        end_ns=None if end is None else ns(end),
        limit=limit,
        hours=hours,
    )
    known = None if query.instrument.venue is None else calendar
    return scope(query, known, now_ns=now_ns, most_bars=most_bars)


def wanted(found: Scope) -> list[str]:
    """Give the dates of the bars that exist."""
    assert found.wanted is not None
    return dates(found.wanted.opens_ns)


def test_without_start_and_limit_a_hundred_bars_back_are_meant() -> None:
    found = scoped()

    assert len(wanted(found)) == 100
    assert wanted(found)[-1] == "2024-06-12"
    assert (found.first, found.last) == (0, 100)
    assert found.span.start_ns == ns(wanted(found)[0])


@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("symbol", ["AAPL", "EUR/USD", "BTC/USD", "^GSPC"])
def test_a_limit_without_start_is_met_on_every_market(
    interval: Interval, symbol: str
) -> None:
    found = scoped(interval, limit=25, symbol=symbol)

    assert found.wanted is not None
    assert len(found.wanted) == 25
    assert found.last == 25


def test_a_limit_without_start_counts_back_from_the_end() -> None:
    found = scoped(end="2024-06-05", limit=2)

    assert wanted(found) == ["2024-06-03", "2024-06-04"]


def test_a_limit_with_a_start_means_the_first_so_many() -> None:
    found = scoped(start="2024-06-01", limit=3)

    assert wanted(found) == ["2024-06-03", "2024-06-04", "2024-06-05"]
    assert found.span.end_ns == ns("2024-06-06")
    assert (found.first, found.last) == (3, 0)


def test_a_start_without_limit_has_no_cap() -> None:
    found = scoped(start="2022-01-03")

    assert len(wanted(found)) == 638
    assert (found.first, found.last) == (0, 0)


def test_a_limit_beyond_the_range_takes_all_of_it() -> None:
    found = scoped(start="2024-06-10", end="2024-06-12", limit=60_000)

    assert wanted(found) == ["2024-06-10", "2024-06-11"]


def test_an_end_in_the_future_reaches_until_now() -> None:
    found = scoped(start="2024-06-11", end="2024-07-01")

    assert wanted(found) == ["2024-06-11", "2024-06-12"]


def test_before_the_open_the_day_has_no_bar_yet() -> None:
    early = ns("2024-06-12 08:00", NEW_YORK)

    assert wanted(scoped(limit=2, now_ns=early)) == ["2024-06-10", "2024-06-11"]
    assert scoped(start="2024-06-12", now_ns=early).surely_empty


def test_before_mondays_open_the_week_has_no_bar_yet() -> None:
    early = ns("2024-06-10 08:00", NEW_YORK)

    assert wanted(scoped(W1, limit=1, now_ns=early)) == ["2024-06-03"]


@pytest.mark.parametrize("end", [None, "2024-08-01"])
@pytest.mark.parametrize("interval", [D1, M1, MO1])
def test_a_start_in_the_future_is_an_empty_range(
    end: str | None, interval: Interval
) -> None:
    found = scoped(interval, start="2024-07-01", end=end)

    assert found.surely_empty
    assert found.span.start_ns <= found.span.end_ns


def test_a_start_of_right_now_is_no_fault() -> None:
    assert scoped(M1, start="2024-06-12 15:00").surely_empty


def test_a_bar_that_opens_right_now_exists() -> None:
    found = scoped(M1, start="2024-06-12 14:59", end="2024-06-12 15:30")

    assert found.wanted is not None
    assert texts(found.wanted.opens_ns) == ["2024-06-12 14:59", "2024-06-12 15:00"]


@pytest.mark.parametrize("end", ["2024-06-10", "2024-06-09", "1999-01-01"])
def test_a_range_that_is_upside_down_is_refused(end: str) -> None:
    with pytest.raises(InvalidQueryError, match="must be before end") as refused:
        scoped(start="2024-06-10", end=end)

    assert refused.value.facts() == {"fields": "start"}


@pytest.mark.parametrize(
    ("start", "end", "fields"),
    [
        ("1700-01-01", "2024-01-01", "start"),
        ("1700-01-01", "2250-01-01", "start,end"),
        (None, "1700-01-01", "end"),
    ],
)
def test_a_time_beyond_all_markets_is_refused(
    start: str | None, end: str, fields: str
) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        scoped(start=start, end=end)

    assert refused.value.facts() == {"fields": fields}


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(InvalidQueryError) as refused:
        scoped(limit=-1)

    assert refused.value.facts() == {"fields": "limit"}


@pytest.mark.parametrize("symbol", ["AAPL", "EUR/USD", "BTC/USD"])
@pytest.mark.parametrize("start", ["1800-01-01", "2023-01-03"])
def test_more_bars_than_fit_into_an_answer_are_refused(symbol: str, start: str) -> None:
    with pytest.raises(InvalidQueryError, match="FetchBatch") as refused:
        scoped(M1, start=start, symbol=symbol)

    assert refused.value.facts() == {"fields": "limit"}


def test_a_limit_of_more_bars_than_fit_is_refused() -> None:
    with pytest.raises(InvalidQueryError, match="FetchBatch"):
        scoped(limit=50_001)
    with pytest.raises(InvalidQueryError, match="FetchBatch"):
        scoped(M1, start="2023-01-03", limit=50_001)


def test_a_batch_may_hold_more() -> None:
    found = scoped(M1, start="2023-01-03", most_bars=1_000_000)

    assert found.wanted is not None
    assert len(found.wanted) > 50_000


def test_the_first_bars_of_a_long_range_are_cheap() -> None:
    scoped(M1, "2024-06-03", limit=1, symbol="EUR/USD")

    began = time.process_time()
    found = [
        scoped(M1, start="1971-01-04", limit=10, symbol=symbol)
        for symbol in ("EUR/USD", "BTC/USD")
    ]
    took = time.process_time() - began

    assert [len(one.wanted or ()) for one in found] == [10, 10]
    assert took < 0.2


def test_the_first_bars_are_found_behind_a_long_pause() -> None:
    calendar = sessions("2022-01-03", "2025-12-31", closed=_closed_for_a_year())

    found = scoped(start="2022-03-01", limit=2, calendar=calendar)

    assert wanted(found) == ["2023-03-01", "2023-03-02"]


def _closed_for_a_year() -> list[str]:
    days = ns("2022-03-01") + np.arange(365) * DAY_NS
    return dates(days)


def test_a_range_without_sessions_is_surely_empty() -> None:
    assert scoped(start="2024-06-08", end="2024-06-10").surely_empty
    assert scoped(H1, start="2024-06-11 21:00", end="2024-06-12 12:00").surely_empty


def test_after_hours_are_not_surely_empty() -> None:
    evening = scoped(
        H1,
        start="2024-06-11 20:00",
        end="2024-06-12 00:00",
        hours=TradingHours.EXTENDED,
    )
    weekend = scoped(
        H1,
        start="2024-06-09 12:00",
        end="2024-06-10 00:00",
        hours=TradingHours.EXTENDED,
    )

    assert not evening.surely_empty
    assert weekend.surely_empty


def test_extended_hours_are_limited_by_the_regular_bars_they_hold() -> None:
    found = scoped(M1, start="2024-06-03", limit=10, hours=TradingHours.EXTENDED)

    assert found.wanted is not None
    assert len(found.wanted) == 10
    assert texts([found.span.end_ns], NEW_YORK) == ["2024-06-03 09:40"]


def test_extended_hours_hold_more_bars_than_the_calendar_says() -> None:
    regular = scoped(M1, start="2024-03-01")

    assert regular.wanted is not None
    assert 50_000 / 3 < len(regular.wanted) < 50_000
    with pytest.raises(InvalidQueryError, match="FetchBatch"):
        scoped(M1, start="2024-03-01", hours=TradingHours.EXTENDED)


@pytest.mark.parametrize("interval", [D1, W1, MO1])
def test_without_a_calendar_nobody_knows_which_bars_exist(interval: Interval) -> None:
    found = scoped(interval, symbol="GC", kind=AssetClass.FUTURE)

    assert found.wanted is None
    assert found.due is None
    assert not found.surely_empty
    assert found.span.end_ns == NOW
    assert found.span.end_ns - found.span.start_ns >= 100 * interval.length_ns


@pytest.mark.parametrize("limit", [100, 20_000, 50_000])
def test_without_a_calendar_a_limit_can_still_be_met(limit: int) -> None:
    found = scoped(M1, symbol="GC", kind=AssetClass.FUTURE, limit=limit)

    assert found.last == limit


def test_without_a_calendar_a_range_is_judged_roughly() -> None:
    recent = scoped(M1, start="2024-06-01", symbol="GC", kind=AssetClass.FUTURE)

    assert recent.wanted is None
    with pytest.raises(InvalidQueryError, match="FetchBatch"):
        scoped(M1, start="2020-06-01", symbol="GC", kind=AssetClass.FUTURE)


def test_more_bars_back_than_the_calendar_has_reach_back_before_it() -> None:
    found = scoped(limit=5000)

    assert found.span.start_ns < YEARS.covers_from_ns
    assert found.known_from_ns == YEARS.covers_from_ns
    assert wanted(found)[0] == "2022-01-03"


def test_within_the_calendar_all_is_known() -> None:
    assert scoped().known_from_ns is None
    assert scoped(symbol="BTC/USD").known_from_ns is None


def test_the_earliest_end_can_be_looked_back_from() -> None:
    found = scoped(MO1, end="1770-06-01", limit=50_000, symbol="BTC/USD")

    assert found.span.start_ns < found.span.end_ns


def test_a_bar_is_due_when_it_is_over_and_has_settled() -> None:
    close = ns("2024-06-11 16:00", NEW_YORK)

    before = scoped(limit=1, now_ns=close + SETTLING_NS - 1)
    after = scoped(limit=1, now_ns=close + SETTLING_NS)

    assert before.due is not None
    assert after.due is not None
    assert len(before.due) == 0
    assert dates(after.due.opens_ns) == ["2024-06-11"]


def test_minutes_are_due_one_by_one() -> None:
    found = scoped(M1, limit=20)

    assert found.wanted is not None
    assert found.due is not None
    assert found.wanted.closes_ns[-1] == NOW
    assert found.due.closes_ns[-1] == NOW - SETTLING_NS
    assert len(found.due) == 20 - SETTLING_NS // MINUTE_NS


def test_extended_hours_without_a_calendar_are_not_surely_empty() -> None:
    found = scoped(H1, limit=5, hours=TradingHours.EXTENDED, calendar=None)

    assert found.wanted is None
    assert not found.surely_empty
