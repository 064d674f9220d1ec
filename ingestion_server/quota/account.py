"""The shell around the decisions: the callers of one vendor wait here, in order."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import LedgerUnavailableError, QuotaExhaustedError
from ingestion_server.ports.budget import Budget, Scope
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import AlertKind, Debit, Lane, Quota
from ingestion_server.quota import told
from ingestion_server.quota.admission import (
    LONG_AGO,
    Outlook,
    RefusedUntil,
    Turn,
    admit,
    decide,
    fits,
    waits,
)
from ingestion_server.quota.history import History
from ingestion_server.quota.instant import Instant, Timekeeper
from ingestion_server.quota.journal import Journal, JournalError
from ingestion_server.quota.line import Line, Slot, counts_in
from ingestion_server.quota.rolling_meter import MARGIN_SECONDS
from ingestion_server.quota.spend import SpendBook
from ingestion_server.quota.waiter import Waiter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OUTLOOK_SECONDS: Final = 0.25
"""How long a forecast of the queue holds, if nothing but grants has happened."""
_WRITE_AGAIN_SECONDS: Final = 5.0
_ENTRIES: Final = 512
"""After so many calls they are summed up; a file that only grows is slow to read."""
_LONGEST_CLOSURE_SECONDS: Final = 32 * 86_400.0
"""No vendor's word closes it for longer: a wrong number must not do so for years."""
_ROOM_PERCENT: Final = 70
_LEVELS: Final = (
    (95, AlertKind.USED_95_PERCENT),
    (80, AlertKind.USED_80_PERCENT),
)
OF_KEY: Final = frozenset({Scope.KEY, Scope.CONNECTION})
"""What another key does not use up."""

_log: Final = logging.getLogger(__name__)


class Cooldown(msgspec.Struct, frozen=True):
    """Say how long a vendor is left alone that says "not now" but not until when."""

    first_seconds: float = 300.0
    most_seconds: float = 3600.0
    """Each refusal doubles the pause up to this; a success starts anew."""


class Tell(msgspec.Struct, frozen=True):
    """Be what an account tells its ledger about one window."""

    kind: AlertKind
    window: str
    used: int
    limit: int
    detail: str


class Place(msgspec.Struct, frozen=True):
    """Say where an account is written down."""

    vendor: int = 0
    credential: int = 0


@final
class Account(Quota):
    """
    Let calls of one vendor leave only when they fit all its windows.

    A call is written down before it is let go, and counts from then on, whatever
    becomes of it. Callers are served in the order they came, interactive ones before
    batch ones; one that is cancelled leaves neither a debit nor a gap.
    """

    def __init__(  # noqa: PLR0913 - the parts of an account
        self,
        provider: str,
        plan: str,
        budget: Budget,
        lines: Sequence[Line],
        *,
        clock: Clock,
        time: Timekeeper,
        journal: Journal,
        place: Place = Place(),  # noqa: B008 -- frozen
        on_tell: Callable[[Tell], None],
        cooldown: Cooldown = Cooldown(),  # noqa: B008 -- frozen
    ) -> None:
        """
        Set up.

        Args:
            provider: id of the vendor.
            plan: name of the plan in force.
            budget: what it allows and costs.
            lines: its windows.
            clock: lets waiters sleep.
            time: tells the moment.
            journal: is written to before a call leaves.
            place: where in the journal.
            on_tell: hears what an operator should know.
            cooldown: how long to leave the vendor alone if it does not say.

        """
        self.provider = provider
        self.plan = plan
        self.budget = budget
        self.lines = lines
        self.spend = SpendBook(budget)
        self.history = History()
        self.place = place
        self._clock = clock
        self._time = time
        self._journal = journal
        self._on_tell = on_tell
        self._cooldown = cooldown
        self._slots = {
            lane: [slot for line in lines for slot in counts_in(line, lane)]
            for lane in Lane
        }
        self._watched = [line for line in lines if line.watched]
        self._durable = any(line.durable for line in lines)
        self._listens = told.listens(budget)
        self._ban = LONG_AGO
        # Refusals without a time, since the last success.
        self._bans = 0
        self._number = 0
        self._open: dict[int, Debit] = {}
        self._entries = 0
        self._changes = 0
        self._written = True
        self._queue: deque[Waiter] = deque()
        # What the queue will use, and until when that holds; None once anything but
        # a grant has happened.
        self._outlook: Outlook | None = None
        self._outlook_until = 0.0

    @override
    async def reserve(
        self, endpoint: str, *, longest_wait_seconds: float, lane: Lane
    ) -> Debit:
        """
        Wait for the turn of one call, and count it in all windows.

        Raises:
            QuotaExhaustedError: At once, if the wait would be longer; or later, if
                the vendor is heard to refuse calls meanwhile. It names the window
                and tells when the call would have its turn.
            LedgerUnavailableError: The call could not be written down.

        """
        now = self._time.now()
        units = self.budget.weight(endpoint)
        if self._may_pass(lane, now) and fits(self._slots[lane], units, now):
            return self._debit(lane, units, now)
        turn = self._turn_of(lane, units, now)
        latest_seconds = now.seconds + max(longest_wait_seconds, 0.0)
        if isinstance(decide(turn, now, latest_seconds), RefusedUntil):
            raise self._refusal(turn, units, now)
        waiter = Waiter(latest_seconds, lane=lane, units=units)
        self._enqueue(waiter, now)
        try:
            debit = await self._wait(waiter)
        except BaseException:
            self._queue.remove(waiter)
            self._changed()
            raise
        self._queue.remove(waiter)
        self._poke()
        return debit

    @override
    def refund(self, debit: Debit) -> None:
        """Take back a call that never left."""
        if self._open.pop(debit.number, None) is None:
            return
        now = self._time.now()
        for slot in self._slots[debit.lane]:
            slot.meter.refund(debit.number, now)
        self.spend.take_back(debit.units, debit.at_ns)
        if self._durable:
            self._journal.refund(self.place.credential, debit.number, now)
        self._changed()

    @override
    def arrived(self, debit: Debit, headers: Mapping[str, str]) -> Decimal:
        """
        Count a call from now on, and hear what its answer tells of the rest.

        What it tells makes us more careful, and never less. Return what the call
        cost more than was thought.
        """
        extra = Decimal(0)
        if self._open.pop(debit.number, None) is None:
            return extra
        now = self._time.now()
        for slot in self._slots[debit.lane]:
            slot.meter.arrive(debit.number, now)
        if self._listens and headers:
            extra = self._listen(debit, headers, now)
        if self._queue:
            self._poke()
        return extra

    @override
    def penalise(self, *, retry_after_seconds: float | None, window: str) -> None:
        """
        Let nothing leave for a while, because the vendor said: not now.

        Args:
            retry_after_seconds: how long, if the vendor says so.
            window: what the vendor names. A fixed one of ours is full then; if it
                does not say how long, one of ours closes for as long as it lasts,
                and for any other the cooldown holds, once for all the calls that
                were under way.

        """
        now = self._time.now()
        closed = now.seconds < self._ban.at_seconds
        named = next((each for each in self.lines if each.window.name == window), None)
        full_until = named.full_until(now) if named is not None else now.seconds
        if retry_after_seconds is not None and retry_after_seconds > 0:
            until = now.seconds + retry_after_seconds + MARGIN_SECONDS
        elif named is not None:
            until = full_until + MARGIN_SECONDS
        elif closed:
            return
        else:
            # More doublings than this only overflow.
            doubled = self._cooldown.first_seconds * 2.0 ** min(self._bans, 60)
            until = now.seconds + min(doubled, self._cooldown.most_seconds)
            self._bans += 1
        if not closed and self.budget.published and self.lines:
            self._tell_violation(window, named, now)
        self._close(until, window, now)
        # A refusal is rare, and must not be forgotten.
        self.save(now)

    @override
    def note_success(self) -> None:
        """Hear that the vendor answered; an answer from before a refusal is none."""
        if self._bans and self._clock.monotonic() >= self._ban.at_seconds:
            self._bans = 0

    @override
    def available_in(self) -> float:
        """Return how long a call that is asked for now would wait; 0 = not at all."""
        now = self._time.now()
        return self._next_turn(Lane.INTERACTIVE, 1, now).at_seconds - now.seconds

    @property
    @override
    def charges(self) -> bool:
        """Return whether calls may cost anything beyond a flat price."""
        return bool(self.budget.price_per_unit_usd)

    @override
    def price_usd(self, endpoint: str) -> Decimal:
        """Return what one more call of an endpoint would cost."""
        units = self.budget.weight(endpoint)
        return self.spend.price(units, self._time.now().wall_ns)

    @property
    def closed(self) -> Turn | None:
        """Return until when the vendor wants to be left alone, if it does."""
        ban = self._ban
        return ban if ban.at_seconds > self._time.now().seconds else None

    @property
    def changes(self) -> int:
        """Return how often what must survive has changed."""
        return self._changes

    def waiting(self) -> dict[Lane, int]:
        """Return how many wait."""
        counts = dict.fromkeys(Lane, 0)
        for waiter in self._queue:
            counts[waiter.lane] += 1
        return counts

    def under_way(self, slot: Slot) -> int:
        """Return how much of a window belongs to calls that are not answered."""
        return sum(debit.units if slot.by_units else 1 for debit in self._open.values())

    def outlook(self, now: Instant) -> Outlook:
        """Return what will be left when everyone who waits has had a turn."""
        outlook = Outlook(self._slots[Lane.BATCH], self._ban)
        for waiter in self._queue:
            if waiter.refusal is None:
                outlook.book(waiter.lane, waiter.units, now)
        return outlook

    def dump(self) -> dict[str, object]:
        """Return what concerns the vendor, whatever the key."""
        return {
            "spend": self.spend.dump(),
            "history": self.history.dump(),
            "bans": self._bans,
            "closed": tuple(self._ban) if self._ban is not LONG_AGO else None,
            "lines": self._dumped(of_key=False),
        }

    def dump_of_key(self) -> dict[str, object]:
        """Return what concerns the key."""
        return {"lines": self._dumped(of_key=True)}

    def save(self, now: Instant) -> None:
        """Sum up what was written down; what fails is told to the log, once."""
        try:
            self._journal.save(
                self.place.vendor,
                self.dump(),
                {self.place.credential: self.dump_of_key()},
                now,
            )
        except JournalError as error:
            self._failed(error)
        else:
            self._entries = 0

    def _dumped(self, *, of_key: bool) -> dict[str, object]:
        return {
            line.window.name: line.dump()
            for line in self.lines
            if (line.window.scope in OF_KEY) is of_key
        }

    def resume_closed(self, turn: Turn, bans: int) -> None:
        """Go on with a closure of an earlier run."""
        self._ban, self._bans = turn, bans

    def _may_pass(self, lane: Lane, now: Instant) -> bool:
        """Return whether nobody is ahead, and the vendor is not closed."""
        if now.seconds < self._ban.at_seconds:
            return False
        if not self._queue:
            return True
        return lane is Lane.INTERACTIVE and self._queue[0].lane is Lane.BATCH

    async def _wait(self, waiter: Waiter) -> Debit:
        while waiter.refusal is None:
            waiter.rearm()
            if waiter is not self._queue[0]:
                await waiter.poked
                continue
            now = self._time.now()
            slots = self._slots[waiter.lane]
            turn = waits(slots, waiter.units, self._ban, now)
            if turn.at_seconds <= now.seconds:
                return self._debit(waiter.lane, waiter.units, now)
            if turn.at_seconds > waiter.latest_seconds:
                raise self._refusal(turn, waiter.units, now)
            await waiter.nap(self._clock, turn.at_seconds - now.seconds)
        raise waiter.refusal

    def _debit(self, lane: Lane, units: int, now: Instant) -> Debit:
        # Nothing may be awaited between this and the caller's send.
        self._number = number = self._number + 1
        if self._durable:
            self._write(number, lane, units, now)
        admit(self._slots[lane], number, units, now)
        self.history.add(1, units, now.seconds, now.wall_ns)
        debit = Debit(
            number=number,
            at_seconds=now.seconds,
            at_ns=now.wall_ns,
            steady_ns=now.steady_ns,
            units=units,
            lane=lane,
            cost_usd=self.spend.add(units, now.wall_ns),
        )
        self._open[number] = debit
        self._changes += 1
        if self._watched:
            self._watch(units)
        if self._entries >= _ENTRIES:
            self.save(now)
        return debit

    def _write(self, number: int, lane: Lane, units: int, now: Instant) -> None:
        try:
            self._journal.debit(
                self.place.credential, number, now, units, batch=lane is Lane.BATCH
            )
        except JournalError as error:
            self._failed(error)
            raise LedgerUnavailableError(
                f"calls to {self.provider} are held back, because a restart would "
                f"forget them: {error}",
                provider=self.provider,
                retry_after_seconds=_WRITE_AGAIN_SECONDS,
            ) from error
        self._entries += 1
        if not self._written:
            self._written = True
            _log.warning("%s: the ledger can be written again", self.provider)

    def _failed(self, error: JournalError) -> None:
        if self._written:
            _log.error("%s: %s", self.provider, error)
        self._written = False

    def _listen(
        self, debit: Debit, headers: Mapping[str, str], now: Instant
    ) -> Decimal:
        """Correct what is left, downwards only; return what the call cost more."""
        news, price = False, Decimal(0)
        cost = told.units(self.budget, headers)
        if cost is not None and cost > debit.units:
            extra = cost - debit.units
            for slot in self._slots[debit.lane]:
                if slot.by_units:
                    slot.meter.debit(None, extra, now)
            price = self.spend.add(extra, now.wall_ns)
            self.history.add(0, extra, now.seconds, now.wall_ns)
            news = True
        for reading in told.readings(self.budget, headers, now.wall_ns):
            line = next(
                each for each in self.lines if each.window.name == reading.window
            )
            if reading.limit is not None:
                news |= line.lower(reading.limit)
            if reading.remaining is not None:
                news |= self._fill(line, reading, now)
        if news:
            self._watch(0)
            self._changed()
            self.save(now)
        return price

    def _fill(self, line: Line, reading: told.Reading, now: Instant) -> bool:
        """Count what others used of a window; return whether there is any."""
        assert reading.remaining is not None  # noqa: S101 - told by the caller
        used = line.limit - min(reading.remaining, line.limit)
        if used > line.used(now):
            # Others use this key too. Of ours, those under way may not be in it yet.
            line.fill(used + self.under_way(line.slots[0]), now)
            if not reading.remaining and reading.resets_in_seconds:
                until = now.seconds + reading.resets_in_seconds + MARGIN_SECONDS
                self._close(until, line.window.name, now)
            return True
        return False

    def _close(self, until_seconds: float, window: str, now: Instant) -> None:
        """Let nothing leave until then."""
        until = min(until_seconds, now.seconds + _LONGEST_CLOSURE_SECONDS)
        if until > self._ban.at_seconds:
            self._ban = Turn(until, window)
            self._changes += 1
            self._dismiss(now)
            self._changed()

    def _watch(self, amount: int) -> None:
        """Tell an operator when a window fills, once until there is room again."""
        for line in self._watched:
            used, limit = line.load(), line.limit
            # Not since this call began the window anew, whatever its size.
            if used * 100 < limit * _ROOM_PERCENT or used <= amount:
                line.level = 0
            for percent, kind in _LEVELS:
                if used * 100 >= limit * percent and percent > line.level:
                    line.level = percent
                    self._on_tell(
                        Tell(
                            kind,
                            line.window.name,
                            used,
                            limit,
                            f"{used} of {limit} {line.window.counts} of the window "
                            f"{line.window.name!r} of {self.provider} are used",
                        )
                    )
                    break

    def _tell_violation(self, window: str, named: Line | None, now: Instant) -> None:
        used = named.used(now) if named is not None else 0
        self._on_tell(
            Tell(
                AlertKind.VIOLATION,
                window,
                used,
                named.limit if named is not None else 0,
                f"{self.provider} refused a call that fitted all its windows: perhaps "
                "another program uses the same key, or the plan is not "
                f"{self.plan!r}",
            )
        )

    def _next_turn(self, lane: Lane, units: int, now: Instant) -> Turn:
        """Return the turn of a call that comes now, behind those who wait."""
        if not self._queue:
            return waits(self._slots[lane], units, self._ban, now)
        return self._foresee(now).next_turn(lane, units, now)

    def _foresee(self, now: Instant) -> Outlook:
        if self._outlook is None or now.seconds > self._outlook_until:
            self._outlook = self.outlook(now)
            self._outlook_until = now.seconds + _OUTLOOK_SECONDS
        return self._outlook

    def _turn_of(self, lane: Lane, units: int, now: Instant) -> Turn:
        """Return the turn of one more call, behind those that go before it."""
        if lane is Lane.BATCH or all(w.lane is lane for w in self._queue):
            return self._next_turn(lane, units, now)
        outlook = Outlook(self._slots[Lane.BATCH], self._ban)
        for waiter in self._queue:
            if waiter.lane is lane and waiter.refusal is None:
                outlook.book(lane, waiter.units, now)
        return outlook.next_turn(lane, units, now)

    def _enqueue(self, waiter: Waiter, now: Instant) -> None:
        """Put a waiter behind its equals; an interactive one passes batch ones."""
        queue, place = self._queue, len(self._queue)
        if waiter.lane is Lane.INTERACTIVE:
            while place and queue[place - 1].lane is Lane.BATCH:
                place -= 1
        if place == len(queue):
            self._foresee(now).book(waiter.lane, waiter.units, now)
            queue.append(waiter)
            return
        queue.insert(place, waiter)
        self._dismiss(now)
        self._changed()

    def _dismiss(self, now: Instant) -> None:
        """Tell those who would now wait too long, instead of keeping them."""
        outlook = Outlook(self._slots[Lane.BATCH], self._ban)
        for waiter in self._queue:
            turn = outlook.next_turn(waiter.lane, waiter.units, now)
            if turn.at_seconds > waiter.latest_seconds:
                waiter.refusal = waiter.refusal or self._refusal(
                    turn, waiter.units, now
                )
                waiter.poke()
            else:
                outlook.book(waiter.lane, waiter.units, now)

    def _changed(self) -> None:
        """Forget what was foreseen, and have the first in the queue look again."""
        self._outlook = None
        self._poke()

    def _poke(self) -> None:
        if self._queue:
            self._queue[0].poke()

    def _refusal(self, turn: Turn, units: int, now: Instant) -> QuotaExhaustedError:
        seconds = turn.at_seconds - now.seconds
        line = next(
            (each for each in self.lines if each.window.name == turn.window), None
        )
        # A window that only the vendor knows is none of ours: nothing is counted.
        counted = (
            f" ({line.used(now)} of {line.limit} {line.window.counts} used)"
            if line is not None
            else ""
        )
        if math.isinf(seconds):
            return QuotaExhaustedError(
                f"a call of {units} units to {self.provider} can never fit its window "
                f"{turn.window!r}{counted}",
                provider=self.provider,
                window=turn.window,
            )
        until = _EPOCH + timedelta(microseconds=now.at(turn.at_seconds).wall_ns // 1000)
        return QuotaExhaustedError(
            f"no call to {self.provider} fits its window {turn.window!r}{counted}"
            f" for another {seconds:.3g} seconds, until {until:%Y-%m-%dT%H:%M:%SZ}",
            provider=self.provider,
            window=turn.window,
            retry_after_seconds=seconds,
        )
