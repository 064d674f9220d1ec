"""Whatever happens here, a strict vendor never has a reason to complain."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion_server.ports.budget import Budget, Counts, Period, Window, WindowKind
from ingestion_server.ports.quota import Lane
from ingestion_server.sandbox.alpha_vantage.plan import Meters
from tests.clocks import SECOND_NS
from tests.quota.judge import allowed
from tests.quota.world import Plan, World, judged, limit_of

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Burst:
    """Some call at once."""

    plan: Plan
    calls: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Time passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Jump:
    """Somebody sets the wall clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Of those who wait, some lose patience."""

    every: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The server is killed, perhaps while somebody sets the wall clock."""

    down_seconds: float
    jump_seconds: float


@dataclass(frozen=True, slots=True)
class Reboot:
    """The machine is switched off and on."""

    down_seconds: float


@dataclass(frozen=True, slots=True)
class Save:
    """What was written down is summed up."""


Step: TypeAlias = Burst | Idle | Jump | Cancel | Restart | Reboot | Save


async def act(world: World, step: Step) -> None:
    """Let one thing happen."""
    match step:
        case Burst(plan, calls):
            for _ in range(calls):
                world.call(plan)
            await world.clock.advance(0.0)
        case Idle(seconds):
            await world.clock.advance(seconds)
        case Jump(seconds):
            world.clock.jump(seconds)
        case Cancel(every):
            for task in world.waiting[::every]:
                task.cancel()
            await world.clock.advance(0.0)
        case Restart(down_seconds, jump_seconds):
            await world.kill()
            world.clock.pass_by(down_seconds)
            world.clock.jump(jump_seconds)
            await world.start()
        case Reboot(down_seconds):
            await world.reboot(down_seconds)
        case Save():
            world.ledger.save()


def rolling(
    name: str, limit: int, seconds: float, counts: Counts = Counts.CALLS
) -> Window:
    """Return a rolling window."""
    return Window(name=name, limit=limit, seconds=seconds, counts=counts)


def fixed(
    limit: int, period: Period, zone: str = "UTC", counts: Counts = Counts.CALLS
) -> Window:
    """Return a fixed window, named for its period."""
    return Window(
        name=period.value,
        limit=limit,
        kind=WindowKind.FIXED,
        period=period,
        reset_zone=zone,
        counts=counts,
    )


ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]
)
COUNTS = st.sampled_from(Counts)
LIMITS = st.integers(4, 12)
SHORT = st.builds(
    rolling,
    st.just("short"),
    st.integers(4, 6),
    st.sampled_from([1.1, 5.0, 60.0]),
    COUNTS,
)
# Not written down for its own sake, but with the longer one.
SECOND = st.builds(rolling, st.just("second"), st.integers(3, 5), st.just(1.0), COUNTS)
LONG = st.builds(
    rolling, st.just("long"), LIMITS, st.sampled_from([HOUR, 3 * HOUR, DAY]), COUNTS
)
TURNING = st.builds(fixed, LIMITS, st.sampled_from(Period), ZONES, COUNTS)
MONTHLY = st.builds(fixed, st.integers(10, 40), st.just(Period.MONTH), ZONES, COUNTS)
DAILY = st.builds(fixed, LIMITS, st.just(Period.DAY), ZONES, COUNTS)
BUCKET = st.builds(
    Window,
    name=st.just("bucket"),
    limit=st.integers(4, 8),
    kind=st.just(WindowKind.BUCKET),
    seconds=st.sampled_from([1.1, 10.0, 60.0]),
    counts=COUNTS,
)
BUDGETS = st.builds(
    lambda windows: Budget(windows=tuple(windows), weights={"chart": 3, "*": 1}),
    st.one_of(
        st.tuples(SHORT),
        st.tuples(LONG),
        st.tuples(TURNING),
        st.tuples(BUCKET),
        st.tuples(SECOND, DAILY),
        st.tuples(SHORT, DAILY, MONTHLY),
        st.tuples(BUCKET, LONG, TURNING),
    ),
)

PLANS = st.builds(
    Plan,
    lane=st.sampled_from(Lane),
    endpoint=st.sampled_from(["quote", "chart"]),
    patience_seconds=st.sampled_from([0.0, 0.5, 61.0, 2 * HOUR, 30 * HOUR]),
    travel_seconds=st.floats(0.0, 0.015),
    answer_seconds=st.sampled_from([0.0, 0.02, 0.4, 3.0, 9.5]),
    leaves=st.sampled_from([True, True, True, False]),
)
JUMPS = st.one_of(
    st.sampled_from([-DAY, DAY, -HOUR, HOUR, -25 * HOUR, 31 * DAY, -40 * DAY]),
    st.floats(-30 * HOUR, 30 * HOUR),
)
DOWN = st.sampled_from([0.0, 0.3, 2.0, 45.0, 2 * HOUR])
CROWDS = st.builds(
    Burst,
    st.builds(
        Plan,
        lane=st.sampled_from(Lane),
        endpoint=st.sampled_from(["quote", "chart"]),
        patience_seconds=st.sampled_from([0.0, 61.0, 30 * HOUR]),
        travel_seconds=st.floats(0.0, 0.015),
    ),
    st.integers(8, 16),
)
EVENTS = st.one_of(
    st.builds(Burst, PLANS, st.integers(1, 5)),
    st.builds(Idle, st.sampled_from([0.01, 0.3, 1.0, 5.1, 60.0, HOUR])),
    st.builds(Idle, st.floats(0.0, 5 * HOUR)),
    st.builds(Jump, JUMPS),
    st.builds(Cancel, st.integers(1, 3)),
    st.builds(Restart, DOWN, st.one_of(st.just(0.0), JUMPS)),
    st.builds(Reboot, st.sampled_from([1.0, 20.0, HOUR, 8 * HOUR])),
    st.just(Save()),
)
# After whatever happens a crowd comes: if anything was forgotten, it is found out.
STEPS = st.lists(
    st.tuples(st.lists(EVENTS, max_size=3), CROWDS).map(
        lambda pair: [*pair[0], pair[1]]
    ),
    min_size=2,
    max_size=5,
).map(lambda rounds: [step for each in rounds for step in each])
STARTS = st.builds(
    lambda text, minutes: (
        (
            int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
            + minutes * 60
        )
        * 1_000_000_000
    ),
    st.sampled_from(
        [
            "2025-01-31T20:00",  # the end of a month
            "2025-03-09T02:00",  # 23 hours in New York
            "2025-11-02T02:00",  # 25 hours in New York
            "2025-10-25T20:00",  # 25 hours in Berlin
            "2025-04-05T12:00",  # 24.5 hours on Lord Howe Island
        ]
    ),
    st.integers(0, 300),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(budget=BUDGETS, now_ns=STARTS, steps=STEPS)
async def test_no_schedule_makes_a_strict_vendor_complain(
    budget: Budget, now_ns: int, steps: list[Step]
) -> None:
    """Bursts, idling, kills, reboots, cancellations, clocks that are set, DST."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), budget, now_ns=now_ns)
        await world.start()
        try:
            for step in steps:
                await act(world, step)
        finally:
            await world.stop()

    assert judged(world).violations() == []


CROWD = Burst(Plan(patience_seconds=0.0), 30)
BATCH_CROWD = Burst(Plan(lane=Lane.BATCH, patience_seconds=0.0, endpoint="chart"), 30)
UNANSWERED = Burst(Plan(patience_seconds=0.0, answer_seconds=9.5), 30)
KINDS = {
    "short": (rolling("short", 5, 60.0),),
    "long": (rolling("long", 9, 3 * HOUR),),
    "day": (fixed(9, Period.DAY, "America/New_York"),),
    "month": (fixed(20, Period.MONTH, "Europe/Berlin", Counts.UNITS),),
    "bucket": (Window(name="bucket", limit=5, kind=WindowKind.BUCKET, seconds=60.0),),
    "linked": (
        rolling("second", 3, 1.0),
        rolling("minute", 8, 60.0, Counts.UNITS),
        fixed(20, Period.DAY, "America/New_York"),
    ),
}


@pytest.mark.parametrize("windows", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "events",
    [
        [Restart(0.0, 0.0)],
        [Save(), Restart(2.0, 0.0)],
        [Idle(1.0), Save(), Restart(2.0, DAY)],
        [Idle(30.0), Restart(1.0, -DAY), CROWD, Restart(1.0, DAY)],
        [Reboot(20.0)],
        [Idle(1.0), Save(), Reboot(1.0), CROWD, Reboot(HOUR)],
        [Jump(DAY)],
        [Jump(-DAY), CROWD, Jump(2 * DAY), CROWD, Jump(-DAY)],
        [Jump(32 * DAY), CROWD, Idle(5.0), Restart(1.0, -64 * DAY)],
        [Jump(-5 * HOUR), CROWD, Idle(1.0), Save(), Reboot(1.0)],
    ],
    ids=str,
)
@pytest.mark.parametrize("crowd", [CROWD, BATCH_CROWD, UNANSWERED], ids=str)
async def test_what_was_used_is_not_used_again(
    windows: tuple[Window, ...], events: list[Step], crowd: Burst, tmp_path: Path
) -> None:
    """What is drawn above rarely goes to the edge; these always do."""
    world = World(tmp_path, Budget(windows=windows, weights={"chart": 3}))
    await world.start()

    for step in [crowd, *events, crowd, Idle(61.0), crowd, Idle(13 * HOUR), crowd]:
        await act(world, step)
    await world.stop()

    assert judged(world).violations() == []
    assert len(world.granted) >= 3


@pytest.mark.parametrize("name", ["short", "long", "day", "month", "bucket"])
@pytest.mark.parametrize("killed_after", [None, 0.0, 3.0, 7.9, 20.0])
async def test_calls_that_travel_long_are_not_forgotten_by_a_kill(
    name: str, killed_after: float | None, tmp_path: Path
) -> None:
    """Eight seconds: who waits for a connection has left and has not arrived."""
    # They leave on one day of New York, and arrive on the next.
    start = datetime(2025, 3, 10, 3, 59, 52, tzinfo=UTC)
    world = World(
        tmp_path,
        Budget(windows=KINDS[name], weights={"chart": 3}),
        now_ns=int(start.timestamp()) * SECOND_NS,
    )
    slow = Plan(patience_seconds=0.0, travel_seconds=8.0, answer_seconds=8.2)
    await world.start()

    await act(world, Burst(slow, 30))
    if killed_after is not None:
        await act(world, Idle(killed_after))
        await act(world, Restart(0.0, 0.0))
    await act(world, Burst(Plan(patience_seconds=61.0, travel_seconds=0.0), 30))
    await act(world, Idle(100.0))
    await world.stop()

    assert judged(world).violations() == []


PLANS_OF_THE_SANDBOX = {
    "free": (rolling("second", 1, 1.0), fixed(25, Period.DAY, "America/New_York")),
    "75": (rolling("minute", 75, 60.0),),
    "60per5s": (rolling("five", 60, 5.0),),
}
KEYS = st.sampled_from([*PLANS_OF_THE_SANDBOX])
HUNDREDS = st.builds(
    Burst,
    st.builds(
        Plan,
        lane=st.sampled_from(Lane),
        patience_seconds=st.sampled_from([0.0, 11.0, 130.0]),
        travel_seconds=st.floats(0.0, 0.015),
        answer_seconds=st.floats(0.0, 2.0),
    ),
    st.integers(1, 120),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=KEYS, now_ns=STARTS, steps=st.lists(EVENTS | HUNDREDS, max_size=12))
async def test_the_sandbox_refuses_nothing(
    key: str, now_ns: int, steps: list[Step]
) -> None:
    """The simulated vendor has meters of its own, which are as strict."""
    budget = Budget(windows=PLANS_OF_THE_SANDBOX[key])
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), budget, now_ns=now_ns)
        await world.start()
        try:
            for step in steps:
                # A server that is killed within a second may start within it, too.
                await act(world, Idle(1.1) if isinstance(step, Restart) else Idle(0.0))
                await act(world, step)
        finally:
            await world.stop()

    assert refusals(key, world) == 0


def refusals(key: str, world: World) -> int:
    """Return how many of those that arrived the simulated vendor refuses."""
    meters = Meters(key)
    return sum(
        meters.refused(f"demo-{key}", at_ns) is not None
        for at_ns, _ in sorted(world.vendor.arrivals)
    )


BACKLOGS = {
    "second": ((rolling("second", 10, 1.0),), 120.0),
    "minute": ((rolling("minute", 75, 60.0),), 20 * 60.0),
    "five seconds": ((rolling("five", 60, 5.0),), 150.0),
    "hours": ((rolling("hours", 50, 3 * HOUR),), 2 * DAY),
    "day": ((fixed(25, Period.DAY, "America/New_York"),), 5 * DAY),
    "linked": (
        (
            rolling("second", 1, 1.0),
            rolling("minute", 5, 60.0),
            fixed(25, Period.DAY, "America/New_York"),
        ),
        5 * DAY,
    ),
    "linked, and the short one is the tightest": (
        (rolling("minute", 5, 60.0), fixed(9000, Period.DAY)),
        2 * HOUR,
    ),
}


@pytest.mark.parametrize(("windows", "seconds"), BACKLOGS.values(), ids=BACKLOGS)
@pytest.mark.parametrize("lane", Lane)
async def test_nearly_all_that_the_windows_allow_is_used(
    windows: tuple[Window, ...], seconds: float, lane: Lane, tmp_path: Path
) -> None:
    """Of batch calls: nearly all but what is kept for others."""
    world = World(tmp_path, Budget(windows=windows))
    await world.start()
    from_ns = world.true_ns
    plan = Plan(
        lane=lane,
        patience_seconds=100 * DAY,
        travel_seconds=0.002,
        answer_seconds=0.004,
    )
    strict = judged(world)
    until_ns = from_ns + round(seconds * SECOND_NS)
    tightest = min(windows, key=lambda w: allowed(limit_of(w), from_ns, until_ns))
    for _ in range(allowed(limit_of(tightest), from_ns, until_ns) + 10):
        world.call(plan)

    await world.clock.advance(seconds)
    await world.stop()

    strict = judged(world)
    kept = tightest.limit // 10 if lane is Lane.BATCH else 0
    share = (tightest.limit - kept) / tightest.limit
    assert strict.violations() == []
    assert strict.utilisation(from_ns, until_ns) >= 0.97 * share
    if lane is Lane.BATCH:
        assert strict.utilisation(from_ns, until_ns) <= share + 1e-9


@pytest.mark.parametrize("lane", Lane)
async def test_who_waits_for_a_connection_does_not_fall_out_of_the_window(
    lane: Lane, tmp_path: Path
) -> None:
    """A slow vendor holds all connections for longer than its window is."""
    window = rolling("five", 60, 5.0)
    world = World(tmp_path, Budget(windows=(window,)), connections=16)
    await world.start()
    slow = Plan(lane=lane, answer_seconds=6.0)
    quick = Plan(lane=lane, answer_seconds=0.1)

    for number in range(200):
        world.call(slow if number < 16 else quick)
    await world.clock.advance(5.9)
    assert len(world.vendor.arrivals) == 16
    await world.clock.advance(54.0)
    await world.stop()

    assert judged(world).violations() == []
    # And nobody has waited needlessly.
    assert world.refused == []
    assert len(world.vendor.arrivals) == 200


async def test_a_slow_vendor_gets_all_that_its_window_allows(tmp_path: Path) -> None:
    """Calls that are still open do not hold up others for which there is room."""
    second = rolling("second", 1, 1.0)
    world = World(tmp_path, Budget(windows=(second,)), connections=16)
    await world.start()

    for _ in range(12):
        world.call(Plan(answer_seconds=6.0))
    # Until the first answer, nothing tells that they travel long.
    await world.clock.advance(5.9)
    assert len(world.vendor.arrivals) == 6
    await world.clock.advance(54.0)
    await world.stop()

    assert judged(world).violations() == []
    assert len(world.vendor.arrivals) == 12


async def test_a_budget_of_which_all_was_used_is_used_again_after_a_restart(
    tmp_path: Path,
) -> None:
    """To be careful is not to stand still."""
    world = World(tmp_path, Budget(windows=KINDS["linked"]), boots=False)
    await world.start()
    from_ns = world.true_ns
    for day in range(4):
        for _ in range(25):
            world.call(Plan(patience_seconds=0.0))
            await world.clock.advance(60.0)
        await (world.restart(1.0) if day % 2 else world.reboot(1.0))
        await world.clock.advance(DAY - 25 * 60.0)
    await world.stop()

    strict = judged(world)
    assert strict.violations() == []
    assert len(strict.arrivals) == 80
    assert strict.utilisation(from_ns, from_ns + round(4 * DAY * SECOND_NS)) >= 0.79
