"""What times mean: zones, daylight saving, and whether a stamp starts or ends a bar."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.quality import FlagKind
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.alpha_vantage.declarations import IntradayLabel
from ingestion_server.providers.alpha_vantage.stamps import wall_times
from tests.providers.alpha_vantage.pages import (
    NUMBERED,
    ROW,
    answer,
    ask,
    ns,
    reply,
    times,
)


def intraday(*stamps: str, zone: str = "US/Eastern", minutes: int = 15) -> bytes:
    """Write a page of bars with these stamps."""
    return reply(
        f"Time Series ({minutes}min)",
        dict.fromkeys(stamps, ROW),
        meta={"6. Time Zone": zone},
    )


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-0", "12024-01-02"],
        ["2024-01", "-012024-01-02"],
        ["2024-01-012024-01", "-02"],
        ["", "2024-01-012024-01-02"],
    ],
)
def test_dates_that_only_look_right_in_a_row_are_refused(texts: list[str]) -> None:
    with pytest.raises(MalformedPayloadError):
        wall_times(texts)


def test_dates_minutes_and_seconds_are_read_even_side_by_side() -> None:
    texts = ["2024-02-29", "1999-12-31 23:59", "2038-01-19 03:14:08"]

    assert wall_times(texts).tolist() == [ns(text) for text in texts]
    assert wall_times(texts[1:2]).tolist() == [ns(texts[1])]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0001-01-01",
        "9999-12-31",
        "1899-12-31",
        "2100-01-01",
        "2023-02-29",
        "2024-00-10",
        "2024-13-01",
        "2024-01-00",
        "2024-01-32",
        "2024/01/01",
        "2024-01-01T00:00:00",
        "2024-01-01 24:00:00",
        "2024-01-01 00:60:00",
        "2024-01-01 00:00:60",
        "2024-01-0x",
        "\uff12\uff10\uff12\uff14-01-01",
        "2024-01-01 ",
    ],
)
def test_what_is_no_time_of_our_age_is_refused(text: str) -> None:
    with pytest.raises(MalformedPayloadError, match="dated"):
        wall_times(["2024-01-02", text])


@pytest.mark.parametrize(
    ("stamp", "utc"),
    [
        ("2024-03-08 09:30:00", "2024-03-08T14:30"),  # Friday before the change
        ("2024-03-11 09:30:00", "2024-03-11T13:30"),  # Monday after it
        ("2024-11-01 09:30:00", "2024-11-01T13:30"),
        ("2024-11-04 09:30:00", "2024-11-04T14:30"),
    ],
)
def test_stamps_of_equities_are_new_york_time(stamp: str, utc: str) -> None:
    question = ask("IBM", Interval.MINUTE_15)

    assert times(intraday(stamp), question) == [utc]


@pytest.mark.parametrize("setting", ["start", "end"])
def test_a_page_that_reaches_20_00_is_labelled_by_the_end(
    setting: IntradayLabel,
) -> None:
    body = intraday("2021-08-18 20:00:00", "2021-08-18 09:45:00")

    page = AlphaVantage(intraday_label=setting).read_bars(
        answer(body), ask("AAPL", Interval.MINUTE_15)
    )

    assert page.flags == []
    assert times(body, ask("AAPL", Interval.MINUTE_15), setting) == [
        "2021-08-18T13:30",
        "2021-08-18T23:45",
    ]


@pytest.mark.parametrize("setting", ["start", "end"])
def test_a_page_that_begins_at_04_00_is_labelled_by_the_start(
    setting: IntradayLabel,
) -> None:
    body = intraday("2024-01-02 19:45:00", "2024-01-02 04:00:00")

    page = AlphaVantage(intraday_label=setting).read_bars(
        answer(body), ask("AAPL", Interval.MINUTE_15)
    )

    assert page.flags == []
    assert times(body, ask("AAPL", Interval.MINUTE_15), setting) == [
        "2024-01-02T09:00",
        "2024-01-03T00:45",
    ]


@pytest.mark.parametrize(
    ("setting", "utc"),
    [("start", "2024-01-02T14:30"), ("end", "2024-01-02T14:15")],
)
@pytest.mark.parametrize("more", [(), ("2024-01-02 20:00:00", "2024-01-02 04:00:00")])
def test_a_page_that_shows_neither_or_both_follows_the_setting_and_is_flagged(
    setting: IntradayLabel, utc: str, more: tuple[str, ...]
) -> None:
    body = intraday("2024-01-02 09:30:00", *more)
    question = ask("AAPL", Interval.MINUTE_15)

    page = AlphaVantage(intraday_label=setting).read_bars(answer(body), question)

    assert [flag.kind for flag in page.flags] == [FlagKind.LABEL_ASSUMED]
    assert utc in times(body, question, setting)


def test_04_00_in_new_york_shows_nothing_about_london() -> None:
    body = intraday("2024-01-02 04:00:00")
    question = ask("TSCO", Interval.MINUTE_15, exchange="XLON")

    page = AlphaVantage().read_bars(answer(body), question)

    assert [flag.kind for flag in page.flags] == [FlagKind.LABEL_ASSUMED]


@pytest.mark.parametrize(
    ("symbol", "series"),
    [("EUR/USD", "Time Series FX (60min)"), ("BTC/USD", "Time Series Crypto (60min)")],
)
def test_pairs_are_labelled_by_the_start_in_utc(symbol: str, series: str) -> None:
    body = reply(
        series,
        {"2024-11-03 20:00:00": ROW, "2024-11-03 01:00:00": ROW},
        meta={"7. Time Zone": "UTC"},
    )
    question = ask(symbol, Interval.HOUR_1)

    assert times(body, question, "end") == ["2024-11-03T01:00", "2024-11-03T20:00"]
    assert AlphaVantage().read_bars(answer(body), question).flags == []


def test_no_zone_is_new_york_and_an_unknown_zone_is_refused() -> None:
    question = ask("IBM", Interval.MINUTE_15)
    silent = reply(
        "Time Series (15min)", {"2024-01-02 04:00:00": ROW}, meta={"2. Symbol": "IBM"}
    )

    assert times(silent, question) == ["2024-01-02T09:00"]
    with pytest.raises(MalformedPayloadError, match="zone"):
        times(intraday("2024-01-02 04:00:00", zone="../etc/passwd"), question)


def test_weeks_are_labelled_by_monday_and_months_by_the_first() -> None:
    # The latest week and month are not over; a Thursday ends a week before a holiday.
    rows = {"2024-04-02": ROW, "2024-03-28": ROW, "2024-03-22": ROW}
    weekly = reply("Weekly Time Series", rows)
    monthly = reply("Monthly Time Series", {"2024-04-02": ROW, "2024-03-28": ROW})

    assert times(weekly, ask("IBM", Interval.WEEK_1)) == [
        "2024-03-18T00:00",
        "2024-03-25T00:00",
        "2024-04-01T00:00",
    ]
    assert times(monthly, ask("IBM", Interval.MONTH_1)) == [
        "2024-03-01T00:00",
        "2024-04-01T00:00",
    ]


def test_of_two_rows_of_one_week_the_later_stands() -> None:
    rows = {"2024-03-28": ROW, "2024-03-27": ["9", "9", "9", "9", "9"]}

    page = AlphaVantage().read_bars(
        answer(reply("Weekly Time Series", rows)), ask("IBM", Interval.WEEK_1)
    )

    assert page.series.close.tolist() == [10.25]


def test_a_currency_week_opens_on_sunday_and_a_crypto_week_ends_on_it() -> None:
    rows = {"2024-03-24": ROW, "2024-03-22": ROW}
    fx = reply("Time Series FX (Weekly)", rows, fields=NUMBERED[:4])
    crypto = reply("Time Series (Digital Currency Weekly)", {"2024-03-24": ROW})

    assert times(fx, ask("EUR/USD", Interval.WEEK_1)) == [
        "2024-03-18T00:00",
        "2024-03-25T00:00",
    ]
    assert times(crypto, ask("BTC/USD", Interval.WEEK_1)) == ["2024-03-18T00:00"]
