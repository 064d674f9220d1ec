"""Alpha Vantage says the same in both of its spellings, through the port."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import bar_pb2

from tests.port.house import Build, House, RefusedError, pinned

CSV = {"PROVIDERS__ALPHA_VANTAGE__DATATYPE": "csv"}
ASKED = {
    "days": {"symbol": "AAPL", "adjustment": "ADJUSTMENT_RAW", "limit": 30},
    "adjusted days": {"symbol": "AAPL", "limit": 30},
    "weeks": {
        "symbol": "IBM",
        "interval": "INTERVAL_1_WEEK",
        "adjustment": "ADJUSTMENT_RAW",
        "limit": 30,
    },
    "minutes": {"symbol": "AAPL", "interval": "INTERVAL_5_MINUTES", "limit": 30},
    "currencies": {"symbol": "EUR/USD", "limit": 30},
    "coins": {"symbol": "BTC/USD", "limit": 30},
}


async def bars(home: House, asked: dict[str, Any]) -> list[object]:
    """
    Return the final bars as they stand on the wire.

    The running one is another a moment later, in whatever spelling.
    """
    answer = await home.fetch(source_policy=pinned("alpha_vantage"), **asked)
    final = [bar for bar in answer.series.bars if bar.state == bar_pb2.BAR_STATE_FINAL]
    assert len(final) >= asked["limit"] - 1
    return [json_format.MessageToDict(bar) for bar in final]


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_csv_and_json_give_the_same_bars(
    build: Build, asked: dict[str, Any]
) -> None:
    async with build() as plain, build(settings=CSV) as spelled:
        assert await bars(spelled, asked) == await bars(plain, asked)


async def test_a_complaint_is_understood_though_csv_was_asked_for(
    build: Build,
) -> None:
    """Errors come as JSON even then."""
    async with build(settings=CSV) as home:
        await home.fault("alpha_vantage", "error_message")

        with pytest.raises(RefusedError) as caught:
            await bars(home, ASKED["days"])

    assert caught.value.reason == "SYMBOL_UNKNOWN"
