"""Streams that outlast broken connections, with and without asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

import grpc
from marketdata.ingestion.v1 import ingestion_service_pb2, ingestion_service_pb2_grpc

from ingestion_server.client.errors import IngestionClientError
from ingestion_server.client.status import failure
from ingestion_server.client.stream_course import Course, StreamMessage
from ingestion_server.client.stream_items import StreamItem

_Response = ingestion_service_pb2.StreamQuotesResponse


class Stream:
    """
    Yield live data until the caller leaves, over as many connections as it takes.

        async with client.stream("AAPL", "TSLA") as stream:
            async for item in stream:
                ...

    A connection that breaks, or over which not even a heartbeat comes, is made anew,
    and the stream goes on after what was yielded last. An item is yielded once; what
    is missing is told by an event of the kind ``gap``, in its place.
    """

    def __init__(self, course: Course, channel: grpc.aio.Channel) -> None:
        """Begin when the first item is asked for."""
        self._course: Final = course
        self._stub: Final = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        self._call: (
            grpc.aio.UnaryStreamCall[
                ingestion_service_pb2.StreamQuotesRequest, _Response
            ]
            | None
        ) = None
        self._responses: AsyncIterator[_Response]
        self._pending: deque[StreamItem] = deque()
        self._closed = asyncio.Event()

    @property
    def interruptions(self) -> int:
        """How many connections were lost."""
        return self._course.interruptions

    @property
    def last_error(self) -> IngestionClientError | None:
        """Why the last connection was lost or not made; None = it never was."""
        return self._course.last_error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamItem:
        """
        Wait for the next item.

        Raises:
            IngestionClientError: what asking again does not change; before anything
                was heard, whatever keeps the server from answering.

        """
        while not self._pending:
            message = await self._message()
            if message is None:
                raise StopAsyncIteration
            self._pending += message.items
        return self._pending.popleft()

    async def messages(self) -> AsyncGenerator[StreamMessage, None]:
        """Yield the same as it comes: some items at a time; else see above."""
        while (message := await self._message()) is not None:
            yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the stream; who waits for an item hears that there is none."""
        self._closed.set()
        self._hang_up()

    async def _message(self) -> StreamMessage | None:
        """Wait for a message with news, however long; None = the stream is over."""
        while not self._closed.is_set():
            try:
                heard = await self._receive()
            except IngestionClientError as error:
                self._hang_up()
                await self._pause(error)
            except BaseException:
                # One who waits no longer may come back, and goes on where it broke.
                self._hang_up()
                raise
            else:
                if heard is None:
                    await self.aclose()
                    return None
                message = self._course.hear(heard, time.time_ns())
                if message.items:
                    return message
        return None

    async def _receive(self) -> _Response | None:
        """Wait for a message; None = this end has closed the connection."""
        try:
            if self._call is None:
                self._call = self._stub.StreamQuotes(
                    self._course.open(time.monotonic())
                )
                self._responses = aiter(self._call)
            async with asyncio.timeout(self._course.silence_seconds):
                return await anext(self._responses)
        except StopAsyncIteration:
            raise self._course.ended() from None
        except TimeoutError:
            raise self._course.silent() from None
        except grpc.RpcError as error:
            raise failure(error, self._course.target) from error
        except grpc.aio.UsageError:
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # It is the call that was cancelled, with its channel or by `aclose`.
            return None

    async def _pause(self, error: IngestionClientError) -> None:
        try:
            seconds = self._course.lose(error, time.monotonic())
        except IngestionClientError:
            self._closed.set()
            raise
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class SyncStream:
    """
    Yield live data until the caller leaves; see `Stream`.

        with client.stream("AAPL", "TSLA") as stream:
            for item in stream:
                ...

    One thread reads it; any other may close it.
    """

    def __init__(self, course: Course, channel: grpc.Channel) -> None:
        """Begin when the first item is asked for."""
        self._course: Final = course
        self._stub: Final = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        self._line: _Line | None = None
        self._pending: deque[StreamItem] = deque()
        self._closed = threading.Event()

    @property
    def interruptions(self) -> int:
        """How many connections were lost."""
        return self._course.interruptions

    @property
    def last_error(self) -> IngestionClientError | None:
        """Why the last connection was lost or not made; None = it never was."""
        return self._course.last_error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamItem:
        """Wait for the next item; see `Stream.__anext__`."""
        while not self._pending:
            message = self._message()
            if message is None:
                raise StopIteration
            self._pending += message.items
        return self._pending.popleft()

    def messages(self) -> Iterator[StreamMessage]:
        """Yield the same as it comes: some items at a time."""
        while (message := self._message()) is not None:
            yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Nobody else would end the call of one who just left the loop.
        self.close()

    def close(self) -> None:
        """Leave the stream; who waits for an item hears that there is none."""
        self._closed.set()
        self._hang_up()

    def _message(self) -> StreamMessage | None:
        """Wait for a message with news, however long; None = the stream is over."""
        while not self._closed.is_set():
            try:
                heard = self._receive()
            except IngestionClientError as error:
                self._hang_up()
                if self._closed.is_set():
                    return None
                self._pause(error)
            except BaseException:
                # One who was interrupted may come back, and goes on where it broke.
                self._hang_up()
                raise
            else:
                if heard is None:
                    self.close()
                    return None
                message = self._course.hear(heard, time.time_ns())
                if message.items:
                    return message
        return None

    def _receive(self) -> _Response | None:
        """Wait for a message; None = this end has closed the connection."""
        line = self._line
        if line is None:
            request = self._course.open(time.monotonic())
            try:
                call = self._stub.StreamQuotes(request)
            except ValueError:
                # The channel is closed.
                return None
            line = self._line = _Line(call, self._course.silence_seconds)
            if self._closed.is_set():
                # By another thread, which found nothing to hang up.
                return None
        try:
            return line.receive()
        except StopIteration:
            raise self._course.ended() from None
        except grpc.RpcError as error:
            if line.silent:
                raise self._course.silent() from None
            raise failure(error, self._course.target) from error

    def _pause(self, error: IngestionClientError) -> None:
        try:
            seconds = self._course.lose(error, time.monotonic())
        except IngestionClientError:
            self._closed.set()
            raise
        self._closed.wait(seconds)

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()


class _Call(Protocol):
    """Be gRPC's call, whose own type has no public name."""

    def __next__(self) -> _Response: ...

    def cancel(self) -> bool: ...


class _Line:
    """Be one connection, which is cut when it is silent for too long."""

    def __init__(
        self,
        call: _Call,
        silence_seconds: float,
    ) -> None:
        self.silent = False
        self._call: Final = call
        self._silence_seconds: Final = silence_seconds
        self._waiting_since: float | None = None
        self._over: Final = threading.Event()
        # gRPC itself waits without end.
        threading.Thread(target=self._guard, name="stream-guard", daemon=True).start()

    def receive(self) -> _Response:
        """Wait for a message."""
        self._waiting_since = time.monotonic()
        try:
            return next(self._call)
        finally:
            self._waiting_since = None

    def hang_up(self) -> None:
        """End the call."""
        self._over.set()
        self._call.cancel()

    def _guard(self) -> None:
        while not self._over.wait(self._silence_seconds / 8):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self._silence_seconds:
                self.silent = True
                self._call.cancel()
                return
