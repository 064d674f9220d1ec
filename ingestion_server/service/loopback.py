"""
Our own RPCs, called from within: what comes by another door goes through this one.

So there is one code path, and whatever holds for callers holds for those as well: they
are counted, bounded, given deadlines, named in the log and traced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Final, final

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, json_format
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from typing_extensions import override

from ingestion_server.ports.rpc import (
    Detail,
    Form,
    Method,
    Question,
    RpcFailedError,
    Rpcs,
)

_LARGEST_ANSWER: Final = 8 << 20
"""Of a stream, each message; a page has no use for more, and the loop other work."""
_LONG: Final = 4 * 1024
"""Translating more than this would hold up the loop, and with it every caller."""
_STATUS_DETAILS: Final = "grpc-status-details-bin"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _LARGEST_ANSWER),
    ("grpc.enable_retries", 0),
    ("grpc.primary_user_agent", "ingestion-server-web"),
    # Whatever proxy the environment names, it is not between us and ourselves.
    ("grpc.enable_http_proxy", 0),
)


@final
class Loopback(Rpcs):
    """Call the services behind one address of ours; close it when done."""

    def __init__(self, target: str, services: Iterable[str]) -> None:
        """
        Connect with the first call.

        Args:
            target: where they are served without TLS, such as ``unix:/run/door``.
            services: their full names.

        Raises:
            KeyError: A service is not known here.

        """
        pool = descriptor_pool.Default()
        self._descriptors = {
            f"{service}/{method.name}": method
            for service in services
            for method in pool.FindServiceByName(service).methods
            if not method.client_streaming
        }
        self._methods = {
            name: Method(
                name=name,
                streams=method.server_streaming,
                only_reads=method.GetOptions().idempotency_level
                == MethodOptions.NO_SIDE_EFFECTS,
            )
            for name, method in self._descriptors.items()
        }
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._translating = asyncio.Lock()

    async def close(self) -> None:
        """End what is under way, and the connection."""
        await self._channel.close(None)

    @property
    @override
    def methods(self) -> Mapping[str, Method]:
        """Return what can be called, by name."""
        return self._methods

    @override
    async def unary(self, question: Question) -> bytes:
        """
        Return the one answer.

        Raises:
            RpcFailedError: There is none.

        """
        method = self._descriptors[question.method.name]
        request = await self._request(method, question)
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            f"/{question.method.name}"
        )
        try:
            answer = await ask(
                request,
                timeout=question.timeout_seconds,
                metadata=tuple(question.headers.items()),
            )
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        return await self._answer(method, answer, question.form)

    @override
    async def stream(self, question: Question) -> AsyncGenerator[bytes, None]:
        """
        Yield each answer.

        Raises:
            RpcFailedError: It ended otherwise than well.

        """
        method = self._descriptors[question.method.name]
        request = await self._request(method, question)
        ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = (
            self._channel.unary_stream(f"/{question.method.name}")
        )
        call = ask(
            request,
            timeout=question.timeout_seconds,
            metadata=tuple(question.headers.items()),
        )
        try:
            async for answer in call:
                yield await self._answer(method, answer, question.form)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        finally:
            call.cancel()

    async def _request(self, method: MethodDescriptor, question: Question) -> bytes:
        """Return the request as protobuf writes it."""
        if question.form is Form.PROTO:
            return question.message
        return await self._translated(_read, method, question.message)

    async def _answer(
        self, method: MethodDescriptor, answer: bytes, form: Form
    ) -> bytes:
        if form is Form.PROTO:
            return answer
        return await self._translated(_written, method, answer)

    async def _translated(
        self,
        translate: Callable[[MethodDescriptor, bytes], bytes],
        method: MethodDescriptor,
        message: bytes,
    ) -> bytes:
        if len(message) <= _LONG:
            return translate(method, message)
        # One at a time: each thread takes its turns of the interpreter from the loop.
        async with self._translating:
            return await asyncio.to_thread(translate, method, message)


def _read(method: MethodDescriptor, text: bytes) -> bytes:
    """Return a request in JSON as protobuf writes it."""
    message: Message = GetMessageClass(method.input_type)()
    try:
        json_format.Parse(text or b"{}", message)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise RpcFailedError(
            "invalid_argument", f"this is no {method.input_type.name} in JSON: {error}"
        ) from error
    return message.SerializeToString()


def _written(method: MethodDescriptor, answer: bytes) -> bytes:
    """Return an answer as JSON."""
    message = GetMessageClass(method.output_type).FromString(answer)
    return _json(message)


def _json(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()


def _failure(error: grpc.aio.AioRpcError) -> RpcFailedError:
    """Return a status as the port has it."""
    details: list[Detail] = []
    headers: dict[str, str] = {}
    for name, value in error.trailing_metadata() or ():
        if isinstance(value, str):
            headers[name] = value
        elif name == _STATUS_DETAILS:
            details += _details(value)
    code = error.code().name.lower()
    # The other doors spell it with one l.
    return RpcFailedError(
        "canceled" if code == "cancelled" else code,
        error.details() or "",
        details,
        headers,
    )


def _details(value: bytes) -> list[Detail]:
    try:
        packed = status_pb2.Status.FromString(value).details
    except DecodeError:
        return []
    return [
        Detail(one.type_url.rpartition("/")[2], one.value, _shown(one))
        for one in packed
    ]


def _shown(packed: Packed) -> bytes | None:
    kind = packed.type_url.rpartition("/")[2]
    try:
        known = descriptor_pool.Default().FindMessageTypeByName(kind)
        return _json(GetMessageClass(known).FromString(packed.value))
    except (KeyError, DecodeError, json_format.Error):
        return None
