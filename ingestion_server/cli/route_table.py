"""A route as tables for a terminal: who would be asked, and who would not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.frame import Frame
from ingestion_server.cli.scores import scored
from ingestion_server.cli.writing import clock, until, usd
from ingestion_server.client import Route, RouteCandidate


def drawn(symbol: str, route: Route, around: Frame) -> RenderableType:
    """Draw who would be asked, first choice first, and then those left out."""
    asked = [one for one in route.candidates if not one.excluded_reason]
    left_out = [one for one in route.candidates if one.excluded_reason]
    parts: list[RenderableType] = []
    parts.append(_ranked(asked) if asked else Text("nobody would be asked", "red"))
    if left_out:
        parts += [Text(), Text("Left out", "bold"), Text()]
        parts.append(_excluded(left_out, route.as_of))
    return around.around(f"Route for {symbol}", route.as_of, parts)


def _ranked(candidates: Sequence[RouteCandidate]) -> Table:
    """Make a table of vendors, and below each what its score is made of."""
    table = _table("", "provider", "score", "weight", "why")
    for place, candidate in enumerate(candidates, start=1):
        table.add_row(
            Text(f"{place}."),
            Text(candidate.provider, "bold"),
            Text() if candidate.score is None else scored(candidate.score),
            Text(),
            Text("; ".join(_why(candidate))),
        )
        for factor in candidate.factors:
            table.add_row(
                Text(),
                Text(f"  {factor.name}"),
                scored(factor.value),
                Text(f"{factor.weight:.0%}"),
                Text(factor.detail, "dim"),
            )
    return table


def _why(candidate: RouteCandidate) -> Iterator[str]:
    if candidate.why:
        yield candidate.why
    if candidate.derivation:
        yield candidate.derivation
    if candidate.price_usd:
        yield usd(candidate.price_usd)


def _excluded(candidates: Sequence[RouteCandidate], now: datetime) -> Table:
    table = _table("provider", "until", "why")
    for candidate in candidates:
        back = candidate.excluded_until
        table.add_row(
            Text(candidate.provider, "bold"),
            Text("-" if back is None else f"{clock(back)} ({until(back, now)})"),
            Text(candidate.excluded_reason, "yellow"),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in columns:
        # Facts keep their shape on narrow paper; only sentences may be folded.
        table.add_column(
            name,
            no_wrap=name != "why",
            overflow="fold",
            justify="right" if name == "weight" else "left",
        )
    return table
