"""Requests about jobs: what is meant is understood, and every wrong field named."""

from __future__ import annotations

import contextlib

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    job_pb2,
    job_service_pb2,
    source_policy_pb2,
)

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.jobs import AfterClose, JobSpec, Schedule
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.service.job_decoding import named_as_sent, submission_of
from tests.builders import ns
from tests.clocks import SECOND_NS

START = Timestamp(seconds=ns("2010-01-01") // SECOND_NS)
END = Timestamp(seconds=ns("2020-01-01") // SECOND_NS)
NIGHTLY = job_pb2.Schedule(cron="30 18 * * mon-fri")
Create = job_service_pb2.CreateJobRequest


def spec(**changes: object) -> job_pb2.JobSpec:
    """Ask for the days of Apple since 2010, but for some changes."""
    fields = {"symbols": ["AAPL"], "start": START, **changes}
    return job_pb2.JobSpec(**fields)


def decoded(**changes: object) -> JobSpec:
    """Return what a spec is understood to mean."""
    return submission_of(Create(spec=spec(**changes))).spec


def wrong(request: job_service_pb2.CreateJobRequest) -> dict[str, str]:
    """Return the fields that are named as wrong."""
    with pytest.raises(InvalidQueryError) as raised:
        submission_of(request)
    return {one.field: one.description for one in raised.value.violations}


def wrong_in(**changes: object) -> dict[str, str]:
    """Return the fields of a spec that are named as wrong."""
    return wrong(Create(spec=spec(**changes)))


def test_what_is_left_out_has_its_usual_meaning() -> None:
    assert decoded() == JobSpec(symbols=("AAPL",), start_ns=ns("2010-01-01"))


def test_every_field_is_understood() -> None:
    request = Create(
        client_key="nightly-2025",
        name="five hundred",
        dry_run=True,
        spec=spec(
            asset_class=ingestion_service_pb2.ASSET_CLASS_EQUITY,
            exchange=" xlon ",
            interval=bar_pb2.INTERVAL_1_HOUR,
            end=END,
            adjustment=bar_pb2.ADJUSTMENT_RAW,
            session=ingestion_service_pb2.SESSION_EXTENDED,
            source_policy=source_policy_pb2.SourcePolicy(
                mode=source_policy_pb2.SourcePolicy.MODE_PINNED,
                providers=["yahoo"],
                allow_partial=False,
                max_cost_usd=2.5,
            ),
        ),
    )

    wanted = submission_of(request)

    assert wanted.client_key == "nightly-2025"
    assert wanted.name == "five hundred"
    assert wanted.dry_run
    assert wanted.spec == JobSpec(
        symbols=("AAPL",),
        start_ns=ns("2010-01-01"),
        end_ns=ns("2020-01-01"),
        interval=Interval.HOUR_1,
        asset_class=AssetClass.EQUITY,
        exchange="XLON",
        adjustment=Adjustment.RAW,
        hours=TradingHours.EXTENDED,
        policy=SourcePolicy(
            SourceMode.PINNED, ("yahoo",), allow_partial=False, max_cost_usd=2.5
        ),
    )


def test_an_instrument_that_is_named_twice_counts_once() -> None:
    symbols = ["aapl", "MSFT", "AAPL", " aapl\n", "MSFT", "eur/usd", "EUR/USD"]

    assert decoded(symbols=symbols).symbols == ("aapl", "MSFT", "eur/usd")


def test_a_symbol_that_cannot_be_read_stays_for_the_plan_to_say_so() -> None:
    symbols = ["AAPL", "?!", "", "USD-EUR", "BTC/BTC"]

    assert decoded(symbols=symbols).symbols == tuple(symbols)


def test_junk_is_kept_as_people_and_databases_can_read_it() -> None:
    junk = decoded(symbols=["AAPL", "\x00\x1bA", "x" * 500_000]).symbols[1:]

    assert junk == ("\N{REPLACEMENT CHARACTER}" * 2 + "A", "x" * 64)


def test_if_no_symbol_can_be_read_each_is_named_where_it_stands() -> None:
    named = wrong_in(symbols=["?!", "?!", "AAPL/", "x" * 33])

    assert list(named) == ["spec.symbols[0]", "spec.symbols[2]", "spec.symbols[3]"]


def test_what_is_wrong_for_all_symbols_is_said_once() -> None:
    named = wrong_in(symbols=["AAPL", "MSFT"], exchange="NOWHERE")

    assert list(named) == ["spec.exchange"]
    assert "'NOWHERE' is not known" in named["spec.exchange"]


def test_ten_thousand_symbols_are_taken_and_one_more_is_not() -> None:
    symbols = [f"S{number}" for number in range(10_000)]

    assert len(decoded(symbols=[*symbols, "S1"]).symbols) == 10_000
    assert wrong_in(symbols=[*symbols, "MORE"]) == {
        "spec.symbols": "names 10001 symbols; one job takes 10000"
    }


@pytest.mark.parametrize("request_", [Create(), Create(spec=job_pb2.JobSpec())])
def test_what_is_required_is_named(request_: job_service_pb2.CreateJobRequest) -> None:
    assert wrong(request_) == {
        "spec.start": "is required",
        "spec.symbols": "names no symbol",
    }


@pytest.mark.parametrize("end", [START, Timestamp(seconds=0)])
def test_a_range_that_ends_before_it_begins_is_refused(end: Timestamp) -> None:
    assert wrong_in(end=end) == {
        "spec.start": "must be before end; the range is [start, end)"
    }


@pytest.mark.parametrize("field", ["start", "end"])
@pytest.mark.parametrize(
    "time",
    [
        Timestamp(seconds=1 << 60),
        Timestamp(seconds=-(1 << 60)),
        Timestamp(nanos=-1),
        Timestamp(nanos=1_000_000_000),
    ],
)
def test_a_time_that_is_none_is_named(field: str, time: Timestamp) -> None:
    assert f"spec.{field}" in wrong_in(**{field: time})


def test_a_job_with_a_schedule_has_no_end() -> None:
    assert list(wrong_in(schedule=NIGHTLY, end=END)) == ["spec.end"]


def test_a_consensus_is_not_for_jobs() -> None:
    policy = source_policy_pb2.SourcePolicy(
        mode=source_policy_pb2.SourcePolicy.MODE_CONSENSUS, providers=["a", "b"]
    )

    assert list(wrong_in(source_policy=policy)) == ["spec.source_policy.mode"]


def test_wrong_fields_of_the_policy_are_named_where_they_stand() -> None:
    policy = source_policy_pb2.SourcePolicy(max_cost_usd=-1, tolerance=0.1)

    assert list(wrong_in(source_policy=policy)) == [
        "spec.source_policy.max_cost_usd",
        "spec.source_policy.tolerance",
    ]


@pytest.mark.parametrize("field", ["asset_class", "interval", "adjustment", "session"])
def test_a_value_that_an_enum_does_not_have_is_named(field: str) -> None:
    assert wrong_in(**{field: 99}) == {
        f"spec.{field}": "99 is not a value of this enum"
    }


def test_every_wrong_field_is_named_at_once() -> None:
    request = Create(
        client_key="k" * 129,
        name="n" * 129,
        spec=job_pb2.JobSpec(interval=99, schedule=job_pb2.Schedule()),
    )

    assert set(wrong(request)) == {
        "client_key",
        "name",
        "spec.symbols",
        "spec.start",
        "spec.interval",
        "spec.schedule",
    }


@pytest.mark.parametrize("field", ["client_key", "name"])
def test_a_text_that_cannot_be_kept_is_refused(field: str) -> None:
    named = wrong(Create(spec=spec(), **{field: "a\x00b"}))

    assert named == {field: "has characters that cannot be printed"}


def test_texts_of_the_greatest_length_are_taken() -> None:
    request = Create(client_key="ключ" * 32, name="n" * 128, spec=spec())

    assert len(submission_of(request).client_key) == 128


@pytest.mark.parametrize(
    ("schedule", "meant"),
    [
        (NIGHTLY, Schedule(cron="30 18 * * mon-fri", zone="UTC")),
        (
            job_pb2.Schedule(cron=" 0 6 * * * ", time_zone=" Europe/London "),
            Schedule(cron="0 6 * * *", zone="Europe/London"),
        ),
        (
            job_pb2.Schedule(after_close=job_pb2.AfterClose(exchange="xnys")),
            Schedule(after_close=AfterClose("XNYS")),
        ),
        (
            job_pb2.Schedule(
                after_close=job_pb2.AfterClose(
                    exchange="XLON", delay=Duration(seconds=90, nanos=500_000_000)
                )
            ),
            Schedule(after_close=AfterClose("XLON", 90.5)),
        ),
    ],
)
def test_a_schedule_is_understood(schedule: job_pb2.Schedule, meant: Schedule) -> None:
    assert decoded(schedule=schedule).schedule == meant


def after(exchange: str = "XNYS", **delay: int) -> job_pb2.Schedule:
    """Ask for a run after each close."""
    return job_pb2.Schedule(
        after_close=job_pb2.AfterClose(exchange=exchange, delay=Duration(**delay))
    )


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (job_pb2.Schedule(time_zone="UTC"), ""),
        (job_pb2.Schedule(cron=""), ".cron"),
        (job_pb2.Schedule(cron=" "), ".cron"),
        (job_pb2.Schedule(cron="1," * 200), ".cron"),
        (job_pb2.Schedule(cron="0 0 * * *\x00"), ".cron"),
        (job_pb2.Schedule(cron="0 0 * * *", time_zone="z" * 65), ".time_zone"),
        (after(""), ".after_close.exchange"),
        (after("NOWHERE"), ".after_close.exchange"),
        (after(seconds=86_401), ".after_close.delay"),
        (after(seconds=86_400, nanos=1), ".after_close.delay"),
        (after(seconds=-1), ".after_close.delay"),
        (after(seconds=1, nanos=-1), ".after_close.delay"),
        (after(seconds=1, nanos=1_000_000_000), ".after_close.delay"),
    ],
)
def test_a_schedule_that_says_no_time_is_named(
    schedule: job_pb2.Schedule, field: str
) -> None:
    assert list(wrong_in(schedule=schedule)) == [f"spec.schedule{field}"]


def test_a_zone_is_not_for_what_happens_after_a_close() -> None:
    schedule = after()
    schedule.time_zone = "America/New_York"

    assert list(wrong_in(schedule=schedule)) == ["spec.schedule.time_zone"]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("schedule.cron", "spec.schedule.cron"),
        ("symbols", "spec.symbols"),
        ("symbols[3]", "spec.symbols[3]"),
        ("client_key", "client_key"),
        ("spec.start", "spec.start"),
    ],
)
def test_what_is_found_wrong_later_is_named_as_it_was_sent(
    found: str, told: str
) -> None:
    with pytest.raises(InvalidQueryError) as raised, named_as_sent():
        raise InvalidQueryError([Violation(found, "is wrong")])

    assert [one.field for one in raised.value.violations] == [told]


def faults(changed: job_pb2.JobSpec) -> list[str]:
    """Return the fields that are named as wrong, if any is."""
    try:
        submission_of(Create(spec=changed))
    except InvalidQueryError as error:
        return [one.field for one in error.violations]
    return []


@given(st.binary(max_size=200))
def test_whatever_comes_is_understood_or_named(rubbish: bytes) -> None:
    changed = spec()
    # What is no message does not come as far as this.
    with contextlib.suppress(DecodeError):
        changed.MergeFromString(rubbish)

    assert all(one.startswith("spec.") for one in faults(changed))


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_list_of_symbols_is_understood_or_named(symbols: list[str]) -> None:
    named = faults(spec(symbols=symbols))

    assert all(one.startswith("spec.symbols[") for one in named)
