"""One connection of a client, and the faults that strike it."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import WSMsgType, web

from ingestion_server.sandbox.sockets.mischief import Mischief, StreamFault
from ingestion_server.sandbox.sockets.speech import (
    Frame,
    Heard,
    Speech,
    Subscription,
    Trade,
)
from ingestion_server.sandbox.sockets.tally import StreamTally

_BEAT_SECONDS: Final = 0.05
_MOST_UNREAD_BYTES: Final = 1 << 20
"""A client that leaves more than this unread is cut."""
_MOST_LATE_FRAMES: Final = 20_000
"""Frames that wait out a lag; one more, and the client is cut."""
_CLOSING_SECONDS: Final = 1.0
"""How long a client may take to agree that the connection is closed."""
_CLOSED: Final = struct.pack("!H", 1000)


class State(Enum):
    """Say how far a connection is of this world."""

    OPEN = "open"
    HUNG = "hung"
    """Nothing is said or answered any more."""
    LOST = "lost"
    """As if the host had gone: nothing is read either."""
    ENDING = "ending"


@dataclass(slots=True)
class Surroundings:
    """Hold what the connections of one vendor share."""

    now_ns: Callable[[], int]
    mischief: Mischief
    tally: StreamTally


class Line:
    """Talk and listen to one client until either has had enough."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        speech: Speech,
        around: Surroundings,
    ) -> None:
        self.state = State.OPEN
        self.subscriptions: dict[str, Subscription] = {}
        self._socket = socket
        self._transport = transport
        self._speech = speech
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.time()
        self._quiet_since_ns = around.now_ns()
        self._late: deque[tuple[float, Frame]] = deque()
        self._held: Frame | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def key(self) -> str:
        """Return the client's key; empty where the vendor has none."""
        return self._speech.key

    @property
    def counts(self) -> bool:
        """Tell whether the vendor knows of the connection."""
        return self.state in (State.OPEN, State.HUNG)

    async def run(self) -> None:
        """Serve the client; return once the connection is at its end."""
        try:
            async with asyncio.TaskGroup() as group:
                talking = group.create_task(self._talk())
                await self._listen()
                talking.cancel()
        finally:
            self.state = State.ENDING
            if self._deadline is not None:
                self._deadline.cancel()

    async def strike(self, fault: StreamFault) -> None:
        """Let a fault happen that strikes once."""
        match fault.name:
            case "disconnect":
                self.cut()
            case "clean_close":
                await self.close()
            case "hang":
                self.hang()
            case "half_open":
                self.lose()
            case "error_frame":
                await self._say(Frame(self._speech.complaint(fault.message)))
            case _:
                for number in range(fault.count or 1):
                    await self._say(Frame(self._speech.rubbish(number)))

    def cut(self) -> None:
        """End the TCP connection without a word."""
        self.state = State.ENDING
        self._transport.abort()

    def hang(self) -> None:
        """Say and answer nothing any more."""
        self.state = State.HUNG

    def lose(self) -> None:
        """Behave as if this host had gone."""
        self.state = State.LOST
        self._transport.pause_reading()

    async def close(self) -> None:
        """End the connection as the protocol wants it."""
        if self.state is not State.OPEN:
            return
        self.state = State.ENDING
        await self._send(_CLOSED, WSMsgType.CLOSE)
        self._deadline = self._loop.call_later(_CLOSING_SECONDS, self._transport.abort)

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    await self._hear(message.data)
                case WSMsgType.BINARY:
                    await self._hear("")
                case WSMsgType.PING:
                    if self.state is State.OPEN:
                        await self._send(message.data, WSMsgType.PONG)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.CLOSE if self.state in (State.HUNG, State.LOST):
                    # Who hangs does not say goodbye either; the client gives up.
                    await self._loop.create_future()
                case _:
                    break
        if self.state is State.OPEN:
            await self._send(_CLOSED, WSMsgType.CLOSE)
        self._transport.close()

    async def _hear(self, text: str) -> None:
        if self.state is not State.OPEN:
            return
        heard = self._speech.heard(text)
        self._unsubscribe(heard)
        refused = self._subscribe(heard)
        if complaint := heard.complaint or refused:
            await self._say(Frame(complaint))

    def _unsubscribe(self, heard: Heard) -> None:
        if heard.unsubscribe is None:
            return
        self._around.tally.unsubscribe_messages += 1
        for symbol in heard.unsubscribe:
            self.subscriptions.pop(symbol, None)

    def _subscribe(self, heard: Heard) -> str:
        if heard.subscribe is None:
            return ""
        self._around.tally.subscribe_messages += 1
        refused = ""
        for symbol in heard.subscribe:
            instrument = self._speech.instrument(symbol)
            if instrument is None or symbol in self.subscriptions:
                continue
            if len(self.subscriptions) >= self._speech.most_symbols:
                refused = self._speech.too_many
                continue
            self.subscriptions[symbol] = Subscription(instrument, self._around.now_ns())
        return refused

    async def _talk(self) -> None:
        while self.state is State.OPEN:
            await asyncio.sleep(_BEAT_SECONDS)
            now = self._loop.time()
            if self.state is not State.OPEN:
                return
            if self._around.mischief.cuts(self._opened, now, self.key):
                self.cut()
                return
            now_ns = self._around.now_ns()
            due = await self._speech.due(list(self.subscriptions.items()), now_ns)
            frames = await self._speech.frames(self._left_over(due), now_ns)
            for frame in self._in_disorder(frames):
                await self._say(frame)
            await self._ping(now_ns)
            await self._flush()

    def _left_over(self, due: list[Trade]) -> list[Trade]:
        """Return what a drop leaves of the trades, and nothing of those unwanted."""
        take, now = self._around.mischief.take, self._loop.time()
        return [
            trade
            for trade in due
            if trade.symbol in self.subscriptions
            and take("drop_n", now, self.key, (trade.symbol,)) is None
        ]

    def _in_disorder(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames as faults want them: later ones first, or some twice."""
        mischief, now = self._around.mischief, self._loop.time()
        told: list[Frame] = []
        for frame in frames:
            twice = mischief.take("duplicate", now, self.key, self.subscriptions)
            for copy in (frame, frame) if twice else (frame,):
                told += self._swapped(copy, now)
        if not mischief.active("reorder", now, self.key, self.subscriptions):
            told += self._released()
        return told

    def _swapped(self, frame: Frame, now: float) -> list[Frame]:
        mischief = self._around.mischief
        if self._held is not None:
            return [frame, *self._released()]
        if mischief.take("reorder", now, self.key, self.subscriptions):
            self._held = frame
            return []
        return [frame]

    def _released(self) -> list[Frame]:
        held, self._held = self._held, None
        return [] if held is None else [held]

    async def _ping(self, now_ns: int) -> None:
        # A clock that goes back must not make the vendor quiet for as long.
        self._quiet_since_ns = min(self._quiet_since_ns, now_ns)
        if self._speech.ping and now_ns - self._quiet_since_ns >= self._speech.ping_ns:
            await self._say(Frame(self._speech.ping))

    async def _say(self, frame: Frame) -> None:
        now, mischief = self._loop.time(), self._around.mischief
        if self.state is not State.OPEN:
            return
        if mischief.active("silence", now, self.key, self.subscriptions):
            return
        self._quiet_since_ns = self._around.now_ns()
        self._late.append((now, frame))
        if len(self._late) > _MOST_LATE_FRAMES:
            self.cut()
        await self._flush()

    async def _flush(self) -> None:
        now, mischief = self._loop.time(), self._around.mischief
        lag = mischief.active("lag", now, self.key, self.subscriptions)
        until = now - (0.0 if lag is None else lag.length_seconds)
        while self._late and self._late[0][0] <= until and self.state is State.OPEN:
            _, frame = self._late.popleft()
            if await self._send(frame.text.encode(), WSMsgType.TEXT):
                self._around.tally.send(frame.trades)

    async def _send(self, data: bytes, kind: WSMsgType) -> bool:
        try:
            await self._socket.send_frame(data, kind)
        except ConnectionResetError:
            self.state = State.ENDING
            return False
        if self._transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            self.cut()
        return True
