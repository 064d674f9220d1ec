"""One moment by all the clocks there are."""

from __future__ import annotations

from ingestion_server.quota.instant import Instant, Timekeeper
from tests.clocks import NOW_NS, SECOND_NS, ManualClock


def test_a_moment_later_is_later_by_all_clocks() -> None:
    now = Instant(10.0, 5 * SECOND_NS, 7 * SECOND_NS)

    assert now.at(12.5) == Instant(12.5, 7_500_000_000, 9_500_000_000)
    assert now.at(9.0) == Instant(9.0, 4 * SECOND_NS, 6 * SECOND_NS)
    assert now.at(10.0) == now


def test_both_clocks_agree_until_one_is_set(clock: ManualClock) -> None:
    time = Timekeeper(clock)
    assert time.now() == Instant(1000.0, NOW_NS, NOW_NS)

    clock.pass_by(1.5)
    clock.jump(-3600.0)

    now_ns = NOW_NS + 1_500_000_000
    assert time.now() == Instant(1001.5, now_ns - 3600 * SECOND_NS, now_ns)


def test_an_anchor_of_an_earlier_run_is_believed(clock: ManualClock) -> None:
    anchor_ns = Timekeeper(clock).anchor_ns
    clock.jump(3600.0)

    time = Timekeeper(clock, anchor_ns=anchor_ns)

    assert time.anchor_ns == anchor_ns
    assert time.now() == Instant(1000.0, NOW_NS + 3600 * SECOND_NS, NOW_NS)
