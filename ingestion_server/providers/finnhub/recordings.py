"""Which resource a recorded url holds, and which time its body covers."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.interval import label_ends
from ingestion_server.domain.query import Span
from ingestion_server.ports.provider import Identity
from ingestion_server.providers.finnhub import quotes
from ingestion_server.providers.finnhub.candles import read_series
from ingestion_server.providers.finnhub.declarations import (
    API_URL,
    CANDLES,
    DIVIDENDS,
    HOSTS,
    RESOLUTIONS,
    SPLITS,
    TICKS,
)

_ROOT: Final = urlsplit(API_URL).path
_KINDS: Final = {path: kind for kind, path in CANDLES.items()}
_INTERVALS: Final = {name: interval for interval, name in RESOLUTIONS.items()}
_WORTHLESS: Final = frozenset({"token"})
_REACH: Final = frozenset({"from", "to"})
"""Of what reaches over a stretch of time, not what is asked for; the body tells."""
_PLACES: Final = frozenset({"date", "skip", "limit"})
_DEFAULTS: Final = {TICKS: {"skip": "0"}}


def identity(url: str) -> Identity | None:
    """Say which resource a url means; None if it is no question of ours."""
    found = _asked(url)
    if found is None:
        return None
    path, asked = found
    told = {("path", path), *asked.items()}
    if path in _KINDS:
        if not {"symbol", "resolution"} <= asked.keys():
            return None
        return Identity(frozenset(each for each in told if each[0] not in _REACH))
    if path in {SPLITS, DIVIDENDS}:
        return Identity(frozenset(each for each in told if each[0] not in _REACH))
    window = frozenset(each for each in told if each[0] in _PLACES)
    return Identity(frozenset(told - window), window)


def body_span(url: str, body: bytes) -> Span | None:
    """Return the time that recorded candles cover; None if there are none to read."""
    found = _asked(url)
    if found is None or found[0] not in _KINDS:
        return None
    interval = _INTERVALS.get(found[1].get("resolution", ""))
    if interval is None:
        return None
    try:
        times = read_series(body, _KINDS[found[0]], interval).open_time_ns
    except ProviderError:
        return None
    if not len(times):
        return None
    ends = label_ends(np.asarray(times[-1:]), interval)
    return Span(int(times[0]), int(ends[0]))


def told_at_ns(body: bytes) -> int | None:
    """Return the time of the latest trade that a quote tells; None for all else."""
    return quotes.told_at_ns(body)


def _asked(url: str) -> tuple[str, dict[str, str]] | None:
    """Return the path and the parameters that say what is asked, in one spelling."""
    try:
        split = urlsplit(url)
        host = (split.hostname or "").lower()
        pairs = parse_qsl(split.query)
    except ValueError:
        return None
    path = split.path.rstrip("/")
    if host not in HOSTS or not path.startswith(_ROOT):
        return None
    path = path.removeprefix(_ROOT)
    if not path:
        return None
    asked = {
        name: value.strip().upper() if name == "symbol" else value.strip()
        for name, value in pairs
        if name not in _WORTHLESS and value.strip()
    }
    return path, {**_DEFAULTS.get(path, {}), **asked}
