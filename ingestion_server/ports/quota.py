"""What vendors let us call: as those who call see it, and as those who look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from ingestion_server.ports.budget import Counts, Scope, WindowKind


class Lane(StrEnum):
    """Name how urgent a call is."""

    INTERACTIVE = "interactive"
    """Somebody waits for it: it passes batch calls."""
    BATCH = "batch"
    """It may wait, and never takes what is kept for interactive calls."""


class Debit(msgspec.Struct, frozen=True):
    """Prove that one call was reserved; give it back only if it never left."""

    number: int
    """Unlike that of every other call of this vendor since the start."""
    at_seconds: float
    """When, by the clock that never goes back."""
    at_ns: int
    """When, by the wall clock."""
    units: int = 1
    lane: Lane = Lane.INTERACTIVE
    cost_usd: Decimal = Decimal(0)


class Quota(Protocol):
    """Say when a vendor may be called, and hear what it says about it."""

    async def reserve(
        self, endpoint: str, *, longest_wait_seconds: float, lane: Lane, times: int = 1
    ) -> Debit:
        """
        Wait for the turn of one call, and count it in all windows.

        It weighs so many times what its endpoint does.

        Raises:
            QuotaExhaustedError: At once, if the wait would be longer; it says when
                the call would have its turn.
            LedgerUnavailableError: The call could not be written down.

        """
        ...

    def refund(self, debit: Debit) -> None:
        """Take back a call that never left."""
        ...

    def arrived(self, debit: Debit, headers: Mapping[str, str]) -> Decimal:
        """
        Hear that a call was answered, or given up: it has reached the vendor.

        The answer's headers, names in lower case, may tell that less is left than
        we think; never more. Return what the call cost more than was thought.
        """
        ...

    def penalise(self, *, retry_after_seconds: float | None, window: str) -> None:
        """Let nothing leave for a while, because the vendor said: not now."""
        ...

    def note_success(self) -> None:
        """Hear that the vendor answered."""
        ...

    def available_in(self) -> float:
        """Return how long a call that is asked for now would wait; 0 = not at all."""
        ...

    def headroom(self) -> float:
        """
        Return which share of its tightest window is left, from 0 to 1.

        Windows of a minute or less are meant to be full, and do not count; where the
        vendor publishes no number, all is left.
        """
        ...

    @property
    def charges(self) -> bool:
        """Return whether calls may cost anything beyond a flat price."""
        ...

    def units(self, *endpoints: str) -> int:
        """Return what one call of each of the endpoints weighs together."""
        ...

    def price_usd(self, *endpoints: str) -> Decimal:
        """Return what one more call of each of the endpoints would cost together."""
        ...


class Origin(StrEnum):
    """Name who said how large a window is."""

    DECLARED = "declared"
    """The vendor's pages, as the house knows them."""
    CONFIGURED = "configured"
    """The operator's settings."""
    HEADER = "header"
    """The vendor, in an answer."""


class WindowUse(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the state of one window."""

    provider: str
    plan: str
    scope: Scope
    window: str
    kind: WindowKind
    counts: Counts
    seconds: float
    """Its length; of a fixed window, the usual one."""
    reset_zone: str
    """Empty unless it is fixed."""
    limit: int
    """What the vendor allows; where nothing is published, what we allow ourselves."""
    tracked: bool
    """False where the vendor publishes no number."""
    origin: Origin
    used: int
    """Counted and answered."""
    reserved: int
    """Counted, and on their way."""
    kept: int
    """How much of the limit batch calls can never take."""
    resets_at_ns: int | None
    """When all of it is free again if nothing is added; None = it is free now."""
    free_at_ns: int | None
    """When one more call fits; None = now."""

    @property
    def remaining(self) -> int:
        """Return what is left."""
        return max(self.limit - self.used - self.reserved, 0)


class AccountUse(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the state of all windows of a vendor, who waits, and what it costs."""

    provider: str
    plan: str
    windows: Sequence[WindowUse]
    closed_until_ns: int | None
    """Until when the vendor wants to be left alone; None = it does not."""
    closed_reason: str
    waiting: Mapping[Lane, int]
    spend: Spend


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what a vendor costs in one calendar month (UTC)."""

    month: str
    """For example ``2026-11``."""
    units: int
    allowance_units: int
    price_per_unit_usd: Decimal
    flat_usd: Decimal
    metered_usd: Decimal
    """What the units beyond the allowance cost so far."""
    projected_metered_usd: Decimal
    """The same at the end of the month, if it goes on like this."""

    @property
    def total_usd(self) -> Decimal:
        """Return the cost so far."""
        return self.flat_usd + self.metered_usd

    @property
    def projected_usd(self) -> Decimal:
        """Return the cost at the end of the month, if it goes on like this."""
        return self.flat_usd + self.projected_metered_usd


class AlertKind(StrEnum):
    """Name what an operator should know."""

    USED_80_PERCENT = "used_80_percent"
    USED_95_PERCENT = "used_95_percent"
    VIOLATION = "violation"
    """The vendor refused a call that fitted all windows we know."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Tell an operator about one window."""

    number: int
    """Ascending, without holes."""
    kind: AlertKind
    provider: str
    window: str
    """Empty if the vendor did not name one."""
    used: int
    limit: int
    at_ns: int
    detail: str


class OnAlert(Protocol):
    """Listen to alerts."""

    def __call__(self, alert: Alert) -> None:
        """Hear of one alert; must not fail and must not wait."""
        ...


class WindowForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Tell when a window runs out if it goes on like this."""

    use: WindowUse
    rate_per_second: float
    """Of late, smoothed."""
    by_time_of_day: bool
    """Whether history was long enough to expect each hour's usual traffic."""
    expected_until_reset: int
    """What will be asked for until the window resets."""
    exhausts_at_ns: int | None
    """None if it resets before."""


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """Be a number of calls of one kind."""

    endpoint: str
    calls: int
    times: int = 1
    """How often the weight of its endpoint each of them weighs."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """Be a number of calls that somebody wants to make."""

    provider: str
    endpoint: str = ""
    calls: int
    lane: Lane = Lane.BATCH
    finish_by_ns: int | None = None
    times: int = 1
    """How often the weight of its endpoint each of them weighs."""
    then: Sequence[Calls] = ()
    """What is wanted of the same vendor behind those."""

    @property
    def parts(self) -> Sequence[Calls]:
        """Return all of them, in their order."""
        first = Calls(endpoint=self.endpoint, calls=self.calls, times=self.times)
        return (first, *self.then)


class PlannedForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what becomes of planned calls, behind those that wait already."""

    planned: Planned
    fits: int
    """Calls that are done in time."""
    finishes_at_ns: int | None
    """When the last of them all would have its turn; None = farther than foreseen."""
    held_by: str
    """The window that the last of them waits for; empty if none does."""
    cost_usd: Decimal

    @property
    def unfinished(self) -> int:
        """Return how many are not done in time."""
        return sum(part.calls for part in self.planned.parts) - self.fits


class Turns(Protocol):
    """
    Foretell when batch calls of one vendor would have their turns; nothing is used.

    Each is asked for no earlier than the one before, and queues behind those that were
    counted. All seconds are from when the turns were taken.
    """

    def turn(
        self,
        endpoint: str,
        *,
        times: int = 1,
        asked_seconds: float,
        latest_seconds: float,
    ) -> float:
        """
        Return the turn of one more call, and count it unless that is too late.

        Infinity = it never has one.
        """
        ...


class Ledger(Protocol):
    """Let people look at all budgets."""

    def uses(self) -> Sequence[AccountUse]:
        """Return the state of each vendor's budget."""
        ...

    def forecasts(self) -> Sequence[WindowForecast]:
        """Return when each window runs out."""
        ...

    async def foresee(self, planned: Sequence[Planned]) -> Sequence[PlannedForecast]:
        """
        Return what becomes of planned calls.

        Raises:
            InvalidQueryError: A vendor is not known.

        """
        ...

    def turns(self, provider: str) -> Turns:
        """
        Return the turns of calls that would come behind all that wait now.

        Raises:
            InvalidQueryError: The vendor is not known.

        """
        ...

    def alerts(self, after: int) -> Sequence[Alert]:
        """Return the latest alerts with higher numbers, oldest first."""
        ...

    async def changed(self, after_alert: int, *, within_seconds: float) -> None:
        """Wait until there is a newer alert, but not longer."""
        ...
