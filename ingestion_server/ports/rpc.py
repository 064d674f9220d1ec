"""How our own RPCs are called by who speaks no gRPC: as bytes, in either form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Form(StrEnum):
    """Name how messages are written."""

    JSON = "json"
    """As protobuf maps them to JSON, in UTF-8."""
    PROTO = "proto"
    """As protobuf writes them."""


class Method(msgspec.Struct, frozen=True):
    """Describe one RPC, as its contract declares it."""

    name: str
    """The full name of the service, and the method: ``a.v1.BarService/Fetch``."""
    streams: bool
    """Whether it answers with many messages."""
    only_reads: bool
    """Whether it declares that it has no side effects."""


class Question(msgspec.Struct, frozen=True):
    """Hold one call before it is made."""

    method: Method
    message: bytes
    form: Form
    """Of the message, and of the answers."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What goes with the call, such as ``traceparent``; names in lower case."""
    timeout_seconds: float | None = None
    """How long the caller waits; None = as long as the RPC itself allows."""


class Detail(msgspec.Struct, frozen=True):
    """Hold one of the messages that explain a failure."""

    kind: str
    """The full name of its type, such as ``google.rpc.ErrorInfo``."""
    value: bytes
    """As protobuf writes it."""
    json: bytes | None
    """The same as JSON; None if nobody here knows the type."""


class RpcFailedError(Exception):
    """Tell the status with which a call ended."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the status; ``code`` is gRPC's in small letters: ``not_found``."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.headers: Mapping[str, str] = headers or {}
        """What came with it, such as ``x-request-id``."""


class Rpcs(Protocol):
    """Call what this server serves; each call is counted as any other caller's."""

    @property
    def methods(self) -> Mapping[str, Method]:
        """Return what can be called, by name; none takes a stream of requests."""
        ...

    async def unary(self, question: Question) -> bytes:
        """
        Return the one answer; a caller that is cancelled takes the call with it.

        Raises:
            RpcFailedError: There is none.

        """
        ...

    def stream(self, question: Question) -> AsyncIterator[bytes]:
        """
        Yield each answer; whoever stops iterating must close it, which ends the call.

        Raises:
            RpcFailedError: It ended otherwise than well.

        """
        ...
