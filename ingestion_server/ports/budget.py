"""
What a vendor allows and what it charges, as data.

A budget is one plan tier of one vendor: several windows that one call uses at once,
the weight of each endpoint, and the price. Vendors declare theirs; settings may
replace any part of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec


class WindowKind(StrEnum):
    """Name how a window counts."""

    ROLLING = "rolling"
    """At most so many in every stretch of its length, wherever that begins."""
    FIXED = "fixed"
    """Begins anew with each minute, hour, day or month of its zone."""
    BUCKET = "bucket"
    """A token bucket: as many at once as it holds, refilled evenly."""


class Period(StrEnum):
    """Name the stretch after which a fixed window begins anew."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Scope(StrEnum):
    """Name whom the vendor meters."""

    KEY = "key"
    IP = "ip"
    ACCOUNT = "account"
    CONNECTION = "connection"


class Counts(StrEnum):
    """Name what a window counts."""

    CALLS = "calls"
    """Each call is one, whatever it asks for."""
    UNITS = "units"
    """Each call is as much as its endpoint weighs: credits, messages."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Allow so much per stretch of time."""

    name: str
    """For example ``minute`` or ``day``; unique within a budget."""
    limit: int
    kind: WindowKind = WindowKind.ROLLING
    seconds: float = 0.0
    """Length of a rolling window; of a bucket, the time to refill it wholly."""
    period: Period | None = None
    """Of a fixed window."""
    reset_zone: str = "UTC"
    """IANA zone in whose days and months a fixed window turns."""
    counts: Counts = Counts.CALLS
    scope: Scope = Scope.KEY
    margin_seconds: float | None = None
    """How much stricter than the vendor we are; None = what suits the kind."""
    limit_header: str = ""
    """Response header that tells the limit, in lower case; empty = none does."""
    remaining_header: str = ""
    """Response header that tells what is left; empty = none does."""
    reset_header: str = ""
    """Response header that tells, in epoch seconds or seconds from now, the reset."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Say what one plan of one vendor allows and costs."""

    windows: tuple[Window, ...] = ()
    weights: Mapping[str, int] = {}
    """
    Units of a call by what it asks for; 1 where nothing is said.

    ``chart:1d`` is looked up as it is, then as ``chart``, then as ``*``.
    """
    price_per_unit_usd: Decimal = Decimal(0)
    """Price of a unit beyond the allowance; 0 for flat plans."""
    allowance_units: int = 0
    """Units of a calendar month (UTC) that are paid for by the flat price."""
    monthly_price_usd: Decimal = Decimal(0)
    used_header: str = ""
    """Response header that tells how many units the call cost, in lower case."""
    published: bool = True
    """False where the vendor publishes no number and the windows are our caution."""
    configured: bool = False
    """Whether settings replaced the windows."""

    def weight(self, endpoint: str) -> int:
        """Return the units of one call of an endpoint."""
        for name in (endpoint, endpoint.partition(":")[0], "*"):
            if name in self.weights:
                return self.weights[name]
        return 1
