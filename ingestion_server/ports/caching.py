"""What is kept of vendors' answers, as those who count and show it see it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class CacheCounts(msgspec.Struct):
    """Count since the start; it changes, and whoever counts holds the same one."""

    hits: int = 0
    """Questions that were answered without asking a vendor."""
    partial_hits: int = 0
    """Questions that were answered in part; a vendor was asked for the rest."""
    misses: int = 0
    """Questions of which nothing was known."""
    encoded_hits: int = 0
    """Hits, counted there too, that were answered with bytes encoded before."""
    shared: int = 0
    """Questions that waited for calls that another had under way."""
    negative_hits: int = 0
    """Vendors not asked since they had just said that they do not know."""
    stale: int = 0
    """Answers with bars that were older than usual."""
    evictions: int = 0
    """Series that made room for others in memory."""
    rebased: int = 0
    """Adjusted series that were dropped since all of their prices had changed."""
    revised: int = 0
    """Final bars that a vendor has corrected."""

    @property
    def hit_ratio(self) -> float | None:
        """Return the share of hits among all questions; None before the first."""
        asked = self.hits + self.partial_hits + self.misses
        return self.hits / asked if asked else None


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what is kept at one moment."""

    enabled: bool
    counts: CacheCounts
    bytes: int = 0
    limit_bytes: int = 0
    file_bytes: int = 0
    """0 if there is no file."""
    limit_file_bytes: int = 0
    series: int = 0
    bars: int = 0
    oldest_forming_seconds: float | None = None
    """Age of the oldest bar that can still change; None if there is none."""
    file_problem: str = ""
    """Why nothing can be kept in the file; empty if all is well."""


CacheReport = Callable[[], CacheUse]
"""Tell what is kept now."""
