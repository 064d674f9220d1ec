"""
Measure a Fetch that is known already, beside a server that does nothing but gRPC.

Server, reference and this caller are processes of their own, and so is the collector
that the server sends its traces and metrics to. The reference answers with the very
bytes that our server answered with before, so both send the same.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import grpc.aio
import uvloop
from marketdata.ingestion.v1 import ingestion_service_pb2

from benchmarks.collector import settings as sent_to
from benchmarks.fetch_echo import METHOD, SERVICE
from benchmarks.fetch_load import (
    ALPHA_VANTAGE,
    FETCH,
    UNMETERED,
    Call,
    Questions,
    calls_per_second,
    raw_call,
)
from benchmarks.programs import answering, serving, settle
from benchmarks.results import Results, at_least_of

ROUNDS: Final = 15
"""Short ones, so that both meet the same machine."""
BARS: Final = 250
SYMBOLS: Final = 64
"""How many questions are asked again and again."""
CALLS_PER_ROUND: Final = 2_000
LEAST: Final = 0.70


def measured() -> Results:
    """Measure in turn, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        cache, calendars = Path(folder, "kept"), Path(folder, "calendars")
        settings = {
            "INGESTION_CALENDARS__CACHE_FOLDER": str(calendars),
            **UNMETERED,
        }
        with serving(cache, settings=settings):
            settle(calendars)
        vendor = answering(cache, "benchmarks.fetch_vendor", str(calendars), str(BARS))
        spans = Path(folder, "spans")
        with (
            vendor as url,
            answering(cache, "benchmarks.collector", str(spans)) as collector,
            serving(
                cache,
                "--sandbox-url",
                url,
                settings={**settings, **sent_to(collector)},
            ) as server,
        ):
            questions, told = uvloop.run(_known(server.door, calendars))
            answer = Path(folder, "answer")
            answer.write_bytes(told)
            with answering(cache, "benchmarks.fetch_echo", str(answer)) as echo:
                found = uvloop.run(_measured(server.door, echo, questions))
            if not int(spans.read_text()):
                raise RuntimeError("the server was measured without its traces")
            return found


async def _known(door: str, calendars: Path) -> tuple[list[bytes], bytes]:
    """Ask all questions until they are known; return them, and one of the answers."""
    questions = await Questions.about(ALPHA_VANTAGE, BARS, calendars)
    told = b""
    every = [questions.encoded(number) for number in range(SYMBOLS)]
    async with grpc.aio.insecure_channel(door) as channel:
        fetch = raw_call(channel, FETCH)
        # The first time they come from the vendor, the second time from the cache.
        for question in every * 2:
            told = await fetch(question)
            questions.check(told)
        answer = ingestion_service_pb2.FetchResponse.FromString(told)
        if not all(source.from_cache for source in answer.sources):
            raise RuntimeError("what was asked before is not known")
    return every, told


async def _measured(door: str, echo: str, questions: list[bytes]) -> Results:
    async with (
        grpc.aio.insecure_channel(door) as channel,
        grpc.aio.insecure_channel(echo) as reference,
    ):
        ours = _asking(raw_call(channel, FETCH), questions)
        bare = _asking(raw_call(reference, f"/{SERVICE}/{METHOD}"), questions)
        numbers = itertools.count()
        rates: tuple[list[float], list[float]] = [], []
        for number in range(ROUNDS + 1):
            for call, found in zip((ours, bare), rates, strict=True):
                rate = await calls_per_second(call, numbers, CALLS_PER_ROUND)
                # The first round makes connections.
                if number:
                    found.append(rate)
    hot, raw = (statistics.median(each) for each in rates)
    return {"fetch_hot": at_least_of(hot, "calls/s", raw, LEAST)}


def _asking(fetch: Callable[[bytes], Awaitable[bytes]], questions: list[bytes]) -> Call:
    async def call(number: int) -> bytes:
        return await fetch(questions[number % len(questions)])

    return call
