"""Each fault of a stream does what its name says, as a client sees it."""

import asyncio
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType

from ingestion_server.sandbox.sockets.mischief import FIELDS
from tests.sandbox.streams import (
    OPEN,
    answered,
    ended,
    finnhub,
    frame,
    nothing,
    prices,
    pricing,
    row,
    stats,
    stock,
    tape,
    trades,
    yahoo,
)

BUSY = 20.0
VENDORS = pytest.mark.parametrize(
    ("vendor", "opens"), [("finnhub", finnhub), ("yahoo", yahoo)]
)
BESIDE = {"finnhub": {"token": "beside"}, "yahoo": {"version": "1"}}
"""Another client than the one the tests open by default."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"
CUT = {WSMsgType.CLOSED, WSMsgType.ERROR}


async def times(socket, count: int) -> list[int]:
    """Return the first time of each frame of Finnhub."""
    return [
        min(one["t"] for one in (await frame(socket))["data"]) for _ in range(count)
    ]


@VENDORS
@pytest.mark.parametrize(
    ("name", "types", "code"),
    [
        ("disconnect", CUT, 1006),
        ("clean_close", {WSMsgType.CLOSE}, 1000),
        ("clean close", {WSMsgType.CLOSE}, 1000),
        ("clean-close", {WSMsgType.CLOSE}, 1000),
    ],
)
async def test_open_connections_end_once(opened, vendor, opens, name, types, code):
    """Without a word or with a goodbye; the next one lives."""
    caller = await opened(OPEN)
    socket = await opens(caller, "AAPL")

    _, answer = await caller.control("POST", vendor, {"fault": name})

    assert (await ended(socket)).type in types
    assert socket.close_code == code
    assert answer["struck"] == 1
    assert answer["active"] == []
    found = await stats(caller, vendor, open_connections=0)
    assert found["open_subscriptions"] == {}
    await answered(await opens(caller, "AAPL"))


@VENDORS
async def test_a_hang_is_a_silence_without_pongs(opened, vendor, opens):
    """The connection stays; new ones work; it lasts beyond the clearing."""
    caller = await opened(OPEN)
    socket = await opens(caller, "AAPL")

    await caller.fault(vendor, fault="hang", door="stream")
    await caller.control("DELETE", vendor)
    caller.clock.move(30)
    await socket.ping()
    await nothing(socket)

    assert (await caller.stats(vendor))["open_connections"] == 1
    fresh = await opens(caller, "AAPL")
    caller.clock.move(30)
    assert await frame(fresh)
    await nothing(socket)


@VENDORS
async def test_a_hang_can_go_on_with_new_connections(opened, vendor, opens):
    """So many of them as are said."""
    caller = await opened(OPEN)
    await caller.fault(vendor, fault="hang", door="stream", count=1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await opens(caller)

    await answered(await opens(caller))
    assert (await caller.control("GET", "faults"))[1][vendor] == []


async def test_a_hang_of_the_vendor_is_one_of_its_calls_as_well(opened):
    """Unless one door is named."""
    caller = await opened(OPEN)
    socket = await yahoo(caller, "AAPL")

    _, calls = await caller.control("POST", "yahoo", {"fault": "hang", "door": "calls"})
    await answered(socket)
    await caller.control("DELETE", "yahoo")
    _, both = await caller.control("POST", "yahoo", {"fault": "hang", "seconds": 9})

    assert [one["fault"] for one in calls["active"]] == ["hang"]
    assert [one["seconds"] for one in both["active"]] == [9]
    assert both["struck"] == 1
    await socket.ping()
    await nothing(socket)


@VENDORS
async def test_a_half_open_connection_is_forgotten_by_the_vendor(opened, vendor, opens):
    """The client sees nothing at all, and a new connection works."""
    caller = await opened(OPEN)
    socket = await opens(caller, "AAPL")

    await caller.fault(vendor, fault="half-open")
    caller.clock.move(30)
    await socket.ping()
    await nothing(socket)

    found = await caller.stats(vendor)
    assert (found["open_connections"], found["open_subscriptions"]) == (0, {})
    fresh = await opens(caller, "AAPL")
    caller.clock.move(30)
    assert await frame(fresh)
    await nothing(socket)


async def test_half_open_connections_do_not_pile_up(opened, monkeypatch):
    """The oldest is given up."""
    monkeypatch.setattr("ingestion_server.sandbox.sockets.floor.MOST_LOST", 1)
    caller = await opened(OPEN)
    sockets = [await finnhub(caller, token=name) for name in "ab"]

    await caller.fault("finnhub", fault="half_open", key="a")
    await nothing(sockets[0])
    await caller.fault("finnhub", fault="half_open", key="b")

    assert (await ended(sockets[0])).type in CUT
    await nothing(sockets[1])


async def test_lag_makes_every_frame_late_and_loses_none(opened):
    """Also when it is cleared while some are under way."""
    caller = await opened(OPEN)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="lag", seconds=0.5)

    caller.clock.move(30)
    started = asyncio.get_running_loop().time()
    told = await trades(socket, 1)
    assert asyncio.get_running_loop().time() - started >= 0.5

    await caller.control("DELETE", "finnhub")
    caller.clock.move(30)
    due = await tape(stock("AAPL"), begin, caller.clock())
    told += await trades(socket, len(due) - len(told))
    assert Counter(map(row, told)) == Counter(due)


@VENDORS
async def test_flap_cuts_each_new_connection(opened, vendor, opens):
    """Until it is cleared; one from before lives."""
    caller = await opened(OPEN)
    before = await opens(caller, **BESIDE[vendor])
    await caller.fault(vendor, fault="flap", seconds=0.2)

    for _ in range(2):
        socket = await opens(caller)
        assert (await ended(socket)).type in CUT

    await answered(before)
    await caller.control("DELETE", vendor)
    socket = await opens(caller)
    await nothing(socket)
    await answered(socket)


async def test_reorder_swaps_neighbouring_frames(opened):
    """And loses none of them."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="reorder")
    caller.clock.move(10)

    first = await times(socket, 10)

    assert all(late > early for late, early in zip(*[iter(first)] * 2, strict=True))
    await caller.control("DELETE", "finnhub")
    caller.clock.move(10)
    due = len(await tape(stock("AAPL"), begin, caller.clock(), BUSY))
    await stats(caller, trades_sent={"AAPL": due})


async def test_reorder_can_be_counted(opened):
    """One swap, then all is in order."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="reorder", count=1)
    caller.clock.move(10)

    told = await times(socket, 10)

    assert told[0] > told[1]
    assert all(early <= late for early, late in pairwise(told[1:]))


async def test_duplicate_sends_frames_twice_and_counts_both(opened):
    """As many as are said."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="duplicate", count=2)
    caller.clock.move(10)
    due = await tape(stock("AAPL"), begin, caller.clock(), BUSY)

    told = [await frame(socket) for _ in range(6)]

    assert told[0] == told[1] != told[2] == told[3] != told[4] != told[5]
    rest = sum(len(one["data"]) for one in told)
    await trades(socket, len(due) + 20 - rest)
    assert (await caller.stats("finnhub"))["trades_sent"] == {"AAPL": len(due) + 20}


async def test_drop_n_leaves_out_the_next_trades(opened):
    """And neither counts nor remembers them."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="drop-n", count=17)
    caller.clock.move(10)
    due = await tape(stock("AAPL"), begin, caller.clock(), BUSY)

    told = await trades(socket, len(due) - 17)

    assert Counter(map(row, told)) == Counter(due[17:])
    assert (await caller.stats("finnhub"))["trades_sent"] == {"AAPL": len(due) - 17}
    _, sent = await caller.control("GET", "finnhub/sent?symbol=AAPL")
    assert len(sent["time_ms"]) == len(due) - 17


async def test_drop_n_of_one_symbol_spares_the_others(opened):
    """It waits for its own."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await finnhub(caller, "AAPL", "IBM")
    await caller.fault("finnhub", fault="drop_n", count=5, symbols=["IBM"])
    caller.clock.move(10)
    due = {
        symbol: len(await tape(stock(symbol), begin, caller.clock(), BUSY))
        for symbol in ("AAPL", "IBM")
    }

    told = await trades(socket, sum(due.values()) - 5)

    counted = Counter(one["s"] for one in told)
    assert counted == {"AAPL": due["AAPL"], "IBM": due["IBM"] - 5}


async def test_a_malformed_frame_of_finnhub_is_no_trade(opened):
    """Cut JSON, no JSON, or fields of the wrong type; then the stream goes on."""
    caller = await opened(OPEN)
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="malformed_frame", count=3)

    told = [await socket.receive_str() for _ in range(3)]

    for text in told[:2]:
        with pytest.raises(ValueError, match=r"Expecting|delimiter"):
            json.loads(text)
    assert json.loads(told[2])["data"][0]["p"] == "high"
    caller.clock.move(30)
    assert await trades(socket, 1)


async def test_a_malformed_frame_of_yahoo_is_no_pricing(opened):
    """No base64, or no message; then the stream goes on."""
    caller = await opened(OPEN)
    socket = await yahoo(caller, "AAPL")
    await caller.fault("yahoo", fault="malformed_frame", count=3)

    for _ in range(3):
        message = (await frame(socket))["message"]
        with pytest.raises((ValueError, IndexError, AssertionError)):
            assert pricing(message)[1] == "AAPL"

    caller.clock.move(30)
    assert len(await prices(socket, 1)) == 1


async def test_silence_is_without_text_but_with_pongs(opened):
    """What was traded meanwhile is never told."""
    caller = await opened(OPEN, finnhub_ping_seconds=1.0)
    socket = await finnhub(caller, "AAPL")
    await caller.fault("finnhub", fault="silence")
    caller.clock.move(30)
    await nothing(socket)
    await answered(socket)

    await caller.control("DELETE", "finnhub")
    since = caller.clock()
    caller.clock.move(30)

    due = await tape(stock("AAPL"), since, caller.clock())
    told = await trades(socket, len(due))
    assert Counter(map(row, told)) == Counter(due)


@VENDORS
@pytest.mark.parametrize("status", [401, 403, 429, 503])
async def test_refused_handshakes_have_the_status(opened, vendor, opens, status):
    """Until cleared; who is inside stays."""
    caller = await opened(OPEN)
    inside = await opens(caller, **BESIDE[vendor])
    await caller.fault(vendor, fault="refuse", status=status)

    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError) as failed:
            await opens(caller)
        assert failed.value.status == status

    await answered(inside)
    await caller.control("DELETE", vendor)
    await answered(await opens(caller))


async def test_a_fault_can_be_counted_and_can_end_by_itself(opened):
    """By strikes, or by seconds."""
    caller = await opened(OPEN)
    await caller.fault("finnhub", fault="refuse", count=1)

    with pytest.raises(aiohttp.WSServerHandshakeError):
        await finnhub(caller)
    await finnhub(caller)

    await caller.fault("finnhub", fault="refuse", seconds=0)
    await finnhub(caller)
    assert (await caller.control("GET", "faults"))[1]["finnhub"] == []


async def test_an_error_frame_says_what_it_is_told_to(opened):
    """Once."""
    caller = await opened(OPEN)
    socket = await finnhub(caller)

    await caller.fault("finnhub", fault="error_frame", message="Feed down")

    assert await frame(socket) == {"type": "error", "msg": "Feed down"}
    await nothing(socket)


async def test_a_fault_of_one_key_or_symbol_spares_the_others(opened):
    """Of those that are open."""
    caller = await opened(OPEN)
    sockets = {
        name: await finnhub(caller, symbol, token=name)
        for name, symbol in (("a", "AAPL"), ("b", "IBM"), ("c", "KO"))
    }

    await caller.fault("finnhub", fault="disconnect", key="a")
    await caller.fault("finnhub", fault="clean_close", symbols=["IBM", "T"])

    assert (await ended(sockets["a"])).type in CUT
    assert (await ended(sockets["b"])).type is WSMsgType.CLOSE
    await answered(sockets["c"])
    assert (await stats(caller, open_connections=1))["open_subscriptions"] == {"KO": 1}


async def test_active_faults_are_listed_and_reset_clears_them(opened):
    """With the counters, and what was sent."""
    caller = await opened(OPEN)
    socket = await finnhub(caller, "AAPL")
    caller.clock.move(30)
    await trades(socket, 1)
    await caller.fault("finnhub", fault="drop_n", count=1_000_000)
    await caller.fault("finnhub", fault="latency", seconds=1)

    _, listed = await caller.control("GET", "faults")
    assert [one["fault"] for one in listed["finnhub"]] == ["latency", "drop_n"]
    await caller.control("POST", "reset")

    assert (await caller.control("GET", "faults"))[1]["finnhub"] == []
    found = await caller.stats("finnhub")
    assert found["trades_sent"] == {}
    assert found["connections_opened"] == found["subscribe_messages"] == 0
    assert found["open_subscriptions"] == {"AAPL": 1}
    _, sent = await caller.control("GET", "finnhub/sent?symbol=AAPL")
    assert sent == {"time_ms": [], "price": [], "size": []}


@pytest.mark.parametrize(
    "document",
    [
        {"fault": "nap"},
        {"fault": 7},
        {"fault": "disconnect", "seconds": 1},
        {"fault": "lag", "seconds": -1},
        {"fault": "lag", "seconds": True},
        {"fault": "drop_n", "count": 0},
        {"fault": "drop_n", "count": 1.5},
        {"fault": "malformed_frame", "count": 100_000},
        {"fault": "refuse", "status": 200},
        {"fault": "refuse", "status": "401"},
        {"fault": "refuse", "key": 7},
        {"fault": "silence", "symbols": "AAPL"},
        {"fault": "hang", "door": "window"},
        ["disconnect"],
    ],
)
async def test_what_cannot_be_is_a_400(opened, document):
    """With what is wrong."""
    caller = await opened(OPEN)

    status, answer = await caller.control("POST", "finnhub", document)

    assert status == 400
    assert answer["error"]
    assert (await caller.control("GET", "faults"))[1]["finnhub"] == []


async def test_a_vendor_without_a_stream_has_none_of_its_faults(opened):
    """And says which it has."""
    caller = await opened(OPEN)

    status, answer = await caller.control(
        "POST", "alpha_vantage", {"fault": "disconnect"}
    )

    assert status == 400
    assert "latency" in answer["error"]
    assert "flap" not in answer["error"]
    assert (await caller.control("GET", "alpha_vantage/sent?symbol=IBM"))[0] == 400


async def test_lasting_faults_are_bounded(opened, monkeypatch):
    """One too many is refused."""
    monkeypatch.setattr("ingestion_server.sandbox.sockets.mischief.MOST_FAULTS", 1)
    caller = await opened(OPEN)
    await caller.fault("yahoo", fault="reorder")

    status, answer = await caller.control("POST", "yahoo", {"fault": "reorder"})

    assert status == 400
    assert "clear them" in answer["error"]


def test_the_table_of_stream_faults_is_the_sandbox():
    """Their names and what may be said about each."""
    text = DOCUMENT.read_text().split("\n## Faults of streams\n")[1].split("\n## ")[0]
    rows = [
        line.strip("| ").split(" | ") for line in text.splitlines() if "| `" in line
    ]

    table = {
        name.strip("`"): set(fields.replace("`", "").split(", "))
        for name, fields, *_ in rows
    }

    assert table == {name: set(fields) for name, fields in FIELDS.items()}


def test_the_examples_of_stream_faults_are_json():
    """As a shell would pass them."""
    text = DOCUMENT.read_text().split("\n## Faults of streams\n")[1]
    bodies = [line.split("'")[1] for line in text.splitlines() if "-d '{" in line]

    assert bodies
    assert all(msgspec.json.decode(body) for body in bodies)
