"""The trades of past days, page by page, until the vendor's own count is reached."""

from __future__ import annotations

import json

import pytest

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.stream import TradePage
from ingestion_server.providers.finnhub.trades import (
    MOST_ROWS,
    PAGE_ROWS,
    FinnhubTrades,
)
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


def read(
    body: object, request: HttpRequest | None = None
) -> tuple[TradePage, HttpRequest | None]:
    """Read one page."""
    return FinnhubTrades().read_trades(answer(body), request or asked()[0])


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
    page, more = read(ticks(2, total=2))

    first = page.trades[0]
    assert (first.symbol, first.time_ns, first.price) == ("AAPL", OPEN, 100.0)
    assert (first.size, first.conditions) == (1.0, ("1", "12"))
    assert page.whole
    assert more is None


def test_equal_trades_of_one_millisecond_are_all_kept() -> None:
    body = {**ticks(3, total=3), "t": [OPEN_MS] * 3}

    page, _ = read(body)

    assert len(page.trades) == 3


def test_trades_out_of_order_come_by_their_time() -> None:
    body = {**ticks(2, total=2), "t": [OPEN_MS + 5, OPEN_MS], "p": [2.0, 1.0]}

    page, _ = read(body)

    assert [trade.price for trade in page.trades] == [1.0, 2.0]


def test_the_rest_is_asked_for_until_the_vendors_count_is_reached() -> None:
    total = PAGE_ROWS + 2

    first, more = read(ticks(PAGE_ROWS, total=total))
    assert more is not None
    last, end = read(ticks(2, total=total, skip=PAGE_ROWS), more)

    assert dict(more.params)["skip"] == str(PAGE_ROWS)
    assert not first.whole
    assert last.whole
    assert end is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"total": 3},
        {"total": 1},
        {"count": 1},
        {"skip": 7},
        {"total": MOST_ROWS + 1},
    ],
)
def test_a_count_that_does_not_add_up_is_no_whole_day(wrong: dict[str, int]) -> None:
    page, more = read({**ticks(2, total=2), **wrong})

    assert not page.whole
    assert more is None
    assert len(page.trades) == 2


def test_a_count_that_is_never_reached_does_not_keep_us_asking_for_ever() -> None:
    page, more = read(ticks(PAGE_ROWS, total=10**12))

    assert more is None
    assert not page.whole


def test_a_day_without_trades_is_whole() -> None:
    page, more = read(ticks(0, total=0))

    assert page.whole
    assert (page.trades, more) == ([], None)


def test_conditions_and_sizes_may_be_absent() -> None:
    page, _ = read({**ticks(1, total=1), "c": None, "v": None})

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
