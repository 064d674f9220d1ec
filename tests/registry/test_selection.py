"""Who may be asked, and in which order."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.registry.selection import Listing, order

LISTING = Listing(("acme", "zenith", "omega"), ("retired",))
ANY, ORDERED, PINNED, CONSENSUS = SourceMode


@pytest.mark.parametrize(
    ("mode", "named", "expected"),
    [
        (ANY, (), ("acme", "zenith", "omega")),
        (ANY, ("omega", "acme"), ("acme", "omega")),
        (ANY, ("retired",), ()),
        (ANY, ("retired", "omega"), ("omega",)),
        (ORDERED, ("omega", "acme"), ("omega", "acme")),
        (ORDERED, ("omega", "acme", "omega"), ("omega", "acme")),
        (ORDERED, ("retired", "acme"), ("retired", "acme")),
        (PINNED, ("zenith",), ("zenith",)),
        (PINNED, ("retired",), ("retired",)),
        (CONSENSUS, (), ("acme", "zenith", "omega")),
    ],
)
def test_the_policy_chooses_among_the_vendors(
    mode: SourceMode, named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert tuple(order(SourcePolicy(mode, named), LISTING)) == expected


@pytest.mark.parametrize("mode", [ANY, ORDERED])
def test_every_unknown_vendor_is_named_by_its_place(mode: SourceMode) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        order(SourcePolicy(mode, ("acme", "Acme", "nobody")), LISTING)

    assert [violation.field for violation in refused.value.violations] == [
        "source_policy.providers[1]",
        "source_policy.providers[2]",
    ]
    assert "one of acme, zenith, omega, retired" in refused.value.message


@pytest.mark.parametrize("named", [(), ("acme", "zenith"), ("acme", "acme")])
def test_pinned_takes_exactly_one(named: tuple[str, ...]) -> None:
    with pytest.raises(InvalidQueryError, match="MODE_PINNED takes exactly one"):
        order(SourcePolicy(PINNED, named), LISTING)


def test_ordered_takes_at_least_one() -> None:
    with pytest.raises(InvalidQueryError, match="MODE_ORDERED takes at least one"):
        order(SourcePolicy(ORDERED), LISTING)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidQueryError) as refused:
        order(SourcePolicy(PINNED, ("nobody", "acme")), LISTING)

    assert len(refused.value.violations) == 2


def test_a_list_of_rubbish_is_refused_in_few_words() -> None:
    rubbish = tuple("x" * 10_000 for _ in range(10_000))

    with pytest.raises(InvalidQueryError) as refused:
        order(SourcePolicy(ORDERED, rubbish), LISTING)

    assert len(refused.value.message) < 2000


def test_without_vendors_nobody_is_asked() -> None:
    nobody = Listing(())

    assert tuple(order(SourcePolicy(), nobody)) == ()
    with pytest.raises(InvalidQueryError, match="expected none"):
        order(SourcePolicy(PINNED, ("acme",)), nobody)


def test_without_priorities_each_comes_after_the_one_before() -> None:
    numbers = [LISTING.priority(name) for name in (*LISTING.enabled, "retired")]

    assert numbers == [10, 20, 30, 40]


def test_a_priority_that_is_given_is_kept() -> None:
    listing = Listing(("acme", "zenith"), priorities={"zenith": 5})

    assert (listing.priority("acme"), listing.priority("zenith")) == (10, 5)


@pytest.mark.parametrize(
    ("ranked", "chosen", "hard"),
    [
        (False, (), (False, False)),
        (True, (), (True, True)),
        (False, ("zenith",), (False, True)),
    ],
)
def test_a_place_is_hard_if_an_operator_chose_it_or_the_order(
    *, ranked: bool, chosen: tuple[str, ...], hard: tuple[bool, bool]
) -> None:
    listing = Listing(("acme", "zenith"), ranked=ranked, chosen=frozenset(chosen))

    assert (listing.hard("acme"), listing.hard("zenith")) == hard


def test_who_is_no_more_is_known_by_name_and_asked_by_nobody_else() -> None:
    listing = Listing(("acme",), ("off",), ("gone",))

    assert order(SourcePolicy(), listing) == ("acme",)
    assert order(SourcePolicy(SourceMode.PINNED, ("gone",)), listing) == ("gone",)
    assert listing.priority("gone") == 30
