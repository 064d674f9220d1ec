"""What is used and what is left stands on the page that monitors read."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from ingestion_server.app.lifecycle import served
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import load_settings
from ingestion_server.client import Client
from tests.telemetry.pages import series

DAY = ("alpha_vantage", "key", "day")


async def test_the_page_follows_the_calls(calendar_cache: Path) -> None:
    settings = load_settings(
        config_file=None,
        overrides={},
        environ={
            "INGESTION_CALENDARS__CACHE_FOLDER": str(calendar_cache),
            "INGESTION_GRPC__ADDRESS": "127.0.0.1:0",
            "INGESTION_HTTP__ADDRESS": "127.0.0.1:0",
            "INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN": "free",
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
        for symbol in ("MSFT", "IBM"):
            await client.fetch(
                symbol, limit=5, adjustment="raw", providers=["alpha_vantage"]
            )
        after = series(await page())

    assert before["ingestion_quota_limit"][DAY] == 25
    assert before["ingestion_quota_used"][DAY] == 0
    assert after["ingestion_quota_used"][DAY] == 2
    assert after["ingestion_quota_reserved"][DAY] == 0
    assert after["ingestion_quota_remaining"][DAY] == 23
    assert after["ingestion_quota_limit"]["yahoo", "ip", "second"] == 2
    # Of no published limit nothing is said to remain.
    assert ("yahoo", "ip", "second") not in after["ingestion_quota_remaining"]
    assert after["ingestion_spend_usd"]["alpha_vantage",] == 0
