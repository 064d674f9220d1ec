"""
The contract over HTTP, by the Connect protocol: what the page speaks, and curl can.

``POST /marketdata.ingestion.v1.ProviderService/ListProviders`` with JSON is answered
with JSON. Nothing is decided here: each call goes to the port, as every caller's does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Final, cast

from aiohttp import web

from ingestion_server.ports.rpc import Form, Method, Question, RpcFailedError, Rpcs
from ingestion_server.web import envelopes
from ingestion_server.web.guard import Guard

MOST_CALLS: Final = 16
"""At a time. A page makes few; whoever wants more has the gRPC port."""
MOST_STREAMS: Final = 32
"""The same of answers that go on; each page holds up to three."""
LARGEST_REQUEST: Final = 64 * 1024

_READ_SECONDS: Final = 10.0
"""What a request may take to arrive."""
_WRITE_SECONDS: Final = 30.0
"""What a message may take to leave; who has not read by then is gone."""
_LONGEST_SECONDS: Final = 150.0
"""What a call may take that names no time; longer than any RPC allows itself."""
_LONGEST_METADATA: Final = 512
_FORWARDED: Final = ("traceparent", "tracestate", "x-request-id")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,10}")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
_UNARY: Final[Mapping[str, Form]] = MappingProxyType(
    {"application/json": Form.JSON, "application/proto": Form.PROTO}
)
_STREAMED: Final[Mapping[str, Form]] = MappingProxyType(
    {"application/connect+json": Form.JSON, "application/connect+proto": Form.PROTO}
)

RpcsNow = Callable[[], Rpcs]
"""Return what can be called; raises ``RpcFailedError`` while nothing can."""


class _Places:
    """Count what is under way, and refuse what is too much."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        if self._taken >= self._most:
            raise RpcFailedError(
                "resource_exhausted",
                f"{self._most} {self._what} are under way at this door, which is the "
                "most; the gRPC port takes more",
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


def routes(rpcs: RpcsNow, guard: Guard) -> list[web.RouteDef]:
    """Return the one route that leads to every RPC."""
    calls = _Places(MOST_CALLS, "calls")
    streams = _Places(MOST_STREAMS, "streams")

    async def call(request: web.Request) -> web.StreamResponse:
        """Answer one RPC."""
        try:
            guard.check_origin(request)
            known, method = _method(rpcs, request)
            guard.check_method(request, method)
            form = _form(request, method)
        except RpcFailedError as error:
            return refused(error)
        except _UnknownTypeError as error:
            return web.Response(status=415, headers={"Accept-Post": str(error)})
        if method.streams:
            return await _streamed(request, known, method, form, streams)
        try:
            with calls.one():
                question = await _question(request, method, form)
                response = web.Response(
                    body=await known.unary(question),
                    headers={"Content-Type": f"application/{form}"},
                )
                # Within the place: who does not read would keep an answer in memory,
                # and could ask for the next one.
                await _delivered(request, response)
                return response
        except RpcFailedError as error:
            return refused(error)

    return [web.post(r"/{service:[A-Za-z_][\w.]*\.[A-Za-z]\w*}/{method:\w+}", call)]


def refused(error: RpcFailedError) -> web.Response:
    """Return the answer to a call that failed."""
    headers = {
        name: value for name, value in error.headers.items() if name in _FORWARDED
    }
    if error.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        body=envelopes.written(error),
        status=envelopes.STATUSES.get(error.code, 500),
        headers={"Content-Type": "application/json", **headers},
    )


class _UnknownTypeError(Exception):
    """Name the content types that would be understood."""


def _method(rpcs: RpcsNow, request: web.Request) -> tuple[Rpcs, Method]:
    known = rpcs()
    name = f"{request.match_info['service']}/{request.match_info['method']}"
    method = known.methods.get(name)
    if method is None:
        raise RpcFailedError("unimplemented", f"there is no {name[:100]}")
    return known, method


def _form(request: web.Request, method: Method) -> Form:
    """Return how messages are written; never by a type that a plain form can send."""
    types = _STREAMED if method.streams else _UNARY
    form = types.get(request.content_type)
    if form is None:
        raise _UnknownTypeError(", ".join(types))
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise RpcFailedError("unimplemented", "compressed requests are not read here")
    return form


async def _question(request: web.Request, method: Method, form: Form) -> Question:
    try:
        async with asyncio.timeout(_READ_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise RpcFailedError(
            "deadline_exceeded", f"the request took longer than {_READ_SECONDS:g} s"
        ) from None
    except web.HTTPRequestEntityTooLarge as error:
        raise RpcFailedError(
            "resource_exhausted",
            f"a request may have {LARGEST_REQUEST} bytes; the gRPC port takes more",
        ) from error
    headers = {
        name: value
        for name in _FORWARDED
        if (value := request.headers.get(name, ""))
        and len(value) <= _LONGEST_METADATA
        and _PRINTABLE.fullmatch(value)
    }
    return Question(
        method,
        envelopes.opened(body) if method.streams else body,
        form,
        headers,
        _timeout_seconds(request, method),
    )


def _timeout_seconds(request: web.Request, method: Method) -> float | None:
    told = request.headers.get("Connect-Timeout-Ms", "")
    if _MILLISECONDS.fullmatch(told):
        # gRPC takes 0 for no time limit at all.
        return max(int(told), 1) / 1000
    return None if method.streams else _LONGEST_SECONDS


async def _streamed(
    request: web.Request, rpcs: Rpcs, method: Method, form: Form, places: _Places
) -> web.StreamResponse:
    """Answer with many messages; a failure is told behind the last of them."""
    response = web.StreamResponse(
        headers={"Content-Type": f"application/connect+{form}"}
    )
    await response.prepare(request)
    failed: RpcFailedError | None = None
    # Who has left is told nothing.
    with contextlib.suppress(ConnectionError), _hanging_up(request):
        try:
            with places.one():
                question = await _question(request, method, form)
                # The port yields from generators; closing one ends its call.
                answers = cast("AsyncGenerator[bytes, None]", rpcs.stream(question))
                async with aclosing(answers):
                    async for answer in answers:
                        await _sent(response, envelopes.enveloped(answer))
        except RpcFailedError as error:
            failed = error
        await _sent(response, envelopes.ended(failed))
        await response.write_eof()
    return response


async def _delivered(request: web.Request, response: web.Response) -> None:
    with contextlib.suppress(ConnectionError), _hanging_up(request):
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.prepare(request)
            await response.write_eof()


@contextlib.contextmanager
def _hanging_up(request: web.Request) -> Iterator[None]:
    """Close the connection of who has not read in time; it would stay open for ever."""
    try:
        yield
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()


async def _sent(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_SECONDS):
        await response.write(data)
