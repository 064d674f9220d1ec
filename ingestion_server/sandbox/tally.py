"""What the sandbox counted, per vendor."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ingestion_server.sandbox.days import SECOND_NS


@dataclass(slots=True)
class Statistics:
    """Count the calls of one vendor."""

    calls: int = 0
    """Every request, refused ones included."""
    violations: int = 0
    """Requests beyond the vendor's limit."""
    served: int = 0
    """Requests that were answered by the vendor and not by a limit or a fault."""
    faults: Counter[str] = field(default_factory=Counter)
    """How often each fault struck."""
    counted: Counter[str] = field(default_factory=Counter)
    """Calls by function or by path, whatever the vendor has."""
    last_call_ns: int | None = None

    def begin(self, name: str, now_ns: int) -> None:
        """Count one request."""
        self.calls += 1
        self.counted[name] += 1
        self.last_call_ns = now_ns

    def document(self, counted_by: str) -> dict[str, object]:
        """Return the counts as they are shown; times are epoch seconds."""
        last = self.last_call_ns
        return {
            "calls": self.calls,
            "violations": self.violations,
            "served": self.served,
            "faults": dict(self.faults),
            counted_by: dict(self.counted),
            "last_call_time": None if last is None else last / SECOND_NS,
        }
