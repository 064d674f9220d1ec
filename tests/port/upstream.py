"""A vendor's stream that says what a test wants it to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import WSMsgType, web


class Upstream:
    """Be every vendor's stream; what is asked for otherwise is not found."""

    def __init__(self) -> None:
        self.url = ""
        self.connections_opened = 0
        self.heard: list[str] = []
        self._open: list[web.WebSocketResponse] = []
        self._news = asyncio.Event()

    async def say(self, text: str) -> None:
        """Say something on all connections."""
        for socket in self._open:
            await socket.send_str(text)

    async def tell(self, *rows: dict[str, Any]) -> None:
        """Tell trades in one message, as Finnhub does."""
        await self.say(msgspec.json.encode({"data": rows, "type": "trade"}).decode())

    async def cut(self) -> None:
        """End all connections."""
        for socket in self._open:
            await socket.close()

    async def until_heard(self, part: str) -> None:
        """Wait for a message that contains something."""
        async with asyncio.timeout(10):
            while not any(part in text for text in self.heard):
                self._news.clear()
                await self._news.wait()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer whatever comes."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections_opened += 1
        self._open.append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.heard.append(message.data)
                    self._news.set()
        finally:
            self._open.remove(socket)
        return socket


def row(
    time_ms: int, price: float, size: float = 1, symbol: str = "AAPL", **more: Any
) -> dict[str, Any]:
    """Return a trade as Finnhub spells it."""
    return {"s": symbol, "t": time_ms, "p": price, "v": size, "c": ["1"], **more}


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serve while the block lasts."""
    vendor = Upstream()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", vendor.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        vendor.url = f"http://{host}:{port}"
        yield vendor
    finally:
        await vendor.cut()
        await runner.cleanup()
