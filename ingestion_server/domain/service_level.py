"""Who is to blame for the end of a call: what a promise of success counts."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

_OK: Final = "OK"
_NO_FAULT_OF_OURS: Final = frozenset(
    {"INVALID_ARGUMENT", "NOT_FOUND", "CANCELLED", "UNIMPLEMENTED"}
)
"""Statuses with which callers are told that they asked for what cannot be had."""
_ASKED_FOR: Final = frozenset(
    {
        "CALLER_THROTTLED",
        "CAPABILITY_MISSING",
        "COST_LIMIT_EXCEEDED",
        "JOB_STATE_CONFLICT",
        "SUBSCRIBER_TOO_SLOW",
    }
)
"""Reasons that the caller can remove; another question would have been answered."""


class Fault(StrEnum):
    """Name who is to blame for the end of a call."""

    NOBODY = "nobody"
    """It was answered."""
    CALLER = "caller"
    """It is left out of what the server promises."""
    SERVER = "server"
    """It spends error budget, whether we or all of the vendors failed."""


def fault_of(code: str, reason: str) -> Fault:
    """Return who is to blame, from a gRPC status's name and an ErrorInfo reason."""
    if code == _OK:
        return Fault.NOBODY
    if code in _NO_FAULT_OF_OURS or reason in _ASKED_FOR:
        return Fault.CALLER
    return Fault.SERVER
