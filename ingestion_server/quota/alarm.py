"""What an operator should know about the windows of a vendor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec

from ingestion_server.ports.budget import Counts
from ingestion_server.ports.quota import AlertKind
from ingestion_server.quota.line import Line

_ROOM_PERCENT: Final = 70
_LEVELS: Final = (
    (95, AlertKind.USED_95_PERCENT),
    (80, AlertKind.USED_80_PERCENT),
)


class Tell(msgspec.Struct, frozen=True):
    """Be what an account tells its ledger about one window."""

    kind: AlertKind
    window: str
    used: int
    limit: int
    detail: str


@final
class Alarm:
    """Tell when a window fills, once until there is room again."""

    def __init__(
        self, provider: str, lines: Sequence[Line], on_tell: Callable[[Tell], None]
    ) -> None:
        self._provider = provider
        self._watched = [line for line in lines if line.watched]
        self._on_tell = on_tell

    def watch(self, units: int) -> None:
        """Look at the windows, after a call of so many units was counted."""
        for line in self._watched:
            used, limit = line.load(), line.limit
            amount = units if line.window.counts is Counts.UNITS else min(units, 1)
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
                            f"{line.window.name!r} of {self._provider} are used",
                        )
                    )
                    break

    def violated(self, plan: str, window: str, named: Line | None, used: int) -> None:
        """Tell that a call was refused that fitted; ``used`` is as we had counted."""
        self._on_tell(
            Tell(
                AlertKind.VIOLATION,
                window,
                used,
                named.limit if named is not None else 0,
                f"{self._provider} refused a call that fitted all its windows: perhaps "
                f"another program uses the same key, or the plan is not {plan!r}",
            )
        )
