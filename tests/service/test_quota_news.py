"""A watcher hears of what has changed, and not of time that passed."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from ingestion_server.ports.quota import AccountUse
from ingestion_server.service.quota_news import Told
from tests.clocks import NOW_NS, SECOND_NS
from tests.service.ledgers import ALPHA_VANTAGE, DAY, SPEND, YAHOO

LATER_NS = NOW_NS + SECOND_NS


def told(account: AccountUse) -> Told:
    """Tell the first message."""
    watcher = Told([account.provider])
    assert watcher.news([account], [], NOW_NS).windows
    return watcher


def with_day(**changes: object) -> AccountUse:
    """Change the day of Alpha Vantage."""
    day = msgspec.structs.replace(DAY, **changes)
    return msgspec.structs.replace(ALPHA_VANTAGE, windows=[day])


def with_spend(projected: str) -> AccountUse:
    """Change what Alpha Vantage will have cost."""
    spend = msgspec.structs.replace(SPEND, projected_metered_usd=Decimal(projected))
    return msgspec.structs.replace(ALPHA_VANTAGE, spend=spend)


def test_a_moment_that_is_reckoned_anew_is_no_change() -> None:
    resets = NOW_NS + 60 * SECOND_NS
    watcher = told(with_day(resets_at_ns=resets, free_at_ns=resets))

    news = watcher.news(
        [with_day(resets_at_ns=resets + 50_000_000, free_at_ns=resets - 50_000_000)],
        [],
        LATER_NS,
    )

    assert not news.windows
    assert not news.providers


@pytest.mark.parametrize("resets", [None, LATER_NS, NOW_NS + 3_601 * SECOND_NS])
def test_another_moment_is_a_change(resets: int | None) -> None:
    watcher = told(with_day())

    news = watcher.news([with_day(resets_at_ns=resets)], [], LATER_NS)

    assert [window.name for window in news.windows] == ["day"]
    assert not news.providers


def test_a_moment_that_creeps_is_a_change_in_the_end() -> None:
    watcher = told(with_day())
    creeping = [DAY.resets_at_ns + step * 60_000_000 for step in (1, 2)]

    news = [
        watcher.news([with_day(resets_at_ns=moment)], [], LATER_NS)
        for moment in creeping
    ]

    assert [len(each.windows) for each in news] == [0, 1]


@pytest.mark.parametrize(("projected", "changed"), [("1.2004", False), ("1.21", True)])
def test_what_the_month_will_cost_is_news_by_the_cent(
    projected: str, *, changed: bool
) -> None:
    watcher = told(with_spend("1.20"))

    news = watcher.news([with_spend(projected)], [], LATER_NS)

    assert bool(news.providers) is changed


def test_a_vendor_that_opens_again_is_news() -> None:
    watcher = told(YAHOO)
    opened = msgspec.structs.replace(YAHOO, closed_until_ns=None, closed_reason="")

    news = watcher.news([opened], [], LATER_NS)

    assert [provider.closed_reason for provider in news.providers] == [""]
    assert not news.windows
