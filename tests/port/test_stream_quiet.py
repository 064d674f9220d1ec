"""Quiet is not dead, and dead is not quiet."""

from __future__ import annotations

import pytest

from tests.port.house import Build, House, until
from tests.port.streaming import (
    BUSY,
    FINNHUB,
    HASTY,
    YAHOO,
    assert_all_arrived,
    listening,
    misnumbered,
    span,
    tape,
)

SILENCE_MS = 600
QUIET = {
    **HASTY,
    "SANDBOX__TRADES_PER_SECOND": "0.01",
    "SANDBOX__FINNHUB_PING_SECONDS": "0.15",
    "STREAM__SILENCE_SECONDS": "0.6",
    "STREAM__STALE_SECONDS": "0.4",
}
BUSY_THEN_SILENT = {
    **HASTY,
    "STREAM__SILENCE_SECONDS": "1.2",
    "STREAM__STALE_SECONDS": "0.4",
}
SOON = {"heartbeat_interval": "0.1s"}
UNPINGED = {"SANDBOX__FINNHUB_PING_SECONDS": "3600"}


async def test_a_quiet_symbol_on_a_living_connection_is_fine(build: Build) -> None:
    async with build(settings=QUIET) as home:
        # The vendor makes up its day before it first speaks, which may take as long.
        await tape(home, "AAPL")
        async with listening(home, "AAPL", **FINNHUB, **SOON) as listener:
            # Thrice as long as a connection may say nothing.
            await listener.until_told("HEARTBEAT", 18)

        assert not listener.named("STALE")
        assert not listener.named("GAP")
        assert not listener.named("SOURCE_CHANGED")
        assert (await home.stats("finnhub"))["connections_opened"] == 1


async def test_a_quiet_symbol_beside_a_busy_one_is_fine(build: Build) -> None:
    # The night is as busy as the day here, but nobody has heard of this one.
    settings = {**HASTY, "STREAM__STALE_SECONDS": "0.4", **UNPINGED}
    async with build(settings=settings) as home:
        symbols = ("AAPL", "MSFT", "IBM", "NONSUCH")
        async with listening(home, *symbols, **FINNHUB, **SOON) as listener:
            await listener.until_told("HEARTBEAT", 15)

        assert not listener.named("STALE")
        assert not listener.named("GAP", "NONSUCH")


async def test_a_vendor_that_only_answers_pings_is_not_dead(build: Build) -> None:
    settings = {**BUSY, "SANDBOX__TRADES_PER_SECOND": "0.01"}
    async with build(settings=settings) as home:
        async with listening(home, "AAPL", **YAHOO, **SOON) as listener:
            await listener.until_told("HEARTBEAT", 15)

        assert not listener.named("GAP")
        assert (await home.stats("yahoo"))["connections_opened"] == 1


async def test_a_connection_that_falls_silent_is_stale_then_dead_then_made_anew(
    build: Build,
) -> None:
    async with (
        build(settings=BUSY_THEN_SILENT) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(30)
        await home.fault("finnhub", "silence", symbols=["AAPL"])
        await listener.until_told("STALE")
        (stale,) = listener.named("STALE")
        assert not listener.named("GAP")

        async def anew() -> bool:
            return (await home.stats("finnhub"))["connections_opened"] >= 2

        await until(anew)
        await home.mend("finnhub")
        await listener.until_told("GAP")
        await listener.more(5)

        assert stale.symbol in {"", "AAPL"}
        (gap,) = listener.named("GAP")
        start, end = span(gap)
        assert end - start >= SILENCE_MS
        assert "said nothing" in gap.cause
        assert misnumbered(listener) == []


async def test_a_connection_that_never_speaks_is_dead(build: Build) -> None:
    async with build(settings={**QUIET, **UNPINGED}) as home:
        await home.fault("finnhub", "silence")
        async with listening(home, "AAPL", **FINNHUB):

            async def given_up() -> bool:
                return (await home.stats("finnhub"))["connections_opened"] >= 3

            await until(given_up)


async def test_once_a_silent_vendor_speaks_again_so_does_the_stream(
    build: Build,
) -> None:
    async with build(settings={**BUSY_THEN_SILENT, **UNPINGED}) as home:
        await home.fault("finnhub", "silence")
        async with listening(home, "AAPL", **FINNHUB) as listener:

            async def given_up() -> bool:
                return (await home.stats("finnhub"))["connections_opened"] >= 2

            await until(given_up)
            await home.mend("finnhub")
            await listener.more(20)
            await assert_all_arrived(home, listener, "AAPL")


@pytest.mark.parametrize("vendor", ["finnhub", "yahoo"])
async def test_a_stream_that_is_silent_still_tells_that_it_lives(
    build: Build, vendor: str
) -> None:
    async with build(settings=BUSY) as home:
        await home.fault(vendor, "silence")
        policy = {"source_policy": {"mode": "MODE_PINNED", "providers": [vendor]}}
        async with listening(home, "AAPL", **policy, **SOON) as listener:
            await listener.until_told("HEARTBEAT", 5)


async def test_a_symbol_that_was_subscribed_by_nobody_yet_is_not_stale(
    build: Build,
) -> None:
    async with build(settings=QUIET) as home:
        await _idle(home)
        async with listening(home, "AAPL", **FINNHUB, **SOON) as listener:
            await listener.until_told("HEARTBEAT", 8)

        assert not listener.named("STALE")
        assert not listener.named("GAP")


async def _idle(home: House) -> None:
    """Let the server be without any subscriber, after it had one."""
    async with listening(home, "MSFT", **FINNHUB) as listener:
        await listener.until_told("SUBSCRIBED")
