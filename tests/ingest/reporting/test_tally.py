"""Whatever the clock does, each call is counted once, and nothing is written over."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.service_counts import MINUTE_NS
from ingestion_server.domain.service_packing import unpacked
from ingestion_server.ingest.reporting.tally import MOST_MINUTES, Tally
from ingestion_server.ports.hooks import CallDetails, RpcDetails
from tests.clocks import NOW_NS, ManualClock
from tests.hearing import tell

FETCH = "IngestionService/Fetch"


def rpc(code: str = "OK", reason: str = "", *, lasting: bool = False) -> RpcDetails:
    """Return an RPC that has ended."""
    return RpcDetails(
        rpc=FETCH,
        is_lasting=lasting,
        seconds=0.25,
        code=code,
        request_id="1",
        reason=reason,
    )


class Kept:
    """Be a store: what is written again takes the place of what was there."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], bytes] = {}
        self.stints: dict[str, tuple[int, int]] = {}

    def keep(self, tally: Tally, *, told: bool = True) -> None:
        """Keep what is due; the tally may not be told of it."""
        due = tally.due()
        for each in due.counted:
            assert each.minutes == 1
            self.rows[each.stint, each.start_minute] = each.packed
        for each in due.stints:
            assert each.until_ns >= each.started_ns
            self.stints[each.name] = each.started_ns, each.until_ns
        if told:
            tally.kept(due)

    def answered(self) -> Counter[int]:
        """Return how many fetches were answered, by minute."""
        found: Counter[int] = Counter()
        for (_, minute), data in self.rows.items():
            facts = unpacked(data)
            assert facts is not None
            found[minute] += facts.rpcs[FETCH].answered
        return found


@given(
    st.lists(
        st.one_of(
            st.floats(0, 90),
            st.floats(-7_200, 7_200),
            st.sampled_from(["call", "keep", "untold"]),
        ),
        max_size=60,
    )
)
def test_each_call_is_kept_once_whatever_the_clock_does(
    steps: list[float | str],
) -> None:
    clock, kept, calls = ManualClock(runs=False), Kept(), 0
    tally = Tally(clock)
    for step in steps:
        match step:
            case "call":
                tell(tally, rpc())
                calls += 1
            case "keep" | "untold":
                kept.keep(tally, told=step == "keep")
            case float():
                clock.jump(step)

    kept.keep(tally)

    assert sum(kept.answered().values()) == calls


def test_what_ends_its_minute_while_it_is_written_is_kept_the_next_time() -> None:
    clock, kept = ManualClock(runs=False), Kept()
    tally = Tally(clock)
    tell(tally, rpc())
    writing = tally.due()
    tell(tally, rpc())
    clock.jump(60)
    tell(tally, rpc())

    tally.kept(writing)
    kept.keep(tally)

    first = NOW_NS // MINUTE_NS
    assert kept.answered() == {first: 2, first + 1: 1}


def test_a_call_is_counted_in_the_minute_in_which_it_ended() -> None:
    clock, kept = ManualClock(runs=False), Kept()
    tally = Tally(clock)
    tell(tally, rpc())
    clock.jump(59.9)
    tell(tally, rpc())
    clock.jump(0.2)
    tell(tally, rpc())

    kept.keep(tally)

    first = NOW_NS // MINUTE_NS
    assert kept.answered() == {first: 2, first + 1: 1}


def test_a_clock_that_is_set_right_by_a_second_begins_nothing_new() -> None:
    clock = ManualClock(runs=False)
    tally = Tally(clock)
    clock.jump(60)
    tell(tally, rpc())
    clock.jump(-1)
    tell(tally, rpc())

    (counted,) = tally.due().counted

    assert counted.start_minute == NOW_NS // MINUTE_NS + 1
    assert len(tally.due().stints) == 1


@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_a_clock_that_leaps_begins_another_stint(seconds: float) -> None:
    clock = ManualClock(runs=False)
    tally = Tally(clock)
    tell(tally, rpc())
    clock.jump(seconds)
    tell(tally, rpc())

    first, second = tally.due().stints

    assert (first.started_ns, first.until_ns) == (NOW_NS, NOW_NS)
    assert second.started_ns == NOW_NS + seconds * 10**9
    assert {each.stint for each in tally.due().counted} == {first.name, second.name}


def test_what_cannot_be_kept_is_bounded_and_what_is_lost_is_told() -> None:
    clock = ManualClock(runs=False)
    tally = Tally(clock)
    for _ in range(MOST_MINUTES + 5):
        tell(tally, rpc())
        clock.jump(60)

    due = tally.due()

    assert len(due.counted) == MOST_MINUTES
    assert tally.lost_minutes(NOW_NS // MINUTE_NS) == 5
    assert tally.lost_minutes(NOW_NS // MINUTE_NS + 5) == 0
    assert due.counted[0].start_minute == NOW_NS // MINUTE_NS + 5


def test_who_is_to_blame_and_how_long_it_took_is_counted() -> None:
    tally = Tally(ManualClock(runs=False))
    for each in (
        rpc(),
        rpc(lasting=True),
        rpc("INVALID_ARGUMENT", "INVALID_QUERY"),
        rpc("CANCELLED"),
        rpc("UNAVAILABLE", "ALL_PROVIDERS_FAILED"),
        rpc("DEADLINE_EXCEEDED"),
    ):
        tell(tally, each)

    facts = unpacked(tally.due().counted[0].packed)

    assert facts is not None
    counts = facts.rpcs[FETCH]
    assert (counts.answered, counts.caller_faults) == (2, 2)
    assert counts.failures == {"ALL_PROVIDERS_FAILED": 1, "DEADLINE_EXCEEDED": 1}
    assert sum(counts.places.values()) == 1
    assert counts.longest_seconds == 0.25


@pytest.mark.parametrize(
    ("outcome", "vendor_failed", "where"),
    [
        ("ok", False, "answered"),
        ("CANCELLED", False, "caller"),
        ("SYMBOL_UNKNOWN", False, "caller"),
        ("DEADLINE_EXCEEDED", False, "caller"),
        ("DEADLINE_EXCEEDED", True, "failed"),
        ("QUOTA_EXHAUSTED", False, "failed"),
        ("CREDENTIALS_REFUSED", False, "failed"),
        ("MALFORMED_PAYLOAD", True, "failed"),
    ],
)
def test_a_vendor_is_to_blame_for_what_it_did_not_answer(
    outcome: str,
    vendor_failed: bool,  # noqa: FBT001 - of a table
    where: str,
) -> None:
    tally = Tally(ManualClock(runs=False))
    tally.hear_call(CallDetails("yahoo", "chart", 0.5, outcome, "", "", vendor_failed))

    facts = unpacked(tally.due().counted[0].packed)

    assert facts is not None
    counts = facts.providers["yahoo"]
    assert {
        "answered": counts.answered,
        "caller": counts.caller_faults,
        "failed": counts.failures.get(outcome, 0),
    } == {"answered": 0, "caller": 0, "failed": 0, where: 1}
