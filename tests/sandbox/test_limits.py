"""Limits are as strict as the vendors', to the nanosecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server import sandbox

DAY = {"function": "TIME_SERIES_DAILY", "symbol": "IBM"}


async def ask(caller, key: str) -> dict:
    """Make one Alpha Vantage call."""
    return await caller.json("/query", apikey=key, **DAY)


@pytest.mark.parametrize("plan", ["75", "150"])
async def test_a_paid_plan_admits_exactly_its_calls(caller, plan):
    """The window is (t - 60 s, t]: the first call leaves it after 60 s, not before."""
    key = f"load-{plan}"
    for _ in range(int(plan)):
        assert "Meta Data" in await ask(caller, key)

    caller.clock.time_ns += 60 * 10**9 - 1
    early = await ask(caller, key)
    caller.clock.time_ns += 1
    punctual = await ask(caller, key)

    assert "sparingly" in early["Information"]
    assert "Meta Data" in punctual
    assert (await caller.stats("alpha_vantage"))["violations"] == 1


async def test_a_window_rolls(caller):
    """Calls at the end of one minute still count in the next."""
    await ask(caller, "k-75")
    caller.clock.move(59)
    for _ in range(74):
        assert "Meta Data" in await ask(caller, "k-75")

    caller.clock.move(1)
    answers = [await ask(caller, "k-75") for _ in range(2)]

    assert ["Meta Data" in answer for answer in answers] == [True, False]


async def test_a_free_key_has_one_call_a_second(caller):
    """The second call within a second is a burst; it costs nothing of the day."""
    first = await ask(caller, "me-free")
    caller.clock.time_ns += 10**9 - 1
    burst = await ask(caller, "me-free")
    caller.clock.time_ns += 1
    second = await ask(caller, "me-free")

    assert "Meta Data" in first
    assert "1 request per second" in burst["Information"]
    assert "Meta Data" in second


async def test_a_free_day_turns_at_new_york_midnight(opened, time_at):
    """25 calls a day, counted until midnight in New York."""
    caller = await opened("2024-06-10 20:00:00")
    for _ in range(25):
        assert "Meta Data" in await ask(caller, "me-free")
        caller.clock.move(1)

    caller.clock.time_ns = time_at("2024-06-10 23:59:59")
    refused = await ask(caller, "me-free")
    caller.clock.time_ns = time_at("2024-06-11 00:00:00")
    served = await ask(caller, "me-free")

    assert "rate limit is 25 requests per day" in refused["Information"]
    assert "Meta Data" in served


async def test_keys_are_metered_apart(caller):
    """One key's burst is not another's."""
    await ask(caller, "one-free")

    other = await ask(caller, "two-free")

    assert "Meta Data" in other


async def test_the_plan_of_other_keys_is_an_option(opened):
    """A key without a plan in its ending has the sandbox's."""
    caller = await opened(alpha_vantage_plan="free")
    await ask(caller, "plain")

    burst = await ask(caller, "plain")

    assert "1 request per second" in burst["Information"]


@pytest.mark.parametrize(
    ("key", "options"),
    [("bench-3per5s", {}), ("plain", {"alpha_vantage_plan": "3per5s"})],
)
async def test_a_test_may_choose_the_limit(opened, key, options):
    """So many calls in any such stretch, to the nanosecond."""
    caller = await opened(**options)
    first = [await ask(caller, key) for _ in range(3)]

    caller.clock.time_ns += 5 * 10**9 - 1
    early = await ask(caller, key)
    caller.clock.time_ns += 1
    punctual = [await ask(caller, key) for _ in range(4)]

    assert all("Meta Data" in answer for answer in first)
    assert "(3 requests per 5 seconds)" in early["Information"]
    assert ["Meta Data" in answer for answer in punctual] == [True, True, True, False]
    assert (await caller.stats("alpha_vantage"))["violations"] == 2


async def test_a_chosen_limit_of_a_minute_complains_as_a_paid_plan_does(caller):
    """Not a word is different."""
    for _ in range(75):
        await ask(caller, "one-75")
        await ask(caller, "two-75per60s")

    paid, chosen = await ask(caller, "one-75"), await ask(caller, "two-75per60s")

    assert paid == chosen
    assert "(75 requests per minute)" in paid["Information"]


@pytest.mark.parametrize(
    "ending", ["0per5s", "5per0s", "1.5per5s", "100000per5s", "60per5", "60per1min"]
)
async def test_an_ending_that_is_nearly_a_plan_is_refused(caller, ending):
    """Else a test would be about another limit than it says."""
    served = await ask(caller, f"bench-{ending}")

    assert served["Error Message"].startswith("the parameter apikey is invalid")
    assert "CALLSperSECONDSs such as 60per5s" in served["Error Message"]


async def test_an_ending_like_a_word_is_no_plan(caller):
    """Keys of real life may hold dashes."""
    assert "Meta Data" in await ask(caller, "my-paper-super7s")


@pytest.mark.parametrize("plan", sandbox.PLANS)
def test_a_plan_of_the_vendor_is_no_chosen_one(plan):
    """Whoever asks has the vendor's own numbers."""
    assert sandbox.plan_window(plan) is None


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_a_chosen_plan_tells_its_numbers(calls, seconds):
    """Those it is spelled with."""
    assert sandbox.plan_window(f"{calls}per{seconds}s") == (calls, seconds)


@pytest.mark.parametrize(
    "plan",
    [
        *("", "50", "free ", "0per5s", "05per5s", "5per0s", "-1per5s", "5per5s\n"),
        *("5 per 5s", "5per5", "100000per5s", "5per100000s", "٣per5s", "5per5S"),
    ],
)
def test_what_is_no_plan_is_told(plan):
    """With all that would be one."""
    with pytest.raises(ValueError, match="such as 60per5s, both from"):
        sandbox.plan_window(plan)


@pytest.mark.parametrize(
    "query",
    [
        {"function": "TIME_SERIES_DAILY_ADJUSTED", "symbol": "IBM"},
        {"function": "FX_INTRADAY", "from_symbol": "EUR", "to_symbol": "USD"},
        {"function": "CRYPTO_INTRADAY", "symbol": "BTC", "market": "USD"},
        DAY | {"outputsize": "full"},
    ],
)
async def test_premium_calls_need_a_plan(opened, query):
    """The free plan is refused, also the full size where the option says so."""
    caller = await opened(free_full=False)

    served = await caller.json("/query", apikey="me-free", interval="5min", **query)

    assert "This is a premium endpoint" in served["Information"]


async def test_a_free_key_may_ask_full_by_default(caller):
    """The default is the vendor of 2024."""
    served = await caller.json("/query", apikey="me-free", outputsize="full", **DAY)

    assert len(served["Time Series (Daily)"]) > 6000


@pytest.mark.parametrize("query", [{}, {"apikey": ""}])
async def test_a_call_needs_a_key(caller, query):
    """Nothing is served without a key, whatever else is asked."""
    served = await caller.json("/query", **DAY, **query)

    assert served["Error Message"].startswith("the parameter apikey is invalid")


async def test_yahoo_admits_exactly_so_many_in_a_second(opened):
    """The sixth within a second gets the text and status of the vendor."""
    caller = await opened(yahoo_per_second=5)
    statuses = [(await caller.get("/v8/finance/chart/KO"))[0] for _ in range(5)]

    caller.clock.time_ns += 10**9 - 1
    refused = await caller.get("/v8/finance/chart/KO")
    caller.clock.time_ns += 1
    again = await caller.get("/v8/finance/chart/KO")

    assert statuses == [200] * 5
    assert refused == (429, b"Too Many Requests\r\n")
    assert again[0] == 200
    stats = await caller.stats("yahoo")
    assert (stats["calls"], stats["violations"], stats["served"]) == (7, 1, 6)


async def test_reset_empties_the_meters(opened):
    """After a reset all counters are zero and there is room again."""
    caller = await opened(yahoo_per_second=1)
    await caller.get("/v8/finance/chart/KO")
    await caller.get("/v8/finance/chart/KO")
    await caller.fault("yahoo", fault="html")

    await caller.control("POST", "reset")

    stats = await caller.stats("yahoo")
    assert (stats["calls"], stats["violations"], stats["faults"]) == (0, 0, {})
    assert (await caller.get("/v8/finance/chart/KO"))[0] == 200
