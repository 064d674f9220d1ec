"""The bars before the live ones."""

from __future__ import annotations

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import SourcePolicy
from ingestion_server.ingest.live.past import Past, history
from tests.builders import dates, ns
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import Market, Shop

REGULAR = TradingHours.REGULAR


async def past(
    market: Market,
    start: str = "2024-06-03",
    end: str = "2024-06-15",
    interval: Interval = Interval.DAY_1,
) -> Past:
    """Ask for the bars of some days."""
    return await history(
        market.fetcher,
        instrument("AAPL"),
        interval,
        REGULAR,
        start_ns=ns(start),
        end_ns=ns(end),
        policy=SourcePolicy(),
        budget_seconds=30.0,
    )


async def test_each_bar_is_signed_by_who_served_it() -> None:
    shops = Shop(ACME, days=(3, 4, 5)), Shop(ZENITH)
    async with Market(*shops, ranked=True) as market:
        found = await past(market)

    assert not found.holes
    assert dates([bar.open_time_ns for bar in found.bars])[2:4] == [
        "2024-06-05",
        "2024-06-06",
    ]
    assert [bar.provider for bar in found.bars] == [ACME] * 3 + [ZENITH] * 7
    assert {bar.state for bar in found.bars} == {BarState.FINAL}
    assert {(bar.symbol, bar.interval, bar.derived) for bar in found.bars} == {
        ("AAPL", Interval.DAY_1, False)
    }
    first = found.bars[0]
    assert None not in {first.open, first.high, first.low, first.close, first.volume}
    assert (first.vwap, first.trade_count) == (None, None)


async def test_what_nobody_has_is_a_hole_with_its_reason() -> None:
    async with Market(Shop(ACME, days=(3, 4, 13, 14))) as market:
        found = await past(market)

    assert len(found.bars) == 4
    (hole,) = found.holes
    assert dates([hole.start_ns]) == ["2024-06-05"]
    assert hole.reason


async def test_a_failure_is_one_hole() -> None:
    async with Market(Shop(ACME)) as market:
        market.wire.failures[f"{ACME} BARS"] = [
            ProviderUnavailableError("fell over", provider=ACME)
        ] * 9
        found = await past(market)

    assert not found.bars
    (hole,) = found.holes
    assert (hole.start_ns, hole.end_ns) == (ns("2024-06-03"), ns("2024-06-15"))
    assert "ALL_PROVIDERS_FAILED" in hole.reason


async def test_more_bars_than_one_answer_holds_are_a_hole_that_says_so() -> None:
    async with Market(Shop(ACME)) as market:
        found = await past(market, "2024-01-02", "2024-12-30", Interval.MINUTE_1)

    assert not found.bars
    assert "50000" in found.holes[0].reason
    assert not market.wire.asked


async def test_a_stretch_that_is_empty_has_no_bars_and_no_holes() -> None:
    async with Market(Shop(ACME)) as market:
        assert await past(market, "2024-06-03", "2024-06-03") == Past([], [])

    assert not market.wire.asked
