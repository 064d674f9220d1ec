"""
Take what a server sends of its traces and metrics, and count the spans.

It stands for the collector of an operator, so that nothing is measured without what a
server in use does beside its work. The count is kept in a file, for whoever checks that
there were any.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import uvloop
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

TRACES: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
METRICS: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"


def settings(url: str) -> Mapping[str, str]:
    """Return the settings with which a server sends all that to a collector."""
    return {"INGESTION_TELEMETRY__OTLP_ENDPOINT": f"http://{url}"}


def _keep(file: Path, count: int) -> None:
    file.write_text(str(count))


async def _serve(file: Path) -> None:
    count = 0

    async def traces(sent: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        nonlocal count
        del context
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(sent)
        for resource in request.resource_spans:
            count += sum(len(scope.spans) for scope in resource.scope_spans)
        _keep(file, count)
        return b""

    async def metrics(
        sent: bytes, context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        del sent, context
        return b""

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.unary_unary_rpc_method_handler(export)}
            )
            for service, export in ((TRACES, traces), (METRICS, metrics))
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"READY 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
