"""Corporate actions from one chart over the whole history."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from ingestion_server.domain.actions import CorporateActions, dividend_factors
from ingestion_server.domain.bars import ascending
from ingestion_server.domain.errors import CapabilityMissingError, MalformedPayloadError
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Times, day_labels
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.yahoo.chart import (
    Events,
    decoded,
    read_rows,
    single_result,
)
from ingestion_server.providers.yahoo.declarations import NAME

_SLACK_NS: Final = 7 * DAY_NS
"""The first row may stand some days after the first trade (a listing on a holiday)."""
_LARGEST_RATIO: Final = 1e6


def read_actions(response: HttpResponse) -> CorporateActions:
    """
    Read all splits, and the effect of all dividends.

    Raises:
        CapabilityMissingError: The chart is not the whole history, so a split could
            lie outside of it (a recording of some months, for example).
        MalformedPayloadError: It is no chart.

    """
    result = single_result(decoded(response.body))
    if result is None:
        raise CapabilityMissingError(_PARTIAL_HISTORY, provider=NAME)
    rows = read_rows(result, None)
    first_trade = result.meta.first_trade_date
    if (
        not len(rows.stamps_ns)
        or first_trade is None
        or rows.stamps_ns[0] > first_trade * SECOND_NS + _SLACK_NS
        or response.received_at_ns > rows.stamps_ns[-1] + 2 * _SLACK_NS
    ):
        raise CapabilityMissingError(_PARTIAL_HISTORY, provider=NAME)
    events = result.events or Events()
    splits = sorted(events.splits.values(), key=lambda split: split.date)
    ratios = np.array(
        [split.numerator / (split.denominator or np.nan) for split in splits],
        np.float64,
    )
    if not np.all((ratios > 1 / _LARGEST_RATIO) & (ratios < _LARGEST_RATIO)):
        raise MalformedPayloadError("yahoo sent a split without a ratio", provider=NAME)
    dividends = sorted(events.dividends.values(), key=lambda dividend: dividend.date)
    closes = replace(
        rows.series, open_time_ns=day_labels(local_from_utc(rows.stamps_ns, rows.zone))
    )
    dividend_days, effects = dividend_factors(
        _days([dividend.date for dividend in dividends], rows.zone),
        np.array([dividend.amount for dividend in dividends], np.float64),
        ascending(closes.take(np.isfinite(closes.close))),
    )
    return CorporateActions(
        split_days_ns=_days([split.date for split in splits], rows.zone),
        split_ratios=ratios,
        dividend_days_ns=dividend_days,
        dividend_factors=effects,
        known_until_ns=response.received_at_ns,
    )


_PARTIAL_HISTORY: Final = (
    "yahoo's chart is not the whole history, so not every split is known"
)


def _days(seconds: list[int], zone: str) -> Times:
    try:
        stamps = np.array(seconds, np.int64) * SECOND_NS
    except OverflowError as error:
        raise MalformedPayloadError(
            "yahoo sent an event that is at no time", provider=NAME
        ) from error
    return day_labels(local_from_utc(stamps, zone))
