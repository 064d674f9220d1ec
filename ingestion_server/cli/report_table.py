"""Reports as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.writing import clock, span
from ingestion_server.client import Downtime, ServiceLevel, SlaReport

_COLUMNS: Final = (
    "calls",
    "caller",
    "answered",
    "p50",
    "p95",
    "p99",
    "max",
    "open",
    "budget",
)
_LEFT_OUT: Final = ("caller", "max", "p50")
"""What is left out first where there is no room."""
_GAP: Final = 2
_LATEST: Final = 5
"""How many downtimes are shown."""
_LOW: Final = 0.25
_LOWEST: Final = -9.99
_MILLION: Final = 1_000_000


def drawn(report: SlaReport, width: int) -> RenderableType:
    """Draw callers and vendors, why calls failed, and when nobody ran."""
    parts: list[RenderableType] = [
        Text(f"Service from {_minute(report.start)} to {clock(report.end)}", "bold"),
        Text(
            f"{_percent(report.overall.objective)} of calls should be answered", "dim"
        ),
        Text(),
        _table("RPC", _callers(report), width),
    ]
    if report.providers:
        parts += [Text(), _table("vendor", report.providers, width)]
    failures = list(_failures(_callers(report))) + list(_failures(report.providers))
    if failures:
        parts += [Text(), Text("Failures", "bold"), *failures]
    if report.downtimes:
        parts += [Text(), *_downtimes(report.downtimes)]
    if report.incomplete_reason:
        parts += [Text(), Text(f"incomplete: {report.incomplete_reason}", "yellow")]
    return Group(*parts)


def _callers(report: SlaReport) -> Mapping[str, ServiceLevel]:
    """Return all, and then each RPC by its own name, which is unique."""
    by_name = {
        rpc.rpartition("/")[2]: level
        for rpc, level in report.rpcs.items()
        if level.calls
    }
    return {"all": report.overall, **by_name}


def _table(kind: str, levels: Mapping[str, ServiceLevel], width: int) -> Table:
    rows = {name: _cells(level) for name, level in levels.items()}
    shown = list(_COLUMNS)
    for name in _LEFT_OUT:
        if _wide(kind, rows, shown) > width:
            shown.remove(name)
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    table.add_column(kind, overflow="fold")
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(Text(name, "bold"), *(cells[column] for column in shown))
    return table


def _wide(
    kind: str, rows: Mapping[str, Mapping[str, Text]], shown: Sequence[str]
) -> int:
    names = max(map(cell_len, (kind, *rows)))
    columns = sum(
        max(cell_len(name), *(cell_len(cells[name].plain) for cells in rows.values()))
        for name in shown
    )
    return names + columns + _GAP * len(shown)


def _cells(level: ServiceLevel) -> Mapping[str, Text]:
    latency = level.latency
    times = (
        {
            "p50": latency.p50,
            "p95": latency.p95,
            "p99": latency.p99,
            "max": latency.max,
        }
        if latency
        else {}
    )
    texts = {
        "calls": Text(_count(level.calls)),
        "caller": Text(_count(level.caller_faults)),
        "answered": Text(_share(level.success_ratio), _style(level)),
        "open": Text(_share(level.market_hours_availability)),
        "budget": Text(_budget(level.error_budget_left), _style(level)),
    }
    for name in ("p50", "p95", "p99", "max"):
        texts[name] = Text(span(times[name]) if name in times else "-")
    return texts


def _failures(levels: Mapping[str, ServiceLevel]) -> Iterator[Text]:
    for name, level in levels.items():
        if name != "all" and level.failures:
            told = ", ".join(
                f"{_count(count)} {reason}" for reason, count in level.failures.items()
            )
            yield Text.assemble((name, "bold"), " ", told)


def _downtimes(downs: Sequence[Downtime]) -> Iterator[Text]:
    yield Text("No server ran", "bold")
    if len(downs) > _LATEST:
        yield Text(f"… {len(downs) - _LATEST} times before these", "dim")
    for down in downs[-_LATEST:]:
        yield Text(f"from {clock(down.start)} for {span(down.end - down.start)}")


def _minute(moment: datetime) -> str:
    return clock(moment).removesuffix(" UTC")


def _count(number: int) -> str:
    if number >= _MILLION:
        return f"{number / _MILLION:.1f}M"
    return f"{number:,}"


def _share(share: float | None) -> str:
    return "-" if share is None else _percent(share)


def _percent(share: float) -> str:
    # Cut, not rounded: what failed once never looks like what never did. A little is
    # added, or 0.999 would become 99.899.
    return f"{math.floor(share * 100_000 + 1e-6) / 1_000:g} %"


def _budget(left: float | None) -> str:
    if left is None:
        return "-"
    # Cut for the same reason: a little overspent is not 0, nor a little spent all.
    return f"{math.floor(left * 100 + 1e-6)} %" if left > _LOWEST else "< -999 %"


def _style(level: ServiceLevel) -> str:
    left = level.error_budget_left
    if left is None:
        return ""
    if left < 0:
        return "red"
    return "yellow" if left < _LOW else "green"
