"""What calls tell of vendors."""

from __future__ import annotations

import msgspec
import pytest

from ingestion_server.domain.instrument import instrument
from ingestion_server.ports.hooks import OK, CallDetails
from ingestion_server.registry.health import HealthView
from ingestion_server.registry.standing import Standings
from tests.clocks import NOW_NS, ManualClock

BARS = "bars:equity"


def ended(
    outcome: str, *, failed: bool = False, kind: str = BARS, provider: str = "acme"
) -> CallDetails:
    """Tell how a call of a second ended."""
    return CallDetails(
        provider, "DAILY", 1.0, outcome, "said so", kind=kind, vendor_failed=failed
    )


@pytest.mark.parametrize("outcome", [OK, "SYMBOL_UNKNOWN", "NO_DATA_UNEXPLAINED"])
def test_who_answers_is_at_work_whatever_it_says(outcome: str) -> None:
    standings = Standings(ManualClock())

    standings(ended(outcome))

    view = standings.view("acme", BARS)
    assert (view.success, view.p50_seconds, view.last_success_ns) == (1.0, 1.0, NOW_NS)


@pytest.mark.parametrize("outcome", ["ALL_PROVIDERS_FAILED", "MALFORMED_PAYLOAD"])
def test_a_failure_is_one_and_its_words_are_kept(outcome: str) -> None:
    standings = Standings(ManualClock())

    standings(ended(outcome, failed=True))

    view = standings.view("acme", BARS)
    assert (view.success, view.last_failure_ns) == (0.0, NOW_NS)
    assert view.last_failure == "said so"


@pytest.mark.parametrize(
    "outcome",
    [
        "QUOTA_EXHAUSTED",
        "CANCELLED",
        "INTERNAL",
        "CREDENTIALS_REFUSED",
        "ENTITLEMENT_MISSING",
        "DEADLINE_EXCEEDED",
        "MALFORMED_PAYLOAD",
    ],
)
def test_what_shows_nothing_is_not_counted_but_was_a_call(outcome: str) -> None:
    standings = Standings(ManualClock())

    standings(ended(outcome))

    assert standings.view("acme", BARS) == HealthView()
    assert standings.asked_seconds_ago("acme", BARS) == 0.0


def test_each_vendor_and_kind_stands_for_itself() -> None:
    standings = Standings(ManualClock())

    standings(ended(OK))
    standings(ended(OK, kind="bars:fx"))

    assert standings.view("acme", BARS).samples == 1.0
    assert standings.view("zenith", BARS).samples == 0.0
    assert standings.kinds("acme") == [BARS, "bars:fx"]
    assert standings.kinds("zenith") == []


async def test_a_probe_counts_as_a_call_before_it_has_ended() -> None:
    clock = ManualClock()
    standings = Standings(clock)
    assert standings.asked_seconds_ago("acme", BARS) is None

    standings.probing("acme", BARS)
    await clock.advance(4.0)

    assert standings.asked_seconds_ago("acme", BARS) == 4.0
    assert standings.view("acme", BARS).samples == 0.0


def test_what_answers_held_is_remembered() -> None:
    standings = Standings(ManualClock())

    standings.gave("acme", BARS, completeness=0.5, soundness=None)

    view = standings.view("acme", BARS)
    assert (view.completeness, view.soundness) == (0.5, None)


def test_who_was_heard_of_longest_ago_makes_room() -> None:
    standings = Standings(ManualClock(), entries=2)

    for provider in ("acme", "zenith", "acme", "omega"):
        standings(ended(OK, provider=provider))

    seen = [standings.view(name, BARS).samples for name in ("acme", "zenith", "omega")]
    assert seen == [pytest.approx(1.89, abs=0.01), 0.0, 1.0]


async def test_a_call_under_way_is_counted_until_it_is_over() -> None:
    clock = ManualClock()
    standings = Standings(clock)
    for _ in range(8):
        standings(ended(OK))

    over = standings.left("acme", BARS)
    await clock.advance(3.5)

    assert standings.asked_seconds_ago("acme", BARS) == 3.5
    assert standings.view("acme", BARS).under_way == 1
    assert standings.view("acme", BARS).success != 1.0

    over()
    assert standings.view("acme", BARS).under_way == 0
    assert standings.view("acme", BARS).success == 1.0


@pytest.mark.parametrize("outcome", ["CANCELLED", "DEADLINE_EXCEEDED"])
def test_a_call_that_was_given_up_too_late_to_be_innocent_is_a_failure(
    outcome: str,
) -> None:
    standings = Standings(ManualClock())

    standings(msgspec.structs.replace(ended(outcome), seconds=2.6))

    assert standings.view("acme", BARS).success == 0.0


def test_a_call_may_end_after_its_vendor_made_room_for_another() -> None:
    standings = Standings(ManualClock(), entries=1)
    over = standings.left("acme", BARS)
    standings.left("zenith", BARS)

    over()

    assert standings.view("acme", BARS) == HealthView()
    assert standings.view("zenith", BARS).under_way == 1


def test_an_example_is_what_a_vendor_gave_last_or_else_what_another_did() -> None:
    standings = Standings(ManualClock())
    assert standings.example("acme", BARS) is None

    standings.served("zenith", BARS, instrument("MSFT"))
    standings.served("acme", BARS, instrument("AAPL"))
    standings.served("acme", BARS, instrument("NVDA"))

    examples = [standings.example(name, BARS) for name in ("acme", "zenith")]
    assert examples == [instrument("NVDA"), instrument("MSFT")]
    assert standings.example("omega", BARS) in examples
    assert standings.example("acme", "bars:fx") is None
