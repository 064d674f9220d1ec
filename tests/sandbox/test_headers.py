"""A gateway in front of a vendor tells what is left of a quota, in headers."""

from __future__ import annotations

import pytest

CHART = "/v8/finance/chart/KO"
QUOTE = {"function": "GLOBAL_QUOTE", "symbol": "IBM", "apikey": "k-1per5s"}
LEFT = {"X-RateLimit-Requests-Remaining": "3"}
BOTH = pytest.mark.parametrize(
    ("vendor", "path"), [("alpha_vantage", "/query"), ("yahoo", CHART)]
)


async def answer(caller, path: str):
    """Return the status and the headers of a call of either vendor."""
    async with caller.session.get(caller.url + path, params=QUOTE) as reply:
        await reply.read()
        return reply.status, reply.headers


@BOTH
async def test_headers_are_added_to_a_good_answer(caller, vendor, path):
    """The body is as it was."""
    whole = await caller.get(path, **QUOTE)
    caller.clock.move(5)
    await caller.fault(vendor, fault="headers", headers=LEFT | {"X-Plan": ""})

    status, headers = await answer(caller, path)

    assert status == 200
    assert headers["X-RateLimit-Requests-Remaining"] == "3"
    assert headers["X-Plan"] == ""
    caller.clock.move(5)
    assert await caller.get(path, **QUOTE) == whole


async def test_a_reset_is_told_in_seconds_of_the_sandboxs_clock(caller):
    """Counted from the call, ahead or back."""
    told = {"A": "{now+60}", "B": "{now}", "C": "{now-5}; was {now+0}", "D": "{x}"}
    await caller.fault("yahoo", fault="headers", headers=told)
    caller.clock.move(1.999)
    now = caller.clock.time_ns // 10**9

    _, headers = await answer(caller, CHART)

    assert headers["A"] == str(now + 60)
    assert headers["B"] == str(now)
    assert headers["C"] == f"{now - 5}; was {now}"
    assert headers["D"] == "{x}"


@BOTH
async def test_a_429_tells_when_to_come_back_and_what_is_left(caller, vendor, path):
    """One fault says all of it, so that `times` holds for all of it."""
    await caller.fault(
        vendor, fault="status_429", retry_after=1.5, headers=LEFT, times=1
    )

    struck, then = await answer(caller, path), await answer(caller, path)

    assert struck[0] == 429
    assert struck[1]["Retry-After"] == "1.5"
    assert struck[1]["X-RateLimit-Requests-Remaining"] == "3"
    assert "X-RateLimit-Requests-Remaining" not in then[1]


@pytest.mark.parametrize("order", [1, -1])
async def test_headers_stand_on_what_another_fault_answers(caller, order):
    """Whichever was asked for first."""
    faults = [{"fault": "status_500"}, {"fault": "headers", "headers": LEFT}]
    for fault in faults[::order]:
        await caller.fault("yahoo", **fault)

    status, headers = await answer(caller, CHART)

    assert status == 500
    assert headers["X-RateLimit-Requests-Remaining"] == "3"


async def test_headers_stand_on_the_refusal_by_a_limit(caller):
    """No other fault strikes a call that is refused, or is used up by it."""
    await caller.fault("alpha_vantage", fault="headers", headers=LEFT)
    await caller.fault("alpha_vantage", fault="latency", seconds=0, times=1)
    await caller.get("/query", **QUOTE)
    await caller.fault("alpha_vantage", fault="html", times=1)

    status, headers = await answer(caller, "/query")

    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["X-RateLimit-Requests-Remaining"] == "3"
    stats = await caller.stats("alpha_vantage")
    assert stats["violations"] == 1
    assert stats["faults"] == {"headers": 2, "latency": 1}


async def test_a_header_is_there_once_and_the_last_one_holds(caller):
    """Whatever the case of its letters."""
    await caller.fault("yahoo", fault="status_429", retry_after=5)
    await caller.fault("yahoo", fault="headers", headers={"retry-after": "6"})
    await caller.fault("yahoo", fault="headers", headers={"RETRY-AFTER": "7"})

    _, headers = await answer(caller, CHART)

    assert headers.getall("Retry-After") == ["7"]


async def test_headers_strike_only_the_symbols_they_are_for(caller):
    """As every fault."""
    await caller.fault("yahoo", fault="headers", headers=LEFT, symbols=["IBM"])

    _, headers = await answer(caller, CHART)

    assert "X-RateLimit-Requests-Remaining" not in headers


async def test_the_active_faults_show_their_headers(caller):
    """As they were asked for."""
    await caller.fault("yahoo", fault="headers", headers={"Reset": "{now+60}"})

    active = (await caller.control("GET", "faults"))[1]["yahoo"]

    assert active[0]["headers"] == {"Reset": "{now+60}"}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (None, "must be given"),
        ({}, "must be given"),
        ([["X", "1"]], "must be an object"),
        ({"X": 3}, "must be a text"),
        ({"X": "1\r\nSet-Cookie: a=b"}, "in one line"),
        ({"X": "1\n"}, "in one line"),
        ({"X": "é"}, "printable ASCII"),
        ({"X": "a" * 1025}, "at most 1024"),
        ({"X": "{now + 60}"}, "{now+60}"),
        ({"X": "{now+9999999999}"}, "{now+60}"),
        ({"": "1"}, "a name must be"),
        ({"X Y": "1"}, "a name must be"),
        ({"X\r\nY": "1"}, "a name must be"),
        ({"X:": "1"}, "a name must be"),
        ({"X" * 129: "1"}, "a name must be"),
        ({"Content-Length": "1"}, "belongs to the sandbox"),
        ({"transfer-encoding": "chunked"}, "belongs to the sandbox"),
        ({"Reset": "1", "RESET": "2"}, "twice"),
        ({f"X{number}": "1" for number in range(33)}, "32 at most"),
    ],
)
async def test_what_cannot_be_sent_is_a_400(caller, headers, words):
    """With the reason, and nothing becomes active."""
    document = {"fault": "headers", "headers": headers}

    status, told = await caller.control("POST", "yahoo", document)

    assert status == 400
    assert words in told["error"]
    assert (await caller.control("GET", "faults"))[1]["yahoo"] == []
