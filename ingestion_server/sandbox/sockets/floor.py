"""All connections of one vendor: who may come in, and who is there."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from aiohttp import web

from ingestion_server.sandbox.sockets.line import Line, State, Surroundings
from ingestion_server.sandbox.sockets.mischief import (
    AT_ONCE,
    STICKING,
    Mischief,
    StreamFault,
)
from ingestion_server.sandbox.sockets.speech import StreamVendor
from ingestion_server.sandbox.sockets.tally import StreamTally
from ingestion_server.sandbox.wire import TEXT, Reply

MOST_CONNECTIONS: Final = 1000
MOST_LOST: Final = 100
"""Half-open connections kept; beyond that the oldest is ended."""

_MOST_MESSAGE_BYTES: Final = 1 << 16
_UNLIMITED: Final = 1 << 62
"""Writing never waits: a client that does not read is cut instead."""


class Floor:
    """Serve the streams of one vendor."""

    def __init__(self, vendor: StreamVendor, now_ns: Callable[[], int]) -> None:
        self._vendor = vendor
        self._around = Surroundings(now_ns, Mischief(), StreamTally())
        self._lines: set[Line] = set()
        self._by_key: dict[str, Line] = {}
        self._lost: deque[Line] = deque()

    async def serve(self, request: web.Request) -> Reply | web.WebSocketResponse:
        """Answer a handshake: refuse it, or return after the connection has ended."""
        query = request.query
        refused = self._refusal(self._vendor.key(query)) or self._vendor.refusal(query)
        if refused is not None:
            return refused
        socket = web.WebSocketResponse(
            timeout=0.0,
            autoclose=False,
            autoping=False,
            compress=False,
            max_msg_size=_MOST_MESSAGE_BYTES,
            writer_limit=_UNLIMITED,
        )
        await socket.prepare(request)
        if request.transport is None:
            return socket
        speech = self._vendor.speech(query)
        line = Line(socket, request.transport, speech, self._around)
        self._around.tally.connections_opened += 1
        self._lines.add(line)
        try:
            await self._welcome(line)
            await line.run()
        finally:
            self._leave(line)
        return socket

    async def strike(self, fault: StreamFault) -> int:
        """Let a fault happen, or last; return how many connections it struck."""
        now = asyncio.get_running_loop().time()
        if fault.name not in AT_ONCE:
            self._around.mischief.add(fault, now)
            return 0
        if fault.name in STICKING and fault.count is not None:
            self._around.mischief.add(fault, now)
        struck = [
            line
            for line in self._lines
            if line.state is State.OPEN and fault.strikes(line.key, line.subscriptions)
        ]
        for line in struck:
            await line.strike(fault)
            self._note(line)
        return len(struck)

    def clear(self) -> None:
        """End all lasting faults; what hangs goes on hanging."""
        self._around.mischief.clear()

    def forget(self) -> None:
        """Clear the counters, and what was sent."""
        self._around.tally = StreamTally()

    def faults(self) -> list[dict[str, object]]:
        """Return the lasting faults."""
        return self._around.mischief.documents(asyncio.get_running_loop().time())

    def document(self) -> dict[str, object]:
        """Return the counts as they are shown."""
        known = [line for line in self._lines if line.counts]
        subscribed = Counter(symbol for line in known for symbol in line.subscriptions)
        return {
            "open_connections": len(known),
            "open_subscriptions": dict(subscribed),
        } | self._around.tally.document()

    def sent(self, symbol: str) -> dict[str, object]:
        """Return the last trades of a symbol that were sent."""
        return self._around.tally.sent(symbol)

    def close(self) -> None:
        """End all connections."""
        for line in self._lines:
            line.cut()

    def _refusal(self, key: str) -> Reply | None:
        now = asyncio.get_running_loop().time()
        fault = self._around.mischief.take("refuse", now, key)
        if fault is not None:
            return Reply(b"Refused\r\n", fault.status, TEXT)
        if len(self._lines) >= MOST_CONNECTIONS:
            return Reply(b"Too many connections\r\n", 503, TEXT)
        return None

    async def _welcome(self, line: Line) -> None:
        if line.key:
            # One connection per key: the new one wins.
            before = self._by_key.pop(line.key, None)
            self._by_key[line.key] = line
            if before is not None:
                await before.close()
        now, mischief = asyncio.get_running_loop().time(), self._around.mischief
        if mischief.take("hang", now, line.key):
            line.hang()
        elif mischief.take("half_open", now, line.key):
            line.lose()
        self._note(line)

    def _note(self, line: Line) -> None:
        if line.state is State.LOST:
            self._lost.append(line)
            if len(self._lost) > MOST_LOST:
                self._lost.popleft().cut()

    def _leave(self, line: Line) -> None:
        self._lines.discard(line)
        if self._by_key.get(line.key) is line:
            del self._by_key[line.key]
        if line in self._lost:
            self._lost.remove(line)
