"""What listeners are told; the rooms that tell import no telemetry."""

from __future__ import annotations

from typing import Protocol

import msgspec


class CallDetails(msgspec.Struct, frozen=True):
    """Tell how one call of a vendor ended."""

    provider: str
    feature: str
    """What was asked, for example ``TIME_SERIES_DAILY``; never a symbol."""
    seconds: float
    outcome: str
    """``ok``, or the ErrorInfo reason of the failure."""
    detail: str = ""


class OnCall(Protocol):
    """Listen to calls of vendors."""

    def __call__(self, details: CallDetails) -> None:
        """Hear of one call; must not fail and must not wait."""
        ...
