"""
Be Finnhub's stream, without its limits: as fast as it is read, or at a given rate.

Frames are written before anybody asks: ten trades each, over a hundred symbols, as the
vendor writes them. Only the time is put in when a frame is sent. ``/rate/N`` sets how
many trades are sent in a second to each connection (``/rate/most`` = as many as are
read, ``/rate/0`` = none) and answers how many were sent so far, to all of them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import random
import struct
import time
from typing import Final, cast

import uvloop
from typing_extensions import override

SYMBOLS: Final = tuple(f"S{number:02}" for number in range(100))
TRADES_PER_FRAME: Final = 10
MOST: Final = "most"
_FRAMES: Final = 1_000
_FRAMES_AT_ONCE: Final = 20
_BUFFER_BYTES: Final = 1 << 18
_TICK_SECONDS: Final = 0.001
_TIME: Final = b"1234567890123"
"""Stands where the time belongs, and has as many digits."""
_END: Final = b"\r\n\r\n"
_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_SHORT, _MEDIUM = 126, 1 << 16


def framed(kind: int, content: bytes) -> bytes:
    """Return a whole message as a server sends it."""
    head = 0x80 | kind
    if len(content) < _SHORT:
        return bytes((head, len(content))) + content
    return struct.pack(">BBH", head, _SHORT, len(content)) + content


def frames() -> list[tuple[bytes, ...]]:
    """Return frames of trades, cut where the time belongs."""
    draw = random.Random(1)  # noqa: S311 - no secret
    names = itertools.cycle(SYMBOLS)
    return [
        tuple(framed(_TEXT, _written(names, draw)).split(_TIME)) for _ in range(_FRAMES)
    ]


def _written(names: itertools.cycle[str], draw: random.Random) -> bytes:
    trades = [
        {
            "c": draw.choice((["1"], ["1", "12"], ["1", "8", "24"])),
            "p": round(draw.uniform(10, 500), 2),
            "s": next(names),
            "t": int(_TIME),
            "v": draw.randint(1, 500),
        }
        for _ in range(TRADES_PER_FRAME)
    ]
    document = {"data": trades, "type": "trade"}
    return json.dumps(document, separators=(",", ":")).encode()


class _Market:
    """Hold what all connections send."""

    def __init__(self) -> None:
        self.frames = frames()
        self.sent = 0
        self.rate = 0.0
        """Trades per second to each connection."""
        self.changed = asyncio.Event()

    def turn(self, rate: str) -> None:
        """Set the rate."""
        self.rate = float("inf") if rate == MOST else float(rate)
        self.changed.set()
        self.changed = asyncio.Event()

    def rendered(self, numbers: itertools.count[int], count: int) -> bytes:
        """Return the next frames of a connection."""
        self.sent += count * TRADES_PER_FRAME
        now = str(time.time_ns() // 1_000_000).encode()
        return b"".join(
            [
                now.join(self.frames[number % _FRAMES])
                for number in itertools.islice(numbers, count)
            ]
        )


class _Connection(asyncio.Protocol):
    """Be asked for the rate, or be a stream."""

    def __init__(self, market: _Market) -> None:
        self._market = market
        self._heard = b""
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._sending is not None:
            self._sending.cancel()

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    @override
    def data_received(self, data: bytes) -> None:
        self._heard += data
        while self._heard:
            heard = self._frame if self._sending is not None else self._request
            if not heard():
                return

    def _request(self) -> bool:
        head, end, rest = self._heard.partition(_END)
        if not end:
            return False
        self._heard = rest
        first, *lines = head.split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        key = headers.get(b"sec-websocket-key")
        if key is None:
            target = first.split(b" ", 2)[1].decode()
            self._market.turn(target.removeprefix("/rate/"))
            body = str(self._market.sent).encode()
            length = str(len(body)).encode()
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + _END + body
            self._transport.write(answer)
            return True
        # The protocol's own use of it; nothing is kept secret by it.
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT).digest())  # noqa: S324
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + _END
        )
        self._sending = asyncio.ensure_future(self._send())
        return True

    def _frame(self) -> bool:
        """Take a frame of the client's; they are short, and masked."""
        heard = self._heard
        if len(heard) < 2:  # noqa: PLR2004 - kind and length
            return False
        kind, length = heard[0] & 0x0F, heard[1] & 0x7F
        if length >= _SHORT:
            raise ValueError("no client of this stream has so much to say")
        if len(heard) < 6 + length:
            return False
        mask, content = heard[2:6], heard[6 : 6 + length]
        self._heard = heard[6 + length :]
        if kind == _PING:
            told = bytes(a ^ b for a, b in zip(content, mask * 32, strict=False))
            self._transport.write(framed(_PONG, told))
        elif kind == _CLOSE:
            self._transport.close()
        return True

    async def _send(self) -> None:
        numbers = itertools.count()
        began, sent, rate = time.monotonic(), 0, 0.0
        while True:
            market = self._market
            if market.rate != rate:
                began, sent, rate = time.monotonic(), 0, market.rate
            if rate == float("inf"):
                await self._writable.wait()
                self._transport.write(market.rendered(numbers, _FRAMES_AT_ONCE))
                await asyncio.sleep(0)
                continue
            due = int((time.monotonic() - began) * rate) // TRADES_PER_FRAME - sent
            if due > 0:
                sent += due
                self._transport.write(market.rendered(numbers, due))
            if rate:
                await asyncio.sleep(_TICK_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(market.changed.wait(), 1.0)


async def _serve() -> None:
    market = _Market()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(market), "127.0.0.1", 0
    )
    host, port = server.sockets[0].getsockname()
    print(f"READY http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
