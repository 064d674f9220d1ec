"""A sandbox on a free port, at a time the test chooses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
import numpy as np
import pytest
from blockbuster import blockbuster_ctx

from ingestion_server import sandbox
from ingestion_server.domain.sessions import Sessions

NEW_YORK = ZoneInfo("America/New_York")
HOLIDAYS = {"2020-09-07", "2020-11-26", "2020-12-25", "2024-07-04", "2024-12-25"}
HALF_DAYS = {"2024-07-03", "2024-11-29"}
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"


class NewYork:
    """Knows XNYS with a few holidays, and no other calendar."""

    async def sessions(self, calendar: str) -> Sessions | None:
        """Return Mondays to Fridays, 09:30 to 16:00."""
        return _new_york() if calendar == "XNYS" else None


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    time_ns: int

    def __call__(self) -> int:
        """Return the time."""
        return self.time_ns

    def move(self, seconds: float) -> None:
        """Go forward."""
        self.time_ns += round(seconds * 1e9)


@dataclass
class Caller:
    """Ask one sandbox over HTTP."""

    url: str
    clock: Clock
    session: aiohttp.ClientSession
    stop: Callable[[], Awaitable[None]]
    """Stops the sandbox before the test ends."""
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)
    """Streams that are closed when the test ends."""

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """Return status and body."""
        async with self.session.get(
            self.url + path, params=query, allow_redirects=False
        ) as reply:
            return reply.status, await reply.read()

    async def json(self, path: str, **query: str):
        """Return the body of a successful call."""
        status, body = await self.get(path, **query)
        assert status == 200, body
        return msgspec.json.decode(body)

    async def alpha_vantage(self, function: str, **query: str):
        """Return the body of an Alpha Vantage function."""
        query = {"apikey": "test"} | query
        return await self.json("/query", function=function, **query)

    async def chart(self, symbol: str, **query: str):
        """Return the single result of a Yahoo chart."""
        document = await self.json(f"/v8/finance/chart/{symbol}", **query)
        return document["chart"]["result"][0]

    async def control(self, method: str, name: str, document=None) -> tuple[int, dict]:
        """Make one control call."""
        async with self.session.request(
            method, f"{self.url}/control/{name}", json=document
        ) as reply:
            return reply.status, msgspec.json.decode(await reply.read())

    async def fault(self, vendor: str, **document) -> None:
        """Make a fault active."""
        status, answer = await self.control("POST", vendor, document)
        assert status == 200, answer

    async def stats(self, vendor: str) -> dict:
        """Return the counters of a vendor."""
        return (await self.control("GET", "stats"))[1][vendor]


def at(text: str, zone=NEW_YORK) -> int:
    """Return a local time as nanoseconds UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 10**9


async def _close(caller: Caller) -> None:
    for socket in caller.sockets:
        await socket.close()


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail a test whose event loop is blocked by the sandbox's code."""
    with blockbuster_ctx(scanned_modules=["ingestion_server"]):
        yield


@pytest.fixture
async def opened():
    """Start sandboxes, by default on a Friday evening, and stop them all."""
    async with AsyncExitStack() as stack:

        async def start(time: str = "2025-01-03 21:00:00", **options) -> Caller:
            """Start one sandbox at a New York time."""
            clock = Clock(at(time))
            options = {"yahoo_per_second": 1_000_000} | options
            house = AsyncExitStack()
            stack.push_async_exit(house)
            running = await house.enter_async_context(
                sandbox.running(
                    sandbox.SandboxOptions(**options), sessions=NewYork(), now_ns=clock
                )
            )
            session = await stack.enter_async_context(
                aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
            )
            caller = Caller(running.url, clock, session, house.aclose)
            stack.push_async_callback(_close, caller)
            return caller

        yield start


@pytest.fixture
async def caller(opened) -> Caller:
    """Return a caller of a sandbox on the evening of Friday 2025-01-03."""
    return await opened()


@pytest.fixture
def recordings() -> Path:
    """Return the folder of recordings, or skip the test saying why."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"the vendors' recordings are absent: no {RECORDINGS}")
    return RECORDINGS


@pytest.fixture
def time_at() -> Callable[..., int]:
    """Return what turns a New York time into nanoseconds UTC."""
    return at


@cache
def _new_york() -> Sessions:
    first, last = date(1999, 1, 4), date(2027, 1, 1)
    days = [first + timedelta(days=count) for count in range((last - first).days)]
    kept = [
        day for day in days if day.weekday() < 5 and day.isoformat() not in HOLIDAYS
    ]
    labels = np.array(
        [
            int(datetime.combine(day, datetime.min.time(), UTC).timestamp())
            for day in kept
        ]
    )
    opens = [at(f"{day} 09:30:00") for day in kept]
    closes = [
        at(f"{day} {'13' if day.isoformat() in HALF_DAYS else '16'}:00:00")
        for day in kept
    ]
    none = np.full(len(kept), -1, dtype=np.int64)
    return Sessions(
        calendar="XNYS",
        zone="America/New_York",
        labels_ns=labels.astype(np.int64) * 10**9,
        opens_ns=np.array(opens, dtype=np.int64),
        closes_ns=np.array(closes, dtype=np.int64),
        break_starts_ns=none,
        break_ends_ns=none,
        covers_from_ns=int(labels[0]) * 10**9,
        covers_until_ns=(int(labels[-1]) + 86_400) * 10**9,
    )
