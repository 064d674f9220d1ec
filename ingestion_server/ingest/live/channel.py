"""
The live data of one kind of one instrument, by one route of vendors.

It knows whose data are published, where they broke off, and what is waited for until a
gap can be told and filled. It decides nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Quote, TickKind, TickMark, Trade
from ingestion_server.ingest.live.publishing import Partition

if TYPE_CHECKING:
    from ingestion_server.ingest.live.bar_line import BarLine
    from ingestion_server.ingest.live.subscriber import Subscriber

MILLISECOND_NS: Final = 1_000_000
"""How exactly vendors tell times."""
_OVERLAP_NS: Final = 2 * SECOND_NS
"""How much before and after a gap a history must repeat to be believed."""
_QUIET_NS: Final = 600 * SECOND_NS
_LAG_NS: Final = 60 * SECOND_NS
"""How much later than its time a tick of a living connection may come."""
_MOST_OVERLAP: Final = 20_000
_ON_THE_WAY_NS: Final = SECOND_NS
"""How late what took place just before may arrive."""
_DOUBTFUL: Final = int(TickMark.TIME_DOUBTFUL)
_FADING: Final = 2
"""After each gap, half of the disorder that was seen is forgotten."""


class Route(NamedTuple):
    """Be the vendors that may serve, first choice first."""

    names: tuple[str, ...]
    own_bars: tuple[str, ...] = ()
    """Those whose own bars may be served; empty = any."""


class Overlap(msgspec.Struct):
    """Collect what comes from a break on, until it is known what must have come."""

    provider: str
    trades: list[Trade]
    until_ns: int = 2**63 - 1


class Break(msgspec.Struct):
    """Be a stretch of which data are missing, until both its ends are known."""

    from_ns: int
    cause: str
    provider: str
    before: list[Trade]
    overlap: Overlap
    resumed_at: float | None = None
    """When data came again, in monotonic seconds; None = not yet."""
    resumed_ns: int = 0
    """The same by our clock."""
    until: float | None = None
    """It ends no earlier, in monotonic seconds; None = with the next tick."""
    longest_until: float | None = None
    """That is put off no further; None = it never was."""


@final
class Channel:
    """Be the live data of one kind of one instrument, by one route."""

    __slots__ = (
        "active",
        "awaiting",
        "begun_at",
        "broken",
        "disorder_ns",
        "floor_ns",
        "full",
        "instrument",
        "joining",
        "kind",
        "latest",
        "left_at",
        "lines",
        "live",
        "malformed_at",
        "mended_ns",
        "newest_ns",
        "of_trades",
        "overlaps",
        "partition",
        "pending",
        "refused",
        "route",
        "sampled",
        "since_ns",
        "spelled",
        "stale",
        "subscribers",
        "symbol",
    )

    def __init__(
        self,
        instrument: Instrument,
        kind: TickKind,
        route: Route,
        partition: Partition,
        spelled: dict[str, str],
    ) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        """In our spelling."""
        self.kind = kind
        self.of_trades = kind is TickKind.TRADES
        self.route = route
        self.partition = partition
        self.spelled = spelled
        """The symbol as each vendor of the route spells it."""
        self.active = ""
        """Whose data are published; empty until somebody's are."""
        self.joining = ""
        """Who is to take over as soon as it is subscribed there."""
        self.live = False
        """Whether data come."""
        self.stale = False
        """Whether it was said that nothing comes."""
        self.sampled = False
        self.refused: dict[str, ProviderError] = {}
        """Which vendors will not serve it, and why."""
        self.full: set[str] = set()
        """Those among them that only have no place for it now."""
        self.pending: list[Trade | Quote] = []
        self.latest: Trade | Quote | None = None
        self.newest_ns = 0
        """The latest vendor time that was published."""
        self.mended_ns = 0
        """The end of the last gap."""
        self.floor_ns = 0
        """Another vendor has told everything up to here."""
        self.disorder_ns = 0
        """How much too late ticks have come of late."""
        self.broken: Break | None = None
        self.overlaps: list[Overlap] = []
        self.lines: list[BarLine] = []
        self.awaiting: dict[Subscriber, None] = {}
        """Who has not been told yet that data come."""
        self.subscribers = 0
        self.left_at: float | None = None
        self.begun_at = 0.0
        """When data came for the first time, in monotonic seconds."""
        self.since_ns = 0
        """The same by the vendor's clock; 0 = they never came."""
        self.malformed_at = float("-inf")
        """When a message could not be read, in monotonic seconds."""

    def break_off(self, cause: str, heard_ns: int) -> bool:
        """
        Note that data may be missing from now on; False if that is known already.

        ``heard_ns`` is until when, by the vendor's clock, all is known to have come.
        """
        if self.broken is not None:
            self.broken.resumed_at = None
            return False
        # Only what came shows what had come. A symbol that was quiet for long is quiet
        # no longer than until the connection was well for the last time.
        newest_ns = self.told_until_ns
        if heard_ns - newest_ns > _QUIET_NS:
            newest_ns = heard_ns - _LAG_NS
        from_ns = max(newest_ns - self.disorder_ns, self.since_ns, self.mended_ns)
        self.disorder_ns //= _FADING
        self.broken = self._break(from_ns, cause)
        for line in self.lines:
            line.doubt(from_ns)
        return True

    @property
    def runs_ahead(self) -> bool:
        """Return whether the latest tick came, by our clock, before it took place."""
        latest = self.latest
        return latest is not None and (
            latest.time_ns > latest.received_at_ns + MILLISECOND_NS
        )

    @property
    def told_until_ns(self) -> int:
        """
        Return until when everything was told, by whosever clock.

        A vendor whose clock is ahead has told less than its times say: how much less,
        only its next tick would show, so the last second counts as not told.
        """
        if self.latest is None or not self.runs_ahead:
            return self.newest_ns
        return min(self.newest_ns, self.latest.received_at_ns - _ON_THE_WAY_NS)

    def awaits_from(self, from_ns: int, cause: str) -> None:
        """Note, before data come, that somebody misses them since a time."""
        if self.broken is None:
            self.broken = self._break(from_ns, cause)
            for line in self.lines:
                line.doubt(from_ns)
        self.broken.from_ns = min(self.broken.from_ns, from_ns)

    def resume(self, now: float, now_ns: int) -> None:
        """Note that what comes from now on is whole."""
        if self.broken is not None:
            self.broken.resumed_at, self.broken.resumed_ns = now, now_ns

    def sorted_ticks(self) -> list[Trade | Quote]:
        """Return what was heard since, by the vendor's time, marked if it is late."""
        ticks, self.pending = self.pending, []
        newest = before = self.newest_ns
        for tick in ticks:
            time_ns = tick.time_ns
            if time_ns < before:
                ticks.sort(key=_time_ns)
                self._mark_late(ticks, newest)
                break
            before = time_ns
        for tick in reversed(ticks):
            if not tick.marks & _DOUBTFUL:
                if tick.time_ns >= newest:
                    self.newest_ns, self.latest = tick.time_ns, tick
                break
        if self.latest is None:
            self.latest = ticks[-1]
        return ticks

    def _mark_late(self, ticks: Iterable[Trade | Quote], newest_ns: int) -> None:
        for tick in ticks:
            late_ns = newest_ns - tick.time_ns
            if late_ns <= 0:
                break
            tick.marks |= TickMark.OUT_OF_ORDER
            if not tick.marks & _DOUBTFUL:
                self.disorder_ns = max(self.disorder_ns, late_ns)

    def collect(self, ticks: Iterable[Trade | Quote]) -> None:
        """Keep what a history must repeat to be believed."""
        for overlap in self.overlaps:
            overlap.trades.extend(
                tick
                for tick in ticks
                if isinstance(tick, Trade)
                and tick.time_ns < overlap.until_ns
                and tick.provider == overlap.provider
            )
        self.overlaps = [
            overlap
            for overlap in self.overlaps
            if self.newest_ns < overlap.until_ns and len(overlap.trades) < _MOST_OVERLAP
        ]

    def mend(self, to_ns: int) -> Break | None:
        """End a break, and return it; what comes soon after is still collected."""
        broken, self.broken = self.broken, None
        if broken is not None:
            self.mended_ns = to_ns
            broken.overlap.until_ns = to_ns + _OVERLAP_NS
        return broken

    def forget(self, overlap: Overlap) -> None:
        """Collect it no more."""
        if overlap in self.overlaps:
            self.overlaps.remove(overlap)

    def _break(self, from_ns: int, cause: str) -> Break:
        overlap = Overlap(self.active, [])
        self.overlaps.append(overlap)
        return Break(from_ns, cause, self.active, self._before(from_ns), overlap)

    def _before(self, from_ns: int) -> list[Trade]:
        found: list[Trade] = []
        for entry in self.partition.newest_first():
            if not isinstance(entry, Trade) or entry.marks & TickMark.BACKFILLED:
                continue
            if entry.time_ns < from_ns - _OVERLAP_NS or len(found) >= _MOST_OVERLAP:
                break
            if entry.provider == self.active:
                found.append(entry)
        found.reverse()
        return found


def _time_ns(tick: Trade | Quote) -> int:
    return tick.time_ns
