"""Each fault does what its name says, and the control calls are picky."""

import asyncio
import json
import time

import aiohttp
import pytest

from ingestion_server import sandbox

CHART = "/v8/finance/chart/KO"
ROWS = {"range": "1mo", "interval": "1d"}
DAY = {"function": "TIME_SERIES_DAILY", "symbol": "IBM", "apikey": "my-secret"}


@pytest.mark.parametrize(
    ("fault", "key", "words"),
    [
        ("note", "Note", "5 calls per minute"),
        ("information_daily", "Information", "25 requests per day"),
        ("information_key", "Information", "API key as my-secret"),
        ("information_burst", "Information", "1 request per second"),
        ("information_premium", "Information", "premium endpoint"),
        ("error_message", "Error Message", "Invalid API call"),
        ("error_key", "Error Message", "apikey is invalid or missing"),
    ],
)
@pytest.mark.parametrize("datatype", ["json", "csv"])
async def test_soft_errors_are_json_with_status_200(
    caller, fault, key, words, datatype
):
    """Whatever type of data was asked for."""
    await caller.fault("alpha_vantage", fault=fault)

    served = await caller.json("/query", datatype=datatype, **DAY)

    assert list(served) == [key]
    assert words in served[key]
    assert (await caller.stats("alpha_vantage"))["faults"] == {fault: 1}


@pytest.mark.parametrize(
    ("vendor", "path"), [("alpha_vantage", "/query"), ("yahoo", CHART)]
)
@pytest.mark.parametrize(
    ("fault", "status", "begin"),
    [
        ("status_429", 429, b"Too Many Requests"),
        ("status_500", 500, b"<!DOCTYPE html>"),
        ("html", 200, b"<!DOCTYPE html>"),
    ],
)
async def test_both_vendors_fail_like_web_servers(
    caller, vendor, path, fault, status, begin
):
    """Statuses and pages."""
    await caller.fault(vendor, fault=fault)

    served, body = await caller.get(path, **DAY)

    assert served == status
    assert body.startswith(begin)


@pytest.mark.parametrize(("given", "header"), [({}, None), ({"retry_after": 7}, "7")])
async def test_retry_after_is_there_only_if_asked_for(caller, given, header):
    """A 429 has the header if the fault names seconds."""
    await caller.fault("yahoo", fault="status_429", **given)

    async with caller.session.get(caller.url + CHART) as reply:
        assert reply.status == 429
        assert reply.headers.get("Retry-After") == header


@pytest.mark.parametrize(
    ("vendor", "path", "query"),
    [("alpha_vantage", "/query", DAY), ("yahoo", CHART, ROWS)],
)
@pytest.mark.parametrize("fault", ["truncated", "malformed"])
async def test_damaged_bytes_are_no_json(caller, vendor, path, query, fault):
    """Cut short, or with rubbish in the middle."""
    whole = (await caller.get(path, **query))[1]
    await caller.fault(vendor, fault=fault)

    body = (await caller.get(path, **query))[1]

    assert body[: len(whole) // 3] == whole[: len(whole) // 3]
    assert (len(body) < len(whole)) == (fault == "truncated")
    with pytest.raises(ValueError, match=r"."):
        json.loads(body)


@pytest.mark.parametrize(
    ("vendor", "path", "query"),
    [("alpha_vantage", "/query", DAY), ("yahoo", CHART, ROWS)],
)
async def test_a_cut_ends_the_connection_within_the_body(caller, vendor, path, query):
    """Some of what the header promised, then no more; the next call is well."""
    whole = (await caller.get(path, **query))[1]
    await caller.fault(vendor, fault="cut", times=1)

    async with caller.session.get(caller.url + path, params=query) as reply:
        promised = reply.content_length
        part = await reply.content.read(100)
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()

    assert (reply.status, promised) == (200, len(whole))
    assert whole.startswith(part)
    assert (await caller.get(path, **query))[1] == whole


async def test_empty_bodies(caller):
    """Alpha Vantage says {}; Yahoo leaves out the stamps."""
    await caller.fault("alpha_vantage", fault="empty")
    await caller.fault("yahoo", fault="empty")

    chart = await caller.chart("KO", **ROWS)

    assert await caller.json("/query", **DAY) == {}
    assert "timestamp" not in chart
    assert chart["indicators"]["quote"] == [{}]


@pytest.mark.parametrize(("given", "part"), [({}, 0.6), ({"fraction": 0.25}, 0.25)])
async def test_partial_loses_rows_of_any_range(caller, given, part):
    """The newer ones of a range; of a whole history some of each ten."""
    whole = await caller.chart("KO", **ROWS)
    whole_av = (await caller.json("/query", **DAY))["Time Series (Daily)"]
    await caller.fault("yahoo", fault="partial", **given)
    await caller.fault("alpha_vantage", fault="partial", **given)

    served = await caller.chart("KO", **ROWS)
    served_av = (await caller.json("/query", **DAY))["Time Series (Daily)"]

    stamps = whole["timestamp"]
    assert served["timestamp"] == stamps[: int(len(stamps) * part)]
    oldest_first = list(whole_av)[::-1]
    assert list(served_av)[::-1] == [
        day for place, day in enumerate(oldest_first) if place % 10 < 10 * part
    ]


async def test_nulls_empty_whole_rows(caller):
    """Every fifth row has null in all five arrays."""
    await caller.fault("yahoo", fault="nulls")

    chart = await caller.chart("KO", **ROWS)

    quote = chart["indicators"]["quote"][0]
    for values in quote.values():
        assert [i for i, value in enumerate(values) if value is None] == list(
            range(2, len(chart["timestamp"]), 5)
        )


async def test_bad_row_damages_exactly_one(caller):
    """One row has its low above its open."""
    await caller.fault("yahoo", fault="bad_row")
    await caller.fault("alpha_vantage", fault="bad_row")

    quote = (await caller.chart("KO", **ROWS))["indicators"]["quote"][0]
    rows = (await caller.json("/query", **DAY))["Time Series (Daily)"].values()

    pairs = zip(quote["low"], quote["open"], strict=True)
    assert sum(low > opening for low, opening in pairs) == 1
    assert sum(float(r["3. low"]) > float(r["1. open"]) for r in rows) == 1


async def test_live_row_comes_after_the_grid(caller, time_at):
    """For hours a still row at the close, for days the day once more."""
    await caller.fault("yahoo", fault="live_row")

    hours = await caller.chart("KO", range="1d", interval="1h")
    days = await caller.chart("KO", range="5d", interval="1d")

    close = time_at("2025-01-03 16:00:00") // 10**9
    assert hours["timestamp"][-1] == close
    assert hours["indicators"]["quote"][0]["volume"][-1] == 0
    assert days["timestamp"][-2:] == [close - 6 * 3600 - 1800, close + 2]
    closes = days["indicators"]["quote"][0]["close"]
    assert closes[-1] == closes[-2]


async def test_a_live_week_is_split(caller, time_at):
    """The last day is a row of its own, left out of its week."""
    whole = await caller.chart("KO", range="1mo", interval="1wk")
    await caller.fault("yahoo", fault="live_row")

    parts = await caller.chart("KO", range="1mo", interval="1wk")

    assert parts["timestamp"][:-1] == whole["timestamp"]
    assert parts["timestamp"][-1] == time_at("2025-01-03 16:00:02") // 10**9
    volumes = [c["indicators"]["quote"][0]["volume"] for c in (whole, parts)]
    assert volumes[0][-1] == sum(volumes[1][-2:])


async def test_information_may_lie_beside_good_data(caller):
    """The data is all there."""
    await caller.fault("alpha_vantage", fault="information_beside")

    served = await caller.json("/query", **DAY)

    assert list(served) == ["Meta Data", "Time Series (Daily)", "Information"]
    assert len(served["Time Series (Daily)"]) == 100


@pytest.mark.parametrize(("fault", "status"), [("not_found", 404), ("status_422", 422)])
async def test_yahoo_refuses_a_chart(caller, fault, status):
    """With the vendor's error object."""
    await caller.fault("yahoo", fault=fault)

    served, body = await caller.get(CHART, **ROWS)

    assert served == status
    assert json.loads(body)["chart"]["error"]["code"]


async def test_latency_delays(caller):
    """The answer is good, only late."""
    await caller.fault("yahoo", fault="latency", seconds=0.15)
    begin = time.monotonic()

    await caller.chart("KO")

    assert time.monotonic() - begin >= 0.15


async def test_a_hang_ends_when_the_sandbox_stops(opened):
    """A waiting client is let go within a second."""
    caller = await opened()
    await caller.fault("yahoo", fault="hang")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(caller.get("/v8/finance/chart/KO"))
        await asyncio.sleep(0.05)
        assert not waiting.done()

        begin = time.monotonic()
        await caller.stop()

        assert time.monotonic() - begin < 1
    status, _ = waiting.result()
    assert status == 503


async def test_symbols_and_times_narrow_a_fault(caller):
    """It strikes only these symbols, and only so often."""
    await caller.fault("yahoo", fault="status_500", symbols=["KO"], times=2)
    await caller.fault("alpha_vantage", fault="note", symbols=["EUR"])
    pair = {"function": "FX_DAILY", "to_symbol": "USD", "apikey": "k"}

    other = (await caller.get("/v8/finance/chart/IBM"))[0]
    struck = [(await caller.get(CHART))[0] for _ in range(3)]

    assert (other, struck) == (200, [500, 500, 200])
    assert "Note" in await caller.json("/query", from_symbol="EUR", **pair)
    assert "Note" not in await caller.json("/query", from_symbol="GBP", **pair)
    active = (await caller.control("GET", "faults"))[1]
    assert [fault["fault"] for fault in active["yahoo"]] == []
    assert [fault["fault"] for fault in active["alpha_vantage"]] == ["note"]


async def test_probability_is_drawn_from_the_seed(opened):
    """Half of the calls, and the same half in another sandbox."""

    async def statuses():
        """Return the statuses of sixty calls to a new sandbox."""
        caller = await opened()
        await caller.fault("yahoo", fault="status_500", probability=0.5)
        return [(await caller.get("/"))[0] for _ in range(60)]

    first = await statuses()

    assert first == await statuses()
    assert 15 < first.count(500) < 45


async def test_delete_clears_one_vendor(caller):
    """The other vendor keeps its faults."""
    await caller.fault("yahoo", fault="html")
    await caller.fault("alpha_vantage", fault="html")

    status, _ = await caller.control("DELETE", "yahoo")

    active = (await caller.control("GET", "faults"))[1]
    assert status == 200
    assert (len(active["yahoo"]), len(active["alpha_vantage"])) == (0, 1)


@pytest.mark.parametrize(
    ("vendor", "document"),
    [
        ("yahoo", {"fault": "note"}),
        ("yahoo", {"fault": "information_daily"}),
        ("alpha_vantage", {"fault": "nulls"}),
        ("alpha_vantage", {"fault": "live_row"}),
        ("alpha_vantage", {"fault": "nonsense"}),
        ("alpha_vantage", {}),
        ("alpha_vantage", ["latency"]),
        ("alpha_vantage", None),
        ("yahoo", {"fault": "latency", "seconds": "long"}),
        ("yahoo", {"fault": "latency", "seconds": -1}),
        ("yahoo", {"fault": "latency", "probability": 1.5}),
        ("yahoo", {"fault": "latency", "probability": True}),
        ("yahoo", {"fault": "latency", "times": 0}),
        ("yahoo", {"fault": "omit_rows"}),
        ("finnhub", {"fault": "omit_rows", "count": 0.5}),
        ("yahoo", {"fault": "latency", "symbols": "KO"}),
        ("yahoo", {"fault": "latency", "second": 1}),
    ],
)
async def test_what_does_not_suit_is_a_400(caller, vendor, document):
    """With words about what would be allowed, and nothing becomes active."""
    status, answer = await caller.control("POST", vendor, document)

    assert status == 400
    assert answer["error"]
    assert (await caller.control("GET", "faults"))[1][vendor] == []


async def test_unknown_control_calls_are_404(caller):
    """With the list of those that exist."""
    status, answer = await caller.control("POST", "nobody", {"fault": "html"})

    assert status == 404
    assert "/control/stats" in answer["error"]


async def test_a_port_in_use_is_an_error(caller):
    """The caller decides what to do about it."""
    port = int(caller.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        async with sandbox.running(sessions=object(), now_ns=caller.clock, port=port):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha_vantage_plan": "50"},
        {"alpha_vantage_label": "x"},
        {"yahoo_per_second": 0},
    ],
)
def test_options_refuse_nonsense(wrong):
    """Before anything is started."""
    with pytest.raises(ValueError, match="must be"):
        sandbox.SandboxOptions(**wrong)
