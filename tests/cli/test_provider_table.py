"""The table of vendors says who is asked, how they do, and what is amiss."""

from __future__ import annotations

import dataclasses
import io
from datetime import timedelta

import pytest
from marketdata.ingestion.v1 import cache_pb2, provider_pb2, provider_service_pb2
from rich.console import Console

from ingestion_server.cli import provider_table
from ingestion_server.cli.frame import Frame
from ingestion_server.client.providers import (
    provider_changes_from,
    provider_from,
    providers_from,
)
from tests.client.telling import FIRST, stamp
from tests.client.vendors import (
    breaker,
    cache,
    event,
    health,
    provider,
    provider_changes,
    providers,
    retired,
)

Stage = provider_pb2.ProviderLifecycle


def shown(*told: provider_pb2.Provider, width: int = 110, **more) -> str:
    """Print vendors on wide paper."""
    file = io.StringIO()
    listed = provider_service_pb2.ListProvidersResponse(
        providers=told, as_of=stamp(FIRST)
    )
    Console(file=file, width=width).print(
        provider_table.drawn(providers_from(listed), Frame(width=width, **more))
    )
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def row(text: str, name: str) -> list[str]:
    """Return the words of the first row that holds a name."""
    return next(line.split() for line in text.splitlines() if name in line)


def test_a_row_tells_all_of_a_vendor() -> None:
    text = shown(provider(priority_configured=True))

    assert row(text, "alpha_vantage") == [
        *["alpha_vantage", "active", "10*", "bars:equity", "████··", "0.75", "90%"],
        *["200", "ms/1.5", "s", "closed"],
    ]
    assert "* set by an operator" in text
    assert "too few calls" not in text
    assert text.startswith("Providers at 2025-01-06 00:00:00 UTC\n")


def test_a_vendor_that_nobody_knows_is_marked() -> None:
    untried = provider_pb2.ProviderHealth(kind="bars:fx", score=0.5)

    text = shown(provider(health=[untried]))

    assert row(text, "bars:fx")[3:] == [
        *["bars:fx", "███···", "0.50?", "-", "-", "unspecified"],
    ]
    assert "? too few calls" in text
    assert "set by an operator" not in text


def test_a_vendor_is_named_once() -> None:
    text = shown(provider(health=[health(), health(kind="bars:fx")]))

    assert row(text, "bars:fx")[0] == "bars:fx"


def test_a_vendor_without_health_has_a_row() -> None:
    assert row(shown(retired()), "iex") == ["iex", "retired", "500"]


def test_80_columns_hold_the_longest_names() -> None:
    text = shown(
        provider(health=[health(breaker=breaker()), health(kind="bars:future")]),
        retired(),
        width=80,
    )

    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].split() == [
        *["provider", "data", "score", "success", "p50/p95", "breaker"],
    ]
    assert [line.split()[0] for line in lines[4:9]] == [
        *["alpha_vantage", "active,", "bars:future", "iex", "retired,"],
    ]


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({}, "active"),
        ({"enabled": False}, "off"),
        ({"unusable_reason": "yahoo needs a key and has none"}, "no key"),
        ({"unusable_reason": "no network"}, "unusable"),
        ({"lifecycle": Stage(stage=Stage.STAGE_DEPRECATED)}, "deprecated"),
        ({"lifecycle": Stage(stage=Stage.STAGE_RETIRED)}, "active"),
        ({"lifecycle": Stage(stage=Stage.STAGE_RETIRED), "enabled": False}, "retired"),
    ],
)
def test_the_state_is_told_in_a_word(facts: dict[str, object], word: str) -> None:
    assert provider_table.state(provider_from(provider(**facts))) == word


@pytest.mark.parametrize(
    ("state", "word"),
    [("STATE_OPEN", "open 29s"), ("STATE_HALF_OPEN", "half open")],
)
def test_a_breaker_tells_how_long_it_stays_open(state: str, word: str) -> None:
    told = breaker()
    told.state = provider_pb2.Breaker.State.Value(state)

    assert word in shown(provider(health=[health(breaker=told)]))


def test_a_breaker_that_does_not_tell_its_time_is_open() -> None:
    told = provider_pb2.Breaker(state=provider_pb2.Breaker.STATE_OPEN)

    assert row(shown(provider(health=[health(breaker=told)])), "bars")[-1] == "open"


def test_times_draw_nearer_while_no_message_comes() -> None:
    text = shown(provider(health=[health(breaker=breaker())]), age_seconds=20)

    assert "open 9s" in text
    assert "failed 1m 50s ago: timed out" in text


def test_what_is_amiss_stands_below_in_a_line() -> None:
    broken = health(breaker=breaker(), last_failure="timed\nout")

    text = shown(provider(health=[broken]))

    about = "alpha_vantage bars:equity"
    assert text.splitlines()[-2:] == [
        f"{about} open until 2025-01-06 00:00:29 UTC: HTTP 503 (5 in a row)",
        f"{about} failed 1m 30s ago: timed out",
    ]


def test_a_failure_that_opened_the_breaker_is_told_once() -> None:
    text = shown(provider(health=[health(breaker=breaker(), last_failure="HTTP 503")]))

    assert text.count("HTTP 503") == 1


def test_a_failure_of_this_moment_is_told_so() -> None:
    failed = health(last_failure_at=stamp(FIRST + timedelta(seconds=1)))

    assert "failed just now: timed out" in shown(provider(health=[failed]))


def test_a_vendor_that_never_failed_has_no_line() -> None:
    well = health()
    well.ClearField("last_failure_at")

    assert "failed" not in shown(provider(health=[well]))


def test_long_failures_are_shortened() -> None:
    text = shown(provider(health=[health(last_failure="x" * 500)]), width=80)

    last = text.splitlines()[-1]
    assert len(last) == 80
    assert last.endswith("x…")


def test_why_a_vendor_cannot_be_asked_stands_below() -> None:
    text = shown(
        provider("tiingo", unusable_reason="tiingo needs a key and has none", health=[])
    )

    assert text.splitlines()[-1] == "tiingo needs a key and has none"


def test_since_when_a_vendor_does_not_serve_stands_below() -> None:
    undated = provider("bats", lifecycle=Stage(stage=Stage.STAGE_DEPRECATED), health=[])

    text = shown(retired(), undated)

    assert text.splitlines()[-2:] == [
        "iex retired since 2024-08-31",
        "bats deprecated",
    ]


def test_no_vendors_are_said_to_be_none() -> None:
    assert shown().splitlines()[2:] == ["there is no vendor"]


def test_what_happened_and_a_server_that_is_gone_are_told_last() -> None:
    text = shown(*providers().providers, age_seconds=60, lines=["a", "b"], note="gone")

    assert text.splitlines()[-3:] == ["a", "b", "gone"]
    assert "Providers at 2025-01-06 00:00:00 UTC" in text


def cached(told: cache_pb2.CacheUse | None, width: int = 110) -> list[str]:
    """Print what stands below the vendors."""
    file = io.StringIO()
    listed = provider_service_pb2.ListProvidersResponse(
        providers=[retired()], as_of=stamp(FIRST), cache=told
    )
    Console(file=file, width=width).print(
        provider_table.drawn(providers_from(listed), Frame(width=width))
    )
    below = file.getvalue().partition("iex retired since")[2].splitlines()
    return [line.rstrip() for line in below[1:]]


def test_what_is_kept_of_answers_stands_below() -> None:
    asked, held = cached(cache())

    assert asked == (
        "Cache hit ratio 75%: 1,500 hits, 200 partial, 300 misses; 5 shared, 7 stale"
    )
    assert held == (
        "Cache 12.3 MiB of 64 MiB in memory: 42 series, 8 evicted; "
        "4 KiB of 256 MiB in the file"
    )


def test_a_cache_without_a_question_has_no_ratio_and_one_without_a_file_says_so() -> (
    None
):
    fresh = cache_pb2.CacheUse(enabled=True, bytes=999, limit_bytes=2**30)

    assert cached(fresh) == [
        "Cache hit ratio -: 0 hits, 0 partial, 0 misses; 0 shared, 0 stale",
        "Cache 999 B of 1 GiB in memory: 0 series, 0 evicted; no file",
    ]


def test_what_keeps_answers_from_the_file_is_told() -> None:
    lines = cached(cache(file_problem="[the disk]\nis full"))

    assert lines[-1] == "Cache cannot be kept in the file: [the disk] is full"


def test_a_cache_that_is_switched_off_is_told_in_a_word() -> None:
    assert cached(cache_pb2.CacheUse()) == ["Cache off"]


def test_a_server_that_tells_of_no_cache_has_no_line() -> None:
    assert cached(None) == []


def test_80_columns_hold_what_is_told_of_a_cache() -> None:
    busy = cache(hits=10**9, misses=10**9, shared=10**9, file_problem="x " * 99)

    assert max(map(len, cached(busy, width=80))) <= 80


def test_an_event_is_told_in_a_line() -> None:
    (told,) = provider_changes_from(provider_changes(events=[event()])).events
    changed = dataclasses.replace(told, kind="UPDATED", data_kind="", detail="")
    newer = dataclasses.replace(changed, kind="99")

    lines = [provider_table.event_line(each) for each in (told, changed, newer)]

    assert lines == [
        "2025-01-06 00:00:00 UTC alpha_vantage bars:equity: left alone; HTTP 503",
        "2025-01-06 00:00:00 UTC alpha_vantage: changed",
        "2025-01-06 00:00:00 UTC alpha_vantage: 99",
    ]


def test_words_of_vendors_are_no_markup() -> None:
    text = shown(provider(health=[health(last_failure="[/oops] [red]not[/]")]))

    assert "[/oops] [red]not[/]" in text
