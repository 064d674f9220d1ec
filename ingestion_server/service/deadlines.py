"""How long an answer may take."""

from __future__ import annotations

from typing import Final

from ingestion_server.service.admission import Context

_RESERVE_SECONDS: Final = 0.02
_RESERVE_SHARE: Final = 0.05


def seconds_to_answer(context: Context, default_seconds: float) -> float:
    """
    Return the time to answer in.

    A little less than the caller gave: at the deadline itself the caller gives up,
    and what we would have told is lost.
    """
    remaining = context.time_remaining()
    if remaining is None:
        return default_seconds
    return max(remaining - max(_RESERVE_SECONDS, remaining * _RESERVE_SHARE), 0.0)
