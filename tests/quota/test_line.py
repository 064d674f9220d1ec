"""One window, with the meters that count for it."""

from __future__ import annotations

import pytest

from ingestion_server.ports.budget import Counts, Period, Window, WindowKind
from ingestion_server.ports.quota import Lane, Origin
from ingestion_server.quota.bucket_meter import BucketMeter
from ingestion_server.quota.fixed_meter import FixedMeter
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Line, counts_in, seconds_of
from ingestion_server.quota.rolling_meter import RollingMeter
from tests.clocks import NOW_NS, SECOND_NS

NOW = Instant(1000.0, NOW_NS, NOW_NS)
MINUTE = Window(name="minute", limit=10, seconds=60.0)
BUCKET = Window(name="bucket", limit=10, kind=WindowKind.BUCKET, seconds=60.0)
DAY = Window(
    name="day",
    limit=10,
    kind=WindowKind.FIXED,
    period=Period.DAY,
    reset_zone="America/New_York",
)
KINDS = [MINUTE, BUCKET, DAY]
MIDNIGHT_NS = NOW_NS + 14 * 3600 * SECOND_NS + 1800 * SECOND_NS


def line(window: Window, share: float = 0.0) -> Line:
    """Return a window that nobody has used."""
    return Line(window, interactive_share=share, call_seconds=10.0)


def debit(
    line: Line, amount: int, now: Instant = NOW, lane: Lane = Lane.INTERACTIVE
) -> None:
    """Count a call of which nobody will hear again."""
    for slot in counts_in(line, lane):
        slot.meter.debit(None, amount, now)


@pytest.mark.parametrize(
    ("window", "kinds"),
    [(MINUTE, [RollingMeter]), (BUCKET, [BucketMeter]), (DAY, [FixedMeter] * 2)],
)
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_each_kind_has_its_meters_and_batch_calls_their_own(
    window: Window, kinds: list[type], share: float
) -> None:
    mine = line(window, share)

    batch, interactive = counts_in(mine, Lane.BATCH), counts_in(mine, Lane.INTERACTIVE)

    assert [type(slot.meter) for slot in interactive] == kinds
    assert [slot.meter.limit for slot in interactive] == [10] * len(kinds)
    assert batch[: len(kinds)] == interactive
    assert [slot.batch_only for slot in batch[len(kinds) :]] == (
        [True] * len(kinds) if share else []
    )
    assert [slot.meter.limit for slot in batch[len(kinds) :]] == (
        [8] * len(kinds) if share else []
    )
    assert mine.kept == (2 if share else 0)
    assert {slot.window for slot in batch} == {window.name}


def test_it_counts_calls_or_units() -> None:
    units = Window(name="units", limit=10, seconds=60.0, counts=Counts.UNITS)

    assert [slot.by_units for slot in line(units).slots] == [True]
    assert [slot.by_units for slot in line(MINUTE).slots] == [False]


def test_a_fixed_window_that_names_no_period_is_a_day() -> None:
    window = Window(name="w", limit=1, kind=WindowKind.FIXED)
    mine = line(window)
    debit(mine, 1)

    assert mine.clear_at_ns(NOW) == pytest.approx(
        NOW_NS + (9.5 * 3600 + 0.5) * SECOND_NS, abs=5000
    )


@pytest.mark.parametrize("window", KINDS)
def test_the_margin_is_that_of_the_window_or_of_its_kind(window: Window) -> None:
    usual = 0.5 if window is DAY else 0.02
    for margin in (None, 0.25):
        mine = line(
            Window(
                name=window.name,
                limit=1,
                kind=window.kind,
                seconds=window.seconds,
                period=window.period,
                reset_zone=window.reset_zone,
                margin_seconds=margin,
            )
        )
        debit(mine, 1)

        free_ns = mine.free_at_ns(NOW)

        end_ns = MIDNIGHT_NS if window is DAY else NOW_NS + 60 * SECOND_NS
        expected_ns = end_ns + (usual if margin is None else margin) * SECOND_NS
        assert free_ns == pytest.approx(expected_ns, abs=5000)


@pytest.mark.parametrize("window", KINDS)
def test_it_tells_what_is_used_and_when_it_is_clear(window: Window) -> None:
    mine = line(window)
    assert mine.used(NOW) == mine.load() == 0
    assert mine.clear_at_ns(NOW) is None
    assert mine.free_at_ns(NOW) is None

    debit(mine, 10)

    assert mine.used(NOW) == mine.load() == mine.limit == 10
    clear_ns, free_ns = mine.clear_at_ns(NOW), mine.free_at_ns(NOW)
    assert clear_ns is not None
    assert clear_ns > NOW_NS
    assert free_ns is not None
    assert free_ns > NOW_NS


def test_a_fixed_window_turns_at_midnight_and_others_matter_for_their_length() -> None:
    assert line(DAY).turns_at_ns(NOW) == MIDNIGHT_NS
    assert line(MINUTE).turns_at_ns(NOW) == NOW_NS + 60 * SECOND_NS


@pytest.mark.parametrize(
    ("window", "seconds", "durable", "watched"),
    [
        (Window(name="w", limit=1, seconds=1.0), 1.0, False, False),
        (Window(name="w", limit=1, seconds=1.5), 1.5, True, False),
        (MINUTE, 60.0, True, False),
        (Window(name="w", limit=1, seconds=61.0), 61.0, True, True),
        (DAY, 86_400.0, True, True),
    ],
)
def test_its_length_says_whether_it_is_written_down_and_watched(
    window: Window, seconds: float, *, durable: bool, watched: bool
) -> None:
    mine = line(window)

    assert mine.seconds == seconds_of(window) == seconds
    assert mine.durable is durable
    assert mine.watched is watched


@pytest.mark.parametrize("window", KINDS)
def test_a_limit_is_only_lowered_and_the_share_with_it(window: Window) -> None:
    mine = line(window, 0.25)
    for limit in (-1, 0, 10, 11):
        assert not mine.lower(limit, NOW)
    origins = [mine.origin]

    assert mine.lower(5, NOW)

    assert [*origins, mine.origin] == [Origin.DECLARED, Origin.HEADER]
    assert mine.limit == 5
    assert mine.kept == 1
    assert {slot.meter.limit for slot in mine.slots if slot.batch_only} == {4}
    assert mine.lower(1, NOW)
    assert mine.kept == 0
    assert {slot.meter.limit for slot in mine.slots} == {1}


def later(seconds: float, *, jump: float = 0.0) -> Instant:
    """Return a moment after which somebody has set the wall clock."""
    moment = NOW.at(NOW.seconds + seconds)
    return moment._replace(wall_ns=moment.wall_ns + round(jump * SECOND_NS))


@pytest.mark.parametrize("window", KINDS)
def test_a_limit_that_is_told_no_more_is_what_was_declared(window: Window) -> None:
    mine = line(window, 0.25)
    mine.origin = Origin.CONFIGURED
    span = 9.5 * 3600 if window is DAY else 60.0
    assert not mine.relax(NOW)
    assert mine.lower(5, NOW)
    # It was told again, and then something else.
    renewed = later(span / 2 if window is not DAY else 60.0)
    assert not mine.lower(5, renewed)
    assert not mine.lower(8, later(renewed.seconds - NOW.seconds + 1.0))
    debit(mine, 4)
    over = later(14.5 * 3600 if window is DAY else 1.5 * span)

    assert not mine.relax(over.at(over.seconds - 1.0))
    assert (mine.limit, mine.origin, mine.lowered) == (5, Origin.HEADER, True)
    assert mine.relax(over)
    assert not mine.relax(over)

    assert (mine.limit, mine.origin, mine.lowered) == (10, Origin.CONFIGURED, False)
    assert mine.kept == 2
    assert {slot.meter.limit for slot in mine.slots} == {10, 8}
    assert mine.lower(5, over)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_gives_no_limit_back(jump: float) -> None:
    mine = line(DAY)
    mine.lower(5, NOW)

    assert not mine.relax(later(60.0, jump=jump))
    assert not mine.relax(later(14.6 * 3600, jump=-86_400.0))
    assert mine.relax(later(26 * 3600, jump=-10 * 86_400.0))


def test_a_limit_that_the_heaviest_call_never_fits_is_nonsense() -> None:
    window = Window(name="units", limit=10, seconds=60.0, counts=Counts.UNITS)
    mine = Line(window, interactive_share=0.0, call_seconds=10.0, heaviest=4)

    assert not mine.lower(3, NOW)
    assert mine.lower(4, NOW)


@pytest.mark.parametrize("window", KINDS)
def test_a_limit_that_was_told_is_known_again_with_its_end(window: Window) -> None:
    mine, other = line(window), line(window)
    mine.lower(5, NOW)

    other.restore(mine.dump())
    other.resume(lambda seconds, _: seconds, later(30.0))

    assert other.limit == 5
    assert not other.relax(later(59.0))
    assert other.relax(later(14.5 * 3600))


@pytest.mark.parametrize("window", KINDS)
def test_what_others_used_is_not_of_batch_calls(window: Window) -> None:
    mine = line(window, 0.25)

    mine.fill(7, NOW)

    assert [slot.meter.used(NOW) for slot in mine.slots] == [
        0 if slot.batch_only else 7 for slot in mine.slots
    ]


def test_a_vendor_that_says_that_it_is_full_is_believed() -> None:
    minute, day = line(MINUTE), line(DAY)

    assert minute.full_until(NOW) == 1060.0
    assert day.full_until(NOW) == pytest.approx(1000.0 + 14.5 * 3600 + 0.5, abs=1e-5)

    assert day.used(NOW) == 10


@pytest.mark.parametrize("window", KINDS)
def test_what_it_knew_it_knows_again(window: Window) -> None:
    mine, other = line(window, 0.25), line(window, 0.25)
    debit(mine, 3, lane=Lane.BATCH)
    debit(mine, 2)

    other.restore(mine.dump())
    other.resume(lambda seconds, _: seconds, NOW)

    used = [slot.meter.used(NOW) for slot in mine.slots]
    assert [slot.meter.used(NOW) for slot in other.slots] == used
    assert set(used) == {3, 5}


def test_what_is_known_of_another_kind_of_window_is_of_no_use() -> None:
    hour = Window(name="day", limit=10, kind=WindowKind.FIXED, period=Period.HOUR)
    for window in (MINUTE, hour):
        mine, other = line(DAY), line(window)
        debit(mine, 3)

        other.restore(mine.dump())

        assert other.used(NOW) == 0


def test_where_no_share_was_kept_batch_calls_are_not_known_apart() -> None:
    mine, other = line(DAY), line(DAY, 0.25)
    debit(mine, 3)

    other.restore(mine.dump())

    assert [slot.meter.used(NOW) for slot in other.slots] == [3, 3, 0, 0]
