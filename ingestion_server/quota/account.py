"""The shell around the decisions: the callers of one vendor wait here, in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.budget import Budget, Scope
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Debit, Lane, Quota
from ingestion_server.quota import refusal, told
from ingestion_server.quota.admission import Outlook, Turn, admit, fits
from ingestion_server.quota.alarm import Alarm, Tell
from ingestion_server.quota.closure import Closure, Cooldown
from ingestion_server.quota.credence import Credence
from ingestion_server.quota.history import History
from ingestion_server.quota.instant import Instant, Timekeeper
from ingestion_server.quota.journal import Journal
from ingestion_server.quota.line import Line, Slot, counts_in
from ingestion_server.quota.meter import State
from ingestion_server.quota.rolling_meter import MARGIN_SECONDS
from ingestion_server.quota.scribe import Place, Scribe
from ingestion_server.quota.spend import SpendBook
from ingestion_server.quota.waiting import CONNECTIONS, Queue

OF_KEY: Final = frozenset({Scope.KEY, Scope.CONNECTION})
"""What another key does not use up."""


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
        on_tell: Callable[[Tell], None],
        cooldown: Cooldown = Cooldown(),  # noqa: B008 -- frozen
        most_under_way: int = sys.maxsize,
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
            on_tell: hears what an operator should know.
            cooldown: how long to leave the vendor alone if it does not say.
            most_under_way: how many calls may be under way at a time: those for
                which there are connections, since one that waits for a connection
                falls out of a short window before it has left.

        """
        self.provider = provider
        self.plan = plan
        self.budget = budget
        self.lines = lines
        self.spend = SpendBook(budget)
        self.history = History()
        self._clock = clock
        self._time = time
        self._scribe = Scribe(provider, journal)
        self._slots = {
            lane: [slot for line in lines for slot in counts_in(line, lane)]
            for lane in Lane
        }
        # What is charged for is money, however short the windows are.
        self._durable = any(line.durable for line in lines) or self.charges
        self._listens = told.listens(budget)
        # Windows that are our caution say nothing about what the vendor allows.
        self._judged = budget.published or budget.configured
        self._number = 0
        self._open: dict[int, Debit] = {}
        self._most_under_way = most_under_way
        self._changes = 0
        # Whom a refusal is about that names none of our windows.
        self._key_is_metered = any(line.window.scope is Scope.KEY for line in lines)
        # Windows of other plans, by whether they are the key's.
        self._parked: dict[bool, Sequence[State]] = {False: (), True: ()}
        self._credence = Credence(provider, lines)
        self.closure = Closure(cooldown)
        self._alarm = Alarm(provider, lines, on_tell)
        self._queue = Queue(
            self._slots,
            self.closure,
            provider=provider,
            clock=clock,
            time=time,
            is_free=lambda: len(self._open) < most_under_way,
            refuse=self._refusal,
        )

    @override
    async def reserve(
        self, endpoint: str, *, longest_wait_seconds: float, lane: Lane, times: int = 1
    ) -> Debit:
        """
        Wait for the turn of one call, and count it in all windows.

        It weighs so many times what its endpoint does.

        Raises:
            QuotaExhaustedError: At once, if the wait would be longer; or later, if
                the vendor is heard to refuse calls meanwhile, or if too many calls
                were under way all the time. It names the window, or "connections",
                and tells when the call would have its turn, or may be tried again.
            LedgerUnavailableError: The call could not be written down.

        """
        now = self._time.now()
        units = self.budget.weight(endpoint) * times
        if (
            len(self._open) < self._most_under_way
            and self._queue.lets_pass(lane)
            and not self.closure.holds(now)
            and fits(self._slots[lane], units, now)
        ):
            debit = self._debit(lane, units, now)
            self._queue.passed(lane, units, now)
            return debit
        self.relax(now)
        return await self._queue.wait(
            lane, units, now, longest_seconds=longest_wait_seconds, grant=self._debit
        )

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
            self._scribe.refund(debit.number, debit.units, now)
        self._queue.gone()

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
        self._queue.poke()
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
        closed = self.closure.holds(now)
        named = next((each for each in self.lines if each.window.name == window), None)
        # As we counted, before the vendor is believed.
        used = named.used(now) if named is not None else 0
        full_until = named.full_until(now) if named is not None else now.seconds
        of_key = self._key_is_metered if named is None else named.window.scope in OF_KEY
        if retry_after_seconds is not None and retry_after_seconds > 0:
            until = now.seconds + retry_after_seconds + MARGIN_SECONDS
        elif named is not None:
            until = full_until + MARGIN_SECONDS
        elif closed:
            return
        else:
            until = self.closure.cooldown_ends(now, of_key=of_key)
        if not closed and self._judged and self.lines:
            self._alarm.violated(self.plan, window, named, used)
        self._close(until, window, now, of_key=of_key)
        # A refusal is rare, and must not be forgotten.
        self.save(now)

    @override
    def note_success(self) -> None:
        """Hear that the vendor answered; an answer from before a refusal is none."""
        self.closure.forgive(self._clock.monotonic())

    @override
    def available_in(self) -> float:
        """Return how long a call that is asked for now would wait; 0 = not at all."""
        now = self._time.now()
        turn = self._queue.next_turn(Lane.INTERACTIVE, 1, now)
        return turn.at_seconds - now.seconds

    @override
    def headroom(self) -> float:
        """Return which share of its tightest long window is left, from 0 to 1."""
        if not self._judged:
            return 1.0
        now = self._time.now()
        left = (1 - x.used(now) / x.limit for x in self.lines if x.watched)
        return max(min(left, default=1.0), 0.0)

    @property
    @override
    def charges(self) -> bool:
        """Return whether calls may cost anything beyond a flat price."""
        return bool(self.budget.price_per_unit_usd)

    @override
    def units(self, *endpoints: str) -> int:
        """Return what one call of each of the endpoints weighs together."""
        return sum(self.budget.weight(endpoint) for endpoint in endpoints)

    @override
    def price_usd(self, *endpoints: str) -> Decimal:
        """Return what one more call of each of the endpoints would cost together."""
        return self.spend.price(self.units(*endpoints), self._time.now().wall_ns)

    def settle_at(self, place: Place) -> None:
        """Hear where in the journal this is written down."""
        self._scribe.place = place

    def park(self, states: Sequence[State], *, of_key: bool) -> None:
        """Hear what is known of windows that the budget does not have, to keep it."""
        self._parked[of_key] = states

    def relax(self, now: Instant) -> None:
        """Believe declared limits again where the vendor has stopped telling less."""
        if any([line.relax(now) for line in self.lines]):  # noqa: C419 - each must
            self._changes += 1
            self._queue.changed()

    @property
    def closed(self) -> Turn | None:
        """Return until when the vendor wants to be left alone, if it does."""
        return self.closure.turn if self.closure.holds(self._time.now()) else None

    @property
    def changes(self) -> int:
        """Return how often what must survive has changed."""
        return self._changes

    def waiting(self) -> dict[Lane, int]:
        """Return how many wait."""
        return self._queue.waiting()

    def under_way(self, slot: Slot) -> int:
        """Return how much of a window belongs to calls that are not answered."""
        return sum(debit.units if slot.by_units else 1 for debit in self._open.values())

    def outlook(self, now: Instant) -> Outlook:
        """Return what will be left when everyone who waits has had a turn."""
        return self._queue.ahead_of(Lane.BATCH, now)

    def dump(self) -> dict[str, object]:
        """Return what concerns the vendor, whatever the key."""
        return {
            "spend": self.spend.dump(),
            "history": self.history.dump(),
            **self._dumped(of_key=False),
        }

    def dump_of_key(self) -> dict[str, object]:
        """Return what concerns the key."""
        return self._dumped(of_key=True)

    def save(self, now: Instant) -> bool:
        """Sum up what was written down, and return whether that worked."""
        return self._scribe.save(self.dump(), self.dump_of_key(), now)

    def _dumped(self, *, of_key: bool) -> dict[str, object]:
        return {
            "closure": self.closure.dump(of_key=of_key),
            "lines": [
                line.dump()
                for line in self.lines
                if (line.window.scope in OF_KEY) is of_key
            ],
            "parked": self._parked[of_key],
        }

    def _debit(self, lane: Lane, units: int, now: Instant) -> Debit:
        # Nothing may be awaited between this and the caller's send.
        self._number = number = self._number + 1
        if self._durable:
            self._scribe.debit(number, lane, units, now)
        admit(self._slots[lane], number, units, now)
        self.history.add(1, units, now.seconds, now.wall_ns)
        debit = Debit(
            number=number,
            at_seconds=now.seconds,
            at_ns=now.wall_ns,
            units=units,
            lane=lane,
            cost_usd=self.spend.add(units, now.wall_ns),
        )
        self._open[number] = debit
        self._changes += 1
        self._alarm.watch(units)
        if self._scribe.full:
            self.save(now)
        return debit

    def _listen(
        self, debit: Debit, headers: Mapping[str, str], now: Instant
    ) -> Decimal:
        """Correct what is left, downwards only; return what the call cost more."""
        news, price = False, Decimal(0)
        cost = told.units(self.budget, headers)
        if cost is not None and cost > debit.units:
            extra = self._credence.units(cost - debit.units, now)
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
                news |= line.lower(reading.limit, now)
            if reading.remaining is not None:
                news |= self._fill(line, reading, debit, now)
        if news:
            self._alarm.watch(0)
            self._queue.delayed()
            self._queue.changed()
            self.save(now)
        return price

    def _fill(
        self, line: Line, reading: told.Reading, debit: Debit, now: Instant
    ) -> bool:
        """Count what others used of a window; return whether there is any."""
        assert reading.remaining is not None  # noqa: S101 - told by the caller
        if line.turned_since(debit.at_ns, now):
            # It may have been told of yesterday.
            return False
        used = line.limit - min(reading.remaining, line.limit)
        if used > line.used(now):
            # Others use this key too. Of ours, those under way may not be in it yet.
            line.fill(used + self.under_way(line.slots[0]), now)
            if not reading.remaining and reading.resets_in_seconds:
                until = now.seconds + reading.resets_in_seconds + MARGIN_SECONDS
                of_key = line.window.scope in OF_KEY
                self._close(until, line.window.name, now, of_key=of_key)
            return True
        return False

    def _close(
        self, until_seconds: float, window: str, now: Instant, *, of_key: bool
    ) -> None:
        """Let nothing leave until then."""
        if self.closure.extend(until_seconds, window, now, of_key=of_key):
            self._changes += 1
            self._queue.dismiss(now)
            self._queue.changed()

    def _refusal(self, turn: Turn, units: int, now: Instant) -> QuotaExhaustedError:
        if turn.window == CONNECTIONS:
            return refusal.by_connections(self.provider, len(self._open), turn, now)
        return refusal.by_window(self.provider, self.lines, turn, units, now)
