"""The same seeds give the same routes."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from typing_extensions import override

from tests.port import house as houses
from tests.port.house import UNMETERED, Build, House
from tests.port.roster import MAY, route

SHARED = {
    **UNMETERED,
    "RETRY__ATTEMPTS": "1",
    "CACHE__ENABLED": "false",
    "REGISTRY__PROBE_SECONDS": "0",
    "PROVIDERS__ALPHA_VANTAGE__PRIORITY": "10",
    "PROVIDERS__YAHOO__PRIORITY": "10",
}
"""Both vendors share the load, and are asked for nothing but each question."""
QUESTIONS = [
    {"symbol": symbol, "adjustment": adjustment, **MAY}
    for symbol in ("MSFT", "AAPL", "EUR/USD", "BTC/USD", "KO")
    for adjustment in ("ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT")
]
ROUNDS = 4
FAILING = {"probability": 0.3}
"""The sandbox draws with its own seed, so the same calls fail."""


class StillClock(houses.ShiftedClock):
    """Stand still until told to advance, so that no call takes longer than another."""

    def __init__(self, start: Any = houses.NOON) -> None:
        super().__init__(start)
        self._start_ns = int(start.timestamp() * 1e9)

    @override
    def now_ns(self) -> int:
        return self._start_ns + int(self._ahead_seconds * 1e9)

    @override
    def monotonic(self) -> float:
        return 1e6 + self._ahead_seconds


class Told(NamedTuple):
    """Be what was told of one question."""

    explained: Sequence[tuple[str, str, float, str]]
    """The route before it was asked."""
    attempted: Sequence[tuple[str, int, str]]
    """Whom it was asked of then, in order."""


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(houses, "ShiftedClock", StillClock)


async def told(home: House) -> list[Told]:
    """Ask a sequence of questions while vendors fail now and then."""
    for vendor in ("alpha_vantage", "yahoo"):
        await home.fault(vendor, "status_500", **FAILING)
    found = []
    for question in QUESTIONS * ROUNDS:
        home.clock.advance(7)
        explained = [
            (each.provider, each.excluded_reason, each.score, each.why)
            for each in await route(home, **question)
        ]
        found.append(Told(explained, await attempted(home, question)))
    return found


async def attempted(
    home: House, question: dict[str, Any]
) -> list[tuple[str, int, str]]:
    """Return each attempt of an answer, or who the refusal says has failed."""
    try:
        answer = await home.fetch(**question)
    except houses.RefusedError as error:
        return [(error.facts.get("providers", ""), error.code.value[0], error.reason)]
    return [(each.provider, each.calls, each.reason) for each in answer.attempts]


def chosen(found: Sequence[Told]) -> list[list[str]]:
    """Return only who was asked, in order."""
    return [[name for name, *_ in each.attempted] for each in found]


async def test_the_same_seeds_give_the_same_routes(build: Build) -> None:
    seeds = ("7", "7", "8")
    routes = []
    for seed in seeds:
        async with build(settings={**SHARED, "REGISTRY__SEED": seed}) as home:
            routes.append(await told(home))

    same, again, other = routes

    assert same == again
    assert chosen(same) != chosen(other)
    firsts = {each[0] for each in chosen(same)}
    assert firsts >= {"alpha_vantage", "yahoo"}


async def test_a_route_can_be_replayed_with_the_seed_in_the_log(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="ingestion_server"):
        async with build(settings=SHARED) as home:
            first = await told(home)
    (seed,) = re.findall(r"registry\.seed=(\d+)", caplog.text)

    async with build(settings={**SHARED, "REGISTRY__SEED": seed}) as home:
        assert await told(home) == first
