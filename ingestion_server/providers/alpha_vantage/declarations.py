"""
What Alpha Vantage offers, allows and costs.

Marks tell where a fact comes from: [R] seen in a recording, [P] the vendor's public
pages, [I] an issue thread, [M] memory, not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.ports.budget import Budget, Period, Window, WindowKind
from ingestion_server.ports.provider import Capability, Lifecycle

NAME: Final = "alpha_vantage"
QUERY_URL: Final = "https://www.alphavantage.co/query"
"""The one endpoint; ``function`` says what is meant [R]."""
HOSTS: Final = frozenset({"www.alphavantage.co", "alphavantage.co"})
SECRET_PARAMETERS: Final = frozenset({"apikey"})
"""The key travels in the query string only [R]."""
EASTERN: Final = "America/New_York"
"""``US/Eastern`` in the vendor's words [R]."""
LIFECYCLE: Final = Lifecycle("active")

Datatype = Literal["json", "csv"]
IntradayLabel = Literal["start", "end"]
"""Whether an equity's intraday stamp is the bar's start (today [M]) or its end (2021
[R])."""

_MONTHLY_PRICES_USD: Final = {
    75: Decimal("49.99"),  # [P]; the rest [M]
    150: Decimal("99.99"),
    300: Decimal("149.99"),
    600: Decimal("199.99"),
    1200: Decimal("249.99"),
}

DEFAULT_PLAN: Final = "free"
PLANS: Final[Mapping[str, Budget]] = MappingProxyType(
    {
        # 5 calls a minute were the limit until about 2024; 1 a second is it now. That
        # the day turns at midnight in New York is [M].
        DEFAULT_PLAN: Budget(
            windows=(
                Window(name="second", limit=1, seconds=1.0),
                Window(
                    name="day",
                    limit=25,
                    kind=WindowKind.FIXED,
                    period=Period.DAY,
                    reset_zone=EASTERN,
                ),
            )
        ),
        **{
            str(calls): Budget(
                windows=(Window(name="minute", limit=calls, seconds=60.0),),
                monthly_price_usd=price,
            )
            for calls, price in _MONTHLY_PRICES_USD.items()
        },
    }
)


def _midnight_ns(year: int, month: int, day: int) -> int:
    moment = datetime(year, month, day, tzinfo=UTC)
    return int(moment.timestamp()) * SECOND_NS


FIRST_DAY_NS: Final = _midnight_ns(1999, 11, 1)
"""Daily, weekly and monthly bars of equities begin here."""
FIRST_INTRADAY_NS: Final = _midnight_ns(2000, 1, 1)
"""Intraday bars of equities begin with this month [P]."""

INTERVAL_NAMES: Final[Mapping[Interval, str]] = MappingProxyType(
    {
        Interval.MINUTE_1: "1min",
        Interval.MINUTE_5: "5min",
        Interval.MINUTE_15: "15min",
        Interval.MINUTE_30: "30min",
        Interval.HOUR_1: "60min",
    }
)
"""The vendor's names of the intraday intervals."""

FUNCTIONS: Final[Mapping[tuple[AssetClass, Interval], str]] = MappingProxyType(
    {
        (kind, interval): f"{prefix}_{suffix}"
        for kind, prefix in (
            (AssetClass.EQUITY, "TIME_SERIES"),
            (AssetClass.FX, "FX"),
            (AssetClass.CRYPTO, "DIGITAL_CURRENCY"),
        )
        for interval, suffix in (
            (Interval.DAY_1, "DAILY"),
            (Interval.WEEK_1, "WEEKLY"),
            (Interval.MONTH_1, "MONTHLY"),
        )
    }
    | {
        (kind, interval): function
        for kind, function in (
            (AssetClass.EQUITY, "TIME_SERIES_INTRADAY"),
            (AssetClass.FX, "FX_INTRADAY"),
            (AssetClass.CRYPTO, "CRYPTO_INTRADAY"),
        )
        for interval in INTERVAL_NAMES
    }
)
"""Which function holds which bars."""
SPLITS: Final = "SPLITS"
DIVIDENDS: Final = "DIVIDENDS"
LAST_PRICE: Final = "GLOBAL_QUOTE"
"""The latest day of an equity; no time but the day, and no bid or ask [R]."""
RATE: Final = "CURRENCY_EXCHANGE_RATE"
"""The rate of a pair, with its time, bid and ask [R]."""

FULL: Final = ":full"
"""Ends the feature name of a request for more than the latest 100 points."""
_SIZED: Final = (
    "TIME_SERIES_INTRADAY",
    "TIME_SERIES_DAILY",
    "FX_INTRADAY",
    "FX_DAILY",
    "CRYPTO_INTRADAY",
)
"""The functions that know an output size."""
ENDPOINTS: Final = frozenset(
    {
        *FUNCTIONS.values(),
        *(name + FULL for name in _SIZED),
        SPLITS,
        DIVIDENDS,
        LAST_PRICE,
        RATE,
    }
)
"""What a budget may give a weight."""

_RAW: Final = frozenset({Adjustment.RAW})
_LONG: Final = frozenset({Interval.DAY_1, Interval.WEEK_1, Interval.MONTH_1})

CAPABILITIES: Final = (
    Capability(
        asset_classes=frozenset({AssetClass.EQUITY}),
        intervals=_LONG,
        adjustments=_RAW,
        earliest_ns=FIRST_DAY_NS,
    ),
    Capability(
        asset_classes=frozenset({AssetClass.EQUITY}),
        # 60-minute bars are on clock hours and not anchored at the session's open,
        # so the house sums up 30-minute bars instead.
        intervals=frozenset(INTERVAL_NAMES) - {Interval.HOUR_1},
        adjustments=frozenset({Adjustment.RAW, Adjustment.SPLIT_DIVIDEND}),
        extended_hours=True,
        earliest_ns=FIRST_INTRADAY_NS,
    ),
    Capability(
        asset_classes=frozenset({AssetClass.FX, AssetClass.CRYPTO}),
        # Intraday is premium; the vendor says so when it is asked.
        intervals=_LONG | frozenset(INTERVAL_NAMES),
        adjustments=_RAW,
    ),
)
"""What is served natively; SPLIT bars are computed by the house."""
