"""Whether callers would be served: what must hold for that, judged without haste."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.routing import BreakerView, ProviderReport
from ingestion_server.web import Check, Report, Stage

_log: Final = logging.getLogger(__name__)
FALL_SECONDS: Final = 2.0
"""How long something must be wrong until it counts: a hiccup turns nobody away."""
RISE_SECONDS: Final = 5.0
"""How long all must be well until callers are let come again."""
LOOK_SECONDS: Final = 1.0
WRITE_SECONDS: Final = 5.0
"""How often it is tried whether the ledger's folder can be written."""

LAG_LOOKS: Final = 31
"""So many looks hold thirty stretches of time between them."""
MOST_LAG: Final = 0.8
"""A loop that stands still for more of its time than this answers nobody in time."""
_PATTERN: Final = 4096
"""A page: less might fit in what is left of the last one."""


@final
class Settled:
    """Follow a state that flickers, slowly: down after a while, up after a longer."""

    def __init__(self) -> None:
        """Begin with what is first seen."""
        self._held: bool | None = None
        self._since: float | None = None

    def __call__(self, *, ok: bool, now_seconds: float) -> bool:
        """Return what to believe, by a clock that never goes back."""
        if self._held is None or ok is self._held:
            self._held, self._since = ok, None
            return ok
        if self._since is None:
            self._since = now_seconds
        if now_seconds - self._since >= (RISE_SECONDS if ok else FALL_SECONDS):
            self._held, self._since = ok, None
        return self._held


@final
class Readiness:
    """Look at all that callers need, again and again, and tell what is missing."""

    def __init__(
        self,
        vendors: Callable[[], Iterable[ProviderReport]],
        *,
        ledger_folder: Path | None,
        lag_seconds: Callable[[], float],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Set up.

        Args:
            vendors: tells how each of them does, one after the other.
            ledger_folder: where calls are written down; None = nowhere.
            lag_seconds: tells how late the event loop was so far, all lags together.
            clock: waits between looks.
            monotonic: tells the time between two looks, in seconds.

        """
        self._vendors = vendors
        self._folder = ledger_folder
        self._lag_seconds = lag_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._lags: deque[tuple[float, float]] = deque(maxlen=LAG_LOOKS)
        self._unwritable = ""
        self._blind = False
        self._settled = Settled()
        self.checks: tuple[Check, ...] = ()
        self.ready = True
        """Whether callers should come."""

    def report(self, stage: Stage, process: dict[str, object]) -> Report:
        """Return what probes are told while the server is at a stage."""
        if stage is Stage.READY and not self.ready:
            stage = Stage.UNREADY
        return Report(stage, self.checks, process)

    async def run(self, told: Callable[[bool], Awaitable[None]]) -> None:
        """Look until cancelled; ``told`` is called whenever the verdict changes."""
        async with asyncio.TaskGroup() as tasks:
            if self._folder is not None:
                tasks.create_task(self._write(self._folder), name="ledger folder")
            while True:
                before = self.ready
                try:
                    ready = self.look()
                except Exception:  # noqa: BLE001 - logged
                    # Nobody is turned away because we cannot look.
                    self.ready = ready = True
                    if not self._blind:
                        _log.exception("readiness cannot be judged")
                    self._blind = True
                else:
                    self._blind = False
                if ready is not before:
                    await told(ready)
                await self._clock.sleep(LOOK_SECONDS)

    def look(self) -> bool:
        """Judge what is so now, and return whether callers should come."""
        now = self._monotonic()
        self.checks = tuple(
            Check(name, not why, why)
            for name, why in (
                ("vendors", unavailable(self._vendors(), self._clock.now_ns())),
                ("ledger", self._unwritable),
                ("event loop", self._late(now)),
            )
        )
        self.ready = self._settled(
            ok=all(check.ok for check in self.checks), now_seconds=now
        )
        return self.ready

    def _late(self, now: float) -> str:
        self._lags.append((now, self._lag_seconds()))
        (first, before), (last, after) = self._lags[0], self._lags[-1]
        if len(self._lags) < LAG_LOOKS or after - before < MOST_LAG * (last - first):
            return ""
        return (
            f"it stood still for {after - before:.1f} of the last {last - first:.1f} s"
        )

    async def _write(self, folder: Path) -> None:
        while True:
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(self._wait(folder), name="ledger's answer")
                self._unwritable = await asyncio.to_thread(unwritable, folder)
                waiting.cancel()
            await self._clock.sleep(WRITE_SECONDS)

    async def _wait(self, folder: Path) -> None:
        # A file system on the network may never answer, which is no error either.
        await self._clock.sleep(WRITE_SECONDS)
        self._unwritable = f"{folder} does not answer"


def unavailable(vendors: Iterable[ProviderReport], now_ns: int) -> str:
    """Say why nobody can be asked; empty if somebody can, of whom no more is heard."""
    whys = []
    for one in vendors:
        why = _out(one, now_ns)
        if not why:
            return ""
        whys.append(f"{one.name}: {why}")
    return f"no vendor can be asked ({'; '.join(whys)})"


def unwritable(folder: Path) -> str:
    """Say why nothing can be written into a folder; empty if it can."""
    try:
        number, name = tempfile.mkstemp(prefix=".ready-", dir=folder)
    except OSError as error:
        return _why(folder, error)
    try:
        try:
            os.write(number, bytes(_PATTERN))
        finally:
            # Some file systems tell only here that they are full.
            os.close(number)
    except OSError as error:
        return _why(folder, error)
    finally:
        with suppress(OSError):
            Path(name).unlink()
    return ""


def _why(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written: {error.strerror or type(error).__name__}"


def _out(vendor: ProviderReport, now_ns: int) -> str:
    """Say why a vendor cannot be asked for anything; empty if it can."""
    if vendor.unusable_reason:
        return vendor.unusable_reason
    asked = [health.breaker for health in vendor.health if health.samples]
    if asked and all(_rests(breaker, now_ns) for breaker in asked):
        return "its breakers are open"
    return ""


def _rests(breaker: BreakerView, now_ns: int) -> bool:
    """Return whether nobody may ask: once the rest is over, the next caller may."""
    return breaker.position is BreakerPosition.OPEN and (
        breaker.retry_at_ns is None or breaker.retry_at_ns > now_ns
    )
