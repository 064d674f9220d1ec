"""A comparison of vendors as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ingestion_server.cli.frame import Frame
from ingestion_server.cli.writing import span, usd
from ingestion_server.client import Benchmark, ProviderAgreement, ProviderBenchmark

_FIGURES: Final = frozenset(
    {"answered", "p50", "p95", "complete", "calls", "cost", "agree", "worst", "alone"}
)
_LEGEND: Final = (
    "agree: bars whose prices are all within the tolerance; worst: the largest "
    "distance of two prices; alone: bars that only one of them gave"
)


def drawn(
    symbols: Sequence[str], benchmark: Benchmark, around: Frame
) -> RenderableType:
    """Draw how vendors answered, what went wrong, and how far they agree."""
    parts: list[RenderableType] = []
    if benchmark.providers:
        parts.append(_answers(benchmark.providers))
    else:
        parts.append(Text("no vendor is switched on", "red"))
    remarks = [line for each in benchmark.providers for line in _remarks(each, symbols)]
    if remarks:
        parts += [Text(), *remarks]
    if benchmark.agreements:
        parts += [Text(), Text("Agreement", "bold"), Text()]
        parts += [_agreements(benchmark.agreements), Text(), Text(_LEGEND, "dim")]
    return around.around(f"Benchmark of {_listed(symbols)}", benchmark.as_of, parts)


def _answers(providers: Sequence[ProviderBenchmark]) -> Table:
    table = _table("provider", "answered", "p50", "p95", "complete", "calls", "cost")
    for each in providers:
        if each.skipped_reason:
            table.add_row(Text(each.provider, "bold"), Text("not asked", "yellow"))
            continue
        all_answered = each.answered == each.asked
        table.add_row(
            Text(each.provider, "bold"),
            Text(
                f"{each.answered} of {each.asked}", "green" if all_answered else "red"
            ),
            Text(_time(each.p50)),
            Text(_time(each.p95)),
            _complete(each.completeness),
            Text(f"{each.calls}"),
            Text(usd(each.cost_usd)),
        )
    return table


def _complete(share: float | None) -> Text:
    if share is None:
        return Text("?", "dim")
    # Never rounded up to all of it.
    return Text(f"{int(share * 1000) / 10:.3g} %", "green" if share == 1 else "yellow")


def _time(length: timedelta | None) -> str:
    return "-" if length is None else span(length)


def _remarks(provider: ProviderBenchmark, symbols: Sequence[str]) -> Iterator[Text]:
    """Tell why questions were not answered, and what was wrong with answers."""
    name = (provider.provider, "bold")
    if provider.skipped_reason:
        yield Text.assemble(name, " ", (provider.skipped_reason, "yellow"))
        return
    about: dict[str, list[str]] = {}
    for answer in provider.answers:
        if answer.reason and answer.outcome != "SERVED":
            about.setdefault(answer.reason, []).append(symbols[answer.question])
    for reason, asked in about.items():
        yield Text.assemble(name, f" {_listed(asked)} ", (reason, "yellow"))
    if provider.quarantined:
        rows = provider.quarantined
        told = (
            "1 row contradicted itself and was left out"
            if rows == 1
            else f"{rows} rows contradicted themselves and were left out"
        )
        yield Text.assemble(name, " ", (told, "yellow"))


def _listed(symbols: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(symbols))


def _agreements(agreements: Sequence[ProviderAgreement]) -> Table:
    table = _table("providers", "agree", "worst", "alone")
    for each in agreements:
        agreeing = each.agreeing == each.compared
        table.add_row(
            Text(f"{each.provider}, {each.other}"),
            Text(
                f"{each.agreeing:,} of {each.compared:,} bars",
                "green" if agreeing else "red",
            ),
            Text(_worst(each)),
            Text(f"{each.unmatched:,}", "yellow" if each.unmatched else ""),
        )
    return table


def _worst(agreement: ProviderAgreement) -> str:
    if agreement.worst is None or agreement.worst_time is None:
        return "-"
    if not agreement.worst:
        return "equal"
    day = f"{agreement.worst_time:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    return f"{100 * agreement.worst:.2g} % ({agreement.worst_symbol} {day})"


def _table(*columns: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in columns:
        table.add_column(
            name,
            no_wrap=name != "providers",
            overflow="fold",
            justify="right" if name in _FIGURES else "left",
        )
    return table
