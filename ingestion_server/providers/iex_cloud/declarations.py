"""
What IEX Cloud offered, allowed and cost; services that are compatible still may.

Marks tell where a fact comes from: [R] seen in a recording, [P] the vendor's public
pages, [I] an issue thread, [M] memory, not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.budget import (
    Budget,
    Counts,
    Period,
    Scope,
    Window,
    WindowKind,
)
from ingestion_server.ports.provider import Capability, Lifecycle

NAME: Final = "iex_cloud"
API_URL: Final = "https://cloud.iexapis.com/stable/"
HOSTS: Final = frozenset({"cloud.iexapis.com", "sandbox.iexapis.com"})
"""Of the closed service; recordings name them."""
CLOSED_ON: Final = "2024-08-31"
LIFECYCLE: Final = Lifecycle("retired", CLOSED_ON)
"""Shut down for good [I]."""
KEY_PARAMETER: Final = "token"
"""The key travels in the query string only [R]."""
SECRET_PARAMETERS: Final = frozenset({KEY_PARAMETER})
EASTERN: Final = "America/New_York"
"""By whose clock minutes are stamped [R]."""
FEED_DELAY_SECONDS: Final = 900.0
"""Consolidated prices are a quarter of an hour late [M]."""

USED_HEADER: Final = "iexcloud-messages-used"
"""What the call cost, and not a sum of several [R]."""
MONTH: Final = "month"
SECOND: Final = "second"


def _budget(messages_per_month: int, monthly_price_usd: str = "0") -> Budget:
    return Budget(
        windows=(
            Window(
                name=MONTH,
                limit=messages_per_month,
                kind=WindowKind.FIXED,
                # In which zone the month turns is [M].
                period=Period.MONTH,
                counts=Counts.UNITS,
            ),
            # Of an address [M].
            Window(name=SECOND, limit=100, seconds=1.0, scope=Scope.IP),
        ),
        weights=WEIGHTS,
        monthly_price_usd=Decimal(monthly_price_usd),
        used_header=USED_HEADER,
    )


CHART: Final = "chart"
MINUTES: Final = "chart:minutes"
TODAY: Final = "intraday-prices"
QUOTE: Final = "quote"
SPLITS: Final = "splits"
DIVIDENDS: Final = "dividends"
WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        CHART: 10,  # each day's bar [R]
        MINUTES: 50,  # a whole day [M]
        TODAY: 50,  # one a minute, and no more than so many [M]
        QUOTE: 1,  # each symbol [M]
        SPLITS: 10,  # each [M]
        DIVIDENDS: 10,  # each [M]
    }
)
"""Messages of a call, or of each of the times that its request says."""
ENDPOINTS: Final = frozenset(WEIGHTS)
"""What a budget may give a weight."""

DEFAULT_PLAN: Final = "free"
PLANS: Final[Mapping[str, Budget]] = MappingProxyType(
    {
        # As sold last, by the month [P].
        DEFAULT_PLAN: _budget(50_000),
        "individual": _budget(5_000_000, "19"),
        "business": _budget(150_000_000, "299"),
    }
)

MOST_SYMBOLS: Final = 100
"""What one call of the batch endpoint may be about [P]."""

_DAY_SECONDS: Final = 86_400.0
CAPABILITIES: Final = (
    Capability(
        asset_classes=frozenset({AssetClass.EQUITY}),
        intervals=frozenset({Interval.DAY_1}),
        # Each row has all three [R].
        adjustments=frozenset(Adjustment),
        # Fifteen years [M].
        oldest_seconds=15 * 365 * _DAY_SECONDS,
    ),
    Capability(
        asset_classes=frozenset({AssetClass.EQUITY}),
        intervals=frozenset({Interval.MINUTE_1}),
        adjustments=frozenset({Adjustment.RAW}),
        # Older ones are not kept [M].
        oldest_seconds=90 * _DAY_SECONDS,
    ),
)
"""What is served natively; other adjustments of minutes are computed by the house."""


def host_of(url: str) -> str:
    """Return the host of an address in lower case; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
