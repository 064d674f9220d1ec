"""What settings say instead of a plan, and how a wrong budget stops the start."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion_server.app import budgets
from ingestion_server.app.budgets import budget_of
from ingestion_server.app.settings import Settings, SettingsError, load_settings
from ingestion_server.app.vendor_sections import WindowSettings
from ingestion_server.ports.budget import (
    Budget,
    Counts,
    Period,
    Scope,
    Window,
    WindowKind,
)
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.yahoo import Yahoo

VARIABLE = "INGESTION_PROVIDERS__YAHOO__BUDGET__"
KEY = "providers.yahoo.budget."
MINUTE = {"name": "minute", "limit": 60, "seconds": 60}
DAY = {"name": "day", "limit": 9, "kind": "fixed", "period": "day"}


def loaded(vendor: str = "yahoo", **budget: object) -> Settings:
    """Load a budget that the command line sets."""
    overrides = {"providers": {vendor: {"budget": budget}}}
    return load_settings(environ={}, overrides=overrides)


def told(vendor: str = "yahoo", **budget: object) -> list[str]:
    """Load a wrong budget, and return what is said about it, without its origin."""
    with pytest.raises(SettingsError) as caught:
        loaded(vendor, **budget)
    return [
        problem.removeprefix(f"providers.{vendor}.budget.").replace(
            " (command line)", ""
        )
        for problem in caught.value.problems
    ]


def window(**parts: object) -> list[str]:
    """Load a wrong window, and return what is said about it."""
    return told(windows=[MINUTE | parts])


@pytest.mark.parametrize(
    "vendor", [AlphaVantage(), Yahoo(), Finnhub()], ids=lambda v: v.name
)
def test_unless_something_is_set_a_budget_is_as_the_plan_declares(
    vendor: AlphaVantage | Yahoo | Finnhub,
) -> None:
    for name, plan in vendor.plans.items():
        assert budget_of(Settings(), vendor, name) is not None
        assert budget_of(Settings(), vendor, name) == plan


def test_windows_that_are_set_replace_all_that_the_plan_has() -> None:
    settings = loaded("alpha_vantage", windows=[MINUTE])

    budget = budget_of(settings, AlphaVantage(), "free")

    assert budget == Budget(
        windows=(Window(name="minute", limit=60, seconds=60.0),), configured=True
    )


def test_a_file_sets_every_part_of_a_budget(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(
        """
        [providers.yahoo.budget]
        weights = { "chart:1d" = 2, "*" = 1 }
        price_per_unit_usd = 0.0005
        allowance_units = 100
        monthly_price_usd = 29
        used_header = "X-Used"

        [[providers.yahoo.budget.windows]]
        name = "day"
        limit = 25
        kind = "fixed"
        period = "day"
        reset_zone = "Europe/Berlin"
        counts = "units"
        scope = "account"
        margin_seconds = 1.5
        limit_header = "X-Limit"
        remaining_header = "X-Remaining"
        reset_header = "X-Reset"
        """
    )

    settings = load_settings(config_file=file, environ={})

    assert budget_of(settings, Yahoo(), "unofficial") == Budget(
        windows=(
            Window(
                name="day",
                limit=25,
                kind=WindowKind.FIXED,
                period=Period.DAY,
                reset_zone="Europe/Berlin",
                counts=Counts.UNITS,
                scope=Scope.ACCOUNT,
                margin_seconds=1.5,
                limit_header="x-limit",
                remaining_header="x-remaining",
                reset_header="x-reset",
            ),
        ),
        weights={"chart:1d": 2, "*": 1},
        price_per_unit_usd=Decimal("0.0005"),
        allowance_units=100,
        monthly_price_usd=Decimal(29),
        used_header="x-used",
        published=False,
        configured=True,
    )


def test_variables_set_tables_in_json() -> None:
    settings = load_settings(
        environ={
            f"{VARIABLE}WINDOWS": json.dumps([MINUTE]),
            f"{VARIABLE}WEIGHTS": '{"chart": 3}',
            f"{VARIABLE}PRICE_PER_UNIT_USD": "0.1",
            f"{VARIABLE}ALLOWANCE_UNITS": "7",
        }
    )

    budget = budget_of(settings, Yahoo(), "unmetered")

    assert [(w.limit, w.seconds) for w in budget.windows] == [(60, 60.0)]
    assert budget.weights == {"chart": 3}
    assert budget.price_per_unit_usd == Decimal("0.1")
    assert budget.allowance_units == 7
    assert settings.origin(f"{KEY}windows") == f"{VARIABLE}WINDOWS"


def test_a_part_that_is_set_leaves_the_others_as_declared() -> None:
    settings = loaded("alpha_vantage", monthly_price_usd="10")

    declared = AlphaVantage().plans["75"]
    budget = budget_of(settings, AlphaVantage(), "75")

    assert budget == msgspec.structs.replace(declared, monthly_price_usd=Decimal(10))


def test_an_empty_list_of_windows_lifts_the_limits() -> None:
    budget = budget_of(loaded(windows=[]), Yahoo(), "unofficial")

    assert budget.windows == ()
    assert budget.configured


@pytest.mark.parametrize(
    ("vendor", "scope"),
    [(AlphaVantage(), Scope.KEY), (Yahoo(), Scope.IP)],
    ids=["with a key", "without"],
)
def test_the_usual_scope_is_the_key_of_vendors_that_have_one(
    vendor: AlphaVantage | Yahoo | Finnhub, scope: Scope
) -> None:
    settings = loaded(vendor.name, windows=[MINUTE])

    (metered,) = budget_of(settings, vendor, vendor.default_plan).windows

    assert metered.scope is scope


def test_tables_of_windows_take_what_a_declared_window_has() -> None:
    fields = [field.name for field in msgspec.structs.fields(Window)]

    assert sorted(WindowSettings.model_fields) == sorted(fields)


def test_what_is_wrong_is_told_with_its_place_and_origin(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(
        '[[providers.yahoo.budget.windows]]\nname = "m"\nlimit = 0\nseconds = 60\n'
    )

    with pytest.raises(SettingsError) as caught:
        load_settings(config_file=file, environ={})

    assert str(caught.value) == (
        f"{KEY}windows[0].limit ({file}): expected an integer ≥ 1, got 0"
    )


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        ("name", 5, "a text, got 5"),
        ("name", "Minute", "a small letter"),
        ("limit", 0, "an integer ≥ 1, got 0"),
        ("limit", -1, "an integer ≥ 1, got -1"),
        ("limit", "60", "an integer ≥ 1, got '60'"),
        ("limit", 1.5, "an integer ≥ 1, got 1.5"),
        ("limit", True, "an integer ≥ 1, got True"),
        ("limit", None, "an integer ≥ 1, got nothing"),
        ("limit", 10_000_001, "an integer ≤ 10000000, got 10000001"),
        ("kind", "leaky", "one of rolling, fixed, bucket, got 'leaky'"),
        ("seconds", 0, "a number > 0, of a rolling window, got 0"),
        ("seconds", -1.5, "a number > 0, of a rolling window, got -1.5"),
        ("seconds", "60", "a number of seconds, got '60'"),
        ("seconds", True, "a number of seconds, got True"),
        ("seconds", float("nan"), "a number > 0"),
        ("seconds", 1e9, "a number ≤ 34560000 (400 days)"),
        ("period", "day", "none: a rolling window has seconds, got 'day'"),
        ("period", "week", "one of minute, hour, day, month, got 'week'"),
        ("reset_zone", "Europe/Berlin", "none: a rolling window turns at no midnight"),
        ("counts", "bytes", "one of calls, units, got 'bytes'"),
        ("scope", "world", "one of key, ip, account, connection, got 'world'"),
        ("scope", "key", "ip or account, for yahoo has no key, got 'key'"),
        ("scope", "connection", "ip or account, for nothing meters connections yet"),
        ("margin_seconds", -1, "a number ≥ 0, got -1"),
        ("margin_seconds", 30, "a number < 30, half the window, got 30"),
        ("limit_header", "X Limit", "the name of a header"),
        ("remaining_header", 3, "a text, got 3"),
        ("reset_header", "x:", "the name of a header"),
    ],
)
def test_a_wrong_part_of_a_window_stops_the_start(
    part: str, value: object, expected: str
) -> None:
    (problem,) = window(**{part: value})

    assert problem.startswith(f"windows[0].{part}: expected {expected}")


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        ("windows", {}, "windows: expected a list of tables, one for each window"),
        ("windows", "minute", "windows: expected a list of tables"),
        ("windows", [3], "windows[0]: expected a table of settings, got 3"),
        (
            "windows",
            [MINUTE, MINUTE | {"seconds": 1}],
            "windows[1].name: expected another name than that of windows[0], got 'min",
        ),
        (
            "windows",
            [MINUTE, MINUTE | {"name": "other"}],
            "windows[1].seconds: expected another than that of 'minute'",
        ),
        (
            "windows",
            [DAY | {"reset_zone": "Mars/Olympus"}],
            "windows[0].reset_zone: expected an IANA zone",
        ),
        (
            "windows",
            [DAY | {"seconds": 86_400}],
            "windows[0].seconds: expected none: a fixed window",
        ),
        (
            "windows",
            [{"name": "day", "limit": 9, "kind": "fixed"}],
            "windows[0].period: expected one of minute, hour, day, month, of a fixed",
        ),
        (
            "windows",
            [MINUTE | {"name": f"w{n}", "seconds": n + 1} for n in range(9)],
            "windows: expected at most 8 windows, got 9",
        ),
        ("windows", [MINUTE | {"limt": 1}], "windows[0].limt: unknown setting; did "),
        ("weights", [], "weights: expected a table of units by endpoint, got []"),
        ("weights", {"chart": 0}, "weights.chart: expected an integer ≥ 1, got 0"),
        ("weights", {"c": 1.5}, "weights.c: expected an integer ≥ 1, got 1.5"),
        ("weights", {"a\nb": 1}, "weights.a\nb: unknown endpoint; expected one of"),
        ("weights", {"*": 10**19}, "weights.*: expected an integer ≤ 1000000, got 1"),
        ("price_per_unit_usd", -1, "price_per_unit_usd: expected a number ≥ 0, got -1"),
        ("price_per_unit_usd", "NaN", "price_per_unit_usd: expected a number ≥ 0"),
        ("price_per_unit_usd", True, "price_per_unit_usd: expected a number ≥ 0"),
        ("price_per_unit_usd", [], "price_per_unit_usd: expected a number ≥ 0"),
        ("allowance_units", -1, "allowance_units: expected an integer from 0 to"),
        ("allowance_units", 1.5, "allowance_units: expected an integer ≥ 0, got 1.5"),
        ("allowance_units", True, "allowance_units: expected an integer ≥ 0, got True"),
        ("allowance_units", 5, "allowance_units: expected 0, where price_per_unit_usd"),
        ("monthly_price_usd", "-0.5", "monthly_price_usd: expected a number ≥ 0, got"),
        ("monthly_price_usd", 2e6, "monthly_price_usd: expected a number ≤ 1000000"),
        ("used_header", "x y", "used_header: expected the name of a header in lower"),
        ("used_header", 3, "used_header: expected the name of a header, got 3"),
    ],
)
def test_a_wrong_part_of_a_budget_stops_the_start(
    part: str, value: object, problem: str
) -> None:
    (only,) = told(**{part: value})

    assert only.startswith(problem)


def test_an_unknown_part_of_a_budget_stops_the_start() -> None:
    (problem,) = told(wieghts={"chart": 1})

    assert problem == f"wieghts: unknown setting; did you mean {KEY}weights?"


@pytest.mark.parametrize(
    ("vendor", "name", "meant"),
    [
        ("yahoo", "charts", "chart"),
        ("yahoo", "Chart", "chart"),
        ("yahoo", "chart:1day", "chart:1d"),
        ("alpha_vantage", "time_series_daily", "TIME_SERIES_DAILY"),
        ("alpha_vantage", "TIME_SERIES_DAILY:ful", "TIME_SERIES_DAILY:full"),
        ("alpha_vantage", "FX_WEEKLY:full", "FX_WEEKLY"),
    ],
)
def test_a_misspelt_endpoint_stops_the_start_and_says_what_is_meant(
    vendor: str, name: str, meant: str
) -> None:
    (problem,) = told(vendor, weights={name: 5, "*": 1})

    assert problem == f"weights.{name}: unknown endpoint; did you mean {meant}?"


def test_an_endpoint_like_no_other_is_told_with_all_there_are_and_its_origin() -> None:
    # That its weight is wrong as well does not matter any more.
    for weight in (5, 0):
        environ = {f"{VARIABLE}WEIGHTS": json.dumps({"nonsuch": weight})}

        with pytest.raises(SettingsError) as caught:
            load_settings(environ=environ)

        assert str(caught.value) == (
            f"{KEY}weights.nonsuch ({VARIABLE}WEIGHTS): unknown endpoint; expected one "
            "of chart, chart:15m, chart:1d, chart:1h, chart:1m, chart:1mo, chart:1wk, "
            "chart:5m, chart:events, quote, session, *"
        )


@pytest.mark.parametrize(
    "vendor", [AlphaVantage(), Yahoo(), Finnhub()], ids=lambda v: v.name
)
def test_every_endpoint_and_the_rest_can_be_given_a_weight(
    vendor: AlphaVantage | Yahoo | Finnhub,
) -> None:
    weights = {**dict.fromkeys(vendor.endpoints, 7), "*": 2}

    budget = budget_of(
        loaded(vendor.name, weights=weights), vendor, vendor.default_plan
    )

    assert {budget.weight(name) for name in vendor.endpoints} == {7}
    for plan in vendor.plans.values():
        assert plan.weights.keys() <= vendor.endpoints | {"*"}


def test_a_key_can_be_metered_where_there_is_one_but_a_connection_nowhere() -> None:
    (problem,) = told("alpha_vantage", windows=[MINUTE | {"scope": "connection"}])

    assert loaded("alpha_vantage", windows=[MINUTE | {"scope": "key"}])
    assert problem.startswith("windows[0].scope: expected key, ip or account, for ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("minute=60", "Expecting value: line 1 column 1"),
        ('[{"name": "a", "name": "b"}]', "a key is written twice"),
        ('[{"limit": NaN}]', "NaN is no number"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_variable_that_is_no_json_is_told(text: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={f"{VARIABLE}WINDOWS": text})

    (problem,) = caught.value.problems
    assert problem.startswith(
        f"{KEY}windows ({VARIABLE}WINDOWS): expected a list of tables, "
        "one for each window, in JSON: "
    )
    assert why in problem


def test_the_budget_is_looked_at_with_the_plan_that_was_chosen() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(
            environ={},
            overrides={
                "providers": {
                    "yahoo": {"plan": "gold", "budget": {"windows": [MINUTE]}}
                }
            },
        )

    (problem,) = caught.value.problems
    assert problem == (
        "providers.yahoo.plan (command line): "
        "expected one of unofficial, unmetered, got 'gold'"
    )


def weighty(**parts: Any) -> Yahoo:
    """Return a vendor whose plan has weights and a price."""
    vendor = Yahoo()
    declared = Budget(
        windows=(Window(name="second", limit=9, seconds=1.0, scope=Scope.IP),),
        weights={"chart": 20},
        price_per_unit_usd=Decimal("0.01"),
        allowance_units=100,
    )
    changed = msgspec.structs.replace(declared, **parts)
    vendor.plans = {vendor.default_plan: changed}
    return vendor


def test_what_upsets_a_part_of_the_plan_is_named_rather_than_that_part() -> None:
    units = MINUTE | {"limit": 5, "counts": "units"}
    settings = loaded(windows=[units], monthly_price_usd=3)

    (problem,) = budgets.problems(settings, (weighty(),))

    assert problem == (
        f"{KEY}windows (command line): does not fit weights.chart of plan "
        "'unofficial': expected an integer ≤ 5, the limit of window 'minute', got 20"
    )


def test_a_price_that_is_taken_away_does_not_fit_an_allowance() -> None:
    settings = loaded(price_per_unit_usd=0)

    (problem,) = budgets.problems(settings, (weighty(),))

    assert problem.startswith(
        f"{KEY}price_per_unit_usd (command line): does not fit allowance_units of plan"
    )


def test_vendors_of_which_nothing_was_set_are_not_looked_at() -> None:
    wrong = weighty(allowance_units=-1)

    assert list(budgets.problems(Settings(), (wrong,))) == []


def test_batch_calls_leave_a_share_of_each_window_free() -> None:
    assert Settings().quota.interactive_share == 0.1
    for share in ("0", "0.9"):
        environ = {"INGESTION_QUOTA__INTERACTIVE_SHARE": share}
        assert load_settings(environ=environ).quota.interactive_share == float(share)


@pytest.mark.parametrize("share", ["-0.1", "0.91", "nan", "some"])
def test_a_share_of_more_than_nearly_all_is_refused(share: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"INGESTION_QUOTA__INTERACTIVE_SHARE": share})

    assert str(caught.value) == (
        "quota.interactive_share (INGESTION_QUOTA__INTERACTIVE_SHARE): "
        f"expected a number from 0 to 0.9, got '{share}'"
    )
