"""Where a stream goes on: a token that callers need not understand."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_LAYOUT: Final = struct.Struct(">BQQq")
_VERSION: Final = 1
_HISTORY_DUE: Final = 2
"""The same, of a stream that had not told all history."""


class Token(NamedTuple):
    """Say what a subscriber has been told."""

    epoch: int
    """Which start of a server numbered it."""
    position: int
    """Everything up to here."""
    time_ns: int
    """When, by the server's clock."""
    history_due: bool = False
    """Whether bars were left out, since history had to be told first."""


def written(token: Token) -> bytes:
    """Return a token as callers hold it."""
    version = _HISTORY_DUE if token.history_due else _VERSION
    return _LAYOUT.pack(version, token.epoch, token.position, token.time_ns)


def read(told: bytes) -> Token | None:
    """Return what a token says; None if it is none of ours."""
    if len(told) != _LAYOUT.size:
        return None
    version, epoch, position, time_ns = _LAYOUT.unpack(told)
    if version not in {_VERSION, _HISTORY_DUE}:
        return None
    return Token(epoch, position, time_ns, history_due=version == _HISTORY_DUE)
