"""
Keep a conversation with one vendor going, for as long as anything is wanted of it.

A clean end is a loss like any other. It begins anew after a pause that grows, with full
jitter, and never gives up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol, final

from ingestion_server.domain.durations import in_words
from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    IngestionError,
    ProviderError,
    ProviderUnavailableError,
)
from ingestion_server.ingest.live.connection import Connection, Upstream
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.stream import Heard

_log: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.25
_BUSY_MESSAGES: Final = 10
"""Before so many messages nobody knows how often they usually come."""
_USUAL: Final = 20.0
"""So many usual pauses in a row are unusual."""
_NEWEST: Final = 0.1
"""Weight of the latest pause in the usual one."""
_DOUBLINGS: Final = 16
_FOR_GOOD: Final = (CredentialsRefusedError, EntitlementMissingError)


class Listener(Protocol):
    """Hear how it goes; nothing of it may wait, or fail."""

    def heard(self, pump: Pump, said: Sequence[Heard]) -> None:
        """Hear what the vendor said."""
        ...

    def subscribed(self, pump: Pump, symbols: Sequence[str]) -> None:
        """Hear that symbols were subscribed on a living connection."""
        ...

    def lost(self, pump: Pump, cause: str) -> None:
        """Hear that the connection is lost, or could not be had."""
        ...

    def silent(self, pump: Pump, seconds: float) -> None:
        """Hear that a connection that was busy is not."""
        ...

    async def room(self) -> None:
        """Wait, but not for long, until subscribers have read some of it."""
        ...


@final
class Pump:
    """Drive one vendor's feed."""

    def __init__(
        self,
        upstream: Upstream,
        listener: Listener,
        clock: Clock,
        limits: StreamLimits,
        random: Callable[[], float],
    ) -> None:
        self.upstream = upstream
        self._listener = listener
        self._clock = clock
        self._limits = limits
        self._random = random
        self._wanted: dict[str, None] = {}
        self._subscribed: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._attempts = 0
        self.up = False
        """Whether there is a living connection."""
        self.up_since = 0.0
        self.away_since: float | None = clock.monotonic()
        """Since when nothing comes; None while it is up."""
        self._refusal: tuple[ProviderError, float] | None = None
        self.cause = ""
        """Why it is away; empty if it was never tried."""
        self.message_at = 0.0
        """When the last message came, in monotonic seconds."""
        self.connections = 0
        self.reconnects = 0
        """How often it was connected again after a loss."""
        self._lost_one = False
        self._quiet = False
        """Whether the connection is silent for longer than is usual."""
        self._connection: Connection | None = None
        self._opened_at = 0.0
        self._spoke = True
        """Whether anything was heard on the latest connection."""

    @property
    def provider(self) -> str:
        """Return the vendor's id."""
        return self.upstream.provider

    @property
    def refusal(self) -> ProviderError | None:
        """Return why the vendor will not have us; None if it should be tried again."""
        if self._refusal is None:
            return None
        error, at = self._refusal
        old = self._clock.monotonic() - at > self._limits.longest_pause_seconds
        return None if old and not self._wanted else error

    def refuse(self, error: ProviderError) -> None:
        """Hear that the vendor will not have us."""
        self._refusal = error, self._clock.monotonic()

    @property
    def silent_seconds(self) -> float | None:
        """Return since when nothing was heard, pongs included; None if it is away."""
        if self._connection is None:
            return None
        return self._clock.monotonic() - max(self._connection.heard_at, self.message_at)

    @property
    def wanted(self) -> int:
        """Return how many symbols are wanted."""
        return len(self._wanted)

    @property
    def stale(self) -> bool:
        """Return whether something is wanted that does not come as it should."""
        return bool(self._wanted) and (not self.up or self._quiet)

    def wants(self, symbol: str) -> bool:
        """Return whether a symbol is wanted."""
        return symbol in self._wanted

    @property
    def room(self) -> bool:
        """Return whether another symbol may be wanted."""
        most = self.upstream.declaration.most_symbols
        return most is None or len(self._wanted) < most

    def subscribed(self, symbol: str) -> bool:
        """Return whether a symbol is subscribed on the connection there is."""
        return symbol in self._subscribed

    def want(self, symbol: str) -> None:
        """Subscribe to a symbol, now or as soon as there is a connection."""
        if not self._wanted and not self.up:
            self.away_since = self._clock.monotonic()
        self._wanted[symbol] = None
        self._changed.set()

    def unwant(self, symbol: str) -> None:
        """End a subscription."""
        self._wanted.pop(symbol, None)
        self._changed.set()

    def failed(self, seconds: float) -> bool:
        """Return whether it refuses us, or has been away for so long."""
        if self.upstream.available() is not None or self.refusal is not None:
            return True
        away = self.away_since if self._wanted else None
        return away is not None and self._clock.monotonic() - away >= seconds

    async def run(self) -> None:
        """Keep the conversation going until cancelled."""
        while True:
            while not self._wanted:
                self._attempts, self._lost_one = 0, False
                self._changed.clear()
                await self._changed.wait()
            began = self._clock.monotonic()
            pause = 0.0
            try:
                await self._once()
            except IngestionError as error:
                pause = self._lost(error)
            except Exception as error:  # noqa: BLE001 - must not end streams for good
                _log.exception("the stream of %s met a defect", self.provider)
                pause = self._lost(
                    ProviderUnavailableError(
                        f"the stream met a defect ({type(error).__name__})",
                        provider=self.provider,
                    )
                )
            if self._clock.monotonic() - began >= self._limits.stable_seconds:
                self._attempts = 0
            if self._wanted:
                await self._pause(pause)

    async def _once(self) -> None:
        """Have one connection until it is lost, or nothing is wanted any more."""
        unable = self.upstream.available()
        if unable is not None:
            raise unable
        self.connections += 1
        async with self.upstream.connect() as connection:
            now = self._clock.monotonic()
            self.up, self.up_since, self.message_at = True, now, now
            self.reconnects += self._lost_one
            self._lost_one = self._quiet = False
            self._subscribed = {}
            self._refusal = None
            if self._spoke:
                # Else the last one was accepted as well, and then said nothing.
                self.away_since = None
            self._connection, self._opened_at, self._spoke = connection, now, False
            tasks = [
                asyncio.create_task(self._read(connection)),
                asyncio.create_task(self._write(connection)),
                asyncio.create_task(self._watch()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.up = False
                self._connection = None
                self._subscribed = {}
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                if isinstance(end, Exception):
                    raise end

    async def _read(self, connection: Connection) -> None:
        while True:
            said = await connection.hear()
            self.message_at = self._clock.monotonic()
            self._spoke, self.away_since = True, None
            if said:
                self._listener.heard(self, said)
            await self._listener.room()

    async def _write(self, connection: Connection) -> None:
        """Subscribe to what is wanted, at the vendor's pace, until nothing is."""
        subscribed = self._subscribed
        declaration = self.upstream.declaration
        at_once = max(int(declaration.messages_per_second), 1)
        beat_at = self._clock.monotonic() + (declaration.beat_seconds or 0.0)
        while True:
            self._changed.clear()
            surplus = [each for each in subscribed if each not in self._wanted]
            if surplus:
                for symbol in surplus:
                    del subscribed[symbol]
                await connection.unsubscribe(surplus)
            if not self._wanted:
                return
            missing = [each for each in self._wanted if each not in subscribed]
            some = missing[:at_once]
            if some:
                await connection.subscribe(some)
                subscribed.update(dict.fromkeys(some))
                # What was unwanted meanwhile is ended in the next round.
                self._listener.subscribed(self, some)
            if declaration.beat_seconds and self._clock.monotonic() >= beat_at:
                beat_at = self._clock.monotonic() + declaration.beat_seconds
                await connection.beat()
            if len(missing) > at_once:
                await self._clock.sleep(1.0)
                continue
            try:
                async with asyncio.timeout(declaration.beat_seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _watch(self) -> None:
        """Judge the silence of the whole connection."""
        silence = self._limits.silence_seconds or (
            self.upstream.declaration.silence_seconds
        )
        if self.upstream.polled:
            silence = None  # it says nothing but when it is asked
        usual, messages, last, told = 0.0, 0, self.message_at, False
        while True:
            await self._clock.sleep(
                _LOOK_SECONDS if silence is None else min(_LOOK_SECONDS, silence / 4)
            )
            now = self._clock.monotonic()
            unable = self.upstream.available()
            if unable is not None:
                raise unable
            if self._connection is not None and (
                self._connection.heard_at > self._opened_at
            ):
                self._spoke, self.away_since = True, None
            if self.message_at != last:
                usual += _NEWEST * (self.message_at - last - usual)
                messages, last, told = messages + 1, self.message_at, False
                self._quiet = False
            silent = now - last
            if silence is not None and silent >= silence:
                raise ProviderUnavailableError(
                    f"{self.provider} has said nothing for {in_words(silent)}",
                    provider=self.provider,
                )
            unusual = max(self._limits.stale_seconds, _USUAL * usual)
            if messages >= _BUSY_MESSAGES and not told and silent >= unusual:
                told = self._quiet = True
                self._listener.silent(self, silent)

    def _lost(self, error: IngestionError) -> float:
        """Note and tell a loss, and return how long nothing should be tried."""
        if self.away_since is None:
            self.away_since = self._clock.monotonic()
        self.cause, self._lost_one = error.message, True
        if isinstance(error, _FOR_GOOD):
            self.refuse(error)
        _log.warning("the stream of %s: %s", self.provider, error.message)
        self._listener.lost(self, error.message)
        doubled = self._limits.first_pause_seconds * 2.0 ** min(
            self._attempts, _DOUBLINGS
        )
        longest = min(self._limits.longest_pause_seconds, doubled)
        self._attempts += 1
        pause = self._random() * longest
        if isinstance(error, _FOR_GOOD):
            # It will not change its mind soon.
            return self._limits.longest_pause_seconds
        return max(pause, min(error.retry_after_seconds or 0.0, 300.0))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless nothing is wanted any more."""
        until = self._clock.monotonic() + seconds
        while self._wanted and (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, _LOOK_SECONDS))
