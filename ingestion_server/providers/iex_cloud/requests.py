"""Requests for bars and for corporate actions."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk, Credentials
from ingestion_server.providers.iex_cloud import reach
from ingestion_server.providers.iex_cloud.declarations import (
    CAPABILITIES,
    CHART,
    DIVIDENDS,
    KEY_PARAMETER,
    MINUTES,
    NAME,
    SPLITS,
    TODAY,
)
from ingestion_server.providers.iex_cloud.symbols import in_path

Parameters = tuple[tuple[str, str], ...]
_ACTIONS_RANGE: Final = "6m"
"""More than minutes reach back; what was before changes none of them."""
_ACTIONS_BARS: Final = 132
"""The most weekdays of six months."""


def bar_requests(root: str, ask: BarAsk) -> tuple[HttpRequest, ...]:
    """
    Return the requests whose pages cover the span up to now.

    ``root`` is the address that all paths follow.

    Raises:
        CapabilityMissingError: The vendor has no such bars.
        EntitlementMissingError: The plan turned out not to include them.

    """
    _check(ask)
    now = reach.today(ask.now_ns)
    span = Span(ask.span.start_ns, min(ask.span.end_ns, ask.now_ns))
    if span.start_ns >= span.end_ns:
        return ()
    if ask.interval.intraday:
        return tuple(_minutes(root, ask, day, now) for day in reach.trading_days(span))
    first, last = reach.labelled(span)
    if not reach.weekday_count(first, last):
        return ()
    days = reach.single_days(first, last, now)
    if days:
        return tuple(_one_day(root, ask, day) for day in days)
    chart = reach.chart(first, last, now)
    url = f"{root}stock/{in_path(ask.instrument)}/chart/{chart.range}"
    request = _request(url, CHART, parameters_of(chart), ask, ask.span)
    return (msgspec.structs.replace(request, times=chart.bars),)


def parameters_of(chart: reach.Chart) -> Parameters:
    """Return what says how much of a chart is wanted."""
    last = ("chartLast", str(chart.bars))
    return (last, ("includeToday", "true")) if chart.today else (last,)


def action_requests(
    root: str, instrument: Instrument, adjustments: frozenset[Adjustment]
) -> tuple[HttpRequest, ...]:
    """
    Return the requests for splits and, if wanted, dividends and the closes before.

    They tell of as much of the past as minutes reach back: days need none of them.

    Raises:
        CapabilityMissingError: The vendor has no symbol for the instrument.

    """
    if not instrument.asset_class.adjustable:
        return ()
    stem = f"stock/{in_path(instrument)}"
    splits = HttpRequest(
        NAME, f"{root}{stem}/{SPLITS}/{_ACTIONS_RANGE}", feature=SPLITS
    )
    if Adjustment.SPLIT_DIVIDEND not in adjustments:
        return (splits,)
    return (
        splits,
        HttpRequest(
            NAME, f"{root}{stem}/{DIVIDENDS}/{_ACTIONS_RANGE}", feature=DIVIDENDS
        ),
        HttpRequest(
            NAME,
            f"{root}{stem}/{CHART}/{_ACTIONS_RANGE}",
            feature=CHART,
            times=_ACTIONS_BARS,
        ),
    )


def signed(request: HttpRequest, credentials: Credentials) -> HttpRequest:
    """
    Add the key, as the last parameter.

    Raises:
        CredentialsRefusedError: There is none.

    """
    if not credentials.key:
        raise CredentialsRefusedError(
            f"{NAME} needs a key: set IEX_TOKEN to that of the service that "
            "providers.iex_cloud.base_url names",
            provider=NAME,
        )
    return msgspec.structs.replace(
        request, params=(*request.params, (KEY_PARAMETER, credentials.key))
    )


def _check(ask: BarAsk) -> None:
    if not any(
        ask.instrument.asset_class in capability.asset_classes
        and ask.interval in capability.intervals
        and ask.adjustment in capability.adjustments
        for capability in CAPABILITIES
    ):
        raise CapabilityMissingError(
            f"{NAME} has no {ask.interval} bars of the kind "
            f"{ask.instrument.asset_class}, adjustment {ask.adjustment}",
            provider=NAME,
        )


def _minutes(root: str, ask: BarAsk, day: date, now: date) -> HttpRequest:
    stem = f"stock/{in_path(ask.instrument)}"
    span = reach.whole_day(day)
    if day >= now:
        return _request(f"{root}{stem}/{TODAY}", TODAY, (), ask, span)
    return _request(f"{root}{stem}/chart/date/{day:%Y%m%d}", MINUTES, (), ask, span)


def _one_day(root: str, ask: BarAsk, day: date) -> HttpRequest:
    url = f"{root}stock/{in_path(ask.instrument)}/chart/date/{day:%Y%m%d}"
    return _request(url, CHART, (("chartByDay", "true"),), ask, reach.whole_day(day))


def _request(
    url: str, feature: str, params: Parameters, ask: BarAsk, span: Span
) -> HttpRequest:
    if feature in ask.refused:
        raise EntitlementMissingError(
            f"the plan with {NAME} does not include {feature}",
            provider=NAME,
            feature=feature,
        )
    return HttpRequest(NAME, url, params, feature=feature, span=span)
