"""The console is joined with the server: its page, its calls, and its health."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ingestion_server.app import console, lifecycle
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings, load_settings
from tests.certificates import certified
from tests.port.small_disks import mounted

PACKAGE = "marketdata.ingestion.v1"
TOKEN = "open-sesame-open-sesame"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PATIENCE_SECONDS = 30
OURS = "ingestion-server-"


def settings(folder: Path, **more: Mapping[str, object]) -> Settings:
    """Serve on free ports, with nothing of the user's."""
    overrides = {
        "grpc": {"address": "127.0.0.1:0", **more.get("grpc", {})},
        "http": {
            "address": "127.0.0.1:0",
            "operator_token": TOKEN,
            **more.get("http", {}),
        },
        "state": {"folder": folder},
    }
    return load_settings(overrides=overrides, environ={})


class Page:
    """Be a page that was loaded from the server."""

    def __init__(self, addresses: lifecycle.Addresses, web: aiohttp.ClientSession):
        self.addresses = addresses
        self.web = web

    async def call(
        self, method: str, body: Mapping[str, Any], **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Make a call."""
        url = f"http://{self.addresses.http}/{PACKAGE}.{method}"
        async with self.web.post(url, json=body, headers=headers) as reply:
            return reply.status, await reply.json()

    async def got(self, path: str) -> tuple[int, Any]:
        """Get some JSON."""
        async with self.web.get(f"http://{self.addresses.http}{path}") as reply:
            return reply.status, await reply.json()

    async def until_ready_is(self, status: int) -> dict[str, Any]:
        """Wait until the server says so, and return what it says."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found, told = await self.got("/readyz")
                if found == status:
                    return dict(told)
                # There is no event of the other side's.
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def paged(chosen: Settings) -> AsyncIterator[Page]:
    """Serve with simulated vendors, and load the page."""
    async with (
        lifecycle.served(chosen, Mode(sandbox=True), lambda _: None) as addresses,
        aiohttp.ClientSession() as web,
    ):
        yield Page(addresses, web)


async def test_the_page_asks_what_callers_ask_and_its_failures_are_theirs(
    tmp_path: Path,
) -> None:
    async with paged(settings(tmp_path)) as page:
        listed, vendors = await page.call("ProviderService/ListProviders", {})
        fetched, bars = await page.call(
            "IngestionService/Fetch", {"symbol": "AAPL", "limit": 3}
        )
        refused, failure = await page.call(
            "IngestionService/Fetch",
            {"symbol": "NOPE<img src=x>"},
            **{"X-Request-Id": "from-the-page"},
        )
        _, errors = await page.got("/console/errors")

    assert (listed, fetched) == (200, 200)
    assert {one["name"] for one in vendors["providers"]} > {"yahoo", "finnhub"}
    assert len(bars["series"]["bars"]) == 3
    assert (refused, failure["code"]) == (400, "invalid_argument")
    (error,) = errors["failures"]
    assert error["requestId"] == "from-the-page"
    assert error["rpc"] == "IngestionService/Fetch"
    assert error["reason"] == "INVALID_QUERY"


async def test_an_operator_switches_a_vendor_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    body = {"name": "yahoo", "enabled": False}

    async with paged(settings(tmp_path)) as page:
        refused, _ = await page.call("ProviderService/UpdateProvider", body)
        done, told = await page.call(
            "ProviderService/UpdateProvider", body, Authorization=f"Bearer {TOKEN}"
        )

    assert refused == 401
    assert done == 200
    assert "enabled" not in told["provider"]


async def test_health_tells_of_the_process_without_secrets(tmp_path: Path) -> None:
    async with paged(settings(tmp_path)) as page:
        status, told = await page.got("/healthz")

    assert status == 200
    assert told["process"]["grpc"] == page.addresses.grpc
    assert told["process"]["simulated"] is True
    assert told["process"]["operators"] is True
    assert TOKEN not in json.dumps(told)


async def test_without_the_console_only_probes_and_metrics_are_served(
    tmp_path: Path,
) -> None:
    async with paged(settings(tmp_path, http={"console": False})) as page:
        index, _ = await page.got("/")
        call, _ = await page.call("ProviderService/ListProviders", {})
        ready, _ = await page.got("/readyz")

    assert (index, call, ready) == (404, 404, 200)


async def test_the_page_works_whatever_certificate_the_port_has(
    tmp_path: Path,
) -> None:
    certificate, key = certified(tmp_path, "elsewhere.example")
    tls = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}

    async with paged(settings(tmp_path / "state", grpc=tls)) as page:
        host, _, port = page.addresses.grpc.rpartition(":")
        pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
        status, _ = await page.call("ProviderService/ListProviders", {})

    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    assert status == 200


def sockets(folder: Path) -> list[int]:
    """Return the modes of the folders in which sockets are kept."""
    return [one.stat().st_mode & 0o777 for one in folder.glob("ingestion-*")]


async def test_its_socket_is_private_and_goes_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.tempfile, "tempdir", str(tmp_path))

    async with paged(settings(tmp_path / "state")) as page:
        await page.call("ProviderService/ListProviders", {})
        during = sockets(tmp_path)

    assert during == [0o700]
    assert sockets(tmp_path) == []


def test_what_killed_servers_have_left_is_taken_away_and_nothing_else(
    tmp_path: Path,
) -> None:
    gone, served, other, begun = (
        tmp_path / name for name in (f"{OURS}1", f"{OURS}2", "x", f"{OURS}3")
    )
    for folder in (gone, served, other, begun):
        folder.mkdir()
    (tmp_path / f"{OURS}4").symlink_to(other)
    with contextlib.ExitStack() as stack:
        for folder in (gone, served, other):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(folder / "door"))
            if folder is served:
                listening.listen()
        console.sweep(tmp_path)

        assert not gone.exists()
        assert (served / "door").exists()
        assert (other / "door").exists()
        assert begun.exists()


async def test_where_no_socket_can_be_made_callers_are_served_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.tempfile, "tempdir", str(tmp_path / "nothing"))
    state = tmp_path / ("long" * 30)

    async with paged(settings(state)) as page:
        status, told = await page.call("ProviderService/ListProviders", {})
        ready, _ = await page.got("/readyz")

    assert (status, told["code"]) == (503, "unavailable")
    assert "too long for a socket" in told["message"]
    assert ready == 200


async def health_of(
    page: Page, change: Callable[[], Any], *, least: int
) -> list[tuple[int, str]]:
    """Watch gRPC health, and return it with each readiness that changed it."""
    told: list[tuple[int, str]] = []
    async with grpc.aio.insecure_channel(page.addresses.grpc) as channel:
        call = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=f"{PACKAGE}.IngestionService")
        )
        watched = aiter(call)
        async with asyncio.timeout(PATIENCE_SECONDS):
            told.append(((await anext(watched)).status, ""))
            while len(told) < least:
                await change()
                status = (await anext(watched)).status
                ready = await page.until_ready_is(200 if status == SERVING else 503)
                why = "; ".join(one.get("why", "") for one in ready["checks"])
                told.append((status, why.strip("; ")))
        call.cancel()
    return told


async def test_health_falls_while_every_vendor_is_off_and_comes_back(
    tmp_path: Path,
) -> None:
    switched = iter([False, True])

    async with paged(settings(tmp_path)) as page:

        async def switch() -> None:
            enabled = next(switched)
            for name in ("alpha_vantage", "yahoo", "finnhub"):
                status, _ = await page.call(
                    "ProviderService/UpdateProvider",
                    {"name": name, "enabled": enabled},
                    Authorization=f"Bearer {TOKEN}",
                )
                assert status == 200

        told = await health_of(page, switch, least=3)

    assert [status for status, _ in told] == [SERVING, NOT_SERVING, SERVING]
    assert "yahoo: an operator switched it off" in told[1][1]


async def test_health_falls_while_the_ledgers_disk_is_full_and_comes_back(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "disk"
    with mounted(folder, size="16m"):
        fill = folder / "fill"

        async def turn() -> None:
            if fill.exists():
                fill.unlink()
                return
            with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12):
                    with contextlib.suppress(OSError):
                        while True:
                            file.write(bytes(size))

        async with paged(settings(folder)) as page:
            told = await health_of(page, turn, least=3)

    assert [status for status, _ in told] == [SERVING, NOT_SERVING, SERVING]
    assert told[1][1] == f"{folder} cannot be written: No space left on device"
