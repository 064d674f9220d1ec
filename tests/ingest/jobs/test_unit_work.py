"""What becomes of a unit: each failure is tried again, waited for, or told."""

from __future__ import annotations

import errno
from decimal import Decimal

import msgspec
import pytest

from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    CallerThrottledError,
    CapabilityMissingError,
    DeadlineExceededError,
    IngestionError,
    LedgerUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
    QuotaExhaustedError,
    StateUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.jobs import Job, JobSpec, Unit
from ingestion_server.domain.jobs import UnitState as State
from ingestion_server.domain.query import BarQuery, Priority, Span
from ingestion_server.domain.result import Attempt, BarResult, Outcome
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.unit_work import UnitWork, Worked
from tests.clocks import ManualClock
from tests.ingest.jobs.workshop import (
    END,
    START,
    MemoryLanding,
    Vendors,
    days_missing,
    holding,
    served,
)

JOB = Job(
    job_id="one",
    spec=JobSpec(("AAPL",), START, END),
    created_ns=1,
    updated_ns=1,
    run_started_ns=1,
)
UNIT = Unit(job_id="one", number=1, symbol="AAPL", start_ns=START, end_ns=END)
LIMITS = JobLimits(attempts=4, first_seconds=10, longest_seconds=25)
DRY = Attempt(
    "acme",
    Outcome.SKIPPED,
    "QUOTA_EXHAUSTED: acme has none left",
    retry_after_seconds=7200,
)
DOWN = Attempt("zenith", Outcome.FAILED, "ALL_PROVIDERS_FAILED: HTTP 500", calls=1)
STRANGER = Attempt("zenith", Outcome.FAILED, "SYMBOL_UNKNOWN: no such", calls=1)
SILENT = Attempt("zenith", Outcome.NO_DATA, "NO_DATA_UNEXPLAINED: nothing", calls=1)


class Bench:
    """Try units."""

    def __init__(self, *, draw: float = 0.5) -> None:
        """Draw always the same."""
        self.clock = ManualClock()
        self.vendors = Vendors()
        self.landing = MemoryLanding()
        self.work = UnitWork(
            self.vendors, self.landing, self.clock, LIMITS, lambda: draw
        )

    async def tried(self, unit: Unit = UNIT) -> Worked:
        """Try a unit once."""
        return await self.work.work(JOB, unit)

    def waits(self, unit: Unit) -> float | None:
        """Tell for how many seconds a unit waits."""
        if unit.retry_at_ns is None:
            return None
        return (unit.retry_at_ns - self.clock.now_ns()) / SECOND_NS


def partly(query: BarQuery, *attempts: Attempt) -> BarResult:
    """Answer, but for two days."""
    return served(query, missing=[days_missing(3, 2)], attempts=attempts)


def down(query: BarQuery) -> BarResult:
    """Answer with what was had before a vendor failed."""
    return partly(query, Attempt("acme", Outcome.FAILED, "HTTP 500", calls=1))


def cut_off(query: BarQuery) -> BarResult:
    """Answer with what was had before the quota was used up."""
    return partly(
        query,
        Attempt(
            "acme",
            Outcome.SERVED,
            "QUOTA_EXHAUSTED: none left",
            calls=3,
            retry_after_seconds=7200,
        ),
    )


def unconfirmed(query: BarQuery) -> BarResult:
    """Answer with what one vendor has, while another has no quota."""
    return served(
        query,
        by="zenith",
        missing=[days_missing(3, 2)],
        attempts=[Attempt("zenith", Outcome.SERVED, calls=1), DRY],
    )


def gone(query: BarQuery) -> BarResult:
    """Answer with all that there is."""
    return partly(query, Attempt("acme", Outcome.SERVED, calls=1))


def throttled() -> CallerThrottledError:
    return CallerThrottledError("too many", limit=1, retry_after_seconds=3)


class TestLanding:
    """What lands is told as it is."""

    async def test_a_unit_lands_with_what_it_took(self) -> None:
        bench = Bench()

        unit, pause = await bench.tried()

        assert pause is None
        assert unit == msgspec.structs.replace(
            UNIT,
            state=State.LANDED,
            attempts=1,
            bars=10,
            providers=("acme",),
            landed_at_ns=bench.clock.now_ns(),
            calls=1,
        )

    async def test_vendors_are_asked_with_the_priority_of_a_batch(self) -> None:
        bench = Bench()
        await bench.tried()

        (query,) = bench.vendors.queries
        assert query.priority is Priority.BATCH
        assert (query.start_ns, query.end_ns) == (START, END)

    async def test_only_what_has_not_landed_is_asked_for(self) -> None:
        bench = Bench()
        for first in (0, 5):
            bench.landing.whole["AAPL"].append(
                Span(START + first * DAY_NS, START + (first + 3) * DAY_NS)
            )

        unit, _ = await bench.tried()

        asked = [(q.start_ns, q.end_ns) for q in bench.vendors.queries]
        assert asked == [
            (START + 3 * DAY_NS, START + 5 * DAY_NS),
            (START + 8 * DAY_NS, END),
        ]
        assert unit.state is State.LANDED
        assert unit.calls == 2
        assert not unit.already_landed

    async def test_what_had_landed_before_is_said_to_have(self) -> None:
        bench = Bench()
        await bench.tried()

        unit, _ = await bench.tried()

        assert unit.already_landed
        assert (unit.bars, unit.calls) == (10, 0)
        assert len(bench.vendors.asked) == 1

    async def test_what_others_served_before_is_not_forgotten(self) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [
            down,
            lambda query: served(
                query,
                by="other",
                attempts=[
                    Attempt("other", Outcome.SERVED, cost_usd=Decimal("0.5"), calls=2)
                ],
            ),
        ]
        first, _ = await bench.tried()

        unit, _ = await bench.tried(first)

        assert unit.state is State.LANDED
        assert unit.providers == ("acme", "other")
        assert (unit.calls, unit.cost_usd) == (3, Decimal("0.5"))
        assert unit.bars == 10


class TestTryingAgain:
    """What may pass is tried again, later each time, and not for ever."""

    @pytest.mark.parametrize(
        "error",
        [
            AllProvidersFailedError("x", facts={}),
            PinnedProviderFailedError("x", facts={}),
            DeadlineExceededError("x"),
            LedgerUnavailableError("x", provider="acme"),
            MalformedPayloadError("x", provider="acme"),
            NoDataUnexplainedError("x", provider="acme"),
            throttled(),
        ],
    )
    async def test_what_may_pass_is_tried_again(self, error: IngestionError) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [error]

        unit, pause = await bench.tried()

        assert unit.state is State.PENDING
        assert unit.attempts == 1
        assert unit.last_reason == f"{error.reason}: {error.message}"
        assert bench.waits(unit) == 5 + (error.retry_after_seconds or 0)
        assert pause is None

    async def test_each_try_is_later_than_the_one_before_and_the_last_is_the_last(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [
            AllProvidersFailedError("x", facts={}) for _ in range(4)
        ]
        unit, waits = UNIT, []
        for _ in range(4):
            unit, _ = await bench.tried(unit)
            waits.append(bench.waits(unit))

        assert waits == [5, 10, 12.5, None]
        assert unit.state is State.FAILED
        assert unit.attempts == 4
        assert unit.last_reason == "ALL_PROVIDERS_FAILED: x"

    @pytest.mark.parametrize(("draw", "waits"), [(0.0, 0), (0.25, 2.5), (0.75, 7.5)])
    async def test_units_that_fail_together_are_not_tried_again_together(
        self, draw: float, waits: float
    ) -> None:
        bench = Bench(draw=draw)
        bench.vendors.next["AAPL"] = [AllProvidersFailedError("x", facts={})]

        unit, _ = await bench.tried()

        assert bench.waits(unit) == waits

    @pytest.mark.parametrize(
        "error",
        [
            SymbolUnknownError("x", provider="acme", symbol="AAPL"),
            CapabilityMissingError("x", provider="acme"),
            StateUnavailableError("AAPL/2024.parquet is broken; move it away"),
        ],
    )
    async def test_what_does_not_pass_is_told_at_once(
        self, error: IngestionError
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [error]

        unit, pause = await bench.tried()

        assert unit.state is State.FAILED
        assert unit.last_reason == f"{error.reason}: {error.message}"
        assert pause is None

    async def test_a_symbol_that_cannot_be_read_fails(self) -> None:
        bench = Bench()

        unit, _ = await bench.tried(msgspec.structs.replace(UNIT, symbol="🚀"))

        assert unit.state is State.FAILED
        assert unit.last_reason.startswith("INVALID_QUERY: ")
        assert not bench.vendors.asked


class TestMissing:
    """What is missing is asked for as long as it may still come."""

    async def test_what_may_still_come_is_asked_for_again_and_nothing_else(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [down]
        first, _ = await bench.tried()

        second, _ = await bench.tried(first)

        assert first.state is State.PENDING
        assert bench.waits(first) == 5
        assert first.bars == 8
        again = bench.vendors.queries[1]
        assert (again.start_ns, again.end_ns) == (
            START + 3 * DAY_NS,
            START + 5 * DAY_NS,
        )
        assert second.state is State.LANDED
        assert second.bars == 10
        assert second.last_reason == ""

    async def test_what_never_comes_is_named_in_the_end(self) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [
            down,
            *(nothing_new for _ in range(3)),
        ]
        unit = UNIT
        for _ in range(4):
            assert unit.state is State.PENDING
            unit, _ = await bench.tried(unit)

        assert unit.state is State.PARTIAL
        assert unit.missing == (days_missing(3, 2),)
        assert unit.last_reason == "NO_DATA_UNEXPLAINED: nobody had it"
        assert unit.bars == 8

    async def test_what_nobody_has_is_named_at_once(self) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [gone]

        unit, _ = await bench.tried()

        assert unit.state is State.PARTIAL
        assert unit.missing == (days_missing(3, 2),)
        assert unit.landed_at_ns == bench.clock.now_ns()


class TestPausing:
    """What no unit can do anything about halts the job."""

    @pytest.mark.parametrize(
        "number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO]
    )
    async def test_a_disk_that_takes_nothing_pauses_the_job_until_it_is_mended(
        self, number: int
    ) -> None:
        bench = Bench()
        error = StateUnavailableError("cannot write /bars; make room")
        error.__cause__ = OSError(number, "no")
        bench.landing.failing["AAPL"] = [error]

        unit, pause = await bench.tried()

        assert unit.state is State.PENDING
        assert unit.attempts == 0
        assert pause is not None
        assert pause.until_ns is None
        assert pause.detail == ("cannot write /bars; make room; then ResumeJob goes on")


class TestWaitingForQuota:
    """A unit waits for quota, and that is no try."""

    @pytest.mark.parametrize("seconds", [5, 60, 7200])
    async def test_a_unit_without_quota_waits_until_it_is_back(
        self, seconds: float
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [without_quota(seconds)]

        unit, pause = await bench.tried()

        assert (unit.state, unit.attempts) == (State.PENDING, 0)
        assert unit.last_reason == "QUOTA_EXHAUSTED: none left"
        assert bench.waits(unit) == seconds
        assert pause is None

    async def test_quota_that_is_said_to_be_back_at_once_is_not_asked_for_in_a_circle(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [without_quota(0)]

        unit, _ = await bench.tried()

        assert bench.waits(unit) == 0.25

    async def test_what_came_before_the_quota_was_used_up_is_kept(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [cut_off]
        first, _ = await bench.tried()

        second, _ = await bench.tried(first)

        assert (first.state, first.attempts) == (State.PENDING, 0)
        assert (first.bars, first.calls) == (8, 3)
        assert bench.waits(first) == 7200
        assert first.last_reason == "QUOTA_EXHAUSTED: none left"
        again = bench.vendors.queries[1]
        assert (again.start_ns, again.end_ns) == (
            START + 3 * DAY_NS,
            START + 5 * DAY_NS,
        )
        assert second.state is State.LANDED
        assert (second.bars, second.calls) == (10, 4)

    async def test_a_vendor_that_is_down_besides_uses_up_no_tries_and_is_asked_sooner(
        self,
    ) -> None:
        bench = Bench()
        unit, waits = UNIT, set()
        for _ in range(20):
            bench.vendors.next["AAPL"] = [failed_with(DOWN, DRY)]
            unit, pause = await bench.tried(unit)
            waits.add(bench.waits(unit))

        assert (unit.state, unit.attempts, pause) == (State.PENDING, 0, None)
        # Of the longest pause, a random half or more.
        assert waits == {18.75}
        assert unit.last_reason == (
            "QUOTA_EXHAUSTED: acme has none left; "
            "zenith: ALL_PROVIDERS_FAILED: HTTP 500"
        )
        assert unit.calls == 20

    async def test_who_does_not_know_a_symbol_is_not_believed_before_all_were_asked(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [unknown_to(STRANGER, DRY), unknown_to(STRANGER)]
        first, _ = await bench.tried()

        second, _ = await bench.tried(first)

        assert (first.state, first.attempts) == (State.PENDING, 0)
        assert bench.waits(first) == 7200
        assert first.last_reason.startswith("QUOTA_EXHAUSTED: acme")
        assert second.state is State.FAILED
        assert second.last_reason == "SYMBOL_UNKNOWN: x"

    async def test_a_vendor_whose_quota_never_suffices_is_not_waited_for_for_ever(
        self,
    ) -> None:
        bench = Bench()
        tasted = msgspec.structs.replace(DRY, outcome=Outcome.FAILED, calls=2)
        bench.vendors.next["AAPL"] = [unknown_to(STRANGER, tasted) for _ in range(4)]
        unit = UNIT
        for tries in range(4):
            assert (unit.state, unit.attempts) == (State.PENDING, tries)
            unit, _ = await bench.tried(unit)

        assert unit.state is State.FAILED
        assert unit.last_reason == "SYMBOL_UNKNOWN: x"
        assert unit.calls == 12

    async def test_a_second_opinion_on_what_is_missing_is_waited_for_once(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [
            unconfirmed,
            *(silent_but_for(SILENT, DRY) for _ in range(4)),
        ]
        unit, _ = await bench.tried()
        first = unit
        for tries in range(4):
            assert (unit.state, unit.attempts) == (State.PENDING, tries)
            unit, _ = await bench.tried(unit)

        assert bench.waits(first) == 7200
        assert unit.state is State.PARTIAL
        assert unit.bars == 8
        assert [(m.start_ns, m.end_ns) for m in unit.missing] == [
            (START + 3 * DAY_NS, START + 5 * DAY_NS)
        ]

    async def test_quota_that_came_back_during_the_try_is_not_waited_for(self) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [
            lambda query: partly(query, DRY, Attempt("acme", Outcome.SERVED, calls=1))
        ]

        unit, _ = await bench.tried()

        assert unit.state is State.PARTIAL

    async def test_while_all_vendors_rest_no_unit_is_tried_more_often_than_they_are(
        self,
    ) -> None:
        bench = Bench()
        brief, long = rests(1), rests(30)
        bench.vendors.next["AAPL"] = [brief, brief, long]
        waits, attempts, unit = [], [], UNIT
        for _ in range(3):
            unit, _ = await bench.tried(unit)
            attempts.append(unit.attempts)
            waits.append(bench.waits(unit) or 0)

        assert attempts == [0, 0, 1]
        assert waits[:2] == [3.5, 3.5]
        assert waits[2] == 35

    async def test_quota_of_which_nobody_knows_when_it_is_back_is_looked_at_again(
        self,
    ) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [without_quota(None)]

        unit, pause = await bench.tried()

        assert bench.waits(unit) == LIMITS.longest_seconds
        assert pause is None

    async def test_what_had_landed_before_the_quota_was_gone_stays(self) -> None:
        bench = Bench()
        bench.landing.whole["AAPL"].append(Span(START + 3 * DAY_NS, START + 5 * DAY_NS))
        bench.vendors.next["AAPL"] = [served, without_quota(7200)]
        unit, _ = await bench.tried()

        await bench.tried(unit)

        asked = [(query.start_ns, query.end_ns) for query in bench.vendors.queries]
        assert asked[1] == asked[2] == (START + 5 * DAY_NS, END)
        read = await bench.landing.read(holding("AAPL"), Span(START, END))
        assert len(read.series) == 8


class TestGivingUp:
    """What has landed of a unit is told, though the rest cannot be had."""

    async def test_what_had_landed_before_is_told_with_what_is_missing(self) -> None:
        bench = Bench()
        bench.vendors.next["AAPL"] = [
            down,
            *(AllProvidersFailedError("all down", facts={}) for _ in range(3)),
        ]
        unit = UNIT
        for _ in range(4):
            assert unit.state is State.PENDING
            unit, _ = await bench.tried(unit)

        reason = "ALL_PROVIDERS_FAILED: all down"
        hole = msgspec.structs.replace(days_missing(3, 2), reason=reason)
        assert unit.state is State.PARTIAL
        assert unit.missing == (hole,)
        assert unit.last_reason == reason
        assert (unit.bars, unit.attempts) == (8, 4)
        assert unit.landed_at_ns == bench.clock.now_ns()

    async def test_what_another_job_had_landed_is_told_as_well(self) -> None:
        bench = Bench()
        await bench.tried(msgspec.structs.replace(UNIT, end_ns=START + 3 * DAY_NS))
        bench.vendors.next["AAPL"] = [unknown_to(STRANGER)]

        unit, _ = await bench.tried()

        assert (unit.state, unit.bars) == (State.PARTIAL, 3)
        assert [(m.start_ns, m.end_ns) for m in unit.missing] == [
            (START + 3 * DAY_NS, END)
        ]

    async def test_what_cannot_be_read_has_failed(self) -> None:
        bench = Bench()
        await bench.tried(msgspec.structs.replace(UNIT, end_ns=START + 3 * DAY_NS))
        bench.vendors.next["AAPL"] = [unknown_to(STRANGER)]
        bench.landing.unreadable = [StateUnavailableError("2024.parquet is broken")]

        unit, _ = await bench.tried()

        assert unit.state is State.FAILED
        assert unit.last_reason == "SYMBOL_UNKNOWN: x"

    async def test_where_all_has_landed_nothing_is_missing_whatever_failed(
        self,
    ) -> None:
        bench = Bench()
        bench.landing.whole["AAPL"].append(Span(START + 3 * DAY_NS, START + 5 * DAY_NS))
        bench.landing.unreadable = [ZeroDivisionError()]

        unit, _ = await bench.tried(msgspec.structs.replace(UNIT, attempts=3))

        assert (unit.state, unit.bars) == (State.LANDED, 8)
        assert (unit.missing, unit.last_reason) == ((), "")


class TestCounting:
    """Every call counts, whatever it was good for."""

    async def test_calls_count_of_what_landed_before_something_failed(self) -> None:
        bench = Bench()
        bench.landing.whole["AAPL"].append(Span(START + 3 * DAY_NS, START + 5 * DAY_NS))
        bench.vendors.next["AAPL"] = [served, failed_with(DOWN)]

        unit, _ = await bench.tried()

        assert (unit.state, unit.calls) == (State.PENDING, 2)
        assert unit.providers == ("acme",)

    async def test_calls_count_of_what_landed_before_the_quota_was_gone(self) -> None:
        bench = Bench()
        bench.landing.whole["AAPL"].append(Span(START + 3 * DAY_NS, START + 5 * DAY_NS))
        refused = without_quota(7200)
        refused.tried = (msgspec.structs.replace(DRY, calls=1, cost_usd=Decimal(2)),)
        bench.vendors.next["AAPL"] = [served, refused]

        unit, _ = await bench.tried()

        assert (unit.attempts, unit.calls, unit.cost_usd) == (0, 2, Decimal(2))
        assert unit.providers == ("acme",)

    async def test_calls_count_of_what_has_to_be_had_anew_after_a_split(self) -> None:
        bench = Bench()
        bench.landing.rebased = 0.25
        later = msgspec.structs.replace(UNIT, run=2, start_ns=START + 8 * DAY_NS)

        first, _ = await bench.tried(later)
        second, _ = await bench.tried(first)

        assert (first.state, first.attempts, first.calls) == (State.PENDING, 0, 1)
        assert first.start_ns == START
        assert (second.state, second.bars, second.calls) == (State.LANDED, 10, 2)


def failed_with(*tried: Attempt) -> AllProvidersFailedError:
    error = AllProvidersFailedError("every vendor failed", facts={})
    error.tried = tried
    return error


def unknown_to(*tried: Attempt) -> SymbolUnknownError:
    error = SymbolUnknownError("x", provider="zenith", symbol="AAPL")
    error.tried = tried
    return error


def silent_but_for(*tried: Attempt) -> NoDataUnexplainedError:
    error = NoDataUnexplainedError("nothing", provider="zenith")
    error.tried = tried
    return error


def rests(seconds: float) -> PinnedProviderFailedError:
    """Fail since the vendor rests."""
    error = PinnedProviderFailedError(
        "acme rests", facts={}, retry_after_seconds=seconds
    )
    error.tried = (
        Attempt("acme", Outcome.SKIPPED, "ALL_PROVIDERS_FAILED: acme rests"),
    )
    return error


def nothing_new(query: BarQuery) -> BarResult:
    """Answer with nothing, as a vendor that is down."""
    attempt = Attempt("acme", Outcome.FAILED, "HTTP 500", calls=1)
    return served(query, missing=[days_missing(3, 2)], attempts=[attempt])


def without_quota(seconds: float | None) -> QuotaExhaustedError:
    return QuotaExhaustedError(
        "none left", provider="acme", window="day", retry_after_seconds=seconds
    )
