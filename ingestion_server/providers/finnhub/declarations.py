"""
What Finnhub offers, allows and costs.

Marks tell where a fact comes from: [D] the vendor's own description of its interface,
[R] seen in a recording, [I] an issue thread, [M] memory, not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.provider import Capability, Lifecycle

NAME: Final = "finnhub"
API_URL: Final = "https://finnhub.io/api/v1/"
STREAM_URL: Final = "wss://ws.finnhub.io"
HOSTS: Final = frozenset({"finnhub.io", "ws.finnhub.io"})
"""The second is that of the stream."""
KEY_HEADER: Final = "X-Finnhub-Token"
"""The key could travel in the url as well [D]; but urls are logged on their way."""
KEY_PARAMETER: Final = "token"
SECRET_PARAMETERS: Final = frozenset({KEY_PARAMETER, KEY_HEADER.lower()})
"""In the url of a stream the key does travel, for lack of another place [D]."""
LIFECYCLE: Final = Lifecycle()

REMAINING_HEADER: Final = "x-ratelimit-remaining"
RESET_HEADER: Final = "x-ratelimit-reset"
"""Holds epoch seconds [R]."""
MINUTE: Final = "minute"
SECOND: Final = "second"


def _budget(calls_per_minute: int, monthly_price_usd: str = "0") -> Budget:
    return Budget(
        windows=(
            Window(
                name=MINUTE,
                limit=calls_per_minute,
                seconds=60.0,
                limit_header="x-ratelimit-limit",
                remaining_header=REMAINING_HEADER,
                reset_header=RESET_HEADER,
            ),
            # Of every plan [I, D].
            Window(name=SECOND, limit=30, seconds=1.0),
        ),
        monthly_price_usd=Decimal(monthly_price_usd),
    )


DEFAULT_PLAN: Final = "free"
PLANS: Final[Mapping[str, Budget]] = MappingProxyType(
    {
        DEFAULT_PLAN: _budget(60),
        # Market data of one market. Numbers and prices are [M], of 2024; what is
        # published elsewhere disagrees, so settings can say what was really bought.
        "150": _budget(150, "49.99"),
        "premium": _budget(300, "129.99"),
        "900": _budget(900, "199.99"),
    }
)

RESOLUTIONS: Final[Mapping[Interval, str]] = MappingProxyType(
    {
        Interval.MINUTE_1: "1",
        Interval.MINUTE_5: "5",
        Interval.MINUTE_15: "15",
        Interval.MINUTE_30: "30",
        Interval.HOUR_1: "60",
        Interval.DAY_1: "D",
        Interval.WEEK_1: "W",
        Interval.MONTH_1: "M",
    }
)
"""The vendor's names of the intervals [D]."""
LONGEST_INTRADAY_NS: Final = 28 * DAY_NS
"""At most a month at once [D]; the shortest one, to be within all of them."""

CANDLES: Final[Mapping[AssetClass, str]] = MappingProxyType(
    {
        AssetClass.EQUITY: "stock/candle",
        AssetClass.FX: "forex/candle",
        AssetClass.CRYPTO: "crypto/candle",
    }
)
"""Where bars are, by kind; all of it is premium."""
SPLITS: Final = "stock/split"
DIVIDENDS: Final = "stock/dividend"
QUOTE: Final = "quote"
TICKS: Final = "stock/tick"
SEARCH: Final = "search"
STREAM: Final = "stream"
"""Marks the handshake of a stream, which no budget counts."""

ABROAD: Final = ":international"
"""
Ends the name of what is asked about listings outside of the US.

Plans are sold by market, and the free one knows the US only [I], so a refusal says
nothing about other markets.
"""
_LISTED: Final = (CANDLES[AssetClass.EQUITY], SPLITS, DIVIDENDS, QUOTE, TICKS, SEARCH)
ENDPOINTS: Final = frozenset(
    {*CANDLES.values(), *_LISTED, *(path + ABROAD for path in _LISTED)}
)
"""What a budget may give a weight."""

_RAW: Final = frozenset({Adjustment.RAW})
_LONG: Final = frozenset({Interval.DAY_1, Interval.WEEK_1, Interval.MONTH_1})

CAPABILITIES: Final = (
    Capability(
        asset_classes=frozenset({AssetClass.EQUITY}),
        intervals=_LONG,
        adjustments=frozenset({Adjustment.SPLIT}),
    ),
    Capability(
        asset_classes=frozenset({AssetClass.EQUITY}),
        # 60-minute bars are on clock hours and not anchored at the session's open,
        # so the house sums up 30-minute bars instead.
        intervals=frozenset(RESOLUTIONS) - _LONG - {Interval.HOUR_1},
        adjustments=_RAW,
    ),
    Capability(
        asset_classes=frozenset({AssetClass.FX, AssetClass.CRYPTO}),
        intervals=frozenset(RESOLUTIONS),
        adjustments=_RAW,
    ),
)
"""What is served natively, if the plan includes it; the vendor says so when asked."""
