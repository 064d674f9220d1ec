"""Which handshake is meant for which vendor, and what the control calls may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from ingestion_server.sandbox.faults import FINNHUB, YAHOO
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.sockets.finnhub import FinnhubStream
from ingestion_server.sandbox.sockets.floor import Floor
from ingestion_server.sandbox.sockets.yahoo import YahooStream
from ingestion_server.sandbox.tape import Tape

_HOSTS: Final = {"ws.finnhub.io": FINNHUB, "streamer.finance.yahoo.com": YAHOO}
_PATHS: Final = {"/ws/finnhub": FINNHUB, "/ws/yahoo": YAHOO}
_PARAMETERS: Final = {"token": FINNHUB, "version": YAHOO}


def asks_for_stream(request: web.Request) -> bool:
    """Tell whether a request is a WebSocket's handshake."""
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def vendor_of(host: str, path: str, query: Mapping[str, str]) -> str:
    """Return whom a handshake is for; empty = nobody."""
    name, _, _ = host.lower().partition(":")
    if name in _HOSTS:
        return _HOSTS[name]
    if path in _PATHS:
        return _PATHS[path]
    return next((_PARAMETERS[one] for one in _PARAMETERS if one in query), "")


def floors(
    market: Market, tape: Tape, options: SandboxOptions, now_ns: Callable[[], int]
) -> Mapping[str, Floor]:
    """Return the streams of each vendor that has some."""
    return {
        FINNHUB: Floor(FinnhubStream(market, tape, options), now_ns),
        YAHOO: Floor(YahooStream(market, tape), now_ns),
    }
