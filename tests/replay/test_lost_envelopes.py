"""Recordings whose time nobody wrote down; their bodies know a little of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketdata.ingestion.v1 import bar_pb2

from ingestion_server.app.mode import Mode
from ingestion_server.ports.provider import Provider
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.yahoo import Yahoo
from tests.port.house import Build, House, pinned
from tests.replay.charts import FIRST_WEEK, keep_days
from tests.replay.vendors import ABSENT, RECORDINGS, body

FINAL, PARTIAL = bar_pb2.BAR_STATE_FINAL, bar_pb2.BAR_STATE_PARTIAL
VENDORS: list[Provider] = [AlphaVantage(), Yahoo()]


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize(
    ("name", "told", "last"),
    [
        # "Last Refreshed", in the zone that the page names.
        ("alphavantage/fx_daily_EUR_AUD_partial.json", "2021-07-27 11:35:00", FINAL),
        ("alphavantage/time_series_daily_IBM_partial.json", "2021-07-20 04:00", FINAL),
        (
            "alphavantage/time_series_intraday_MSFT_1min_2017.json",
            "2017-12-18 19:56:00",
            PARTIAL,
        ),
        # The time of the last trade.
        ("yahoo/pp_MUV2.DE_historical01.json", "2020-10-16 15:35:07", FINAL),
        ("yahoo/pricehist_tsla-recent.json", "2024-09-13 20:00:00", FINAL),
        ("yahoo/yfrs_history_chart_AAPL.json", "2025-10-29 20:00:01", PARTIAL),
        ("yahoo/yfrs_history_chart_MSFT.json", "2025-10-29 20:00:01", PARTIAL),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_body_tells_of_its_time_is_believed(
    real: House, name: str, told: str, last: int
) -> None:
    answer = await real.fetch(**body(name).request())

    received = answer.sources[0].received_at.ToDatetime(tzinfo=UTC)
    assert received == datetime.fromisoformat(told).replace(tzinfo=UTC)
    assert answer.series.bars[-1].state == last


@pytest.mark.parametrize(
    ("refreshed", "last"),
    [("2024-03-08", PARTIAL), ("2024-03-08 16:20:00", FINAL)],
)
async def test_a_page_of_a_day_that_may_not_be_over_is_not_final(
    build: Build, tmp_path: Path, refreshed: str, last: int
) -> None:
    keep_days(tmp_path, "one", FIRST_WEEK, 1.0, refreshed=refreshed, recorded="")

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(
            symbol="AAPL",
            adjustment="ADJUSTMENT_RAW",
            start="2024-03-04T00:00:00Z",
            end="2024-03-09T00:00:00Z",
            source_policy=pinned("alpha_vantage"),
        )

    assert [bar.state for bar in answer.series.bars] == [FINAL] * 4 + [last]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
@given(text=st.binary() | st.recursive(st.none() | st.text(), st.lists).map(repr))
def test_any_bytes_tell_a_time_or_none(vendor: Provider, text: bytes | str) -> None:
    encoded = text if isinstance(text, bytes) else text.encode()

    assert isinstance(vendor.told_at_ns(encoded), int | None)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
@pytest.mark.parametrize("odd", [None, "", "never", -1, 1e300, 10**30, [], {}])
def test_a_time_that_is_none_is_not_told(vendor: Provider, odd: Any) -> None:
    page = {
        "Meta Data": {"3. Last Refreshed": odd, "6. Time Zone": "UTC"},
        "chart": {"result": [{"meta": {"regularMarketTime": odd}}], "error": None},
    }

    told = vendor.told_at_ns(json.dumps(page).encode())

    assert told is None or (vendor.name == "yahoo" and odd == -1)
