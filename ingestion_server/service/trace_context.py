"""The caller's trace, as the W3C's headers tell it."""

from __future__ import annotations

import re
from typing import Final

from ingestion_server.ports.tracing import Origin

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_LONGEST_STATE: Final = 512
"""What the W3C wants to be passed on at least; a longer one is left out."""
_PARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})"
    r"-([0-9a-f]{2})(-.*)?"
)
_MEMBER: Final = (
    r"(?:[a-z][a-z0-9_*/-]{0,255}"
    r"|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_STATE: Final = re.compile(rf"{_MEMBER}(?:[ \t]*,[ \t]*{_MEMBER}){{0,31}}")
_RECORDED: Final = 1


def caller_of(parent: str, state: str = "") -> Origin | None:
    """
    Return the span that a call is a part of; None if the header says nothing valid.

    Versions to come may say more at its end. A state that is not valid is left out.
    """
    found = _PARENT.fullmatch(parent)
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Origin(
        found[2],
        found[3],
        bool(int(found[4], 16) & _RECORDED),
        state if len(state) <= _LONGEST_STATE and _STATE.fullmatch(state) else "",
    )
