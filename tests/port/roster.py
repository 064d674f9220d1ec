"""What tests of the vendors ask of a house, and how they watch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import grpc.aio
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import provider_pb2, provider_service_pb2

from tests.port.house import (
    UNMETERED,
    House,
    RefusedError,
    anew,
    pinned,
    until,
)

AV: Final = "alpha_vantage"
YAHOO: Final = "yahoo"
KIND: Final = "bars:equity"
MAY: Final = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
RAW: Final = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_RAW", **MAY}
"""What one call of Alpha Vantage answers."""
SPLIT: Final = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_SPLIT", **MAY}
"""What one call of Yahoo answers."""
QUICK: Final = {**UNMETERED, "RETRY__ATTEMPTS": "1"}
FAILURES: Final = 5
"""So many in a row open a breaker."""
_PATIENCE_SECONDS: Final = 10
_SOON: Final = Duration(nanos=50_000_000)
_Answer = TypeVar("_Answer")


async def answered(call: Awaitable[_Answer]) -> _Answer:
    """Return the answer of a call. Raises ``RefusedError``."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise RefusedError(error) from error


async def refusal(call: Awaitable[Any]) -> RefusedError:
    """Return how a call failed that must fail."""
    try:
        answer = await call
    except RefusedError as error:
        return error
    raise AssertionError(f"this was answered: {answer}")


async def vendors(home: House) -> Mapping[str, provider_pb2.Provider]:
    """Return what ListProviders tells, in its order."""
    request = provider_service_pb2.ListProvidersRequest()
    listed = await answered(
        home.providers.ListProviders(request, timeout=_PATIENCE_SECONDS)
    )
    return {one.name: one for one in listed.providers}


async def vendor(home: House, name: str) -> provider_pb2.Provider:
    """Return what GetProvider tells."""
    request = provider_service_pb2.GetProviderRequest(name=name)
    got = await answered(home.providers.GetProvider(request, timeout=_PATIENCE_SECONDS))
    return got.provider


async def health(
    home: House, name: str, kind: str = KIND
) -> provider_pb2.ProviderHealth:
    """Return how a vendor does with a kind of data."""
    found = {one.kind: one for one in (await vendor(home, name)).health}
    return found[kind]


async def breaker(home: House, name: str) -> provider_pb2.Breaker:
    """Return the breaker of a vendor for equities."""
    return (await health(home, name)).breaker


async def changed(home: House, name: str, **fields: Any) -> provider_pb2.Provider:
    """Change a vendor."""
    request = provider_service_pb2.UpdateProviderRequest(name=name, **fields)
    update = await answered(
        home.providers.UpdateProvider(request, timeout=_PATIENCE_SECONDS)
    )
    return update.provider


async def route(home: House, **request: Any) -> list[provider_pb2.RouteCandidate]:
    """Explain the route of a request that is written as in JSON."""
    message = json_format.ParseDict(
        {"request": request}, provider_service_pb2.ExplainRouteRequest()
    )
    told = await answered(
        home.providers.ExplainRoute(message, timeout=_PATIENCE_SECONDS)
    )
    return list(told.candidates)


async def broken(home: House, name: str) -> None:
    """Let a vendor fail until it rests, and go on failing."""
    await home.fault(name, "status_500")
    for _ in range(FAILURES):
        await home.refused(**anew(RAW), source_policy=pinned(name))


class Watch:
    """Hear what WatchProviders tells, and remember it."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.messages: list[provider_service_pb2.WatchProvidersResponse] = []
        self._reader = asyncio.create_task(self._read())

    @property
    def events(self) -> list[provider_pb2.ProviderEvent]:
        return [event for message in self.messages for event in message.events]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Return each event's vendor and kind."""
        kinds = provider_pb2.ProviderEvent.Kind
        return [
            (event.provider, kinds.Name(event.kind).removeprefix("KIND_"))
            for event in self.events
        ]

    async def begun(self) -> provider_service_pb2.WatchProvidersResponse:
        """Return the first message."""

        async def told() -> bool:
            return bool(self.messages)

        await until(told)
        return self.messages[0]

    async def heard(self, count: int) -> None:
        """Wait until there are so many events."""

        async def told() -> bool:
            return len(self.events) >= count

        await until(told)

    async def end(self) -> None:
        """Give up."""
        self.call.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        async for message in self.call:
            self.messages.append(message)


@asynccontextmanager
async def watching(home: House, *names: str) -> AsyncIterator[Watch]:
    """Watch while the block lasts."""
    request = provider_service_pb2.WatchProvidersRequest(
        providers=names, min_interval=_SOON
    )
    watch = Watch(home.providers.WatchProviders(request, timeout=30))
    try:
        await watch.begun()
        yield watch
    finally:
        await watch.end()
