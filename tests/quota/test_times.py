"""A call weighs as often what its endpoint does as its request says."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.budget import Budget, Counts
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.ledger import Ledger
from tests.clocks import ManualClock
from tests.quota.desk import ledger, rolling

BUDGET = Budget(
    windows=(
        rolling("messages", 100, 60.0, counts=Counts.UNITS),
        rolling("calls", 5, 1.0),
    ),
    weights={"chart": 10},
)


def reserved(book: Ledger) -> dict[str, int]:
    """Return what is on its way, by the window."""
    return {use.window: use.reserved for use in book.uses()[0].windows}


async def test_bars_are_counted_and_the_call_is_one(clock: ManualClock) -> None:
    book = ledger(clock, BUDGET)

    debit = await book.accounts["acme"].reserve(
        "chart", longest_wait_seconds=0.0, lane=Lane.INTERACTIVE, times=7
    )

    assert debit.units == 70
    assert reserved(book) == {"messages": 70, "calls": 1}


async def test_what_never_left_is_given_back_whole(clock: ManualClock) -> None:
    book = ledger(clock, BUDGET)
    account = book.accounts["acme"]

    account.refund(
        await account.reserve(
            "chart", longest_wait_seconds=0.0, lane=Lane.INTERACTIVE, times=7
        )
    )

    assert reserved(book) == {"messages": 0, "calls": 0}


@pytest.mark.parametrize("times", [11, 10**9])
async def test_a_call_that_no_window_holds_is_refused_at_once(
    clock: ManualClock, times: int
) -> None:
    account = ledger(clock, BUDGET).accounts["acme"]

    with pytest.raises(QuotaExhaustedError) as caught:
        await account.reserve(
            "chart", longest_wait_seconds=60.0, lane=Lane.INTERACTIVE, times=times
        )

    assert caught.value.window == "messages"
