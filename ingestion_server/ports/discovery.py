"""How a server makes itself known to those who look for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ingestion_server.ports.http import HttpResponse


class Post(Protocol):
    """
    Post a small body to a service of the house, and read what it answers.

    Raises only ``ProviderUnavailableError`` (cannot be reached, timed out, cut) and
    ``MalformedPayloadError`` (too large, wrong encoding, not HTTP).
    """

    async def __call__(
        self,
        url: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        *,
        timeout_seconds: float,
    ) -> HttpResponse:
        """Return the answer, whatever its status; redirects are not followed."""
        ...


class Presence(Protocol):
    """Tell whether this server can be found in one place, and how that went so far."""

    @property
    def where(self) -> str:
        """Return the place: ``etcd``, say."""
        ...

    @property
    def registered(self) -> bool:
        """Return whether it can be found there now, as far as can be known."""
        ...

    @property
    def registrations(self) -> int:
        """Return how often it came to be found there."""
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """Return how often something went wrong, by reason, all of them from 0."""
        ...
