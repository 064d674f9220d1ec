"""What a vendor costs: units per calendar month, and their price; told the time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, final

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.budget import Budget
from ingestion_server.ports.quota import Spend

KEPT_MONTHS: Final = 13
"""The present one, and a year to compare it with."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FREE: Final = Decimal(0)


@final
class SpendBook:
    """
    Count the units of one vendor per calendar month (UTC), and price them.

    Only units are kept: what they cost follows from the budget, so a price that the
    settings correct holds for what was counted before as well.

    A wall clock that is set back counts in the month it shows. One that ran ahead and
    is set right again leaves a month to come behind, but costs no more than the oldest
    one kept: what is dropped is never chosen by its age alone.
    """

    def __init__(self, budget: Budget) -> None:
        """Start with nothing counted."""
        self._budget = budget
        self._allowance_units = budget.allowance_units
        self._price_usd = budget.price_per_unit_usd
        self._is_flat = not budget.price_per_unit_usd
        # Names of months sort as their months do.
        self._units: dict[str, int] = {}
        # Naming a month costs more than the rest of a call, so it is done once each.
        self._month = _month_at(0)

    def price(self, units: int, wall_ns: int) -> Decimal:
        """Return what so many more units would cost now."""
        # Most plans are flat, and each call asks.
        if self._is_flat:
            return _FREE
        return self._cost_usd(units, self._units_of_month(wall_ns))

    def add(self, units: int, wall_ns: int) -> Decimal:
        """Count units, and return what they cost."""
        counted = self._units_of_month(wall_ns)
        month = self._month.name
        self._units[month] = counted + units
        if len(self._units) > KEPT_MONTHS:
            self._forget_before(month)
        return _FREE if self._is_flat else self._cost_usd(units, counted)

    def take_back(self, units: int, wall_ns: int) -> None:
        """
        Forget units that were counted then; nothing if their month is not kept.

        If a call from within the allowance is taken back, a later one moves into it.
        So the month's cost may fall by another amount than that call's.
        """
        counted = self._units_of_month(wall_ns)
        if counted:
            self._units[self._month.name] = max(counted - units, 0)

    def spend(self, wall_ns: int, projected_units: int) -> Spend:
        """
        Return what a month costs, now and if so many more units come until its end.

        It is the month of ``wall_ns``, which may be a former one.
        """
        units = self._units_of_month(wall_ns)
        return Spend(
            month=self._month.name,
            units=units,
            allowance_units=self._allowance_units,
            price_per_unit_usd=self._price_usd,
            flat_usd=self._budget.monthly_price_usd,
            metered_usd=self._metered_usd(units),
            projected_metered_usd=self._metered_usd(units + projected_units),
        )

    def dump(self) -> list[tuple[str, int]]:
        """Return the units of each month, oldest first."""
        return sorted(self._units.items())

    def restore(self, data: Iterable[tuple[str, int]]) -> None:
        """Begin anew with what was dumped."""
        self._units = dict(sorted(data)[-KEPT_MONTHS:])

    def _units_of_month(self, wall_ns: int) -> int:
        month = self._month
        if not month.starts_ns <= wall_ns < month.ends_ns:
            month = self._month = _month_at(wall_ns)
        return self._units.get(month.name, 0)

    def _forget_before(self, month: str) -> None:
        """Drop the oldest month, unless the clock was set back to it or before."""
        oldest = min(self._units)
        if oldest < month:
            del self._units[oldest]

    def _cost_usd(self, units: int, counted: int) -> Decimal:
        beyond = counted + units - self._allowance_units
        if beyond <= 0:
            return _FREE
        return self._price_usd * min(beyond, units)

    def _metered_usd(self, units: int) -> Decimal:
        return self._price_usd * max(units - self._allowance_units, 0)


class _Month(NamedTuple):
    name: str
    starts_ns: int
    ends_ns: int


def _month_at(wall_ns: int) -> _Month:
    moment = _EPOCH + timedelta(seconds=wall_ns // SECOND_NS)
    starts = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    # 31 days after its first day, the next month has begun but is not over.
    ends = (starts + timedelta(days=31)).replace(day=1)
    return _Month(f"{starts:%Y-%m}", _ns(starts), _ns(ends))


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1) * SECOND_NS
