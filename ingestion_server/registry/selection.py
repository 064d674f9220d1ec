"""The order in which vendors are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.query import SourceMode, SourcePolicy

STEP: Final = 10
"""Between two priorities of which nobody said anything, so that others fit in."""
_LONGEST_NAME: Final = 40
_MOST_VIOLATIONS: Final = 10
"""An error that repeats everything a caller sends would not fit into its status."""


class Listing(msgspec.Struct, frozen=True):
    """Say which vendors there are, by priority, and which of them are switched on."""

    enabled: tuple[str, ...]
    disabled: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    """Those that are no more, and switched off: nobody asks why they are left out."""
    ranked: bool = False
    """Whether an operator chose the order; then price and score do not change it."""
    priorities: Mapping[str, int] = {}
    """Who is asked first; of those not named, each comes after the one before."""
    chosen: frozenset[str] = frozenset()
    """Those whose priority an operator chose, even if he did not choose the order."""

    @property
    def known(self) -> tuple[str, ...]:
        """Return all that may be named."""
        return (*self.enabled, *self.disabled, *self.retired)

    def priority(self, name: str) -> int:
        """Return a vendor's number: smaller is asked first, equals share the load."""
        if name in self.priorities:
            return self.priorities[name]
        return (self.known.index(name) + 1) * STEP

    def hard(self, name: str) -> bool:
        """Return whether an operator chose a vendor's place."""
        return self.ranked or name in self.chosen


_BY_CALLER: Final = {SourceMode.PINNED, SourceMode.ORDERED, SourceMode.CONSENSUS}


def order(policy: SourcePolicy, listing: Listing) -> Sequence[str]:
    """
    Return the vendors that may be asked, first choice first.

    Raises:
        InvalidQueryError: The policy names a vendor that is not there, or not as
            many as its mode needs.

    """
    known = listing.known
    expected = f"one of {', '.join(known)}" if known else "none, as there is none"
    wrong = [
        Violation(
            f"source_policy.providers[{index}]",
            f"{name[:_LONGEST_NAME]!r} is not known; expected {expected}",
        )
        for index, name in enumerate(policy.providers)
        if name not in known
    ][:_MOST_VIOLATIONS]
    if policy.mode is SourceMode.PINNED and len(policy.providers) != 1:
        wrong.append(
            Violation("source_policy.providers", "MODE_PINNED takes exactly one")
        )
    if policy.mode is SourceMode.ORDERED and not policy.providers:
        wrong.append(
            Violation("source_policy.providers", "MODE_ORDERED takes at least one")
        )
    named = tuple(dict.fromkeys(policy.providers))
    if policy.mode is SourceMode.CONSENSUS and len(named) == 1:
        wrong.append(
            Violation(
                "source_policy.providers", "MODE_CONSENSUS takes none or at least two"
            )
        )
    if wrong:
        raise InvalidQueryError(wrong)
    if policy.mode in _BY_CALLER and named:
        return named
    return tuple(name for name in listing.enabled if not named or name in named)
