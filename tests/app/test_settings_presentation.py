"""Settings are shown as they are in effect, with their origins and without keys."""

from pathlib import Path

import pytest

from ingestion_server.app.folders import user_cache_folder, user_state_folder
from ingestion_server.app.presentation import MASK, Shown, effective
from ingestion_server.app.settings import FIELDS, Settings, load_settings

API_KEY = "providers.alpha_vantage.api_key"


def by_key(settings: Settings) -> dict[str, Shown]:
    """Return what is shown, by its key."""
    return {shown.key: shown for shown in effective(settings)}


def test_every_setting_is_shown_once() -> None:
    keys = [shown.key for shown in effective(Settings())]

    assert keys == list(FIELDS)


def test_values_are_shown_with_their_origins() -> None:
    settings = load_settings(
        environ={"INGESTION_PROVIDERS__ORDER": "yahoo,alpha_vantage"},
        overrides={"state": {"folder": Path("/var/lib/x")}},
    )

    shown = by_key(settings)

    assert shown["providers.order"] == Shown(
        "providers.order",
        ["yahoo", "alpha_vantage"],
        "yahoo, alpha_vantage",
        "INGESTION_PROVIDERS__ORDER",
    )
    assert shown["state.folder"].value == "/var/lib/x"
    assert shown["state.folder"].origin == "command line"
    assert shown["grpc.allow_insecure_bind"].text == "false"
    assert shown["actions.cache_seconds"].text == "21600"
    assert shown["actions.cache_seconds"].origin == "default"


def test_what_nobody_has_set_says_what_that_means() -> None:
    shown = by_key(Settings())

    assert shown["providers.alpha_vantage.plan"].value is None
    assert shown["providers.alpha_vantage.plan"].text == "(free)"
    assert shown[API_KEY].value is None
    assert shown[API_KEY].text == "(not set)"


@pytest.mark.parametrize("key", ["k", "a-much-longer-key-than-the-mask"])
def test_a_key_is_masked_whatever_its_length(key: str) -> None:
    shown = by_key(load_settings(environ={"ALPHAVANTAGE_API_KEY": key}))

    assert shown[API_KEY] == Shown(API_KEY, MASK, MASK, "ALPHAVANTAGE_API_KEY")


def test_folders_follow_the_rules_of_xdg() -> None:
    chosen = {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative", "HOME": "/h"}

    assert user_state_folder(chosen) == Path("/s/ingestion-server")
    assert user_cache_folder(chosen) == Path("/h/.cache/ingestion-server")
    assert user_state_folder({}) == Path(".local/state/ingestion-server")
