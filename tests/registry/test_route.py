"""In which order vendors are asked."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.ports.routing import Factor, Score
from ingestion_server.registry.route import PROBE_SECONDS, Entry, Placed, ranked

RECENT = PROBE_SECONDS / 2
RESTED = PROBE_SECONDS + 2

ENTRIES = st.lists(
    st.builds(
        Entry,
        name=st.text("abcdefgh", min_size=1, max_size=3),
        tier=st.integers(0, 3),
        score=st.builds(Score, st.floats(0, 1), st.booleans(), st.just(())),
        hard=st.booleans(),
        price_usd=st.integers(0, 2).map(Decimal),
        able=st.booleans(),
        asked_seconds_ago=st.none() | st.floats(0, 100),
        quota_plentiful=st.booleans(),
    ),
    max_size=7,
    unique_by=lambda entry: entry.name,
)


def entry(name: str, tier: int = 10, value: float = 1.0, **changes: Any) -> Entry:
    """Make a vendor that is judged, and was asked a moment ago."""
    known = {
        "score": Score(value, judged=True, factors=()),
        "asked_seconds_ago": RECENT,
    }
    return Entry(name=name, tier=tier, **known | changes)


def unjudged(value: float) -> Score:
    """Make the score of a vendor that was hardly asked."""
    return Score(value, judged=False, factors=())


def placed(*entries: Entry, seed: int = 1) -> list[Placed]:
    """Put them in order."""
    return ranked(entries, random=Random(seed).random)  # noqa: S311 - no secret


def names(*entries: Entry, seed: int = 1) -> str:
    """Return the order of vendors with names of one letter."""
    return "".join(each.name for each in placed(*entries, seed=seed))


def never() -> float:
    """Be a source of numbers that nobody may draw."""
    raise AssertionError("nothing was to be drawn")


def test_the_smaller_number_is_first_and_says_so_without_a_draw() -> None:
    route = ranked([entry("b", 20), entry("a", 10)], random=never)

    assert route == [
        Placed("a", "asked first: priority 10"),
        Placed("b", "asked next: priority 20"),
    ]


def test_who_costs_less_is_before_who_has_the_smaller_number() -> None:
    cent = Decimal("0.01")

    route = placed(entry("a", 10, price_usd=cent), entry("b", 20))

    assert [each.name for each in route] == ["b", "a"]
    assert route[1].why == "asked next: priority 10, 0.01 US dollars"


def test_money_is_not_spent_to_spare_a_free_vendor_that_is_worse() -> None:
    assert names(entry("a", 10, 0.2), entry("b", 20, price_usd=Decimal(1))) == "ab"


@pytest.mark.parametrize(
    ("value", "order"), [(0.95, "ab"), (0.90, "ab"), (0.89, "ba"), (0.0, "ba")]
)
def test_who_is_clearly_worse_goes_behind(value: float, order: str) -> None:
    assert names(entry("a", 10, value), entry("b", 20)) == order


def test_it_goes_behind_the_best_and_stays_before_the_others() -> None:
    entries = entry("a", 10, 0.2), entry("b", 20, 0.9), entry("c", 30), entry("d", 40)

    assert names(*entries) == "bcad"


def test_several_that_go_behind_keep_their_order() -> None:
    assert names(entry("a", 10, 0.2), entry("b", 20, 0.1), entry("c", 30)) == "cab"


def test_who_goes_behind_says_for_which_factor() -> None:
    def made(success: float) -> Score:
        parts = (
            Factor("success", success, 0.35, f"{success:.0%} succeeded"),
            Factor("latency", 0.5, 0.2, "slow"),
        )
        return Score(0.55 + success * 0.35, judged=True, factors=parts)

    route = placed(entry("a", score=made(0.31)), entry("b", 20, score=made(0.97)))

    assert route[1].why == ("demoted: success 0.31 against 0.97 of b; 31% succeeded")


@pytest.mark.parametrize(
    "spared",
    [
        entry("a", 10, score=unjudged(0.2)),
        entry("a", 10, 0.2, able=False),
        entry("a", 10, 0.2, hard=True),
    ],
    ids=["unjudged", "takes no call", "set by an operator"],
)
def test_who_is_not_moved_by_its_score(spared: Entry) -> None:
    assert names(spared, entry("b", 20)) == "ab"


def test_nobody_goes_behind_who_takes_no_call() -> None:
    assert names(entry("a", 10, 0.2), entry("b", 20, able=False)) == "ab"


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nobody_is_moved_past_a_place_that_an_operator_chose(value: float) -> None:
    entries = (
        entry("a", 10, 0.2, price_usd=Decimal(1)),
        entry("b", 20, value, hard=True),
        entry("c", 30),
    )

    assert names(*entries) == "abc"


def test_one_that_went_behind_is_probed_after_a_rest() -> None:
    worse = entry("a", 10, 0.2, asked_seconds_ago=RESTED)

    route = placed(worse, entry("b", 20))

    assert [(each.name, each.probe) for each in route] == [("a", True), ("b", False)]
    assert route[0].why.startswith("probe after 12 s; else demoted: score 0.20")


@pytest.mark.parametrize(
    "changes", [{"asked_seconds_ago": RECENT}, {"quota_plentiful": False}]
)
def test_it_is_not_probed_too_soon_nor_with_the_last_of_its_quota(
    changes: dict[str, Any],
) -> None:
    worse = entry("a", 10, 0.2, **{"asked_seconds_ago": RESTED, **changes})

    assert names(worse, entry("b", 20)) == "ba"


def test_of_two_that_could_be_probed_only_the_longer_rested_one_is() -> None:
    entries = (
        entry("a", 10, 0.2, asked_seconds_ago=RESTED),
        entry("b", 20, 0.2, asked_seconds_ago=2 * RESTED),
        entry("c", 30),
    )

    route = placed(*entries)

    assert [(each.name, each.probe) for each in route] == [
        ("b", True),
        ("c", False),
        ("a", False),
    ]


def test_equals_share_the_load() -> None:
    both = entry("a"), entry("b")

    first = Counter(names(*both, seed=seed)[0] for seed in range(1000))

    # The same rest, so that one of the two is taken whenever both are drawn.
    assert 200 < first["a"] < 800


def test_of_equals_about_as_good_the_one_that_rested_is_asked() -> None:
    rested = entry("b", value=0.97, asked_seconds_ago=None)

    first = Counter(names(entry("a"), rested, seed=seed)[0] for seed in range(1000))

    assert 700 < first["b"] < 800


def test_the_better_of_equals_is_asked_more_often_but_not_always() -> None:
    both = entry("a"), entry("b", value=0.92, asked_seconds_ago=None)

    first = Counter(names(*both, seed=seed)[0] for seed in range(1000))

    assert 700 < first["a"] < 800


def test_the_better_a_vendor_is_the_more_it_is_asked() -> None:
    values = {"a": 1.0, "b": 0.8, "c": 0.5, "d": 0.2}
    entries = [entry(name, score=unjudged(value)) for name, value in values.items()]

    first = Counter(names(*entries, seed=seed)[0] for seed in range(4000))

    assert [name for name, _ in first.most_common()] == list(values)
    assert first["d"] > 0


def test_a_clearly_worse_one_of_equals_goes_behind_even_if_the_tier_was_chosen() -> (
    None
):
    both = entry("a", value=0.2, hard=True), entry("b", hard=True)

    assert {names(*both, seed=seed) for seed in range(100)} == {"ba"}


def test_of_equals_who_takes_no_call_is_last_and_says_so() -> None:
    route = placed(entry("a", able=False), entry("b"), entry("c"))

    assert route[-1] == Placed(
        "a",
        "asked next: priority 10, shared with b and c, by score 1.00; "
        "takes no call now",
    )


def test_an_operators_choice_is_told() -> None:
    [only] = placed(entry("a", hard=True))

    assert only.why == "asked first: priority 10, set by an operator"


def test_without_a_source_of_numbers_the_likeliest_order_is_told() -> None:
    route = ranked([entry("a", value=0.95), entry("b")], random=None)

    assert [each.name for each in route] == ["b", "a"]


@given(ENTRIES, st.integers())
def test_everybody_is_in_the_route_once(entries: list[Entry], seed: int) -> None:
    route = placed(*entries, seed=seed)

    assert sorted(each.name for each in route) == sorted(e.name for e in entries)
    assert all(each.why for each in route)


@given(ENTRIES, st.integers())
def test_the_same_seed_gives_the_same_route(entries: list[Entry], seed: int) -> None:
    assert placed(*entries, seed=seed) == placed(*entries, seed=seed)


@given(ENTRIES, st.integers())
def test_the_order_of_tiers_that_were_chosen_is_obeyed(
    entries: list[Entry], seed: int
) -> None:
    by_name = {each.name: each for each in entries}
    hard = {each.tier for each in entries if each.hard}

    tiers = [by_name[each.name].tier for each in placed(*entries, seed=seed)]

    for tier in hard:
        first, last = tiers.index(tier), len(tiers) - tiers[::-1].index(tier)
        assert all(before < tier for before in tiers[:first])
        assert set(tiers[first:last]) == {tier}
        assert all(after > tier for after in tiers[last:])


@given(ENTRIES, st.integers())
def test_among_those_nobody_chose_money_is_spared(
    entries: list[Entry], seed: int
) -> None:
    soft = [each for each in entries if not each.hard]
    by_name = {each.name: each for each in soft}

    prices = [by_name[each.name].price_usd for each in placed(*soft, seed=seed)]

    assert prices == sorted(prices)


@given(ENTRIES, st.integers())
def test_at_most_one_is_probed_and_only_who_may_be(
    entries: list[Entry], seed: int
) -> None:
    by_name = {each.name: each for each in entries}
    # One block of equals, so that there is one probe at most.
    same = [Entry(name=e.name, tier=1, score=e.score, able=e.able) for e in entries]

    probes = [each for each in placed(*entries, seed=seed) if each.probe]

    assert sum(each.probe for each in placed(*same, seed=seed)) <= 1
    for probe in probes:
        told = by_name[probe.name]
        assert told.able
        assert told.quota_plentiful
        assert told.score.judged
        assert told.asked_seconds_ago is None or told.asked_seconds_ago >= PROBE_SECONDS
