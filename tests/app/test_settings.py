"""One typed model, loaded from everywhere; what is wrong is told by its name."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from ingestion_server.app.settings import (
    DEFAULT,
    FIELDS,
    Settings,
    SettingsError,
    load_settings,
)
from ingestion_server.app.vendor_sections import AlphaVantagePlan, FinnhubPlan
from ingestion_server.policies.limits import PolicyLimits
from ingestion_server.providers.alpha_vantage import declarations as alpha_vantage
from ingestion_server.providers.finnhub import declarations as finnhub
from ingestion_server.providers.yahoo import declarations as yahoo
from ingestion_server.sandbox.options import PLANS, SandboxOptions


def problems(
    overrides: dict[str, object] | None = None, **environ: str
) -> tuple[str, ...]:
    """Load what is wrong, and return what is said about it."""
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides=overrides, environ=environ)
    return caught.value.problems


def test_without_any_source_the_defaults_hold() -> None:
    settings = load_settings(environ={})

    assert settings.grpc.address == "127.0.0.1:50051"
    assert settings.http.address == "127.0.0.1:8080"
    assert settings.providers.order == ("alpha_vantage", "yahoo", "finnhub")
    assert settings.origin("grpc.address") == DEFAULT


def test_the_defaults_are_those_of_the_policies() -> None:
    settings, limits = Settings(), PolicyLimits()

    assert settings.retry.attempts == limits.retry.attempts
    assert settings.retry.first_seconds == limits.retry.first_seconds
    assert settings.retry.longest_seconds == limits.retry.longest_seconds
    assert settings.breaker.failures == limits.breaker.failures
    assert settings.breaker.rest_seconds == limits.breaker.rest_seconds
    assert settings.breaker.longest_rest_seconds == limits.breaker.longest_rest_seconds
    assert settings.transport.call_seconds == limits.deadline.call_seconds


def test_the_sandbox_section_is_the_options_of_the_sandbox() -> None:
    options = SandboxOptions(**Settings().sandbox.model_dump())

    assert options == SandboxOptions()


def test_the_plans_are_those_the_vendors_declare() -> None:
    assert set(get_args(AlphaVantagePlan)) == set(alpha_vantage.PLANS) == set(PLANS)
    assert set(get_args(FinnhubPlan)) == set(finnhub.PLANS)
    for plan in yahoo.PLANS:
        load_settings(environ={"INGESTION_PROVIDERS__YAHOO__PLAN": plan})


def test_the_environment_itself_is_read_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INGESTION_GRPC__SYMBOLS_AT_ONCE", "3")

    assert load_settings().grpc.symbols_at_once == 3
    assert Settings().grpc.symbols_at_once == 8


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[retry]\nattempts = 1\nfirst_seconds = 1\nlongest_seconds = 1.5\n")

    settings = load_settings(
        config_file=file,
        environ={
            "INGESTION_RETRY__ATTEMPTS": "2",
            "INGESTION_RETRY__FIRST_SECONDS": "2",
        },
        overrides={"retry": {"attempts": 5, "longest_seconds": None}},
    )

    assert settings.retry.attempts == 5
    assert settings.retry.first_seconds == 2.0
    assert settings.retry.longest_seconds == 1.5
    assert settings.origin("retry.attempts") == "command line"
    assert settings.origin("retry.first_seconds") == "INGESTION_RETRY__FIRST_SECONDS"
    assert settings.origin("retry.longest_seconds") == str(file)


def test_a_wrong_value_is_told_with_its_key_its_origin_and_what_was_expected() -> None:
    told = problems(INGESTION_GRPC__MAX_CONCURRENT_CALLS="many")

    assert told == (
        (
            "grpc.max_concurrent_calls (INGESTION_GRPC__MAX_CONCURRENT_CALLS): "
            "expected an integer ≥ 1, got 'many'"
        ),
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("GRPC__ADDRESS", "50051", "HOST:PORT"),
        ("GRPC__ADDRESS", "127.0.0.1:65536", "HOST:PORT"),
        ("GRPC__ADDRESS", "::1:50051", "HOST:PORT"),
        ("GRPC__ALLOW_INSECURE_BIND", "perhaps", "true or false"),
        ("GRPC__DRAIN_SECONDS", "-1", "a number ≥ 0"),
        ("TRANSPORT__CALL_SECONDS", "0", "a number > 0"),
        ("TRANSPORT__CALL_SECONDS", "inf", "a number > 0"),
        ("RETRY__ATTEMPTS", "1.5", "an integer ≥ 1"),
        ("PROVIDERS__ORDER", "yahoo,acme", "vendors (alpha_vantage, yahoo, "),
        ("PROVIDERS__ORDER", "yahoo,yahoo", "each at most once"),
        ("PROVIDERS__ALPHA_VANTAGE__PLAN", "gold", "one of free, 75, 150"),
        ("PROVIDERS__FINNHUB__PLAN", "gold", "one of free, 150, premium, 900"),
        ("SANDBOX__FINNHUB_PLAN", "900", "one of free, premium, or CALLS"),
        ("SANDBOX__TRADES_PER_SECOND", "0", "a number from 0.01 to 1000"),
        ("PROVIDERS__YAHOO__BREAKER__FAILURES", "0", "an integer ≥ 1"),
        ("PROVIDERS__YAHOO__BREAKER__REST_SECONDS", "0", "a number > 0"),
        ("LOG__LEVEL", "loud", "one of debug, info, warning, error"),
        ("SANDBOX__SEED", "x", "an integer"),
    ],
)
def test_every_kind_of_value_says_what_it_expects(
    key: str, value: str, expected: str
) -> None:
    told = problems(**{f"INGESTION_{key}": value})

    assert len(told) == 1
    assert f"(INGESTION_{key}): expected " in told[0]
    assert expected in told[0]


def test_true_is_no_number() -> None:
    told = problems({"retry": {"attempts": True}, "sandbox": {"seed": False}})

    assert told == (
        "retry.attempts (command line): expected an integer ≥ 1, got True",
        "sandbox.seed (command line): expected an integer, got False",
    )


def test_everything_that_is_wrong_is_told_at_once() -> None:
    told = problems(
        {"retry": {"atempts": 2}},
        INGESTION_LOG__FORMAT="xml",
        INGESTION_PORT="1",
    )

    assert [problem.partition(" ")[0] for problem in told] == [
        "INGESTION_PORT:",
        "retry.atempts",
        "log.format",
    ]


def test_a_plan_may_be_written_as_a_number(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("providers.alpha_vantage.plan = 75\n")

    settings = load_settings(config_file=file, environ={})

    assert settings.providers.alpha_vantage.plan == "75"
    assert settings.providers.of("alpha_vantage").plan == "75"


def test_an_order_is_written_with_commas_or_as_a_list() -> None:
    listed = load_settings(environ={}, overrides={"providers": {"order": ["yahoo"]}})
    written = load_settings(environ={"INGESTION_PROVIDERS__ORDER": "yahoo, "})

    assert listed.providers.order == written.providers.order == ("yahoo",)


def test_certificate_and_key_go_together() -> None:
    told = problems(INGESTION_GRPC__TLS_KEY_FILE="key.pem")

    assert told == (
        (
            "grpc (INGESTION_GRPC__TLS_KEY_FILE): "
            "expected both of tls_certificate_file and tls_key_file, or neither"
        ),
    )


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    settings = load_settings(environ={}, overrides={"state": {"folder": "~/state"}})

    assert settings.state.place() == Path("/home/somebody/state")


@pytest.mark.parametrize("key", ["grpc", "http"])
@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "db.example:1"])
def test_an_address_that_others_can_reach_needs_protection(
    key: str, address: str
) -> None:
    told = problems({key: {"address": address}})

    assert len(told) == 1
    assert told[0].startswith(f"{key}.address (command line): expected an address")
    assert "--allow-insecure-bind" in told[0]


@pytest.mark.parametrize("address", ["127.0.0.9:1", "[::1]:1", "localhost:1"])
def test_a_loopback_address_needs_none(address: str) -> None:
    settings = load_settings(environ={}, overrides={"grpc": {"address": address}})

    assert settings.grpc.address == address


def test_tls_protects_the_grpc_door_and_a_promise_both() -> None:
    tls = {"tls_certificate_file": "c", "tls_key_file": "k"}
    wide = {"address": "0.0.0.0:1"}
    promised = wide | {"allow_insecure_bind": True}

    load_settings(environ={}, overrides={"grpc": wide | tls})
    load_settings(environ={}, overrides={"grpc": promised, "http": wide})


def test_nothing_changes_after_the_start() -> None:
    settings = Settings()

    with pytest.raises(ValidationError):
        settings.grpc.address = "127.0.0.1:1"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.grpc = settings.grpc  # type: ignore[misc]


def test_only_alpha_vantage_has_a_key() -> None:
    providers = load_settings(environ={"ALPHAVANTAGE_API_KEY": "k"}).providers

    assert providers.key_of("alpha_vantage") == "k"
    assert providers.key_of("yahoo") == ""
    with pytest.raises(KeyError):
        providers.of("nobody")


def test_every_setting_says_what_it_means() -> None:
    assert len(FIELDS) > 30
    assert all(key.count(".") in (1, 2, 3) for key in FIELDS)
