"""Who listens, and by which connections, stands on the page that monitors read."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from ingestion_server.app.lifecycle import served
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import load_settings
from ingestion_server.client import Client
from tests.telemetry.pages import series


async def test_the_page_follows_the_streams(calendar_cache: Path) -> None:
    settings = load_settings(
        config_file=None,
        overrides={},
        environ={
            "INGESTION_CALENDARS__CACHE_FOLDER": str(calendar_cache),
            "INGESTION_GRPC__ADDRESS": "127.0.0.1:0",
            "INGESTION_HTTP__ADDRESS": "127.0.0.1:0",
            "INGESTION_SANDBOX__TRADES_PER_SECOND": "20",
        },
    )
    async with (
        served(settings, Mode(sandbox=True), lambda _: None) as addresses,
        aiohttp.ClientSession() as web,
        Client(addresses.grpc) as client,
    ):

        async def page() -> tuple[bytes, str]:
            async with web.get(f"http://{addresses.http}/metrics") as reply:
                assert reply.status == 200
                return await reply.read(), reply.headers["Content-Type"]

        before = series(await page())
        async with client.stream("AAPL", "MSFT", providers=["finnhub"]) as stream:
            heard = set()
            async for item in stream:
                heard.add(item.symbol)
                if {"AAPL", "MSFT"} <= heard:
                    break
            after = series(await page())

    assert before["ingestion_stream_subscribers"] == {(): 0}
    assert before["ingestion_stream_up"] == {}
    assert after["ingestion_stream_subscribers"] == {(): 1}
    assert after["ingestion_stream_channels"] == {(): 2}
    assert after["ingestion_stream_up"] == {("finnhub",): 1}
    assert after["ingestion_stream_symbols"] == {("finnhub",): 2}
    assert after["ingestion_stream_connections"] == {("finnhub",): 1}
    assert after["ingestion_stream_published"][()] > 0
    assert after["ingestion_stream_gaps"] == {(): 0}
    assert after["ingestion_stream_malformed_messages"] == {(): 0}
    assert set(after["ingestion_metrics_failures"].values()) <= {0}
