"""Keeping a server's entry in an etcd alive, whatever happens to the etcd."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final, final

import msgspec

from ingestion_server.discovery import etcd
from ingestion_server.discovery.bulletin import Bulletin
from ingestion_server.discovery.conversation import Conversation
from ingestion_server.ports.clock import Clock

_log: Final = logging.getLogger(__name__)
_DOUBLINGS: Final = 16


class RegistrarLimits(msgspec.Struct, frozen=True):
    """Bound how long an entry outlives its server, and how often an etcd is asked."""

    lease_seconds: int = 15
    """How long the entry outlives a server that is killed."""
    first_seconds: float = 0.5
    """The longest pause after the first failure; doubled after each."""
    longest_seconds: float = 15.0
    """What doubling leads to."""
    leave_seconds: float = 1.0
    """What deregistering may take."""

    @property
    def beat_seconds(self) -> float:
        """Return how often the lease is kept alive: two beats may be missed."""
        return self.lease_seconds / 3

    @property
    def ask_seconds(self) -> float:
        """Return how long one endpoint may take to answer."""
        return min(self.lease_seconds / 6, 5.0)


@final
class Registrar:
    """
    Have a server found in an etcd while ``run`` runs, until ``leave``.

    It begins anew for ever, after pauses that grow, with full jitter. Nothing that an
    etcd does is an error of ours.
    """

    where: Final = "etcd"

    def __init__(
        self,
        conversation: Conversation,
        clock: Clock,
        random: Callable[[], float],
        limits: RegistrarLimits,
    ) -> None:
        """``random`` returns numbers from 0 to 1."""
        self._conversation = conversation
        self._clock = clock
        self._random = random
        self._limits = limits
        self._bulletin = Bulletin(_log, clock)
        self._lease: int | None = None
        self._held_until: float | None = None
        """When the lease ends; None = the entry never hung on it."""
        self.registrations = 0
        self.failures: Final = Counter(dict.fromkeys(etcd.REASONS, 0))

    @property
    def registered(self) -> bool:
        """Return whether the entry is there: its lease is ours, and surely lives."""
        until = self._held_until
        return until is not None and self._clock.monotonic() < until

    async def run(self, entry: etcd.Entry) -> None:
        """Keep the entry there until cancelled."""
        failed = 0
        while True:
            if await self._kept(entry):
                failed = 0
                await self._clock.sleep(self._limits.beat_seconds)
                continue
            doubled = self._limits.first_seconds * 2 ** min(failed, _DOUBLINGS)
            failed += 1
            longest = min(doubled, self._limits.longest_seconds)
            await self._clock.sleep(self._random() * longest)

    async def leave(self) -> None:
        """Take the entry away, in bounded time; ``run`` has been cancelled."""
        lease, self._lease, self._held_until = self._lease, None, None
        if lease is None:
            return
        within = self._limits.leave_seconds
        try:
            async with asyncio.timeout(within):
                await self._conversation.ask(etcd.revoke(lease), within_seconds=within)
        except etcd.LeaseLostError:
            _log.info("deregistered already")
        except Exception as error:  # noqa: BLE001 - no reason not to stop in order
            _log.warning(
                "not deregistered, so the entry stays for up to %d s: %s",
                self._limits.lease_seconds,
                self._noted(error),
            )
        else:
            _log.info("deregistered")

    async def _kept(self, entry: etcd.Entry) -> bool:
        """Return whether the entry is there now."""
        try:
            await self._keep(entry)
        except Exception as error:  # noqa: BLE001 - callers are served anyway
            if not isinstance(error, etcd.EtcdError):
                _log.debug("registering failed", exc_info=True)
            self._bulletin.failed(f"registering failed: {self._noted(error)}")
            return False
        self._bulletin.well(f"registered at etcd as {entry.key}")
        return True

    async def _keep(self, entry: etcd.Entry) -> None:
        asked_at = self._clock.monotonic()
        asked_seconds = self._limits.lease_seconds
        try:
            if self._lease is None:
                lease = await self._conversation.ask(etcd.grant(asked_seconds))
                self._lease, seconds = lease.id, lease.seconds
            else:
                seconds = await self._conversation.ask(etcd.keep_alive(self._lease))
            if not await self._conversation.ask(etcd.hold(self._lease, entry)):
                self.registrations += 1
                if self._held_until is not None:
                    self._tell_lost(entry)
        except etcd.LeaseLostError:
            self._lease, self._held_until = None, None
            raise
        self._held_until = asked_at + min(seconds, asked_seconds)

    def _tell_lost(self, entry: etcd.Entry) -> None:
        """Tell that somebody was at it: a server with the same address, say."""
        error = etcd.EntryLostError(
            f"etcd had lost {entry.key}, or another server had taken it; "
            "it is written anew"
        )
        self._bulletin.failed(self._noted(error))

    def _noted(self, error: Exception) -> str:
        """Count a failure, and return it in words."""
        if isinstance(error, etcd.EtcdError):
            reason, words = error.reason, str(error)
        elif isinstance(error, TimeoutError):
            within = f"{self._limits.leave_seconds:g} s"
            reason = etcd.EtcdUnavailableError.reason
            words = f"etcd did not answer within {within}"
        else:
            # Its words may hold anything.
            reason, words = etcd.EtcdError.reason, type(error).__name__
        self.failures[reason] += 1
        return words
