"""Stretches of time of which something may be missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.ingest.live.doubts import FOREVER_NS, Doubts

STRETCHES = st.tuples(
    st.booleans(), st.integers(0, 40), st.integers(1, 10) | st.just(FOREVER_NS)
)


@given(st.lists(STRETCHES, max_size=20), st.integers(0, 60), st.integers(-2, 10))
def test_exactly_what_was_doubted_last_is_doubted(told, begin, length) -> None:
    doubts, expected = Doubts(), set()
    for adds, low, size in told:
        moments = set(range(low, min(low + size, 100)))
        if adds:
            doubts.add(low, low + size)
            expected |= moments
        else:
            doubts.remove(low, low + size)
            expected -= moments

    found = sorted(expected & set(range(begin, begin + length)))

    assert doubts.touch(begin, begin + length) == bool(found)
    assert doubts.first_within(begin, begin + length) == (found[0] if found else None)


def test_of_very_many_stretches_the_oldest_become_one() -> None:
    doubts = Doubts()
    for number in range(1000):
        doubts.add(number * 10, number * 10 + 1)

    assert doubts.touch(5, 6)
    assert not doubts.touch(9985, 9986)
    assert doubts.touch(9990, 9991)


def test_what_is_over_is_forgotten() -> None:
    doubts = Doubts()
    doubts.add(0, 10)
    doubts.add(20, 30)

    doubts.forget_before(15)

    assert not doubts.touch(0, 10)
    assert doubts.touch(20, 21)
