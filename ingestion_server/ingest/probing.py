"""Vendors that nobody has asked for long are asked by the house itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, final

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery, Priority, SourceMode, SourcePolicy
from ingestion_server.domain.result import BarResult
from ingestion_server.ingest.candidates import BARS, Vendor
from ingestion_server.ports.budget import Counts
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.policy import CALL_SECONDS, BreakerPosition
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import AccountUse, WindowUse
from ingestion_server.registry.standing import Standings

_log: Final = logging.getLogger(__name__)
LOOK_SECONDS: Final = 5.0
"""How often it is looked who is due; so there is no more than one probe in it."""
_AGAIN_SECONDS: Final = 30.0
"""When a probe that showed nothing of a vendor that rests is followed by another."""
_BARS: Final = 5
_SHORT_SECONDS: Final = 60.0
"""A window so short is meant to be full, and is free again at once."""
_PLENTY_LEFT: Final = 0.5
_PLENTY_A_DAY: Final = 1000.0
_DAY_SECONDS: Final = 86_400.0

Uses = Callable[[], Sequence[AccountUse]]
"""Tell what is used of the vendors' budgets."""


class Ask(Protocol):
    """Answer a query, as ``Fetcher.fetch`` does."""

    async def __call__(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int, fresh: bool
    ) -> BarResult:
        """Return the bars; with ``fresh``, from nobody but vendors."""
        ...


@final
class Prober:
    """
    Ask each vendor for a few bars, of each kind that it was ever asked for, when
    nobody has asked it for a while; so the score of who is not chosen stays true.

    One whose breaker is open is asked as soon as its rest is over, so that no caller
    pays for finding out whether it has recovered. Only who costs nothing and has quota
    in plenty is asked, never two at once, and never in the way of callers.
    """

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        standings: Standings,
        ask: Ask,
        uses: Uses,
        clock: Clock,
        *,
        idle_seconds: float,
    ) -> None:
        """
        Begin with no probe made.

        Args:
            vendors: those that may be asked; may change at any time.
            standings: what they were asked for, and when.
            ask: asks one under all policies.
            uses: what is left of their quota.
            clock: tells the time.
            idle_seconds: how long nobody has asked whom we ask; 0 = never.

        """
        self._vendors = vendors
        self._standings = standings
        self._ask = ask
        self._uses = uses
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._tried_at_seconds: dict[tuple[str, str], float] = {}
        self.counts: Counter[tuple[str, str, bool]] = Counter()
        """Probes since the start by vendor, kind, and whether they were answered."""

    async def run(self) -> None:
        """Probe until cancelled; return at once if there is nothing to do, ever."""
        while self._idle_seconds:
            await self._clock.sleep(min(LOOK_SECONDS, self._idle_seconds))
            await self.look()

    async def look(self) -> None:
        """Probe who is due for longest, if anybody is."""
        due = sorted(self._due())
        if not due or not self._idle_seconds:
            return
        plentiful = {use.provider for use in self._uses() if _plentiful(use)}
        for _, name, kind in due:
            if name in plentiful and not self._vendors[name].quota.charges:
                await self._probe(name, kind)
                return

    def _due(self) -> Iterator[tuple[float, str, str]]:
        """Yield who is due, since when, and for which kind."""
        now = self._clock.monotonic()
        keys = [
            (name, kind)
            for name, vendor in self._vendors.items()
            if not vendor.no_key
            for kind in self._standings.kinds(name)
            # Bars tell nothing of how it does with quotes or trades.
            if kind.startswith(BARS)
        ]
        tried = self._tried_at_seconds
        self._tried_at_seconds = {key: tried[key] for key in keys if key in tried}
        for name, kind in keys:
            since = self._due_at_seconds(name, kind, now)
            if since is not None and since <= now:
                yield since, name, kind

    def _due_at_seconds(self, name: str, kind: str, now: float) -> float | None:
        breaker = self._vendors[name].breaker(kind)
        tried = self._tried_at_seconds.get((name, kind), float("-inf"))
        if breaker.position is not BreakerPosition.CLOSED:
            rested = breaker.retry_at_seconds if breaker.admits else None
            return None if rested is None else max(rested, tried + _AGAIN_SECONDS)
        ago = self._standings.asked_seconds_ago(name, kind)
        # What was tried may have ended before anything left.
        return None if ago is None else max(now - ago, tried) + self._idle_seconds

    async def _probe(self, name: str, kind: str) -> None:
        self._tried_at_seconds[name, kind] = self._clock.monotonic()
        instrument = self._standings.example(name, kind)
        if instrument is None:
            return
        query = _question(self._vendors[name].provider, instrument)
        answered = False
        try:
            await self._ask(
                query, budget_seconds=CALL_SECONDS, most_bars=_BARS, fresh=True
            )
            answered = True
        except IngestionError as error:
            # Whoever listens to calls has heard of it.
            _log.debug("a probe of %s for %s failed: %s", name, kind, error.message)
        except Exception:  # noqa: BLE001 - logged, and so are those that follow
            # A defect; the other vendors are probed all the same.
            _log.exception("a probe of %s for %s could not be made", name, kind)
        self.counts[name, kind, answered] += 1


def _question(provider: Provider, instrument: Instrument) -> BarQuery:
    """Return a question that one call answers, and that must not cost anything."""
    return BarQuery(
        instrument,
        Interval.DAY_1,
        limit=_BARS,
        adjustment=_native(provider, instrument),
        policy=SourcePolicy(SourceMode.PINNED, (provider.name,), max_cost_usd=0.0),
        priority=Priority.BATCH,
    )


def _native(provider: Provider, instrument: Instrument) -> Adjustment:
    """Return how its bars are adjusted already: no second call tells of splits."""
    native = [
        adjustment
        for capability in provider.capabilities
        if instrument.asset_class in capability.asset_classes
        and Interval.DAY_1 in capability.intervals
        for adjustment in capability.adjustments
    ]
    return min(native, default=Adjustment.RAW)


def _plentiful(account: AccountUse) -> bool:
    """Return whether nobody will miss a call."""
    return account.closed_until_ns is None and all(map(_spacious, account.windows))


def _spacious(window: WindowUse) -> bool:
    if window.counts is Counts.UNITS:
        # Messages are sold: a few bars every so often would use up a small plan.
        return False
    if window.limit * _DAY_SECONDS < _PLENTY_A_DAY * window.seconds:
        return False
    short = window.seconds <= _SHORT_SECONDS
    return short or window.remaining >= _PLENTY_LEFT * window.limit
