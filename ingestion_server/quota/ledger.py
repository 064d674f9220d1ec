"""All budgets together: opened, kept, looked at, and foreseen."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.ports import quota as port
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import (
    AccountUse,
    Alert,
    OnAlert,
    Origin,
    Planned,
    PlannedForecast,
    Turns,
    WindowForecast,
)
from ingestion_server.quota.account import Account
from ingestion_server.quota.alarm import Tell
from ingestion_server.quota.closure import Cooldown
from ingestion_server.quota.foresight import Foresight, Foretold
from ingestion_server.quota.instant import Instant, Timekeeper
from ingestion_server.quota.journal import (
    JournalError,
    NoJournal,
)
from ingestion_server.quota.journal_file import FILE_NAME
from ingestion_server.quota.line import Line
from ingestion_server.quota.meter import CALL_SECONDS
from ingestion_server.quota.recovery import recover
from ingestion_server.quota.report import account_use, in_order, window_forecast
from ingestion_server.quota.sqlite_journal import SqliteJournal

_ALERTS: Final = 100
_TICK_SECONDS: Final = 1.0
_SAVE_TICKS: Final = 15
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
    most_under_way: int = sys.maxsize
    """How many calls of one vendor may be under way at a time."""


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
            if self._file is not None:
                self._file.hurry()
        except BaseException:
            self.close()
            raise

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep the file in order until the block ends, and close it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                keepers = [
                    tasks.create_task(self._keep(), name="ledger"),
                    tasks.create_task(self._watch(), name="ledger file"),
                ]
                try:
                    yield
                finally:
                    for keeper in keepers:
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
            changes = account.changes
            try:
                if self._saved.get(name) != changes and account.save(now):
                    self._saved[name] = changes
            except Exception:
                # Each call is written down by itself, so a bug here costs no more.
                _logger.exception("%s: what was used cannot be summed up", name)

    @override
    def uses(self) -> Sequence[AccountUse]:
        """Return the state of each vendor's budget."""
        now = self._relaxed()
        return [account_use(account, now) for account in self.accounts.values()]

    @override
    def forecasts(self) -> Sequence[WindowForecast]:
        """Return when each window runs out."""
        now = self._relaxed()
        return [
            window_forecast(account, line, now)
            for account in self.accounts.values()
            for line in in_order(account)
        ]

    @override
    async def foresee(self, planned: Sequence[Planned]) -> Sequence[PlannedForecast]:
        """
        Return what becomes of planned calls.

        Raises:
            InvalidQueryError: A vendor is not known.

        """
        wrong = [
            self._unknown(f"planned[{index}].provider", each.provider)
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
                work = Foresight(each, account.budget, account.outlook(now), now)
                fits, last = await asyncio.to_thread(work.done)
                units = sum(
                    account.budget.weight(part.endpoint) * part.times * part.calls
                    for part in each.parts
                )
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
    def turns(self, provider: str) -> Turns:
        """
        Return the turns of calls that would come behind all that wait now.

        Raises:
            InvalidQueryError: The vendor is not known.

        """
        account = self.accounts.get(provider)
        if account is None:
            raise InvalidQueryError([self._unknown("provider", provider)])
        now = self._time.now()
        return Foretold(account.budget, account.outlook(now), now)

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

    def _unknown(self, field: str, provider: str) -> Violation:
        known = ", ".join(self.accounts)
        told = f"{provider[:40]!r} is not known; expected one of {known}"
        return Violation(field, told)

    def _account(self, setup: Setup, place: Place | None) -> Account:
        file = self._file if setup.kept else None

        def line_of(window: Window) -> Line:
            line = Line(
                window,
                interactive_share=self._terms.interactive_share,
                call_seconds=self._terms.call_seconds,
                heaviest=max(setup.budget.weights.values(), default=1),
            )
            if setup.budget.configured:
                line.origin = Origin.CONFIGURED
            return line

        account = Account(
            setup.provider,
            setup.plan,
            setup.budget,
            [line_of(window) for window in setup.budget.windows],
            clock=self._clock,
            time=self._time,
            journal=NoJournal() if file is None else file,
            on_tell=lambda tell: self._tell(setup.provider, tell),
            cooldown=self._terms.cooldown,
            most_under_way=self._terms.most_under_way,
        )
        if file is not None and place is not None:
            try:
                recover(
                    account,
                    file.vendor(setup.provider, place.realm, setup.identity),
                    setup.identity,
                    journal=file,
                    line_of=line_of,
                    now=self._time.now(),
                )
            except (LookupError, TypeError, ValueError, AttributeError) as error:
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

    def _relaxed(self) -> Instant:
        now = self._time.now()
        for account in self.accounts.values():
            account.relax(now)
        return now

    async def _watch(self) -> None:
        """Notice that the file is not the one in its place any more."""
        while self._file is not None:
            await self._clock.sleep(_TICK_SECONDS)
            await asyncio.to_thread(self._file.look)

    async def _keep(self) -> None:
        ticks = 0
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            ticks += 1
            self._relaxed()
            if ticks % _SAVE_TICKS == 0:
                self.save()
            if self._file is not None and self._file.long:
                await asyncio.to_thread(self._file.checkpoint)
