from tests.ingest.live.test_pump import *
from tests.ingest.live.test_pump import scene
async def test_first_pause_after_stable():
    async with scene() as s:
        s.vendor.failures = [lost()] * 6
        s.pump.want("AAPL")
        await s.clock.advance(40)
        assert s.pump.up
        await s.clock.advance(60)
        at = s.clock.monotonic()
        s.vendor.line.breaks()
        await s.clock.advance(40)
        assert s.vendor.asked_at[-1] - at <= FIRST + STEP, s.vendor.asked_at[-1] - at
async def test_pacing_one_by_one():
    async with scene(per_second=10.0) as s:
        for n in range(40):
            s.pump.want(f"S{n}")
            await s.clock.advance(0)
        assert len(s.vendor.line.sent) <= 20, len(s.vendor.line.sent)
async def test_hanging_connect_backs_off():
    async with scene() as s:
        from contextlib import asynccontextmanager
        import msgspec
        tries = []
        @asynccontextmanager
        async def connect():
            tries.append(s.clock.monotonic())
            await s.clock.sleep(10)
            raise lost()
            yield
        s.pump.upstream = msgspec.structs.replace(s.pump.upstream, connect=connect)
        s.pump.want("AAPL")
        await s.clock.advance(200)
        gaps = [b - a - 10 for a, b in pairwise(tries)]
        assert gaps[3] > 1, gaps
