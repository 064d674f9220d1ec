"""
Splits and dividends of late, and the closes that tell what a dividend was worth.

Only minutes are adjusted by the house, and they reach back a few months.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.actions import CorporateActions, dividend_factors
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import Column
from ingestion_server.domain.interval import Times
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.iex_cloud.charts import read_days
from ingestion_server.providers.iex_cloud.payloads import days, decoded, malformed
from ingestion_server.providers.iex_cloud.symbols import CURRENCY

_LARGEST_RATIO: Final = 1e6
_LARGEST_AMOUNT: Final = 1e12
_EARLIEST_MS: Final = -5_000_000_000_000
_FARTHEST_MS: Final = 9_000_000_000_000
_DAY_MS: Final = 86_400_000
_MILLISECOND_NS: Final = 1_000_000


class _Split(msgspec.Struct, rename="camel"):
    ex_date: str
    from_factor: float
    to_factor: float
    date: int | None = None


class _Dividend(msgspec.Struct, rename="camel"):
    ex_date: str | None = None
    amount: float | str | None = None
    currency: str | None = None


_splits: Final = msgspec.json.Decoder(list[_Split])
_dividends: Final = msgspec.json.Decoder(list[_Dividend])


def read_actions(responses: Sequence[HttpResponse]) -> CorporateActions:
    """
    Read splits and, if there are three answers, dividends and the daily closes.

    What is announced for a day after the answer is left out: it can be called off.
    Dividends are marked incomplete where a date, an amount or dollars are missing.

    Raises:
        CapabilityMissingError: The chart lacks the closes as they were traded.
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
    ex_days, amounts, complete = _read_dividends(responses[1].body)
    # An amount is what was paid for a share as it was then, and so must the close be.
    closes = read_days(responses[2].body, Adjustment.RAW)
    closes = closes.take(np.isfinite(closes.close))
    first_ns = int(closes.open_time_ns[0]) if len(closes) else known_until_ns
    relevant = (ex_days > first_ns) & (ex_days <= known_until_ns)
    with np.errstate(over="ignore"):
        told_days, factors = dividend_factors(
            ex_days[relevant], amounts[relevant], closes
        )
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
    ratios = [row.to_factor / (row.from_factor or np.nan) for row in rows]
    if not all(1 / _LARGEST_RATIO < ratio < _LARGEST_RATIO for ratio in ratios):
        raise malformed("a split without a ratio")
    ex_days = days([row.ex_date for row in rows]).tolist()
    known = sorted(
        {
            (ex_day if row.date is None else _day_of(row.date), ratio)
            for row, ex_day, ratio in zip(rows, ex_days, ratios, strict=True)
        }
    )
    return (
        np.array([day for day, _ in known], np.int64),
        np.array([ratio for _, ratio in known], np.float64),
    )


def _day_of(time_ms: int) -> int:
    # It is the first day of the new shares; "exDate" can be the session before [R].
    if not _EARLIEST_MS < time_ms < _FARTHEST_MS:
        raise malformed("a split that is at no time")
    return time_ms // _DAY_MS * _DAY_MS * _MILLISECOND_NS


def _read_dividends(body: bytes) -> tuple[Times, Column, bool]:
    """Return ex-dates, what was paid for each in all, and whether nothing is open."""
    rows = decoded(_dividends, body, "dividends")
    told = [
        (row.ex_date, amount)
        for row in rows
        if row.ex_date
        and (amount := _amount(row)) is not None
        # It was not named before 2019 [R].
        and row.currency in {CURRENCY, "", None}
    ]
    ex_days = days([day for day, _ in told]).tolist()
    # A row that is there twice was paid once; two amounts of one day were both paid.
    paid: dict[int, float] = {}
    for day, amount in sorted(
        set(zip(ex_days, (amount for _, amount in told), strict=True))
    ):
        paid[day] = paid.get(day, 0.0) + amount
    return (
        np.array(list(paid), np.int64),
        np.array(list(paid.values()), np.float64),
        len(told) == len(rows),
    )


def _amount(row: _Dividend) -> float | None:
    """Return what was paid; as text it was seen too [R]."""
    if row.amount in {None, ""}:
        return None
    try:
        amount = float(row.amount or 0.0)
    except ValueError as error:
        raise malformed("a dividend without an amount") from error
    if not 0 <= amount < _LARGEST_AMOUNT:
        raise malformed("a dividend without an amount")
    return amount
