"""
Spans recorded by OpenTelemetry's SDK, and sent to a collector beside all else.

Nothing here waits for the collector, and what it takes is bounded: spans that find the
queue full are counted and lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from typing_extensions import override

from ingestion_server.ports.tracing import Kind, Origin, Span, Tracer, Value

MOST_QUEUED: Final = 2_048
"""Spans that wait to be sent; about two kilobytes each."""
_BATCH: Final = 512
_DELAY_MS: Final = 1_000.0
"""How long spans are gathered before they are sent."""
_LIMITS: Final = SpanLimits(
    max_span_attributes=64,
    max_events=32,
    max_links=32,
    max_event_attributes=16,
)
"""What a stream that lasts for days may take: 25 kilobytes, the latest events."""
_LONGEST_TEXT: Final = 2_048
_MOST_TEXTS: Final = 64
"""What a vendor's words may take. The SDK's own limits cut no events, and warn."""
_CLOSE_SECONDS: Final = 1.0
_ABORT_SECONDS: Final = 0.3
"""How long the last spans may take to leave, and giving that up."""
_HANGS_SECONDS: Final = 1.0
"""A collector that has not answered for so long is not waited for at the end."""
_KINDS: Final[Mapping[Kind, SpanKind]] = {
    Kind.INTERNAL: SpanKind.INTERNAL,
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
}
_LOW_HALF: Final = (1 << 64) - 1


@dataclass(slots=True)
class ExportCounts:
    """Count what became of spans since the start."""

    exported: int = 0
    """Those that a collector has taken."""
    dropped: int = 0
    """Those that are lost: the queue was full, or the collector did not take them."""
    failures: int = 0
    """How often some were sent in vain."""


@final
class Traces(Tracer):
    """Record the traces that callers record, and a share of all others."""

    def __init__(
        self,
        exporter: SpanExporter,
        resource: Mapping[str, str],
        *,
        ratio: float,
        blank: Callable[[str], str],
    ) -> None:
        """
        Begin to record.

        Args:
            exporter: sends spans, in a thread of its own.
            resource: says what this server is.
            ratio: the share of traces that is recorded if the caller has not decided.
            blank: takes secrets out of texts.

        """
        self.counts = ExportCounts()
        self._blank = blank
        self._bound = round(ratio * (_LOW_HALF + 1))
        self._ids = _Ids()
        self._exporter = _Counted(exporter, self.counts)
        self._processor = _Bounded(self._exporter, self.counts)
        provider = TracerProvider(
            # Whether a trace is recorded was decided before there is a span.
            sampler=ALWAYS_ON,
            resource=Resource(dict(resource)),
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=_LIMITS,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("ingestion_server")

    @override
    def takes(self, trace_number: int) -> bool:
        """Return whether a trace is recorded, as all who go by its id decide."""
        return trace_number & _LOW_HALF < self._bound

    @override
    def begin(
        self,
        name: str,
        kind: Kind,
        *,
        trace_id: str,
        parent: Origin | None = None,
        link: Origin | None = None,
    ) -> Span:
        """Begin a trace, or this process's part of it."""
        above = Context()
        if parent is not None:
            above = set_span_in_context(NonRecordingSpan(_context_of(parent)), above)
        self._ids.trace_id = int(trace_id, 16)
        return self._span(name, above, kind, link)

    def close(self) -> None:
        """
        Send what waits, but not for longer than a second or so; what is left is lost.

        A collector that was away when something was sent last is not tried again.

        It blocks, so it belongs in a thread.
        """
        sending = threading.Thread(target=self._processor.shutdown, daemon=True)
        patience = _CLOSE_SECONDS
        if self._exporter.is_away:
            self._exporter.shutdown()
            patience = _ABORT_SECONDS
        sending.start()
        sending.join(patience)
        if sending.is_alive():
            # Who waits before another try, or for an answer, is woken by this.
            self._exporter.shutdown()
            sending.join(_ABORT_SECONDS)

    def begun_in(self, trace_id: int, name: str, kind: Kind, link: Origin) -> Span:
        """Begin what follows a span that is over: of its trace, but no part of it."""
        self._ids.trace_id = trace_id
        return self._span(name, Context(), kind, link)

    def child_of(
        self, span: SdkSpan, name: str, kind: Kind, link: Origin | None
    ) -> Span:
        """Begin a part of a span."""
        return self._span(name, set_span_in_context(span, Context()), kind, link)

    def told(self, value: Value) -> Value:
        """Return what an attribute is, without secrets, and not too long."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Sequence):
            return [self.text(each) for each in value[:_MOST_TEXTS]]
        return value

    def text(self, text: str) -> str:
        """Return a text without secrets, that is not too long and can be sent."""
        text = self._blank(text)[:_LONGEST_TEXT]
        # Half of a pair cannot be encoded, and all spans of its batch would be lost.
        return text if text.isascii() else text.encode(errors="replace").decode()

    def _span(self, name: str, above: Context, kind: Kind, link: Origin | None) -> Span:
        links = [Link(_context_of(each)) for each in (link,) if each and each.span_id]
        return _Recorded(
            self._tracer.start_span(name, above, _KINDS[kind], links=links), self
        )


@final
class _Recorded(Span):
    """Be a span that is recorded."""

    __slots__ = ("_is_over", "_span", "_traces")

    is_recorded = True

    def __init__(self, span: SdkSpan, traces: Traces) -> None:
        self._span = span
        self._traces = traces
        self._is_over = False

    @property
    @override
    def span_id(self) -> str:
        return f"{self._span.get_span_context().span_id:016x}"

    @override
    def child(
        self, name: str, kind: Kind = Kind.INTERNAL, link: Origin | None = None
    ) -> Span:
        if not self._is_over:
            return self._traces.child_of(self._span, name, kind, link)
        trace_id = self._span.get_span_context().trace_id
        me = Origin(f"{trace_id:032x}", self.span_id, is_recorded=True)
        return self._traces.begun_in(trace_id, name, kind, me)

    @override
    def set(self, name: str, value: Value) -> None:
        if not self._is_over:
            self._span.set_attribute(name, self._traces.told(value))

    @override
    def event(self, name: str, attributes: Mapping[str, Value]) -> None:
        if not self._is_over:
            told = self._traces.told
            self._span.add_event(
                name, {key: told(value) for key, value in attributes.items()}
            )

    @override
    def fail(self, kind: str, detail: str = "") -> None:
        if not self._is_over:
            self._span.set_attribute("error.type", kind)
            said = self._traces.text(detail)
            self._span.set_status(Status(StatusCode.ERROR, said))

    @override
    def end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._span.end()


@final
class _Ids(IdGenerator):
    """Give each trace the id that was chosen for it before."""

    def __init__(self) -> None:
        self.trace_id = 0
        self._random = RandomIdGenerator()

    @override
    def generate_span_id(self) -> int:
        return self._random.generate_span_id()

    @override
    def generate_trace_id(self) -> int:
        return self.trace_id


@final
class _Bounded(BatchSpanProcessor):
    """Take no more spans than fit the queue, rather than push out older ones."""

    def __init__(self, exporter: _Counted, counts: ExportCounts) -> None:
        super().__init__(
            exporter,
            max_queue_size=MOST_QUEUED,
            schedule_delay_millis=_DELAY_MS,
            max_export_batch_size=_BATCH,
        )
        self._counted = exporter
        self._counts = counts
        self._ended = 0

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if self._ended - self._counted.taken >= MOST_QUEUED:
            self._counts.dropped += 1
            return
        self._ended += 1
        super().on_end(span)


@final
class _Counted(SpanExporter):
    """Count what becomes of spans; only one thread sends them."""

    def __init__(self, exporter: SpanExporter, counts: ExportCounts) -> None:
        self._exporter = exporter
        self._counts = counts
        self._closed = threading.Event()
        self.taken = 0
        """How many have left the queue."""
        self._failed = False
        self._since_seconds: float | None = None

    @property
    def is_away(self) -> bool:
        """Return whether the collector did not take what it was sent last."""
        since = self._since_seconds
        hangs = since is not None and monotonic() - since > _HANGS_SECONDS
        return self._failed or hangs

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        self._since_seconds = monotonic()
        try:
            if not self._closed.is_set():
                result = self._exporter.export(spans)
        finally:
            self._since_seconds = None
            self._failed = result is not SpanExportResult.SUCCESS
            if result is SpanExportResult.SUCCESS:
                self._counts.exported += len(spans)
            else:
                self._counts.failures += 1
                self._counts.dropped += len(spans)
        return result

    @override
    def shutdown(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._exporter.shutdown()


def _context_of(origin: Origin) -> SpanContext:
    return SpanContext(
        int(origin.trace_id, 16),
        int(origin.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if origin.is_recorded else 0),
        trace_state=TraceState.from_header([origin.state]) if origin.state else None,
    )
