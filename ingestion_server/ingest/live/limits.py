"""How long and how much, in live data."""

from __future__ import annotations

import msgspec


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bound what live data may take."""

    sorting_seconds: float = 0.005
    """How long ticks are held back so that those of several messages are sorted."""
    queue_items: int = 4096
    """How many items a subscriber may leave unread until it has fallen behind."""
    replay_items: int = 100_000
    """How many of the latest items are kept for those who resume."""
    most_symbols: int = 10_000
    """How many symbols may be subscribed at once, all subscribers together."""
    linger_seconds: float = 5.0
    """How long a symbol stays subscribed after its last subscriber left."""
    failover_seconds: float = 3.0
    """How long a connection may be away until the next vendor takes over."""
    return_seconds: float = 10.0
    """How long a better vendor must be back until it takes over again."""
    first_pause_seconds: float = 0.5
    """The longest pause before the first reconnection; doubled after each."""
    longest_pause_seconds: float = 30.0
    """What doubling leads to."""
    stable_seconds: float = 10.0
    """A connection that lived so long begins with the first pause again."""
    silence_seconds: float | None = None
    """A connection without a message for so long is dead; None = as vendors declare."""
    stale_seconds: float = 10.0
    """A busy connection that is silent for so long is called stale."""
    grace_seconds: float = 2.0
    """How long after its end trades of a bar are waited for."""
    bar_seconds: float = 0.5
    """How often a bar that is forming is told at most."""
    poll_seconds: float = 15.0
    """How often a vendor without a stream is asked at most."""
