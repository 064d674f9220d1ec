"""
Who serves which unit where several vendors could: the job, run in thought.

As in earnest, so many units are under way at a time. Each goes to the first vendor
whose quota lets its calls leave almost at once; if there is none, it waits as a walk
does. If nobody has quota in time, all wait for whoever has some first. Failures, the
traffic of others and draws among equals are left out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple, TypeAlias, final

import msgspec

from ingestion_server.domain.instrument import Instrument
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.pieces import Load, Piece
from ingestion_server.ingest.walk import SHORT_WAIT_SECONDS
from ingestion_server.ports.quota import Turns

_DEFERRED_SECONDS: Final = 3600.0
"""What has its turn within this waits for no window of a day or a month."""
_FARTHEST_SECONDS: Final = 400 * 86_400.0
_MOST_STEPS: Final = 30_000
"""So much is thought through; what comes behind goes on like what came last."""
_LATEST: Final = 1_000
"""So many of the last units are what came last."""


class Work(NamedTuple):
    """Be one unit's worth of work."""

    instrument: Instrument
    pieces: tuple[Piece, ...]
    """What it takes of each vendor that could serve it, first choice first."""

    @property
    def piece(self) -> Piece:
        """Return what it takes of the first choice."""
        return self.pieces[0]


class Pace(NamedTuple):
    """Be how fast a vendor is."""

    turns: Turns
    call_seconds: float
    """From the turn of a call to its answer."""


class Allotted(msgspec.Struct, frozen=True):
    """Be who serves what."""

    pieces: Sequence[Piece]
    """One for each work."""
    order: Sequence[int]
    """The places of all work: what waits for a window of a day or longer comes last."""
    loads: Mapping[str, Counter[Load]] = {}
    """The calls that were thought through, those for nothing as well."""
    rehearsed: frozenset[int] = frozenset()
    """The places of the works that these are for."""


LoadsOf: TypeAlias = Callable[[str, Sequence[Work]], Iterable[Load]]
"""Tell the calls of a vendor for works that may share one."""
_Course: TypeAlias = Iterator[float]
"""Yields when it goes on."""


def seats_of(piece: Piece, limits: JobLimits) -> int:
    """Return how many can share a call: no more than are under way at a time."""
    return min(piece.shared_by, limits.most_units_at_once)


@final
class Rehearsal:
    """Run a job in thought, once. All seconds are from its beginning."""

    def __init__(
        self,
        works: Sequence[Work],
        paces: Mapping[str, Pace],
        *,
        limits: JobLimits,
        loads_of: LoadsOf,
    ) -> None:
        """
        Set up.

        Args:
            works: in the order in which they are begun.
            paces: of all vendors that are named.
            limits: tell how many units are under way at a time.
            loads_of: tells the calls of works that may share one, each with the piece
                of that vendor as its first.

        """
        self._works = works
        self._paces = paces
        self._limits = limits
        self._loads_of = loads_of
        together = max((seats_of(work.piece, limits) for work in works), default=1)
        at_once = max(limits.units_at_once, together)
        self._free = min(at_once, limits.most_units_at_once)
        self._now = 0.0
        self._steps = 0
        self._numbers = count()
        self._due: list[tuple[float, int, _Course]] = []
        self._waiting = deque(range(len(works)))
        self._later: deque[int] = deque()
        self._deferred: dict[int, None] = {}
        self._paused_until = 0.0
        self._refused_until: dict[tuple[str, Load], float] = {}
        self._acted: set[tuple[str, Instrument]] = set()
        self._loads: defaultdict[str, Counter[Load]] = defaultdict(Counter)
        self._booked: defaultdict[str, deque[float]] = defaultdict(deque)
        self._served_by: dict[int, Piece] = {}

    def run(self) -> Allotted:
        """Return who serves what."""
        self._begin()
        while self._due:
            self._now, _, course = heappop(self._due)
            self._go_on(course)
            self._begin()
        rehearsed = frozenset(self._served_by)
        latest = [piece.provider for piece in self._served_by.values()][-_LATEST:]
        for place, work in enumerate(self._works):
            if place not in rehearsed:
                name = latest[place % len(latest)] if latest else ""
                likely = (each for each in work.pieces if each.provider == name)
                self._served_by[place] = next(likely, work.piece)
        places = range(len(self._works))
        at_once = [place for place in places if place not in self._deferred]
        return Allotted(
            [self._served_by[place] for place in places],
            [*at_once, *self._deferred],
            self._loads,
            rehearsed,
        )

    def _begin(self) -> None:
        """Begin as many units as there are places for."""
        while self._free and self._now >= self._paused_until:
            if not self._waiting:
                self._waiting, self._later = self._later, self._waiting
            if not self._waiting or self._steps > _MOST_STEPS:
                return
            self._free -= 1
            self._go_on(self._tried(self._waiting.popleft()))

    def _go_on(self, course: _Course) -> None:
        self._steps += 1
        at_seconds = next(course, None)
        if at_seconds is not None:
            heappush(self._due, (at_seconds, next(self._numbers), course))

    def _tried(self, place: int) -> Generator[float, None, None]:
        """Ask vendors in order, as a walk does."""
        pieces = self._works[place].pieces
        until = self._now + self._limits.unit_seconds
        refused: list[tuple[Piece, float]] = []
        for piece in pieces:
            patience = SHORT_WAIT_SECONDS
            if len(pieces) == 1:
                patience = math.inf
            elif piece is pieces[-1]:
                patience += self._passing(piece.provider)
            turn = yield from self._asked(place, piece, patience, until)
            if turn is None:
                return
            refused.append((piece, turn))
        # Those who had no quota at once are asked again, and the last is waited for.
        again = [each for each in refused if each[1] <= until]
        again.sort(key=lambda each: self._passing(each[0].provider, each[1]))
        for piece, turn in again:
            patience = math.inf
            if piece is not again[-1][0]:
                passing = self._passing(piece.provider, turn)
                patience = SHORT_WAIT_SECONDS + passing
            late = yield from self._asked(place, piece, patience, until)
            if late is None:
                return
            refused.append((piece, late))
        self._free += 1
        turns = (turn for _, turn in refused if turn > self._now)
        self._put_back(place, min(turns, default=self._now))

    def _asked(
        self, place: int, piece: Piece, patience_seconds: float, until: float
    ) -> Generator[float, None, float | None]:
        """Make the calls of one vendor; return the turn of one that is too late."""
        riders = self._boarding(piece)
        its = [place, *riders]
        name, pace = piece.provider, self._paces[piece.provider]
        for load in self._needed(its, piece):
            latest = min(self._now + patience_seconds, until)
            turn = self._turn(name, load, latest)
            if turn > latest:
                self._free += len(riders)
                self._waiting.extendleft(reversed(riders))
                return turn
            self._loads[name][load] += 1
            self._booked[name].append(turn)
            yield turn + pace.call_seconds
        for each in its:
            self._served_by[each] = piece
        self._free += len(its)
        return None

    def _passing(self, name: str, turn: float = 0.0) -> float:
        """
        Return how long a call would wait that passes all who wait now.

        It is what walks go by. ``turn`` is that of one more call, if nobody waits.
        """
        booked = self._booked[name]
        while booked and booked[0] <= self._now:
            booked.popleft()
        return max((booked[0] if booked else turn) - self._now, 0.0)

    def _needed(self, places: Sequence[int], piece: Piece) -> Iterator[Load]:
        """Yield the calls that are still to be made."""
        for place in places:
            acted = piece.provider, self._works[place].instrument
            if acted not in self._acted:
                yield from piece.action_loads
                self._acted.add(acted)
        if len(places) == 1:
            yield from piece.loads
            return
        works = [Work(self._works[place].instrument, (piece,)) for place in places]
        yield from self._loads_of(piece.provider, works)

    def _boarding(self, piece: Piece) -> list[int]:
        """Take the next units that share the call of one."""
        found: list[int] = []
        most = min(seats_of(piece, self._limits) - 1, self._free)
        while len(found) < most and self._waiting:
            same = any(
                each is piece
                or (each.provider == piece.provider and each.span == piece.span)
                for each in self._works[self._waiting[0]].pieces
            )
            if not same:
                break
            found.append(self._waiting.popleft())
        self._free -= len(found)
        return found

    def _turn(self, name: str, load: Load, latest: float) -> float:
        """Return when a call has its turn; it is counted unless that is too late."""
        known = self._refused_until.get((name, load), 0.0)
        if known > latest:
            # Turns only come later by what others are granted.
            return known
        turn = self._paces[name].turns.turn(
            load.endpoint,
            times=load.times,
            asked_seconds=self._now,
            latest_seconds=latest,
        )
        if turn > latest:
            self._refused_until[name, load] = turn
        return turn

    def _put_back(self, place: int, turn: float) -> None:
        """Let a unit wait for its turn, and all others with it unless it is far."""
        if turn - self._now > _DEFERRED_SECONDS and place not in self._deferred:
            self._deferred[place] = None
            self._later.append(place)
            return
        self._waiting.appendleft(place)
        if turn > _FARTHEST_SECONDS:
            # Nobody knows what is then, and nothing is begun before.
            self._paused_until = math.inf
            return
        if self._now >= self._paused_until or turn < self._paused_until:
            self._paused_until = turn
        heappush(self._due, (turn, next(self._numbers), iter(())))
