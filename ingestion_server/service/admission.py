"""How a call enters and leaves: counted, named, and never with a raw exception."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.rpc import status_pb2

from ingestion_server.domain.errors import (
    IngestionError,
    ServerStoppingError,
)
from ingestion_server.ports.hooks import OnRpc, RpcDetails
from ingestion_server.ports.tracing import (
    NO_SPAN,
    Here,
    Kind,
    Span,
    Tracer,
    enter,
    new_trace_number,
    span,
    trace_id_of,
)
from ingestion_server.service.listeners import Listeners
from ingestion_server.service.places import Places
from ingestion_server.service.statuses import (
    FAULTS_OF_SERVERS,
    INTERNAL,
    code_of,
    internal,
    status_of,
)
from ingestion_server.service.trace_context import TRACEPARENT, TRACESTATE, caller_of

Context = grpc.aio.ServicerContext[Any, Any]
_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_STOPPING: Final = "this server is stopping"
_log: Final = logging.getLogger(__name__)
_PROCESS: Final = uuid.uuid4().hex[:16]
"""Half of each request's id; the other half is its number."""
_numbers: Final = itertools.count(1)
_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_HEADERS: Final = frozenset({TRACEPARENT, TRACESTATE, "x-request-id"})
_PACKAGE: Final = "marketdata.ingestion.v1"


class Door:
    """Let in so many calls at once, and none while the server stops."""

    def __init__(
        self,
        most_calls: int,
        *,
        most_watchers: int = 64,
        most_streams: int = 2_048,
        hooks: Sequence[OnRpc] = (),
        tracer: Tracer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Set up.

        Args:
            most_calls: how many calls may be inside at once.
            most_watchers: the same of calls that last until their caller leaves.
            most_streams: the same of streams of live data.
            hooks: hear of each call when it is over.
            tracer: records traces; None = nobody does.
            monotonic: tells how long it took, in seconds.

        """
        self._calls = Places(most_calls, "calls are being answered")
        self._watchers = Places(most_watchers, "calls watch")
        self._streams = Places(most_streams, "streams are being served")
        self._closed = asyncio.Event()
        self._left = asyncio.Event()
        self.listeners = Listeners(hooks)
        self.tracer = tracer
        """Records the traces of calls that come from now on."""
        self.started: Counter[str] = Counter()
        """How many came since the start, by service and method."""
        self.monotonic = monotonic

    @property
    def inside(self) -> Mapping[str, int]:
        """Return how many calls, watchers and streams are inside."""
        return {
            "calls": self._calls.taken,
            "watchers": self._watchers.taken,
            "streams": self._streams.taken,
        }

    @property
    def limits(self) -> Mapping[str, int]:
        """Return how many calls, watchers and streams may be inside."""
        return {
            "calls": self._calls.most,
            "watchers": self._watchers.most,
            "streams": self._streams.most,
        }

    @property
    def closed(self) -> bool:
        """Return whether nobody is let in any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let nobody in any more; who is inside finishes, who watches is sent away."""
        self._closed.set()
        self._tell_if_left()

    async def left(self) -> None:
        """Wait until the door is closed and nobody is inside."""
        await self._left.wait()

    def call(self, context: Context, rpc: str) -> Visit:
        """
        Return what yields the request's id, and ends a call that fails.

        ``rpc`` names the service, without its package, and the method.
        """
        return Visit(self, self._calls, context, rpc)

    def watch(self, context: Context, rpc: str) -> Visit:
        """
        Do what ``call`` does for a call that lasts until its caller leaves.

        It takes no place of a call, and nobody waits for it once the door is closed:
        it would never leave by itself.
        """
        return Visit(self, self._watchers, context, rpc, is_lasting=True)

    def stream(self, context: Context, rpc: str) -> Visit:
        """Do what ``watch`` does for live data, which have places of their own."""
        return Visit(self, self._streams, context, rpc, is_lasting=True)

    def enter(self, places: Places) -> None:
        """
        Take a place.

        Raises:
            ServerStoppingError: The door is closed.
            CallerThrottledError: There is none.

        """
        if self._closed.is_set():
            raise ServerStoppingError(_STOPPING)
        places.take()

    def leave(self, places: Places) -> None:
        """Give a place back."""
        places.taken -= 1
        self._tell_if_left()

    async def while_open(self, work: Coroutine[Any, Any, None]) -> None:
        """
        Do some work that may take long.

        Raises:
            ServerStoppingError: The door was closed before it was done.

        """
        task = asyncio.ensure_future(work)
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait((task, closed), return_when=asyncio.FIRST_COMPLETED)
            if self._closed.is_set():
                raise ServerStoppingError(_STOPPING)
            task.result()
        finally:
            for each in (task, closed):
                each.cancel()
            await asyncio.gather(task, closed, return_exceptions=True)

    def _tell_if_left(self) -> None:
        if self._closed.is_set() and not self._calls.taken:
            self._left.set()


class Visit:
    """
    Be one call from its coming to its end, as an async context manager.

    It yields the request's id. A failure within it becomes the status of the call. It
    is no generator, since every call pays for it.
    """

    __slots__ = (
        "_came_seconds",
        "_context",
        "_door",
        "_is_lasting",
        "_places",
        "_request_id",
        "_rpc",
        "_span",
        "_trace_id",
        "_trace_number",
    )

    def __init__(
        self,
        door: Door,
        places: Places,
        context: Context,
        rpc: str,
        *,
        is_lasting: bool = False,
    ) -> None:
        self._door = door
        self._places = places
        self._context = context
        self._rpc = rpc
        self._is_lasting = is_lasting
        self._came_seconds = door.monotonic()
        self._begin(context)

    def at_once(
        self, known: Callable[[_Asked, str], _Answer | None], asked: _Asked
    ) -> _Answer | None:
        """
        Return what is known already, with the request's id; None = come in and ask.

        It takes no place, since nobody waits meanwhile. While the server stops, nothing
        is known any more.
        """
        door = self._door
        if door.closed:
            return None
        try:
            if self._span is NO_SPAN:
                answer = known(asked, self._request_id)
            else:
                answer = self._recorded(known, asked)
        except Exception:  # noqa: BLE001 - a defect of what is kept costs no answer
            _log.exception("request %s met a defect of what is known", self._request_id)
            return None
        if answer is not None:
            door.started[self._rpc] += 1
            self._over(grpc.StatusCode.OK)
        return answer

    def _recorded(
        self, known: Callable[[_Asked, str], _Answer | None], asked: _Asked
    ) -> _Answer | None:
        self._enter()
        with span("cache look-up") as part:
            answer = known(asked, self._request_id)
            part.set("ingestion.layer", "answers")
            part.set("ingestion.outcome", "miss" if answer is None else "hit")
        return answer

    def _enter(self) -> None:
        # The task is gRPC's, and of this call alone.
        enter(Here(self._request_id, self._named(), self._span))

    async def __aenter__(self) -> str:
        self._enter()
        self._door.started[self._rpc] += 1
        try:
            self._door.enter(self._places)
        except IngestionError as error:
            await self._fail(error)
        return self._request_id

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._door.leave(self._places)
        if error is None:
            self._over(grpc.StatusCode.OK)
        elif isinstance(error, IngestionError):
            await self._fail(error)
        elif isinstance(error, Exception):
            _log.exception("request %s met a defect", self._request_id, exc_info=error)
            status = internal(self._request_id)
            self._over(grpc.StatusCode.INTERNAL, INTERNAL, status.message)
            await self._abort(status)
        else:
            # The caller left, or the process does.
            self._over(grpc.StatusCode.CANCELLED)

    def _begin(self, context: Context) -> None:
        """Find out which request it is, and of which trace; record it if that is."""
        request_id = parent = state = ""
        for name, value in context.invocation_metadata() or ():
            if name not in _HEADERS or not isinstance(value, str):
                continue
            if name == TRACEPARENT:
                parent = value
            elif name == TRACESTATE:
                state = value
            elif _REQUEST_ID.fullmatch(value):
                request_id = request_id or value
        self._request_id = request_id or f"{_PROCESS}{next(_numbers):016x}"
        caller = caller_of(parent, state) if parent else None
        self._trace_id = "" if caller is None else caller.trace_id
        self._trace_number = number = 0 if caller else new_trace_number()
        self._span: Span = NO_SPAN
        tracer = self._door.tracer
        if tracer is not None and (
            tracer.takes(number) if caller is None else caller.is_recorded
        ):
            method = f"{_PACKAGE}.{self._rpc}"
            self._span = tracer.begin(
                method, Kind.SERVER, trace_id=self._named(), parent=caller
            )
            self._span.set("rpc.system.name", "grpc")
            self._span.set("rpc.method", method)
            self._span.set("ingestion.request_id", self._request_id)

    def _named(self) -> str:
        """Return the id of its trace, which most calls never need."""
        if not self._trace_id:
            self._trace_id = trace_id_of(self._trace_number)
        return self._trace_id

    def _over(self, code: grpc.StatusCode, reason: str = "", message: str = "") -> None:
        """Let those hear who listen that it is over."""
        recorded = self._span
        if recorded is not NO_SPAN:
            recorded.set("rpc.response.status_code", code.name)
            if code in FAULTS_OF_SERVERS:
                recorded.fail(reason, message)
            elif reason:
                recorded.set("error.type", reason)
            recorded.end()
        seconds = self._door.monotonic() - self._came_seconds
        if code is grpc.StatusCode.OK:
            self._door.listeners.answered(
                self._rpc,
                None if self._is_lasting else seconds,
                "" if recorded is NO_SPAN else self._named(),
            )
        else:
            self._door.listeners.failed(
                RpcDetails(
                    rpc=self._rpc,
                    is_lasting=self._is_lasting,
                    seconds=seconds,
                    code=code.name,
                    request_id=self._request_id,
                    trace_id=self._named(),
                    is_sampled=recorded is not NO_SPAN,
                    reason=reason,
                    message=message,
                )
            )
        enter(None)

    async def _fail(self, error: IngestionError) -> None:
        self._over(code_of(error), error.reason, error.message)
        await self._abort(status_of(error))

    async def _abort(self, status: status_pb2.Status) -> None:
        trailers = [
            ("grpc-status-details-bin", status.SerializeToString()),
            ("x-request-id", self._request_id),
            ("x-trace-id", self._named()),
        ]
        if not self._door.closed:
            # The vendors were asked as often as is good for them; a client that
            # retries by itself would only cost their quota. Another server may
            # answer once this one stops.
            trailers.append(("grpc-retry-pushback-ms", "-1"))
        await self._context.abort(
            _STATUS_CODES[status.code],
            status.message,
            trailing_metadata=tuple(trailers),
        )
