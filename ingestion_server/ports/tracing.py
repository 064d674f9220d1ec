"""
Spans of what is done for a request, if its trace is recorded.

Which request that is goes along with the task that serves it, so that nobody hands it
on. Where nothing is recorded, a span is one object that does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Context, ContextVar, copy_context
from enum import Enum, auto
from random import getrandbits
from types import TracebackType
from typing import Final, NamedTuple, Protocol, final

from typing_extensions import override

from ingestion_server.domain.errors import IngestionError

Value = str | bool | int | float | Sequence[str]
"""What an attribute can be."""


class Kind(Enum):
    """Say on which side of a call a span is."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()


class Origin(NamedTuple):
    """Name a span, be it of another process, without holding on to it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str = ""
    """16 hexadecimal digits; empty if it is not recorded."""
    is_recorded: bool = False
    state: str = ""
    """What other tracers have to say to each other, as in the ``tracestate`` header."""


class Span(Protocol):
    """Be something that is done, while it is done."""

    @property
    def is_recorded(self) -> bool:
        """Return whether anybody will see it: else nothing need be told of it."""
        ...

    @property
    def span_id(self) -> str:
        """Return 16 hexadecimal digits; empty if it is not recorded."""
        ...

    def child(
        self, name: str, kind: Kind = Kind.INTERNAL, link: Origin | None = None
    ) -> Span:
        """Begin a part of it; of one that is over, what follows, with a link to it."""
        ...

    def set(self, name: str, value: Value) -> None:
        """Tell something about it."""
        ...

    def event(self, name: str, attributes: Mapping[str, Value]) -> None:
        """Tell that something happens now."""
        ...

    def fail(self, kind: str, detail: str = "") -> None:
        """Tell that it failed, with which kind of error."""
        ...

    def end(self) -> None:
        """Be over; whatever is told after that is lost."""
        ...


class Tracer(Protocol):
    """Record traces."""

    def takes(self, trace_number: int) -> bool:
        """Return whether a trace is recorded whose id is this number."""
        ...

    def begin(
        self,
        name: str,
        kind: Kind,
        *,
        trace_id: str,
        parent: Origin | None = None,
        link: Origin | None = None,
    ) -> Span:
        """Begin a trace, or this process's part of it; must not fail or wait."""
        ...


@final
class NoSpan(Span):
    """Be a span that nobody records."""

    is_recorded = False
    span_id = ""

    @override
    def child(
        self, name: str, kind: Kind = Kind.INTERNAL, link: Origin | None = None
    ) -> Span:
        """Return the same."""
        del name, kind, link
        return self

    @override
    def set(self, name: str, value: Value) -> None:
        """Do nothing."""

    @override
    def event(self, name: str, attributes: Mapping[str, Value]) -> None:
        """Do nothing."""

    @override
    def fail(self, kind: str, detail: str = "") -> None:
        """Do nothing."""

    @override
    def end(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


NO_SPAN: Final = NoSpan()
"""What stands for all spans that nobody records."""


class Here:
    """Say for which request something is done, and as which part of that."""

    __slots__ = ("request_id", "root", "span", "trace_id")

    def __init__(
        self, request_id: str, trace_id: str, root: Span, span: Span | None = None
    ) -> None:
        """``root`` is the span of the request, ``span`` the part of it."""
        self.request_id = request_id
        self.trace_id = trace_id
        self.root = root
        self.span = root if span is None else span


_here: Final[ContextVar[Here | None]] = ContextVar("here", default=None)
_cause: Final[ContextVar[Origin | None]] = ContextVar("cause", default=None)


@final
class _Within:
    """Make a span the current one while a block lasts, and end it then."""

    __slots__ = ("_before", "_here")

    def __init__(self, here: Here) -> None:
        self._here = here

    def __enter__(self) -> Span:
        # No token: a generator may end in another context than it began in.
        self._before = _here.get()
        _here.set(self._here)
        return self._here.span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            failed(self._here.span, error)
        self._here.span.end()
        _here.set(self._before)


def here() -> Here | None:
    """Return for which request something is done; None = for none."""
    return _here.get()


def enter(now: Here | None) -> None:
    """Say for which request this task works from now on; None = for none."""
    _here.set(now)


def span(
    name: str, kind: Kind = Kind.INTERNAL, link: Origin | None = None
) -> _Within | NoSpan:
    """
    Begin a part of what is done, to be used as a context manager.

    What is raised within makes it a failed one, unless somebody gave up. The block must
    not yield: whoever is yielded to would be taken for a part of it.
    """
    now = _here.get()
    if now is None or not now.span.is_recorded:
        return NO_SPAN
    part = now.span.child(name, kind, link)
    return _Within(Here(now.request_id, now.trace_id, now.root, part))


def rooted(tracer: Tracer | None, name: str) -> _Within:
    """
    Begin what is done for no request, as a trace of its own.

    It is linked to what had it done, see ``detached``.
    """
    number = new_trace_number()
    trace_id = trace_id_of(number)
    root: Span = NO_SPAN
    if tracer is not None and tracer.takes(number):
        root = tracer.begin(name, Kind.INTERNAL, trace_id=trace_id, link=_cause.get())
    return _Within(Here("", trace_id, root))


def event(name: str, **facts: Value) -> None:
    """Tell that something happened to the current request."""
    now = _here.get()
    if now is not None and now.root.is_recorded:
        now.root.event(name, {f"ingestion.{key}": facts[key] for key in facts})


def root() -> Span:
    """Return the span of the current request, whatever is done for it just now."""
    now = _here.get()
    return NO_SPAN if now is None else now.root


def origin() -> Origin | None:
    """Return the name of what is done now; None = it is done for no request."""
    now = _here.get()
    if now is None:
        return None
    return Origin(now.trace_id, now.span.span_id, now.span.is_recorded)


def detached() -> Context:
    """
    Return a context for a task that outlives the request that begins it.

    It knows the request by name only, and no span of it has parts later on.
    """
    now, context = origin(), copy_context()
    context.run(_here.set, None)
    context.run(_cause.set, now)
    return context


def outgoing() -> str | None:
    """Return the header that lets another server continue the trace."""
    now = _here.get()
    if now is None:
        return None
    if now.span.is_recorded:
        return f"00-{now.trace_id}-{now.span.span_id}-01"
    return f"00-{now.trace_id}-{new_span_id()}-00"


def new_trace_number() -> int:
    """Return the id of a new trace as a number."""
    return getrandbits(128) or 1  # no secret


def trace_id_of(number: int) -> str:
    """Return 32 hexadecimal digits."""
    return f"{number:032x}"


def new_span_id() -> str:
    """Return 16 hexadecimal digits."""
    return f"{getrandbits(64) or 1:016x}"  # no secret


def follow(part: Span, leader: Origin | None) -> None:
    """Tell a span of whose trace the work is that it waits for."""
    if leader is not None:
        part.set("ingestion.leader_trace_id", leader.trace_id)


def failed(part: Span, error: BaseException) -> None:
    """Tell a span what was raised; who gives up has not failed."""
    if isinstance(error, IngestionError):
        part.fail(error.reason, error.message)
    elif isinstance(error, Exception):
        part.fail(type(error).__name__, str(error))
    else:
        part.set("ingestion.outcome", "CANCELLED")
