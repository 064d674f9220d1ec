"""How a sandbox behaves: the few things a caller may choose."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

PLANS: Final = ("free", "75", "150", "300", "600", "1200")
"""Plans of Alpha Vantage: ``free``, or calls per rolling minute."""
_CHOSEN_WORDS: Final = "CALLSperSECONDSs such as 60per5s, both from 1 to 99999"
PLAN_WORDS: Final = f"one of {', '.join(PLANS)}, or {_CHOSEN_WORDS}"
"""What a plan may be, for whoever wrote another."""
FINNHUB_PLANS: Final = {"free": 60, "premium": 300}
"""Plans of Finnhub, and the calls a minute of each."""
LEAST_TRADES: Final = 0.01
MOST_TRADES: Final = 1000.0

_CHOSEN: Final = re.compile(r"([1-9][0-9]{0,4})per([1-9][0-9]{0,4})s")
"""Five digits bound what a meter remembers, and so do without further checks."""


def plan_window(plan: str) -> tuple[int, int] | None:
    """
    Return calls and seconds of a plan such as ``60per5s``.

    None = one of the vendor's own plans. What is no plan at all is a ``ValueError``.
    """
    return None if plan in PLANS else _chosen(plan, PLAN_WORDS)


def finnhub_window(plan: str) -> tuple[int, int]:
    """
    Return calls and seconds of a plan of Finnhub's, or of one such as ``60per5s``.

    What is no plan at all is a ``ValueError``.
    """
    if plan in FINNHUB_PLANS:
        return FINNHUB_PLANS[plan], 60
    return _chosen(plan, f"one of {', '.join(FINNHUB_PLANS)}, or {_CHOSEN_WORDS}")


def _chosen(plan: str, words: str) -> tuple[int, int]:
    if found := _CHOSEN.fullmatch(plan):
        return int(found[1]), int(found[2])
    raise ValueError(f"a plan must be {words}, not {plan!r}")


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
    finnhub_plan: str = "premium"
    """Plan of a Finnhub key whose ending names none; ``free`` has no candles."""
    iex_cloud_messages: int = 5_000_000
    """Messages a month of an IEX Cloud key; ``abc-500`` has 500."""
    trades_per_second: float = 2.0
    """How often each instrument trades on average, 0.01 to 1000."""
    finnhub_ping_seconds: float = 60.0
    """Silence of a Finnhub stream that ends with a ping as text."""

    def __post_init__(self) -> None:
        """Refuse what would make no sense later."""
        try:
            plan_window(self.alpha_vantage_plan)
        except ValueError as error:
            raise ValueError(f"alpha_vantage_plan: {error}") from None
        if self.alpha_vantage_label not in ("start", "end"):
            raise ValueError("alpha_vantage_label must be 'start' or 'end'")
        try:
            finnhub_window(self.finnhub_plan)
        except ValueError as error:
            raise ValueError(f"finnhub_plan: {error}") from None
        if self.iex_cloud_messages < 1:
            raise ValueError("iex_cloud_messages must be at least 1")
        if self.yahoo_per_second < 1:
            raise ValueError("yahoo_per_second must be at least 1")
        if not LEAST_TRADES <= self.trades_per_second <= MOST_TRADES:
            raise ValueError("trades_per_second must be from 0.01 to 1000")
        if not 0 < self.finnhub_ping_seconds < math.inf:
            raise ValueError("finnhub_ping_seconds must be above 0")
