"""Counts add up, whoever counted them, and hours remember their bad minutes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.service_counts import (
    HOUR_MINUTES,
    Counts,
    Facts,
    Stretch,
    hour_of,
    joined,
    total,
)
from ingestion_server.domain.service_level import Fault
from ingestion_server.domain.service_packing import packed, unpacked

HOUR = 480_000
NAMES = st.sampled_from(["A/One", "A/Two"])
CALLS = st.lists(
    st.tuples(
        st.integers(0, HOUR_MINUTES - 1),
        NAMES,
        st.sampled_from(Fault),
        st.sampled_from(["X", "Y"]),
        st.floats(min_value=1e-5, max_value=400.0),
    ),
    max_size=60,
)


def heard(facts: Facts, name: str, fault: Fault, reason: str, seconds: float) -> None:
    """Count a call of a caller, and the same of a vendor."""
    for by_name in (facts.rpcs, facts.providers):
        counts = by_name.setdefault(name, Counts())
        if fault is Fault.NOBODY:
            counts.hear_answer(seconds)
        else:
            counts.hear_failure(fault, reason)


def of_servers(calls: list[tuple], servers: int) -> list[Stretch]:
    """Return what several servers count of the same calls, in turns."""
    found: dict[tuple[int, int], Facts] = {}
    for number, (minute, *call) in enumerate(calls):
        heard(found.setdefault((minute, number % servers), Facts()), *call)
    return [Stretch(HOUR + minute, 1, facts) for (minute, _), facts in found.items()]


@given(CALLS, st.integers(1, 3))
def test_an_hour_is_the_same_whoever_counted_its_minutes(
    calls: list[tuple], servers: int
) -> None:
    one = hour_of(HOUR, of_servers(calls, 1))

    several = hour_of(HOUR, of_servers(calls, servers))

    assert several == one
    assert unpacked(packed(one.facts)) == one.facts
    assert total(one.facts.rpcs).promised == sum(
        fault is not Fault.CALLER for _, _, fault, _, _ in calls
    )


@given(CALLS)
def test_an_hour_knows_the_minutes_in_which_most_calls_failed(
    calls: list[tuple],
) -> None:
    hour = hour_of(HOUR, of_servers(calls, 2))

    for name in ("A/One", "A/Two"):
        bits = hour.facts.rpcs[name].bad_minutes if name in hour.facts.rpcs else 0
        for minute in range(HOUR_MINUTES):
            faults = [call[2] for call in calls if call[:2] == (minute, name)]
            good, bad = faults.count(Fault.NOBODY), faults.count(Fault.SERVER)
            assert bool(bits >> minute & 1) == (good < bad)


def test_half_of_one_servers_calls_are_not_half_of_all() -> None:
    failing, well = Facts(), Facts()
    heard(failing, "A/One", Fault.SERVER, "X", 1.0)
    for _ in range(3):
        heard(well, "A/One", Fault.NOBODY, "", 1.0)

    (stretch,) = joined([Stretch(HOUR, 1, failing), Stretch(HOUR, 1, well)])

    assert stretch.facts.bad_minutes == 0
    assert stretch.facts.rpcs["A/One"].answered == 3


def test_what_comes_late_is_added_to_its_hour() -> None:
    early, late = Facts(), Facts()
    heard(early, "A/One", Fault.SERVER, "X", 1.0)
    heard(late, "A/One", Fault.SERVER, "X", 1.0)
    hour = hour_of(HOUR, [Stretch(HOUR + 3, 1, early)])

    whole = hour_of(HOUR, [hour, Stretch(HOUR + 59, 1, late)])

    assert whole.facts.bad_minutes == 1 << 3 | 1 << 59
    assert whole.facts.rpcs["A/One"].failures == {"X": 2}


def test_reasons_that_somebody_makes_up_are_bounded() -> None:
    counts = Counts()
    for number in range(1_000):
        counts.hear_failure(Fault.SERVER, f"REASON_{number}")

    assert len(counts.failures) <= 65
    assert counts.promised == 1_000


def test_bytes_that_are_no_counts_are_none() -> None:
    assert unpacked(b"rubbish") is None
    assert unpacked(b"") is None


@pytest.mark.parametrize(
    "facts",
    [
        Facts(bad_minutes=-1),
        Facts(bad_minutes=1 << HOUR_MINUTES),
        Facts(rpcs={"A/One": Counts(answered=-1)}),
        Facts(rpcs={"A/One": Counts(failures={"X": -1})}),
        Facts(providers={"one": Counts(bad_minutes=1 << HOUR_MINUTES)}),
        Facts(providers={"one": Counts(longest_seconds=math.nan)}),
    ],
)
def test_counts_that_cannot_be_are_damaged(facts: Facts) -> None:
    assert unpacked(packed(facts)) is None


def test_a_name_that_is_no_text_is_damage() -> None:
    whole = packed(Facts(rpcs={"A/One": Counts()}))

    assert unpacked(whole.replace(b"A/One", b"A\xff\xfene")) is None
