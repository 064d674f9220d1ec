"""What listeners are told; the rooms that tell import no telemetry."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

OK: Final = "ok"
"""The outcome of a call that succeeded."""


class CallDetails(msgspec.Struct, frozen=True):
    """Tell how one call of a vendor ended."""

    provider: str
    feature: str
    """What was asked, for example ``TIME_SERIES_DAILY``; never a symbol."""
    seconds: float
    outcome: str
    """``ok``, or the ErrorInfo reason of the failure."""
    detail: str = ""
    kind: str = ""
    """Kind of data and of instrument, for example ``bars:equity``."""
    vendor_failed: bool = False
    """Whether it is a sign that the vendor is broken: it failed or was silent."""


class OnCall(Protocol):
    """Listen to calls of vendors."""

    def __call__(self, details: CallDetails) -> None:
        """Hear of one call; must not fail and must not wait."""
        ...
