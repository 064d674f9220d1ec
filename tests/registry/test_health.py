"""What is remembered of calls, the newest counting most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.registry.health import Health, HealthView

QUICK, SLOW = 0.1, 3.0


def after(*calls: tuple[bool, float], ago: float = 0.0) -> HealthView:
    """Return how a vendor stands after calls in one moment, some time ago."""
    health = Health()
    for ok, seconds in calls:
        if ok:
            health.succeeded(0.0, 1, seconds)
        else:
            health.failed(0.0, 2, seconds, "HTTP 503")
    return health.view(ago)


def test_of_who_was_never_called_nothing_is_known() -> None:
    assert Health().view(0.0) == HealthView()
    assert not HealthView().judged


def test_what_is_heard_is_seen_at_once_though_no_time_passes() -> None:
    health = Health()
    assert health.view(1.0).samples == 0
    over = health.left(1.0)
    assert health.view(1.0).under_way == 1
    over()
    assert health.view(1.0).under_way == 0
    health.succeeded(1.0, 1, QUICK)
    assert health.view(1.0).success == 1
    health.gave(1.0, 0.5, None)
    assert health.view(1.0).completeness == 0.5
    health.failed(1.0, 2, SLOW, "HTTP 503")
    assert health.view(1.0).last_failure == "HTTP 503"


@pytest.mark.parametrize(("calls", "judged"), [(4, False), (5, True)])
def test_nobody_is_judged_by_fewer_than_five_calls(*, calls: int, judged: bool) -> None:
    assert after(*[(True, QUICK)] * calls).judged is judged


def test_what_was_long_ago_is_no_reason_to_judge() -> None:
    assert not after(*[(False, QUICK)] * 48, ago=3600.0).judged


def test_six_slow_calls_outweigh_all_quick_ones_before_and_the_reverse() -> None:
    before, lately = [(True, QUICK)] * 48, [(True, SLOW)] * 6

    assert after(*before, *lately).p50_seconds == SLOW
    assert after(*lately, *before[:6]).p50_seconds == QUICK


def test_a_new_failure_counts_more_than_an_old_one() -> None:
    good, bad = (True, QUICK), (False, QUICK)

    old, new = after(bad, *[good] * 9), after(*[good] * 9, bad)

    assert old.success is not None
    assert new.success is not None
    assert new.success < old.success


def test_a_call_of_an_hour_ago_counts_less_than_one_of_now() -> None:
    health = Health()
    health.failed(0.0, 0, QUICK, "HTTP 503")
    health.succeeded(3600.0, 0, QUICK)

    success = health.view(3600.0).success

    assert success is not None
    assert success > 0.95


def test_a_quick_failure_makes_nobody_quick_and_a_long_silence_makes_slow() -> None:
    assert after((False, QUICK)).p50_seconds is None
    assert after((False, 10.0)).p50_seconds == 10.0


def test_quantiles_tell_the_usual_and_the_worst() -> None:
    view = after(*[(True, QUICK)] * 8, (True, SLOW))

    assert (view.p50_seconds, view.p95_seconds) == (QUICK, SLOW)


def test_the_last_success_and_the_last_failure_are_told() -> None:
    view = after((True, QUICK), (False, QUICK))

    assert (view.last_success_ns, view.last_failure_ns) == (1, 2)
    assert view.last_failure == "HTTP 503"


def test_answers_are_remembered_and_what_nobody_knows_is_left_out() -> None:
    health = Health()
    health.gave(0.0, None, 0.5)
    health.gave(0.0, 1.0, None)

    view = health.view(0.0)

    assert (view.completeness, view.soundness) == (1.0, 0.5)
    assert not view.read


def test_a_call_that_says_nothing_was_a_call_all_the_same() -> None:
    health = Health()

    health.asked(7.0)

    assert health.asked_at_seconds == 7.0
    assert health.view(8.0).samples == 0


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.floats(0, 1e4),
            st.floats(0, 1e6),
            st.floats(0, 1),
        ),
        max_size=100,
    ),
    st.floats(-1e6, 1e9),
)
def test_whatever_happens_shares_are_shares(
    calls: list[tuple[bool, float, float, float]], now: float
) -> None:
    health = Health()
    for ok, at, seconds, share in calls:
        if ok:
            health.succeeded(at, 0, seconds)
        else:
            health.failed(at, 0, seconds, "")
        health.gave(at, share, share)

    view = health.view(now)

    shares = (view.success, view.completeness, view.soundness)
    assert all(share is None or 0 <= share <= 1 for share in shares)
    if view.p50_seconds is not None:
        assert view.p95_seconds is not None
        assert view.p50_seconds <= view.p95_seconds


def quick(health: Health, calls: int = 8) -> Health:
    """Let a vendor answer quickly, at the very start."""
    for _ in range(calls):
        health.succeeded(0.0, 1, QUICK)
    return health


def test_calls_under_way_say_nothing_until_they_are_overdue() -> None:
    health = quick(Health())
    before = health.view(0.0)
    for _ in range(5):
        health.left(0.0)

    young, old = health.view(1.0), health.view(1.1)

    assert (young.under_way, young.success) == (5, before.success)
    assert young.p95_seconds == QUICK
    assert old.success is not None
    assert old.success < 0.6
    assert (old.p50_seconds, old.p95_seconds) == (1.1, 1.1)


def test_the_slower_the_usual_answer_the_longer_is_a_call_waited_for() -> None:
    health = Health()
    for _ in range(8):
        health.succeeded(0.0, 1, 2.0)
    health.left(0.0)

    assert health.view(6.0).success == 1.0
    assert health.view(6.1).success != 1.0


def test_of_whom_nothing_is_known_a_call_is_overdue_after_a_fair_time() -> None:
    health = Health()
    for _ in range(5):
        health.left(0.0)

    assert health.view(2.5).success is None
    assert (health.view(2.6).success, health.view(2.6).judged) == (0.0, True)


def test_a_call_that_is_over_no_longer_counts() -> None:
    health = quick(Health())
    overs = [health.left(0.0) for _ in range(100)]
    assert health.view(9.0).under_way == 100

    for over in (*overs, *overs):
        over()

    assert health.view(9.0).under_way == 0
    assert health.view(9.0).success == 1.0


def test_a_call_that_was_overdue_when_it_was_given_up_goes_on_counting() -> None:
    patient, hasty = quick(Health()), quick(Health())

    patient.given_up(5.0, 7, 5.0)
    hasty.given_up(0.5, 7, 0.5)

    assert patient.view(5.0).last_failure == "no answer within 5 s"
    assert patient.view(5.0).p95_seconds == 5.0
    assert (hasty.view(5.0).success, hasty.view(5.0).last_failure_ns) == (1.0, None)


def test_how_long_answers_take_is_told_once_there_are_enough() -> None:
    assert quick(Health(), 4).view(0.0).answered_p95_seconds is None
    assert quick(Health(), 5).view(0.0).answered_p95_seconds == QUICK


def test_silence_does_not_change_how_long_answers_take() -> None:
    health = quick(Health())
    for _ in range(10):
        health.failed(0.0, 2, 10.0, "silent")
    health.left(0.0)

    view = health.view(30.0)

    assert (view.answered_p95_seconds, view.p95_seconds) == (QUICK, 30.0)
