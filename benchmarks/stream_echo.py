"""
Stream the messages of a file, again and again: a server that does nothing but gRPC.

It is the reference, so it runs on the loop that our server runs on. Who asks with
``once`` is sent the first message only, and nothing after that. It says where it
listens, and which process it is.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import uvloop

SERVICE: Final = "benchmarks.Echo"
METHOD: Final = "Stream"
ONCE: Final = b"once"
_LENGTH: Final = struct.Struct("<I")


def kept(messages: Iterable[bytes]) -> bytes:
    """Return messages as a file has them."""
    return b"".join(_LENGTH.pack(len(each)) + each for each in messages)


def _messages(content: bytes) -> Sequence[bytes]:
    messages, at = [], 0
    while at < len(content):
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        messages.append(content[at : at + length])
        at += length
    return messages


async def _serve(messages: Sequence[bytes]) -> None:
    async def stream(
        question: bytes, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        if question == ONCE:
            await context.write(messages[0])
            await asyncio.Event().wait()
        while True:
            for message in messages:
                await context.write(message)

    server = grpc.aio.server(options=(("grpc.max_concurrent_streams", 16_384),))
    handlers = {METHOD: grpc.unary_stream_rpc_method_handler(stream)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"READY 127.0.0.1:{port} {os.getpid()}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(_messages(Path(sys.argv[1]).read_bytes())))
