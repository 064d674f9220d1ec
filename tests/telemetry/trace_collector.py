"""A collector of OpenTelemetry that keeps what spans it is sent, by either protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2_grpc as service_grpc,
)
from opentelemetry.proto.trace.v1 import trace_pb2

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Seen:
    """Be a span as it was sent."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]]
    links: Sequence[tuple[str, str]]
    is_error: bool
    message: str


class TraceCollector(service_grpc.TraceServiceServicer):
    """Keep spans; threads may look at them."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.resource: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self._news = threading.Condition()

    def Export(  # noqa: N802 - the name in the contract
        self, request: service.ExportTraceServiceRequest, context: Any
    ) -> service.ExportTraceServiceResponse:
        """Take spans over gRPC."""
        self.take(request, dict(context.invocation_metadata()))
        return service.ExportTraceServiceResponse()

    def take(
        self, request: service.ExportTraceServiceRequest, headers: dict[str, str]
    ) -> None:
        """Take spans."""
        with self._news:
            self.headers = headers
            for of_resource in request.resource_spans:
                self.resource = _attributes(of_resource.resource.attributes)
                for scope in of_resource.scope_spans:
                    self.spans += map(_seen, scope.spans)
            self._news.notify_all()

    def until(self, enough: Callable[[Sequence[Seen]], object]) -> Sequence[Seen]:
        """Wait until there are enough of them; blocks."""
        with self._news:
            assert self._news.wait_for(lambda: enough(self.spans), PATIENCE_SECONDS)
            return list(self.spans)

    def named(self, name: str) -> list[Seen]:
        """Return the spans of a name."""
        return [each for each in self.spans if each.name == name]

    def one(self, name: str) -> Seen:
        """Return the only span of a name."""
        (found,) = self.named(name)
        return found


@contextmanager
def over_grpc(collector: TraceCollector, port: int = 0) -> Iterator[str]:
    """Listen while the block lasts; yield where."""
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    service_grpc.add_TraceServiceServicer_to_server(collector, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"http://127.0.0.1:{bound}"
    finally:
        server.stop(0).wait()


@contextmanager
def over_http(collector: TraceCollector) -> Iterator[str]:
    """Listen while the block lasts; yield where."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                request = service.ExportTraceServiceRequest.FromString(body)
                collector.take(
                    request, {name.lower(): v for name, v in self.headers.items()}
                )
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _seen(span: trace_pb2.Span) -> Seen:
    return Seen(
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _attributes(span.attributes),
        [(event.name, _attributes(event.attributes)) for event in span.events],
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        span.status.message,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
