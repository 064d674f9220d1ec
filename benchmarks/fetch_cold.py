"""
Measure a Fetch of which nothing is known, beside the vendor's call alone.

Server, vendor and this caller are processes of their own. The vendor has no latency,
so what is measured is the work: the reference makes the same call of the same vendor
by bare aiohttp, and decodes the same body by msgspec. Every call is about another
symbol, so that none can be shared.

The vendor is Alpha Vantage, which is asked first by default. It has no bars from before
1999, so 10,000 of them come from Yahoo.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import grpc.aio
import msgspec
import uvloop

from benchmarks.fetch_load import (
    ALPHA_VANTAGE,
    FETCH,
    UNMETERED,
    YAHOO,
    Call,
    Questions,
    calls_per_second,
    raw_call,
    seconds_each,
)
from benchmarks.fetch_vendor import CALLS, CHART, DAILY, symbol
from benchmarks.programs import answering, serving, settle
from benchmarks.results import Result, Results, at_least_of, at_most

ROUNDS: Final = 5
BARS: Final = 1_000
CALLS_PER_ROUND: Final = {100: 500, BARS: 300, 10_000: 60}
"""By the number of bars: each round takes about as long."""
VENDORS: Final = {100: ALPHA_VANTAGE, BARS: ALPHA_VANTAGE, 10_000: YAHOO}
SINGLE_CALLS: Final = 100
LEAST: Final = {100: 0.10, BARS: 0.40, 10_000: 0.40}
"""What a server adds to each call weighs most where the call itself is small."""
MOST_ADDED_MILLISECONDS: Final = 3.0
SETTINGS: Final = {"INGESTION_CACHE__ENABLED": "false", **UNMETERED}


class _Row(msgspec.Struct):
    open: float = msgspec.field(name="1. open")
    high: float = msgspec.field(name="2. high")
    low: float = msgspec.field(name="3. low")
    close: float = msgspec.field(name="4. close")
    volume: float = msgspec.field(name="5. volume")


class _Daily(msgspec.Struct):
    rows: dict[str, _Row] = msgspec.field(name="Time Series (Daily)")


class _Quote(msgspec.Struct):
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    volume: list[float | None]


class _Indicators(msgspec.Struct):
    quote: list[_Quote]


class _Chart(msgspec.Struct):
    timestamp: list[int]
    indicators: _Indicators


class _Charts(msgspec.Struct):
    result: list[_Chart]


class _Reply(msgspec.Struct):
    chart: _Charts


# Not strict: Alpha Vantage writes numbers as text.
_DAILY: Final = msgspec.json.Decoder(_Daily, strict=False)
_REPLY: Final = msgspec.json.Decoder(_Reply)


def measured() -> Results:
    """Measure in turn, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        cache, calendars = Path(folder, "kept"), Path(folder, "calendars")
        settings = {**SETTINGS, "INGESTION_CALENDARS__CACHE_FOLDER": str(calendars)}
        with serving(cache, settings=settings):
            settle(calendars)
        counts = map(str, CALLS_PER_ROUND)
        with (
            answering(
                cache, "benchmarks.fetch_vendor", str(calendars), *counts
            ) as vendor,
            serving(cache, "--sandbox-url", vendor, settings=settings) as server,
        ):
            return uvloop.run(_measured(server.door, vendor, calendars))


async def _measured(door: str, vendor: str, calendars: Path) -> Results:
    found: dict[str, Result] = {}
    async with (
        grpc.aio.insecure_channel(door) as channel,
        # The address is on this machine: no proxy of the user's stands between.
        aiohttp.ClientSession(vendor) as web,
    ):
        fetch = raw_call(channel, FETCH)
        for bars, calls in CALLS_PER_ROUND.items():
            questions = await Questions.about(VENDORS[bars], bars, calendars)
            ours, bare = _ours(fetch, questions), _bare(web, questions)
            numbers = itertools.count()
            # Both ends do some work only once.
            questions.check(await ours(next(numbers)))
            await calls_per_second(ours, numbers, calls)
            await calls_per_second(bare, numbers, calls)
            before = await _counted(web)
            rates = await _rates(ours, bare, numbers, calls)
            if await _counted(web) - before != 2 * ROUNDS * calls:
                raise RuntimeError("some Fetch was no call of the vendor, or several")
            name = "fetch_cold" if bars == BARS else f"fetch_cold_{bars}"
            found[name] = at_least_of(rates[0], "calls/s", rates[1], LEAST[bars])
            if bars == BARS:
                found["fetch_added"] = await _added(ours, bare, numbers)
    return found


async def _rates(
    ours: Call, bare: Call, numbers: Iterator[int], calls: int
) -> tuple[float, float]:
    """Return the medians of both rates, measured in turn."""
    rates: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS):
        for call, found in zip((ours, bare), rates, strict=True):
            found.append(await calls_per_second(call, numbers, calls))
    return statistics.median(rates[0]), statistics.median(rates[1])


async def _added(ours: Call, bare: Call, numbers: Iterator[int]) -> Result:
    """Return what a Fetch takes longer than the call, when there is no other."""
    took: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS):
        for call, found in zip((ours, bare), took, strict=True):
            found.extend(await seconds_each(call, numbers, SINGLE_CALLS))
    fetch, alone = (1000 * statistics.median(each) for each in took)
    return at_most(fetch - alone, "ms", alone, MOST_ADDED_MILLISECONDS)


def _ours(fetch: Callable[[bytes], Awaitable[bytes]], questions: Questions) -> Call:
    async def call(number: int) -> bytes:
        return await fetch(questions.encoded(number))

    return call


def _bare(web: aiohttp.ClientSession, questions: Questions) -> Call:
    async def daily(number: int) -> bytes:
        asked = {
            "function": "TIME_SERIES_DAILY",
            "symbol": symbol(questions.bars, number),
            "outputsize": "full",
            "apikey": "demo",
        }
        async with web.get(DAILY, params=asked) as reply:
            body = await reply.read()
        return _checked(body, len(_DAILY.decode(body).rows), questions)

    async def chart(number: int) -> bytes:
        asked = {
            "period1": str(questions.start_seconds),
            "period2": str(questions.end_seconds),
            "interval": "1d",
            "includePrePost": "false",
        }
        path = CHART + symbol(questions.bars, number)
        async with web.get(path, params=asked) as reply:
            body = await reply.read()
        (decoded,) = _REPLY.decode(body).chart.result
        return _checked(body, len(decoded.timestamp), questions)

    return daily if questions.vendor == ALPHA_VANTAGE else chart


def _checked(body: bytes, bars: int, questions: Questions) -> bytes:
    if bars != questions.bars:
        raise RuntimeError(f"{bars} of {questions.bars} bars")
    return body


async def _counted(web: aiohttp.ClientSession) -> int:
    async with web.get(CALLS) as reply:
        return int(await reply.text())
