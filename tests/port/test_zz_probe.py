import asyncio
from datetime import UTC, datetime
import pytest
from tests.port.house import Build, House, pinned, until, ordered
from tests.port.streaming import *
from tests.port.streaming import HASTY, FIRST, FINNHUB, BUSY
OPEN = datetime(2024, 6, 12, 15, 0, 50, tzinfo=UTC)
DAWN = datetime(2024, 6, 12, 4, 1, tzinfo=UTC)
BARS = {"kinds": ["TICK_KIND_BARS"], "session": "SESSION_REGULAR", **FINNHUB}
from tests.port.conftest import *

async def test_bars_resume_within_linger(build):
    async with build(start=OPEN, settings={**BUSY, **FIRST,"STREAM__BAR_SECONDS":"0.05"}) as home:
        async with listening(home, "AAPL", **BARS) as one:
            await one.until(lambda: len(one.bars) > 4)
        async with listening(home, "AAPL", resume_token=one.token, **BARS) as two:
            await two.until(lambda: len(two.bars) > 4)
        print("RESUME", two)
        assert not two.named("GAP")

async def test_second_bars_subscriber_gets_the_forming_bar_at_once(build):
    async with build(start=OPEN, settings={**BUSY, **FIRST,"SANDBOX__TRADES_PER_SECOND":"5","STREAM__BAR_SECONDS":"0.05"}) as home:
        async with listening(home, "AAPL", **BARS) as one:
            await one.until(lambda: len(one.bars) > 4)
            await home.fault("finnhub", "silence")
            await asyncio.sleep(0.5)
            async with listening(home, "AAPL", **BARS) as two:
                await asyncio.sleep(1.5)
                print("SECOND", two, len(one.bars))
                assert two.bars

async def test_poll_with_silence(build):
    async with build(settings={**HASTY, "STREAM__SILENCE_SECONDS": "1"}) as home:
        async with listening(home, "AAPL", source_policy=pinned("alpha_vantage")) as one:
            await asyncio.sleep(6)
            print("POLL", one)
            assert len(one.named("GAP")) <= 1

async def test_extended_bars_pinned_history(build):
    async with build(start=OPEN, settings={**BUSY, **FIRST}) as home:
        async with listening(home, "AAPL", kinds=["TICK_KIND_BARS"], start="2024-06-12T14:40:00Z", **FINNHUB) as one:
            await one.until(lambda: len(one.bars) > 3)
            print("EXT", one)
        async with listening(home, "AAPL", kinds=["TICK_KIND_BARS"], start="2024-06-12T14:40:00Z") as one:
            await one.until(lambda: len(one.bars) > 24)
            print("EXTANY", one, [ (t.bar.open_time.ToJsonString(), t.bar.provider,t.bar.derived,t.bar.state) for t in one.bars][:30])

async def test_default_breaker(build):
    async with build(start=DAWN, settings=BUSY) as home:
        async with listening(home, "AAPL", **FINNHUB) as one:
            await one.more(20)
            await home.fault("finnhub", "refuse", status=503)
            await home.fault("finnhub", "disconnect")
            t=home.clock.monotonic()
            await asyncio.sleep(5)
            await home.mend("finnhub")
            try:
                async with asyncio.timeout(40):
                    while not one.named("GAP"): await asyncio.sleep(.1)
            except TimeoutError: pass
            print("BREAKER", home.clock.monotonic()-t, one)

async def test_unreadable_frames_of_quiet(build):
    async with build(start=DAWN, settings=HASTY) as home:
        async with listening(home, "AAPL", **FINNHUB) as one:
            await one.more(60)
            await home.fault("finnhub", "malformed_frame", count=3)
            await one.until_told("GAP")
            await asyncio.sleep(4)
            print("MALFORMED", one)

async def test_rejected_then_again(build):
    async with build(settings={**BUSY, **FIRST}) as home:
        async with listening(home, "NONSUCH", "AAPL") as one:
            await one.until_told("REJECTED")
            async with listening(home, "NONSUCH") as two:
                await two.until_told("REJECTED")
                print("REJ2", two)
            print("REJ1", one, await home.stats("finnhub"))

async def test_update_provider_disable(build):
    from marketdata.ingestion.v1 import provider_service_pb2 as ps
    async with build(settings={**HASTY, **FIRST,"STREAM__FAILOVER_SECONDS":"0.4"}) as home:
        async with listening(home, "AAPL") as one, listening(home, "MSFT", **FINNHUB) as two:
            await one.more(20)
            from google.protobuf import json_format
            await home.providers.UpdateProvider(json_format.ParseDict({"provider":"finnhub","enabled":False}, ps.UpdateProviderRequest(), ignore_unknown_fields=True))
            await asyncio.sleep(3)
            print("DISABLED", one, "PINNED", two, (await home.stats("finnhub"))["open_connections"])
