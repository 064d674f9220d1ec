"""A vendor that fails in every way it can, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp

from tests.process.soak_record import Print

KEY: Final = "soak-premium"
_JUDGE: Final = "judge-99999per1s"
"""A key of our own, so that asking takes nothing from the server's quota."""
_EXCHANGE: Final = ZoneInfo("America/New_York")
_PAGE: Final = 25_000

_UNREADABLE: Final = 3
_ONCE: Final[Mapping[str, Mapping[str, object]]] = {
    "disconnect": {},
    "clean_close": {},
    "hang": {"door": "stream"},
    "half_open": {},
    "malformed_frame": {"count": _UNREADABLE},
}
_WHILE: Final[Mapping[str, Mapping[str, object]]] = {
    "reorder": {"seconds": 2.0},
    "duplicate": {"count": 4},
    "drop_n": {"count": 25},
}
"""Those that end by themselves."""
_CLEARED: Final[Mapping[str, tuple[Mapping[str, object], float]]] = {
    "lag": ({"seconds": 1.0}, 2.0),
    "flap": ({"seconds": 0.7}, 3.0),
    "silence": ({}, 3.0),
}
"""Those that are cleared, after so many seconds."""
_RIVAL: Final = "rival"
KINDS: Final = (*_ONCE, *_WHILE, *_CLEARED, _RIVAL)
_STRIKING: Final = ("disconnect", "clean_close", "hang", "half_open")
_RIVAL_SECONDS: Final = 3.0


class Vendor:
    """Speak to the sandbox's control calls, and ask it what is true."""

    def __init__(self, place: str, session: aiohttp.ClientSession) -> None:
        """Speak to the one at a place, such as ``127.0.0.1:9000``."""
        self._url = f"http://{place}"
        self._session = session

    async def fault(self, name: str, **fields: object) -> int:
        """Ask for a fault, and return how many connections it struck at once."""
        document = {"fault": name, **fields}
        url = f"{self._url}/control/finnhub"
        async with self._session.post(url, json=document) as reply:
            assert reply.status < 300, await reply.text()
            struck: int = (await reply.json(content_type=None)).get("struck", 0)
            return struck

    async def clear(self) -> None:
        """End all faults."""
        async with self._session.delete(f"{self._url}/control/finnhub") as reply:
            assert reply.status < 300, await reply.text()

    async def stats(self) -> Mapping[str, Any]:
        """Return what it counted."""
        async with self._session.get(f"{self._url}/control/stats") as reply:
            found: Mapping[str, Any] = (await reply.json(content_type=None))["finnhub"]
            return found

    async def sent(self, symbol: str) -> Sequence[Print]:
        """Return the trades of a symbol that it wrote to connections."""
        url = f"{self._url}/control/finnhub/sent"
        async with self._session.get(url, params={"symbol": symbol}) as reply:
            told = await reply.json(content_type=None)
        return list(zip(told["time_ms"], told["price"], told["size"], strict=True))

    async def tape(self, symbol: str, since_ms: int) -> Sequence[Print]:
        """Return the trades of a symbol from a moment on, in or out of gaps."""
        day = datetime.fromtimestamp(since_ms / 1000, UTC).astimezone(_EXCHANGE).date()
        last = datetime.now(UTC).astimezone(_EXCHANGE).date()
        found: list[Print] = []
        while day <= last:
            found += await self._day(symbol, day.isoformat(), since_ms)
            day += timedelta(days=1)
        return [print_ for print_ in found if print_[0] >= since_ms]

    async def rival(self) -> None:
        """Connect with the server's own key, until it is taken back."""
        url = f"{self._url}/ws/finnhub"
        async with self._session.ws_connect(url, params={"token": KEY}) as socket:
            with contextlib.suppress(TimeoutError):
                await socket.receive(_RIVAL_SECONDS)

    async def _day(self, symbol: str, date: str, since_ms: int) -> list[Print]:
        # A day holds hundreds of thousands; only the end of it is of interest.
        _, total = await self._page(symbol, date, 0, 1)
        found: list[Print] = []
        while total > 0 and (not found or found[0][0] >= since_ms):
            skip = max(total - _PAGE, 0)
            page, _ = await self._page(symbol, date, skip, total - skip)
            found[:0] = page
            total = skip
        return found

    async def _page(
        self, symbol: str, date: str, skip: int, limit: int
    ) -> tuple[list[Print], int]:
        asked = {"symbol": symbol, "date": date, "token": _JUDGE}
        counts = {"skip": str(skip), "limit": str(limit)}
        url = f"{self._url}/api/v1/stock/tick"
        async with self._session.get(url, params=asked | counts) as reply:
            told = await reply.json(content_type=None)
        return list(zip(told["t"], told["p"], told["v"], strict=True)), told["total"]


class Mischief:
    """Do everything to a vendor's streams that can happen to them."""

    def __init__(self, vendor: Vendor, seed: int, tell: Callable[[str], None]) -> None:
        """``tell`` is told what is done."""
        self._vendor = vendor
        self._random = Random(seed)  # noqa: S311 - no secret
        self._tell = tell
        self._rivals: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        self.rivals = 0
        """Connections that are not the server's."""
        self.cuts = 0
        """How often a connection was ended, or made useless, at the most."""
        self.unreadable = 0
        """Messages that could not be read."""

    async def go_on(self, seconds: float) -> None:
        """Do one thing every one to four seconds, each kind as often as the others."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        # A short run is to have some of each as well.
        longest = min(4.0, max(1.2, seconds / len(KINDS) / 2))
        waiting: list[str] = []
        while loop.time() - began < seconds:
            if not waiting:
                waiting = list(KINDS)
                self._random.shuffle(waiting)
            kind = waiting.pop()
            self.done[kind] += 1
            self._tell(f"{loop.time() - began:6.1f} s: {kind}")
            await self._do(kind)
            await asyncio.sleep(self._random.uniform(1.0, longest))

    async def end(self) -> None:
        """Do nothing any more, and undo what lasts."""
        await self._vendor.clear()
        for rival in self._rivals:
            rival.cancel()
        await asyncio.gather(*self._rivals, return_exceptions=True)

    async def _do(self, kind: str) -> None:
        if kind in _ONCE:
            struck = await self._vendor.fault(kind, **_ONCE[kind])
            self.cuts += struck if kind in _STRIKING else 0
            if kind == "malformed_frame":
                self.unreadable += struck * _UNREADABLE
        elif kind in _WHILE:
            await self._vendor.fault(kind, **_WHILE[kind])
        elif kind == _RIVAL:
            self.rivals += 1
            self.cuts += 1
            rival = asyncio.create_task(self._vendor.rival())
            self._rivals.add(rival)
            rival.add_done_callback(self._rivals.discard)
        else:
            await self._for_a_while(kind)

    async def _for_a_while(self, kind: str) -> None:
        fields, seconds = _CLEARED[kind]
        length = fields.get("seconds", 0.0)
        await self._vendor.fault(kind, **fields)
        match kind:
            case "flap":
                # Only connections that begin from now on are cut.
                self.cuts += await self._vendor.fault("disconnect")
                assert isinstance(length, float)
                self.cuts += int(seconds / length) + 1
            case "silence":
                self.cuts += 2
        await asyncio.sleep(seconds)
        await self._vendor.clear()
