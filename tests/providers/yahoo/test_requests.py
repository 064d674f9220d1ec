"""What is asked of Yahoo."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk
from ingestion_server.providers.yahoo import Yahoo
from tests.providers.yahoo.charts import ask, ns, seconds

DAY = 86_400


def period(request: HttpRequest) -> tuple[int, int]:
    """Return what a request covers, in seconds."""
    params = dict(request.params)
    return int(params["period1"]), int(params["period2"])


@pytest.mark.parametrize(
    ("symbol", "exchange", "day", "start", "end"),
    [
        ("AAPL", "", "2024-01-02", "2024-01-02T05:00", "2024-01-03T05:00"),
        ("AAPL", "", "2024-07-02", "2024-07-02T04:00", "2024-07-03T04:00"),
        ("AAPL", "", "2024-03-10", "2024-03-10T05:00", "2024-03-11T04:00"),
        ("AAPL", "", "2024-11-03", "2024-11-03T04:00", "2024-11-04T05:00"),
        ("VOD", "XLON", "2024-07-02", "2024-07-01T23:00", "2024-07-02T23:00"),
        ("7203", "XTKS", "2024-01-02", "2024-01-01T15:00", "2024-01-02T15:00"),
        ("BHP", "XASX", "2024-01-02", "2024-01-01T13:00", "2024-01-02T13:00"),
        ("AIR", "XNZE", "2024-07-02", "2024-07-01T12:00", "2024-07-02T12:00"),
        ("EUR/USD", "", "2024-07-02", "2024-07-01T23:00", "2024-07-02T23:00"),
        ("BTC/USD", "", "2024-07-02", "2024-07-02", "2024-07-03"),
        ("^NOBODY", "", "2024-07-02", "2024-07-01", "2024-07-04"),
        ("IBM", "", "1962-01-02", "1962-01-02T05:00", "1962-01-03T05:00"),
    ],
)
def test_a_day_is_asked_for_by_the_exchanges_own_midnights(
    symbol: str, exchange: str, day: str, start: str, end: str
) -> None:
    asked = ask(symbol, exchange=exchange, span=(day, f"{day}T00:00:01"))

    (request,) = Yahoo().bar_requests(asked)

    assert period(request) == (seconds(start), seconds(end))
    assert request.span == Span(ns(start), ns(end))


@pytest.mark.parametrize("exchange", ["", "XCME", "XCEC"])
def test_a_future_is_stamped_by_new_york_wherever_it_trades(exchange: str) -> None:
    asked = ask("ES", kind=AssetClass.FUTURE, exchange=exchange)

    (request,) = Yahoo().bar_requests(asked)

    assert period(request)[0] == seconds("2024-01-02T05:00")


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval.WEEK_1, "2024-06-30T22:00", "2024-07-07T22:00"),
        (Interval.MONTH_1, "2024-06-30T22:00", "2024-07-31T22:00"),
    ],
)
def test_longer_bars_are_asked_for_whole(
    interval: Interval, start: str, end: str
) -> None:
    asked = ask("^FCHI", interval, span=("2024-07-03", "2024-07-04"))

    (request,) = Yahoo().bar_requests(asked)

    assert period(request) == (seconds(start), seconds(end))


@pytest.mark.parametrize("odd_ns", [0, 1, 999_999_999])
def test_minutes_are_asked_for_by_the_week_and_not_before_they_exist(
    odd_ns: int,
) -> None:
    now = ns("2024-07-01T12:00") + odd_ns
    plain = ask(interval=Interval.MINUTE_1)
    asked = BarAsk(
        plain.instrument,
        plain.interval,
        plain.adjustment,
        Span(ns("2024-01-01") + odd_ns, now),
        now,
    )

    periods = [period(request) for request in Yahoo().bar_requests(asked)]

    assert len(periods) == 5
    assert all(end - start <= 7 * DAY for start, end in periods)
    assert all(
        ours[1] == following[0] for ours, following in itertools.pairwise(periods)
    )
    oldest = now / SECOND_NS - 30 * DAY
    assert oldest + 30 <= periods[0][0] <= oldest + 120
    assert periods[-1][1] >= now / SECOND_NS


@pytest.mark.parametrize(
    ("interval", "days", "code"),
    [
        (Interval.MINUTE_5, 60, "5m"),
        (Interval.MINUTE_15, 60, "15m"),
        (Interval.HOUR_1, 730, "1h"),
    ],
)
def test_other_intraday_bars_take_one_call_as_far_back_as_they_reach(
    interval: Interval, days: int, code: str
) -> None:
    asked = ask(interval=interval, span=("2010-01-01", "2024-07-01"))

    (request,) = Yahoo().bar_requests(asked)

    reach = seconds("2024-07-01T12:00") - days * DAY
    assert reach < period(request)[0] <= reach + 120
    assert dict(request.params)["interval"] == code


def test_what_is_too_old_is_not_asked_for() -> None:
    asked = ask(interval=Interval.MINUTE_1, span=("2024-01-02", "2024-01-03"))

    assert Yahoo().bar_requests(asked) == ()


def test_days_are_asked_for_without_an_age_but_not_before_1900() -> None:
    (request,) = Yahoo().bar_requests(ask(span=("1700-01-01", "2024-07-01")))

    assert period(request)[0] == seconds("1900-01-01")


@pytest.mark.parametrize(
    ("symbol", "exchange", "path"),
    [
        ("^GSPC", "", "%5EGSPC"),
        ("EUR/USD", "", "EURUSD%3DX"),
        ("BRK.B", "", "BRK-B"),
        ("VOD", "XLON", "VOD.L"),
    ],
)
def test_the_symbol_is_encoded_and_found_again(
    symbol: str, exchange: str, path: str
) -> None:
    vendor = Yahoo()

    (request,) = vendor.bar_requests(ask(symbol, exchange=exchange))

    assert request.url == f"https://query2.finance.yahoo.com/v8/finance/chart/{path}"
    found = vendor.identity(request.full_url, b"")
    assert found is not None
    assert found == vendor.identity(request.full_url.replace("query2", "query1"), b"")


def test_an_exchange_that_yahoo_does_not_serve_cannot_be_asked_for() -> None:
    listed = Instrument("ABC", AssetClass.EQUITY, "XCME")
    plain = ask()
    asked = BarAsk(listed, plain.interval, plain.adjustment, plain.span, plain.now_ns)

    with pytest.raises(CapabilityMissingError, match="no symbol for ABC on XCME"):
        Yahoo().bar_requests(asked)


@pytest.mark.parametrize(
    ("interval", "hours", "told"),
    [
        (Interval.HOUR_1, TradingHours.EXTENDED, "true"),
        (Interval.HOUR_1, TradingHours.REGULAR, "false"),
        (Interval.DAY_1, TradingHours.EXTENDED, "false"),
    ],
)
def test_early_and_late_hours_are_asked_for_where_they_exist(
    interval: Interval, hours: TradingHours, told: str
) -> None:
    asked = ask(interval=interval, hours=hours, now="2024-01-03")

    (request,) = Yahoo().bar_requests(asked)

    assert dict(request.params)["includePrePost"] == told


def test_one_call_tells_all_actions() -> None:
    needed = frozenset({Adjustment.RAW, Adjustment.SPLIT})
    now = ns("2024-07-01")

    (request,) = Yahoo().action_requests(instrument("AAPL"), needed, now)

    assert period(request) == (seconds("1900-01-01"), seconds("2024-07-01") + 1)
    assert dict(request.params)["interval"] == "1d"
    assert dict(request.params)["events"] == "div|split"


def asked_of_all_kinds() -> Iterator[str]:
    """Yield the features of whatever is asked for whatever is served."""
    vendor = Yahoo()
    served = set().union(*(row.intervals for row in vendor.capabilities))
    for (symbol, kind), interval, hours in itertools.product(
        (
            ("AAPL", AssetClass.EQUITY),
            ("^GSPC", AssetClass.INDEX),
            ("EUR/USD", AssetClass.FX),
            ("BTC/USD", AssetClass.CRYPTO),
            ("ES", AssetClass.FUTURE),
        ),
        served,
        TradingHours,
    ):
        asked = ask(symbol, interval, kind=kind, hours=hours, now="2024-01-03")
        requests = (
            *vendor.bar_requests(asked),
            *vendor.action_requests(asked.instrument, frozenset(Adjustment), 0),
        )
        yield from (request.feature for request in requests)


def test_the_endpoints_are_what_is_asked_for_and_the_greeting() -> None:
    asked = set(asked_of_all_kinds())

    assert Yahoo().endpoints == asked | {"chart", "quote", "session"}


def test_a_pair_has_no_actions() -> None:
    needed = frozenset({Adjustment.RAW})

    assert Yahoo().action_requests(instrument("EUR/USD"), needed, 0) == ()
