"""Scores choose the order, and answers make the scores."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.errors import NoDataUnexplainedError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import SourceMode
from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.registry.health import LEAST_SAMPLES
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import QUERY, TEN_DAYS, Market, Shop

KIND = "bars:equity"
HALF = TEN_DAYS[:5]
OPEN = BreakerState(BreakerPosition.OPEN, 5, "down", 1030.0, 30.0)


class Sloppy(Shop):
    """Give bars of which the last cannot be true."""

    def series(self) -> BarSeries:
        """Give the days, the last with a negative volume."""
        good = super().series()
        volume = np.ones(len(good))
        volume[-1] = -1.0
        return replace(good, volume=volume)


class Silent(Shop):
    """Give prices without a unit."""

    def names_unit(self, instrument: Instrument) -> bool:
        """Name none."""
        del instrument
        return False


def worsen(market: Market, name: str) -> None:
    """Let a vendor fail often."""
    for _ in range(8):
        health = market.standings._health(name, KIND)  # noqa: SLF001 - as calls would
        health.failed(market.clock.monotonic(), 0, 0.1, "HTTP 503")


async def first(market: Market) -> str:
    """Return who served."""
    return (await market.fetch()).attempts[0].provider


async def test_who_fails_often_goes_behind_and_comes_back_through_probes() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        worsen(market, ACME)
        behind = [await first(market) for _ in range(3)]
        probes = []
        for _ in range(10):
            await market.clock.advance(10.0)
            probes.append((await first(market), await first(market)))

    assert behind == [ZENITH] * 3
    assert probes[0] == (ACME, ZENITH)
    assert probes[-1] == (ACME, ACME)


async def test_of_those_who_ask_at_once_only_one_probes() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        worsen(market, ACME)
        await market.clock.advance(11.0)

        asked = [await first(market) for _ in range(3)]

    assert asked == [ACME, ZENITH, ZENITH]


@pytest.mark.parametrize(
    ("mode", "named", "ranked"),
    [
        (SourceMode.ANY, (), True),
        (SourceMode.ORDERED, (ACME, ZENITH), False),
        (SourceMode.PINNED, (ACME,), False),
    ],
)
async def test_no_score_changes_an_order_that_somebody_chose(
    *, mode: SourceMode, named: tuple[str, ...], ranked: bool
) -> None:
    async with Market(Shop(ACME), Shop(ZENITH), ranked=ranked) as market:
        worsen(market, ACME)

        result = await market.fetch(*named, mode=mode)

    assert [attempt.provider for attempt in result.attempts] == [ACME]


async def test_the_last_one_standing_is_asked_however_bad_it_is() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        worsen(market, ACME)
        market.breakers[ZENITH] = OPEN

        assert await first(market) == ACME


async def test_no_score_makes_up_for_a_missing_unit() -> None:
    async with Market(Silent(ACME), Shop(ZENITH)) as market:
        worsen(market, ZENITH)

        asked = await first(market)
        route = await market.fetcher.explain(QUERY)

    assert asked == ZENITH
    assert [each.provider for each in route] == [ZENITH, ACME]
    assert route[1].why.startswith("after those that name the unit of their prices; ")


async def test_equals_share_the_load_and_the_same_seed_shares_alike() -> None:
    routes = []
    for _ in range(2):
        async with Market(Shop(ACME), Shop(ZENITH), shared=2) as market:
            routes.append([await first(market) for _ in range(60)])

    assert routes[0] == routes[1]
    assert min(Counter(routes[0])[name] for name in (ACME, ZENITH)) >= 20


async def test_an_answer_tells_how_much_of_what_was_due_came() -> None:
    async with Market(Shop(ACME, days=HALF), Shop(ZENITH)) as market:
        await market.fetch()

    assert market.standings.view(ACME, KIND).completeness == pytest.approx(0.5)
    # Of what it was asked for, which was the rest.
    assert market.standings.view(ZENITH, KIND).completeness == pytest.approx(1.0)


async def test_who_had_nothing_where_another_had_something_lacked_all_of_it() -> None:
    async with Market(Shop(ACME, days=()), Shop(ZENITH)) as market:
        await market.fetch()

    assert market.standings.view(ACME, KIND).completeness == 0.0


async def test_where_nobody_has_anything_nobody_lacks_anything() -> None:
    async with Market(Shop(ACME, days=()), Shop(ZENITH, days=())) as market:
        with pytest.raises(NoDataUnexplainedError):
            await market.fetch()

    assert market.standings.view(ACME, KIND).completeness is None


async def test_rows_that_cannot_be_true_tell_against_a_vendor() -> None:
    async with Market(Sloppy(ACME), Shop(ZENITH)) as market:
        await market.fetch()

    assert market.standings.view(ACME, KIND).soundness == pytest.approx(0.9)


async def test_the_first_choice_is_the_same_after_many_good_answers() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        asked = {await first(market) for _ in range(30)}

    assert asked == {ACME}
    assert market.standings.view(ACME, KIND).samples > LEAST_SAMPLES


async def test_a_listing_may_be_replaced_while_the_house_runs() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        market.ranking.listing = msgspec.structs.replace(
            market.ranking.listing,
            enabled=(ZENITH, ACME),
            priorities={ACME: 10, ZENITH: 5},
        )

        assert await first(market) == ZENITH
