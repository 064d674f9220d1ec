"""The trades of past days, of which any part can be asked for."""

from __future__ import annotations

import json

import pytest

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.stream import TradePage
from ingestion_server.providers.finnhub.trades import FinnhubTrades
from tests.providers.finnhub.answers import AAPL, BITCOIN, EURUSD, LONDON, answer, ns

OPEN = ns("2024-01-03T14:30")
OPEN_MS = OPEN // 1_000_000


def asked(
    start: str = "2024-01-03T15:00",
    end: str = "2024-01-03T15:10",
    instrument: Instrument = AAPL,
) -> list[HttpRequest]:
    """Ask for the trades of a stretch of time."""
    return list(FinnhubTrades().trade_requests(instrument, ns(start), ns(end)))


def ticks(rows: int, *, total: int, skip: int = 0) -> dict[str, object]:
    """Write a page of trades, a millisecond apart."""
    return {
        "s": "AAPL",
        "skip": skip,
        "count": rows,
        "total": total,
        "t": [OPEN_MS + skip + row for row in range(rows)],
        "p": [100.0] * rows,
        "v": [1.0] * rows,
        "x": ["P"] * rows,
        "c": [["1", "12"]] * rows,
    }


def read(body: object) -> TradePage:
    """Read one page."""
    return FinnhubTrades().read_trades(answer(body), asked()[0])


def test_a_stretch_within_a_day_is_one_request() -> None:
    (request,) = asked()

    assert request.full_url == (
        "https://finnhub.io/api/v1/stock/tick"
        "?symbol=AAPL&date=2024-01-03&limit=25000&skip=0"
    )
    assert request.feature == "stock/tick"


def test_late_trading_is_looked_for_on_both_days_that_it_may_be_of() -> None:
    late = asked("2024-01-04T00:30", "2024-01-04T00:40")

    assert [dict(each.params)["date"] for each in late] == ["2024-01-03", "2024-01-04"]
    assert not asked("2024-01-04T00:30", "2024-01-04T00:30")


@pytest.mark.parametrize("pair", [EURUSD, BITCOIN])
def test_of_pairs_there_are_none(pair: Instrument) -> None:
    assert asked(instrument=pair) == []


def test_elsewhere_they_are_of_another_plan() -> None:
    (request,) = asked(instrument=LONDON)

    assert request.feature == "stock/tick:international"


def test_a_page_holds_time_price_size_and_conditions() -> None:
    page = read(ticks(2, total=2))

    first = page.trades[0]
    assert (first.symbol, first.time_ns, first.price) == ("AAPL", OPEN, 100.0)
    assert (first.size, first.conditions) == (1.0, ("1", "12"))
    assert (page.first, page.count, page.total) == (0, 2, 2)


def test_equal_trades_of_one_millisecond_are_all_kept() -> None:
    body = {**ticks(3, total=3), "t": [OPEN_MS] * 3}

    page = read(body)

    assert len(page.trades) == 3


def test_trades_come_in_the_order_of_the_vendor() -> None:
    body = {**ticks(2, total=2), "t": [OPEN_MS + 5, OPEN_MS], "p": [2.0, 1.0]}

    page = read(body)

    assert [trade.price for trade in page.trades] == [2.0, 1.0]


def test_any_part_of_a_day_can_be_asked_for() -> None:
    (day,) = asked()

    part = FinnhubTrades().part_request(day, 600_000, 1)

    assert part.full_url == (
        "https://finnhub.io/api/v1/stock/tick"
        "?symbol=AAPL&date=2024-01-03&limit=1&skip=600000"
    )
    assert (part.span, part.feature) == (day.span, day.feature)
    assert FinnhubTrades().part_request(part, 0, FinnhubTrades().page_trades) == day


def test_the_vendors_own_numbers_are_passed_on_as_they_are() -> None:
    page = read({**ticks(2, total=9, skip=5), "count": 3})

    assert (page.first, page.count, page.total) == (5, 3, 9)
    assert len(page.trades) == 2


def test_a_day_without_trades_is_empty() -> None:
    assert read(ticks(0, total=0)) == TradePage([], 0, 0, 0)


def test_conditions_and_sizes_may_be_absent() -> None:
    page = read({**ticks(1, total=1), "c": None, "v": None})

    assert page.trades[0].size is None
    assert page.trades[0].conditions == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"t": [OPEN_MS]},
        {"p": [1.0, None]},
        {"t": [OPEN_MS, 10**30]},
        {"t": [OPEN_MS, -1]},
        {"c": "1"},
        {"v": [1.0]},
    ],
)
def test_what_is_no_trades_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises(MalformedPayloadError):
        read({**ticks(2, total=2), **wrong})


def test_rubbish_is_told() -> None:
    for body in (b"", b"[]", b"[" * 5000, json.dumps(None).encode()):
        with pytest.raises(MalformedPayloadError):
            read(body)
