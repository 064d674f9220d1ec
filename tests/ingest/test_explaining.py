"""Who would be asked, and who would not, without asking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.ports.budget import Window
from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.routing import RouteCandidate
from tests.ingest.making import ACME, ZENITH
from tests.ingest.test_ranking import OPEN, worsen
from tests.ingest.vendors import CENT, QUERY, Market, Shop

PROBED = BreakerState(BreakerPosition.HALF_OPEN, 5, "down")


async def explained(market: Market, **changes: Any) -> Sequence[RouteCandidate]:
    """Explain the route of the usual query, but for the changes."""
    return await market.fetcher.explain(msgspec.structs.replace(QUERY, **changes))


def names(route: Sequence[RouteCandidate]) -> list[tuple[str, bool]]:
    """Return each vendor, and whether it is in the route."""
    return [(each.provider, not each.excluded_reason) for each in route]


async def test_the_route_is_told_with_score_price_and_reason() -> None:
    async with Market(Shop(ACME, 2), Shop(ZENITH, 1)) as market:
        route = await explained(market)

    assert names(route) == [(ZENITH, True), (ACME, True)]
    assert [each.price_usd for each in route] == [CENT, 2 * CENT]
    assert [each.why for each in route] == [
        "asked first: priority 20, 0.01 US dollars",
        "asked next: priority 10, 0.02 US dollars",
    ]
    assert all(each.score and each.score.factors for each in route)
    assert market.wire.asked == []


async def test_explaining_changes_no_route() -> None:
    async def asked(*, explain: bool) -> list[str]:
        async with Market(Shop(ACME), Shop(ZENITH), shared=2) as market:
            found = []
            for _ in range(20):
                if explain:
                    await explained(market)
                found.append((await market.fetch()).attempts[0].provider)
            return found

    assert await asked(explain=True) == await asked(explain=False)


async def test_a_probe_is_foreseen_and_not_used_up() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        worsen(market, ACME)
        await market.clock.advance(12.0)

        twice = [await explained(market) for _ in range(2)]

    assert all(route[0].why.startswith("probe after 12 s") for route in twice)


async def test_how_bars_would_be_made_is_told() -> None:
    async with Market(Shop(ACME)) as market:
        [only] = await explained(market, interval=Interval.WEEK_1)

    assert only.derivation == "1w bars summed up from 1d bars"


async def test_who_rests_is_left_out_until_the_probe() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        market.breakers[ACME] = OPEN
        route = await explained(market)
        now_ns = market.clock.now_ns()

    assert names(route) == [(ZENITH, True), (ACME, False)]
    assert route[1].excluded_reason == (
        "ALL_PROVIDERS_FAILED: acme rests after 5 failures in a row, the last: down"
    )
    assert route[1].excluded_until_ns == now_ns + 30 * SECOND_NS
    assert route[1].score is not None


async def test_who_is_being_probed_is_left_out_and_nobody_knows_until_when() -> None:
    async with Market(Shop(ACME)) as market:
        market.breakers[ACME] = PROBED
        [only] = await explained(market)

    assert (names([only]), only.excluded_until_ns) == ([(ACME, False)], None)


async def test_who_has_no_quota_is_left_out_until_it_has() -> None:
    shop = Shop(ACME, windows=[Window(name="minute", limit=1, seconds=60.0)])
    async with Market(shop) as market:
        await market.fetch()
        [only] = await explained(market)
        now_ns = market.clock.now_ns()

    assert only.excluded_reason.startswith("QUOTA_EXHAUSTED: no call to acme fits")
    assert only.excluded_until_ns is not None
    assert only.excluded_until_ns - now_ns == pytest.approx(60 * SECOND_NS, rel=0.1)


async def test_who_is_too_dear_is_left_out() -> None:
    policy = SourcePolicy(max_cost_usd=0.01)
    async with Market(Shop(ACME, 2), Shop(ZENITH, 1)) as market:
        route = await explained(market, policy=policy)

    assert names(route) == [(ZENITH, True), (ACME, False)]
    assert route[1].excluded_reason.startswith("COST_LIMIT_EXCEEDED: ")
    assert route[1].price_usd == Decimal("0.02")


async def test_who_cannot_serve_it_or_has_no_key_is_left_out_with_the_reason() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        market.vendors[ZENITH] = replace(market.vendors[ZENITH], no_key="set a key")
        route = await explained(market, interval=Interval.MINUTE_1)

    assert [(each.provider, each.excluded_reason) for each in route] == [
        (ACME, "CAPABILITY_MISSING: no 1m bars"),
        (ZENITH, "CREDENTIALS_REFUSED: set a key"),
    ]


async def test_who_is_switched_off_or_not_named_is_left_out() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        listing = msgspec.structs.replace(market.ranking.listing, disabled=("retired",))
        market.ranking.listing = listing
        route = await explained(market, policy=SourcePolicy(providers=(ZENITH,)))

    assert [(each.provider, each.excluded_reason) for each in route] == [
        (ZENITH, ""),
        (ACME, "CAPABILITY_MISSING: the request does not name it"),
        ("retired", "CAPABILITY_MISSING: is switched off"),
    ]


@pytest.mark.parametrize(
    ("mode", "named", "why"),
    [
        (SourceMode.ORDERED, (ZENITH, ACME), "the caller's order"),
        (SourceMode.PINNED, (ZENITH,), "pinned by the caller"),
    ],
)
async def test_the_callers_choice_is_told(
    mode: SourceMode, named: tuple[str, ...], why: str
) -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        worsen(market, ZENITH)
        route = await explained(market, policy=SourcePolicy(mode, named))

    assert (route[0].provider, route[0].why) == (ZENITH, why)


async def test_a_consensus_names_the_two_that_are_compared_first() -> None:
    policy = SourcePolicy(SourceMode.CONSENSUS, (ZENITH, ACME))
    async with Market(Shop(ACME), Shop(ZENITH, 2)) as market:
        route = await explained(market, policy=policy)

    assert names(route) == [(ZENITH, True), (ACME, True)]
    assert {each.why for each in route} == {"compared: the first two are"}
    assert market.wire.asked == []


@pytest.mark.parametrize(
    "policy",
    [SourcePolicy(SourceMode.CONSENSUS, (ACME,)), SourcePolicy(providers=("nobody",))],
)
async def test_what_cannot_be_asked_cannot_be_explained(policy: SourcePolicy) -> None:
    async with Market(Shop(ACME)) as market:
        with pytest.raises(InvalidQueryError):
            await explained(market, policy=policy)
