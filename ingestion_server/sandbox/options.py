"""How a sandbox behaves: the few things a caller may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PLANS: Final = ("free", "75", "150", "300", "600", "1200")
"""Plans of Alpha Vantage: ``free``, or calls per rolling minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Choose the market and the vendors' temper."""

    seed: int = 7
    """Another seed is another market."""
    alpha_vantage_plan: str = "1200"
    """Plan of a key whose ending names none; ``abc-free`` and ``abc-75`` do."""
    free_full: bool = True
    """Whether the free plan may ask ``outputsize=full``."""
    alpha_vantage_label: Literal["start", "end"] = "start"
    """Which end of an intraday bar its stamp names; the vendor used both."""
    yahoo_per_second: int = 5
    """Requests one client address may make in any second."""

    def __post_init__(self) -> None:
        """Refuse what would make no sense later."""
        if self.alpha_vantage_plan not in PLANS:
            raise ValueError(
                f"alpha_vantage_plan must be one of {', '.join(PLANS)}, "
                f"not {self.alpha_vantage_plan!r}"
            )
        if self.alpha_vantage_label not in ("start", "end"):
            raise ValueError("alpha_vantage_label must be 'start' or 'end'")
        if self.yahoo_per_second < 1:
            raise ValueError("yahoo_per_second must be at least 1")
