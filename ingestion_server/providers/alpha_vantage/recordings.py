"""What a recorded url and body of Alpha Vantage hold, for answering from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import label_ends
from ingestion_server.domain.query import Span
from ingestion_server.domain.venues import PRIMARY_VENUE
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import BarAsk, Identity
from ingestion_server.providers.alpha_vantage.bars import read_bars
from ingestion_server.providers.alpha_vantage.declarations import (
    FUNCTIONS,
    HOSTS,
    INTERVAL_NAMES,
    QUERY_URL,
    SECRET_PARAMETERS,
    IntradayLabel,
)
from ingestion_server.providers.alpha_vantage.symbols import SUFFIXES

_FUNCTION: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_INTRADAY_EQUITY: Final = "TIME_SERIES_INTRADAY"
_WORTHLESS: Final = SECRET_PARAMETERS | {"outputsize", "entitlement"}
"""They choose how much or how fresh, never what."""
_WINDOW: Final = "month"
_DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {"adjusted": "true", "extended_hours": "true"}
)
"""Of intraday bars of equities; of other functions these mean nothing."""

_KINDS: Final = {function: kind for (kind, _), function in FUNCTIONS.items()}
_LONG: Final = {
    function: interval
    for (_, interval), function in FUNCTIONS.items()
    if not interval.intraday
}
_INTRADAY: Final = {name: interval for interval, name in INTERVAL_NAMES.items()}
_NAMED_BY: Final = {
    AssetClass.EQUITY: ("symbol",),
    AssetClass.FX: ("from_symbol", "to_symbol"),
    AssetClass.CRYPTO: ("symbol", "market"),
}
_VENUES: Final = {suffix: mic for mic, suffix in SUFFIXES.items() if suffix}


def identity(url: str) -> Identity | None:
    """
    Say which resource a url means; None if it is no question of ours.

    Defaults are filled in, so that a question that spells them out and one that does
    not are the same. Of functions that hold no bars, every parameter counts.
    """
    asked = _asked(url)
    if asked is None:
        return None
    function = asked["function"]
    month = asked.pop(_WINDOW, None)
    window = frozenset({(_WINDOW, month)} if month else ())
    asked["datatype"] = asked.get("datatype", "json").lower()
    if function not in _KINDS:
        return Identity(frozenset(asked.items()), window)
    needed = ("function", *_NAMED_BY[_KINDS[function]])
    if function not in _LONG:
        needed = (*needed, "interval")
    if not all(name in asked for name in needed):
        return None
    if function == _INTRADAY_EQUITY:
        asked = {**_DEFAULTS, **asked}
        needed = (*needed, *_DEFAULTS)
    known = (*needed, "datatype")
    return Identity(frozenset((name, asked[name]) for name in known), window)


def body_span(url: str, body: bytes, setting: IntradayLabel) -> Span | None:
    """Return the time that recorded bars cover; None if there are none to read."""
    asked = _asked(url)
    if asked is None or identity(url) is None or asked["function"] not in _KINDS:
        return None
    function = asked["function"]
    interval = _LONG.get(function) or _INTRADAY.get(asked.get("interval", ""))
    if interval is None:
        return None
    ask = BarAsk(
        _instrument(function, asked), interval, Adjustment.RAW, Span(0, 0), now_ns=0
    )
    try:
        times = read_bars(HttpResponse(200, body), ask, setting).series.open_time_ns
    except ProviderError:
        return None
    if not len(times):
        return None
    ends = label_ends(np.asarray(times[-1:]), interval)
    return Span(int(times[0]), int(ends[0]))


def _asked(url: str) -> dict[str, str] | None:
    """Return the parameters that say what is asked, in one spelling."""
    try:
        split = urlsplit(url)
        pairs = parse_qsl(split.query)
        host = (split.hostname or "").lower()
    except ValueError:
        return None
    if host not in HOSTS or split.path.rstrip("/") != urlsplit(QUERY_URL).path:
        return None
    asked = {
        name.lower(): _spelled(name.lower(), value.strip())
        for name, value in pairs
        if name.lower() not in _WORTHLESS and value.strip()
    }
    return asked if _FUNCTION.fullmatch(asked.get("function", "")) else None


def _spelled(name: str, value: str) -> str:
    lower = name in {"interval", "adjusted", "extended_hours", "datatype", "maturity"}
    return value.lower() if lower else value.upper()


def _instrument(function: str, asked: Mapping[str, str]) -> Instrument:
    kind = _KINDS[function]
    named = [asked[name] for name in _NAMED_BY[kind]]
    if kind is not AssetClass.EQUITY:
        return Instrument("/".join(named), kind)
    base, dot, place = named[0].rpartition(".")
    exchange = _VENUES.get(dot + place, PRIMARY_VENUE) if dot else PRIMARY_VENUE
    return Instrument(base or place, kind, exchange)
