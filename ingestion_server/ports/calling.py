"""What one call of a vendor may take, and what it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingestion_server.ports.http import HttpRequest, HttpResponse


@dataclass(slots=True)
class Allowance:
    """Bound the calls made for one question, and count them."""

    deadline: float
    """Monotonic seconds at which the caller's time is over."""
    longest_quota_wait_seconds: float
    """Longer than this is not waited for quota."""
    kind: str = ""
    """Kind of data and asset class, which a breaker judges apart from others."""
    calls: int = 0
    """Calls that left so far, retries included."""


class Exchange(Protocol):
    """Make one call of one vendor: signed, paced, retried, checked."""

    async def __call__(
        self, request: HttpRequest, allowance: Allowance
    ) -> HttpResponse:
        """Return the checked answer; raises ``ProviderError``, ``CallerError``."""
        ...
