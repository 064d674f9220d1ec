"""Units before they have numbers: in which order they are done, and their sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from ingestion_server.domain.jobs import Plan, PlanFailure, Unit, UnitState
from ingestion_server.domain.query import Span
from ingestion_server.ingest.jobs.estimating import Estimate
from ingestion_server.ingest.jobs.rehearsing import Work

_MOST_FAILURES: Final = 100


class Draft(NamedTuple):
    """Be a unit before it has a number."""

    place: int
    """Of the symbol, among those of the job."""
    symbol: str
    span: Span
    work: Work | None = None
    """None if nothing is to be done."""
    failed: str = ""


def cheapest_first(drafts: Sequence[Draft]) -> list[Draft]:
    """
    Return drafts by price, then by symbol and time.

    What may share a call stays together.
    """
    return sorted(drafts, key=_cheapest)


def in_order(drafts: Sequence[Draft], estimate: Estimate) -> Iterator[Draft]:
    """
    Yield what has landed, then what is to be done, then what cannot be.

    The estimate is of those that are to be done, as they stand among the drafts.
    """
    yield from sorted(
        (each for each in drafts if each.work is None and not each.failed),
        key=_by_symbol,
    )
    to_do = [each for each in drafts if each.work is not None]
    yield from (to_do[place] for place in estimate.order)
    yield from sorted((each for each in drafts if each.failed), key=_by_symbol)


def _by_symbol(draft: Draft) -> tuple[int, int]:
    return draft.place, draft.span.start_ns


def _cheapest(draft: Draft) -> tuple[Decimal, str, int, int, int, int]:
    place, start_ns = _by_symbol(draft)
    piece = None if draft.work is None else draft.work.piece
    if piece is None or piece.ask is None:
        price_usd = Decimal(0) if piece is None else piece.price_usd
        return price_usd, "", 0, 0, place, start_ns
    span = piece.span
    return piece.price_usd, piece.provider, span.start_ns, span.end_ns, place, start_ns


def unit_of(draft: Draft, *, job_id: str, run: int, number: int, now_ns: int) -> Unit:
    """Return the unit that a draft becomes."""
    unit = Unit(
        job_id=job_id,
        number=number,
        run=run,
        symbol=draft.symbol,
        start_ns=draft.span.start_ns,
        end_ns=draft.span.end_ns,
    )
    if draft.work is not None:
        return unit
    if draft.failed:
        return msgspec.structs.replace(
            unit, state=UnitState.FAILED, last_reason=draft.failed
        )
    return msgspec.structs.replace(
        unit, state=UnitState.LANDED, already_landed=True, landed_at_ns=now_ns
    )


def plan_of(drafts: Sequence[Draft], estimate: Estimate) -> Plan:
    """Sum up what a run does."""
    failures: dict[str, str] = {}
    for draft in sorted(drafts, key=_by_symbol):
        if draft.failed:
            failures.setdefault(draft.symbol, draft.failed)
    kinds = Counter(
        "failed" if each.failed else "landed" if each.work is None else "left"
        for each in drafts
    )
    return Plan(
        units=kinds["left"],
        units_landed=kinds["landed"],
        calls=estimate.calls,
        cost_usd=estimate.cost_usd,
        finishes_at_ns=estimate.finishes_at_ns,
        providers=estimate.providers,
        failures=tuple(
            PlanFailure(symbol, reason)
            for symbol, reason in islice(failures.items(), _MOST_FAILURES)
        ),
    )
