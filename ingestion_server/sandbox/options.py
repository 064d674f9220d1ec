"""How a sandbox behaves: the few things a caller may choose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

PLANS: Final = ("free", "75", "150", "300", "600", "1200")
"""Plans of Alpha Vantage: ``free``, or calls per rolling minute."""
PLAN_WORDS: Final = (
    f"one of {', '.join(PLANS)}, or CALLSperSECONDSs such as 60per5s, "
    "both from 1 to 99999"
)
"""What a plan may be, for whoever wrote another."""

_CHOSEN: Final = re.compile(r"([1-9][0-9]{0,4})per([1-9][0-9]{0,4})s")
"""Five digits bound what a meter remembers, and so do without further checks."""


def plan_window(plan: str) -> tuple[int, int] | None:
    """
    Return calls and seconds of a plan such as ``60per5s``.

    None = one of the vendor's own plans. What is no plan at all is a ``ValueError``.
    """
    if plan in PLANS:
        return None
    if found := _CHOSEN.fullmatch(plan):
        return int(found[1]), int(found[2])
    raise ValueError(f"a plan must be {PLAN_WORDS}, not {plan!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Choose the market and the vendors' temper."""

    seed: int = 7
    """Another seed is another market."""
    alpha_vantage_plan: str = "1200"
    """
    Plan of a key whose ending names none; ``abc-free`` and ``abc-75`` do.

    ``60per5s`` is one of our own, for tests: 60 calls in any five seconds.
    """
    free_full: bool = True
    """Whether the free plan may ask ``outputsize=full``."""
    alpha_vantage_label: Literal["start", "end"] = "start"
    """Which end of an intraday bar its stamp names; the vendor used both."""
    yahoo_per_second: int = 5
    """Requests one client address may make in any second."""

    def __post_init__(self) -> None:
        """Refuse what would make no sense later."""
        try:
            plan_window(self.alpha_vantage_plan)
        except ValueError as error:
            raise ValueError(f"alpha_vantage_plan: {error}") from None
        if self.alpha_vantage_label not in ("start", "end"):
            raise ValueError("alpha_vantage_label must be 'start' or 'end'")
        if self.yahoo_per_second < 1:
            raise ValueError("yahoo_per_second must be at least 1")
