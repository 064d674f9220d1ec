"""The control calls: statistics, faults, news and reset, as JSON over HTTP."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from ingestion_server.sandbox import news
from ingestion_server.sandbox.asking import asked
from ingestion_server.sandbox.catalogue import listed_as
from ingestion_server.sandbox.days import local_date
from ingestion_server.sandbox.faults import (
    ALPHA_VANTAGE,
    EVERY_EFFECT,
    Effect,
    Fault,
    FaultBook,
    FaultError,
)
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.sockets.floor import Floor
from ingestion_server.sandbox.tally import Statistics
from ingestion_server.sandbox.wire import Call, Reply, Vendor, json_reply

PREFIX = "/control"
_SENT = re.compile(r"(\w+)/sent")


@dataclass(frozen=True, slots=True)
class ControlCall:
    """Hold one control call."""

    method: str
    path: str
    body: bytes
    now_ns: int
    query: Mapping[str, str]


@dataclass(slots=True)
class Desk:
    """Hold a vendor with its faults and its statistics."""

    vendor: Vendor
    book: FaultBook
    stream: Floor | None = None
    """None = the vendor has no stream."""
    statistics: Statistics = field(default_factory=Statistics)

    def receive(self, call: Call) -> Reply | None:
        """Count and meter a call; return the refusal if it is one too many."""
        vendor = self.vendor
        self.statistics.begin(
            vendor.counted_as(call), vendor.symbols(call), call.now_ns
        )
        refused = self.vendor.over_limit(call)
        key = self.vendor.metered_by(call)
        if refused is not None:
            self.statistics.refuse(key)
        elif key:
            self.statistics.admit(key, local_date(call.now_ns, self.vendor.zone))
        return refused

    def draw(
        self, call: Call, effects: Collection[Effect] = EVERY_EFFECT
    ) -> list[Fault]:
        """Return the faults that strike a call, counted."""
        struck = self.book.draw(
            self.vendor.scope(call), self.vendor.symbols(call), effects
        )
        self.statistics.faults.update(fault.name for fault in struck)
        return struck

    async def answer(self, call: Call, struck: list[Fault]) -> Reply:
        """Return the vendor's answer, or that of a fault that replaces it."""
        for fault in struck:
            if fault.kind.effect is Effect.REFUSAL:
                replaced = self.vendor.refusal(fault, call)
                if replaced is not None:
                    return replaced
        self.statistics.served += 1
        return await self.vendor.answer(call, struck)

    def document(self) -> dict[str, object]:
        """Return the statistics as they are shown."""
        by = "by_function" if self.vendor.name == ALPHA_VANTAGE else "by_path"
        of_calls = self.statistics.document(by)
        return of_calls | ({} if self.stream is None else self.stream.document())

    def active(self) -> list[dict[str, object]]:
        """Return the active faults as they are shown."""
        of_calls = self.book.documents()
        return of_calls + ([] if self.stream is None else self.stream.faults())

    def clear(self) -> None:
        """End all faults."""
        self.book.clear()
        if self.stream is not None:
            self.stream.clear()

    def reset(self) -> None:
        """Clear counters, faults and meters."""
        self.statistics = Statistics()
        self.clear()
        self.vendor.forget_calls()
        if self.stream is not None:
            self.stream.forget()


async def control_reply(
    call: ControlCall, desks: Mapping[str, Desk], market: Market
) -> Reply:
    """Answer one control call."""
    method, path, body = call.method, call.path, call.body
    name = path.removeprefix(PREFIX).strip("/")
    match method, name:
        case "GET", ("stats" | "faults"):
            shown = Desk.document if name == "stats" else Desk.active
            return json_reply({name: shown(desk) for name, desk in desks.items()})
        case "GET", _ if (found := _SENT.fullmatch(name)) and found[1] in desks:
            return _sent(desks[found[1]], call.query.get("symbol", ""))
        case "POST", "reset":
            for desk in desks.values():
                desk.reset()
            market.forget_news()
            return json_reply({"reset": True})
        case (("POST" | "DELETE"), "market"):
            return await _news(call, market)
        case (("POST" | "DELETE"), _) if name in desks:
            return await _change(method, desks[name], body)
        case _:
            return _error(404, f"no control call {method} {path}; {_usage(desks)}")


async def _news(call: ControlCall, market: Market) -> Reply:
    if call.method == "DELETE":
        market.forget_news()
        return json_reply({"cleared": "market"})
    try:
        document = msgspec.json.decode(call.body)
        symbol, item = news.parsed(document)
        if (instrument := listed_as(symbol)) is None:
            return _error(400, f"the market does not list {symbol!r}")
        await market.tell(instrument, item, call.now_ns)
    except msgspec.DecodeError as error:
        return _error(400, f"the body is not JSON: {error}")
    except news.NewsError as error:
        return _error(400, str(error))
    return json_reply({"told": document})


async def _change(method: str, desk: Desk, body: bytes) -> Reply:
    if method == "DELETE":
        desk.clear()
        return json_reply({"cleared": desk.vendor.name})
    try:
        wanted = asked(desk.vendor.name, msgspec.json.decode(body))
        struck = 0
        if wanted.stream is not None and desk.stream is not None:
            struck = await desk.stream.strike(wanted.stream)
    except msgspec.DecodeError as error:
        return _error(400, f"the body is not JSON: {error}")
    except FaultError as error:
        return _error(400, str(error))
    answer: dict[str, object] = {"added": wanted.document()}
    if wanted.calls is not None:
        desk.book.add(wanted.calls)
    if wanted.stream is not None:
        answer["struck"] = struck
    return json_reply(answer | {"active": desk.active()})


def _sent(desk: Desk, symbol: str) -> Reply:
    if desk.stream is None or not symbol:
        return _error(400, "of a vendor with a stream, and with ?symbol=AAPL")
    return json_reply(desk.stream.sent(symbol))


def _usage(desks: Mapping[str, Desk]) -> str:
    vendors = ", ".join(desks)
    return (
        "there are GET /control/stats, GET /control/faults, POST /control/reset, "
        "POST or DELETE /control/market, GET /control/<vendor>/sent, and "
        f"POST or DELETE /control/<vendor> with a vendor of {vendors}"
    )


def _error(status: int, message: str) -> Reply:
    return json_reply({"error": message}, status=status)
