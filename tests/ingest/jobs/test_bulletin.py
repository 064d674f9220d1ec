"""Whoever waits for news of a job hears of everything, and keeps nothing alive."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.jobs import Unit
from ingestion_server.ingest.jobs.bulletin import Bulletin, Bulletins


def unit(number: int) -> Unit:
    return Unit(job_id="one", number=number, symbol="A", start_ns=1, end_ns=2)


def numbers(bulletin: Bulletin, after: int) -> list[int]:
    return [each.number for each in bulletin.units(after)]


async def test_news_from_before_one_waits_is_not_missed() -> None:
    bulletin = Bulletin()
    seen = bulletin.version
    bulletin.change()

    async with asyncio.timeout(1):
        await bulletin.news(seen)


async def test_everybody_who_waits_hears_of_it() -> None:
    bulletin = Bulletin()
    waiting = [asyncio.create_task(bulletin.news(bulletin.version)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)

    bulletin.change()

    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)


def test_each_hears_of_the_units_that_ended_since() -> None:
    bulletin = Bulletin()
    bulletin.ended(unit(1), 0.0)
    seen = bulletin.version
    bulletin.change()
    bulletin.ended(unit(2), 1.0)
    bulletin.ended(unit(3), 2.0)

    assert numbers(bulletin, 0) == [1, 2, 3]
    assert numbers(bulletin, seen) == [2, 3]
    assert numbers(bulletin, bulletin.version) == []


def test_of_very_many_the_latest_hundred_are_told() -> None:
    bulletin = Bulletin()
    for number in range(1, 251):
        bulletin.ended(unit(number), number)

    assert numbers(bulletin, 0) == list(range(151, 251))


def test_the_rate_is_that_of_late_and_unknown_at_first() -> None:
    bulletin = Bulletin()
    assert bulletin.units_per_second(0.0) == 0
    bulletin.ended(unit(1), 10.0)
    assert bulletin.units_per_second(11.0) == 0
    for each in range(2, 6):
        bulletin.ended(unit(each), 10.0 + each)

    assert bulletin.units_per_second(18.0) == pytest.approx(0.5)
    # It falls while nothing ends.
    assert bulletin.units_per_second(50.0) == pytest.approx(0.1)
    bulletin.began()
    assert bulletin.units_per_second(51.0) == 0


def test_a_bulletin_lasts_as_long_as_somebody_is_concerned_with_it() -> None:
    bulletins = Bulletins()
    first = bulletins.take("one")
    assert bulletins.take("one") is first
    bulletins.give_back("one")
    assert bulletins.of("one") is first

    bulletins.give_back("one")

    assert bulletins.of("one") is None
    bulletins.change("one")
    assert first.version == 0
