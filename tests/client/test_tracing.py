"""Calls continue the caller's trace, and cost nothing where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from ingestion_server.client import Client, SyncClient, tracing
from ingestion_server.client.errors import IngestionClientError
from tests.client.fakes import FakeServer, answer, chunk
from tests.client.telling import Refusal

FETCH = "marketdata.ingestion.v1.IngestionService/Fetch"
BATCH = "marketdata.ingestion.v1.IngestionService/FetchBatch"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Record the spans of the calling program."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_TRACER", provider.get_tracer("program"))
    yield kept
    provider.shutdown()


def sent(server: FakeServer) -> str:
    """Return what the server was told of the trace."""
    return str(server.service.metadata["traceparent"])


def header(span: ReadableSpan) -> str:
    """Return what tells of a span."""
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"


def test_a_blocking_call_is_a_span_that_the_server_continues(
    server: FakeServer, exported: InMemorySpanExporter
) -> None:
    with SyncClient(server.target) as client:
        client.fetch("AAPL")

    (span,) = exported.get_finished_spans()
    assert (span.name, span.kind) == (FETCH, SpanKind.CLIENT)
    assert sent(server).startswith(header(span))
    assert int(sent(server)[-2:], 16) & 1
    assert span.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": FETCH,
        "rpc.response.status_code": "OK",
    }


async def test_a_call_of_asyncio_is_a_span_that_the_server_continues(
    server: FakeServer, exported: InMemorySpanExporter
) -> None:
    async with Client(server.target) as client:
        await client.fetch("AAPL")

    (span,) = exported.get_finished_spans()
    assert (span.name, span.kind) == (FETCH, SpanKind.CLIENT)
    assert sent(server).startswith(header(span))
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == "OK"


def test_a_blocking_call_that_fails_is_an_error(
    server: FakeServer, exported: InMemorySpanExporter
) -> None:
    server.service.answers = [Refusal(grpc.StatusCode.NOT_FOUND, "SYMBOL_UNKNOWN")]

    with SyncClient(server.target) as client, pytest.raises(IngestionClientError):
        client.fetch("AAPL")

    (span,) = exported.get_finished_spans()
    assert not span.status.is_ok
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == "NOT_FOUND"


async def test_a_call_of_asyncio_that_fails_is_an_error(
    server: FakeServer, exported: InMemorySpanExporter
) -> None:
    server.service.answers = [Refusal(grpc.StatusCode.NOT_FOUND, "SYMBOL_UNKNOWN")]

    async with Client(server.target) as client:
        with pytest.raises(IngestionClientError):
            await client.fetch("AAPL")

    (span,) = exported.get_finished_spans()
    assert not span.status.is_ok
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == "NOT_FOUND"


async def test_a_stream_is_one_span_until_its_end(
    server: FakeServer, exported: InMemorySpanExporter
) -> None:
    server.service.stream = iter([chunk("AAPL", answer())])
    async with Client(server.target) as client:
        assert [item async for item in client.fetch_batch(["AAPL"])]
    server.service.stream = iter([chunk("AAPL", answer())])
    with SyncClient(server.target) as blocking:
        assert await asyncio.to_thread(lambda: list(blocking.fetch_batch(["AAPL"])))

    spans = exported.get_finished_spans()
    assert [span.name for span in spans] == [BATCH, BATCH]
    assert sent(server).startswith(header(spans[1]))


async def test_a_call_that_cannot_even_begin_is_a_span_that_ends(
    server: FakeServer, exported: InMemorySpanExporter
) -> None:
    client = SyncClient(server.target)
    client.close()
    with pytest.raises(ValueError, match="closed"):
        list(client.fetch_batch(["AAPL"]))

    (span,) = exported.get_finished_spans()
    assert not span.status.is_ok


def test_a_context_without_a_recorder_is_passed_on(server: FakeServer) -> None:
    caller = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))

    with (
        trace.use_span(NonRecordingSpan(caller)),
        SyncClient(server.target) as client,
    ):
        client.fetch("AAPL")

    assert sent(server) == f"00-{0xABC:032x}-{0xDEF:016x}-01"


def test_without_a_trace_the_server_is_told_of_none(server: FakeServer) -> None:
    server.service.answers = [answer()]

    with SyncClient(server.target) as client:
        client.fetch("AAPL")

    assert "traceparent" not in server.service.metadata
