"""Recorded frames, told to the server by a vendor, come out of the port complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion_server.app.mode import Mode
from tests.port.house import Build
from tests.port.streaming import FINNHUB, YAHOO, listening, misnumbered
from tests.port.upstream import upstream

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the shared recordings are not beside the project"
)


async def test_a_recorded_frame_of_finnhub_comes_out_complete(build: Build) -> None:
    text = (RECORDINGS / "finnhub" / "ws_trade_TSLA_afterhours.json").read_text()
    rows = json.loads(text)["data"]
    when = datetime.fromtimestamp(rows[-1]["t"] / 1000, UTC)
    async with (
        upstream() as vendor,
        build(
            mode=Mode(sandbox_url=vendor.url), start=when + timedelta(seconds=1)
        ) as home,
        listening(home, "TSLA", "AAPL", **FINNHUB) as listener,
    ):
        await listener.until_told("SUBSCRIBED", 2)
        for symbol in ("TSLA", "AAPL"):
            await vendor.until_heard(f'"{symbol}"')

        await vendor.say(text)
        await listener.more(len(rows))

        for symbol in ("TSLA", "AAPL"):
            told = [
                (
                    trade.time.ToMilliseconds(),
                    trade.price,
                    trade.size,
                    list(trade.conditions),
                )
                for trade in listener.of(symbol)
            ]
            assert told == [
                (row["t"], row["p"], row["v"], row["c"])
                for row in rows
                if row["s"] == symbol
            ]
        assert not any(t.time_doubtful or t.out_of_order for t in listener.trades)
        assert not listener.named("GAP")
        assert misnumbered(listener) == []


@pytest.mark.parametrize("bare", [False, True], ids=["enveloped", "bare"])
async def test_a_recorded_frame_of_yahoo_comes_out_complete(
    build: Build, *, bare: bool
) -> None:
    text = (RECORDINGS / "yahoo" / "yfrs_stream_ws_MULTI.b64").read_text()
    when = datetime.fromtimestamp(1_761_785_160, UTC)
    async with (
        upstream() as vendor,
        build(
            mode=Mode(sandbox_url=vendor.url), start=when + timedelta(seconds=1)
        ) as home,
        listening(home, "BTC/USD", **YAHOO) as listener,
    ):
        await listener.until_told("SUBSCRIBED")
        await vendor.until_heard("BTC-USD")

        await vendor.say(json.loads(text)["message"] if bare else text)
        await listener.more()

        (trade,) = listener.trades
        assert (trade.symbol, trade.provider) == ("BTC/USD", "yahoo")
        assert trade.price == 110429.42
        assert trade.time.ToMilliseconds() == 1_761_785_160_000
        assert trade.sampled
        assert not trade.time_doubtful
