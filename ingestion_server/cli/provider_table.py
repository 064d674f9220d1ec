"""Vendors as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.frame import Frame
from ingestion_server.cli.scores import scored
from ingestion_server.cli.writing import clock, size, span, until
from ingestion_server.client import (
    Breaker,
    CacheUse,
    Provider,
    ProviderEvent,
    ProviderHealth,
    Providers,
)

_COLUMNS: Final = (
    "provider",
    "state",
    "priority",
    "data",
    "score",
    "success",
    "p50/p95",
    "breaker",
)
_PROVIDER, _STATE, _PRIORITY = 0, 1, 2
"""Places of columns."""
_FIGURES: Final = {"priority", "success", "p50/p95"}
_GAP: Final = 2
"""Blanks between two columns."""
_LEGEND: Final = (
    ("* set by an operator", lambda one: one.priority_configured),
    ("? too few calls", lambda one: not all(each.judged for each in one.health)),
)
_KEYLESS: Final = "needs a key"
"""What the server says of a vendor that most people will see so."""
_STATES: Final = {
    "active": "green",
    "deprecated": "yellow",
    "retired": "dim",
    "off": "dim",
    "no key": "yellow",
    "unusable": "red",
}
_EVENTS: Final = {
    "BREAKER_OPENED": "left alone",
    "BREAKER_HALF_OPEN": "tried again",
    "BREAKER_CLOSED": "well again",
    "UPDATED": "changed",
}


def drawn(vendors: Providers, around: Frame) -> RenderableType:
    """Draw vendors, how they do, and below what is amiss."""
    now = around.now(vendors.as_of)
    parts: list[RenderableType] = []
    if vendors.providers:
        parts += [_table(vendors.providers, now, around.width), Text()]
        legend = [
            text for text, applies in _LEGEND if any(map(applies, vendors.providers))
        ]
        if legend:
            parts.append(Text("  ".join(legend), "dim"))
    else:
        parts.append(Text("there is no vendor"))
    for provider in vendors.providers:
        parts += _remarks(provider, now, around.width)
    if vendors.cache is not None:
        parts += _cache(vendors.cache)
    return around.around("Providers", vendors.as_of, parts)


def event_line(event: ProviderEvent) -> str:
    """Tell of an event in a line."""
    about = f"{event.provider} {event.data_kind}".rstrip()
    line = f"{clock(event.at)} {about}: {_EVENTS.get(event.kind, event.kind)}"
    return f"{line}; {event.detail}" if event.detail else line


def state(provider: Provider) -> str:
    """Return in a word whether a vendor is asked, or why it is not."""
    if provider.stage == "RETIRED" and not provider.enabled:
        return "retired"
    if not provider.enabled:
        return "off"
    if provider.unusable_reason:
        return "no key" if _KEYLESS in provider.unusable_reason else "unusable"
    # One that was retired may serve from another address.
    return "deprecated" if provider.stage == "DEPRECATED" else "active"


def _table(providers: Sequence[Provider], now: datetime, width: int) -> Table:
    rows = [row for provider in providers for row in _rows(provider, now)]
    shown = list(range(len(_COLUMNS)))
    if _width(rows) > width:
        shown = [place for place in shown if place not in {_STATE, _PRIORITY}]
        for row in rows:
            if row[_PROVIDER]:
                below = Text.assemble(row[_STATE], ", ", row[_PRIORITY])
                row[_PROVIDER] = Text.assemble(row[_PROVIDER], "\n", below)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    for place in shown:
        name = _COLUMNS[place]
        table.add_column(
            name,
            # Names may be folded on paper that is too narrow even so.
            no_wrap=place > _PRIORITY,
            overflow="fold",
            justify="right" if name in _FIGURES else "left",
        )
    for row in rows:
        table.add_row(*(row[place] for place in shown))
    return table


def _width(rows: Sequence[Sequence[Text]]) -> int:
    """Return how wide a table of all columns would be."""
    widest = (
        max(len(name), *(cell_len(row[place].plain) for row in rows))
        for place, name in enumerate(_COLUMNS)
    )
    return sum(widest) + _GAP * (len(_COLUMNS) - 1)


def _rows(provider: Provider, now: datetime) -> Iterator[list[Text]]:
    """Write the cells of a vendor; it is named once."""
    word = state(provider)
    mark = "*" if provider.priority_configured else ""
    named = [
        Text(provider.name, "bold"),
        Text(word, _STATES[word]),
        Text(f"{provider.priority}{mark}"),
    ]
    for health in provider.health:
        yield [*named, *_doing(health, now)]
        named = [Text(), Text(), Text()]
    if not provider.health:
        yield [*named, *(Text() for _ in _COLUMNS[len(named) :])]


def _doing(health: ProviderHealth, now: datetime) -> list[Text]:
    success = next((one.value for one in health.factors if one.name == "success"), None)
    return [
        Text(health.kind),
        scored(health.score, judged=health.judged),
        Text("-" if success is None or not health.judged else f"{success:.0%}"),
        Text(_latency(health.latency_p50, health.latency_p95)),
        _position(health.breaker, now),
    ]


def _latency(p50: timedelta | None, p95: timedelta | None) -> str:
    return "-" if p50 is None or p95 is None else f"{span(p50)}/{span(p95)}"


def _position(breaker: Breaker, now: datetime) -> Text:
    match breaker.state:
        case "CLOSED":
            return Text("closed", "green")
        case "OPEN" if breaker.retry_at is not None:
            return Text(f"open {until(breaker.retry_at, now)}", "red")
        case other:
            return Text(other.lower().replace("_", " "), "yellow")


def _remarks(provider: Provider, now: datetime, width: int) -> Iterator[Text]:
    """Tell what stands in no column, each in one line."""
    told = []
    if provider.unusable_reason:
        # It often begins with the name, which stands there already.
        reason = provider.unusable_reason.removeprefix(f"{provider.name} ")
        told.append(("", reason, "red"))
    elif provider.stage in {"RETIRED", "DEPRECATED"}:
        since = f" since {provider.stage_since}" if provider.stage_since else ""
        told.append(("", f"{provider.stage.lower()}{since}", ""))
    for health in provider.health:
        told += [(f" {health.kind}", *one) for one in _troubles(health, now)]
    for about, text, style in told:
        line = Text.assemble(
            (provider.name, "bold"), about, " ", (" ".join(text.split()), style)
        )
        line.truncate(width, overflow="ellipsis")
        yield line


def _cache(use: CacheUse) -> Iterator[Text]:
    """Tell what is kept of vendors' answers, what that saves, and what is amiss."""
    about = ("Cache ", "bold")
    if not use.enabled:
        yield Text.assemble(about, ("off", "dim"))
        return
    ratio = "-" if use.hit_ratio is None else f"{use.hit_ratio:.0%}"
    asked = f"{use.hits:,} hits, {use.partial_hits:,} partial, {use.misses:,} misses"
    others = f"{use.shared:,} shared, {use.stale:,} stale"
    yield Text.assemble(about, f"hit ratio {ratio}: {asked}; {others}")
    memory = f"{size(use.bytes)} of {size(use.limit_bytes)} in memory"
    file = f"{size(use.file_bytes)} of {size(use.limit_file_bytes)} in the file"
    held = f"{use.series:,} series, {use.evictions:,} evicted"
    yield Text.assemble(
        about, f"{memory}: {held}; {file if use.file_bytes else 'no file'}"
    )
    if use.file_problem:
        problem = " ".join(use.file_problem.split())
        yield Text.assemble(about, (f"cannot be kept in the file: {problem}", "red"))


def _troubles(health: ProviderHealth, now: datetime) -> Iterator[tuple[str, str]]:
    """Tell until when a vendor is left alone, and why; and what it said last."""
    breaker = health.breaker
    if breaker.retry_at is not None:
        why = f"{breaker.reason} ({breaker.consecutive_failures} in a row)"
        yield f"open until {clock(breaker.retry_at)}: {why}", "red"
    if health.last_failure_at is not None and not (
        breaker.retry_at is not None and breaker.reason == health.last_failure
    ):
        # Told now, it was that long ago.
        age = until(now, health.last_failure_at)
        ago = "just now" if age == "now" else f"{age} ago"
        yield f"failed {ago}: {health.last_failure}", ""
