"""
Finnhub's side of a streaming connection.

Its messages are ``{"type":"trade","data":[…]}``, up to about ten trades of mixed
symbols in no order [R], a text ping about once a minute [R], and errors. Nothing
acknowledges a subscription.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Final, final

import msgspec

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    NoDataUnexplainedError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.domain.ticks import Trade
from ingestion_server.ports.stream import Heard, Malformed, Refused
from ingestion_server.providers.finnhub.declarations import NAME, STREAM

_MILLISECOND_NS: Final = 1_000_000
_LONGEST_DETAIL: Final = 200
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854)]
"""Nanoseconds of more do not fit 64 bits."""
_Conditions = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]


class _Row(msgspec.Struct, gc=False, kw_only=True):
    """Hold a trade as Finnhub spells it, in its order, which is the fastest to read."""

    c: _Conditions | None = None
    p: float
    s: str
    t: _Milliseconds
    v: float | None = None


class _Frame(msgspec.Struct, gc=False, kw_only=True):
    """Hold a message."""

    data: list[_Row] | None = None
    type: str
    msg: str = ""


class _Subscription(msgspec.Struct):
    type: str
    symbol: str


_decoder: Final = msgspec.json.Decoder(_Frame)
_encoder: Final = msgspec.json.Encoder()
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading may raise: a deep nesting ends in ``RecursionError``."""

_REFUSALS: Final[tuple[tuple[str, type[ProviderError]], ...]] = (
    ("too many symbols", EntitlementMissingError),
    ("access to this resource", EntitlementMissingError),
    ("api key", CredentialsRefusedError),
    ("token", CredentialsRefusedError),
    ("unauthorized", CredentialsRefusedError),
    ("limit reached", QuotaExhaustedError),
    ("too many requests", QuotaExhaustedError),
)
"""What an error's text means by a part of it, the first that fits."""


@final
class FinnhubFeed:
    """Be the conversation with Finnhub over one connection."""

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return a message for each symbol."""
        return [_message("subscribe", symbol) for symbol in symbols]

    def unsubscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return a message for each symbol."""
        return [_message("unsubscribe", symbol) for symbol in symbols]

    def beat(self) -> Sequence[str]:
        """Return nothing: Finnhub needs to hear nothing."""
        return ()

    def hear(self, message: str | bytes, received_at_ns: int) -> Sequence[Heard]:
        """Return the trades of a message, and what was wrong with it."""
        try:
            frame = _decoder.decode(message)
        except _UNREADABLE:
            return _heard_by_rows(message, received_at_ns)
        if frame.type == "trade":
            rows = frame.data
            if rows is None:
                return (Malformed("finnhub sent a trade message without trades"),)
            # A call for each, and keywords, would take twice the time.
            return [
                Trade(
                    row.s,
                    row.t * _MILLISECOND_NS,
                    row.p,
                    row.v,
                    row.c or (),
                    "",
                    0,
                    received_at_ns,
                    NAME,
                )
                for row in rows
            ]
        return (_refused(frame.msg),) if frame.type == "error" else ()


def _trade(row: _Row, received_at_ns: int) -> Trade:
    # By position, which takes half the time of keywords.
    return Trade(
        row.s,
        row.t * _MILLISECOND_NS,
        row.p,
        row.v,
        row.c or (),
        "",
        0,
        received_at_ns,
        NAME,
    )


def _heard_by_rows(message: str | bytes, received_at_ns: int) -> Sequence[Heard]:
    """Read a message of which some part is wrong, and lose that part only."""
    try:
        # Unlike msgspec, it reads NaN, which is wrong in one row and not in all.
        frame: object = json.loads(message)
    except _UNREADABLE as error:
        return (_malformed(f"a message that cannot be read: {error}"),)
    kind = frame.get("type") if isinstance(frame, dict) else None
    if not isinstance(frame, dict) or not isinstance(kind, str):
        return (_malformed("a message without a type"),)
    if kind == "error":
        return (_refused(_writable(frame.get("msg"))),)
    if kind != "trade":
        return ()
    data = frame.get("data")
    if not isinstance(data, list):
        return (_malformed("a trade message without a list of trades"),)
    rows, wrong = list[_Row](), list[str]()
    for given in data:
        try:
            row = msgspec.convert(given, _Row)
            # Half a surrogate pair can be read, and not be written again.
            "".join((row.s, *(row.c or ()))).encode()
        except _UNREADABLE as error:
            wrong.append(str(error))
        else:
            rows.append(row)
    heard: list[Heard] = [_trade(row, received_at_ns) for row in rows]
    if wrong:
        heard.append(_malformed(f"{len(wrong)} of {len(data)} trades: {wrong[0]}"))
    return heard


def _refused(text: str) -> Refused:
    said = f"finnhub says: {text[:_LONGEST_DETAIL]}"
    lowered = text[:_LONGEST_DETAIL].lower()
    meant = next(
        (kind for part, kind in _REFUSALS if part in lowered), NoDataUnexplainedError
    )
    if meant is EntitlementMissingError:
        return Refused(EntitlementMissingError(said, provider=NAME, feature=STREAM))
    if meant is QuotaExhaustedError:
        return Refused(QuotaExhaustedError(said, provider=NAME, window="unpublished"))
    return Refused(meant(said, provider=NAME))


def _writable(text: object) -> str:
    """Return a text without halves of surrogate pairs, which no wire carries."""
    return str(text).encode(errors="replace").decode()


def _malformed(what: str) -> Malformed:
    return Malformed(f"finnhub sent {what}"[:_LONGEST_DETAIL])


def _message(kind: str, symbol: str) -> str:
    return _encoder.encode(_Subscription(kind, symbol)).decode()
