"""What the sandbox counted, per vendor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ingestion_server.sandbox.days import SECOND_NS

MOST_KEYS: Final = 100
"""Keys that are counted each by itself."""
MOST_SYMBOLS: Final = 10_000
"""Symbols that are counted each by itself."""
OTHERS: Final = "others"
"""What counts the keys and symbols beyond those."""


@dataclass(slots=True)
class Uses:
    """Count what the meters made of one key's calls."""

    admitted: int = 0
    refused: int = 0

    def document(self) -> dict[str, int]:
        """Return the counts as they are shown."""
        return {"admitted": self.admitted, "refused": self.refused}


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
    by_symbol: Counter[str] = field(default_factory=Counter)
    """Calls by symbol, as the vendor spells it."""
    by_day: Counter[str] = field(default_factory=Counter)
    """Calls that the meters admitted, by the date of the quota's day."""
    keys: dict[str, Uses] = field(default_factory=dict)
    """What the meters made of each key's calls."""
    last_call_ns: int | None = None

    def begin(self, name: str, symbols: Iterable[str], now_ns: int) -> None:
        """Count one request."""
        self.calls += 1
        self.counted[name] += 1
        for symbol in symbols:
            known = self.by_symbol
            full = symbol not in known and len(known) >= MOST_SYMBOLS
            known[OTHERS if full else symbol] += 1
        self.last_call_ns = now_ns

    def admit(self, key: str, day: str) -> None:
        """Count one metered call that was not too many."""
        self.by_day[day] += 1
        self._uses(key).admitted += 1

    def refuse(self, key: str) -> None:
        """Count one metered call that was too many."""
        self.violations += 1
        self._uses(key).refused += 1

    def document(self, counted_by: str) -> dict[str, object]:
        """Return the counts as they are shown; times are epoch seconds."""
        last = self.last_call_ns
        return {
            "calls": self.calls,
            "violations": self.violations,
            "served": self.served,
            "faults": dict(self.faults),
            counted_by: dict(self.counted),
            "by_symbol": dict(self.by_symbol),
            "by_day": dict(self.by_day),
            "keys": {key: uses.document() for key, uses in self.keys.items()},
            "last_call_time": None if last is None else last / SECOND_NS,
        }

    def _uses(self, key: str) -> Uses:
        if key not in self.keys and len(self.keys) >= MOST_KEYS:
            # A load that makes up keys must not fill the memory.
            key = OTHERS
        return self.keys.setdefault(key, Uses())
