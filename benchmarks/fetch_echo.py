"""
Answer every call with the bytes of a file: a server that does nothing but gRPC.

It is the reference, so it runs on the loop that our server runs on.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import uvloop

SERVICE: Final = "benchmarks.Echo"
METHOD: Final = "Fetch"


async def _serve(answer: bytes) -> None:
    async def fetch(
        question: bytes, context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        del question, context
        return answer

    server = grpc.aio.server()
    handlers = {METHOD: grpc.unary_unary_rpc_method_handler(fetch)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"READY 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]).read_bytes()))
