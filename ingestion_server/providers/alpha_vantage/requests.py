"""
Requests, as few as can be: every call costs one unit, whatever its size [R].

Parameters that equal the vendor's defaults are left out (``adjusted``,
``extended_hours``, ``outputsize=compact``, ``datatype=json``).
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk, Credentials
from ingestion_server.providers.alpha_vantage.declarations import (
    CAPABILITIES,
    DIVIDENDS,
    EASTERN,
    FIRST_INTRADAY_NS,
    FULL,
    FUNCTIONS,
    INTERVAL_NAMES,
    NAME,
    QUERY_URL,
    SPLITS,
    Datatype,
)
from ingestion_server.providers.alpha_vantage.symbols import parameters

COMPACT_REACH_NS: Final = 133 * DAY_NS
"""Within so many days are at most 96 weekdays; compact holds 100 points [P]."""
RECENT_NS: Final = 30 * DAY_NS
"""How far an intraday call without a month reaches [P]."""

_FULL_SIZE: Final = ("outputsize", "full")
_Parameters = tuple[tuple[str, str], ...]
_MONTH: Final = np.timedelta64(1, "M")


def bar_requests(ask: BarAsk, datatype: Datatype) -> tuple[HttpRequest, ...]:
    """
    Return the requests whose pages together cover as much of the span as there is.

    Where the plan refuses ``outputsize=full``, the latest 100 points are asked for.

    Raises:
        CapabilityMissingError: The vendor has no such bars.
        EntitlementMissingError: The plan refused even the smallest form.

    """
    if ask.span.start_ns >= ask.span.end_ns:
        return ()
    function = _function(ask)
    what: _Parameters = (("function", function), *parameters(ask.instrument))
    if ask.interval.intraday:
        return _intraday(ask, function, what, datatype)
    if ask.interval is not Interval.DAY_1 or ask.instrument.asset_class is (
        AssetClass.CRYPTO
    ):
        # These know no output size: all history comes at once.
        return (_request(ask, function, what, datatype),)
    far = ask.span.start_ns < ask.now_ns - COMPACT_REACH_NS
    if far and function + FULL not in ask.refused:
        return (_request(ask, function + FULL, (*what, _FULL_SIZE), datatype),)
    return (_request(ask, function, what, datatype),)


def action_requests(
    instrument: Instrument, adjustments: frozenset[Adjustment]
) -> tuple[HttpRequest, ...]:
    """
    Return the requests for splits and, if wanted, dividends and the closes before.

    Nothing but equities has corporate actions. Replies are always JSON.

    Raises:
        CapabilityMissingError: The vendor has no symbol for the instrument.

    """
    if not instrument.asset_class.adjustable:
        return ()
    named = parameters(instrument)
    splits = _action(SPLITS, (("function", SPLITS), *named))
    if Adjustment.SPLIT_DIVIDEND not in adjustments:
        return (splits,)
    daily = FUNCTIONS[instrument.asset_class, Interval.DAY_1]
    return (
        splits,
        _action(DIVIDENDS, (("function", DIVIDENDS), *named)),
        _action(daily + FULL, (("function", daily), *named, _FULL_SIZE)),
    )


def signed(request: HttpRequest, credentials: Credentials) -> HttpRequest:
    """
    Add the key, as the last parameter.

    Raises:
        CredentialsRefusedError: There is none.

    """
    if not credentials.key:
        raise CredentialsRefusedError(
            f"{NAME} needs a key: set ALPHAVANTAGE_API_KEY (a free one is given at "
            "https://www.alphavantage.co/support/#api-key)",
            provider=NAME,
        )
    return msgspec.structs.replace(
        request, params=(*request.params, ("apikey", credentials.key))
    )


def _function(ask: BarAsk) -> str:
    kind = ask.instrument.asset_class
    for capability in CAPABILITIES:
        if (
            kind in capability.asset_classes
            and ask.interval in capability.intervals
            # Of pairs, every adjustment means the same.
            and (ask.adjustment in capability.adjustments or not kind.adjustable)
        ):
            return FUNCTIONS[kind, ask.interval]
    raise CapabilityMissingError(
        f"{NAME} has no {ask.interval} bars of the kind {kind}, adjustment "
        f"{ask.adjustment}",
        provider=NAME,
    )


def _intraday(
    ask: BarAsk, function: str, what: _Parameters, datatype: Datatype
) -> tuple[HttpRequest, ...]:
    what = (*what, ("interval", INTERVAL_NAMES[ask.interval]))
    equity = ask.instrument.asset_class is AssetClass.EQUITY
    if equity and ask.adjustment is Adjustment.RAW:
        what = (*what, ("adjusted", "false"))
    if function + FULL in ask.refused:
        return (_request(ask, function, what, datatype),)
    recent = ask.span.start_ns >= ask.now_ns - RECENT_NS
    # Only equities have a parameter for the month.
    months: list[_Parameters] = (
        [()]
        if recent or not equity
        else [(("month", month),) for month in _eastern_months(ask)]
    )
    return tuple(
        _request(ask, function + FULL, (*what, *month, _FULL_SIZE), datatype)
        for month in months
    )


def _eastern_months(ask: BarAsk) -> list[str]:
    """Return the months of New York that the span touches and the vendor can have."""
    start = max(ask.span.start_ns, FIRST_INTRADAY_NS)
    stop = min(ask.span.end_ns - 1, ask.now_ns)
    if stop < start:
        return []
    edges = local_from_utc(np.array([start, stop], np.int64), EASTERN)
    first, last = edges.astype("datetime64[ns]").astype("datetime64[M]")
    # FIRST_INTRADAY_NS is still December on New York's clock.
    first = max(first, np.datetime64("2000-01", "M"))
    return [str(month) for month in np.arange(first, last + _MONTH)]


def _request(
    ask: BarAsk, feature: str, what: _Parameters, datatype: Datatype
) -> HttpRequest:
    if feature in ask.refused:
        raise EntitlementMissingError(
            f"the plan with {NAME} does not include {feature}",
            provider=NAME,
            feature=feature,
        )
    kind: _Parameters = () if datatype == "json" else (("datatype", datatype),)
    return HttpRequest(NAME, QUERY_URL, (*what, *kind), feature=feature, span=ask.span)


def _action(feature: str, what: _Parameters) -> HttpRequest:
    return HttpRequest(NAME, QUERY_URL, what, feature=feature)
