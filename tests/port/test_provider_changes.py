"""Operators switch vendors off and on, and change who is asked first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode as Code

from tests.port.house import TWO_VENDORS, Build, House, anew, pinned, served_by
from tests.port.roster import (
    AV,
    QUICK,
    RAW,
    SPLIT,
    YAHOO,
    changed,
    refusal,
    vendor,
    vendors,
    watching,
)


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


async def who(home: House) -> str:
    """Fetch, and return who served."""
    return served_by(await home.fetch(**anew(RAW)))[0]


async def test_who_is_switched_off_is_not_asked_and_who_is_pinned_to_it_told(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        told = await changed(home, YAHOO, enabled=False)

        failed = await home.refused(**SPLIT, source_policy=pinned(YAHOO))
        served = served_by(await home.fetch(**SPLIT))

        assert await home.calls(YAHOO) == 0
        assert (await vendor(home, YAHOO)) == told

    assert (told.enabled, told.unusable_reason) == (
        False,
        "an operator switched it off",
    )
    assert failed.reason == "CAPABILITY_MISSING"
    assert "is switched off" in failed.message
    assert served == [AV]


async def test_who_is_first_and_switched_off_leaves_the_other(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await changed(home, AV, enabled=False)

        assert await who(home) == YAHOO
        assert await home.calls(AV) == 0


async def test_who_is_switched_on_again_is_asked_again(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await changed(home, AV, enabled=False)
        told = await changed(home, AV, enabled=True)

        assert (told.enabled, told.unusable_reason) == (True, "")
        assert await who(home) == AV


async def test_with_all_switched_off_nobody_is_asked(build: Build) -> None:
    async with build(settings=QUICK) as home:
        for name in (AV, YAHOO):
            await changed(home, name, enabled=False)

        failed = await home.refused(**RAW)

        assert failed.reason == "CAPABILITY_MISSING"
        assert [await home.calls(name) for name in (AV, YAHOO)] == [0, 0]


async def test_a_priority_swaps_who_is_asked_first(build: Build) -> None:
    async with build(settings=QUICK) as home:
        before = await who(home)
        told = await changed(home, YAHOO, priority=5)

        assert (before, await who(home)) == (AV, YAHOO)
        assert (told.priority, told.priority_configured) == (5, True)
        assert list(await vendors(home)) == [YAHOO, AV, "finnhub", "iex_cloud"]


async def test_changes_survive_a_restart(build: Build, tmp_path: Path) -> None:
    settings = {**QUICK, "STATE__FOLDER": str(tmp_path)}
    async with build(settings=settings) as home:
        await changed(home, YAHOO, priority=5)
        await changed(home, AV, enabled=False)

    async with build(settings=settings) as home, watching(home) as watch:
        listed = await vendors(home)
        served = await who(home)
        first = await watch.begun()

        assert await home.calls(AV) == 0

    assert [(one.name, one.priority) for one in listed.values()] == [
        (YAHOO, 5),
        (AV, 10),
        ("finnhub", 30),
        ("iex_cloud", 40),
    ]
    assert [one.enabled for one in listed.values()] == [True, False, False, False]
    assert served == YAHOO
    # They are no news: nobody changed anything since the start.
    assert not first.events


@pytest.mark.parametrize(
    ("settings", "change", "field"),
    [
        (
            {"PROVIDERS__YAHOO__ENABLED": "false"},
            {"enabled": True},
            "enabled",
        ),
        (
            {"PROVIDERS__ORDER": "alpha_vantage,yahoo"},
            {"priority": 1},
            "priority",
        ),
        ({"PROVIDERS__YAHOO__PRIORITY": "50"}, {"priority": 1}, "priority"),
    ],
    ids=["off", "order", "priority"],
)
async def test_the_settings_are_the_bounds(
    build: Build,
    settings: Mapping[str, str],
    change: Mapping[str, Any],
    field: str,
) -> None:
    async with build(settings={**QUICK, **settings}) as home:
        before = await vendor(home, YAHOO)

        failed = await refusal(changed(home, YAHOO, **change))

        assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
        assert failed.fields == {field}
        assert "the settings" in failed.message
        assert await vendor(home, YAHOO) == before
        assert await who(home) == AV


@pytest.mark.parametrize(
    ("name", "change", "fields"),
    [
        ("iex", {"enabled": True}, {"name"}),
        ("", {"enabled": True}, {"name"}),
        (YAHOO, {}, {"enabled", "priority"}),
        (YAHOO, {"priority": -1}, {"priority"}),
        (YAHOO, {"priority": 1001}, {"priority"}),
        ("iex", {"priority": 1001}, {"name", "priority"}),
    ],
)
async def test_every_wrong_field_is_named(
    home: House, name: str, change: Mapping[str, Any], fields: set[str]
) -> None:
    before = await vendors(home)

    failed = await refusal(changed(home, name, **change))

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == fields
    assert await vendors(home) == before


@pytest.mark.parametrize("priority", [0, 1000])
async def test_the_outermost_priorities_are_allowed(home: House, priority: int) -> None:
    assert (await changed(home, YAHOO, priority=priority)).priority == priority


async def test_what_cannot_be_kept_is_not_changed(build: Build, tmp_path: Path) -> None:
    settings = {**QUICK, "STATE__FOLDER": str(tmp_path)}
    async with build(settings=settings) as home, watching(home) as watch:
        # Tests may run as root, to whom no folder is closed.
        in_the_way = tmp_path / "providers.json.new"
        in_the_way.mkdir()
        before = await vendors(home)

        failed = await refusal(changed(home, AV, enabled=False, priority=100))

        assert failed.reason == "STATE_UNAVAILABLE"
        assert "alpha_vantage was not changed" in failed.message
        assert await vendors(home) == before
        assert await who(home) == AV
        assert watch.events == []

        in_the_way.rmdir()
        assert not (await changed(home, AV, enabled=False)).enabled
        await watch.heard(1)

    async with build(settings=settings) as home:
        kept = await vendor(home, AV)

    assert (kept.enabled, kept.priority) == (False, 10)
