"""
Calls as spans of the caller's OpenTelemetry, continued by the server.

Without its SDK nothing is recorded; with one, or within a context that came from
elsewhere, each call tells the server of which trace it is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, Self, TypeVar

import grpc
import grpc.aio
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

_OURS: Final = "/marketdata."
"""How the methods begin that are traced: not those that ask for health."""
_TRACER: Final = trace.get_tracer("ingestion_server.client")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
T = TypeVar("T")

Begins = Callable[..., Any]
"""Begin a call of gRPC's; it returns the answer, or what answers later."""


class _Ended(Protocol):
    """Be a call that is over."""

    def code(self) -> Any:  # noqa: ANN401 - of asyncio it is awaited
        """Return how it ended."""
        ...


class TracedChannel(grpc.Channel):
    """Trace the calls of threads."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Make them on another channel."""
        self._channel = channel

    @override
    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with one answer."""
        made = self._channel.unary_unary(method, *args, **options)
        return _answered(method, made) if method.startswith(_OURS) else made

    @override
    def unary_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with many answers."""
        made = self._channel.unary_stream(method, *args, **options)
        return _streamed(method, made) if method.startswith(_OURS) else made

    @override
    def stream_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with many questions, of which there are none."""
        return self._channel.stream_unary(method, *args, **options)

    @override
    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with many of both, of which there are none."""
        return self._channel.stream_stream(method, *args, **options)

    @override
    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """Tell how the connection is."""
        self._channel.subscribe(callback, try_to_connect)

    @override
    def unsubscribe(self, callback: Any) -> None:
        """Tell that no longer."""
        self._channel.unsubscribe(callback)

    @override
    def close(self) -> None:
        """End all calls."""
        self._channel.close()

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *raised: object) -> None:
        self.close()


class TracedAioChannel(grpc.aio.Channel):
    """Trace the calls of an event loop."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Make them on another channel."""
        self._channel = channel

    @override
    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with one answer."""
        made = self._channel.unary_unary(method, *args, **options)
        return _begun(method, made) if method.startswith(_OURS) else made

    @override
    def unary_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with many answers."""
        made = self._channel.unary_stream(method, *args, **options)
        return _begun(method, made) if method.startswith(_OURS) else made

    @override
    def stream_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with many questions, of which there are none."""
        return self._channel.stream_unary(method, *args, **options)

    @override
    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what makes calls with many of both, of which there are none."""
        return self._channel.stream_stream(method, *args, **options)

    @override
    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return how the connection is."""
        return self._channel.get_state(try_to_connect)

    @override
    async def wait_for_state_change(
        self, last_observed_state: grpc.ChannelConnectivity
    ) -> None:
        """Wait until the connection is otherwise."""
        await self._channel.wait_for_state_change(last_observed_state)

    @override
    async def channel_ready(self) -> None:
        """Wait for the connection."""
        await self._channel.channel_ready()

    @override
    async def close(self, grace: float | None = None) -> None:
        """End all calls."""
        await self._channel.close(grace)

    @override
    async def __aenter__(self) -> Self:
        return self

    @override
    async def __aexit__(self, *raised: object) -> None:
        await self.close()


def _answered(method: str, made: Begins) -> Begins:
    def call(request: object, **options: Any) -> Any:  # noqa: ANN401 - gRPC's
        span = _span(method, options)
        if span is None:
            return made(request, **options)
        try:
            answer = made(request, **options)
        except grpc.RpcError as error:
            _end(span, error.code())
            raise
        except BaseException:
            _end(span, grpc.StatusCode.UNKNOWN)
            raise
        _end(span, grpc.StatusCode.OK)
        return answer

    return call


def _streamed(method: str, made: Begins) -> Begins:
    def call(request: object, **options: Any) -> Any:  # noqa: ANN401 - gRPC's
        span = _span(method, options)
        answers = _made(made, request, options, span)
        if span is not None:

            def over() -> None:
                _end(span, answers.code())

            if not answers.add_callback(over):
                over()
        return answers

    return call


def _begun(method: str, made: Begins) -> Begins:
    def call(request: object, **options: Any) -> Any:  # noqa: ANN401 - gRPC's
        span = _span(method, options)
        answer = _made(made, request, options, span)
        if span is not None:
            answer.add_done_callback(partial(_over, span))
        return answer

    return call


def _made(
    made: Begins, request: object, options: dict[str, Any], span: Span | None
) -> Any:  # noqa: ANN401 - gRPC's
    """Begin a call; one that does not begin, such as of a closed channel, is over."""
    try:
        return made(request, **options)
    except BaseException:
        if span is not None:
            _end(span, grpc.StatusCode.UNKNOWN)
        raise


def _over(span: Span, call: _Ended) -> None:
    _end(span, _known(call.code()))


def _known(coroutine: Coroutine[object, None, T]) -> T | None:
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    coroutine.close()
    return None


def _span(method: str, options: dict[str, Any]) -> Span | None:
    """Begin a span, and have the server told; None if there is no trace."""
    name = method[1:]
    span = _TRACER.start_span(name, kind=SpanKind.CLIENT)
    if not span.get_span_context().is_valid:
        return None
    if span.is_recording():
        span.set_attribute("rpc.system.name", "grpc")
        span.set_attribute("rpc.method", name)
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, trace.set_span_in_context(span))
    options["metadata"] = (*(options.get("metadata") or ()), *headers.items())
    return span


def _end(span: Span, code: grpc.StatusCode | None) -> None:
    if not span.is_recording():
        return
    if code is not None:
        span.set_attribute("rpc.response.status_code", code.name)
        if code is not grpc.StatusCode.OK:
            span.set_attribute("error.type", code.name)
            span.set_status(Status(StatusCode.ERROR))
    span.end()
