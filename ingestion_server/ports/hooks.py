"""What listeners are told; the rooms that tell import no telemetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

OK: Final = "ok"
"""The outcome of a call that succeeded."""
CANCELLED: Final = "CANCELLED"
"""The outcome of one whose caller gave up, or that another vendor outran."""


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


class OnLeaving(Protocol):
    """Listen to calls that leave for a vendor."""

    def __call__(self, provider: str, kind: str) -> Callable[[], None]:
        """
        Hear of one call; must not fail and must not wait.

        What it returns is called once when the call is over, however it ended.
        """
        ...
