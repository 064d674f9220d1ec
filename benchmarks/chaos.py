"""
Measure how many questions are answered correctly while vendors fail at random.

Server, simulated vendors and this caller are processes of their own. Three calls of
ten to each vendor fail, by a seeded draw: refused, broken, silent, cut off, or answered
with what is no answer. What a failure says of the vendor as a whole is left out: that
the day's quota is used up, that the key is wrong, that there is no such symbol. All
three vendors could answer each question, and all three fail for about one of 37, so
that the server has to come back to one of them.

Correct is an answer with exactly the bars that a vendor tells who fails for nobody, in
a process of its own with the same market.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from marketdata.ingestion.v1 import provenance_pb2

from benchmarks.asking import (
    SYMBOLS,
    UNHELPED,
    UNLIMITED_VENDORS,
    Asked,
    Asker,
    control,
    percentile,
    questions,
)
from benchmarks.programs import serving, settle, simulating
from benchmarks.results import Results, at_least_of, at_most
from benchmarks.start_and_memory import megabytes

FETCHES: Final = 2000
WELL: Final = 200
"""Questions before the first fault, so that usual times are known."""
IN_FLIGHT: Final = 32
PER_SECOND: Final = 50
"""Who is refused at once does not ask the sooner again: each second counts alike."""
FAILING: Final = 0.3
LEAST: Final = 0.999
MOST_SECONDS: Final = 2.0
_RETRY_AFTER_SECONDS: Final = 1
_EITHER: Final[Sequence[Mapping[str, Any]]] = (
    {"fault": "status_429", "retry_after": _RETRY_AFTER_SECONDS},
    {"fault": "status_500"},
    {"fault": "hang"},
    {"fault": "cut"},
    {"fault": "truncated"},
    {"fault": "html"},
    {"fault": "empty"},
)
FAULTS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "alpha_vantage": (*_EITHER, {"fault": "information_burst"}),
    "yahoo": (*_EITHER, {"fault": "malformed"}),
    "finnhub": (*_EITHER, {"fault": "malformed"}),
}

Row = tuple[float, float, float, float, float]
"""Open, high, low, close and volume."""


class Run(NamedTuple):
    """Be what was found."""

    well: list[Asked]
    """While no vendor failed."""
    asked: list[Asked]
    """While they did."""
    truth: Mapping[str, Mapping[str, Row]]
    """Rows by symbol and date."""
    megabytes: tuple[float, float]
    """What the server held after half of the questions, and after all."""


def measured() -> Results:
    """Measure one run."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with serving(cache):
            settle(cache)
        with (
            simulating(cache, *UNLIMITED_VENDORS) as url,
            simulating(cache, *UNLIMITED_VENDORS) as honest_url,
            serving(
                cache,
                *("--sandbox-url", url),
                *("--state", str(Path(folder, "state"))),
                settings=UNHELPED,
            ) as server,
        ):
            run = asyncio.run(_asked(server.door, server.process, url, honest_url))
            told = control(url, "GET", "stats")
    return _judged(run, told)


def probability(kinds: int) -> float:
    """Return how often each of so many independent faults strikes."""
    return float(1 - (1 - FAILING) ** (1 / kinds))


async def _asked(door: str, process: int, url: str, honest_url: str) -> Run:
    unknown = questions()
    async with Asker(door) as asker:
        # Both ends do some work only once.
        await asker.ask_each(itertools.islice(unknown, 2 * SYMBOLS), in_flight=4)
        well = await asker.ask_each(
            itertools.islice(unknown, WELL), in_flight=IN_FLIGHT, per_second=PER_SECOND
        )
        control(url, "POST", "reset")
        for vendor, faults in FAULTS.items():
            chance = {"probability": probability(len(faults))}
            for fault in faults:
                control(url, "POST", vendor, {**fault, **chance})
        asked, held = [], []
        for _ in range(2):
            half = itertools.islice(unknown, FETCHES // 2)
            asked += await asker.ask_each(
                half, in_flight=IN_FLIGHT, per_second=PER_SECOND
            )
            held.append(megabytes(process))
    truth = await _truth(honest_url, {each.question.symbol for each in asked})
    return Run(well, asked, truth, (held[0], held[1]))


async def _truth(url: str, wanted: Iterable[str]) -> Mapping[str, Mapping[str, Row]]:
    found = {}
    async with aiohttp.ClientSession() as session:
        for symbol in wanted:
            query = {"function": "TIME_SERIES_DAILY", "symbol": symbol, "apikey": "k"}
            async with session.get(f"{url}/query", params=query) as reply:
                document = await reply.json()
            found[symbol] = {
                date: tuple(float(value) for value in row.values())
                for date, row in document["Time Series (Daily)"].items()
            }
    return found


def _judged(run: Run, told: Mapping[str, Any]) -> Results:
    judged = (_wrong(each, run.truth[each.question.symbol]) for each in run.asked)
    wrong = [why for why in judged if why]
    seconds = [each.seconds for each in run.asked]
    for line in _lines(run, told, wrong):
        print(f"  {line}", file=sys.stderr, flush=True)
    return {
        "chaos": at_least_of(len(seconds) - len(wrong), "fetches", len(seconds), LEAST),
        "chaos_p95": at_most(
            percentile(seconds, 95),
            "s",
            percentile([each.seconds for each in run.well], 95),
            MOST_SECONDS,
        ),
    }


def _wrong(asked: Asked, truth: Mapping[str, Row]) -> str:
    """Return why an answer is none; empty if it is right."""
    if asked.answer is None:
        return asked.failure
    question = asked.question
    begin, end = (_date(when.seconds) for when in (question.start, question.end))
    due = {date: row for date, row in truth.items() if begin <= date < end}
    columns = asked.answer.series.columns
    rows = dict(
        zip(
            (_date(time // 10**9) for time in columns.open_time_ns),
            zip(
                columns.open,
                columns.high,
                columns.low,
                columns.close,
                columns.volume,
                strict=True,
            ),
            strict=True,
        )
    )
    if rows == due:
        return ""
    name = provenance_pb2.Completeness.Name(asked.answer.completeness)
    return f"{name}: {len(rows.items() & due.items())} of {len(due)} bars are right"


def _lines(run: Run, told: Mapping[str, Any], wrong: Sequence[str]) -> Iterable[str]:
    for vendor in FAULTS:
        calls, faults = told[vendor]["calls"], told[vendor]["faults"]
        share = sum(faults.values()) / calls
        yield f"{vendor}: {calls} calls, {share:.0%} struck, by {faults}"
    seconds = [each.seconds for each in run.asked]
    yield (
        f"{len(wrong)} of {len(seconds)} not answered correctly; "
        f"p50 {statistics.median(seconds):.3f} s, p95 {percentile(seconds, 95):.3f} s, "
        f"p99 {percentile(seconds, 99):.3f} s, longest {max(seconds):.1f} s"
    )
    half, end = run.megabytes
    yield f"the server held {half:.1f} MB after half of them, {end:.1f} MB at the end"
    for why, count in Counter(_kind(why) for why in wrong).most_common(8):
        yield f"{count} times {why}"


def _kind(why: str) -> str:
    return "".join(letter for letter in why if not letter.isdigit())[:150]


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
