"""WatchQuotas tells everything once, then what changes, and alerts in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import (
    quota_pb2,
    quota_service_pb2,
    quota_service_pb2_grpc,
)

from ingestion_server.app.lifecycle import served
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import load_settings
from tests.port.house import FREE, Build, House, RefusedError, until

AV = "alpha_vantage"
SOON = Duration(nanos=50_000_000)
# More than the server lets watch at a time, so that places that leak are missed.
ROUNDS, AT_ONCE = 5, 40


class Watch:
    """Hear what WatchQuotas tells, and remember it."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.messages: list[quota_service_pb2.WatchQuotasResponse] = []
        self._reader = asyncio.create_task(self._read())

    @property
    def alerts(self) -> list[quota_pb2.QuotaAlert]:
        return [alert for message in self.messages for alert in message.alerts]

    async def begun(self) -> quota_service_pb2.WatchQuotasResponse:
        """Return the first message."""

        async def told() -> bool:
            return bool(self.messages)

        await until(told)
        return self.messages[0]

    async def alerted(self, count: int) -> None:
        """Wait until there are so many alerts."""

        async def told() -> bool:
            return len(self.alerts) >= count

        await until(told)

    async def end(self) -> None:
        """Give up."""
        self.call.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        async for message in self.call:
            self.messages.append(message)


@asynccontextmanager
async def watching(home: House, *vendors: str) -> AsyncIterator[Watch]:
    """Watch while the block lasts."""
    request = quota_service_pb2.WatchQuotasRequest(providers=vendors, min_interval=SOON)
    watch = Watch(home.quotas.WatchQuotas(request, timeout=30))
    try:
        await watch.begun()
        yield watch
    finally:
        await watch.end()


async def test_the_first_message_tells_everything(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, 2)
        listed = await home.listed()
        async with watching(home) as watch:
            first = await watch.begun()

    def state(windows: Any) -> list[tuple[str, str, int]]:
        return [(one.provider, one.name, one.used) for one in windows]

    assert state(first.windows) == state(listed.windows)
    assert [one.provider for one in first.providers] == [AV, "yahoo", "finnhub"]
    assert not first.alerts


async def test_later_messages_tell_only_what_has_changed(build: Build) -> None:
    async with build(settings=FREE) as home, watching(home) as watch:
        await home.spend(AV, 1)

        async def used() -> bool:
            return any(
                (one.name, one.used) == ("day", 1)
                for message in watch.messages
                for one in message.windows
            )

        await until(used)
        later = [one for message in watch.messages[1:] for one in message.windows]

    assert {one.provider for one in later} == {AV}


async def test_only_the_named_vendors_are_watched(build: Build) -> None:
    async with build(settings=FREE) as home, watching(home, "yahoo") as watch:
        await home.spend(AV, 1)
        await home.spend("yahoo", 1)

        async def told() -> bool:
            return len(watch.messages) > 1

        await until(told)

    assert {one.provider for one in watch.messages[0].windows} == {"yahoo"}
    for message in watch.messages:
        assert {one.provider for one in message.windows} <= {"yahoo"}


async def test_an_unknown_vendor_is_an_invalid_query(home: House) -> None:
    call = home.quotas.WatchQuotas(
        quota_service_pb2.WatchQuotasRequest(providers=["iex"]), timeout=5
    )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()

    assert RefusedError(refused.value).reason == "INVALID_QUERY"


async def test_alerts_come_at_80_and_95_percent_before_the_day_is_full(
    build: Build,
) -> None:
    async with build(settings=FREE) as home, watching(home, AV) as watch:
        await home.spend(AV, 19)
        before = list(watch.alerts)
        await home.spend(AV, 1)
        await watch.alerted(1)
        await home.spend(AV, 3)
        between = len(watch.alerts)
        await home.spend(AV, 1)
        await watch.alerted(2)
        day = await home.window(AV, "day")
        await home.spend(AV, 1)

    assert before == []
    assert between == 1
    assert day.remaining == 1
    assert [(one.kind, one.used, one.limit) for one in watch.alerts] == [
        (quota_pb2.QUOTA_ALERT_KIND_USED_80_PERCENT, 20, 25),
        (quota_pb2.QUOTA_ALERT_KIND_USED_95_PERCENT, 24, 25),
    ]
    for alert in watch.alerts:
        assert (alert.provider, alert.window) == (AV, "day")
    assert [alert.number for alert in watch.alerts] == [1, 2]


async def test_who_comes_late_hears_of_earlier_alerts(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, 21)

        async with watching(home) as watch:
            first = await watch.begun()

    assert [alert.used for alert in first.alerts] == [20]


async def test_the_next_day_has_alerts_of_its_own(build: Build) -> None:
    async with build(settings=FREE) as home, watching(home) as watch:
        await home.spend(AV, 20)
        home.clock.advance(86_400)
        await home.spend(AV, 20)
        await watch.alerted(2)

    assert [alert.used for alert in watch.alerts] == [20, 20]


async def test_cancelling_is_free(home: House) -> None:
    request = quota_service_pb2.WatchQuotasRequest(min_interval=SOON)

    async def look() -> None:
        call = home.quotas.WatchQuotas(request, timeout=20)
        await call.read()
        call.cancel()

    async def looked() -> bool:
        # A place is free once the server has heard that its holder left.
        results = await asyncio.gather(
            *(look() for _ in range(AT_ONCE)), return_exceptions=True
        )
        refused = [one for one in results if isinstance(one, grpc.aio.AioRpcError)]
        for error in refused:
            assert RefusedError(error).reason == "CALLER_THROTTLED"
        return not refused

    for _ in range(ROUNDS):
        await until(looked)


async def test_it_ends_when_the_server_stops(calendar_cache: Path) -> None:
    settings = load_settings(
        config_file=None,
        overrides={},
        environ={
            "INGESTION_CALENDARS__CACHE_FOLDER": str(calendar_cache),
            "INGESTION_GRPC__ADDRESS": "127.0.0.1:0",
            "INGESTION_HTTP__ADDRESS": "127.0.0.1:0",
        },
    )
    async with served(settings, Mode(sandbox=True), lambda _: None) as addresses:
        channel = grpc.aio.insecure_channel(addresses.grpc)
        stub = quota_service_pb2_grpc.QuotaServiceStub(channel)
        call = stub.WatchQuotas(quota_service_pb2.WatchQuotasRequest(), timeout=30)
        first = await call.read()
        rest = asyncio.create_task(_rest(call))

    error = await rest
    await channel.close()

    assert first.windows
    assert error.code() == Code.UNAVAILABLE
    assert RefusedError(error).reason == "SERVER_STOPPING"


async def _rest(call: Any) -> grpc.aio.AioRpcError:
    """Read to the end, and return how it ended."""
    try:
        while True:
            await call.read()
    except grpc.aio.AioRpcError as error:
        return error
