"""All budgets together: opened, kept, looked at, and foreseen."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, final
from zoneinfo import ZoneInfo

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports import quota as port
from ingestion_server.ports.budget import Budget, Counts, Period, WindowKind
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import (
    AccountUse,
    Alert,
    OnAlert,
    Origin,
    Planned,
    PlannedForecast,
    Spend,
    WindowForecast,
    WindowUse,
)
from ingestion_server.quota import forecast
from ingestion_server.quota.account import OF_KEY, Account, Cooldown, Tell
from ingestion_server.quota.admission import Outlook, Turn
from ingestion_server.quota.fixed_meter import stretch
from ingestion_server.quota.instant import Instant, Timekeeper
from ingestion_server.quota.journal import (
    FILE_NAME,
    JournalError,
    NoJournal,
    SqliteJournal,
)
from ingestion_server.quota.line import Line
from ingestion_server.quota.meter import CALL_SECONDS
from ingestion_server.quota.recovery import recover

_ALERTS: Final = 100
_TICK_SECONDS: Final = 1.0
_SAVE_TICKS: Final = 15
_PROFILED_SECONDS: Final = 3600.0
"""A shorter window does not care what time of day it is."""
_FARTHEST_SECONDS: Final = 400 * 86_400.0

_logger: Final = logging.getLogger(__name__)


class Setup(msgspec.Struct, frozen=True):
    """Say how one vendor is metered."""

    provider: str
    plan: str
    budget: Budget
    identity: str = ""
    """Tells keys apart; need not tell the key."""
    kept: bool = True
    """Whether it is written down; not for vendors that end with the process."""


class Terms(msgspec.Struct, frozen=True):
    """Say what holds for all vendors."""

    interactive_share: float = 0.1
    """Of each window, what batch calls can never take."""
    call_seconds: float = CALL_SECONDS
    """How long a call may be under way."""
    cooldown: Cooldown = Cooldown()


class Place(msgspec.Struct, frozen=True):
    """Say where the ledger is kept."""

    folder: Path
    realm: str = ""
    """Apart from others, such as a simulator's address; empty = the world."""
    boot: str = ""
    """Which start of the machine this is; empty = nobody knows."""


@final
class Ledger(port.Ledger):
    """Hold the accounts of all vendors, and tell what they say."""

    def __init__(
        self,
        setups: Sequence[Setup],
        *,
        clock: Clock,
        terms: Terms = Terms(),  # noqa: B008 -- frozen
        place: Place | None = None,
        listeners: Sequence[OnAlert] = (),
    ) -> None:
        """
        Open the file, and know what is in it; that may block for a moment.

        Args:
            setups: the vendors, in the order in which they are asked.
            clock: tells the time.
            terms: what holds for all of them.
            place: where the ledger is kept; None = nowhere.
            listeners: hear of alerts.

        Raises:
            JournalError: The file cannot be used.

        """
        self._clock = clock
        self._terms = terms
        self._listeners = tuple(listeners)
        self._alerts: deque[Alert] = deque(maxlen=_ALERTS)
        self._alerted = asyncio.Event()
        self._file: SqliteJournal | None = None
        self._saved: dict[str, int] = {}
        self._foreseeing = asyncio.Lock()
        time = Timekeeper(clock)
        kept = any(setup.kept for setup in setups)
        if place is not None and kept:
            self._file = SqliteJournal.open(
                place.folder, boot=place.boot, anchor_ns=time.anchor_ns
            )
            time = Timekeeper(clock, anchor_ns=self._file.anchor_ns)
        self._time = time
        try:
            self.accounts = {
                setup.provider: self._account(setup, place) for setup in setups
            }
        except BaseException:
            self.close()
            raise

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep the file in order until the block ends, and close it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(self._keep(), name="ledger")
                try:
                    yield
                finally:
                    keeper.cancel()
        finally:
            self.save()
            if self._file is not None:
                await asyncio.to_thread(self._file.checkpoint)
            self.close()

    def close(self) -> None:
        """Close the file as it is: what was written down is there."""
        if self._file is not None:
            self._file.close()

    def save(self) -> None:
        """Sum up what has changed since the last time."""
        now = self._time.now()
        for name, account in self.accounts.items():
            if self._saved.get(name) != account.changes:
                account.save(now)
                self._saved[name] = account.changes

    @override
    def uses(self) -> Sequence[AccountUse]:
        """Return the state of each vendor's budget."""
        now = self._time.now()
        return [self._use(account, now) for account in self.accounts.values()]

    @override
    def forecasts(self) -> Sequence[WindowForecast]:
        """Return when each window runs out."""
        now = self._time.now()
        return [
            _forecast(account, line, _window_use(account, line, now), now)
            for account in self.accounts.values()
            for line in _in_order(account)
        ]

    @override
    async def foresee(self, planned: Sequence[Planned]) -> Sequence[PlannedForecast]:
        """
        Return what becomes of planned calls.

        Raises:
            InvalidQueryError: A vendor is not known.

        """
        wrong = [
            Violation(
                f"planned[{index}].provider",
                f"{each.provider[:40]!r} is not known; expected one of "
                f"{', '.join(self.accounts)}",
            )
            for index, each in enumerate(planned)
            if each.provider not in self.accounts
        ]
        if wrong:
            raise InvalidQueryError(wrong)
        found = []
        # One at a time, since each may take a processor for half a second.
        async with self._foreseeing:
            for each in planned:
                now = self._time.now()
                account = self.accounts[each.provider]
                work = _Foresight(each, account.budget, account.outlook(now), now)
                fits, last = await asyncio.to_thread(work.done)
                units = account.budget.weight(each.endpoint) * each.calls
                found.append(
                    PlannedForecast(
                        planned=each,
                        fits=fits,
                        finishes_at_ns=(
                            None
                            if math.isinf(last.at_seconds)
                            else now.at(last.at_seconds).wall_ns
                        ),
                        held_by=last.window,
                        cost_usd=account.spend.price(units, now.wall_ns),
                    )
                )
        return found

    @override
    def alerts(self, after: int) -> Sequence[Alert]:
        """Return the latest alerts with higher numbers, oldest first."""
        return [alert for alert in self._alerts if alert.number > after]

    @override
    async def changed(self, after_alert: int, *, within_seconds: float) -> None:
        """Wait until there is a newer alert, but not longer."""
        if self.alerts(after_alert):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._alerted.wait()

    def _account(self, setup: Setup, place: Place | None) -> Account:
        file = self._file if setup.kept else None

        def lines(*, every: bool) -> list[Line]:
            made = [
                Line(
                    window,
                    interactive_share=self._terms.interactive_share,
                    call_seconds=self._terms.call_seconds,
                )
                for window in setup.budget.windows
                if every or window.scope in OF_KEY
            ]
            for line in made:
                if setup.budget.configured:
                    line.origin = Origin.CONFIGURED
            return made

        account = Account(
            setup.provider,
            setup.plan,
            setup.budget,
            lines(every=True),
            clock=self._clock,
            time=self._time,
            journal=NoJournal() if file is None else file,
            on_tell=lambda tell: self._tell(setup.provider, tell),
            cooldown=self._terms.cooldown,
        )
        if file is not None and place is not None:
            try:
                recover(
                    account,
                    file.vendor(setup.provider, place.realm, setup.identity),
                    setup.identity,
                    journal=file,
                    lines_of_key=lambda: lines(every=False),
                    now=self._time.now(),
                )
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise JournalError(
                    f"what {place.folder / FILE_NAME} tells of {setup.provider} makes "
                    f"no sense ({type(error).__name__}: {error}); restore it from a "
                    "backup, or move it away once the vendors' windows have turned"
                ) from error
        return account

    def _tell(self, provider: str, tell: Tell) -> None:
        last = self._alerts[-1].number if self._alerts else 0
        alert = Alert(
            number=last + 1,
            kind=tell.kind,
            provider=provider,
            window=tell.window,
            used=tell.used,
            limit=tell.limit,
            at_ns=self._time.now().wall_ns,
            detail=tell.detail,
        )
        self._alerts.append(alert)
        self._alerted.set()
        self._alerted = asyncio.Event()
        for listener in self._listeners:
            try:
                listener(alert)
            except Exception:
                # A listener's bug must not cost anybody an answer.
                _logger.exception("a listener to alerts failed: %r", listener)

    async def _keep(self) -> None:
        ticks = 0
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            ticks += 1
            if ticks % _SAVE_TICKS == 0:
                self.save()
            if self._file is not None and self._file.long:
                await asyncio.to_thread(self._file.checkpoint)

    def _use(self, account: Account, now: Instant) -> AccountUse:
        closed = account.closed
        return AccountUse(
            provider=account.provider,
            plan=account.plan,
            windows=[_window_use(account, line, now) for line in _in_order(account)],
            closed_until_ns=(
                None if closed is None else now.at(closed.at_seconds).wall_ns
            ),
            closed_reason=(
                ""
                if closed is None
                else f"the vendor refused a call (window {closed.window!r})"
            ),
            waiting=account.waiting(),
            spend=_spend(account, now),
        )


class _Foresight(msgspec.Struct):
    """Be the work of foreseeing planned calls, which may run in a thread."""

    planned: Planned
    budget: Budget
    outlook: Outlook
    now: Instant

    def done(self) -> tuple[int, Turn]:
        """Return how many are done in time, and the turn of the last."""
        planned, now = self.planned, self.now
        units = self.budget.weight(planned.endpoint)
        finish_by = math.inf
        if planned.finish_by_ns is not None:
            finish_by = now.seconds + (planned.finish_by_ns - now.wall_ns) / SECOND_NS
        farthest = now.seconds + _FARTHEST_SECONDS
        fits, last = 0, Turn(now.seconds, "")
        left = planned.calls
        while left:
            turn = self.outlook.book(planned.lane, units, now)
            if turn.at_seconds > farthest:
                return fits, Turn(math.inf, turn.window)
            together = 1 + self.outlook.book_more(
                planned.lane, units, left - 1, now.at(turn.at_seconds)
            )
            if turn.at_seconds <= finish_by:
                fits += together
            left -= together
            last = turn
        return fits, last


def _in_order(account: Account) -> list[Line]:
    return sorted(account.lines, key=lambda line: line.seconds)


def _window_use(account: Account, line: Line, now: Instant) -> WindowUse:
    used = line.used(now)
    reserved = min(account.under_way(line.slots[0]), used)
    window = line.window
    return WindowUse(
        provider=account.provider,
        plan=account.plan,
        scope=window.scope,
        window=window.name,
        kind=window.kind,
        counts=window.counts,
        seconds=line.seconds,
        reset_zone=window.reset_zone if window.kind is WindowKind.FIXED else "",
        limit=line.limit,
        tracked=account.budget.published or account.budget.configured,
        origin=line.origin,
        used=used - reserved,
        reserved=reserved,
        kept=line.kept,
        resets_at_ns=line.clear_at_ns(now),
        free_at_ns=line.free_at_ns(now),
    )


def _forecast(
    account: Account, line: Line, use: WindowUse, now: Instant
) -> WindowForecast:
    counts = line.window.counts
    rate = account.history.rate(
        counts, forecast.half_life_seconds(line.seconds), now.seconds
    )
    profile = (
        account.history.profile(counts, now.wall_ns)
        if line.seconds >= _PROFILED_SECONDS
        else None
    )
    until_ns = line.turns_at_ns(now)
    expected = forecast.expected(profile, rate, now.wall_ns, until_ns)
    exhausts_ns = forecast.exhausts_at_ns(
        use.remaining, profile, rate, now.wall_ns, until_ns
    )
    if line.window.kind is not WindowKind.FIXED and expected <= use.limit:
        # What is used now comes free again as fast as more is used.
        exhausts_ns = None if use.remaining else exhausts_ns
    return WindowForecast(
        use=use,
        rate_per_second=rate,
        by_time_of_day=profile is not None,
        expected_until_reset=math.ceil(expected),
        exhausts_at_ns=exhausts_ns,
    )


def _spend(account: Account, now: Instant) -> Spend:
    rate = account.history.rate(Counts.UNITS, 3600.0, now.seconds)
    profile = account.history.profile(Counts.UNITS, now.wall_ns)
    more = forecast.expected(profile, rate, now.wall_ns, _month_end_ns(now.wall_ns))
    return account.spend.spend(now.wall_ns, math.ceil(more))


def _month_end_ns(wall_ns: int) -> int:
    return stretch(Period.MONTH, ZoneInfo("UTC"), wall_ns).end_ns
