"""
Splits and dividends, and the closes that tell what a dividend was worth.

The layouts of SPLITS and DIVIDENDS are [M], and so is that amounts are as paid, not
adjusted for later splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.actions import CorporateActions, dividend_factors
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, Column
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    NoDataUnexplainedError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval, Times
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import BarAsk
from ingestion_server.providers.alpha_vantage.bars import read_bars
from ingestion_server.providers.alpha_vantage.columns import number
from ingestion_server.providers.alpha_vantage.declarations import NAME
from ingestion_server.providers.alpha_vantage.payloads import (
    UNREADABLE,
    malformed,
    names,
    parts,
)
from ingestion_server.providers.alpha_vantage.stamps import wall_times

COMPACT_ROWS: Final = 100
"""A daily page that is no longer than this may lack its beginning."""
_ABSENT: Final = frozenset({"", "-", ".", "none", "null"})


class _Split(msgspec.Struct, frozen=True, gc=False):
    effective_date: str
    split_factor: str | float


class _Dividend(msgspec.Struct, frozen=True, gc=False):
    ex_dividend_date: str | None
    amount: str | float | None


_splits: Final = msgspec.json.Decoder(list[_Split])
_dividends: Final = msgspec.json.Decoder(list[_Dividend])


def read_actions(
    responses: Sequence[HttpResponse], instrument: Instrument
) -> CorporateActions:
    """
    Read splits and, if there are three answers, dividends and the daily closes.

    A dividend that went ex on or before the first close has no effect on any bar
    after it, and is left out: bars older than the daily page cannot be adjusted for
    dividends. Dividends are marked incomplete where the vendor left a date or an
    amount open, or an amount is no less than the close before it.

    Raises:
        CapabilityMissingError: The daily page is so short that it may be the latest
            100 days only, and there are dividends before it.
        NoDataUnexplainedError: An answer is an empty object.
        MalformedPayloadError: An answer cannot be read.

    """
    known_until_ns = min(response.received_at_ns for response in responses)
    split_days, split_ratios = _read_splits(responses[0].body)
    none = np.empty(0, np.float64)
    if len(responses) == 1:
        return CorporateActions(
            split_days,
            split_ratios,
            np.empty(0, np.int64),
            none,
            known_until_ns,
            complete_dividends=False,
        )
    days, amounts, complete = _read_dividends(responses[1].body)
    closes = _read_closes(responses[2], instrument)
    first_ns = int(closes.open_time_ns[0]) if len(closes) else None
    after = days > first_ns if first_ns is not None else np.zeros(len(days), np.bool_)
    if len(closes) <= COMPACT_ROWS and not after.all():
        raise CapabilityMissingError(
            f"{NAME} gave the latest {len(closes)} days of {instrument.symbol} only, "
            "so older dividends cannot be told",
            provider=NAME,
        )
    told_days, factors = dividend_factors(days[after], amounts[after], closes)
    return CorporateActions(
        split_days,
        split_ratios,
        told_days,
        factors,
        known_until_ns,
        complete_dividends=complete and len(told_days) == int(after.sum()),
    )


def _rows(body: bytes, what: str) -> msgspec.Raw:
    members = parts(body)
    if not members:
        raise NoDataUnexplainedError(
            f"{NAME} answered a question for {what} with an empty object", provider=NAME
        )
    if "data" not in members:
        raise malformed(f"no {what}, but {names(members)}")
    return members["data"]


def _read_splits(body: bytes) -> tuple[Times, Column]:
    """Return the days and ratios of all splits, each once, ascending."""
    try:
        rows = _splits.decode(_rows(body, "splits"))
    except UNREADABLE as error:
        raise malformed(f"splits that cannot be read ({error})") from error
    days = wall_times([row.effective_date for row in rows])
    ratios = [number(row.split_factor) for row in rows]
    if not all(0 < ratio < np.inf for ratio in ratios):
        raise malformed("a split whose ratio is no positive number")
    known = sorted(set(zip(days.tolist(), ratios, strict=True)))
    return (
        np.array([day for day, _ in known], np.int64),
        np.array([ratio for _, ratio in known], np.float64),
    )


def _read_dividends(body: bytes) -> tuple[Times, Column, bool]:
    """Return ex-dates, what was paid for each in all, and whether nothing is open."""
    try:
        rows = _dividends.decode(_rows(body, "dividends"))
    except UNREADABLE as error:
        raise malformed(f"dividends that cannot be read ({error})") from error
    told = [
        (row.ex_dividend_date, number(row.amount))
        for row in rows
        if row.ex_dividend_date is not None
        and not _absent(row.ex_dividend_date)
        and not _absent(row.amount)
    ]
    if not all(0 <= amount < np.inf for _, amount in told):
        raise malformed("a dividend whose amount is no number")
    stamps = wall_times([day for day, _ in told])
    # A row that is there twice was paid once; two amounts of one day were both paid.
    paid: dict[int, float] = {}
    for day, amount in sorted(
        set(zip(stamps.tolist(), (amount for _, amount in told), strict=True))
    ):
        paid[day] = paid.get(day, 0.0) + amount
    return (
        np.array(list(paid), np.int64),
        np.array(list(paid.values()), np.float64),
        len(told) == len(rows),
    )


def _absent(value: str | float | None) -> bool:
    return value is None or (
        isinstance(value, str) and value.strip().lower() in _ABSENT
    )


def _read_closes(response: HttpResponse, instrument: Instrument) -> BarSeries:
    everything = Span(0, response.received_at_ns)
    ask = BarAsk(
        instrument, Interval.DAY_1, Adjustment.RAW, everything, response.received_at_ns
    )
    return read_bars(response, ask, "start").series
