"""The answer and its truth, or why there is none."""

from __future__ import annotations

import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarState, empty_series
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    IngestionError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.domain.quality import MOST_FLAGS, FlagKind, QualityFlag
from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.result import Attempt, Completeness, Outcome
from ingestion_server.ingest.answer import answer, failure
from ingestion_server.ingest.progress import Progress
from tests.builders import dates, ns
from tests.ingest.making import (
    ACME,
    RECEIVED,
    ZENITH,
    june,
    piece,
    progress,
    silent,
)

ALL = june(3, 4, 5, 6, 7, 10, 11, 12, 13, 14)
RUNNING = ns("2024-06-03 15:00")
UNABLE = CapabilityMissingError("no bars", provider=ZENITH)
BROKEN = ProviderUnavailableError("zenith is down", provider=ZENITH)
NO_QUOTA = QuotaExhaustedError(
    "not now", provider=ZENITH, window="day", retry_after_seconds=60.0
)
REFUSED = CredentialsRefusedError("no key", provider=ZENITH)
UNKNOWN = SymbolUnknownError("who?", provider=ZENITH)


def reason(made: Progress) -> str:
    """Give the reason why there is no answer; empty if there is one."""
    error: IngestionError | None = failure(made)
    return "" if error is None else error.reason


def running(*errors: ProviderError) -> Progress:
    """Make an answer of which nothing is due yet, and nothing came."""
    made = progress("2024-06-03", None, now_ns=RUNNING)
    made.errors.extend(errors)
    return made


def test_a_complete_answer_says_so() -> None:
    made = progress()
    made.collected.add(piece(ACME, ALL))
    made.attempts.append(Attempt(ACME, Outcome.SERVED))

    result = answer(made, now_ns=RECEIVED)

    assert failure(made) is None
    assert result.completeness is Completeness.COMPLETE
    assert len(result.series) == 10
    assert set(result.states.tolist()) == {BarState.FINAL}
    assert (result.currency, result.zone) == ("USD", "America/New_York")
    assert result.missing == []
    assert result.flags == []
    assert [attempt.provider for attempt in result.attempts] == [ACME]


def test_a_partial_answer_names_what_is_missing_and_signs_what_is_there() -> None:
    made = progress()
    made.collected.add(piece(ACME, june(3, 4, 5)))
    made.collected.add(piece(ZENITH, june(10, 11)))

    result = answer(made, now_ns=RECEIVED)

    assert failure(made) is None
    assert result.completeness is Completeness.PARTIAL
    assert [dates([m.start_ns, m.end_ns]) for m in result.missing] == [
        ["2024-06-06", "2024-06-08"],
        ["2024-06-12", "2024-06-15"],
    ]
    assert [(s.provider, *dates([s.start_ns, s.end_ns])) for s in result.sources] == [
        (ACME, "2024-06-03", "2024-06-06"),
        (ZENITH, "2024-06-10", "2024-06-12"),
    ]


def test_the_current_bar_is_not_final() -> None:
    made = progress("2024-06-03", None, now_ns=RUNNING)
    made.collected.add(piece(ACME, june(3), received_at_ns=RUNNING))

    result = answer(made, now_ns=RECEIVED)

    assert result.states.tolist() == [BarState.PARTIAL]
    assert result.completeness is Completeness.COMPLETE


def test_a_limit_from_the_start_cuts_the_end() -> None:
    made = progress(limit=3)
    made.collected.add(piece(ACME, ALL))

    result = answer(made, now_ns=RECEIVED)

    assert dates(result.series.open_time_ns) == [
        "2024-06-03",
        "2024-06-04",
        "2024-06-05",
    ]
    assert len(result.states) == 3
    assert dates([result.sources[-1].end_ns]) == ["2024-06-06"]
    assert result.completeness is Completeness.COMPLETE


def test_a_limit_from_the_end_cuts_the_start() -> None:
    made = progress(None, limit=2)
    made.collected.add(piece(ACME, ALL))

    result = answer(made, now_ns=RECEIVED)

    assert dates(result.series.open_time_ns) == ["2024-06-13", "2024-06-14"]
    assert result.completeness is Completeness.COMPLETE


def test_bars_that_were_computed_are_flagged() -> None:
    made = progress()
    made.collected.add(piece(ACME, ALL, derivation="split prices computed"))

    result = answer(made, now_ns=RECEIVED)

    assert result.flags == [
        QualityFlag(FlagKind.DERIVED, "acme: split prices computed")
    ]
    assert result.sources[0].derivation == "split prices computed"


def test_an_unknown_calendar_is_flagged() -> None:
    made = progress(symbol="^NOBODY")
    made.collected.add(piece(ACME, ALL))

    result = answer(made, now_ns=RECEIVED)

    assert [flag.kind for flag in result.flags] == [FlagKind.CALENDAR_UNKNOWN]
    assert result.completeness is Completeness.COMPLETE
    assert result.zone == "UTC"


def test_a_calendar_that_begins_within_the_range_is_flagged() -> None:
    made = progress("2023-06-01", "2024-01-03")
    made.collected.add(piece(ACME, june(3)))

    result = answer(made, now_ns=RECEIVED)

    (flag,) = result.flags
    assert flag.kind is FlagKind.CALENDAR_UNKNOWN
    assert flag.time_ns == ns("2024-01-01")


def test_what_matters_most_survives_a_flood_of_flags() -> None:
    flood = [QualityFlag(FlagKind.ROW_EMPTY, "empty", n) for n in range(MOST_FLAGS * 2)]
    made = progress()
    made.collected.add(piece(ACME, ALL, derivation="computed", flags=flood))

    result = answer(made, now_ns=RECEIVED)

    assert len(result.flags) == MOST_FLAGS
    assert result.flags[0].kind is FlagKind.DERIVED


@pytest.mark.parametrize(
    ("symbol", "adjustment"),
    [
        ("AAPL", Adjustment.SPLIT),
        ("^GSPC", Adjustment.RAW),
        ("BTC/USD", Adjustment.RAW),
        ("EUR/USD", Adjustment.RAW),
    ],
)
def test_what_has_no_actions_is_raw(symbol: str, adjustment: Adjustment) -> None:
    made = progress(symbol=symbol)
    made.collected.add(piece(ACME, ALL))

    assert answer(made, now_ns=RECEIVED).adjustment is adjustment


def test_a_range_without_sessions_is_answered_without_asking_anybody() -> None:
    weekend = progress("2024-06-08", "2024-06-10")

    result = answer(weekend, now_ns=RECEIVED)

    assert weekend.scope.surely_empty
    assert len(result.series) == len(result.sources) == 0
    assert result.completeness is Completeness.COMPLETE


def test_where_nothing_is_due_and_nothing_came_the_answer_is_empty() -> None:
    made = running(silent(ACME))

    assert failure(made) is None
    assert answer(made, now_ns=RECEIVED).completeness is Completeness.COMPLETE


def test_one_vendor_that_cannot_serve_does_not_spoil_an_empty_answer() -> None:
    assert failure(running(silent(ACME), UNABLE)) is None


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((), "CAPABILITY_MISSING"),
        ((UNABLE,), "CAPABILITY_MISSING"),
        ((REFUSED,), "CREDENTIALS_REFUSED"),
        ((NO_QUOTA,), "QUOTA_EXHAUSTED"),
        ((silent(ACME), BROKEN), "ALL_PROVIDERS_FAILED"),
        ((silent(ACME), UNKNOWN), "SYMBOL_UNKNOWN"),
    ],
)
def test_where_nothing_is_due_a_failure_is_still_one(
    errors: tuple[ProviderError, ...], expected: str
) -> None:
    assert reason(running(*errors)) == expected


def test_before_the_first_trade_the_answer_is_empty() -> None:
    made = progress()
    made.collected.add(piece(ACME, empty_series(), first_trade="2024-06-20"))
    made.errors.append(silent(ACME))

    assert failure(made) is None
    assert answer(made, now_ns=RECEIVED).missing == []


@pytest.mark.parametrize(
    ("errors", "mode", "expected"),
    [
        ((silent(ACME),), SourceMode.ANY, "NO_DATA_UNEXPLAINED"),
        ((silent(ACME), BROKEN), SourceMode.ANY, "ALL_PROVIDERS_FAILED"),
        ((BROKEN,), SourceMode.PINNED, "PINNED_PROVIDER_FAILED"),
        ((UNKNOWN,), SourceMode.PINNED, "SYMBOL_UNKNOWN"),
        ((UNABLE,), SourceMode.ANY, "CAPABILITY_MISSING"),
        ((), SourceMode.ANY, "CAPABILITY_MISSING"),
    ],
)
def test_where_bars_are_due_and_nothing_came_the_verdict_is_told(
    errors: tuple[ProviderError, ...], mode: SourceMode, expected: str
) -> None:
    made = progress(mode=mode)
    made.errors.extend(errors)

    assert reason(made) == expected


def test_an_attempt_without_bars_or_error_is_no_data_unexplained() -> None:
    made = progress()
    made.attempts.append(Attempt(ACME, Outcome.NO_DATA))

    assert reason(made) == "NO_DATA_UNEXPLAINED"


def test_a_partial_answer_that_is_not_wanted_is_none() -> None:
    made = progress(allow_partial=False)
    made.collected.add(piece(ACME, june(3, 4)))
    made.attempts.append(Attempt(ACME, Outcome.SERVED))
    made.errors.append(UNABLE)

    error = failure(made)

    assert error is not None
    assert error.reason == "NO_DATA_UNEXPLAINED"
    assert error.message.startswith("8 of 10 bars are still missing")


def test_a_complete_answer_is_one_where_a_partial_one_is_not_wanted() -> None:
    made = progress(allow_partial=False)
    made.collected.add(piece(ACME, ALL))
    made.errors.append(BROKEN)

    assert failure(made) is None
