"""Where a stream goes on: a token that callers need not understand."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_LAYOUT: Final = struct.Struct(">BQQq")
_VERSION: Final = 1


class Token(NamedTuple):
    """Say what a subscriber has been told."""

    epoch: int
    """Which start of a server numbered it."""
    position: int
    """Everything up to here."""
    time_ns: int
    """When, by the server's clock."""


def written(token: Token) -> bytes:
    """Return a token as callers hold it."""
    return _LAYOUT.pack(_VERSION, *token)


def read(told: bytes) -> Token | None:
    """Return what a token says; None if it is none of ours."""
    if len(told) != _LAYOUT.size:
        return None
    version, *rest = _LAYOUT.unpack(told)
    return Token(*rest) if version == _VERSION else None
