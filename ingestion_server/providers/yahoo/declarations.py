"""
What Yahoo offers, at a glance.

There is no contract, no key and no published quota; every fact is observation: [R]
seen in recordings, [S] read in the source of a public client, [I] from its issues.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.budget import Budget, Scope, Window
from ingestion_server.ports.provider import Capability, Lifecycle

NAME: Final = "yahoo"
CHART_URL: Final = "https://query2.finance.yahoo.com/v8/finance/chart/"
QUOTE_URL: Final = "https://query2.finance.yahoo.com/v7/finance/quote"
STREAM_URL: Final = "wss://streamer.finance.yahoo.com/"
CRUMB_URL: Final = "https://query1.finance.yahoo.com/v1/test/getcrumb"
COOKIE_URL: Final = "https://fc.yahoo.com/"
CONSENT_URL: Final = "https://finance.yahoo.com/quote/AAPL"
HOSTS: Final = frozenset(
    {
        "query1.finance.yahoo.com",
        "query2.finance.yahoo.com",
        "finance.yahoo.com",
        "fc.yahoo.com",
        "guce.yahoo.com",
        "consent.yahoo.com",
        "streamer.finance.yahoo.com",
    }
)
LIFECYCLE: Final = Lifecycle()
PLANS: Final[Mapping[str, Budget]] = MappingProxyType(
    {
        # At most 2 a second is what the maintainers of yfinance call safe [I]. There
        # is no key, so it is the address that is metered.
        "unofficial": Budget(
            windows=(Window(name="second", limit=2, seconds=1.0, scope=Scope.IP),),
            published=False,
        ),
        # A licensed gateway or a simulator that speaks the same format.
        "unmetered": Budget(published=False),
    }
)
DEFAULT_PLAN: Final = "unofficial"
FEED_DELAY_SECONDS: Final = 900.0
"""15 minutes for many exchanges, by the field exchangeDataDelayedBy [R]."""

DAY_SECONDS: Final = 86_400.0
OLDEST_SECONDS: Final = MappingProxyType(
    {
        Interval.MINUTE_1: 30 * DAY_SECONDS,
        Interval.MINUTE_5: 60 * DAY_SECONDS,
        Interval.MINUTE_15: 60 * DAY_SECONDS,
        Interval.HOUR_1: 730 * DAY_SECONDS,
    }
)
"""How far back intraday bars reach [S, I]."""
LONGEST_REQUEST_SECONDS: Final = MappingProxyType({Interval.MINUTE_1: 7 * DAY_SECONDS})
"""How much one request may ask for [S]; others are limited by age only."""

CODES: Final = MappingProxyType(
    {
        Interval.MINUTE_1: "1m",
        Interval.MINUTE_5: "5m",
        Interval.MINUTE_15: "15m",
        Interval.HOUR_1: "1h",
        Interval.DAY_1: "1d",
        Interval.WEEK_1: "1wk",
        Interval.MONTH_1: "1mo",
    }
)
"""
Yahoo's names of the intervals it serves well.

Its 30m is unreliable upstream [S], so the house makes those bars of 15m.
"""
HISTORY_CODE: Final = CODES[Interval.DAY_1]
"""Interval of the chart that tells the actions: dividends need daily closes."""
SESSION: Final = "session"
"""Marks the requests of a greeting."""
_CHART: Final = "chart"
ACTIONS: Final = f"{_CHART}:events"
"""Marks the request that tells the actions."""
CHARTS: Final[Mapping[Interval, str]] = MappingProxyType(
    {interval: f"{_CHART}:{code}" for interval, code in CODES.items()}
)
"""What marks the requests for bars."""
QUOTE: Final = "quote"
"""Marks the requests for quotes."""
STREAM: Final = "stream"
"""Marks the handshake of a stream, which no budget counts."""
ENDPOINTS: Final = frozenset({_CHART, *CHARTS.values(), ACTIONS, QUOTE, SESSION})
"""What a budget may give a weight."""


def granularity(code: str) -> str:
    """Return the one name of an interval that has two."""
    return "1h" if code == "60m" else code


_LISTED: Final = frozenset({AssetClass.EQUITY})
_OTHERS: Final = frozenset(
    {AssetClass.INDEX, AssetClass.FX, AssetClass.CRYPTO, AssetClass.FUTURE}
)


def _capabilities() -> tuple[Capability, ...]:
    """
    Return a row per interval and kind.

    Prices of shares come adjusted for all splits up to the answer [R], never as they
    were traded; other kinds have no actions.
    """
    return tuple(
        Capability(
            kinds,
            frozenset({interval}),
            frozenset({adjustment}),
            extended_hours=kinds is _LISTED,
            oldest_seconds=OLDEST_SECONDS.get(interval),
        )
        for interval in CODES
        for kinds, adjustment in (
            (_LISTED, Adjustment.SPLIT),
            (_OTHERS, Adjustment.RAW),
        )
    )


CAPABILITIES: Final = _capabilities()
