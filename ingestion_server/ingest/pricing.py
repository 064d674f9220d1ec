"""What an answer would cost, so that the cheapest vendor that suffices is asked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ingestion_server.domain.errors import CostLimitError, ProviderError
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.making import Task
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.vendor import ask_of, requests_of

_FREE: Final = Decimal(0)


def price_usd(candidate: Candidate, task: Task, now_seconds: float) -> Decimal:
    """
    Return what the calls for the bars cost, if each succeeds at once.

    What else may be needed, such as corporate actions, may be known already and is
    not in it.
    """
    vendor = candidate.vendor
    if not vendor.quota.charges:
        return _FREE
    ask = ask_of(task, vendor.refusals.at(now_seconds))
    try:
        requests = requests_of(vendor.provider, task, ask)
    except ProviderError:
        # It will be said when the vendor is asked.
        return _FREE
    return vendor.quota.price_usd(
        *(x.feature for x in requests for _ in range(x.times))
    )


def prices_usd(
    able: Sequence[Candidate], progress: Progress, now_seconds: float
) -> dict[str, Decimal]:
    """Return what each candidate would cost for all that is missing."""
    gaps = progress.gaps()
    if not gaps:
        return dict.fromkeys((each.name for each in able), _FREE)
    return {
        each.name: price_usd(
            each,
            Task(progress.query, each.recipe, gaps, None, each.now_ns),
            now_seconds,
        )
        for each in able
    }


def left_usd(progress: Progress) -> Decimal | None:
    """Return what may still be spent for an answer; None = there is no limit."""
    most = progress.query.policy.max_cost_usd
    if most is None:
        return None
    # Not what attempts say: corporate actions may go on being loaded after one ended.
    spent = sum((tally.cost_usd for tally in progress.tallies), start=_FREE)
    return Decimal(str(most)) - spent


def too_dear(candidate: Candidate, price: Decimal, left: Decimal) -> CostLimitError:
    """Return why a vendor is not even asked."""
    return CostLimitError(
        f"the bars would cost {price} US dollars with {candidate.name}, and "
        f"max_cost_usd leaves {left}",
        provider=candidate.name,
        price_usd=str(price),
    )
