"""What calls tell of vendors."""

from __future__ import annotations

import pytest

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
