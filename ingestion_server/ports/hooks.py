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


class RpcDetails(msgspec.Struct, frozen=True):
    """Tell how one RPC of a caller failed, from its coming to its end."""

    rpc: str
    """The service without its package, and the method: ``IngestionService/Fetch``."""
    is_lasting: bool
    """Whether it lasts until its caller leaves: how long says nothing of us then."""
    seconds: float
    code: str
    """The name of the gRPC status, for example ``UNAVAILABLE``."""
    request_id: str
    trace_id: str = ""
    """32 hexadecimal digits: the caller's trace, or one of its own."""
    is_sampled: bool = False
    """Whether its trace is recorded, and so can be found by its id."""
    reason: str = ""
    """The ErrorInfo reason of the failure; empty if the caller left."""
    message: str = ""
    """What the caller was told of the failure."""


class OnRpc(Protocol):
    """Listen to RPCs of callers that are over; must not fail and must not wait."""

    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        """
        Hear of one that was answered: by far the most are, so they are told in short.

        Args:
            rpc: the service without its package, and the method.
            seconds: what it took; None = it lasts until its caller leaves.
            trace_id: of its trace; empty = it is not recorded.

        """
        ...

    def failed(self, details: RpcDetails) -> None:
        """Hear of one that was not, be it that its caller left."""
        ...


class OnCall(Protocol):
    """Listen to calls of vendors."""

    def __call__(self, details: CallDetails) -> None:
        """Hear of one call; must not fail and must not wait."""
        ...


class OnLag(Protocol):
    """Listen to how late live data are when they are published."""

    def __call__(self, provider: str, seconds: float) -> None:
        """Hear of some of one vendor's; must not fail and must not wait."""
        ...


class OnLeaving(Protocol):
    """Listen to calls that leave for a vendor."""

    def __call__(self, provider: str, kind: str) -> Callable[[], None]:
        """
        Hear of one call; must not fail and must not wait.

        What it returns is called once when the call is over, however it ended.
        """
        ...
