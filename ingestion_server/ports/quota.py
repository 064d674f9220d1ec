"""What a vendor lets us call, as those who call see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Debit(msgspec.Struct, frozen=True):
    """Prove that one call was reserved; give it back only if it never left."""

    at_seconds: float
    """When, by the clock that never goes back."""
    at_ns: int
    """When, by the wall clock."""


class WindowUse(msgspec.Struct, frozen=True):
    """Tell what is left of one window."""

    window: str
    limit: int
    used: int
    free_in_seconds: float
    """When one more call fits this window; 0 = now."""


class Quota(Protocol):
    """Say when a vendor may be called, and hear what it says about it."""

    async def reserve(
        self, *, longest_wait_seconds: float, urgent: bool = True
    ) -> Debit:
        """
        Wait for the turn of one call, and count it; who is urgent goes first.

        Raises ``QuotaExhaustedError`` at once if the wait would be longer.
        """
        ...

    def refund(self, debit: Debit) -> None:
        """Take back a call that never left."""
        ...

    def arrived(self, debit: Debit) -> None:
        """Hear that a call was answered, or given up: it has reached the vendor."""
        ...

    def penalise(self, *, retry_after_seconds: float | None, window: str) -> None:
        """Let nothing leave for a while, because the vendor said: not now."""
        ...

    def note_success(self) -> None:
        """Hear that the vendor answered."""
        ...

    def available_in(self) -> float:
        """Return how long a call that is asked for now would wait; 0 = not at all."""
        ...

    def usage(self) -> Sequence[WindowUse]:
        """Return what is left of each window."""
        ...
