"""Time is shared, units are not mixed, and history begins with the first trade."""

from __future__ import annotations

from marketdata.ingestion.v1 import ingestion_service_pb2 as wire
from marketdata.ingestion.v1 import provenance_pb2 as truth

from ingestion_server.client import Client
from tests.port.house import Build, House, pinned, times

JANUARY = {"start": "2024-01-02T00:00:00Z", "end": "2024-02-01T00:00:00Z"}


async def test_a_vendor_that_hangs_leaves_time_for_the_next(home: House) -> None:
    await home.fault("alpha_vantage", "hang")

    # Urgent questions would not wait so long.
    answer = await home.fetch(
        symbol="AAPL", timeout=4, priority="PRIORITY_BATCH", **JANUARY
    )

    assert [source.provider for source in answer.sources] == ["yahoo"]
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert answer.attempts[0].outcome == truth.ATTEMPT_OUTCOME_FAILED
    assert "its share of the time" in answer.attempts[0].reason


async def test_volumes_that_count_different_things_are_not_mixed(home: House) -> None:
    await home.fault("alpha_vantage", "partial")

    answer = await home.fetch(
        symbol="BTC/USD", start="2024-01-01T00:00:00Z", end="2024-06-01T00:00:00Z"
    )

    assert answer.series.volume_unit == "BTC"
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    volumes = [bar.volume for bar in answer.series.bars if bar.HasField("volume")]
    assert 0 < len(volumes) < len(answer.series.bars)
    assert max(volumes) < 1_000 * min(volumes)
    assert any("counts volume in USD" in flag.detail for flag in answer.quality_flags)


async def test_the_client_tells_what_volume_counts(home: House) -> None:
    async with Client(home.target) as client:
        coins = await client.fetch("BTC/USD", limit=5)
        shares = await client.fetch("AAPL", limit=5)

    assert (coins.volume_unit, shares.volume_unit) == ("BTC", "")


async def test_the_first_bars_begin_with_the_first_trade(home: House) -> None:
    whole = await home.fetch(symbol="TSLA", start="2005-01-03T00:00:00Z")

    first = await home.fetch(symbol="TSLA", start="2005-01-03T00:00:00Z", limit=10)

    assert times(first) == times(whole)[:10]
    assert first.completeness == truth.COMPLETENESS_COMPLETE


async def test_the_month_of_the_first_trade_is_there_whoever_computes_it(
    build: Build,
) -> None:
    async with build() as home:
        for vendor in ("alpha_vantage", "yahoo"):
            answers: dict[str, wire.FetchResponse] = {}
            for adjustment in ("ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT"):
                answers[adjustment] = await home.fetch(
                    symbol="TSLA",
                    interval="INTERVAL_1_MONTH",
                    start="2010-01-01T00:00:00Z",
                    end="2024-06-01T00:00:00Z",
                    adjustment=adjustment,
                    source_policy=pinned(vendor),
                )

            raw, split = answers.values()
            if vendor == "yahoo":
                assert times(raw) == times(split)
                assert raw.completeness == truth.COMPLETENESS_COMPLETE
            else:
                # It does not say when it first traded, so what is lacking is said.
                assert split.completeness == truth.COMPLETENESS_PARTIAL


async def test_a_dashed_pair_is_told_how_pairs_are_written(home: House) -> None:
    failed = await home.refused(symbol="BTC-USD")

    assert failed.reason == "INVALID_QUERY"
    assert "BTC/USD" in failed.message
