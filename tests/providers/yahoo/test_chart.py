"""Labels, live rows and prices of charts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.quality import FlagKind
from tests.providers.yahoo.charts import Row, ask, chart, ns, read, seconds, times

ROW = (10.0, 11.0, 9.0, 10.5, 100.0)
NULL = (None,) * 5


def test_prices_are_the_shortest_decimals_of_what_was_sent() -> None:
    sent = (34.45000076293945, 0.12834799289703369, 73.79750061035156, 1518, 0)

    series = read(chart({"2024-01-02T14:30": sent})).series

    assert series.open.tolist() == [34.45]
    assert series.high.tolist() == [0.128348]
    assert series.low.tolist() == [73.7975]
    assert series.close.tolist() == [1518.0]
    assert series.volume is not None
    assert series.volume.tolist() == [0.0]


def test_a_price_that_is_no_float32_stays() -> None:
    assert read(chart({"2024-01-02T14:30": (210.1,) * 5})).series.open[0] == 210.1


@pytest.mark.parametrize(
    ("symbol", "exchange", "zone", "interval", "stamp", "label"),
    [
        ("AAPL", "", "America/New_York", "1d", "2024-01-02T14:30", "2024-01-02"),
        ("AAPL", "", "America/New_York", "1d", "2024-07-02T13:30", "2024-07-02"),
        ("7203", "XTKS", "Asia/Tokyo", "1d", "2024-01-04T00:00", "2024-01-04"),
        ("BHP", "XASX", "Australia/Sydney", "1d", "2024-01-01T23:00", "2024-01-02"),
        ("AIR", "XNZE", "Pacific/Auckland", "1d", "2024-01-03T21:00", "2024-01-04"),
        ("AIR", "XNZE", "Pacific/Auckland", "1d", "2024-07-03T22:00", "2024-07-04"),
        ("IBM", "", "America/New_York", "1d", "1962-01-02T15:00", "1962-01-02"),
        ("EUR/USD", "", "Europe/London", "1d", "2024-07-01T23:00", "2024-07-02"),
        ("BTC/USD", "", "UTC", "1d", "2024-01-02", "2024-01-02"),
        ("^FCHI", "", "Europe/Paris", "1wk", "2024-06-30T22:00", "2024-07-01"),
        ("^FCHI", "", "Europe/Paris", "1wk", "2024-01-07T23:00", "2024-01-08"),
        ("AAPL", "", "America/New_York", "1wk", "2024-03-11T04:00", "2024-03-11"),
        ("^FCHI", "", "Europe/Paris", "1mo", "2024-03-31T22:00", "2024-04-01"),
        ("^FCHI", "", "Europe/Paris", "1mo", "2024-10-31T23:00", "2024-11-01"),
        ("IBM", "", "America/New_York", "1mo", "1962-02-01T05:00", "1962-02-01"),
    ],
)
def test_a_bar_is_labelled_by_the_date_of_its_session(
    symbol: str, exchange: str, zone: str, interval: str, stamp: str, label: str
) -> None:
    asked = ask(symbol, Interval(interval.replace("1wk", "1w")), exchange=exchange)

    # The offset at capture time is a trap, and says so.
    page = read(
        chart({stamp: ROW}, zone=zone, gmtoffset=3600, dataGranularity=interval), asked
    )

    assert times(page.series) == [label]


def test_monthly_stamps_on_both_sides_of_summer_time_are_the_first_of_the_month() -> (
    None
):
    stamps = [
        "2024-01-31T23:00",
        "2024-02-29T23:00",
        "2024-03-31T22:00",
        "2024-09-30T22:00",
        "2024-10-31T23:00",
    ]
    body = chart(dict.fromkeys(stamps, ROW), zone="Europe/Paris")

    series = read(body, ask("^FCHI", Interval.MONTH_1)).series

    assert times(series) == [
        "2024-02-01",
        "2024-03-01",
        "2024-04-01",
        "2024-10-01",
        "2024-11-01",
    ]


def test_a_chart_without_a_zone_is_labelled_by_what_we_know_of_the_exchange() -> None:
    body = chart({"2024-01-01T23:00": ROW}, zone="")

    assert times(read(body, ask("BHP", exchange="XASX")).series) == ["2024-01-02"]


def test_intraday_stamps_stay_as_they_are() -> None:
    stamps = ["2024-01-02T14:30:00", "2024-01-02T15:30:00", "2024-01-03T14:30:00"]

    series = read(chart(dict.fromkeys(stamps, ROW)), ask(interval=Interval.HOUR_1))

    assert times(series.series) == stamps


def test_an_empty_range_is_an_empty_page() -> None:
    body = {
        "chart": {
            "result": [
                {
                    "meta": {"currency": "USD", "firstTradeDate": 345479400},
                    "indicators": {"quote": [{}]},
                }
            ],
            "error": None,
        }
    }

    page = read(body)

    assert len(page.series) == 0
    assert page.currency == "USD"
    assert page.first_trade_ns == ns("1980-12-12")


def test_rows_in_disorder_are_sorted_and_of_twins_the_later_stays() -> None:
    rows = [
        ("2024-01-04T14:30", (3.0,) * 5),
        ("2024-01-02T14:30", (1.0,) * 5),
        ("2024-01-03T14:30", (2.0,) * 5),
        ("2024-01-02T14:30", (4.0,) * 5),
    ]

    series = read(chart(rows)).series

    assert times(series) == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert series.close.tolist() == [4.0, 2.0, 3.0]


def test_a_row_without_a_stamp_is_left_out_and_flagged() -> None:
    body = chart({"2024-01-02T14:30": ROW, "2024-01-03T14:30": (20.0,) * 5})
    body["chart"]["result"][0]["timestamp"][0] = None  # type: ignore[index]

    page = read(body)

    assert times(page.series) == ["2024-01-03"]
    assert page.series.close.tolist() == [20.0]
    assert [flag.kind for flag in page.flags] == [FlagKind.ROW_QUARANTINED]


def test_a_column_that_is_not_there_is_never_filled_in() -> None:
    body = chart({"2024-01-02T14:30": ROW})
    body["chart"]["result"][0]["indicators"]["quote"][0] = {"close": [1.5]}  # type: ignore[index]

    series = read(body).series

    assert np.isnan([series.open[0], series.high[0], series.low[0]]).all()
    assert series.close.tolist() == [1.5]
    assert series.volume is None


def test_of_a_day_that_stands_twice_the_later_row_wins() -> None:
    body = chart({"2024-01-02T14:30": ROW, "2024-01-02T18:03:07": (10, 12, 9, 12, 150)})

    series = read(body).series

    assert times(series) == ["2024-01-02"]
    assert series.high.tolist() == [12.0]
    assert series.volume is not None
    assert series.volume.tolist() == [150.0]


def test_a_later_row_that_says_nothing_does_not_win() -> None:
    body = chart({"2024-01-02T14:30": ROW, "2024-01-02T18:03:07": NULL})

    assert read(body).series.close.tolist() == [10.5]


def test_a_live_row_that_is_the_only_one_of_its_day_stays() -> None:
    body = chart({"2024-01-02T14:30": ROW, "2024-01-03T21:00:03": ROW})

    assert times(read(body).series) == ["2024-01-02", "2024-01-03"]


LIVE = (12.0, 20.0, 5.0, 13.0, 7.0)


@pytest.mark.parametrize(
    ("interval", "stamps"),
    [
        (Interval.WEEK_1, ["2022-01-03T05:00", "2022-01-10T05:00"]),
        (Interval.MONTH_1, ["2021-12-01T05:00", "2022-01-01T05:00"]),
    ],
)
def test_the_extra_row_of_a_week_or_month_is_merged_into_it(
    interval: Interval, stamps: Sequence[str]
) -> None:
    rows = dict.fromkeys(stamps, ROW) | {"2022-01-13T21:00:03": LIVE}

    series = read(chart(rows), ask(interval=interval)).series

    assert times(series) == [stamp[:10] for stamp in stamps]
    assert merged_row(chart(rows), interval) == (10.0, 20.0, 5.0, 13.0, 107.0)


def merged_row(body: object, interval: Interval) -> Row:
    """Return the last bar."""
    series = read(body, ask(interval=interval)).series
    columns = (series.open, series.high, series.low, series.close, series.volume)
    return tuple(float(c[-1]) for c in columns if c is not None)


@pytest.mark.parametrize(
    ("body", "live", "expected"),
    [
        (ROW, NULL, ROW),
        (NULL, LIVE, LIVE),
        ((None, *ROW[1:]), LIVE, (np.nan, 20.0, 5.0, 13.0, 107.0)),
        ((*ROW[:4], None), (*LIVE[:4], None), (10.0, 20.0, 5.0, 13.0, np.nan)),
        ((*ROW[:4], None), LIVE, (10.0, 20.0, 5.0, 13.0, 7.0)),
    ],
)
def test_nothing_is_invented_by_merging(body: Row, live: Row, expected: Row) -> None:
    rows = {"2022-01-03T05:00": ROW, "2022-01-10T05:00": body}

    merged = merged_row(chart(rows | {"2022-01-13T21:00:03": live}), Interval.WEEK_1)

    np.testing.assert_equal(merged, expected)


def test_a_week_that_comes_twice_is_not_added_to_itself() -> None:
    rows = [("2022-01-10T05:00", ROW), ("2022-01-10T05:00", ROW)]

    assert merged_row(chart(rows), Interval.WEEK_1) == ROW


REGULAR = {"start": seconds("2024-01-02T14:30"), "end": seconds("2024-01-02T21:00")}
EARLY = {"start": seconds("2024-01-02T09:00"), "end": REGULAR["start"]}
LATE = {"start": REGULAR["end"], "end": seconds("2024-01-03T01:00")}
HOURS = [
    {"currentTradingPeriod": {"pre": EARLY, "regular": REGULAR, "post": LATE}},
    {"tradingPeriods": [[REGULAR]]},
    {"tradingPeriods": {"pre": [[EARLY]], "regular": [[REGULAR]], "post": [[LATE]]}},
]


@pytest.mark.parametrize("hours", HOURS)
def test_a_row_at_the_close_without_volume_is_dropped(hours: dict[str, object]) -> None:
    rows = {"2024-01-02T20:30": ROW, "2024-01-02T21:00": (*ROW[:4], 0)}

    series = read(chart(rows, **hours), ask(interval=Interval.HOUR_1)).series

    assert times(series) == ["2024-01-02T20:30:00"]
    assert series.close.tolist() == [10.5]


def test_a_half_day_closes_early() -> None:
    half = {"start": seconds("2024-07-03T13:30"), "end": seconds("2024-07-03T17:00")}
    rows = {"2024-07-03T16:59": ROW, "2024-07-03T17:00": (*ROW[:4], 0)}
    body = chart(rows, tradingPeriods=[[half]])

    series = read(body, ask(interval=Interval.MINUTE_1)).series

    assert times(series) == ["2024-07-03T16:59:00"]


def test_a_row_at_noon_without_volume_stays() -> None:
    rows = {"2024-01-02T16:59": ROW, "2024-01-02T17:00": (*ROW[:4], 0)}

    series = read(chart(rows, **HOURS[0]), ask(interval=Interval.MINUTE_1)).series

    assert len(series) == 2


def test_the_first_minute_of_late_trading_is_a_bar() -> None:
    rows = {"2024-01-02T20:59": ROW, "2024-01-02T21:00": (*ROW[:4], 0)}
    asked = ask(interval=Interval.MINUTE_1, hours=TradingHours.EXTENDED)

    assert len(read(chart(rows, **HOURS[2]), asked).series) == 2


@pytest.mark.parametrize("hours", [HOURS[0], HOURS[2]])
def test_an_hour_that_early_trading_cuts_short_stands_beside_the_next(
    hours: dict[str, object],
) -> None:
    rows = {"2024-01-02T14:00": ROW, "2024-01-02T14:30": ROW}
    asked = ask(interval=Interval.HOUR_1, hours=TradingHours.EXTENDED)

    assert len(read(chart(rows, **hours), asked).series) == 2


@pytest.mark.parametrize("symbol", ["BTC/USD", "EUR/USD"])
def test_the_last_minute_of_a_pairs_day_is_a_bar(symbol: str) -> None:
    day = {"start": seconds("2024-01-02"), "end": seconds("2024-01-02T23:59")}
    rows = {"2024-01-02T23:58": ROW, "2024-01-02T23:59": (*ROW[:4], 0)}
    body = chart(rows, zone="UTC", currentTradingPeriod={"regular": day})

    assert len(read(body, ask(symbol, Interval.MINUTE_1)).series) == 2


@pytest.mark.parametrize(
    ("symbol", "kind"), [("AAPL", None), ("EUR/USD", None), ("GC", AssetClass.FUTURE)]
)
def test_a_row_off_the_grid_is_merged_into_the_running_bar(
    symbol: str, kind: AssetClass | None
) -> None:
    rows = {"2024-01-02T16:00": ROW, "2024-01-02T16:05": ROW}
    asked = ask(symbol, Interval.MINUTE_5, kind=kind)

    series = read(chart(rows | {"2024-01-02T16:07:21": LIVE}), asked).series

    assert times(series) == ["2024-01-02T16:00:00", "2024-01-02T16:05:00"]
    assert series.high.tolist() == [11.0, 20.0]
    assert series.close.tolist() == [10.5, 13.0]


@pytest.mark.parametrize("hours", [7, "x", [[]], [[{"end": "x"}]], {"regular": None}])
def test_trading_periods_that_cannot_be_read_do_no_harm(hours: object) -> None:
    rows = {"2024-01-02T20:30": ROW, "2024-01-02T21:30": ROW}
    body = chart(rows, tradingPeriods=hours, currentTradingPeriod=hours)

    assert len(read(body, ask(interval=Interval.HOUR_1)).series) == 2


def test_events_that_cannot_be_read_do_not_cost_the_bars() -> None:
    body = chart({"2024-01-02T14:30": ROW}, events={"dividends": {"1": {"amount": 0}}})

    assert len(read(body).series) == 1


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({"symbol": "MSFT"}, "chart of MSFT instead of AAPL"),
        ({"symbol": "AAPL.BA"}, "chart of AAPL.BA"),
        ({"dataGranularity": "1mo"}, "bars of 1mo instead of 1d"),
        ({"zone": "Mars/Phobos"}, "no time zone"),
        ({"zone": "../../etc/passwd"}, "no time zone"),
        ({"zone": "America"}, "no time zone"),
        ({"zone": "x" * 9_000}, "no time zone"),
    ],
)
def test_a_chart_of_something_else_is_refused(meta: dict[str, str], told: str) -> None:
    with pytest.raises(MalformedPayloadError, match=told):
        read(chart({"2024-01-02T14:30": ROW}, **meta))  # type: ignore[arg-type]


def test_yahoos_two_names_of_one_thing_are_both_right() -> None:
    pair = chart({"2024-01-02T00:00": ROW}, zone="UTC", symbol="JPY=X")
    hour = chart({"2024-01-02T14:30": ROW}, dataGranularity="60m", symbol="aapl")

    assert len(read(pair, ask("USD/JPY")).series) == 1
    assert len(read(hour, ask(interval=Interval.HOUR_1)).series) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": [10**11]},
        {"timestamp": [10**40]},
        {"timestamp": [10**400]},
        {"timestamp": [1.5]},
        {"timestamp": [True]},
        {"timestamp": [1, 2]},
        {"timestamp": {"1": 2}},
        {"meta": None},
        {"meta": []},
        {"indicators": {"quote": [None]}},
        {"indicators": {"quote": [{"open": ["1"]}]}},
        {"indicators": {"quote": [{"open": [[1]]}]}},
        {"indicators": {"quote": [{"open": []}]}},
    ],
)
def test_what_is_no_chart_is_malformed(change: dict[str, object]) -> None:
    body = chart({"2024-01-02T14:30": ROW})
    body["chart"]["result"][0] |= change  # type: ignore[index]

    with pytest.raises(MalformedPayloadError):
        read(body)


@pytest.mark.parametrize("first", [10**11, -(10**30), None])
def test_a_first_trade_at_no_time_is_not_told(first: int | None) -> None:
    body = chart({"2024-01-02T14:30": ROW}, firstTradeDate=first)

    assert read(body).first_trade_ns is None
