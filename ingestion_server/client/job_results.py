"""What has landed for a job, as iterators that outlast what breaks them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

import grpc
from marketdata.ingestion.v1 import job_service_pb2, job_service_pb2_grpc

from ingestion_server.client.errors import IngestionClientError
from ingestion_server.client.job_reading import JobResult, Reading
from ingestion_server.client.status import failure, failures_of

_Request = job_service_pb2.ReadResultsRequest
_Response = job_service_pb2.ReadResultsResponse
_FAREWELL_SECONDS: Final = 5.0


class Results:
    """
    Yield what has landed for a job, in that order.

        async with client.jobs.results(job_id, consumer="warehouse") as results:
            async for result in results:
                keep(result.bars.to_arrow())

    Whoever asks for the next result has done with the one before: it is acknowledged,
    soon after and at the latest when the iterator is closed or at its end. What was
    not acknowledged is told again to the same consumer, so each result is told at
    least once, whichever side is started again. Lost connections and restarts of the
    server are outlasted.
    """

    def __init__(
        self, reading: Reading, channel: grpc.aio.Channel, timeout_seconds: float
    ) -> None:
        """Begin when the first result is asked for."""
        self._reading: Final = reading
        self._stub: Final = job_service_pb2_grpc.JobServiceStub(channel)
        self._timeout: Final = timeout_seconds
        self._call: grpc.aio.UnaryStreamCall[_Request, _Response] | None = None
        self._responses: AsyncIterator[_Response] | None = None
        self._found = False
        self._closed = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobResult:
        """
        Wait for the next result.

        Raises:
            IngestionClientError: what asking again does not change; before the job
                was found, whatever keeps the server from answering.

        """
        self._reading.ask()
        while not self._closed.is_set():
            await self._find()
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
                if heard is not None:
                    return self._reading.hear(heard)
                self._hang_up()
                if self._reading.over():
                    self._closed.set()
        raise StopAsyncIteration

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
        """Acknowledge what was done with, and leave."""
        self._closed.set()
        self._hang_up()
        request = self._reading.farewell()
        if request is None:
            return
        # What cannot be acknowledged is told again.
        with suppress(grpc.RpcError, grpc.aio.UsageError):
            call = self._stub.ReadResults(request, timeout=_FAREWELL_SECONDS)
            try:
                await anext(aiter(call), None)
            finally:
                call.cancel()

    async def _find(self) -> None:
        """Make sure that there is a server, and a job to wait for."""
        if self._found:
            return
        request = job_service_pb2.GetJobRequest(job_id=self._reading.job_id)
        with failures_of(self._reading.target):
            await self._stub.GetJob(request, timeout=self._timeout)
        self._found = True

    async def _receive(self) -> _Response | None:
        """Wait for a message; None = there are no more."""
        now = time.monotonic()
        if self._reading.due(now):
            self._hang_up()
        try:
            if self._call is None or self._responses is None:
                self._call = self._stub.ReadResults(self._reading.open(now))
                self._responses = aiter(self._call)
            return await anext(self._responses)
        except StopAsyncIteration:
            return None
        except grpc.RpcError as error:
            raise failure(error, self._reading.target) from error
        except grpc.aio.UsageError:
            # The channel is closed.
            self._closed.set()
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # It is the call that was cancelled, with its channel or by `aclose`.
            self._closed.set()
            return None

    async def _pause(self, error: IngestionClientError) -> None:
        try:
            seconds = self._reading.lose(error)
        except IngestionClientError:
            self._closed.set()
            raise
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    def _hang_up(self) -> None:
        call, self._call, self._responses = self._call, None, None
        if call is not None:
            call.cancel()


class SyncResults:
    """
    Yield what has landed for a job, in that order; see `Results`.

        with client.jobs.results(job_id, consumer="warehouse") as results:
            for result in results:
                keep(result.bars.to_arrow())

    One thread reads it; any other may close it.
    """

    def __init__(
        self, reading: Reading, channel: grpc.Channel, timeout_seconds: float
    ) -> None:
        """Begin when the first result is asked for."""
        self._reading: Final = reading
        self._stub: Final = job_service_pb2_grpc.JobServiceStub(channel)
        self._timeout: Final = timeout_seconds
        self._call: _Call | None = None
        self._found = False
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[JobResult]:
        return self

    def __next__(self) -> JobResult:
        """Wait for the next result; see `Results.__anext__`."""
        self._reading.ask()
        while not self._closed.is_set():
            self._find()
            try:
                heard = self._receive()
            except IngestionClientError as error:
                self._hang_up()
                if not self._closed.is_set():
                    self._pause(error)
            except BaseException:
                # One who was interrupted may come back, and goes on where it broke.
                self._hang_up()
                raise
            else:
                if heard is not None:
                    return self._reading.hear(heard)
                self._hang_up()
                if self._reading.over():
                    self._closed.set()
        raise StopIteration

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
        self._hang_up()

    def close(self) -> None:
        """Acknowledge what was done with, and leave."""
        self._closed.set()
        self._hang_up()
        request = self._reading.farewell()
        if request is None:
            return
        # What cannot be acknowledged is told again; a closed channel is a ValueError.
        with suppress(grpc.RpcError, ValueError):
            call = self._stub.ReadResults(request, timeout=_FAREWELL_SECONDS)
            try:
                next(call, None)
            finally:
                call.cancel()

    def _find(self) -> None:
        """Make sure that there is a server, and a job to wait for."""
        if self._found:
            return
        request = job_service_pb2.GetJobRequest(job_id=self._reading.job_id)
        with failures_of(self._reading.target):
            self._stub.GetJob(request, timeout=self._timeout)
        self._found = True

    def _receive(self) -> _Response | None:
        """Wait for a message; None = there are no more."""
        now = time.monotonic()
        if self._reading.due(now):
            self._hang_up()
        if self._call is None:
            try:
                self._call = self._stub.ReadResults(self._reading.open(now))
            except ValueError:
                # The channel is closed.
                self._closed.set()
                return None
        try:
            return next(self._call, None)
        except grpc.RpcError as error:
            raise failure(error, self._reading.target) from error

    def _pause(self, error: IngestionClientError) -> None:
        try:
            seconds = self._reading.lose(error)
        except IngestionClientError:
            self._closed.set()
            raise
        self._closed.wait(seconds)

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class _Call(Protocol):
    """Be gRPC's call, whose own type has no public name."""

    def __iter__(self) -> Iterator[_Response]: ...

    def __next__(self) -> _Response: ...

    def cancel(self) -> bool: ...
