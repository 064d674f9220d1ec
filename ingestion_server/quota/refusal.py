"""Why a call is not let out, in words and with the time it would have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from ingestion_server.domain.durations import in_words
from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.quota.admission import Turn
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Line

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def by_connections(
    provider: str, under_way: int, turn: Turn, now: Instant
) -> QuotaExhaustedError:
    """Say that as many calls are under way as there are connections."""
    seconds = turn.at_seconds - now.seconds
    return QuotaExhaustedError(
        f"no connection to {provider} came free in time: "
        f"{under_way} calls are under way, the most at a time; try "
        f"again in {in_words(seconds)}",
        provider=provider,
        window=turn.window,
        retry_after_seconds=seconds,
    )


def by_window(
    provider: str, lines: Sequence[Line], turn: Turn, units: int, now: Instant
) -> QuotaExhaustedError:
    """Say that a call does not fit a window before its turn, if it ever does."""
    seconds = turn.at_seconds - now.seconds
    line = next((each for each in lines if each.window.name == turn.window), None)
    # A window that only the vendor knows is none of ours: nothing is counted.
    counted = (
        f" ({line.used(now)} of {line.limit} {line.window.counts} used)"
        if line is not None
        else ""
    )
    if math.isinf(seconds):
        return QuotaExhaustedError(
            f"a call of {units} units to {provider} can never fit its window "
            f"{turn.window!r}{counted}",
            provider=provider,
            window=turn.window,
        )
    until = _EPOCH + timedelta(microseconds=now.at(turn.at_seconds).wall_ns // 1000)
    return QuotaExhaustedError(
        f"no call to {provider} fits its window {turn.window!r}{counted}"
        f" for another {in_words(seconds)}, until {until:%Y-%m-%dT%H:%M:%SZ}",
        provider=provider,
        window=turn.window,
        retry_after_seconds=seconds,
    )
