"""Tables say everything, in short."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provenance_pb2,
)
from rich.console import Console

from ingestion_server.cli import render
from ingestion_server.client.bars import decoded
from tests.client.fakes import (
    DAY,
    FIRST,
    answer,
    attempt,
    columns,
    partial_answer,
    source,
    stamp,
)


def shown(
    told: ingestion_service_pb2.FetchResponse, *, width: int = 120, **more: int
) -> str:
    """Print an answer on paper of 120 columns."""
    file = io.StringIO()
    render.show(Console(file=file, width=width), decoded([told]), **more)
    return file.getvalue()


def doubtful() -> ingestion_service_pb2.FetchResponse:
    """Make an answer that is old, and of which two vendors do not agree."""
    told = answer(completeness=provenance_pb2.COMPLETENESS_DEGRADED)
    for kind, day, detail in (
        ("STALE", None, "bars are 20 min old"),
        ("DISAGREEMENT", 0, "close 1 of yahoo, 2 of alpha_vantage"),
        ("DISAGREEMENT", 1, "close 3 of yahoo, 4 of alpha_vantage"),
        ("UNCONFIRMED", 2, "alpha_vantage has no bar"),
    ):
        told.quality_flags.add(
            kind=provenance_pb2.QualityFlagKind.Value(f"QUALITY_FLAG_KIND_{kind}"),
            time=None if day is None else stamp(FIRST + day * DAY),
            detail=detail,
        )
    return told


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (185.92, "185.92"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-7, "0.0000001"),
        (54_321_000.0, "54321000"),
        (float("nan"), ""),
    ],
)
def test_numbers_are_written_in_their_shortest_form(number: float, text: str) -> None:
    assert render.shortest(number) == text


def test_only_the_last_bars_are_shown_and_the_others_counted() -> None:
    text = shown(answer(columns(25)))

    assert "… 5 more before them; --all shows every bar" in text
    assert "124.5" in text
    assert "104.5" not in text.partition("COMPLETE")[0].replace("104.25", "")


def test_every_bar_is_shown_if_there_are_few_enough() -> None:
    assert "more before" not in shown(answer(columns(25)), rows=25)


def test_intraday_bars_are_shown_in_utc() -> None:
    told = answer(columns(2, FIRST + timedelta(hours=14, minutes=30)))
    told.series.interval = bar_pb2.INTERVAL_30_MINUTES

    text = shown(told)

    assert "time (UTC)" in text
    assert "2025-01-06 14:30 " in text


def test_no_bars_are_said_to_be_none() -> None:
    text = shown(answer(columns(0), sources=[], attempts=[]))

    assert text.splitlines() == [
        "AAPL · 1d · split · USD · XNYS: no bars",
        "COMPLETE · 0 bars · request r-1",
    ]


def test_what_is_cached_and_derived_is_told() -> None:
    signed = source()
    signed.ClearField("feed_delay")
    signed.ClearField("received_at")
    signed.from_cache = True
    signed.cache_age.CopyFrom(Duration(seconds=300))
    signed.derived = True
    signed.derivation = "from 30m"
    plain = source("finnhub")
    plain.from_cache = True
    plain.derived = True

    text = shown(answer(sources=[signed, plain]))

    assert " cached 5 min ago; from 30m " in text
    assert " delay 15 min; cached; derived " in text


def test_who_was_overtaken_and_what_was_shared_is_told() -> None:
    slow, fast = attempt(), attempt()
    slow.outcome = provenance_pb2.ATTEMPT_OUTCOME_OVERTAKEN
    slow.shared = True
    fast.provider = "yahoo"
    fast.outcome = provenance_pb2.ATTEMPT_OUTCOME_SERVED
    fast.hedge = True

    text = shown(answer(attempts=[slow, fast]))

    overtaken, served = (
        next(line.rstrip() for line in text.splitlines() if word in line)
        for word in ("OVERTAKEN", "SERVED")
    )
    assert overtaken.endswith("$0.01   with another request's calls")
    assert served.endswith("$0.01   hedge: asked beside a slow one")


def test_an_attempt_may_be_a_hedge_and_shared_at_once() -> None:
    tried = attempt()
    tried.hedge = tried.shared = True

    text = shown(answer(attempts=[tried]), width=200)

    assert "hedge: asked beside a slow one; with another request's calls" in text


def test_bars_that_were_corrected_are_marked_and_counted() -> None:
    text = shown(answer(columns(3, state=[3, 3, 1])))

    assert "COMPLETE · 3 bars · 2 revised · request r-1" in text
    assert text.count(" revised ") == 3


def test_what_casts_doubt_on_bars_is_told_by_kind() -> None:
    text = shown(doubtful())

    for line in (
        "STALE          all          bars are 20 min old",
        "DISAGREEMENT   2025-01-06   close 1 of yahoo, 2 of alpha_vantage",
        "UNCONFIRMED    2025-01-08   alpha_vantage has no bar",
    ):
        assert line in text


def test_doubts_are_told_in_a_line_each_with_how_many_more_there_are() -> None:
    lines = [line.plain for line in render.doubts(decoded([doubtful()]))]

    assert lines == [
        "STALE: bars are 20 min old",
        "DISAGREEMENT 2025-01-06: close 1 of yahoo, 2 of alpha_vantage (and 1 more)",
        "UNCONFIRMED 2025-01-08: alpha_vantage has no bar",
    ]
    assert render.doubts(decoded([partial_answer()])) == []


def test_columns_that_nothing_fills_are_left_out() -> None:
    signed = source()
    signed.ClearField("feed_delay")
    tried = attempt()
    tried.reason = ""
    tried.cost_usd = 0.0

    text = shown(answer(sources=[signed], attempts=[tried]))

    for name in ("notes", "reason", "cost"):
        assert name not in text


def test_eighty_columns_fold_sentences_only() -> None:
    signed = source("alpha_vantage")
    signed.derived = True
    signed.derivation = "split prices computed from raw prices"

    text = shown(answer(sources=[signed]), width=80)

    assert (
        " alpha_vantage   [2025-01-06, 2025-01-09)   2025-01-16 00:00   delay" in text
    )
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_words_of_vendors_are_no_markup() -> None:
    told = partial_answer()
    told.attempts[0].reason = "[red]not[/] markup [/oops]"
    told.missing[0].reason = "[/nor this]"

    text = shown(told)

    assert "[red]not[/] markup [/oops]" in text
    assert "[/nor this]" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0124, "12.4 ms"),
        (4, "4 s"),
        (900, "15 min"),
        (86_400, "24 h"),
        (864_000, "10 d"),
    ],
)
def test_lengths_of_time_have_the_unit_that_suits_them(
    seconds: float, text: str
) -> None:
    told = answer()
    told.attempts[0].latency.FromTimedelta(timedelta(seconds=seconds))

    assert f" {text} " in shown(told)
