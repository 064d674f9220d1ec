"""How Connect writes messages on the wire: bare, in envelopes, and as failures."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from ingestion_server.ports.rpc import Detail, RpcFailedError

STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "canceled": 499,
        "unknown": 500,
        "invalid_argument": 400,
        "deadline_exceeded": 504,
        "not_found": 404,
        "already_exists": 409,
        "permission_denied": 403,
        "resource_exhausted": 429,
        "failed_precondition": 400,
        "aborted": 409,
        "out_of_range": 400,
        "unimplemented": 501,
        "internal": 500,
        "unavailable": 503,
        "data_loss": 500,
        "unauthenticated": 401,
    }
)
"""The HTTP status that goes with each code, as the protocol has it."""
_PREFIX: Final = 5
_LAST: Final = 0b10


def failure(error: RpcFailedError) -> dict[str, object]:
    """Return a failure as its JSON has it."""
    told: dict[str, object] = {"code": error.code, "message": error.message}
    if error.details:
        told["details"] = [_detail(detail) for detail in error.details]
    return told


def written(error: RpcFailedError) -> bytes:
    """Return a failure as the body of an answer."""
    return msgspec.json.encode(failure(error))


def opened(body: bytes) -> bytes:
    """
    Return the one message of a request.

    Raises:
        RpcFailedError: It is not one message, or compressed.

    """
    if len(body) < _PREFIX or len(body) != _PREFIX + int.from_bytes(body[1:_PREFIX]):
        raise RpcFailedError(
            "invalid_argument",
            "expected one message in an envelope: a byte 0, its length in 4 bytes, "
            "and the message",
        )
    if body[0]:
        raise RpcFailedError("unimplemented", "compressed messages are not read here")
    return body[_PREFIX:]


def enveloped(message: bytes) -> bytes:
    """Return one of several messages."""
    return b"\0" + len(message).to_bytes(4) + message


def ended(error: RpcFailedError | None) -> bytes:
    """Return what stands after the last message."""
    told: dict[str, object] = {}
    if error is not None:
        told["error"] = failure(error)
        if error.headers:
            told["metadata"] = {name: [value] for name, value in error.headers.items()}
    body = msgspec.json.encode(told)
    return bytes([_LAST]) + len(body).to_bytes(4) + body


def _detail(detail: Detail) -> dict[str, object]:
    told: dict[str, object] = {
        "type": detail.kind,
        "value": base64.b64encode(detail.value).decode().rstrip("="),
    }
    if detail.json is not None:
        told["debug"] = msgspec.Raw(detail.json)
    return told
