"""What never left is given back; what may have arrived is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import StatusCode as Code

from ingestion_server.app.mode import Mode
from tests.port.house import (
    FREE,
    TWO_VENDORS,
    UNMETERED,
    Build,
    House,
    RefusedError,
    budget,
    one_call,
    until,
)

AV = "alpha_vantage"
VENDORS = [AV, "yahoo"]
LONG_ENOUGH_SECONDS = 60
"""For a breaker to rest."""
ONCE = {"RETRY__ATTEMPTS": "1"}
LONG = [{"name": "hour", "limit": 100, "seconds": 3600}]


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return an address at which nobody listens, and nobody begins to."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"


@asynccontextmanager
async def alone(
    build: Build, url: str, folder: Path, **more: str
) -> AsyncIterator[House]:
    """Serve with vendors that are not there."""
    settings = {
        "PROVIDERS__ALPHA_VANTAGE__PLAN": "free",
        "STATE__FOLDER": str(folder),
        **budget("yahoo", windows=LONG, price_per_unit_usd=1),
        **more,
    }
    async with build(settings=settings, mode=Mode(sandbox_url=url)) as home:
        yield home


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_refused_connection_uses_nothing_up(
    build: Build, nobody: str, tmp_path: Path, vendor: str
) -> None:
    async with alone(build, nobody, tmp_path) as home:
        failed = await home.refused(**one_call(vendor))

        listed = await home.listed()
        account = await home.account(vendor)

    assert failed.code == Code.UNAVAILABLE
    assert failed.reason == "PINNED_PROVIDER_FAILED"
    assert [(one.used, one.reserved) for one in listed.windows] == [(0, 0)] * 3
    assert account.spend.units == 0
    assert account.spend.total_usd == 0


async def test_what_was_given_back_stays_so_after_a_restart(
    build: Build, nobody: str, tmp_path: Path
) -> None:
    async with alone(build, nobody, tmp_path) as home:
        for vendor in VENDORS:
            await home.refused(**one_call(vendor))

    async with alone(build, nobody, tmp_path) as home:
        listed = await home.listed()

    assert [one.used for one in listed.windows] == [0, 0, 0]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_network_that_swallows_everything_uses_nothing_up(
    build: Build,
    nobody: str,
    tmp_path: Path,
    vendor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialled = asyncio.Event()

    async def hang(*_: object) -> None:
        dialled.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", hang)
    async with alone(build, nobody, tmp_path, TRANSPORT__CALL_SECONDS="0.1") as home:
        timed_out = await home.refused(**one_call(vendor))
        home.clock.advance(LONG_ENOUGH_SECONDS)
        with pytest.raises(RefusedError):
            await home.fetch(**one_call(vendor), timeout=0.05)

        async def nothing_is_used() -> bool:
            windows = (await home.listed()).windows
            return not any(one.used or one.reserved for one in windows)

        await until(nothing_is_used)
        account = await home.account(vendor)

    assert dialled.is_set()
    assert timed_out.code == Code.UNAVAILABLE
    assert (account.spend.units, account.spend.total_usd) == (0, 0)


@pytest.mark.parametrize("patience", [0.2, None])
async def test_who_gives_up_waiting_for_a_connection_uses_nothing_up(
    build: Build, patience: float | None
) -> None:
    settings = {
        **UNMETERED,
        **budget("yahoo", windows=LONG),
        "TRANSPORT__CONNECTIONS_PER_HOST": "1",
    }
    async with build(settings=settings) as home:
        await home.fetch(**one_call("yahoo"))
        await home.fault("yahoo", "latency", seconds=1)
        served = asyncio.create_task(home.fetch(**one_call("yahoo")))
        await home.until_called("yahoo", 2)
        others = [
            asyncio.create_task(home.fetch(**one_call("yahoo"), timeout=patience))
            for _ in range(20)
        ]
        await asyncio.sleep(0.1)
        if patience is None:
            for task in others:
                task.cancel()
        ends = await asyncio.gather(*others, return_exceptions=True)
        await served

        async def only_what_left_is_used() -> bool:
            window = await home.window("yahoo", "hour")
            return (window.used, window.reserved) == (2, 0)

        await until(only_what_left_is_used)
        assert all(isinstance(e, RefusedError | asyncio.CancelledError) for e in ends)
        assert await home.calls("yahoo") == 2


async def test_an_open_breaker_uses_nothing_up(build: Build) -> None:
    settings = {**FREE, **ONCE, "BREAKER__FAILURES": "2"}
    async with build(settings=settings) as home:
        await home.fault(AV, "status_500")
        for _ in range(5):
            home.clock.advance(1.1)
            await home.refused(**one_call(AV))

        assert (await home.window(AV, "day")).used == 2
        assert await home.calls(AV) == 2


@pytest.mark.parametrize("fault", ["status_500", "html", "truncated", "empty"])
async def test_an_answer_that_is_of_no_use_is_used_up_all_the_same(
    build: Build, fault: str
) -> None:
    async with build(settings={**FREE, **ONCE}) as home:
        await home.fault(AV, fault, times=1)
        await home.refused(**one_call(AV))

        assert (await home.window(AV, "day")).used == 1


async def test_each_retry_is_used_up(build: Build) -> None:
    settings = {**UNMETERED, **budget("yahoo", windows=LONG)}
    async with build(settings=settings) as home:
        await home.fault("yahoo", "status_500", times=2)
        answer = await home.fetch(**one_call("yahoo"))

        assert answer.attempts[0].calls == 3
        assert (await home.window("yahoo", "hour")).used == 3
