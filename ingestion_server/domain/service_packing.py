"""Counts as bytes, for whoever keeps them."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from ingestion_server.domain.service_counts import HOUR_MINUTES, Counts, Facts

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Facts)
# Names that are no text end in UnicodeDecodeError.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)
_BITS_OF_AN_HOUR: Final = 1 << HOUR_MINUTES


def packed(facts: Facts) -> bytes:
    """Return facts as bytes."""
    return _ENCODER.encode(facts)


def unpacked(data: bytes) -> Facts | None:
    """Return facts of bytes; None if they are damaged, or of another version."""
    try:
        facts = _DECODER.decode(data)
    except _UNREADABLE:
        return None
    return facts if _is_possible(facts) else None


def _is_possible(facts: Facts) -> bool:
    counts = (*facts.rpcs.values(), *facts.providers.values())
    return 0 <= facts.bad_minutes < _BITS_OF_AN_HOUR and all(map(_can_be, counts))


def _can_be(counts: Counts) -> bool:
    numbers = (
        counts.answered,
        counts.caller_faults,
        *counts.failures.values(),
        *counts.places.values(),
    )
    return (
        min(numbers) >= 0
        and 0 <= counts.bad_minutes < _BITS_OF_AN_HOUR
        and 0 <= counts.longest_seconds < math.inf
    )
