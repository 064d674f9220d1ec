"""How a call enters and leaves: counted, named, and never with a raw exception."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio

from ingestion_server.domain.errors import (
    CallerThrottledError,
    IngestionError,
    ServerStoppingError,
)
from ingestion_server.service.statuses import internal, status_of

Context = grpc.aio.ServicerContext[Any, Any]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_RETRY_SECONDS: Final = 0.5
_STOPPING: Final = "this server is stopping"
_log: Final = logging.getLogger(__name__)
_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class Door:
    """Let in so many calls at once, and none while the server stops."""

    def __init__(self, most_calls: int, *, most_watchers: int = 64) -> None:
        self._most_calls = most_calls
        self._most_watchers = most_watchers
        self._inside = 0
        self._watching = 0
        self._closed = asyncio.Event()
        self._left = asyncio.Event()

    def close(self) -> None:
        """Let nobody in any more; who is inside finishes, who watches is sent away."""
        self._closed.set()
        self._tell_if_left()

    async def left(self) -> None:
        """Wait until the door is closed and nobody is inside."""
        await self._left.wait()

    @asynccontextmanager
    async def call(self, context: Context) -> AsyncIterator[str]:
        """Yield the request's id; end the call with a status if it fails."""
        async with self._answered(context) as request_id:
            self._check(self._inside, self._most_calls, "calls are being answered")
            self._inside += 1
            try:
                yield request_id
            finally:
                self._inside -= 1
                self._tell_if_left()

    @asynccontextmanager
    async def watch(self, context: Context) -> AsyncIterator[str]:
        """
        Do what ``call`` does for a call that lasts until its caller leaves.

        It takes no place of a call, and nobody waits for it once the door is closed:
        it would never leave by itself.
        """
        async with self._answered(context) as request_id:
            self._check(self._watching, self._most_watchers, "calls watch")
            self._watching += 1
            try:
                yield request_id
            finally:
                self._watching -= 1

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

    @asynccontextmanager
    async def _answered(self, context: Context) -> AsyncIterator[str]:
        request_id = _request_id(context)
        try:
            yield request_id
        except IngestionError as error:
            status = status_of(error)
        except Exception as error:
            if isinstance(error, grpc.aio.AbortError):
                raise
            _log.exception("request %s met a defect", request_id)
            status = internal(request_id)
        else:
            return
        trailers = [
            ("grpc-status-details-bin", status.SerializeToString()),
            ("x-request-id", request_id),
        ]
        if not self._closed.is_set():
            # The vendors were asked as often as is good for them; a client that
            # retries by itself would only cost their quota. Another server may
            # answer once this one stops.
            trailers.append(("grpc-retry-pushback-ms", "-1"))
        await context.abort(
            _STATUS_CODES[status.code],
            status.message,
            trailing_metadata=tuple(trailers),
        )

    def _tell_if_left(self) -> None:
        if self._closed.is_set() and not self._inside:
            self._left.set()

    def _check(self, inside: int, most: int, doing: str) -> None:
        if self._closed.is_set():
            raise ServerStoppingError(_STOPPING)
        if inside >= most:
            raise CallerThrottledError(
                f"{most} {doing}, which is the most",
                limit=most,
                retry_after_seconds=_RETRY_SECONDS,
            )


def _request_id(context: Context) -> str:
    for name, value in context.invocation_metadata() or ():
        if (
            name == "x-request-id"
            and isinstance(value, str)
            and _REQUEST_ID.fullmatch(value)
        ):
            return value
    return uuid.uuid4().hex
