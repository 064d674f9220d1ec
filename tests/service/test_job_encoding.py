"""Jobs reach the wire with all that is known of them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from marketdata.ingestion.v1 import (
    bar_pb2,
    job_pb2,
    job_service_pb2,
    provenance_pb2,
)

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarState, empty_series
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.jobs import (
    AfterClose,
    JobSpec,
    JobState,
    Plan,
    PlanFailure,
    ProviderPlan,
    Schedule,
    UnitState,
)
from ingestion_server.domain.landed import LandedBars
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.result import Missing
from ingestion_server.ports.jobs import Cursor, Result
from ingestion_server.service.job_decoding import submission_of
from ingestion_server.service.job_encoding import (
    job_of,
    plan_of,
    result_of,
    unit_of,
)
from ingestion_server.service.job_tokens import cursor_read
from ingestion_server.service.vocabulary import (
    HOURS_CODES,
    JOB_STATE_CODES,
    JOB_STATES,
    MODE_CODES,
    UNIT_STATE_CODES,
    UNIT_STATES,
)
from tests.clocks import NOW_NS, SECOND_NS
from tests.service.job_desks import JOB, PROGRESS, SPEC, START_NS, landed, result, unit

NOW = NOW_NS // SECOND_NS


@pytest.mark.parametrize(
    ("words", "codes", "back", "contract", "prefix"),
    [
        (JobState, JOB_STATE_CODES, JOB_STATES, job_pb2.JobState, "JOB_STATE_"),
        (UnitState, UNIT_STATE_CODES, UNIT_STATES, job_pb2.UnitState, "UNIT_STATE_"),
    ],
)
def test_every_state_has_its_name_in_the_contract(
    words: type[StrEnum], codes, back, contract, prefix: str
) -> None:
    named = {word: contract.Name(codes[word]) for word in words}

    assert named == {word: prefix + word.name for word in words}
    assert {back[code] for code in codes.values()} == set(words)
    assert {*codes.values(), 0} == set(contract.values())


def test_every_mode_and_session_has_its_name_in_the_contract() -> None:
    assert set(MODE_CODES) == set(SourceMode)
    assert set(HOURS_CODES) == set(TradingHours)


def test_every_field_of_a_job_reaches_the_wire() -> None:
    job = msgspec.structs.replace(
        JOB,
        state=JobState.PAUSED_QUOTA,
        detail="alpha_vantage is used up",
        run=3,
        run_ended_ns=NOW_NS + 2 * SECOND_NS,
        resumes_at_ns=NOW_NS + 3 * SECOND_NS,
        next_run_ns=NOW_NS + 4 * SECOND_NS,
    )

    told = job_of(job, PROGRESS)

    assert told == job_pb2.Job(
        job_id="0198f3c2a7e1",
        client_key="nightly",
        name="five hundred",
        spec=told.spec,
        state=job_pb2.JOB_STATE_PAUSED_QUOTA,
        detail="alpha_vantage is used up",
        created_at=Timestamp(seconds=NOW),
        updated_at=Timestamp(seconds=NOW + 1),
        run=3,
        run_started_at=Timestamp(seconds=NOW),
        run_ended_at=Timestamp(seconds=NOW + 2),
        resumes_at=Timestamp(seconds=NOW + 3),
        next_run_at=Timestamp(seconds=NOW + 4),
        progress=job_pb2.JobProgress(
            units=15,
            landed=4,
            partial=1,
            failed=2,
            running=3,
            pending=5,
            bars=900,
            calls=7,
            units_per_second=1.5,
            finishes_at=Timestamp(seconds=NOW + 60),
        ),
    )
    assert list(told.spec.symbols) == ["AAPL", "brk.b", "EUR/USD", "?!"]


def test_what_is_not_known_of_a_job_is_absent() -> None:
    told = job_of(JOB, None)

    for field in ("run_ended_at", "resumes_at", "next_run_at", "progress"):
        assert not told.HasField(field)
    assert not told.spec.HasField("end")
    assert not told.spec.HasField("schedule")


def test_symbols_can_be_left_out() -> None:
    told = job_of(JOB, PROGRESS, with_symbols=False)

    assert not told.spec.symbols
    assert told.spec.start == Timestamp(seconds=START_NS // SECOND_NS)


SCHEDULES = st.one_of(
    st.builds(Schedule, cron=st.just("0 6 * * *"), zone=st.just("Europe/London")),
    st.builds(
        Schedule,
        after_close=st.builds(
            AfterClose, st.just("XNYS"), st.integers(0, 86_400).map(float)
        ),
    ),
)
POLICIES = st.builds(
    SourcePolicy,
    st.sampled_from([one for one in SourceMode if one is not SourceMode.CONSENSUS]),
    st.lists(st.sampled_from(["yahoo", "finnhub"]), max_size=3).map(tuple),
    st.booleans(),
    st.none() | st.floats(0, 1e6),
    st.none() | st.integers(0, 10**6).map(float),
)
SPECS = st.builds(
    JobSpec,
    symbols=st.just(("AAPL", "?!")),
    start_ns=st.integers(-(10**18), 10**18),
    interval=st.sampled_from(Interval),
    asset_class=st.none() | st.just(AssetClass.EQUITY),
    exchange=st.sampled_from(["", "XLON"]),
    adjustment=st.sampled_from(Adjustment),
    hours=st.sampled_from(TradingHours),
    policy=POLICIES,
)


@given(SPECS, st.none() | SCHEDULES)
def test_a_spec_that_is_sent_back_means_the_same(
    spec: JobSpec, schedule: Schedule | None
) -> None:
    end_ns = None if schedule else spec.start_ns + DAY_NS
    spec = msgspec.structs.replace(spec, schedule=schedule, end_ns=end_ns)
    told = job_of(msgspec.structs.replace(JOB, spec=spec), None)

    again = submission_of(job_service_pb2.CreateJobRequest(spec=told.spec))

    assert again.spec == spec


def test_every_field_of_a_plan_reaches_the_wire() -> None:
    plan = Plan(
        units=3,
        units_landed=4,
        calls=5,
        cost_usd=Decimal("0.25"),
        finishes_at_ns=NOW_NS,
        providers=(
            ProviderPlan(
                provider="yahoo",
                units=3,
                calls=5,
                cost_usd=Decimal("0.125"),
                finishes_at_ns=NOW_NS,
            ),
        ),
        failures=(PlanFailure("?!", "INVALID_QUERY: no symbol has such characters"),),
    )

    assert plan_of(plan) == job_pb2.JobPlan(
        units=3,
        units_landed=4,
        calls=5,
        cost_usd=0.25,
        finishes_at=Timestamp(seconds=NOW),
        providers=[
            job_pb2.ProviderPlan(
                provider="yahoo",
                units=3,
                calls=5,
                cost_usd=0.125,
                finishes_at=Timestamp(seconds=NOW),
            )
        ],
        failures=[
            job_pb2.PlanFailure(
                symbol="?!", reason="INVALID_QUERY: no symbol has such characters"
            )
        ],
    )


def test_an_end_that_cannot_be_foreseen_is_absent() -> None:
    plan = plan_of(Plan(providers=(ProviderPlan(provider="yahoo", units=1, calls=1),)))

    assert not plan.HasField("finishes_at")
    assert not plan.providers[0].HasField("finishes_at")


def test_of_ten_thousand_failures_a_hundred_are_told() -> None:
    failures = tuple(PlanFailure(f"?{number}", "") for number in range(10_000))

    told = plan_of(Plan(failures=failures)).failures

    assert [one.symbol for one in told] == [f"?{number}" for number in range(100)]


def test_every_field_of_a_unit_reaches_the_wire() -> None:
    partial = unit(
        7,
        run=2,
        state=UnitState.PARTIAL,
        attempts=3,
        last_reason="QUOTA_EXHAUSTED: the day is used up",
        retry_at_ns=NOW_NS,
        bars=19,
        providers=("yahoo", "finnhub"),
        landed_at_ns=NOW_NS + SECOND_NS,
        already_landed=True,
        missing=(Missing(START_NS, START_NS + DAY_NS, "yahoo: 404"),),
    )
    start, end = START_NS // SECOND_NS, (START_NS + 30 * DAY_NS) // SECOND_NS

    assert unit_of(partial, SPEC) == job_pb2.JobUnit(
        number=7,
        run=2,
        symbol="AAPL",
        start=Timestamp(seconds=start),
        end=Timestamp(seconds=end),
        state=job_pb2.UNIT_STATE_PARTIAL,
        attempts=3,
        last_reason="QUOTA_EXHAUSTED: the day is used up",
        retry_at=Timestamp(seconds=NOW),
        bars=19,
        providers=["yahoo", "finnhub"],
        landed_at=Timestamp(seconds=NOW + 1),
        already_landed=True,
        missing=[
            provenance_pb2.MissingInterval(
                start=Timestamp(seconds=start),
                end=Timestamp(seconds=start + 86_400),
                reason="yahoo: 404",
            )
        ],
    )


def test_a_symbol_that_cannot_be_read_is_told_as_it_was_spelled() -> None:
    failed = unit(1, symbol="?!", state=UnitState.FAILED)

    told = unit_of(failed, SPEC)

    assert told.symbol == "?!"
    assert not told.HasField("landed_at")
    assert not told.HasField("retry_at")


def test_results_are_signed_columns() -> None:
    told = result_of(result(5, 2, count=3), JOB)

    assert cursor_read(told.cursor, JOB.job_id) == Cursor(5, 2)
    assert told.unit.number == 5
    assert not told.more_of_unit
    series = told.series
    assert (series.symbol, series.exchange) == ("AAPL", "XNYS")
    assert (series.currency, series.time_zone) == ("USD", "America/New_York")
    assert series.interval == bar_pb2.INTERVAL_1_DAY
    assert series.adjustment == bar_pb2.ADJUSTMENT_SPLIT
    assert not series.bars
    bars = landed(3)
    assert list(series.columns.open_time_ns) == bars.series.open_time_ns.tolist()
    assert list(series.columns.close) == bars.series.close.tolist()
    assert list(series.columns.state) == [bar_pb2.BAR_STATE_FINAL] * 3
    (source,) = told.sources
    assert source == job_service_pb2.ResultSource(
        provider="yahoo",
        start=Timestamp(seconds=START_NS // SECOND_NS),
        end=Timestamp(seconds=START_NS // SECOND_NS + 3 * 86_400),
        received_at=Timestamp(seconds=NOW),
    )


def test_bars_that_were_revised_or_derived_say_so() -> None:
    bars = landed(2)
    derived = msgspec.structs.replace(bars.sources[0], derived=True)
    states = np.array([BarState.REVISED, BarState.FINAL], np.uint8)
    revised = LandedBars(bars.series, states, [derived])

    told = result_of(result(1)._replace(bars=revised, more=True), JOB)

    assert list(told.series.columns.state) == [
        bar_pb2.BAR_STATE_REVISED,
        bar_pb2.BAR_STATE_FINAL,
    ]
    assert told.sources[0].derived
    assert told.more_of_unit


def test_pairs_are_told_as_they_were_traded() -> None:
    pair = unit(1, symbol="eur/usd", state=UnitState.LANDED)

    told = result_of(Result(Cursor(1, 1), pair, landed(1), more=False), JOB).series

    assert told.symbol == "EUR/USD"
    assert told.exchange == ""
    assert told.adjustment == bar_pb2.ADJUSTMENT_RAW


def test_a_unit_in_which_nothing_was_traded_is_a_message_without_bars() -> None:
    nothing = LandedBars(empty_series(), np.empty(0, np.uint8), [])

    told = result_of(result(1)._replace(bars=nothing), JOB)

    assert told.cursor
    assert not told.series.columns.open_time_ns
    assert not told.sources
