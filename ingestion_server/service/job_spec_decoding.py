"""What a job is to bring, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import job_pb2

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Interval
from ingestion_server.domain.jobs import AfterClose, JobSpec, Schedule
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.venues import VENUES
from ingestion_server.service.decoding import moment, policy_of, word
from ingestion_server.service.vocabulary import (
    ADJUSTMENTS,
    ASSET_CLASSES,
    HOURS,
    INTERVALS,
)

MOST_JOB_SYMBOLS: Final = 10_000
_LONGEST_SPELLING: Final = 64
"""How much is kept of a symbol that cannot be read; none that can be is so long."""
_LONGEST_CRON: Final = 256
_LONGEST_ZONE: Final = 64
_LONGEST_EXCHANGE: Final = 12
"""More of a wrong one is not repeated in the error."""
_MOST_DELAY_SECONDS: Final = 86_400
_MOST_NS: Final = 200 * 365 * DAY_NS
"""No market data are farther from 1970; what is kept of a job has room for these."""


def spec_of(spec: job_pb2.JobSpec, wrong: list[Violation]) -> JobSpec:
    """
    Return what a job is to bring; wrong fields are named as they stand in the spec.

    A symbol that cannot be read stays, for the plan to say so, unless none can be.
    """
    start_ns, end_ns = _span(spec, wrong)
    schedule = _schedule(spec.schedule, wrong) if spec.HasField("schedule") else None
    if schedule is not None and spec.HasField("end"):
        told = "is not for jobs with a schedule: each run goes up to what is final"
        wrong.append(Violation("end", told))
    return JobSpec(
        symbols=_symbols(spec, wrong),
        start_ns=start_ns,
        end_ns=end_ns,
        interval=word(INTERVALS, spec.interval, "interval", wrong) or Interval.DAY_1,
        asset_class=ASSET_CLASSES.get(spec.asset_class),
        exchange=spec.exchange.strip().upper(),
        adjustment=(
            word(ADJUSTMENTS, spec.adjustment, "adjustment", wrong) or Adjustment.SPLIT
        ),
        hours=word(HOURS, spec.session, "session", wrong) or TradingHours.REGULAR,
        policy=_policy(spec, wrong),
        schedule=schedule,
    )


def _symbols(spec: job_pb2.JobSpec, wrong: list[Violation]) -> tuple[str, ...]:
    kind = word(ASSET_CLASSES, spec.asset_class, "asset_class", wrong)
    spelled: dict[str, int] = {}
    for place, symbol in enumerate(spec.symbols):
        spelled.setdefault(symbol, place)
    if not spelled:
        wrong.append(Violation("symbols", "names no symbol"))
    if len(spelled) > MOST_JOB_SYMBOLS:
        told = f"names {len(spelled)} symbols; one job takes {MOST_JOB_SYMBOLS}"
        wrong.append(Violation("symbols", told))
        return ()
    once: dict[Instrument | str, str] = {}
    faults: dict[int, InvalidQueryError] = {}
    for symbol, place in spelled.items():
        try:
            found = instrument(symbol, asset_class=kind, exchange=spec.exchange)
        except InvalidQueryError as error:
            faults[place] = error
            junk = _shown(symbol)
            once.setdefault(junk, junk)
        else:
            # "aapl" and "AAPL" are one; the blanks around a symbol are none of it.
            once.setdefault(found, symbol.strip())
    if len(faults) == len(spelled):
        wrong.extend(_told(faults))
    return tuple(once.values())


def _shown(junk: str) -> str:
    """Return of what is no symbol what people can read, and a database can keep."""
    cut = junk[:_LONGEST_SPELLING]
    return "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut
    )


def _told(faults: Mapping[int, InvalidQueryError]) -> Sequence[Violation]:
    """Return what is wrong with each symbol, and once what is wrong for all."""
    told: dict[Violation, None] = {}
    for place, error in faults.items():
        for fault in error.violations:
            field = f"symbols[{place}]" if fault.field == "symbol" else fault.field
            told[Violation(field, fault.description)] = None
    return list(told)


def _span(spec: job_pb2.JobSpec, wrong: list[Violation]) -> tuple[int, int | None]:
    if not spec.HasField("start"):
        wrong.append(Violation("start", "is required"))
    start_ns = moment(spec.start, "start", wrong)
    end_ns = moment(spec.end, "end", wrong) if spec.HasField("end") else None
    for field, value in (("start", start_ns), ("end", end_ns)):
        if value is not None and not -_MOST_NS < value < _MOST_NS:
            wrong.append(Violation(field, "is farther from now than any market data"))
    if (
        spec.HasField("start")
        and start_ns is not None
        and end_ns is not None
        and start_ns >= end_ns
    ):
        told = "must be before end; the range is [start, end)"
        wrong.append(Violation("start", told))
    return start_ns or 0, end_ns


def _policy(spec: job_pb2.JobSpec, wrong: list[Violation]) -> SourcePolicy:
    policy = policy_of(spec.source_policy, wrong)
    if policy.mode is SourceMode.CONSENSUS:
        told = "MODE_CONSENSUS is not for jobs: what lands has one vendor for each bar"
        wrong.append(Violation("source_policy.mode", told))
    return policy


def _schedule(schedule: job_pb2.Schedule, wrong: list[Violation]) -> Schedule:
    zone = schedule.time_zone.strip()
    match schedule.WhichOneof("when"):
        case "cron":
            check_text(schedule.cron, "schedule.cron", _LONGEST_CRON, wrong)
            if not schedule.cron.strip():
                told = 'is empty; expected five fields, such as "30 18 * * mon-fri"'
                wrong.append(Violation("schedule.cron", told))
            check_text(zone, "schedule.time_zone", _LONGEST_ZONE, wrong)
            return Schedule(cron=schedule.cron.strip(), zone=zone or "UTC")
        case "after_close":
            if zone:
                told = "is not for after_close: an exchange has a zone of its own"
                wrong.append(Violation("schedule.time_zone", told))
            return Schedule(after_close=_after_close(schedule.after_close, wrong))
        case None:
            told = "says no time: set cron or after_close"
            wrong.append(Violation("schedule", told))
            return Schedule()


def _after_close(after: job_pb2.AfterClose, wrong: list[Violation]) -> AfterClose:
    field = "schedule.after_close.exchange"
    exchange = after.exchange.strip().upper()
    if not exchange:
        wrong.append(Violation(field, "is required, for example XNYS"))
    elif exchange not in VENUES:
        told = (
            f"{exchange[:_LONGEST_EXCHANGE]!r} is not known; expected a market "
            f"identifier code such as {', '.join(sorted(VENUES)[:6])}, …"
        )
        wrong.append(Violation(field, told))
    return AfterClose(exchange, _delay(after.delay, wrong))


def _delay(delay: Duration, wrong: list[Violation]) -> float:
    seconds = delay.seconds + delay.nanos / SECOND_NS
    if not 0 <= seconds <= _MOST_DELAY_SECONDS or not 0 <= delay.nanos < SECOND_NS:
        wrong.append(
            Violation("schedule.after_close.delay", "is not from 0 to 24 hours")
        )
    return seconds


def check_text(text: str, field: str, longest: int, wrong: list[Violation]) -> None:
    """Note what is wrong with a text that is kept: not every database takes all."""
    if len(text) > longest:
        wrong.append(Violation(field, f"is longer than {longest} characters"))
    elif not text.isprintable():
        wrong.append(Violation(field, "has characters that cannot be printed"))
