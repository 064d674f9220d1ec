"""A restart forgets nothing that the vendor remembers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.port.house import (
    FREE,
    UNMETERED,
    Build,
    RefusedError,
    budget,
    one_call,
    until,
)

AV = "alpha_vantage"
HOUR = [{"name": "hour", "limit": 100, "seconds": 3600}]
# Where a folder is named, vendors within the process have a ledger as well.
GATEWAY = {
    **UNMETERED,
    **budget("yahoo", windows=HOUR, price_per_unit_usd=0.5, allowance_units=1),
}


async def test_what_was_used_and_spent_is_known_again(
    build: Build, tmp_path: Path
) -> None:
    settings = {**GATEWAY, "STATE__FOLDER": str(tmp_path)}
    async with build(settings=settings) as home:
        for _ in range(3):
            await home.fetch(**one_call("yahoo"))

    async with build(settings=settings) as home:
        hour = await home.window("yahoo", "hour")
        spend = (await home.account("yahoo")).spend
        answer = await home.fetch(**one_call("yahoo"))

    assert (hour.used, hour.reserved, hour.remaining) == (3, 0, 97)
    assert (spend.units, spend.metered_usd) == (3, pytest.approx(1.0))
    # The allowance is not handed out twice.
    assert answer.attempts[0].cost_usd == pytest.approx(0.5)


async def test_a_vendor_that_is_closed_stays_so(build: Build, tmp_path: Path) -> None:
    settings = {**GATEWAY, "STATE__FOLDER": str(tmp_path)}
    async with build(settings=settings) as home:
        await home.fault("yahoo", "status_429", retry_after=600)
        await home.refused(**one_call("yahoo"))

    async with build(settings=settings) as home:
        account = await home.account("yahoo")
        failed = await home.refused(**one_call("yahoo"))

        assert account.HasField("closed_until")
        assert failed.reason == "QUOTA_EXHAUSTED"
        assert failed.retry_seconds == pytest.approx(600, abs=15)
        assert await home.calls("yahoo") == 0


async def test_what_the_vendor_told_of_others_is_known_again(
    build: Build, tmp_path: Path
) -> None:
    windows = [{**HOUR[0], "remaining_header": "X-Remaining"}]
    settings = {
        **UNMETERED,
        **budget("yahoo", windows=windows),
        "STATE__FOLDER": str(tmp_path),
    }
    async with build(settings=settings) as home:
        await home.fault("yahoo", "headers", headers={"X-Remaining": "2"}, times=1)
        await home.fetch(**one_call("yahoo"))

    async with build(settings=settings) as home:
        hour = await home.window("yahoo", "hour")

    assert (hour.used, hour.remaining) == (98, 2)


async def test_a_limit_that_the_vendor_lowered_is_known_again(
    build: Build, tmp_path: Path
) -> None:
    windows = [{**HOUR[0], "limit_header": "X-Limit"}]
    settings = {
        **UNMETERED,
        **budget("yahoo", windows=windows),
        "STATE__FOLDER": str(tmp_path),
    }
    async with build(settings=settings) as home:
        await home.fault("yahoo", "headers", headers={"X-Limit": "2"}, times=1)
        await home.fetch(**one_call("yahoo"))

    async with build(settings=settings) as home:
        hour = await home.window("yahoo", "hour")

    assert (hour.used, hour.limit) == (1, 2)


async def test_another_key_has_a_day_of_its_own(build: Build, tmp_path: Path) -> None:
    settings = {**FREE, "STATE__FOLDER": str(tmp_path)}
    found = []
    for key in ("one-free", "two-free", "one-free"):
        keyed = {**settings, "PROVIDERS__ALPHA_VANTAGE__API_KEY": key}
        async with build(settings=keyed) as home:
            found.append((await home.window(AV, "day")).used)
            await home.fetch(**one_call(AV))

    assert found == [0, 0, 1]


async def test_a_plan_that_is_changed_and_changed_back_gives_no_day_back(
    build: Build, tmp_path: Path
) -> None:
    found = []
    for plan, key in (("free", "a"), ("75", "b"), ("free", "a"), ("75", "a")) * 2:
        settings = {
            "SANDBOX__ALPHA_VANTAGE_PLAN": plan,
            "PROVIDERS__ALPHA_VANTAGE__API_KEY": key,
            "STATE__FOLDER": str(tmp_path),
        }
        async with build(settings=settings) as home:
            await home.fetch(**one_call(AV))
            if plan == "free":
                found.append((await home.window(AV, "day")).used)

    assert found == [1, 2, 3, 4]


async def test_a_day_that_turns_elsewhere_now_is_not_handed_out_again(
    build: Build, tmp_path: Path
) -> None:
    day = {"name": "day", "limit": 100, "kind": "fixed", "period": "day"}
    found = []
    for zone in ("UTC", "America/New_York", "UTC"):
        settings = {
            **UNMETERED,
            **budget("yahoo", windows=[{**day, "reset_zone": zone}]),
            "STATE__FOLDER": str(tmp_path),
        }
        async with build(settings=settings) as home:
            found.append((await home.window("yahoo", "day")).used)
            await home.fetch(**one_call("yahoo"))

    assert found == [0, 1, 2]


async def test_a_refusal_of_one_key_does_not_close_the_next(
    build: Build, tmp_path: Path
) -> None:
    found = []
    for plan, key in (("free", "d"), ("1200", "e"), ("free", "d")):
        settings = {
            "SANDBOX__ALPHA_VANTAGE_PLAN": plan,
            "PROVIDERS__ALPHA_VANTAGE__API_KEY": key,
            "STATE__FOLDER": str(tmp_path),
        }
        async with build(settings=settings) as home:
            if not found:
                await home.fault(AV, "information_daily", times=1)
                await home.refused(**one_call(AV))
            elif key == "e":
                await home.fetch(**one_call(AV))
            found.append((await home.account(AV)).HasField("closed_until"))

    assert found == [True, False, True]


async def test_a_ledger_that_is_deleted_meanwhile_holds_calls_back(
    build: Build, tmp_path: Path
) -> None:
    settings = {
        **UNMETERED,
        **budget("yahoo", windows=[{**HOUR[0], "limit": 1_000_000}]),
        "STATE__FOLDER": str(tmp_path),
    }
    file = tmp_path / "ledger.sqlite3"
    async with build(settings=settings) as home:
        await home.fetch(**one_call("yahoo"))
        await asyncio.to_thread(file.rename, tmp_path / "elsewhere")

        async def held_back() -> bool:
            try:
                await home.fetch(**one_call("yahoo"))
            except RefusedError:
                return True
            return False

        await until(held_back)
        failed = await home.refused(**one_call("yahoo"))
        assert failed.reason == "LEDGER_UNAVAILABLE"
        assert "restart the server" in failed.message
        assert not await asyncio.to_thread(file.exists)
        used = (await home.window("yahoo", "hour")).used
        await asyncio.to_thread((tmp_path / "elsewhere").rename, file)
        await home.recovered(**one_call("yahoo"))

    async with build(settings=settings) as home:
        assert (await home.window("yahoo", "hour")).used == used + 1


async def test_without_a_folder_vendors_within_the_process_end_with_it(
    build: Build,
) -> None:
    for _ in range(2):
        async with build(settings=GATEWAY) as home:
            hour = await home.window("yahoo", "hour")
            await home.fetch(**one_call("yahoo"))

        assert hour.used == 0
