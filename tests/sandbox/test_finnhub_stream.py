"""Finnhub's stream says what the vendor's would, as a client sees it."""

import asyncio
import json
from collections import Counter
from itertools import pairwise

import aiohttp
import msgspec
import pytest
import websockets

from ingestion_server.sandbox import catalogue
from tests.sandbox.streams import (
    OPEN,
    PATIENCE_SECONDS,
    answered,
    connect,
    ended,
    finnhub,
    frame,
    nothing,
    row,
    stats,
    stock,
    tape,
    trades,
)

BUSY = 20.0
CLOSED = 1000


async def test_each_trade_since_the_subscription_arrives_once(opened):
    """As the clock moves, and none of before."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL")

    told = []
    for _ in range(3):
        caller.clock.move(7.5)
        due = await tape(stock("AAPL"), begin, caller.clock(), BUSY)
        told += await trades(socket, len(due) - len(told))

    assert Counter(map(row, told)) == Counter(due)
    assert (await caller.stats("finnhub"))["trades_sent"] == {"AAPL": len(due)}


async def test_frames_are_short_mixed_and_unsorted(opened):
    """Ten trades at most, of several symbols, the latest not always last."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    socket = await finnhub(caller, "AAPL", "IBM")
    caller.clock.move(20)

    frames = [(await frame(socket))["data"] for _ in range(20)]

    assert {len(data) for data in frames} == {10}
    assert any({one["s"] for one in data} == {"AAPL", "IBM"} for data in frames)
    times = [[one["t"] for one in data] for data in frames]
    assert any(time != sorted(time) for time in times)
    assert all(max(a) <= min(b) for a, b in pairwise(times))


async def test_the_same_market_is_told_in_the_same_words(opened):
    """To two keys, frame by frame."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    first = await finnhub(caller, "AAPL", token="one")
    second = await finnhub(caller, "AAPL", token="two")
    caller.clock.move(10)

    told = [[await frame(socket) for _ in range(5)] for socket in (first, second)]

    assert told[0] == told[1]


async def test_a_trade_looks_like_the_recorded_ones(opened, recordings):
    """In its keys, and in the types of its values."""
    text = (recordings / "finnhub" / "ws_trade_TSLA_afterhours.json").read_text()
    recorded = msgspec.json.decode(text)
    caller = await opened("2025-01-03 17:00:00")
    socket = await finnhub(caller, "TSLA")
    caller.clock.move(30)

    document = await frame(socket)

    assert list(document) == list(recorded)
    for trade in document["data"]:
        for key, value in recorded["data"][0].items():
            assert type(trade[key]) is type(value) or key == "p"
        assert list(trade) == list(recorded["data"][0])
        assert "24" in trade["c"]


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("BINANCE:BTCUSDT", catalogue.coin_pair("BTC", "USD")),
        ("OANDA:EUR_USD", catalogue.currency_pair("EUR", "USD")),
    ],
)
async def test_coins_and_currencies_have_no_conditions(opened, symbol, pair):
    """They have the vendor's spelling."""
    caller = await opened(OPEN)
    begin = caller.clock()
    socket = await finnhub(caller, symbol)
    caller.clock.move(30)
    due = await tape(pair, begin, caller.clock())

    told = await trades(socket, len(due))

    assert {(one["s"], one["c"]) for one in told} == {(symbol, None)}
    assert Counter(map(row, told)) == Counter(due)


async def test_what_is_unsubscribed_is_told_no_more(opened):
    """And what is not goes on."""
    caller = await opened(OPEN)
    socket = await finnhub(caller, "AAPL", "IBM")
    await socket.send_json({"type": "unsubscribe", "symbol": "AAPL"})
    await answered(socket)
    caller.clock.move(30)

    told = await trades(socket, 20)

    assert {one["s"] for one in told} == {"IBM"}
    counted = await caller.stats("finnhub")
    assert counted["open_subscriptions"] == {"IBM": 1}
    assert counted["unsubscribe_messages"] == 1


async def test_unknown_symbols_are_silent(opened):
    """Neither refused nor told."""
    caller = await opened(OPEN)
    socket = await finnhub(caller, "NOSUCH")
    caller.clock.move(30)

    await nothing(socket)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"type":"dance"}', '{"type":1}'])
async def test_what_it_does_not_understand_is_an_error_frame(opened, text):
    """And the stream goes on."""
    caller = await opened(OPEN)
    socket = await finnhub(caller, "AAPL")

    await socket.send_str(text)

    assert await frame(socket) == {"type": "error", "msg": "Invalid message"}
    caller.clock.move(30)
    assert await trades(socket, 1)


@pytest.mark.parametrize(
    ("token", "plan", "most"), [("a-free", "premium", 50), ("a", "free", 50)]
)
async def test_the_free_plan_has_fifty_symbols(opened, token, plan, most):
    """One more is an error frame, and room that is made can be used."""
    caller = await opened(OPEN, finnhub_plan=plan)
    symbols = [f"SBX{number:04}" for number in range(1, most + 1)]
    socket = await finnhub(caller, *symbols, token=token)

    await socket.send_json({"type": "subscribe", "symbol": "AAPL"})

    refusal = {"type": "error", "msg": "Subscribing to too many symbols"}
    assert await frame(socket) == refusal
    assert "AAPL" not in (await caller.stats("finnhub"))["open_subscriptions"]
    await socket.send_json({"type": "unsubscribe", "symbol": "SBX0001"})
    await socket.send_json({"type": "subscribe", "symbol": "AAPL"})
    await answered(socket)
    held = (await caller.stats("finnhub"))["open_subscriptions"]
    assert held["AAPL"] == 1
    assert len(held) == most


async def test_the_premium_plan_has_more(opened):
    """Fifty-one at least."""
    caller = await opened(OPEN)

    socket = await finnhub(caller, *[f"SBX{number:04}" for number in range(1, 52)])

    assert len((await caller.stats("finnhub"))["open_subscriptions"]) == 51
    await socket.close()


@pytest.mark.parametrize("query", [{}, {"token": ""}, {"token": "bad-invalid"}])
async def test_a_handshake_without_a_good_key_is_401(opened, query):
    """Missing, empty or unknown."""
    caller = await opened(OPEN)

    with pytest.raises(aiohttp.WSServerHandshakeError) as failed:
        await connect(caller, "/ws/finnhub", **query)

    assert failed.value.status == 401


async def test_a_second_connection_with_the_key_ends_the_first(opened):
    """With a clean close, and another key lives on."""
    caller = await opened(OPEN)
    first = await finnhub(caller, "AAPL")
    other = await finnhub(caller, "AAPL", token="other")

    second = await finnhub(caller, "AAPL")

    assert (await ended(first)).data == CLOSED
    found = await stats(caller, open_connections=2)
    assert found["connections_opened"] == 3
    caller.clock.move(30)
    for socket in (second, other):
        assert await trades(socket, 1)


async def test_pings_are_text_and_come_only_into_a_silence(opened):
    """Of the length that is set, by the clock that is handed in."""
    caller = await opened(OPEN, finnhub_ping_seconds=90.0)
    socket = await finnhub(caller)

    caller.clock.move(89)
    await nothing(socket)
    caller.clock.move(1)
    assert await frame(socket) == {"type": "ping"}
    await nothing(socket)
    caller.clock.move(90)
    assert await frame(socket) == {"type": "ping"}


async def test_who_is_told_trades_is_not_pinged(opened):
    """However long it has been."""
    caller = await opened(OPEN)
    socket = await finnhub(caller, "AAPL")

    for _ in range(3):
        caller.clock.move(61)
        assert await trades(socket, 60)


async def test_a_clock_that_goes_back_tells_nothing_twice(opened):
    """It goes on where it was."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL")
    caller.clock.move(10)
    before = await tape(stock("AAPL"), begin, caller.clock(), BUSY)
    assert len(await trades(socket, len(before))) == len(before)

    caller.clock.move(-10)
    await nothing(socket)
    caller.clock.move(20)

    due = await tape(stock("AAPL"), begin, caller.clock(), BUSY)
    told = await trades(socket, len(due) - len(before))
    assert Counter(map(row, told)) == Counter(due) - Counter(before)


async def test_a_clock_that_jumps_ahead_tells_a_bounded_part(opened):
    """The latest trades, and no year of them."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    socket = await finnhub(caller, "AAPL")
    caller.clock.move(6 * 86_400)

    told = await trades(socket, 4999)

    await nothing(socket)
    assert len(told) == 5000
    assert min(one["t"] for one in told) * 10**6 > caller.clock() - 600 * 10**9


async def test_protocol_pings_are_answered(opened):
    """With what they carry."""
    caller = await opened(OPEN)

    socket = await connect(caller, token="test")

    await answered(socket)
    assert await socket.close()


async def test_another_client_library_reads_it(opened):
    """By path, with a handshake of its own."""
    caller = await opened(OPEN)
    url = caller.url.replace("http", "ws") + "/ws/finnhub?token=test"
    async with websockets.connect(url, proxy=None) as socket:
        await socket.send('{"type":"subscribe","symbol":"AAPL"}')
        await stats(caller, subscribe_messages=1)
        caller.clock.move(30)

        async with asyncio.timeout(PATIENCE_SECONDS):
            document = json.loads(await socket.recv())

    assert document["type"] == "trade"
    assert (await stats(caller, open_connections=0))["open_subscriptions"] == {}


async def test_the_vendors_host_names_choose_the_vendor(opened):
    """Whatever the path."""
    caller = await opened(OPEN)

    async with caller.session.ws_connect(
        caller.url, headers={"Host": "ws.finnhub.io"}, params={"token": "test"}
    ):
        await stats(caller, "finnhub", open_connections=1)
    async with caller.session.ws_connect(
        caller.url, headers={"Host": "streamer.finance.yahoo.com"}
    ):
        await stats(caller, "yahoo", open_connections=1)


async def test_a_handshake_for_nobody_is_404(opened):
    """Neither host, nor path, nor a parameter."""
    caller = await opened(OPEN)

    with pytest.raises(aiohttp.WSServerHandshakeError) as failed:
        await connect(caller, "/nowhere")

    assert failed.value.status == 404


async def test_what_was_sent_can_be_looked_up_in_its_order(opened):
    """Trade by trade as the client was told."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    socket = await finnhub(caller, "AAPL", "IBM")
    caller.clock.move(30)
    told = [row(one) for one in await trades(socket, 500) if one["s"] == "AAPL"]

    _, sent = await caller.control("GET", "finnhub/sent?symbol=AAPL")

    rows = list(zip(sent["time_ms"], sent["price"], sent["size"], strict=True))
    assert rows[: len(told)] == told
    counted = await caller.stats("finnhub")
    assert counted["trades_sent"]["AAPL"] == len(rows)
    status, _ = await caller.control("GET", "finnhub/sent")
    assert status == 400


async def test_who_does_not_read_is_cut(opened):
    """Before it fills the memory; the others go on."""
    caller = await opened(OPEN)
    other = await finnhub(caller, "AAPL", token="other")
    url = caller.url.removeprefix("http://")
    host, _, port = url.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        b"GET /?token=deaf HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    # Each is a message that is answered with an error frame.
    rubbish = b"\x81\x82\x00\x00\x00\x00{{" * 10_000

    async def talk() -> None:
        while True:
            writer.write(rubbish)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(talk(), PATIENCE_SECONDS)
    writer.close()

    await stats(caller, open_connections=1)
    caller.clock.move(30)
    assert await trades(other, 1)


async def test_the_thousand_and_first_connection_is_refused(opened, monkeypatch):
    """As too many; one that leaves makes room."""
    monkeypatch.setattr("ingestion_server.sandbox.sockets.floor.MOST_CONNECTIONS", 2)
    caller = await opened(OPEN)
    first = await finnhub(caller, token="one")
    second = await finnhub(caller, token="two")

    with pytest.raises(aiohttp.WSServerHandshakeError) as failed:
        await finnhub(caller, token="three")

    assert failed.value.status == 503
    await first.close()
    await stats(caller, open_connections=1)
    await answered(await finnhub(caller, token="three"))
    await answered(second)


async def test_streams_end_with_the_sandbox(opened):
    """At once, whatever they are doing."""
    caller = await opened(OPEN)
    sockets = [await finnhub(caller, "AAPL", token=name) for name in "0123"]
    await caller.fault("finnhub", fault="hang", key="0", door="stream")
    await caller.fault("finnhub", fault="half_open", key="1")

    async with asyncio.timeout(2):
        await caller.stop()

    for socket in sockets:
        assert (await ended(socket)).type in {
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        }
