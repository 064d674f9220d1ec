"""Plans of the sandbox are spelled as it spells them, though settings do not ask it."""

import pytest

from ingestion_server import sandbox
from ingestion_server.app import schema
from ingestion_server.app.settings import FIELDS, SettingsError, load_settings

SIMULATED = "INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN"
REAL = "INGESTION_PROVIDERS__ALPHA_VANTAGE__PLAN"
GOOD = [*sandbox.PLANS, "1per1s", "60per5s", "99999per99999s"]
BAD = [
    *("", "50", "premium", "0per5s", "5per0s", "05per5s", "100000per5s"),
    *("5per100000s", "5per5", "per5s", "5per5s\n", "٣per5s", "free|75"),
]


@pytest.mark.parametrize("plan", GOOD)
def test_what_the_sandbox_takes_is_a_setting(plan: str) -> None:
    settings = load_settings(environ={SIMULATED: plan})

    assert settings.sandbox.alpha_vantage_plan == plan
    assert sandbox.SandboxOptions(**settings.sandbox.model_dump())


def test_a_plan_may_be_the_number_it_is_named_for() -> None:
    settings = load_settings(
        environ={}, overrides={"sandbox": {"alpha_vantage_plan": 75}}
    )

    assert settings.sandbox.alpha_vantage_plan == "75"


@pytest.mark.parametrize("plan", BAD)
def test_what_the_sandbox_refuses_is_no_setting(plan: str) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        sandbox.plan_window(plan)
    with pytest.raises(SettingsError, match="such as 60per5s, both from"):
        load_settings(overrides={"sandbox": {"alpha_vantage_plan": plan}}, environ={})


FINNHUB_GOOD = ["free", "premium", "1per1s", "60per5s"]
FINNHUB_BAD = ["", "75", "900", "0per5s", "5per5", "free|premium"]


@pytest.mark.parametrize("plan", FINNHUB_GOOD)
def test_what_the_sandbox_takes_for_finnhub_is_a_setting(plan: str) -> None:
    settings = load_settings(environ={}, overrides={"sandbox": {"finnhub_plan": plan}})

    assert settings.sandbox.finnhub_plan == plan
    assert sandbox.SandboxOptions(**settings.sandbox.model_dump())


@pytest.mark.parametrize("plan", FINNHUB_BAD)
def test_what_the_sandbox_refuses_for_finnhub_is_no_setting(plan: str) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        sandbox.SandboxOptions(finnhub_plan=plan)
    with pytest.raises(SettingsError, match="one of free, premium, or CALLS"):
        load_settings(overrides={"sandbox": {"finnhub_plan": plan}}, environ={})


def test_the_words_for_it_are_those_of_the_sandbox() -> None:
    field = FIELDS["sandbox.alpha_vantage_plan"]

    assert schema.expectation(field) == sandbox.PLAN_WORDS


def test_the_real_vendor_has_no_chosen_plan() -> None:
    with pytest.raises(SettingsError, match="1200, got '60per5s'"):
        load_settings(environ={REAL: "60per5s"})
