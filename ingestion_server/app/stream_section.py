"""What can be set of live data: the limits of ``ingest.live``, one setting each."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ingestion_server.app.sections import Lasting, Section
from ingestion_server.app.words import Count, Seconds, Unset


class StreamSettings(Section):
    """Stream live data."""

    sorting_seconds: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.005
    """How long ticks are held back so that those of several messages are sorted."""
    queue_items: Count = 4096
    """How many items a subscriber may leave unread until it has fallen behind."""
    replay_items: Count = 100_000
    """How many of the latest items are kept for those who resume; 100 bytes each."""
    most_symbols: Count = 10_000
    """How many symbols may be subscribed at once, all subscribers together."""
    linger_seconds: Lasting = 5.0
    """How long a symbol stays subscribed after its last subscriber left."""
    failover_seconds: Seconds = 3.0
    """How long a connection may be away until the next vendor takes over."""
    return_seconds: Seconds = 10.0
    """How long a better vendor must be back until it takes over again."""
    first_pause_seconds: Seconds = 0.5
    """The longest pause before the first reconnection; doubled after each."""
    longest_pause_seconds: Seconds = 30.0
    """What doubling leads to."""
    stable_seconds: Seconds = 10.0
    """A connection that lived so long begins with the first pause again."""
    silence_seconds: Annotated[Seconds | None, Unset("as the vendor declares")] = None
    """A connection without a message for so long is dead."""
    stale_seconds: Seconds = 10.0
    """A busy connection that is silent for so long is called stale."""
    grace_seconds: Seconds = 2.0
    """How long after its end trades of a bar are waited for."""
    bar_seconds: Seconds = 0.5
    """How often a bar that is forming is told at most."""
    poll_seconds: Seconds = 15.0
    """How often a vendor without a stream is asked at most."""
