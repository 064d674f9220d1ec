"""What every failure of ours has: a reason, facts, and one sentence for people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ingestion_server.domain.result import Attempt


class IngestionError(Exception):
    """Be the root of every failure of ours."""

    reason: ClassVar[str] = "INTERNAL"
    """The ErrorInfo reason that callers see."""

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        """When trying again can help; None if it cannot, or nobody knows."""
        self.tried: tuple[Attempt, ...] = ()
        """What was tried with each vendor, in vain."""

    @property
    def calls(self) -> int:
        """Return how many calls of vendors were made in vain."""
        return sum(attempt.calls for attempt in self.tried)

    @property
    def cost_usd(self) -> Decimal:
        """Return what they cost."""
        return sum((attempt.cost_usd for attempt in self.tried), Decimal(0))

    def facts(self) -> dict[str, str]:
        """Return the machine-readable particulars, without secrets."""
        return {}
