"""Clients of the sandbox's streams, and what they ought to be told."""

import asyncio
import json
import struct
from base64 import b64decode

from aiohttp import ClientWebSocketResponse, ClientWSTimeout

from ingestion_server.sandbox import catalogue
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.tape import Tape
from tests.sandbox.conftest import NewYork

OPEN = "2025-01-03 10:00:00"
PATIENCE_SECONDS = 20
BEATS_SECONDS = 0.3
"""In which nothing must come: some beats of the vendors."""


async def connect(caller, path="/", **query: str) -> ClientWebSocketResponse:
    """Open a stream and leave protocol pings and closing to the test."""
    socket = await caller.session.ws_connect(
        caller.url + path,
        params=query,
        autoping=False,
        autoclose=False,
        timeout=ClientWSTimeout(ws_close=0.2),
    )
    caller.sockets.append(socket)
    return socket


async def finnhub(caller, *symbols: str, token=None) -> ClientWebSocketResponse:
    """Open a stream of Finnhub's with subscriptions that are heard."""
    socket = await connect(caller, token=token or "test")
    for symbol in symbols:
        await socket.send_json({"type": "subscribe", "symbol": symbol})
    await answered(socket)
    return socket


async def yahoo(caller, *symbols: str, version="2") -> ClientWebSocketResponse:
    """Open a stream of Yahoo's with subscriptions that are heard."""
    socket = await connect(caller, version=version)
    await socket.send_json({"subscribe": symbols})
    await answered(socket)
    return socket


async def answered(socket) -> None:
    """Return after the vendor has answered a protocol ping: all before it is heard."""
    await socket.ping(b"heard?")
    message = await socket.receive(timeout=PATIENCE_SECONDS)
    assert message.data == b"heard?", message


async def frame(socket):
    """Return the next frame as a document."""
    return json.loads(await socket.receive_str(timeout=PATIENCE_SECONDS))


async def trades(socket, count: int) -> list[dict]:
    """Return the next trades of Finnhub, of whole frames, at least so many."""
    told: list[dict] = []
    while len(told) < count:
        document = await frame(socket)
        assert document["type"] == "trade", document
        told += document["data"]
    return told


async def prices(socket, count: int) -> list[dict]:
    """Return so many messages of Yahoo, read."""
    return [pricing((await frame(socket))["message"]) for _ in range(count)]


async def nothing(socket) -> None:
    """Return after a while in which nothing came."""
    try:
        message = await socket.receive(timeout=BEATS_SECONDS)
    except TimeoutError:
        return
    raise AssertionError(message)


async def ended(socket):
    """Return the message that ends a stream, after whatever came before; agree."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message = await socket.receive()
            if message.type.name not in {"TEXT", "PING", "PONG"}:
                await socket.close()
                return message


async def stats(caller, vendor="finnhub", **wanted) -> dict:
    """Return the counts of a vendor, once they are as wanted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await caller.stats(vendor)
            if wanted.items() <= found.items():
                return found


async def tape(instrument, start_ns: int, end_ns: int, per_second=2.0):
    """Return what a client ought to be told: times in ms, prices and sizes."""
    printed = await Tape(Market(7, NewYork()), per_second=per_second).prints(
        instrument, start_ns, end_ns
    )
    columns = (printed.time_ns // 10**6, printed.price, printed.size)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def stock(symbol: str):
    """Return a listed stock."""
    return catalogue.stock(symbol)


def row(trade: dict) -> tuple:
    """Return a trade of Finnhub as the tape tells it."""
    return trade["t"], trade["p"], trade["v"]


def pricing(message: str) -> dict[int, object]:
    """Read a message of Yahoo by field numbers, numbers with their sign."""
    data, place = b64decode(message, validate=True), 0
    fields: dict[int, object] = {}

    def varint() -> int:
        nonlocal place
        number = shift = 0
        while True:
            byte = data[place]
            place += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while place < len(data):
        tag = varint()
        match tag & 7:
            case 0:
                number = varint()
                # The two enumerations are not signed.
                plain = tag >> 3 in (6, 7)
                fields[tag >> 3] = number if plain else number >> 1 ^ -(number & 1)
            case 1:
                (fields[tag >> 3],) = struct.unpack_from("<d", data, place)
                place += 8
            case 2:
                size = varint()
                fields[tag >> 3] = data[place : place + size].decode()
                place += size
            case 5:
                (fields[tag >> 3],) = struct.unpack_from("<f", data, place)
                place += 4
            case kind:
                raise AssertionError(kind)
    return fields
