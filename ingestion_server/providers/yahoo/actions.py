"""Corporate actions from one chart over the whole history."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec.structs import replace

from ingestion_server.domain.actions import CorporateActions, dividend_factors
from ingestion_server.domain.bars import BarSeries, Column, ascending
from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Times, day_labels
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.yahoo.chart import (
    Rows,
    check_meant,
    local_times,
    read_rows,
    zone_of,
)
from ingestion_server.providers.yahoo.declarations import HISTORY_CODE, NAME
from ingestion_server.providers.yahoo.payload import (
    FARTHEST_SECONDS,
    Dividend,
    Meta,
    Split,
    decoded,
    events_of,
    malformed,
    single_result,
)

_SLACK_NS: Final = 7 * DAY_NS
"""The first row may stand some days after the first trade (a listing on a holiday)."""
_LATEST_SLACK_NS: Final = 2 * _SLACK_NS
"""No exchange closes for longer than this, Chinese New Year included."""
_LARGEST_RATIO: Final = 1e6
_LARGEST_AMOUNT: Final = 1e12


def read_actions(response: HttpResponse, instrument: Instrument) -> CorporateActions:
    """
    Read all splits, and the effect of all dividends.

    What is announced for a day after the answer is left out: it can be called off,
    and neither are prices adjusted for it yet. A dividend that went ex on or before
    the first close has no effect on any bar, and is left out too.

    Raises:
        CapabilityMissingError: The chart is not the whole history, so a split could
            lie outside of it (a recording of some months, for example).
        MalformedPayloadError: It is no chart of the instrument's days.

    """
    result = single_result(decoded(response.body))
    if result is None:
        raise _partial()
    check_meant(result.meta, instrument, HISTORY_CODE)
    rows = read_rows(result)
    if not _whole(rows, result.meta, response.received_at_ns):
        raise _partial()
    zone = zone_of(result.meta, instrument)
    events = events_of(result)
    # A clock that is behind does not make the rows unsaid.
    known_until_ns = max(response.received_at_ns, int(rows.stamps_ns[-1]))
    today = local_times(np.array([known_until_ns], np.int64), zone)[0]
    split_days, ratios = _splits(list(events.splits.values()), zone)
    past = split_days <= today
    days, amounts = _dividends(list(events.dividends.values()), zone)
    closes = _closes(rows, zone)
    first_ns = int(closes.open_time_ns[0]) if len(closes) else known_until_ns
    relevant = (days > first_ns) & (days <= today)
    with np.errstate(over="ignore"):
        told_days, factors = dividend_factors(days[relevant], amounts[relevant], closes)
    return CorporateActions(
        split_days_ns=split_days[past],
        split_ratios=ratios[past],
        dividend_days_ns=told_days,
        dividend_factors=factors,
        known_until_ns=known_until_ns,
        complete_dividends=len(told_days) == int(relevant.sum()),
    )


def _whole(rows: Rows, meta: Meta, received_at_ns: int) -> bool:
    """
    Tell whether rows reach from the first trade to the last.

    The last trade of what is still listed is recent; of what is not, it is the last
    that the chart knows of.
    """
    if not len(rows.stamps_ns) or meta.first_trade_date is None:
        return False
    first_ns, last_ns = int(rows.stamps_ns[0]), int(rows.stamps_ns[-1])
    if first_ns > meta.first_trade_date * SECOND_NS + _SLACK_NS:
        return False
    reach_ns = last_ns + _LATEST_SLACK_NS
    traded = meta.regular_market_time
    return received_at_ns <= reach_ns or (
        traded is not None and last_ns - DAY_NS <= traded * SECOND_NS <= reach_ns
    )


def _splits(splits: list[Split], zone: str) -> tuple[Times, Column]:
    """Return days and ratios, ascending; what is there twice happened once."""
    days = _days([split.date for split in splits], zone)
    ratios = [split.numerator / (split.denominator or np.nan) for split in splits]
    if not all(1 / _LARGEST_RATIO < ratio < _LARGEST_RATIO for ratio in ratios):
        raise malformed("a split without a ratio")
    known = sorted(set(zip(days.tolist(), ratios, strict=True)))
    return (
        np.array([day for day, _ in known], np.int64),
        np.array([ratio for _, ratio in known], np.float64),
    )


def _dividends(dividends: list[Dividend], zone: str) -> tuple[Times, Column]:
    """Return ex-dates, ascending, and what was paid for each in all."""
    days = _days([dividend.date for dividend in dividends], zone)
    amounts = [dividend.amount for dividend in dividends]
    if not all(0 <= amount < _LARGEST_AMOUNT for amount in amounts):
        raise malformed("a dividend without an amount")
    paid: dict[int, float] = {}
    for day, amount in sorted(set(zip(days.tolist(), amounts, strict=True))):
        paid[day] = paid.get(day, 0.0) + amount
    return np.array(list(paid), np.int64), np.array(list(paid.values()), np.float64)


def _closes(rows: Rows, zone: str) -> BarSeries:
    days = day_labels(local_times(rows.stamps_ns, zone))
    closes = replace(rows.series, open_time_ns=days)
    return ascending(closes.take(np.isfinite(closes.close)))


def _days(seconds: list[int], zone: str) -> Times:
    if not all(abs(second) < FARTHEST_SECONDS for second in seconds):
        raise malformed("an event that is at no time")
    return day_labels(local_times(np.array(seconds, np.int64) * SECOND_NS, zone))


def _partial() -> CapabilityMissingError:
    return CapabilityMissingError(
        "yahoo's chart is not the whole history, so not every split is known",
        provider=NAME,
    )
