"""A split changes all that was told before it; nobody may take both for one series."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries
from ingestion_server.ports.jobs import Landed
from tests.builders import bars, days, span, times
from tests.store import answers
from tests.store.answers import AAPL, kept, landing, result, whole

YEARS = span("2022-01-01", "2024-03-05")
HISTORY = days("2022-01-01", 794, 400.0)
RECENT = span("2024-03-01", "2024-03-06")


def scaled(factor: float) -> BarSeries:
    """Tell the history on another basis, with four digits as vendors do."""
    prices = (HISTORY.open, HISTORY.high, HISTORY.low, HISTORY.close)
    first, high, low, last = ((price * factor).round(4) for price in prices)
    return BarSeries(HISTORY.open_time_ns, first, high, low, last, HISTORY.volume)


async def test_a_split_is_told_and_what_had_landed_must_be_asked_for_anew(
    tmp_path: Path,
) -> None:
    await landing(tmp_path).land(AAPL, YEARS, result(HISTORY))

    # The split is on the 5th: what is before it is a quarter of what it was.
    now = bars(days("2024-03-01", 5).open_time_ns, [100.0] * 4 + [101.0])
    now.open[:4], now.high[:4], now.low[:4] = 399.0 / 4, 401.0 / 4, 398.0 / 4
    landed = await landing(tmp_path).land(AAPL, RECENT, result(now))

    assert landed == Landed(5, 4, pytest.approx(0.25))
    store = landing(tmp_path)
    assert await whole(store) == [("2024-03-01", "2024-03-06")]
    closes = await kept(store)
    assert closes["2024-02-29"] == 400.0
    assert closes["2024-03-01"] == 100.0


async def test_history_that_is_asked_for_anew_is_no_second_split(
    tmp_path: Path,
) -> None:
    store = landing(tmp_path)
    await store.land(AAPL, YEARS, result(HISTORY))
    quarter = scaled(0.25)
    await store.land(AAPL, RECENT, result(quarter))

    for start, end in (("2022-01-01", "2023-06-01"), ("2023-06-01", "2024-03-01")):
        landed = await store.land(AAPL, span(start, end), result(quarter))
        assert landed.revised == landed.bars
        assert landed.rebased is None

    assert await whole(store) == [("2022-01-01", "2024-03-06")]
    assert set((await kept(store)).values()) == {100.0}


async def test_a_small_dividend_is_noticed(tmp_path: Path) -> None:
    store = landing(tmp_path)
    of = answers.holding(adjustment=Adjustment.SPLIT_DIVIDEND)
    await store.land(of, YEARS, result(HISTORY, of=of))

    landed = await store.land(of, RECENT, result(scaled(0.9985), of=of))

    assert landed.rebased == pytest.approx(0.9985, rel=1e-5)


@pytest.mark.parametrize(
    "closes",
    [
        pytest.param([400.0, 401.0, 400.0, 400.0], id="a later bar is corrected"),
        pytest.param([400.0] * 4, id="nothing changes"),
        pytest.param([400.0001] * 4, id="another vendor rounds"),
        pytest.param([300.0] * 4, id="only closes change"),
    ],
)
async def test_corrections_are_no_split(tmp_path: Path, closes: list[float]) -> None:
    store = landing(tmp_path)
    await store.land(AAPL, YEARS, result(HISTORY))
    changed = days("2024-03-01", 4, 400.0)
    changed.close[:] = closes

    landed = await store.land(AAPL, RECENT, result(changed))

    assert landed.rebased is None
    assert await whole(store) == [("2022-01-01", "2024-03-06")]


async def test_prices_as_they_were_traded_have_no_other_basis(tmp_path: Path) -> None:
    store = landing(tmp_path)
    raw = answers.holding(adjustment=Adjustment.RAW)
    await store.land(raw, YEARS, result(HISTORY, of=raw))
    changed = days("2024-03-01", 4, 100.0)

    assert (await store.land(raw, RECENT, result(changed, of=raw))).rebased is None


async def test_bars_that_do_not_meet_tell_nothing(tmp_path: Path) -> None:
    store = landing(tmp_path)
    await store.land(AAPL, YEARS, result(HISTORY))
    later = bars(times("2024-03-05"), 100.0)

    assert (await store.land(AAPL, RECENT, result(later))).rebased is None
