"""The counters are enough to judge from outside who kept to the limits."""

from __future__ import annotations

CHART = "/v8/finance/chart/KO"


async def ask(caller, key: str) -> None:
    """Make one Alpha Vantage call."""
    await caller.alpha_vantage("GLOBAL_QUOTE", symbol="IBM", apikey=key)


async def test_each_key_tells_what_its_meter_made_of_it(caller):
    """And the sums are those of the vendor."""
    for key, times in {"a-2per5s": 3, "b-1per5s": 3, "c-75": 1}.items():
        for _ in range(times):
            await ask(caller, key)

    stats = await caller.stats("alpha_vantage")

    assert stats["keys"] == {
        "a-2per5s": {"admitted": 2, "refused": 1},
        "b-1per5s": {"admitted": 1, "refused": 2},
        "c-75": {"admitted": 1, "refused": 0},
    }
    assert (stats["calls"], stats["violations"], stats["served"]) == (7, 3, 4)
    assert stats["by_day"] == {"2025-01-03": 4}
    assert stats["by_function"] == {"GLOBAL_QUOTE": 7}


async def test_alpha_vantage_counts_by_the_days_of_new_york(opened, time_at):
    """Its quota's day turns there, five hours after that of UTC."""
    caller = await opened("2024-11-02 23:59:59")
    await ask(caller, "k-75")
    for time in ("2024-11-03 00:00:00", "2024-11-03 23:59:59", "2024-11-04 00:00:00"):
        caller.clock.time_ns = time_at(time)
        await ask(caller, "k-75")

    stats = await caller.stats("alpha_vantage")

    assert stats["by_day"] == {"2024-11-02": 1, "2024-11-03": 2, "2024-11-04": 1}


async def test_yahoo_counts_by_address_and_the_days_of_utc(opened):
    """At nine in the evening of New York the next day has begun."""
    caller = await opened("2025-01-03 18:59:59", yahoo_per_second=1)
    await caller.get(CHART)
    await caller.get(CHART)
    caller.clock.move(1)
    await caller.get(CHART)

    stats = await caller.stats("yahoo")

    assert stats["by_day"] == {"2025-01-03": 1, "2025-01-04": 1}
    assert stats["keys"] == {"127.0.0.1": {"admitted": 2, "refused": 1}}


async def test_what_no_meter_sees_is_no_use_of_a_quota(caller):
    """Calls without a key, and the pages that hand out cookies."""
    await caller.get("/query", function="GLOBAL_QUOTE", symbol="IBM")
    await caller.get("/")

    for vendor in ("alpha_vantage", "yahoo"):
        stats = await caller.stats(vendor)
        assert (stats["calls"], stats["by_day"], stats["keys"]) == (1, {}, {})


async def test_a_call_that_a_fault_strikes_has_used_the_quota(caller):
    """The meter comes first."""
    await caller.fault("alpha_vantage", fault="status_500")

    await caller.get("/query", function="GLOBAL_QUOTE", symbol="IBM", apikey="k")

    stats = await caller.stats("alpha_vantage")
    assert stats["keys"] == {"k": {"admitted": 1, "refused": 0}}
    assert stats["served"] == 0


async def test_keys_beyond_a_hundred_are_counted_together(caller):
    """Those that were there first still have their own count."""
    for number in range(103):
        await ask(caller, f"key{number}")
    await ask(caller, "key0")
    await ask(caller, "late-1per5s")
    await ask(caller, "late-1per5s")

    keys = (await caller.stats("alpha_vantage"))["keys"]

    assert len(keys) == 101
    assert keys["key0"] == {"admitted": 2, "refused": 0}
    assert keys["others"] == {"admitted": 4, "refused": 1}


async def test_reset_forgets_days_and_keys(caller):
    """As it does the rest."""
    await ask(caller, "k")

    await caller.control("POST", "reset")

    stats = await caller.stats("alpha_vantage")
    assert (stats["by_day"], stats["keys"]) == ({}, {})
