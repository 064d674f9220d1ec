"""What has landed is there for good, once, and tells what of it is complete."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries, BarState, empty_series
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import DAY_NS, HOUR_NS, MINUTE_NS, Interval
from ingestion_server.domain.landed import LandedSource
from ingestion_server.domain.result import Missing, Source
from ingestion_server.ports.jobs import Landed
from tests.builders import bars, dates, days, ns, span, times
from tests.clocks import ManualClock
from tests.store import answers
from tests.store.answers import AAPL, ALL, files, kept, landing, result, whole

NVDA = answers.holding("NVDA")
WEEK = span("2024-03-04", "2024-03-11")


async def test_where_nothing_landed_nothing_is_there_and_nothing_is_made(
    tmp_path: Path,
) -> None:
    store = landing(tmp_path / "none")

    assert await store.covered(AAPL, ALL) == ()
    found = await store.read(AAPL, ALL)
    assert len(found.series) == 0
    assert found.sources == []
    assert not (tmp_path / "none").exists()


async def test_bars_that_landed_are_there_after_a_restart(tmp_path: Path) -> None:
    series = bars(times("2024-03-04", "2024-03-05"), [100.5, 101.25], volume=[7, 0])
    answer = result(series, received_at_ns=ns("2024-06-01"), derivation="by days")

    landed = await landing(tmp_path).land(AAPL, WEEK, answer)
    found = await landing(tmp_path).read(AAPL, ALL)

    assert landed == Landed(2, 0, None)
    for name in ("open_time_ns", "open", "high", "low", "close", "volume"):
        assert getattr(found.series, name).tolist() == getattr(series, name).tolist()
    assert found.states.tolist() == [BarState.FINAL] * 2
    assert found.currency == "USD"
    assert found.zone == "America/New_York"
    assert found.sources == [
        LandedSource(
            "yahoo", ns("2024-03-04"), ns("2024-03-06"), ns("2024-06-01"), derived=True
        )
    ]
    assert await whole(landing(tmp_path)) == [("2024-03-04", "2024-03-11")]


async def test_each_bar_keeps_who_served_it(tmp_path: Path) -> None:
    store = landing(tmp_path)
    first, last = ns("2024-03-04"), ns("2024-03-08")
    sources = [
        Source("yahoo", first, first + 2 * DAY_NS, 5),
        Source("finnhub", first + 2 * DAY_NS, last, 6),
    ]

    await store.land(AAPL, WEEK, result(days("2024-03-04", 4), sources=sources))
    week = span("2024-03-08", "2024-03-10")
    await store.land(AAPL, week, result(days("2024-03-08", 2), provider="finnhub"))

    found = (await store.read(AAPL, ALL)).sources
    assert [(each.provider, each.received_at_ns) for each in found] == [
        ("yahoo", 5),
        ("finnhub", 6),
        ("finnhub", answers.RECEIVED_NS),
    ]
    assert [each.start_ns for each in found[1:]] == [each.end_ns for each in found[:-1]]


async def test_prices_and_volumes_that_nobody_gave_stay_unknown(tmp_path: Path) -> None:
    store = landing(tmp_path)
    opens = times("2024-03-04", "2024-03-05")
    lacking = np.array([np.nan, 3.0])
    series = BarSeries(opens, lacking, lacking, lacking, np.array([1.0, 2.0]), None)

    await store.land(AAPL, WEEK, result(series))
    found = (await store.read(AAPL, ALL)).series

    assert np.isnan(found.open).tolist() == [True, False]
    assert found.volume is None
    assert await store.land(AAPL, WEEK, result(series)) == Landed(2, 0)


async def test_landing_the_same_once_more_changes_no_file(tmp_path: Path) -> None:
    store = landing(tmp_path)
    over = span("2023-12-20", "2024-01-20")
    answer = result(days("2023-12-20", 31))
    await store.land(AAPL, over, answer)
    before = {name: (tmp_path / name).stat().st_ino for name in files(tmp_path)}

    again = result(days("2023-12-20", 31), provider="finnhub", received_at_ns=9)
    assert await store.land(AAPL, over, again) == Landed(31, 0)

    assert {n: (tmp_path / n).stat().st_ino for n in files(tmp_path)} == before
    assert {s.provider for s in (await store.read(AAPL, ALL)).sources} == {"yahoo"}


async def test_a_bar_that_differs_takes_the_place_and_the_former_one_is_kept(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    store = landing(tmp_path, clock)
    series = bars(times("2024-03-04", "2024-03-05", "2024-03-06"), [1.0, 2.0, 3.0])
    await store.land(AAPL, WEEK, result(series))
    for close in (2.5, 2.25):
        clock.jump(60.0)
        changed = bars(times("2024-03-05", "2024-03-06"), [close, 3.0])
        assert await store.land(AAPL, WEEK, result(changed)) == Landed(2, 1)

    found = await store.read(AAPL, ALL)
    assert found.series.close.tolist() == [1.0, 2.25, 3.0]
    assert found.states.tolist() == [BarState.FINAL, BarState.REVISED, BarState.FINAL]
    assert files(tmp_path) == [
        "bars/1d/split/AAPL/2024.parquet",
        "revisions/1d/split/AAPL/2024.parquet",
    ]


async def test_bars_of_several_years_lie_in_several_files(tmp_path: Path) -> None:
    store = landing(tmp_path)
    over = span("2021-12-30", "2024-01-03")

    await store.land(AAPL, over, result(days("2021-12-30", 734)))

    assert files(tmp_path) == [
        f"bars/1d/split/AAPL/{year}.parquet" for year in (2021, 2022, 2023, 2024)
    ]
    assert len(await kept(store)) == 734
    inside = span("2022-12-31", "2023-01-02")
    assert list(await kept(store, inside)) == ["2022-12-31", "2023-01-01"]
    assert await whole(store) == [("2021-12-30", "2024-01-03")]
    assert await whole(store, inside) == [("2022-12-31", "2023-01-02")]


async def test_a_stretch_without_bars_is_complete_too(tmp_path: Path) -> None:
    store = landing(tmp_path)

    landed = await store.land(
        AAPL, span("2001-06-01", "2003-02-01"), result(empty_series())
    )

    assert landed == Landed(0, 0)
    assert await whole(store) == [("2001-06-01", "2003-02-01")]
    assert await kept(store) == {}


async def test_what_is_missing_is_not_complete(tmp_path: Path) -> None:
    store = landing(tmp_path)
    answer = result(
        bars(times("2024-03-04", "2024-03-08")), missing=[("2024-03-05", "2024-03-08")]
    )

    await store.land(AAPL, WEEK, answer)

    assert await whole(store) == [
        ("2024-03-04", "2024-03-05"),
        ("2024-03-08", "2024-03-11"),
    ]


async def test_there_may_be_many_holes(tmp_path: Path) -> None:
    store = landing(tmp_path)
    holes = days("2020-01-01", 366).open_time_ns[::2]
    answer = result(days("2020-01-01", 366))
    answer.missing.extend(
        Missing(int(start), int(start) + HOUR_NS, "nobody had it") for start in holes
    )

    await store.land(AAPL, span("2020-01-01", "2021-01-01"), answer)

    covered = await landing(tmp_path).covered(AAPL, ALL)
    assert [each.start_ns for each in covered] == [hole + HOUR_NS for hole in holes]


async def test_a_bar_that_may_still_change_does_not_land_and_ends_what_is_complete(
    tmp_path: Path,
) -> None:
    store = landing(tmp_path)

    landed = await store.land(AAPL, WEEK, result(days("2024-03-04", 4), partial=[2]))

    assert landed == Landed(3, 0)
    assert list(await kept(store)) == ["2024-03-04", "2024-03-05", "2024-03-07"]
    assert await whole(store) == [("2024-03-04", "2024-03-06")]


async def test_what_has_just_been_is_complete_only_as_far_as_there_are_bars(
    tmp_path: Path,
) -> None:
    minutes = answers.holding(interval=Interval.MINUTE_1)
    clock = ManualClock()
    store = landing(tmp_path, clock)
    now = clock.now_ns()
    over = answers.Span(now - DAY_NS, now + DAY_NS)

    await store.land(minutes, over, result(empty_series(), of=minutes))
    (empty,) = await store.covered(minutes, over)
    last = now - 20 * MINUTE_NS
    await store.land(minutes, over, result(bars([last]), of=minutes))
    (known,) = await store.covered(minutes, over)

    assert now - 2 * HOUR_NS < empty.end_ns < now - HOUR_NS
    assert known.end_ns == last + MINUTE_NS


async def test_bars_beyond_what_was_asked_for_do_not_land(tmp_path: Path) -> None:
    store = landing(tmp_path)

    await store.land(AAPL, WEEK, result(days("2024-03-01", 20)))

    assert list(await kept(store)) == dates(days("2024-03-04", 7).open_time_ns)


async def test_stretches_that_touch_become_one(tmp_path: Path) -> None:
    store = landing(tmp_path)
    for start, end in (
        ("2024-03-05", "2024-03-06"),
        ("2024-03-01", "2024-03-02"),
        ("2024-03-02", "2024-03-05"),
    ):
        await store.land(AAPL, span(start, end), result(days(start, 1)))

    assert await whole(store) == [("2024-03-01", "2024-03-06")]


async def test_series_do_not_mix(tmp_path: Path) -> None:
    store = landing(tmp_path)
    kinds = [
        AAPL,
        NVDA,
        answers.holding(adjustment=Adjustment.RAW),
        answers.holding(interval=Interval.HOUR_1),
        answers.holding(interval=Interval.HOUR_1, hours=TradingHours.EXTENDED),
        answers.holding("VOD", exchange="XLON"),
        answers.holding("VOD"),
        answers.holding("GC", asset_class=AssetClass.FUTURE),
        answers.holding("EUR/USD"),
    ]
    for number, each in enumerate(kinds):
        await store.land(each, WEEK, result(days("2024-03-04", 2, number), of=each))

    for number, each in enumerate(kinds):
        assert set((await kept(store, of=each)).values()) == {number}
    assert files(tmp_path) == sorted(
        f"bars/{place}/2024.parquet"
        for place in (
            "1d/split/AAPL",
            "1d/split/NVDA",
            "1d/raw/AAPL",
            "1h/split/AAPL",
            "1h/split-extended/AAPL",
            "1d/split/VOD@XLON",
            "1d/split/VOD",
            "1d/raw/GC@future",
            "1d/raw/EUR%2FUSD",
        )
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            answers.holding("EUR/USD", adjustment=Adjustment.SPLIT),
            answers.holding("EUR/USD", adjustment=Adjustment.RAW),
        ),
        (
            answers.holding(hours=TradingHours.EXTENDED),
            answers.holding(hours=TradingHours.REGULAR),
        ),
    ],
)
async def test_what_makes_no_difference_makes_no_other_series(
    tmp_path: Path, one: answers.Holding, other: answers.Holding
) -> None:
    store = landing(tmp_path)

    await store.land(one, WEEK, result(days("2024-03-04", 2), of=one))

    assert await kept(store, of=other) == await kept(store, of=one)
    assert await store.covered(other, WEEK) == [WEEK]


async def test_landings_of_one_series_at_the_same_time_lose_nothing(
    tmp_path: Path,
) -> None:
    store = landing(tmp_path)

    async def land(number: int) -> None:
        at = ns("2023-12-25") + number * DAY_NS
        await store.land(AAPL, answers.Span(at, at + DAY_NS), result(bars([at])))

    await asyncio.gather(*(land(number) for number in range(20)))

    assert list(await kept(store)) == dates(days("2023-12-25", 20).open_time_ns)
    assert await whole(store) == [("2023-12-25", "2024-01-14")]
    assert not any(name.startswith(".landing") for name in files(tmp_path))


async def test_a_caller_who_gives_up_leaves_the_series_whole(tmp_path: Path) -> None:
    store = landing(tmp_path)
    over = span("2019-12-20", "2024-01-20")
    waiting = asyncio.create_task(
        store.land(AAPL, over, result(days("2019-12-20", 1492)))
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    at = span("2024-01-20", "2024-01-21")
    await store.land(AAPL, at, result(days("2024-01-20", 1)))
    assert len(await kept(store)) in {1, 1493}


def test_pyarrow_is_not_loaded_before_there_is_something_to_do() -> None:
    program = (
        "import sys, pathlib; from ingestion_server.store.landing import *;"
        "ParquetLanding(pathlib.Path('none'), clock=None);"
        "sys.exit('pyarrow' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own words
