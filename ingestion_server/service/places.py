"""How many may be inside at once."""

from __future__ import annotations

from typing import Final, final

from ingestion_server.domain.errors import CallerThrottledError

_RETRY_SECONDS: Final = 0.5


@final
class Places:
    """Count who is inside."""

    __slots__ = ("doing", "most", "taken")

    def __init__(self, most: int, doing: str) -> None:
        """``doing`` says what they do there, for whoever finds no place."""
        self.most = most
        self.doing = doing
        self.taken = 0

    def take(self) -> None:
        """
        Take a place.

        Raises:
            CallerThrottledError: There is none.

        """
        if self.taken >= self.most:
            raise CallerThrottledError(
                f"{self.most} {self.doing}, which is the most",
                limit=self.most,
                retry_after_seconds=_RETRY_SECONDS,
            )
        self.taken += 1
