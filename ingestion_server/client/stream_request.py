"""What users ask of live data, as the message of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client import vocabulary
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import When, length, moment, several, usual_mode
from ingestion_server.client.vocabulary import number

HEARTBEAT_SECONDS = 5.0
"""How often a stream says that it lives unless it is told otherwise."""


class StreamOptions(TypedDict, total=False):
    """Everything that can be said about live data, besides the symbols."""

    kinds: str | Sequence[str]
    """trades, quotes or bars, or several of them; empty = trades."""
    providers: str | Sequence[str]
    """The vendors that may serve; empty = any."""
    mode: str | None
    """any, ordered or pinned; None = any, pinned for one provider, else ordered."""
    slow_consumer: str
    """
    What becomes of a caller that reads slower than data come: conflate (it gets the
    latest), drop_oldest, or disconnect, after which the stream is resumed.
    """
    batch_delay_seconds: float | None
    """How long items may be held back to share a message; None = 5 ms, at most 1 s."""
    heartbeat_seconds: float
    """How often the server says that the stream lives: 0.1 to 60, usually 5."""
    start: When | None
    """For bars: begin with history from this open time; None = with the present bar."""
    interval: str
    """Length of a bar: 1m, 5m, 15m, 30m or 1h."""
    session: str
    """The trades that count for bars: those of regular or of extended hours."""
    asset_class: str | None
    """equity, fx, crypto, index or future; None = told by the symbol."""
    exchange: str
    """Market identifier code, for example XLON; empty = the primary one."""


def stream_request(  # noqa: PLR0913 - these are the fields of the contract
    symbols: Sequence[str | Sequence[str]],
    *,
    kinds: str | Sequence[str] = (),
    providers: str | Sequence[str] = (),
    mode: str | None = None,
    slow_consumer: str = "conflate",
    batch_delay_seconds: float | None = None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    start: When | None = None,
    interval: str = "1m",
    session: str = "extended",
    asset_class: str | None = None,
    exchange: str = "",
) -> ingestion_service_pb2.StreamQuotesRequest:
    """
    Ask for live data of some instruments.

    Raises:
        InvalidOptionError: an option does not exist, or no symbol is named.

    """
    names = [name for each in symbols for name in several(each)]
    if not names:
        raise InvalidOptionError("a stream needs symbols that it is about")
    named = several(providers)
    request = ingestion_service_pb2.StreamQuotesRequest(
        symbols=names,
        kinds=[
            number(vocabulary.TICK_KINDS, kind, "kinds")
            for kind in several(kinds) or ["trades"]
        ],
        slow_consumer=number(vocabulary.SLOW_CONSUMERS, slow_consumer, "slow_consumer"),
        heartbeat_interval=length(heartbeat_seconds, "heartbeat_seconds"),
        interval=number(vocabulary.INTERVALS, interval, "interval"),
        session=number(vocabulary.SESSIONS, session, "session"),
        exchange=exchange,
    )
    policy = request.source_policy
    policy.providers.extend(named)
    policy.mode = number(vocabulary.MODES, mode or usual_mode(len(named)), "mode")
    if batch_delay_seconds is not None:
        request.max_batch_delay.CopyFrom(
            length(batch_delay_seconds, "batch_delay_seconds")
        )
    if start is not None:
        request.start.CopyFrom(moment(start, "start"))
    if asset_class is not None:
        request.asset_class = number(
            vocabulary.ASSET_CLASSES, asset_class, "asset_class"
        )
    return request
