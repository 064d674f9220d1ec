"""One answer, and what a second vendor says about it; prices are never averaged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    IngestionError,
    ProviderError,
)
from ingestion_server.domain.quality import FlagKind, QualityFlag, bounded
from ingestion_server.domain.query import BarQuery, SourceMode
from ingestion_server.domain.result import Attempt, BarResult
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.progress import reason_of
from ingestion_server.registry.agreement import differences, settled

_TWO: Final = 2
_HALF: Final = 0.5

Fetch = Callable[[BarQuery, float, list[Attempt]], Awaitable[BarResult]]
"""
Answer a query in a share of the time that is left; raises ``IngestionError``.

Attempts are noted in the list, also those of a question that is not answered.
"""


class _Told(NamedTuple):
    """Be what became of one of the two questions."""

    outcome: BarResult | IngestionError
    attempts: list[Attempt]


def pair(found: Sequence[Candidate | ProviderError]) -> tuple[str, str]:
    """
    Return the first two vendors that can answer.

    Raises:
        CapabilityMissingError: There are not two.

    """
    able = [each.name for each in found if isinstance(each, Candidate)]
    if len(able) < _TWO:
        why = "; ".join(
            f"{each.provider} cannot: {each.message}"
            for each in found
            if isinstance(each, ProviderError)
        )
        raise CapabilityMissingError(
            f"a consensus takes two vendors, and {', '.join(able) or 'none'} can answer"
            + (f" ({why})" if why else ""),
            provider="",
        )
    return able[0], able[1]


async def agreed(query: BarQuery, names: tuple[str, str], fetch: Fetch) -> BarResult:
    """
    Return the answer of the first vendor, and where the second one contradicts it.

    If only one of them answers, its bars are the answer, and it says that nobody has
    confirmed them; unless all that was asked for is wanted.

    Raises:
        IngestionError: Nobody answers, or a partial answer is not wanted.

    """
    first, second = await _both(query, names, fetch)
    attempts = [*first.attempts, *second.attempts]
    mine, theirs = first.outcome, second.outcome
    if isinstance(mine, IngestionError):
        mine.tried = tuple(attempts)
        if isinstance(theirs, IngestionError):
            raise mine
        found = _alone(theirs, names[0], mine, query)
    elif isinstance(theirs, IngestionError):
        theirs.tried = tuple(attempts)
        found = _alone(mine, names[1], theirs, query)
    else:
        found = _compared(mine, theirs, names, query.policy.tolerance)
    return replace(found, attempts=attempts)


async def _both(
    query: BarQuery, names: tuple[str, str], fetch: Fetch
) -> tuple[_Told, _Told]:
    """Ask both at once; one after the other if they share what may be spent."""
    queries = [_of(query, name) for name in names]
    most = query.policy.max_cost_usd
    if most is None:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_told(fetch, each, 1)) for each in queries]
        return asked[0].result(), asked[1].result()
    first = await _told(fetch, queries[0], _HALF)
    spent = sum((each.cost_usd for each in first.attempts), start=Decimal(0))
    left = max(Decimal(str(most)) - spent, Decimal(0))
    policy = msgspec.structs.replace(queries[1].policy, max_cost_usd=float(left))
    second = msgspec.structs.replace(queries[1], policy=policy)
    return first, await _told(fetch, second, 1)


def _of(query: BarQuery, name: str) -> BarQuery:
    """Return the query for one vendor alone."""
    policy = msgspec.structs.replace(
        query.policy, mode=SourceMode.ANY, providers=(name,)
    )
    return msgspec.structs.replace(query, policy=policy)


async def _told(fetch: Fetch, query: BarQuery, share: float) -> _Told:
    attempts: list[Attempt] = []
    try:
        return _Told(await fetch(query, share, attempts), attempts)
    except IngestionError as error:
        return _Told(error, attempts)


def _compared(
    mine: BarResult, theirs: BarResult, names: tuple[str, str], tolerance: float
) -> BarResult:
    my_bars, their_bars = settled(
        mine.series, mine.states, theirs.series, theirs.states
    )
    found = differences(my_bars, their_bars, tolerance=tolerance)
    apart = [
        QualityFlag(
            FlagKind.DISAGREEMENT, f"{names[0]} and {names[1]}: {detail}", int(time)
        )
        for time, detail in zip(found.disagreeing_ns, found.details, strict=True)
    ]
    alone = [
        QualityFlag(FlagKind.UNCONFIRMED, f"{names[1]} has no such bar", int(time))
        for time in found.unmatched_mine_ns
    ]
    return replace(
        mine,
        flags=bounded([*mine.flags, *apart, *alone]),
        good_for_seconds=min(mine.good_for_seconds, theirs.good_for_seconds),
    )


def _alone(
    result: BarResult, silent: str, error: IngestionError, query: BarQuery
) -> BarResult:
    """Return what only one vendor says, and that it does."""
    if not query.policy.allow_partial:
        raise error
    flag = QualityFlag(
        FlagKind.UNCONFIRMED, f"{silent} did not confirm: {reason_of(error)}"
    )
    return replace(result, flags=bounded([flag, *result.flags]), good_for_seconds=0.0)
