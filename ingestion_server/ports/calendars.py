"""When exchanges are open."""

from __future__ import annotations

from typing import Protocol

from ingestion_server.domain.sessions import Sessions


class Calendars(Protocol):
    """Know the sessions of exchanges."""

    async def sessions(self, calendar: str) -> Sessions | None:
        """Return the sessions of a calendar, or None if nobody knows them."""
        ...
