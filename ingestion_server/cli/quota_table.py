"""Quotas as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.frame import Frame
from ingestion_server.cli.writing import cells_of, clock, until, usd
from ingestion_server.client import (
    QuotaAlert,
    QuotaForecast,
    QuotaProvider,
    Quotas,
    QuotaSpend,
    QuotaWindow,
    WindowForecast,
)

_USED, _RESERVED, _KEPT, _FREE = "█", "▒", "░", "·"
_LEGEND: Final = (
    f"{_USED} used  {_RESERVED} on its way  {_KEPT} kept for interactive calls"
)
_UNITS_LEGEND: Final = "  * units, not calls"
_WARN_SHARE: Final = 0.8
_ALARM_SHARE: Final = 0.95
_SHORTEST_BAR: Final = 10
_LONGEST_BAR: Final = 30
_GAP: Final = 2
"""Blanks between two columns."""
_EXACT: Final = 10_000
"""Numbers below this are written to the last digit."""
_COLUMNS: Final = (
    "provider",
    "plan",
    "window",
    "",
    "used",
    "resets",
    "rate",
    "runs out",
)
_PROVIDER, _PLAN, _WINDOW, _BAR, _USED_OF, _RESETS, _RATE, _RUNS_OUT = range(8)
"""Places of columns."""
_WITHOUT_PLAN: Final = (_PROVIDER, *range(_WINDOW, len(_COLUMNS)))
_LEFT_OUT: Final = (_BAR, _RATE, _RESETS, _RUNS_OUT)
"""What is left out first where there is no room; names and numbers never are."""
_FIGURES: Final = {"used", "rate"}
_ALERTS: Final = {
    "USED_80_PERCENT": "80 % used",
    "USED_95_PERCENT": "95 % used",
    "VIOLATION": "refused, although it fitted",
}
_RATES: Final = ((1, "s"), (60, "min"), (3_600, "h"), (86_400, "d"))


def drawn(quotas: Quotas, forecast: QuotaForecast, around: Frame) -> RenderableType:
    """Draw windows, what vendors cost, and whom they keep waiting."""
    now = around.now(quotas.as_of)
    parts: list[RenderableType] = []
    if quotas.windows:
        parts += [*_tables(quotas, forecast, now, around.width), Text()]
        parts.append(Text(_legend(quotas.windows), "dim"))
    else:
        parts.append(Text("no vendor is metered"))
    for provider in quotas.providers:
        told = list(_remarks(provider, now))
        if told:
            parts.append(Text.assemble((provider.provider, "bold"), " ", _joined(told)))
    return around.around("Quotas", quotas.as_of, parts)


def alert_line(alert: QuotaAlert) -> str:
    """Tell of an alert in a line."""
    about = f"{alert.provider} {alert.window}".rstrip()
    line = f"{clock(alert.at)} {about}: {_ALERTS.get(alert.kind, alert.kind)}"
    if alert.limit:
        line += f" ({alert.used}/{alert.limit})"
    return f"{line}; {alert.detail}" if alert.detail else line


def bar(window: QuotaWindow, cells: int) -> Text:
    """Draw how much of a limit is used, on its way, and kept for interactive calls."""
    if window.limit is None:
        return Text(_pace(window), "dim")
    # A vendor may allow nothing, and may have counted more than it allows.
    limit = max(window.limit, 1)
    taken = window.used + window.reserved
    used = cells_of(window.used, limit, cells)
    both = cells_of(taken, limit, cells)
    kept = min(cells_of(window.kept_for_interactive, limit, cells), cells - both)
    style = _style(taken / limit)
    return Text.assemble(
        (_USED * used, style),
        (_RESERVED * (both - used), style),
        (_FREE * (cells - both - kept), "dim"),
        (_KEPT * kept, "dim"),
    )


def _pace(window: QuotaWindow) -> str:
    """Tell what stands in place of a bar; empty if there is one."""
    if window.limit is not None:
        return ""
    return f"own pace {window.own_limit}" if window.own_limit else "own pace"


def _tables(
    quotas: Quotas, forecast: QuotaForecast, now: datetime, width: int
) -> Iterator[RenderableType]:
    """Draw one table; on narrow paper one for each vendor, below its name and plan."""
    foreseen = {
        (each.window.provider, each.window.name): each for each in forecast.windows
    }
    by_provider: dict[str, list[QuotaWindow]] = {}
    for window in quotas.windows:
        by_provider.setdefault(window.provider, []).append(window)
    groups = [
        [_row(each, foreseen.get((name, each.name)), now) for each in windows]
        for name, windows in by_provider.items()
    ]

    for shown in (range(len(_COLUMNS)), _WITHOUT_PLAN):
        named = [_named_once(group, shown) for group in groups]
        widths = _widths(chain(*named), shown, width)
        if widths:
            yield _table(chain(*by_provider.values()), chain(*named), widths)
            return

    narrow = list(range(_WINDOW, len(_COLUMNS)))
    widths = _widths(chain(*groups), narrow, width)
    for place in _LEFT_OUT:
        if not widths:
            narrow.remove(place)
            widths = _widths(chain(*groups), narrow, width)
    # Even that may be too much, and is folded then.
    widths = widths or dict.fromkeys(narrow)
    for windows, group in zip(by_provider.values(), groups, strict=True):
        if group is not groups[0]:
            yield Text()
        provider, plan, *_ = group[0]
        yield Text.assemble(provider, " ", (plan.plain, "dim"))
        yield _table(windows, group, widths)


def _table(
    windows: Iterable[QuotaWindow],
    rows: Iterable[Sequence[Text]],
    widths: Mapping[int, int | None],
) -> Table:
    """Draw those columns that have a width, at least so wide."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
    )
    for place, least in widths.items():
        table.add_column(
            _COLUMNS[place],
            # Names may be folded on paper that is too narrow even so.
            no_wrap=place >= _BAR,
            overflow="fold",
            min_width=least,
            justify="right" if _COLUMNS[place] in _FIGURES else "left",
        )
    for window, row in zip(windows, rows, strict=True):
        cells = {place: row[place] for place in widths}
        if _BAR in widths:
            cells[_BAR] = bar(window, widths[_BAR] or _SHORTEST_BAR)
        table.add_row(*cells.values())
    return table


def _widths(
    rows: Iterable[Sequence[Text]], shown: Sequence[int], width: int
) -> dict[int, int | None]:
    """Return how wide columns are, the bar as it fits; nothing where they do not."""
    heads = [Text(name) for name in _COLUMNS]
    cells = list(zip(heads, *rows, strict=True))
    widths = {place: max(map(_widest, cells[place])) for place in shown}
    if _BAR in widths:
        widths[_BAR] = max(widths[_BAR], _SHORTEST_BAR)
    room = width - sum(widths.values()) - _GAP * (len(widths) - 1)
    if room < 0:
        return {}
    if _BAR in widths:
        longest = max(widths[_BAR], _LONGEST_BAR)
        widths[_BAR] = min(widths[_BAR] + room, longest)
    return dict(widths)


def _widest(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split("\n")))


def _named_once(
    rows: Sequence[Sequence[Text]], shown: Sequence[int]
) -> list[list[Text]]:
    """Name a vendor in its first row; its plan below, if it has no column."""
    first, *others = [[*row] for row in rows]
    plan = Text(first[_PLAN].plain, "dim")
    for row in others:
        row[_PROVIDER], row[_PLAN] = Text(), Text()
    if _PLAN not in shown and others:
        others[0][_PROVIDER] = plan
    elif _PLAN not in shown:
        first[_PROVIDER] = Text.assemble(first[_PROVIDER], "\n", plan)
    return [first, *others]


def _row(
    window: QuotaWindow, forecast: WindowForecast | None, now: datetime
) -> list[Text]:
    """Write the cells of a window; where its bar will be, what stands in its place."""
    return [
        Text(window.provider, "bold"),
        Text(window.plan),
        Text(window.name),
        Text(_pace(window)),
        _used(window),
        Text("" if window.resets_at is None else until(window.resets_at, now)),
        Text("" if forecast is None else _rate(forecast.rate_per_second)),
        _runs_out(window, forecast, now),
    ]


def _used(window: QuotaWindow) -> Text:
    used = _count(window.used)
    if window.reserved:
        used += f"+{_count(window.reserved)}"
    units = "*" if window.counts == "UNITS" else ""
    if window.limit is None:
        return Text(f"{used}/?{units}")
    share = (window.used + window.reserved) / max(window.limit, 1)
    return Text(f"{used}/{_count(window.limit)}{units}", _style(share))


def _count(number: int) -> str:
    """Write a number; a large one in thousands or millions, to three digits."""
    if number < _EXACT:
        return str(number)
    unit, name = (1_000_000, "M") if number >= 1_000_000 else (1_000, "k")  # noqa: PLR2004 - a million
    # Cut, not rounded: what is used never looks like what is allowed.
    scale = 10 ** max(2 - int(math.log10(number / unit)), 0)
    return f"{number * scale // unit / scale:g}{name}"


def _runs_out(
    window: QuotaWindow, forecast: WindowForecast | None, now: datetime
) -> Text:
    if forecast is None:
        return Text()
    if forecast.exhausts_at is None:
        return Text("-", "dim")
    if forecast.exhausts_at <= now and _remains(window):
        # It was foreseen from older numbers than those beside it.
        return Text()
    return Text(until(forecast.exhausts_at, now), "red")


def _remains(window: QuotaWindow) -> bool:
    if window.remaining is not None:
        return window.remaining > 0
    return (window.own_limit or 0) > window.used + window.reserved


def _style(share: float) -> str:
    if share >= _ALARM_SHARE:
        return "red"
    return "yellow" if share >= _WARN_SHARE else "green"


def _remarks(provider: QuotaProvider, now: datetime) -> Iterator[Text]:
    """Tell what stands in no window."""
    if provider.closed_until is not None and provider.closed_until > now:
        why = f" ({provider.closed_reason})" if provider.closed_reason else ""
        until = clock(provider.closed_until)
        yield Text(f"closed until {until}{why}", "red")
    waiting = [
        f"{count} {kind}"
        for count, kind in (
            (provider.waiting_interactive, "interactive"),
            (provider.waiting_batch, "batch"),
        )
        if count
    ]
    if waiting:
        yield Text(f"waiting calls: {' and '.join(waiting)}")
    spend = provider.spend
    if spend.flat_usd or spend.price_per_unit_usd or spend.total_usd:
        yield Text(_cost(spend))


def _cost(spend: QuotaSpend) -> str:
    told = (
        f"{usd(spend.total_usd)} so far in {spend.month}, "
        f"{usd(spend.projected_usd)} projected"
    )
    if not spend.price_per_unit_usd:
        return told
    return (
        f"{told} ({spend.units} units of {spend.allowance_units}, then "
        f"{usd(spend.price_per_unit_usd)} each)"
    )


def _legend(windows: Sequence[QuotaWindow]) -> str:
    units = any(window.counts == "UNITS" for window in windows)
    return _LEGEND + _UNITS_LEGEND if units else _LEGEND


def _joined(texts: Sequence[Text]) -> Text:
    return Text(" · ").join(texts)


def _rate(per_second: float) -> str:
    """Write a rate in the first unit in which it is one or more."""
    if per_second <= 0:
        return "0"
    for seconds, name in _RATES:
        rate = per_second * seconds
        if rate >= 1:
            return f"{rate:.2g}/{name}" if rate < 10 else f"{rate:.0f}/{name}"  # noqa: PLR2004 - one digit
    return "<1/d"
