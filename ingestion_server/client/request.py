"""What users ask for, as the messages of the contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client import vocabulary
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.vocabulary import number

When = datetime | date | str

_Function = TypeVar("_Function", bound=Callable[..., object])


class Query(TypedDict, total=False):
    """Everything that can be said about the bars one wants, besides the symbol."""

    interval: str
    """Length of a bar: 1m, 5m, 15m, 30m, 1h, 1d, 1w or 1mo."""
    start: When | None
    """Open time of the first bar, inclusive; None = as many bars as `limit` says."""
    end: When | None
    """Open times of all bars are before this; None = now."""
    limit: int
    """Most bars; with `start` the first ones (0 = all), else the last (0 = 100)."""
    adjustment: str
    """Prices adjusted for nothing (raw), split, or split_dividend."""
    session: str
    """Trading hours of intraday bars: regular or extended."""
    asset_class: str | None
    """equity, fx, crypto, index or future; None = told by the symbol."""
    exchange: str
    """Market identifier code, for example XLON; empty = the primary one."""
    providers: str | Sequence[str]
    """The vendors that may answer; empty = any."""
    mode: str | None
    """
    any, ordered, pinned or consensus, which asks two vendors and flags where they
    disagree; None = any, pinned for one provider, ordered for several.
    """
    tolerance: float | None
    """
    How far apart two prices may be in a consensus, relative to the larger; None =
    0.000001.
    """
    allow_partial: bool
    """Whether an incomplete answer is welcome; if not, it becomes an error."""
    max_staleness_seconds: float | None
    """
    How old bars may be that can still change: if no vendor can be reached, the
    server's cache serves them up to this age, and says so. 0 = asked anew each time;
    None = never older than usual.
    """
    max_cost_usd: float | None
    """Most that the calls may cost together, in US dollars; None = no limit."""
    priority: str | None
    """interactive or batch; None = interactive for a fetch, batch for a batch."""


def fetch_request(symbol: str, query: Query) -> ingestion_service_pb2.FetchRequest:
    """Ask for the bars of one instrument."""
    request = ingestion_service_pb2.FetchRequest(symbol=symbol)
    _fill(request, **query)
    return request


def batch_request(
    symbols: str | Sequence[str], query: Query
) -> ingestion_service_pb2.FetchBatchRequest:
    """Ask for the bars of many instruments."""
    request = ingestion_service_pb2.FetchBatchRequest(symbols=several(symbols))
    _fill(request, **query)
    return request


def takes_query(function: _Function) -> _Function:
    """Show the options of a query in the function's help, with their defaults."""
    own = inspect.signature(function)
    options = list(inspect.signature(_fill).parameters.values())[1:]
    parameters = [
        parameter
        for parameter in own.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    named = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    signature = own.replace(
        parameters=[*named, *options, *(p for p in parameters if p not in named)]
    )
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def moment(when: When, name: str) -> Timestamp:
    """Read a point in time; a date is its midnight in UTC."""
    value = _read(when, name) if isinstance(when, str) else when
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None:
        raise InvalidOptionError(
            f"{name} {value.isoformat()} has no time zone: "
            f"pass {name}.replace(tzinfo=datetime.UTC), or end the text with 'Z'"
        )
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def length(seconds: float, name: str) -> Duration:
    """Read a length of time."""
    duration = Duration()
    try:
        duration.FromTimedelta(timedelta(seconds=seconds))
    except (OverflowError, ValueError):
        raise InvalidOptionError(f"{name} {seconds:g} is no length of time") from None
    return duration


def _read(text: str, name: str) -> datetime | date:
    """Read an ISO date or date and time."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidOptionError(
            f"{name} {text!r} is no ISO date or time, "
            "such as 2025-01-31 or 2025-01-31T14:30:00Z"
        ) from None


def several(names: str | Sequence[str]) -> list[str]:
    """List the names; a single text is one name, not its letters."""
    return [names] if isinstance(names, str) else list(names)


def usual_mode(providers: int) -> str:
    """Tell what naming so many providers means."""
    match providers:
        case 0:
            return "any"
        case 1:
            return "pinned"
        case _:
            return "ordered"


def _fill(  # noqa: PLR0913 - these are the fields of the contract
    request: (
        ingestion_service_pb2.FetchRequest | ingestion_service_pb2.FetchBatchRequest
    ),
    *,
    interval: str = "1d",
    start: When | None = None,
    end: When | None = None,
    limit: int = 0,
    adjustment: str = "split",
    session: str = "regular",
    asset_class: str | None = None,
    exchange: str = "",
    providers: str | Sequence[str] = (),
    mode: str | None = None,
    tolerance: float | None = None,
    allow_partial: bool = True,
    max_staleness_seconds: float | None = None,
    max_cost_usd: float | None = None,
    priority: str | None = None,
) -> None:
    """Write a query into either request: they share these fields."""
    request.layout = ingestion_service_pb2.LAYOUT_COLUMNS
    request.interval = number(vocabulary.INTERVALS, interval, "interval")
    request.adjustment = number(vocabulary.ADJUSTMENTS, adjustment, "adjustment")
    request.session = number(vocabulary.SESSIONS, session, "session")
    request.exchange = exchange
    request.limit = limit
    if start is not None:
        request.start.CopyFrom(moment(start, "start"))
    if end is not None:
        request.end.CopyFrom(moment(end, "end"))
    if asset_class is not None:
        request.asset_class = number(
            vocabulary.ASSET_CLASSES, asset_class, "asset_class"
        )
    if priority is not None:
        request.priority = number(vocabulary.PRIORITIES, priority, "priority")

    policy = request.source_policy
    policy.providers.extend(several(providers))
    policy.mode = number(
        vocabulary.MODES, mode or usual_mode(len(policy.providers)), "mode"
    )
    policy.allow_partial = allow_partial
    if tolerance is not None:
        policy.tolerance = tolerance
    if max_staleness_seconds is not None:
        policy.max_staleness.CopyFrom(
            length(max_staleness_seconds, "max_staleness_seconds")
        )
    if max_cost_usd is not None:
        policy.max_cost_usd = max_cost_usd
