"""A vendor that is no more: what can be set, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from ingestion_server.app import findings, retired
from ingestion_server.app.diagnosis import vendors
from ingestion_server.app.findings import Verdict
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings, SettingsError, load_settings
from ingestion_server.app.vendor_sections import IexCloudPlan
from ingestion_server.app.wiring import joined
from ingestion_server.providers.iex_cloud import declarations as iex_cloud

PREFIX = "INGESTION_PROVIDERS__IEX_CLOUD__"
ON = {"ENABLED": "true"}
ELSEWHERE = ON | {"BASE_URL": "https://iex.example/stable/"}


def loaded(**chosen: str) -> Settings:
    """Load settings of the vendor."""
    return load_settings(environ={PREFIX + name: told for name, told in chosen.items()})


def test_it_is_switched_off_by_default_and_nothing_is_said_against_that() -> None:
    settings = Settings()

    assert not settings.providers.iex_cloud.enabled
    assert retired.refusal(settings) == ""
    assert "iex_cloud" not in settings.providers.order


def test_its_plans_are_those_it_declares() -> None:
    assert set(get_args(IexCloudPlan)) == set(iex_cloud.PLANS)


@pytest.mark.parametrize(
    "chosen", [ON, ON | {"BASE_URL": "https://Cloud.iexapis.com/v1"}]
)
def test_switched_on_without_a_service_it_says_since_when_and_what_to_do(
    chosen: dict[str, str],
) -> None:
    told = retired.refusal(loaded(**chosen))

    assert told == (
        f"providers.iex_cloud.enabled ({PREFIX}ENABLED): the service was closed on "
        "2024-08-31; set providers.iex_cloud.base_url to the address of a compatible "
        "one, or leave it switched off"
    )


def test_with_a_compatible_service_it_can_be_switched_on() -> None:
    settings = loaded(**ELSEWHERE)

    assert settings.providers.iex_cloud.base_url == "https://iex.example/stable"
    assert retired.refusal(settings) == ""


@pytest.mark.parametrize(
    "url",
    [
        "iex.example",
        "ftp://iex.example",
        "https://",
        "https://me:secret@iex.example",
        "https://iex.example/?token=secret",
        "https://iex.example:port",
        "https://[",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_repeated_whole(
    url: str,
) -> None:
    with pytest.raises(SettingsError, match="expected a url without a query") as caught:
        loaded(BASE_URL=url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("messages", ["49", "0", "1000000001", "many"])
def test_a_budget_that_no_day_of_minutes_fits_is_refused(messages: str) -> None:
    with pytest.raises(SettingsError, match="expected an integer from 50"):
        loaded(MESSAGES_PER_MONTH=messages)


async def test_a_server_does_not_start_with_a_vendor_that_is_no_more() -> None:
    with pytest.raises(ValueError, match="closed on 2024-08-31"):
        async with joined(loaded(**ON), Mode()):
            pass


@pytest.mark.parametrize("simulated", [True, False])
def test_the_doctor_says_that_it_is_off_and_since_when(*, simulated: bool) -> None:
    found = {each.name: each for each in findings.keys(Settings(), simulated=simulated)}

    told = found["iex_cloud"]
    assert (told.verdict, told.text) == (
        Verdict.OK,
        "switched off in the settings; closed on 2024-08-31",
    )


def test_the_doctor_finds_what_would_stop_the_start() -> None:
    found = {each.name: each for each in findings.keys(loaded(**ON), simulated=False)}

    assert found["iex_cloud"].verdict is Verdict.FAIL
    assert "base_url" in found["iex_cloud"].advice


def test_the_doctor_asks_the_service_that_stands_in(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk_1")
    settings = loaded(**ELSEWHERE, API_KEY_FILE=str(key))

    (target,) = [each for each in vendors(settings) if each.name == "iex_cloud"]
    found = {each.name: each for each in findings.keys(settings, simulated=False)}

    assert target.url == "https://iex.example/"
    assert found["iex_cloud"].verdict is Verdict.OK
    assert "iex_cloud" not in {each.name for each in vendors(Settings())}
