"""What vendors have delivered is known, as far as it can be trusted and no further."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from ingestion_server.cache import history, remarks
from ingestion_server.cache.segments import Segments
from ingestion_server.cache.series import Life, SeriesKey, Terms
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.quality import FlagKind, QualityFlag
from ingestion_server.domain.query import Span
from ingestion_server.ports.caching import CacheCounts
from tests.cache import deliveries as of

DAY = 20_098
TEN = {minute: 100.0 + minute for minute in range(10)}
SHARES = Terms("USD", "shares")


@pytest.fixture
def memory() -> Segments:
    """Begin with nothing known."""
    return of.segments()


def keyed(**changes: object) -> SeriesKey:
    return msgspec.structs.replace(of.KEY, **changes)


def test_nothing_is_known_of_a_series_that_nobody_gave(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN))

    assert of.look(memory, of.span(0, 10), key=keyed(provider="other")) is None
    assert of.look(memory, of.span(0, 10), key=keyed(interval=Interval.HOUR_1)) is None


def test_a_part_that_nobody_asked_for_is_a_gap(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, received=20))
    memory.keep(of.KEY, of.delivery(of.span(15, 18), {15: 1.0}, received=30))
    known = of.look(memory, of.span(5, 20), now=40)

    assert known is not None
    assert of.minutes(known.covered) == [(5, 10), (15, 18)]
    assert list(of.closes(known)) == [5, 6, 7, 8, 9, 15]
    assert known.received_at_ns == of.at(20)


def test_without_bars_it_is_told_when_their_absence_was_learnt(
    memory: Segments,
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), {}, received=20))
    known = of.look(memory, of.span(0, 10), now=40)

    assert known is not None
    assert known.received_at_ns == of.at(20)
    assert known.sample is None


def test_a_forming_bar_is_good_for_a_moment_and_never_final(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, settled=8, received=10))
    young = of.look(memory, of.span(0, 10), now=10 + 9.9 / 60)
    old = of.look(memory, of.span(0, 10), now=10 + 10 / 60)
    never = of.look(memory, of.span(0, 10), now=10, life=Life(0.0, 60.0))

    assert of.states(young) == [BarState.FINAL] * 8 + [BarState.PARTIAL] * 2
    assert young is not None
    assert of.minutes(young.covered) == [(0, 10)]
    for known in (old, never):
        assert known is not None
        assert of.states(known) == [BarState.FINAL] * 8
        assert of.minutes(known.covered) == [(0, 8)]


def test_a_forming_bar_is_replaced_and_becomes_final(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 2), {1: 1.0}, settled=1, received=2))
    memory.keep(of.KEY, of.delivery(of.span(1, 2), {1: 2.0}, settled=1, received=3))
    forming = of.look(memory, of.span(0, 2), now=3)
    kept = memory.keep(
        of.KEY, of.delivery(of.span(1, 2), {1: 3.0}, settled=2, received=4)
    )
    final = of.look(memory, of.span(0, 2), now=1000)

    assert of.closes(forming) == {1: 2.0}
    assert of.closes(final) == {1: 3.0}
    assert of.states(final) == [BarState.FINAL]
    assert kept.revised == 0
    assert memory.generation == 0


def test_an_old_forming_bar_is_there_for_those_who_take_it(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, settled=8, received=10))

    def stale(seconds: float) -> object:
        return memory.stale(
            of.KEY,
            of.span(0, 10),
            now_ns=of.at(15),
            oldest_seconds=seconds,
            day=None,
        )

    assert stale(299.0) is None
    known = stale(300.0)
    assert isinstance(known, history.Known)
    assert len(known.series) == 10
    assert of.minutes(known.covered) == [(0, 10)]
    assert memory.use(of.at(15)).oldest_forming_seconds == 300.0


def test_bars_of_unverified_basis_are_there_for_those_who_take_them(
    memory: Segments,
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, received=10, day=DAY))

    def stale(seconds: float, day: int | None) -> object:
        return memory.stale(
            of.KEY,
            of.span(0, 10),
            now_ns=of.at(15),
            oldest_seconds=seconds,
            day=day,
        )

    assert stale(1000.0, DAY) is None
    assert stale(1000.0, None) is None
    assert stale(299.0, DAY + 1) is None
    known = stale(300.0, DAY + 1)
    assert isinstance(known, history.Known)
    assert len(known.series) == 10
    assert not known.verified


def test_where_a_bar_was_absent_is_asked_again_after_a_while(memory: Segments) -> None:
    bars = {0: 1.0, 9: 1.0}
    memory.keep(
        of.KEY,
        of.delivery(of.span(0, 10), bars, absent=[of.span(1, 9)], received=10),
    )
    young = of.look(memory, of.span(0, 10), now=10.9)
    old = of.look(memory, of.span(0, 10), now=11)
    memory.keep(
        of.KEY,
        of.delivery(
            of.span(3, 9), {5: 1.0}, absent=[of.span(3, 5), of.span(6, 9)], received=11
        ),
    )
    again = of.look(memory, of.span(0, 10), now=11.5)

    assert young is not None
    assert of.minutes(young.covered) == [(0, 10)]
    assert of.minutes(young.absent) == [(1, 9)]
    assert old is not None
    assert of.minutes(old.covered) == [(0, 1), (9, 10)]
    assert old.absent == []
    assert again is not None
    assert of.minutes(again.covered) == [(0, 1), (3, 10)]
    assert of.minutes(again.absent) == [(3, 5), (6, 9)]


def test_too_many_absent_bars_are_asked_for_again(
    memory: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_VOIDS", 3)
    for minute in range(0, 10, 2):
        memory.keep(
            of.KEY,
            of.delivery(
                of.span(minute, minute + 2),
                {minute: 1.0},
                absent=[of.span(minute + 1, minute + 2)],
                received=100 + minute,
            ),
        )
    known = of.look(memory, of.span(0, 10), now=110, life=Life(0.0, 3600.0))

    assert known is not None
    assert of.minutes(known.absent) == [(5, 6), (7, 8), (9, 10)]
    assert of.minutes(known.covered) == [(0, 1), (2, 3), (4, 10)]


def test_a_corrected_bar_is_revised_for_good(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN))
    same = memory.keep(
        of.KEY, of.delivery(of.span(0, 10), TEN | {3: 103.0 * (1 + 9e-7)})
    )
    generation = memory.generation
    other = memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN | {3: 103.5}))
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN | {3: 103.5}))
    known = of.look(memory, of.span(2, 5))

    assert same.revised == 0
    assert generation == 0
    assert other.revised == 1
    assert of.states(known) == [BarState.FINAL, BarState.REVISED, BarState.FINAL]
    assert of.closes(known)[3] == 103.5
    assert memory.generation == 1
    assert memory.use(of.NOW_NS).counts.revised == 1


def test_another_volume_is_a_correction_and_an_unknown_value_is_none(
    memory: Segments,
) -> None:
    nan = float("nan")
    bars = {0: 1.0, 1: nan}
    memory.keep(of.KEY, of.delivery(of.span(0, 2), of.series(bars, volume=None)))
    same = memory.keep(of.KEY, of.delivery(of.span(0, 2), of.series(bars, volume=nan)))
    other = memory.keep(of.KEY, of.delivery(of.span(0, 2), of.series(bars, volume=1.0)))
    known = of.look(memory, of.span(0, 2))

    assert same.revised == 0
    assert other.revised == 2
    assert known is not None
    assert known.series.volume is not None
    assert known.series.volume.tolist() == [1.0, 1.0]


def test_the_answer_that_came_last_counts_even_if_it_is_noted_first(
    memory: Segments,
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 2.0}, received=11))
    kept = memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 1.0}, received=10))

    assert kept.revised == 0
    assert of.closes(of.look(memory, of.span(0, 2))) == {0: 2.0}


def test_a_clock_that_was_far_ahead_does_not_have_the_last_word(
    memory: Segments,
) -> None:
    memory.keep(
        of.KEY,
        of.delivery(of.span(0, 900), {0: 2.0}, settled=900, received=900, day=DAY),
    )
    memory.keep(
        of.KEY, of.delivery(of.span(0, 2), {0: 1.0}, received=6, settled=2, day=DAY)
    )
    known = of.look(memory, of.span(0, 900), now=6, day=DAY)

    assert of.closes(known) == {0: 1.0}
    assert known is not None
    assert of.minutes(known.covered) == [(0, 2)]
    assert memory.generation == 1


@pytest.mark.parametrize("stale", [False, True])
def test_nothing_that_a_clock_far_ahead_has_stamped_is_believed(
    memory: Segments, *, stale: bool
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 1.0, 1: 1.0}, received=20))
    # A day ahead, minute 29 looked as if it were over, and all after it absent.
    memory.keep(
        of.KEY,
        of.delivery(
            of.span(2, 1470),
            {29: 1.0},
            settled=1455,
            absent=[of.span(30, 1470)],
            received=1470,
        ),
    )
    generation = memory.generation
    # Right again: at once, and when the time has come that it had believed to be.
    if stale:
        at_once = memory.stale(
            of.KEY, of.span(0, 30), now_ns=of.at(30), oldest_seconds=1e9, day=None
        )
    else:
        at_once = of.look(memory, of.span(0, 30), now=30)
    later = of.look(memory, of.span(0, 1480), now=1480)

    assert at_once is None
    assert later is None
    assert memory.generation == generation + 1


def test_a_clock_that_was_a_little_ahead_costs_nothing(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, received=60))
    known = of.look(memory, of.span(0, 10), now=1)

    assert of.closes(known) == TEN
    assert known is not None
    assert known.received_at_ns == of.at(1)


def test_adjusted_prices_are_verified_on_the_day_they_came(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, day=DAY))
    today = of.look(memory, of.span(0, 10), day=DAY)
    tomorrow = of.look(memory, of.span(0, 8), day=DAY + 1)

    assert today is not None
    assert today.verified
    assert tomorrow is not None
    assert not tomorrow.verified
    assert tomorrow.sample == of.span(3, 8)
    sampled = {minute: TEN[minute] for minute in range(3, 8)}
    kept = memory.keep(of.KEY, of.delivery(of.span(3, 8), sampled, day=DAY + 1))
    verified = of.look(memory, of.span(0, 10), day=DAY + 1)
    assert not kept.rebased
    assert verified is not None
    assert verified.verified
    assert of.closes(verified) == TEN


def test_one_price_that_changed_overnight_is_a_correction(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, day=DAY))
    kept = memory.keep(
        of.KEY, of.delivery(of.span(5, 10), TEN_LATE | {9: 1.0}, day=DAY + 1)
    )

    assert (kept.rebased, kept.revised) == (False, 1)
    assert len(of.closes(of.look(memory, of.span(0, 10), day=DAY + 1))) == 10


TEN_LATE = {minute: TEN[minute] for minute in range(5, 10)}


@pytest.mark.parametrize("day", [DAY, DAY + 1])
def test_after_a_split_nothing_of_before_is_known(memory: Segments, day: int) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, day=DAY))
    halved = {minute: price / 2 for minute, price in TEN_LATE.items()}
    kept = memory.keep(of.KEY, of.delivery(of.span(5, 12), halved, day=day))
    known = of.look(memory, of.span(0, 12), day=day)

    assert kept.rebased
    assert kept.revised == 0
    assert of.closes(known) == halved
    assert known is not None
    assert known.verified
    assert of.minutes(known.covered) == [(5, 12)]
    assert memory.generation == 1
    assert memory.use(of.NOW_NS).counts.rebased == 1


def test_prices_of_two_days_that_do_not_meet_are_never_mixed(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, day=DAY))
    same_day = memory.keep(of.KEY, of.delivery(of.span(20, 22), {20: 1.0}, day=DAY))
    kept = memory.keep(of.KEY, of.delivery(of.span(30, 32), {30: 1.0}, day=DAY + 1))

    assert not same_day.rebased
    assert kept.rebased
    assert of.closes(of.look(memory, of.span(0, 40), day=DAY + 1)) == {30: 1.0}


def test_an_empty_answer_verifies_nothing_and_costs_nothing(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, day=DAY))
    elsewhere = memory.keep(
        of.KEY, of.delivery(of.span(20, 22), {}, day=DAY + 1, terms=Terms())
    )
    known = of.look(memory, of.span(0, 22), day=DAY + 1)
    refused = memory.keep(of.KEY, of.delivery(of.span(5, 10), {}, day=DAY + 1))

    assert not elsewhere.rebased
    assert of.closes(known) == TEN
    assert known is not None
    assert not known.verified
    assert known.terms == of.USD
    # Asked to repeat prices, the vendor had none: nobody knows what the old are worth.
    assert refused.rebased


def test_an_answer_of_yesterday_that_comes_late_changes_nothing(
    memory: Segments,
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, received=11, day=DAY + 1))
    kept = memory.keep(
        of.KEY, of.delivery(of.span(0, 20), {15: 7.0}, received=10, day=DAY)
    )
    known = of.look(memory, of.span(0, 20), day=DAY + 1)

    assert not kept.rebased
    assert of.closes(known) == TEN
    assert known is not None
    assert known.verified


@pytest.mark.parametrize(
    "terms",
    [
        Terms("EUR", "shares"),
        Terms("USD", "lots"),
        Terms("", "lots"),
        Terms("USD", "shares", "summed up"),
    ],
)
def test_series_of_different_units_are_never_mixed(
    memory: Segments, terms: Terms
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, terms=SHARES))
    kept = memory.keep(of.KEY, of.delivery(of.span(20, 22), {20: 1.0}, terms=terms))
    known = of.look(memory, of.span(0, 30))

    assert kept.rebased
    assert of.closes(known) == {20: 1.0}
    assert known is not None
    assert known.terms == terms


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SHARES, Terms()),
        (SHARES, Terms("USD")),
        (Terms(), SHARES),
        (Terms("USD"), Terms("", "shares")),
    ],
)
def test_a_unit_that_is_not_said_is_the_one_that_was(
    memory: Segments, first: Terms, second: Terms
) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, terms=first))
    kept = memory.keep(of.KEY, of.delivery(of.span(20, 22), {20: 1.0}, terms=second))
    known = of.look(memory, of.span(0, 30))
    other = memory.keep(
        of.KEY, of.delivery(of.span(22, 24), {22: 1.0}, terms=Terms("EUR"))
    )

    assert not kept.rebased
    assert known is not None
    assert len(known.series) == 11
    assert known.terms == SHARES
    assert other.rebased


def test_another_delay_of_the_feed_is_only_noted(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN))
    late = msgspec.structs.replace(of.USD, feed_delay_seconds=900.0)
    memory.keep(of.KEY, of.delivery(of.span(20, 22), {20: 1.0}, terms=late))
    known = of.look(memory, of.span(0, 30))

    assert known is not None
    assert len(known.series) == 11
    assert known.terms.feed_delay_seconds == 900.0


def test_flags_are_told_where_they_belong_and_replaced_when_asked_again(
    memory: Segments,
) -> None:
    whole = QualityFlag(FlagKind.FIELD_ABSENT, "acme gives no volume")
    first, second, third = (
        QualityFlag(FlagKind.ROW_QUARANTINED, f"{minute}", of.at(minute))
        for minute in (1, 5, 5)
    )
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN, flags=[whole, first, second]))
    early = of.look(memory, of.span(0, 3))
    third = QualityFlag(FlagKind.ROW_EMPTY, "no prices", of.at(5))
    memory.keep(of.KEY, of.delivery(of.span(4, 10), TEN_LATE, flags=[third, whole]))
    known = of.look(memory, of.span(0, 10))

    assert early is not None
    assert early.flags == [whole, first]
    assert known is not None
    assert known.flags == [whole, first, third]


def test_too_many_flags_are_said_to_be_forgotten(
    memory: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remarks, "MOST_TIMED", 3)
    flags = [
        QualityFlag(FlagKind.ROW_EMPTY, "no prices", of.at(minute))
        for minute in range(9)
    ]
    memory.keep(of.KEY, of.delivery(of.span(0, 10), {}, flags=flags))
    known = of.look(memory, of.span(0, 10))

    assert known is not None
    assert [flag.kind for flag in known.flags] == [
        FlagKind.FLAGS_OMITTED,
        *[FlagKind.ROW_EMPTY] * 3,
    ]


def test_the_sample_ends_where_its_last_bar_does(memory: Segments) -> None:
    months = keyed(interval=Interval.MONTH_1)
    opens = np.array(["2024-11", "2024-12", "2025-01"], "datetime64[M]")
    times = opens.astype("datetime64[ns]").astype(np.int64)
    bars = of.series({0: 1.0, 1: 2.0, 2: 3.0})
    bars = type(bars)(times, bars.open, bars.high, bars.low, bars.close, bars.volume)
    span = Span(int(times[0]), int(times[2]) + 31 * DAY_NS)
    memory.keep(months, of.delivery(span, bars))
    known = of.look(memory, Span(int(times[1]), int(times[1]) + 1), key=months)
    before = of.look(memory, Span(int(times[0]) - 9, int(times[0])), key=months)

    assert known is not None
    assert known.sample == Span(int(times[0]), int(times[2]))
    assert known.anchor is None
    assert before is not None
    assert before.sample == span


def test_what_was_used_longest_ago_makes_room() -> None:
    counts = CacheCounts()
    bars = dict.fromkeys(range(1000), 1.0)
    memory = Segments(limit_bytes=200_000, counts=counts)
    for name in ("a", "b", "c", "d"):
        memory.keep(keyed(provider=name), of.delivery(of.span(0, 1000), bars))
        of.look(memory, of.span(0, 1), key=keyed(provider="a"))
    known = [
        name
        for name in ("a", "b", "c", "d")
        if of.look(memory, of.span(0, 1), key=keyed(provider=name)) is not None
    ]
    use = memory.use(of.NOW_NS)

    assert known == ["a", "c", "d"]
    assert (counts.evictions, memory.generation) == (1, 0)
    assert (use.series, use.bars) == (3, 3000)
    assert 3 * 57_000 < use.bytes <= 200_000


def test_what_does_not_fit_is_not_kept_and_nothing_makes_room_for_it() -> None:
    memory = of.segments(limit_bytes=50_000)
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN))
    big = keyed(provider="big")
    memory.keep(big, of.delivery(of.span(0, 1000), dict.fromkeys(range(1000), 1.0)))

    assert of.look(memory, of.span(0, 10), key=big) is None
    assert of.closes(of.look(memory, of.span(0, 10))) == TEN
    assert memory.use(of.NOW_NS).counts.evictions == 0


def test_what_was_dropped_is_not_known(memory: Segments) -> None:
    memory.keep(of.KEY, of.delivery(of.span(0, 10), TEN))
    memory.drop(of.KEY)

    assert of.look(memory, of.span(0, 10)) is None
    assert memory.generation == 1
    assert memory.use(of.NOW_NS).bytes == 0


def test_bars_that_were_handed_out_stay_as_they_were(memory: Segments) -> None:
    delivered = of.series(TEN)
    memory.keep(of.KEY, of.delivery(of.span(0, 10), delivered))
    known = of.look(memory, of.span(0, 10))
    delivered.close[:] = 0.0
    memory.keep(of.KEY, of.delivery(of.span(0, 10), {0: 7.0}))

    assert of.closes(known) == TEN
    assert known is not None
    with pytest.raises(ValueError, match="read-only"):
        known.series.close[0] = 1.0


async def test_without_a_file_a_series_is_as_ready_as_it_can_be(
    memory: Segments,
) -> None:
    await memory.ready(of.KEY)

    assert memory.use(of.NOW_NS).file_problem == ""
    assert memory.use(of.NOW_NS).oldest_forming_seconds is None
