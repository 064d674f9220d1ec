"""
Measure what a caller notices of a vendor that accepts calls and never answers.

Server, simulated vendors and this caller are processes of their own. The first vendor
is black-holed, the second one answers after 50 ms. Each round starts a server whose
breakers are closed, lets it see the first vendor well, and then measures twice: from
the moment the vendor falls silent until its breaker opens, and with the breaker open,
in turn with a server that knows the second vendor alone. Half of the rounds ask one
question after the other, half of them four at a time; the slower half is what counts.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from marketdata.ingestion.v1.ingestion_service_pb2 import FetchRequest

from benchmarks.asking import (
    UNHELPED,
    UNLIMITED_VENDORS,
    Asked,
    Asker,
    control,
    percentile,
    pinned,
    questions,
)
from benchmarks.programs import serving, settle, simulating
from benchmarks.results import Results, at_most, at_most_times

ROUNDS: Final = 5
IN_FLIGHT: Final = (1, 4)
WELL: Final = 60
"""Questions while the first vendor is well, so that its usual time is known."""
SILENT: Final = 20
"""Questions from the moment it falls silent; a breaker needs five calls to open."""
OPEN: Final = 60
"""Questions to each server with the breaker open, in stretches by turns."""
_STRETCH: Final = 12
SECOND_SECONDS: Final = 0.05
MOST_SECONDS: Final = 2.0
MOST_TIMES: Final = 1.3
FIRST: Final = "alpha_vantage"
SECOND: Final = "yahoo"
_TO_OPEN: Final = 50


class Round:
    """Hold what one round found, in seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.closed: list[float] = []
        """With the breaker closed."""
        self.open: list[float] = []
        """With the breaker open."""
        self.alone: list[float] = []
        """Of the second vendor alone, in turn with the former."""


def measured() -> Results:
    """Measure all rounds."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with serving(cache):
            settle(cache)
        with simulating(cache, *UNLIMITED_VENDORS) as url:
            rounds = {
                in_flight: [
                    _round(Path(folder, f"{in_flight}-{number}"), cache, url, in_flight)
                    for number in range(ROUNDS)
                ]
                for in_flight in IN_FLIGHT
            }
    return _judged(rounds)


def _round(state: Path, cache: Path, url: str, in_flight: int) -> Round:
    control(url, "POST", "reset")
    control(url, "POST", SECOND, {"fault": "latency", "seconds": SECOND_SECONDS})
    vendors = ("--sandbox-url", url)
    alone = {"INGESTION_PROVIDERS__ALPHA_VANTAGE__ENABLED": "false"}
    with (
        serving(
            cache, *vendors, "--state", str(state / "both"), settings=UNHELPED
        ) as both,
        serving(
            cache,
            *vendors,
            *("--state", str(state / "alone")),
            settings={**UNHELPED, **alone},
        ) as second,
    ):
        return asyncio.run(_asked(both.door, second.door, url, in_flight))


async def _asked(both_door: str, second_door: str, url: str, in_flight: int) -> Round:
    found, unknown = Round(), questions()

    async def seconds(asker: Asker, count: int) -> list[float]:
        some = itertools.islice(unknown, count)
        answers = await asker.ask_each(some, in_flight=in_flight)
        return [_answered(asked).seconds for asked in answers]

    async with Asker(both_door) as both, Asker(second_door) as second:
        for asker in (both, second):
            await seconds(asker, WELL)
        control(url, "POST", FIRST, {"fault": "hang"})
        some = itertools.islice(unknown, SILENT)
        for asked in await both.ask_each(some, in_flight=in_flight):
            if not _answered(asked).rested:
                found.closed.append(asked.seconds)
        await _open(both, url, unknown)
        for _ in range(OPEN // _STRETCH):
            found.open += await seconds(both, _STRETCH)
            found.alone += await seconds(second, _STRETCH)
    print(_told(found, in_flight), file=sys.stderr, flush=True)
    return found


async def _open(asker: Asker, url: str, unknown: Iterator[FetchRequest]) -> None:
    """See to it that the breaker is open, also where the score has moved traffic."""
    # Failing at once opens it as surely as silence does, and sooner.
    control(url, "DELETE", FIRST)
    control(url, "POST", FIRST, {"fault": "status_500"})
    for question in itertools.islice(unknown, _TO_OPEN):
        if " rests " in (await asker.ask(pinned(question, FIRST))).failure:
            break
    else:
        raise RuntimeError("the breaker does not open")
    control(url, "DELETE", FIRST)
    control(url, "POST", FIRST, {"fault": "hang"})
    _answered(await asker.ask(next(unknown)))


def _answered(asked: Asked) -> Asked:
    if asked.answer is None or not asked.answer.series.columns.close:
        symbol = asked.question.symbol
        raise RuntimeError(f"no bars of {symbol}: {asked.failure or 'empty'}")
    return asked


def _judged(rounds: dict[int, list[Round]]) -> Results:
    closed = {
        in_flight: percentile([s for one in found for s in one.closed], 95)
        for in_flight, found in rounds.items()
    }
    alone = {
        in_flight: statistics.median(percentile(one.alone, 95) for one in found)
        for in_flight, found in rounds.items()
    }
    opened = {
        in_flight: statistics.median(percentile(one.open, 95) for one in found)
        for in_flight, found in rounds.items()
    }
    slow = max(rounds, key=lambda in_flight: closed[in_flight])
    worst = max(rounds, key=lambda in_flight: opened[in_flight] / alone[in_flight])
    results = {
        "failover": at_most(closed[slow], "s", alone[slow], MOST_SECONDS),
        "failover_open": at_most_times(opened[worst], "s", alone[worst], MOST_TIMES),
    }
    for in_flight in rounds:
        name = f"{in_flight}_in_flight"
        results[f"failover_{name}"] = at_most(
            closed[in_flight], "s", alone[in_flight], MOST_SECONDS
        )
        results[f"failover_open_{name}"] = at_most_times(
            opened[in_flight], "s", alone[in_flight], MOST_TIMES
        )
    return results


def _told(found: Round, in_flight: int) -> str:
    closed = " ".join(f"{seconds:.2f}" for seconds in found.closed)
    return (
        f"  {in_flight} in flight: closed {closed}; p95 open "
        f"{percentile(found.open, 95):.4f} s, alone "
        f"{percentile(found.alone, 95):.4f} s"
    )
