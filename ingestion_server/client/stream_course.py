"""What a stream asks for, what it makes of each message, and when it tries again."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import grpc
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client import wire
from ingestion_server.client.continuity import Continuity
from ingestion_server.client.errors import (
    DeadlineExceededError,
    FailureDetails,
    IngestionClientError,
    ServerError,
)
from ingestion_server.client.stream_items import StreamEvent, StreamItem

OnInterruption = Callable[[IngestionClientError], None]
"""What is called when a connection is lost that data came by."""

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_DOUBLED_AT_MOST: Final = 5
"""So often until the longest pause is reached."""
_HEARTBEATS_MISSED: Final = 3
_SHORTEST_SILENCE_SECONDS: Final = 2.0
_FOR_GOOD: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""What asking again does not change."""


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """Hold some of a stream that came together."""

    items: tuple[StreamItem, ...]
    """What happened, then quotes, trades and bars; each ascending within a symbol."""
    _answer: ingestion_service_pb2.StreamQuotesResponse = field(
        repr=False, compare=False
    )
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the StreamQuotesResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


class Course:
    """Decide what a stream does next; it waits for nothing and asks nobody."""

    def __init__(
        self,
        request: ingestion_service_pb2.StreamQuotesRequest,
        target: str,
        *,
        heartbeats: bool,
        on_interruption: OnInterruption | None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """
        Begin; `jitter` returns numbers from 0 to 1.

        Without `heartbeats`, they are heard but not told.
        """
        self.target: Final = target
        self.interruptions = 0
        self.last_error: IngestionClientError | None = None
        self.silence_seconds: Final = max(
            _SHORTEST_SILENCE_SECONDS,
            _HEARTBEATS_MISSED * wire.span(request.heartbeat_interval).total_seconds(),
        )
        self._request: Final = request
        self._continuity: Final = Continuity(request.kinds)
        self._heartbeats: Final = heartbeats
        self._on_interruption: Final = on_interruption
        self._jitter: Final = jitter
        self._begun = False
        self._live = False
        self._opened_at = 0.0
        self._failures = 0

    def open(self, now: float) -> ingestion_service_pb2.StreamQuotesRequest:
        """Return what to ask for over a new connection: what follows on the last."""
        self._opened_at = now
        self._continuity.reconnect()
        return self._request

    def hear(
        self, response: ingestion_service_pb2.StreamQuotesResponse, now_ns: int
    ) -> StreamMessage:
        """Read a message, and note where to go on after it."""
        self._begun = self._live = True
        if response.resume_token:
            self._request.resume_token = response.resume_token
        items, answer = self._continuity.check(response, now_ns)
        return StreamMessage(tuple(filter(self._wanted, items)), answer)

    def lose(self, error: IngestionClientError, now: float) -> float:
        """
        Return in how many seconds to connect again.

        Raises the error if that would not help, or if nothing was ever heard.
        """
        self.last_error = error
        if error.code in _FOR_GOOD or not self._begun:
            raise error
        if self._live:
            self.interruptions += 1
            self._live = False
            # One that breaks again and again is no reason to ask again and again.
            if now - self._opened_at >= _LONGEST_PAUSE_SECONDS:
                self._failures = 0
            if self._on_interruption is not None:
                self._on_interruption(error)
        longest = math.ldexp(
            _FIRST_PAUSE_SECONDS, min(self._failures, _DOUBLED_AT_MOST)
        )
        self._failures += 1
        return self._jitter() * min(longest, _LONGEST_PAUSE_SECONDS)

    def ended(self) -> IngestionClientError:
        """Return what to say of a stream that the server ended without a reason."""
        return ServerError(f"{self.target} ended the stream without a reason")

    def silent(self) -> IngestionClientError:
        """Return what to say of a connection over which nothing was heard."""
        return DeadlineExceededError(
            f"nothing was heard from {self.target} for {self.silence_seconds:g} s",
            FailureDetails(code=grpc.StatusCode.DEADLINE_EXCEEDED),
        )

    def _wanted(self, item: StreamItem) -> bool:
        return (
            self._heartbeats
            or not isinstance(item, StreamEvent)
            or item.kind != "heartbeat"
        )
