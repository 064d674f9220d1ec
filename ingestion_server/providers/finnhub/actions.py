"""
Splits and dividends, and the closes that tell what a dividend was worth.

Layouts are as the vendor describes them [D]; that ``adjustedAmount`` is adjusted for
splits as its daily candles are is [M].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.actions import CorporateActions, dividend_factors
from ingestion_server.domain.bars import Column
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval, Times
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.finnhub.candles import read_series
from ingestion_server.providers.finnhub.payloads import decoded, malformed

_LARGEST_RATIO: Final = 1e6
_LARGEST_AMOUNT: Final = 1e12
_DATE_LENGTH: Final = 10


class _Split(msgspec.Struct, rename="camel"):
    date: str
    from_factor: float
    to_factor: float


class _Dividend(msgspec.Struct, rename="camel"):
    date: str | None = None
    adjusted_amount: float | None = None
    currency: str | None = None


_splits: Final = msgspec.json.Decoder(list[_Split])
_dividends: Final = msgspec.json.Decoder(list[_Dividend])


def read_actions(responses: Sequence[HttpResponse]) -> CorporateActions:
    """
    Read splits and, if there are three answers, dividends and the daily closes.

    What is announced for a day after the answer is left out: it can be called off.
    A dividend that went ex on or before the first close has no effect on any bar
    after it, and is left out too. Dividends are marked incomplete where a date, an
    amount or dollars are missing.

    Raises:
        NoDataUnexplainedError: The answer that should hold closes is an empty object.
        MalformedPayloadError: An answer cannot be read.

    """
    known_until_ns = min(response.received_at_ns for response in responses)
    split_days, ratios = _read_splits(responses[0].body)
    past = split_days <= known_until_ns
    split_days, ratios = split_days[past], ratios[past]
    if len(responses) == 1:
        return CorporateActions(
            split_days,
            ratios,
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            known_until_ns,
            complete_dividends=False,
        )
    days, amounts, complete = _read_dividends(responses[1].body)
    closes = read_series(responses[2].body, AssetClass.EQUITY, Interval.DAY_1)
    closes = closes.take(np.isfinite(closes.close))
    first_ns = int(closes.open_time_ns[0]) if len(closes) else known_until_ns
    relevant = (days > first_ns) & (days <= known_until_ns)
    with np.errstate(over="ignore"):
        told_days, factors = dividend_factors(days[relevant], amounts[relevant], closes)
    return CorporateActions(
        split_days,
        ratios,
        told_days,
        factors,
        known_until_ns,
        complete_dividends=complete and len(told_days) == int(relevant.sum()),
    )


def _read_splits(body: bytes) -> tuple[Times, Column]:
    """Return the days and ratios of all splits, each once, ascending."""
    rows = decoded(_splits, body, "splits")
    days = _days([row.date for row in rows])
    ratios = [row.to_factor / (row.from_factor or np.nan) for row in rows]
    if not all(1 / _LARGEST_RATIO < ratio < _LARGEST_RATIO for ratio in ratios):
        raise malformed("a split without a ratio")
    known = sorted(set(zip(days.tolist(), ratios, strict=True)))
    return (
        np.array([day for day, _ in known], np.int64),
        np.array([ratio for _, ratio in known], np.float64),
    )


def _read_dividends(body: bytes) -> tuple[Times, Column, bool]:
    """Return ex-dates, what was paid for each in all, and whether nothing is open."""
    rows = decoded(_dividends, body, "dividends")
    told = [
        (row.date, row.adjusted_amount)
        for row in rows
        if row.date and row.adjusted_amount is not None and row.currency == "USD"
    ]
    if not all(0 <= amount < _LARGEST_AMOUNT for _, amount in told):
        raise malformed("a dividend without an amount")
    days = _days([day for day, _ in told]).tolist()
    # A row that is there twice was paid once; two amounts of one day were both paid.
    paid: dict[int, float] = {}
    for day, amount in sorted(
        set(zip(days, (amount for _, amount in told), strict=True))
    ):
        paid[day] = paid.get(day, 0.0) + amount
    return (
        np.array(list(paid), np.int64),
        np.array(list(paid.values()), np.float64),
        len(told) == len(rows),
    )


def _days(texts: Sequence[str]) -> Times:
    try:
        days = np.array(texts, "datetime64[D]")
    except ValueError as error:
        raise malformed("a date that is none") from error
    # Years that do not fit nanoseconds, and words such as "now", are refused here.
    if any(
        len(text) != _DATE_LENGTH or text[:2] not in {"18", "19", "20", "21"}
        for text in texts
    ):
        raise malformed("a date of another age")
    return days.astype("datetime64[ns]").astype(np.int64)
