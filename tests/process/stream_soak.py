"""
A soak of live data: a vendor fails in every way, and nothing is lost in silence.

``python -m tests.process.stream_soak --seconds 300`` runs it: a server and a sandbox in
processes of their own, twenty subscribers here. Its status is 1 if a rule was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from tests.process.programs import ANY_PORTS, SANDBOX, Program, isolated
from tests.process.soak_mischief import KEY, Mischief, Vendor
from tests.process.soak_record import MILLISECOND_NS
from tests.process.soak_report import BACK_SECONDS, EDGE_MS, Seen, broken, table
from tests.process.soak_subscribers import SYMBOLS, Crowd, channels
from tests.process.soak_verdict import Truth
from tests.process.watched import Watched

SETTINGS: Final = {
    "INGESTION_PROVIDERS__FINNHUB__API_KEY": KEY,
    "INGESTION_PROVIDERS__FINNHUB__PLAN": "premium",
    "INGESTION_STREAM__FIRST_PAUSE_SECONDS": "0.1",
    "INGESTION_STREAM__LONGEST_PAUSE_SECONDS": "1",
    "INGESTION_STREAM__SILENCE_SECONDS": "2",
    "INGESTION_STREAM__LINGER_SECONDS": "1",
    # Some ten seconds of trades: a slow subscriber falls behind in a short run, too.
    "INGESTION_STREAM__QUEUE_ITEMS": "500",
    # Full when memory is looked at first, so that it is no growth.
    "INGESTION_STREAM__REPLAY_ITEMS": "1000",
}
TRADES_PER_SECOND: Final = 5.0
"""
Of each symbol. A day of more could not be read in the pages that a gap may cost.
"""
_PROGRESS_SECONDS: Final = 10.0
_CALM_SECONDS: Final = 2.0
_START_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 5.0
"""Gaps are filled a second after them, or six."""
_GONE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.2


class Soaked(NamedTuple):
    """Hold what a soak showed."""

    defects: Sequence[str]
    """Rules that were broken."""
    table: Sequence[str]
    """What was done and seen."""


class Soak:
    """Run it once."""

    def __init__(
        self, *, seconds: float, seed: int, tell: Callable[[str], None] = print
    ) -> None:
        """Do mischief for so long; the same seed does the same."""
        self._seconds = seconds
        self._seed = seed
        self._tell = tell

    async def run(self, folder: Path) -> Soaked:
        """Start programs that keep their files in a folder, and judge what they do."""
        environment = isolated(folder)
        state = {"INGESTION_STATE__FOLDER": str(folder / "server")}
        rate = str(TRADES_PER_SECOND)
        vendors = ["sandbox", "--port", "0", "--trades-per-second", rate]
        self._tell(f"seed {self._seed}")
        with Program(vendors, environment) as sandbox:
            place = sandbox.line(SANDBOX)[1]
            serve = ["serve", *ANY_PORTS, "--sandbox-url", f"http://{place}"]
            with Program(serve, environment | SETTINGS | state) as server:
                grpc_door, http_door = server.addresses()
                seen = await self._soak(place, grpc_door, Watched(http_door))
                ended = await asyncio.to_thread(server.stopped)
        return Soaked([*broken(seen, ended)], [*table(seen)])

    async def _soak(self, place: str, door: str, watched: Watched) -> Seen:
        crowd = Crowd(self._seed)
        wide, narrow = channels(door)
        async with aiohttp.ClientSession() as session, wide, narrow:
            vendor = Vendor(place, session)
            mischief = Mischief(vendor, self._seed, self._tell)
            watching = asyncio.create_task(watched.watch())
            reporting = asyncio.create_task(self._report(crowd, watched))
            try:
                crowd.settle(wide, narrow)
                await _until(lambda: not _behind(crowd, 0), _START_SECONDS)
                crowd.invite(wide)
                await asyncio.sleep(_CALM_SECONDS)
                await mischief.go_on(self._seconds)
                await mischief.end()
                self._tell("all is well again")
                since_ms = round(time.time() * 1000) + EDGE_MS
                await _until(lambda: not _behind(crowd, since_ms), BACK_SECONDS)
                await asyncio.sleep(_SETTLE_SECONDS)
            finally:
                reporting.cancel()
                watching.cancel()
                await asyncio.wait((reporting, watching))
                await mischief.end()
                await crowd.leave()
            await watched.look()
            stats = await vendor.stats()
            truths = {symbol: await _truth(vendor, crowd, symbol) for symbol in SYMBOLS}
            left = await _left(vendor)
            restless = _behind(crowd, since_ms)
        return Seen(crowd, mischief, truths, stats, left, watched.sights, restless)

    async def _report(self, crowd: Crowd, watched: Watched) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            records = crowd.everybody
            gaps = sum(len(line.gaps) for line in crowd.steady[0].lines.values())
            fills = sum(len(line.fills) for line in crowd.steady[0].lines.values())
            megabytes = watched.sights[-1].resident_bytes / 1e6 if watched.sights else 0
            self._tell(
                f"-- {time.monotonic() - began:.0f} s: "
                f"{sum(record.trades for record in records)} trades came, "
                f"{gaps} gaps and {fills} fills of {crowd.steady[0].name}, "
                f"{sum(len(record.objections) for record in records)} objections, "
                f"{megabytes:.0f} MB"
            )


def _behind(crowd: Crowd, since_ms: int) -> Sequence[str]:
    """Return the subscribers and symbols that had no trade since a moment."""
    return [
        f"{record.name} {symbol}"
        for record in crowd.steady
        for symbol, line in record.lines.items()
        if line.last_live_ms <= since_ms
    ]


async def _until(done: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so, but no longer; whoever calls finds out which."""
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:  # noqa: ASYNC110 - no event to set
        await asyncio.sleep(_POLL_SECONDS)


async def _truth(vendor: Vendor, crowd: Crowd, symbol: str) -> Truth:
    sent = await vendor.sent(SYMBOLS[symbol])
    begins = [
        fill.gap.from_ns
        for record in crowd.everybody
        if symbol in record.lines
        for fill in record.lines[symbol].fills
    ]
    tape = await vendor.tape(symbol, min(begins) // MILLISECOND_NS) if begins else ()
    return Truth(sent, tape)


async def _left(vendor: Vendor) -> Mapping[str, int]:
    """Return what is still subscribed upstream, once it had time not to be."""
    until = time.monotonic() + _GONE_SECONDS
    while True:
        left: Mapping[str, int] = (await vendor.stats())["open_subscriptions"]
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(_POLL_SECONDS)


def main() -> int:
    """Run it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    soak = Soak(seconds=chosen.seconds, seed=chosen.seed, tell=tell)
    with tempfile.TemporaryDirectory() as folder:
        soaked = asyncio.run(soak.run(Path(folder)))
    for line in soaked.table:
        tell(line)
    for defect in soaked.defects:
        tell(f"BROKEN {defect}")
    tell(f"{len(soaked.defects)} rules broken" if soaked.defects else "all is well")
    return 1 if soaked.defects else 0


if __name__ == "__main__":
    sys.exit(main())
