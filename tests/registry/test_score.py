"""What a score is made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.ports.routing import Factor, Score
from ingestion_server.registry.health import HealthView
from ingestion_server.registry.route import CLEARLY_WORSE
from ingestion_server.registry.score import score

GOOD = HealthView(
    samples=9.0,
    answers=9.0,
    success=1.0,
    p50_seconds=0.0,
    completeness=1.0,
    soundness=1.0,
)
NAMES = [
    "success",
    "latency",
    "completeness",
    "soundness",
    "headroom",
    "freshness",
    "cost",
]


def scored(view: HealthView = GOOD, **changes: Any) -> Score:
    """Score a vendor that is perfect but for the changes."""
    known: dict[str, Any] = {
        "headroom": 1.0,
        "feed_delay_seconds": 0.0,
        "price_usd": Decimal(0),
    }
    return score(view, **known | changes)


def but(**changes: Any) -> Score:
    """Score a vendor whose health is perfect but for the changes."""
    return scored(msgspec.structs.replace(GOOD, **changes))


def part(whole: Score, name: str) -> Factor:
    """Return one factor."""
    [found] = [factor for factor in whole.factors if factor.name == name]
    return found


def test_every_factor_is_there_with_words_and_the_weights_make_a_whole() -> None:
    whole = scored()

    assert [factor.name for factor in whole.factors] == NAMES
    assert all(factor.detail for factor in whole.factors)
    assert sum(factor.weight for factor in whole.factors) == pytest.approx(1)
    assert whole.value == pytest.approx(1)
    assert whole.judged


@pytest.mark.parametrize(
    ("worse", "name", "value"),
    [
        (but(success=0.25), "success", 0.25),
        (but(p50_seconds=0.5), "latency", 0.5),
        (but(completeness=0.25), "completeness", 0.25),
        (but(soundness=0.25), "soundness", 0.25),
        (scored(headroom=0.25), "headroom", 0.25),
        (scored(feed_delay_seconds=900.0), "freshness", 0.5),
        (scored(price_usd=Decimal("0.01")), "cost", 0.5),
    ],
    ids=NAMES,
)
def test_each_factor_counts_by_its_weight(
    worse: Score, name: str, value: float
) -> None:
    factor = part(worse, name)

    assert factor.value == pytest.approx(value)
    assert 1 - worse.value == pytest.approx((1 - value) * factor.weight)


def test_who_is_not_judged_has_the_score_of_who_is_not_known() -> None:
    few = msgspec.structs.replace(GOOD, samples=3.0, success=0.0, p50_seconds=60.0)

    unjudged, unknown = scored(few), scored(HealthView())

    assert not unjudged.judged
    assert unjudged.value == pytest.approx(unknown.value) == pytest.approx(1)
    assert "too few calls to judge (3.0 of 3.5" in part(unjudged, "success").detail


def test_a_few_answers_do_not_judge_what_is_in_them() -> None:
    first = but(answers=1.0, completeness=0.0)

    assert first.value == pytest.approx(1)
    assert "too few answers" in part(first, "completeness").detail


def test_what_many_answers_do_not_tell_is_taken_as_good() -> None:
    detail = part(but(completeness=None), "completeness").detail

    assert detail == "nothing to judge by in the latest answers: taken as good"


def test_a_vendor_that_does_not_say_how_late_it_is_is_taken_as_fresh() -> None:
    assert part(scored(feed_delay_seconds=None), "freshness").value == 1.0


def test_a_second_more_is_clearly_worse_and_used_quota_alone_is_not() -> None:
    assert scored().value - but(p50_seconds=1.0).value > CLEARLY_WORSE
    assert scored().value - scored(headroom=0.0).value <= CLEARLY_WORSE + 1e-9


@given(
    st.builds(
        HealthView,
        samples=st.floats(0, 10),
        answers=st.floats(0, 10),
        success=st.none() | st.floats(0, 1),
        p50_seconds=st.none() | st.floats(0, 1e6),
        completeness=st.none() | st.floats(0, 1),
        soundness=st.none() | st.floats(0, 1),
    ),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e6),
    st.decimals(0, 1000, places=4),
)
def test_a_score_lies_between_nought_and_one_and_is_the_sum_of_its_parts(
    view: HealthView, headroom: float, delay: float | None, price: Decimal
) -> None:
    whole = scored(view, headroom=headroom, feed_delay_seconds=delay, price_usd=price)

    assert 0 <= whole.value <= 1
    parts = sum(factor.value * factor.weight for factor in whole.factors)
    assert whole.value == pytest.approx(parts)
