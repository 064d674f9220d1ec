"""Which resource a recorded url holds, and which time its body covers."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.interval import DAY_NS, MINUTE_NS
from ingestion_server.domain.query import Span
from ingestion_server.ports.provider import Identity
from ingestion_server.providers.iex_cloud.charts import read_days, read_minutes
from ingestion_server.providers.iex_cloud.declarations import (
    CHART,
    DIVIDENDS,
    KEY_PARAMETER,
    MINUTES,
    QUOTE,
    SPLITS,
    TODAY,
)
from ingestion_server.providers.iex_cloud.quotes import BATCH

_PATH: Final = re.compile(
    rf"/stock/([^/]+)/({CHART}|{TODAY}|{QUOTE}|{SPLITS}|{DIVIDENDS})(?:/(.*))?$"
)
_REACH: Final = frozenset(
    {KEY_PARAMETER, "chartLast", "includeToday", "chartByDay", "sort", "range"}
)
"""How far back and in which order, not what is asked for; the body tells."""
_OF_MINUTES: Final = re.compile(r"date/(\d{8})")


def identity(url: str) -> Identity | None:
    """Say which resource a url means; None if it is no question of ours."""
    try:
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
    except ValueError:
        return None
    more = {pair for pair in asked.items() if pair[0] not in _REACH}
    path = parts.path.rstrip("/")
    if path.endswith(f"/{BATCH}"):
        return Identity(frozenset({("path", BATCH), *more}))
    found = _PATH.search(path)
    if found is None:
        return None
    what, rest = found[2], found[3] or ""
    window = frozenset[tuple[str, str]]()
    if what == CHART:
        day = _OF_MINUTES.fullmatch(rest)
        if day is not None and "chartByDay" not in asked:
            what, window = MINUTES, frozenset({("date", day[1])})
        elif rest == "dynamic":
            # A document of another kind.
            return None
    symbol = unquote(found[1]).upper()
    return Identity(frozenset({("path", what), ("symbol", symbol), *more}), window)


def body_span(url: str, body: bytes) -> Span | None:
    """Return the time that recorded bars cover; None if there are none to read."""
    found = identity(url)
    path = dict(found.resource).get("path") if found is not None else None
    try:
        if path == CHART:
            times, last_ns = read_days(body, Adjustment.SPLIT).open_time_ns, DAY_NS
        elif path in {MINUTES, TODAY}:
            times, last_ns = read_minutes(body).open_time_ns, MINUTE_NS
        else:
            return None
    except ProviderError:
        return None
    if not len(times):
        return None
    return Span(int(np.min(times)), int(np.max(times)) + last_ns)
