"""From start to SERVING to a clean stop, within this process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest

from ingestion_server.app import lifecycle
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings, load_settings
from ingestion_server.client import Client


@pytest.fixture(scope="module", autouse=True)
def _poller() -> None:
    """Keep one poller of grpc.aio; ending, it would leave its sockets unclosed."""

    async def start() -> None:
        grpc.aio.init_grpc_aio()

    asyncio.run(start())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Serve on free ports, with nothing of the user's."""
    overrides = {
        "grpc": {"address": "127.0.0.1:0"},
        "http": {"address": "127.0.0.1:0"},
        "state": {"folder": tmp_path},
    }
    return load_settings(overrides=overrides, environ={})


async def test_it_is_announced_once_and_answers_until_the_block_ends(
    settings: Settings,
) -> None:
    told: list[lifecycle.Addresses] = []

    async with (
        lifecycle.served(settings, Mode(sandbox=True), told.append) as addresses,
        Client(addresses.grpc, timeout_seconds=30) as client,
    ):
        bars = await client.fetch("AAPL", limit=3, providers=["yahoo"])

    assert told == [addresses]
    assert addresses.sandbox.startswith("http://127.0.0.1:")
    assert len(bars) == 3
    for door in (addresses.grpc, addresses.http):
        host, _, port = door.partition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


async def test_the_page_of_metrics_tells_of_the_breakers_of_vendors_that_were_asked(
    settings: Settings,
) -> None:
    async with (
        lifecycle.served(settings, Mode(sandbox=True), lambda _: None) as addresses,
        Client(addresses.grpc, timeout_seconds=30) as client,
        aiohttp.ClientSession() as session,
    ):
        await client.fetch("AAPL", limit=3, providers=["yahoo"])
        async with session.get(f"http://{addresses.http}/metrics") as reply:
            page = await reply.text()

    labels = 'kind="bars:equity",provider="yahoo"'
    assert f"ingestion_breaker_open{{{labels}}} 0.0\n" in page
    assert f'ingestion_breaker_moves_total{{{labels},to="open"}} 0.0\n' in page


async def test_errors_that_nobody_waits_for_are_counted_while_it_serves(
    settings: Settings,
) -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    async with (
        lifecycle.served(settings, Mode(sandbox=True), lambda _: None) as addresses,
        aiohttp.ClientSession() as session,
    ):
        loop.call_exception_handler({"message": "a task failed unheard"})
        async with session.get(f"http://{addresses.http}/metrics") as reply:
            page = await reply.text()

    assert "ingestion_unhandled_task_errors_total 1.0\n" in page
    assert 'ingestion_event_loop_lag_seconds_bucket{le="0.1"}' in page
    assert loop.get_exception_handler() is before


async def test_a_vendor_that_nobody_asks_is_asked_while_it_serves(
    settings: Settings,
) -> None:
    registry = settings.registry.model_copy(update={"probe_seconds": 0.05})
    told = settings.model_copy(update={"registry": registry})
    probed = 'probes_total{kind="bars:equity",outcome="answered",provider="yahoo"} '
    async with (
        asyncio.timeout(30),
        lifecycle.served(told, Mode(sandbox=True), lambda _: None) as addresses,
        Client(addresses.grpc, timeout_seconds=30) as client,
        aiohttp.ClientSession() as session,
    ):
        await client.fetch("AAPL", limit=3, providers=["yahoo"])
        page = ""
        while probed not in page:
            async with session.get(f"http://{addresses.http}/metrics") as reply:
                page = await reply.text()

    assert f"{probed}0.0" not in page


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_and_what_is_done_meanwhile(
    settings: Settings, number: signal.Signals
) -> None:
    ended = asyncio.Event()

    async def then(_: lifecycle.Addresses) -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(30):
        await lifecycle.run(settings, Mode(), lambda _: None, then)

    assert ended.is_set()


async def test_a_failure_meanwhile_ends_it_and_is_told(settings: Settings) -> None:
    async def then(_: lifecycle.Addresses) -> None:
        raise LookupError("not shown")

    with pytest.raises(BaseExceptionGroup) as told:
        await lifecycle.run(settings, Mode(), lambda _: None, then)

    assert told.group_contains(LookupError, match="not shown")


async def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        door = settings.grpc.model_copy(update={"address": address})
        told = settings.model_copy(update={"grpc": door})

        with pytest.raises(OSError, match=f"{address} .grpc.address.: the port is"):
            async with lifecycle.served(told, Mode(), lambda _: None):
                pass
