"""Requests for bars and for corporate actions."""

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
from ingestion_server.domain.interval import (
    DAY_NS,
    HOUR_NS,
    SECOND_NS,
    Interval,
    label_ends,
    labels,
)
from ingestion_server.domain.query import Span
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk, Credentials
from ingestion_server.providers.finnhub.declarations import (
    API_URL,
    CANDLES,
    CAPABILITIES,
    DIVIDENDS,
    KEY_HEADER,
    KEY_PARAMETER,
    LONGEST_INTRADAY_NS,
    NAME,
    RESOLUTIONS,
    SPLITS,
    STREAM,
)
from ingestion_server.providers.finnhub.payloads import date_of
from ingestion_server.providers.finnhub.symbols import feature, spelled

_EARLIEST_NS: Final = 0
"""1970: the vendor's times do not reach back further."""


def lead_ns(asset_class: AssetClass, interval: Interval) -> int:
    """
    Return how long before its label a bar of a day or more may be stamped.

    The day of currencies begins on the evening before in UTC, their week on Sunday.
    Where the vendor stamps those bars is not documented, so both are understood.
    """
    if asset_class is not AssetClass.FX or interval.intraday:
        return 0
    return DAY_NS if interval is Interval.WEEK_1 else 4 * HOUR_NS


def bar_requests(ask: BarAsk) -> tuple[HttpRequest, ...]:
    """
    Return the requests whose pages cover the span up to now.

    Raises:
        CapabilityMissingError: The vendor has no such bars.
        EntitlementMissingError: The plan turned out not to include them.

    """
    path = _path(ask)
    name = feature(path, ask.instrument)
    if name in ask.refused:
        raise EntitlementMissingError(
            f"the plan with {NAME} does not include {name}", provider=NAME, feature=name
        )
    span = _stamps(ask)
    whole_ns = max(span.end_ns - span.start_ns, 1)
    step = LONGEST_INTRADAY_NS if ask.interval.intraday else whole_ns
    symbol = spelled(ask.instrument)
    return tuple(
        HttpRequest(
            NAME,
            API_URL + path,
            (
                ("symbol", symbol),
                ("resolution", RESOLUTIONS[ask.interval]),
                ("from", str(start // SECOND_NS)),
                ("to", str((min(start + step, span.end_ns) - 1) // SECOND_NS)),
            ),
            feature=name,
            span=Span(start, min(start + step, span.end_ns)),
        )
        for start in range(span.start_ns, span.end_ns, step)
    )


def action_requests(
    instrument: Instrument, adjustments: frozenset[Adjustment], now_ns: int
) -> tuple[HttpRequest, ...]:
    """
    Return the requests for splits and, if wanted, dividends and the closes before.

    Outside of the US nobody says whether a dividend is in the unit of the prices, so
    there it cannot be weighed against them.

    Raises:
        CapabilityMissingError: The vendor has no symbol for the instrument.

    """
    if not instrument.asset_class.adjustable:
        return ()
    symbol = ("symbol", spelled(instrument))
    dates = (symbol, ("from", date_of(_EARLIEST_NS)), ("to", date_of(now_ns)))
    splits = _request(SPLITS, instrument, dates)
    if Adjustment.SPLIT_DIVIDEND not in adjustments or (
        instrument.exchange not in US_VENUES
    ):
        return (splits,)
    seconds = (
        symbol,
        ("resolution", RESOLUTIONS[Interval.DAY_1]),
        ("from", str(_EARLIEST_NS)),
        ("to", str(now_ns // SECOND_NS)),
    )
    return (
        splits,
        _request(DIVIDENDS, instrument, dates),
        msgspec.structs.replace(
            _request(CANDLES[AssetClass.EQUITY], instrument, seconds),
            span=Span(_EARLIEST_NS, now_ns),
        ),
    )


def signed(request: HttpRequest, credentials: Credentials) -> HttpRequest:
    """
    Add the key: as a header, or where a stream is opened as a parameter.

    Raises:
        CredentialsRefusedError: There is none.

    """
    if not credentials.key:
        raise CredentialsRefusedError(
            f"{NAME} needs a key: set FINNHUB_API_KEY (a free one is given at "
            "https://finnhub.io/register)",
            provider=NAME,
        )
    if request.feature == STREAM:
        params = (*request.params, (KEY_PARAMETER, credentials.key))
        return msgspec.structs.replace(request, params=params)
    return msgspec.structs.replace(
        request, headers=(*request.headers, (KEY_HEADER, credentials.key))
    )


def _path(ask: BarAsk) -> str:
    kind = ask.instrument.asset_class
    for capability in CAPABILITIES:
        if (
            kind in capability.asset_classes
            and ask.interval in capability.intervals
            # Of pairs, every adjustment means the same.
            and (ask.adjustment in capability.adjustments or not kind.adjustable)
        ):
            return CANDLES[kind]
    raise CapabilityMissingError(
        f"{NAME} has no {ask.interval} bars of the kind {kind}, adjustment "
        f"{ask.adjustment}",
        provider=NAME,
    )


def _stamps(ask: BarAsk) -> Span:
    """Return the stretch in which the bars are stamped: past, and in whole seconds."""
    span = Span(max(ask.span.start_ns, _EARLIEST_NS), min(ask.span.end_ns, ask.now_ns))
    if span.end_ns <= span.start_ns:
        return Span(0, 0)
    if not ask.interval.intraday:
        # Which day of a week or a month is named is not documented.
        edges = np.array([span.start_ns, span.end_ns - 1], np.int64)
        first, last = labels(edges, ask.interval)
        end = label_ends(np.array([last], np.int64), ask.interval)[0]
        lead = lead_ns(ask.instrument.asset_class, ask.interval)
        span = Span(max(int(first) - lead, _EARLIEST_NS), int(end))
    return Span(
        span.start_ns // SECOND_NS * SECOND_NS, -(-span.end_ns // SECOND_NS) * SECOND_NS
    )


def _request(
    path: str, instrument: Instrument, params: tuple[tuple[str, str], ...]
) -> HttpRequest:
    return HttpRequest(NAME, API_URL + path, params, feature=feature(path, instrument))
