"""Spans are recorded as the rooms tell them, and never hold anybody up."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.ports import tracing
from ingestion_server.ports.tracing import Here, Kind, Origin
from ingestion_server.telemetry.otlp import pairs, span_exporter
from ingestion_server.telemetry.traces import MOST_QUEUED, Traces
from tests.telemetry.trace_collector import TraceCollector, over_grpc, over_http

TRACE = "0af7651916cd43dd8448eb211c80319c"
LISTENERS = {"grpc": over_grpc, "http": over_http}


class Kept(SpanExporter):
    """Keep spans, or hang until told otherwise."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.spans: list[ReadableSpan] = []
        self.asked = threading.Event()
        self.well = threading.Event()
        if not hangs:
            self.well.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        if not self.well.wait(20):
            return SpanExportResult.FAILURE
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.well.set()


def traces(
    exporter: SpanExporter,
    ratio: float = 1.0,
    blank: Callable[[str], str] = str,
) -> Traces:
    return Traces(exporter, {"service.name": "test"}, ratio=ratio, blank=blank)


@contextmanager
def within(recorder: Traces, name: str = "rpc") -> Iterator[tracing.Span]:
    """Be within a request that is recorded."""
    root = recorder.begin(name, Kind.SERVER, trace_id=TRACE)
    tracing.enter(Here("r-1", TRACE, root))
    try:
        yield root
    finally:
        root.end()
        tracing.enter(None)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_collector_gets_spans_with_what_the_server_is(protocol: str) -> None:
    collector = TraceCollector()
    with LISTENERS[protocol](collector) as url:
        exporter = span_exporter(url, protocol, pairs("Authorization=Bearer%20abc"))
        recorder = traces(exporter)
        with within(recorder, "pkg.Service/Fetch") as root:
            root.set("rpc.system.name", "grpc")
            with tracing.span("route") as part:
                part.set("ingestion.chosen", ("yahoo",))
            tracing.event("failover", provider="yahoo")
        recorder.close()

    rpc, route = collector.one("pkg.Service/Fetch"), collector.one("route")
    assert (rpc.kind, route.kind) == ("SERVER", "INTERNAL")
    assert rpc.trace_id == TRACE
    assert (route.trace_id, route.parent_id) == (TRACE, rpc.span_id)
    assert route.attributes == {"ingestion.chosen": ["yahoo"]}
    assert rpc.events == [("failover", {"ingestion.provider": "yahoo"})]
    assert collector.resource["service.name"] == "test"
    assert collector.headers["authorization"] == "Bearer abc"
    assert recorder.counts.exported == 2
    assert (recorder.counts.dropped, recorder.counts.failures) == (0, 0)


def test_the_callers_span_is_the_parent() -> None:
    kept = Kept()
    recorder = traces(kept)

    caller = Origin(TRACE, "b7ad6b7169203331", is_recorded=True, state="a=b")
    recorder.begin("rpc", Kind.SERVER, trace_id=TRACE, parent=caller).end()
    recorder.close()

    (span,) = kept.spans
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == caller.span_id
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.context.trace_state.to_header() == "a=b"


def test_the_share_that_is_recorded_goes_by_the_id_alone() -> None:
    ids = [tracing.new_trace_number() for _ in range(20_000)]
    some, none, all_ = (traces(Kept(), ratio) for ratio in (0.1, 0.0, 1.0))

    taken = [each for each in ids if some.takes(each)]

    assert 1_600 < len(taken) < 2_400
    # As OpenTelemetry's own sampler, so that servers in a row agree.
    assert taken == [i for i in ids if i % 2**64 < round(0.1 * 2**64)]
    assert not any(map(none.takes, ids))
    assert all(map(all_.takes, ids))
    for each in (some, none, all_):
        each.close()


def test_a_failure_marks_the_span_and_giving_up_does_not() -> None:
    kept = Kept()
    recorder = traces(kept)
    with within(recorder):
        with pytest.raises(ProviderUnavailableError), tracing.span("failed"):
            raise ProviderUnavailableError("away", provider="yahoo")
        with pytest.raises(ZeroDivisionError), tracing.span("defect"):
            _ = 1 // 0
        with pytest.raises(asyncio.CancelledError), tracing.span("given up"):
            raise asyncio.CancelledError
    recorder.close()

    spans = {span.name: span for span in kept.spans}
    assert spans["failed"].attributes == {"error.type": "ALL_PROVIDERS_FAILED"}
    assert spans["failed"].status.description == "away"
    assert spans["defect"].attributes == {"error.type": "ZeroDivisionError"}
    assert spans["given up"].status.is_unset
    assert spans["given up"].attributes == {"ingestion.outcome": "CANCELLED"}


def test_no_secret_gets_into_a_span() -> None:
    kept = Kept()
    recorder = traces(kept, blank=lambda text: text.replace("s3cr3t", "***"))
    with within(recorder) as root:
        root.set("url.full", "https://x/?apikey=s3cr3t")
        root.set("ingestion.candidates", ["a: s3cr3t"])
        root.event("retry", {"ingestion.reason": "s3cr3t"})
        root.fail("INTERNAL", "said s3cr3t")
    recorder.close()

    assert "s3cr3t" not in kept.spans[0].to_json()


async def test_what_follows_a_span_that_is_over_is_linked_and_no_part_of_it() -> None:
    kept = Kept()
    recorder = traces(kept)
    over = asyncio.Event()

    async def late() -> None:
        await over.wait()
        with tracing.span("late"):
            pass

    with within(recorder) as root:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
    over.set()
    await task
    await asyncio.to_thread(recorder.close)

    (span,) = (each for each in kept.spans if each.name == "late")
    assert span.parent is None
    assert [f"{link.context.span_id:016x}" for link in span.links] == [root.span_id]


async def test_a_task_that_outlives_its_request_begins_traces_of_its_own() -> None:
    kept = Kept()
    recorder = traces(kept)

    async def work() -> None:
        assert tracing.here() is None
        with tracing.span("lost"):
            pass
        with tracing.rooted(recorder, "job unit"):
            now = tracing.here()
            assert now is not None
            assert now.trace_id != TRACE

    with within(recorder) as root:
        await asyncio.create_task(work(), context=tracing.detached())
    await asyncio.to_thread(recorder.close)

    names = {each.name for each in kept.spans}
    assert names == {"rpc", "job unit"}
    (unit,) = (each for each in kept.spans if each.name == "job unit")
    assert unit.parent is None
    assert [f"{link.context.span_id:016x}" for link in unit.links] == [root.span_id]


def test_outgoing_headers_say_whether_it_is_recorded() -> None:
    recorder = traces(Kept())
    assert tracing.outgoing() is None

    with within(recorder) as root:
        assert tracing.outgoing() == f"00-{TRACE}-{root.span_id}-01"
    tracing.enter(Here("r-2", TRACE, tracing.NO_SPAN))
    unrecorded = tracing.outgoing()
    tracing.enter(None)
    recorder.close()

    assert unrecorded is not None
    assert unrecorded.startswith(f"00-{TRACE}-")
    assert unrecorded.endswith("-00")


def test_spans_that_find_the_queue_full_are_counted_and_lost() -> None:
    hanging = Kept(hangs=True)
    recorder = traces(hanging)

    began = time.monotonic()
    for _ in range(MOST_QUEUED + 2_000):
        recorder.begin("rpc", Kind.SERVER, trace_id=TRACE).end()
    took = time.monotonic() - began
    hanging.well.set()
    recorder.close()

    counts = recorder.counts
    assert took < 10
    assert counts.dropped >= 1_000
    assert counts.exported + counts.dropped == MOST_QUEUED + 2_000


def test_a_collector_that_hangs_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "http://{}:{}".format(*silent.getsockname())
        recorder = traces(span_exporter(url, "grpc", {}))
        recorder.begin("rpc", Kind.SERVER, trace_id=TRACE).end()

        began = time.monotonic()
        recorder.close()

        assert time.monotonic() - began < 4
    assert recorder.counts.exported == 0


def test_an_event_a_second_for_a_week_does_not_grow_without_end() -> None:
    kept = Kept()
    recorder = traces(kept)
    with within(recorder) as root:
        for number in range(5_000):
            root.event("stream gap", {"ingestion.reason": str(number) * 1_000})
    recorder.close()

    events = kept.spans[0].events
    assert len(events) <= 32
    assert events[-1].attributes is not None
    assert str(events[-1].attributes["ingestion.reason"]).startswith("49994999")


def test_what_a_vendor_says_takes_no_room_without_end_and_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = Kept()
    recorder = traces(kept)
    with within(recorder) as root:
        root.set("ingestion.reason", "x" * 100_000)
        root.set("ingestion.candidates", ["x" * 100_000] * 10_000)
        root.event("stream gap", {"ingestion.reason": "x" * 100_000})
        root.fail("INTERNAL", "x" * 100_000)
    recorder.close()

    assert len(kept.spans[0].to_json()) < 200_000
    assert not caplog.records


def test_a_text_that_cannot_be_encoded_costs_no_other_span() -> None:
    collector = TraceCollector()
    with over_grpc(collector) as url:
        recorder = traces(span_exporter(url, "grpc", {}))
        with within(recorder) as root:
            root.fail("INTERNAL", "half a pair: \ud800")
            root.set("ingestion.reason", "Zürich \ud800")
        recorder.close()

    assert recorder.counts.exported == 1
    assert collector.one("rpc").message == "half a pair: ?"
    assert collector.one("rpc").attributes["ingestion.reason"] == "Zürich ?"
