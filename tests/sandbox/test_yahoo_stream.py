"""Yahoo's streamer says what the vendor's would, as a client sees it."""

import asyncio
import json

import numpy as np
import pytest
import websockets

from ingestion_server.sandbox import catalogue
from tests.sandbox.streams import (
    OPEN,
    PATIENCE_SECONDS,
    answered,
    connect,
    frame,
    nothing,
    prices,
    pricing,
    stats,
    stock,
    tape,
    yahoo,
)

BUSY = 20.0
ID, PRICE, TIME, CURRENCY, EXCHANGE, TYPE, HOURS, PERCENT, VOLUME = range(1, 10)
HIGH, LOW, CHANGE = 10, 11, 12
LAST_SIZE, BID, BID_SIZE, ASK, ASK_SIZE, HINT = range(22, 28)


def shortest(value: float) -> float:
    """Return the shortest digits of a 32-bit float."""
    return float(str(np.float32(value)))


async def test_the_last_trade_of_the_tape_is_told(opened):
    """One message for all there were, and nothing while there are none."""
    caller = await opened(OPEN, trades_per_second=BUSY)
    begin = caller.clock()
    socket = await yahoo(caller, "AAPL")

    caller.clock.move(5)
    last_ms, price, size = (await tape(stock("AAPL"), begin, caller.clock(), BUSY))[-1]

    (told,) = await prices(socket, 1)
    assert (told[ID], told[TIME], told[LAST_SIZE]) == ("AAPL", last_ms, size)
    assert shortest(told[PRICE]) == price
    await nothing(socket)


async def test_a_stock_is_told_with_all_that_belongs_to_it(opened):
    """Bid and ask a cent around the price, the day around both."""
    caller = await opened(OPEN)
    socket = await yahoo(caller, "AAPL")
    caller.clock.move(30)

    (told,) = await prices(socket, 1)

    assert told[CURRENCY] == "USD"
    assert (told[EXCHANGE], told[TYPE], told[HOURS], told[HINT]) == ("NMS", 8, 1, 2)
    assert told[BID] == pytest.approx(told[PRICE] - 0.01, abs=1e-4)
    assert told[ASK] == pytest.approx(told[PRICE] + 0.01, abs=1e-4)
    assert min(told[BID_SIZE], told[ASK_SIZE], told[VOLUME]) > 0
    assert told[LOW] <= told[PRICE] <= told[HIGH]
    before = told[PRICE] - told[CHANGE]
    assert told[PERCENT] == pytest.approx(100 * told[CHANGE] / before, rel=1e-3)


async def test_a_coin_has_the_fields_of_the_recorded_one(opened, recordings):
    """Their numbers and the types of their values."""
    text = (recordings / "yahoo" / "yfrs_stream_ws_MULTI.b64").read_text()
    recorded = pricing(json.loads(text)["message"])
    caller = await opened(OPEN)
    socket = await yahoo(caller, "BTC-USD")
    caller.clock.move(30)

    document = await frame(socket)

    assert list(document) == list(json.loads(text))
    told = pricing(document["message"])
    # The size of a coin's last trade is a volume there, and makes no sense.
    assert recorded.keys() - told.keys() == {LAST_SIZE}
    for field in recorded.keys() & told.keys():
        assert type(told[field]) is type(recorded[field])
    for field in (ID, CURRENCY, EXCHANGE, TYPE, HOURS):
        assert told[field] == recorded[field]


@pytest.mark.parametrize(
    ("time", "hours"),
    [
        ("2025-01-03 05:00:00", 0),
        ("2025-01-03 09:30:00", 1),
        ("2025-01-03 15:59:00", 1),
        ("2025-01-03 16:00:00", 2),
        ("2025-01-03 22:00:00", 3),
        ("2025-01-04 12:00:00", 3),
    ],
)
async def test_market_hours_are_those_of_the_clock(opened, time, hours):
    """Before, during and after the session, and overnight."""
    caller = await opened(time)
    socket = await yahoo(caller, "AAPL")
    caller.clock.move(20)

    (told,) = await prices(socket, 1)

    assert told.get(HOURS, 0) == hours


@pytest.mark.parametrize(
    ("symbol", "currency", "kind"),
    [
        ("EURUSD=X", "USD", 14),
        ("^GSPC", "USD", 9),
        ("GC=F", "USD", 18),
        ("SPY", "USD", 20),
        ("OCDO.L", "GBp", 8),
    ],
)
async def test_every_kind_is_told(opened, symbol, currency, kind):
    """In its spelling and its currency."""
    caller = await opened(OPEN)
    socket = await yahoo(caller, symbol)
    caller.clock.move(30)

    (told,) = await prices(socket, 1)

    assert (told[ID], told[CURRENCY], told[TYPE]) == (symbol, currency, kind)


async def test_a_symbol_is_told_four_times_a_second_at_most(opened):
    """Whatever is traded in between."""
    caller = await opened(OPEN, trades_per_second=1000.0)
    socket = await yahoo(caller, "AAPL")
    caller.clock.move(1)
    (first,) = await prices(socket, 1)

    caller.clock.move(0.2)
    await nothing(socket)
    caller.clock.move(0.05)

    (second,) = await prices(socket, 1)
    assert second[TIME] > first[TIME]


async def test_the_old_envelope_is_bare(opened):
    """Of whoever names no version, or the first."""
    caller = await opened(OPEN)
    old = await yahoo(caller, "AAPL", version="1")
    pathed = await connect(caller, "/ws/yahoo")
    await pathed.send_json({"subscribe": ["AAPL"]})
    await answered(pathed)
    caller.clock.move(30)

    for socket in (old, pathed):
        text = await socket.receive_str(timeout=PATIENCE_SECONDS)

        assert pricing(text)[ID] == "AAPL"


async def test_what_is_unsubscribed_is_told_no_more(opened):
    """Repeated subscriptions change nothing."""
    caller = await opened(OPEN)
    socket = await yahoo(caller, "AAPL", "IBM", "NOSUCH")
    await socket.send_json({"subscribe": ["AAPL", "IBM"]})
    await socket.send_json({"unsubscribe": ["AAPL"]})
    await answered(socket)
    caller.clock.move(30)

    (told,) = await prices(socket, 1)

    assert told[ID] == "IBM"
    await nothing(socket)
    counted = await caller.stats("yahoo")
    assert counted["open_subscriptions"] == {"IBM": 1}
    assert counted["subscribe_messages"] == 2
    assert counted["unsubscribe_messages"] == 1
    assert counted["trades_sent"] == {"IBM": 1}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"subscribe":"AAPL"}', "{}"])
async def test_what_makes_no_sense_is_ignored(opened, text):
    """And the stream goes on."""
    caller = await opened(OPEN)
    socket = await yahoo(caller, "AAPL")

    await socket.send_str(text)
    await nothing(socket)

    caller.clock.move(30)
    assert len(await prices(socket, 1)) == 1


async def test_it_says_nothing_by_itself(opened):
    """There are no pings."""
    caller = await opened(OPEN)
    socket = await yahoo(caller)
    caller.clock.move(600)

    await nothing(socket)


async def test_many_connections_are_fine(opened):
    """There is no key that could be used twice."""
    caller = await opened(OPEN)
    sockets = [await yahoo(caller, "AAPL") for _ in range(3)]
    caller.clock.move(30)

    told = [await prices(socket, 1) for socket in sockets]

    assert told[0] == told[1] == told[2]
    assert (await caller.stats("yahoo"))["open_subscriptions"] == {"AAPL": 3}


async def test_what_was_sent_can_be_looked_up(opened):
    """As the 32-bit floats say it."""
    caller = await opened(OPEN)
    begin = caller.clock()
    socket = await yahoo(caller, "BTC-USD")
    coin = catalogue.coin_pair("BTC", "USD")
    expected = []
    for _ in range(3):
        caller.clock.move(10)
        (told,) = await prices(socket, 1)
        expected.append((told[TIME], shortest(told[PRICE]), 0.0))

    _, sent = await caller.control("GET", "yahoo/sent?symbol=BTC-USD")

    columns = (sent["time_ms"], sent["price"], sent["size"])
    assert list(zip(*columns, strict=True)) == expected
    due = await tape(coin, begin, caller.clock())
    assert expected[-1][:2] == pytest.approx(due[-1][:2])


async def test_another_client_library_reads_it(opened):
    """With the vendor's query."""
    caller = await opened(OPEN)
    url = caller.url.replace("http", "ws") + "/?version=2"
    async with websockets.connect(url, proxy=None) as socket:
        await socket.send('{"subscribe":["AAPL"]}')
        await stats(caller, "yahoo", subscribe_messages=1)
        caller.clock.move(30)

        async with asyncio.timeout(PATIENCE_SECONDS):
            document = json.loads(await socket.recv())

    assert pricing(document["message"])[ID] == "AAPL"
