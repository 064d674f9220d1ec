"""A conversation is kept up as long as anything is wanted, and nobody is stormed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    IngestionError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.pump import Listener, Pump
from ingestion_server.ports.stream import Confirmed, Heard
from tests.clocks import ManualClock
from tests.ingest.live.ticks import TEN
from tests.ingest.live.vendor import LIMITS, Vendor, lost

FIRST, LONGEST = LIMITS.first_pause_seconds, LIMITS.longest_pause_seconds
STEP = 0.25
"""How exactly pauses are kept."""


@dataclass
class Ear(Listener):
    """Remember what a pump tells."""

    heard_of: list[Heard] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    fails: bool = False

    @override
    def heard(self, pump: Pump, said: Sequence[Heard]) -> None:
        if self.fails:
            self.fails = False
            raise ZeroDivisionError
        self.heard_of += said

    @override
    def subscribed(self, pump: Pump, symbols: Sequence[str]) -> None:
        self.symbols += symbols

    @override
    def lost(self, pump: Pump, cause: str) -> None:
        self.losses.append(cause)

    @override
    def silent(self, pump: Pump, seconds: float) -> None:
        self.silences.append(seconds)

    @override
    async def room(self) -> None:
        await asyncio.sleep(0)


@dataclass
class Scene:
    """Hold a pump that runs."""

    clock: ManualClock
    vendor: Vendor
    ear: Ear
    pump: Pump

    @property
    def pauses(self) -> list[float]:
        """Return how long was waited between tries."""
        return [after - before for before, after in pairwise(self.vendor.asked_at)]


@asynccontextmanager
async def scene(
    *,
    limits: StreamLimits = LIMITS,
    random: Callable[[], float] = lambda: 1.0,
    **vendor: object,
) -> AsyncIterator[Scene]:
    """Run a pump of a vendor."""
    clock = ManualClock(TEN, runs=False)
    acme, ear = Vendor(clock, **vendor), Ear()  # type: ignore[arg-type]
    pump = Pump(acme.upstream(), ear, clock, limits, random)
    task = asyncio.create_task(pump.run())
    try:
        await clock.advance(0)
        yield Scene(clock, acme, ear, pump)
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert all(line.closed for line in acme.lines)


async def test_there_is_no_connection_while_nothing_is_wanted() -> None:
    async with scene() as s:
        await s.clock.advance(60)
        assert s.vendor.asked_at == []
        assert not s.pump.failed(0.0)

        s.pump.want("AAPL")
        await s.clock.advance(0)

        assert s.vendor.line.sent == ["+AAPL"]
        assert s.ear.symbols == ["AAPL"]
        assert (s.pump.up, s.pump.away_since) == (True, None)
        assert s.pump.subscribed("AAPL")
        assert s.pump.wants("AAPL")


async def test_what_is_no_longer_wanted_is_ended_and_the_last_ends_the_connection() -> (
    None
):
    async with scene() as s:
        s.pump.want("AAPL")
        s.pump.want("TSLA")
        await s.clock.advance(0)

        s.pump.unwant("AAPL")
        await s.clock.advance(0)
        assert s.vendor.line.sent == ["+AAPL", "+TSLA", "-AAPL"]
        assert not s.vendor.line.closed
        s.pump.unwant("TSLA")
        await s.clock.advance(60)

        assert s.vendor.line.sent[-1] == "-TSLA"
        assert s.vendor.line.closed
        assert len(s.vendor.lines) == 1
        assert s.ear.losses == []
        assert s.pump.silent_seconds is None


async def test_what_the_vendor_says_is_passed_on() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)

        s.vendor.line.tell(Confirmed("AAPL"))
        s.vendor.line.tell()
        await s.clock.advance(3)

        assert s.ear.heard_of == [Confirmed("AAPL")]
        assert s.pump.silent_seconds == 3


async def test_a_lost_connection_is_told_and_made_anew_with_all_that_is_wanted() -> (
    None
):
    async with scene() as s:
        s.pump.want("AAPL")
        s.pump.want("TSLA")
        await s.clock.advance(0)
        s.vendor.line.tell()
        await s.clock.advance(5)

        s.vendor.line.breaks()
        await s.clock.advance(0)
        assert s.ear.losses == ["the connection was lost"]
        assert not s.pump.up
        assert not s.pump.subscribed("AAPL")
        assert s.pump.away_since == s.clock.monotonic()
        await s.clock.advance(FIRST + STEP)

        assert s.vendor.line.sent == ["+AAPL", "+TSLA"]
        assert s.pump.connections == 2
        assert s.pump.away_since is None


async def test_pauses_double_up_to_the_longest() -> None:
    async with scene(down=True) as s:
        s.pump.want("AAPL")
        await s.clock.advance(200)

        assert s.pauses[:6] == [FIRST * 2**n for n in range(6)]
        assert set(s.pauses[6:]) == {LONGEST}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_pause_is_any_share_of_what_it_may_be(share: float) -> None:
    async with scene(random=lambda: share, down=True) as s:
        s.pump.want("AAPL")
        await s.clock.advance(100)

        assert len(s.pauses) >= 7
        assert s.pauses == [
            pytest.approx(share * min(FIRST * 2**n, LONGEST), abs=1e-6)
            for n in range(len(s.pauses))
        ]


async def test_it_is_tried_for_ever() -> None:
    async with scene(down=True) as s:
        s.pump.want("AAPL")
        await s.clock.advance(3600)
        tried = len(s.vendor.asked_at)
        assert tried > 3600 / LONGEST - 1

        s.vendor.down = False
        await s.clock.advance(LONGEST)

        assert s.pump.up


async def test_after_a_stable_connection_pauses_begin_anew() -> None:
    async with scene() as s:
        s.vendor.failures = [lost(), lost(), lost(), lost()]
        s.pump.want("AAPL")
        await s.clock.advance(8)
        assert s.pump.up
        await s.clock.advance(LIMITS.stable_seconds)

        s.vendor.down = True
        s.vendor.line.breaks()
        await s.clock.advance(40)

        # The first after the loss is judged elsewhere.
        assert s.pauses[5:8] == [FIRST, 2 * FIRST, 4 * FIRST]


async def test_a_connection_that_does_not_last_does_not_shorten_pauses() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        for number in range(4):
            await s.clock.advance(1)
            s.vendor.line.breaks()
            await s.clock.advance(FIRST * 2**number)
            assert len(s.vendor.lines) == number + 2


async def test_when_nothing_is_wanted_any_more_nothing_is_waited_for() -> None:
    async with scene(down=True) as s:
        s.pump.want("AAPL")
        await s.clock.advance(100)
        tried = len(s.vendor.asked_at)
        s.pump.unwant("AAPL")
        await s.clock.advance(100)
        assert len(s.vendor.asked_at) == tried

        s.vendor.down = False
        s.pump.want("AAPL")
        await s.clock.advance(0)

        assert s.pump.up


@pytest.mark.parametrize(
    ("error", "at_least"),
    [
        (
            QuotaExhaustedError(
                "later", provider="acme", window="", retry_after_seconds=9
            ),
            9.0,
        ),
        (
            QuotaExhaustedError(
                "later", provider="acme", window="", retry_after_seconds=9e9
            ),
            300.0,
        ),
        (BreakerOpenError("rests", provider="acme", retry_after_seconds=7.0), 7.0),
    ],
    ids=["quota", "long", "breaker"],
)
async def test_who_says_when_to_come_back_is_heeded(
    error: IngestionError, at_least: float
) -> None:
    async with scene(random=lambda: 0.0) as s:
        s.vendor.failures = [error]
        s.pump.want("AAPL")
        await s.clock.advance(at_least - STEP)
        assert len(s.vendor.asked_at) == 1

        await s.clock.advance(2 * STEP)

        assert len(s.vendor.asked_at) == 2


@pytest.mark.parametrize(
    "error",
    [
        CredentialsRefusedError("no such key", provider="acme"),
        EntitlementMissingError("not in the plan", provider="acme", feature="stream"),
    ],
    ids=["key", "plan"],
)
async def test_who_refuses_us_has_failed_at_once_and_is_asked_seldom(
    error: IngestionError,
) -> None:
    async with scene(random=lambda: 0.0) as s:
        s.vendor.failures = [error]
        s.pump.want("AAPL")
        await s.clock.advance(0)
        assert s.pump.failed(1e9)
        assert s.pump.refusal is error
        await s.clock.advance(LONGEST - STEP)
        assert len(s.vendor.asked_at) == 1

        await s.clock.advance(STEP)

        assert s.pump.up
        assert s.pump.refusal is None
        assert not s.pump.failed(0.0)


async def test_who_is_switched_off_is_not_asked_and_has_failed() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(1)
        s.vendor.off = CapabilityMissingError("is switched off", provider="acme")
        await s.clock.advance(60)
        assert s.vendor.line.closed
        assert len(s.vendor.asked_at) == 1
        assert s.pump.failed(1e9)
        assert set(s.ear.losses) == {"is switched off"}

        s.vendor.off = None
        await s.clock.advance(LONGEST)

        assert s.pump.up


async def test_it_has_failed_once_it_was_away_for_long_enough() -> None:
    async with scene(down=True) as s:
        s.pump.want("AAPL")
        await s.clock.advance(3 - STEP)
        assert not s.pump.failed(3.0)
        assert s.pump.cause == "the connection was lost"

        await s.clock.advance(STEP)

        assert s.pump.failed(3.0)


async def test_a_connection_without_a_message_for_too_long_is_lost() -> None:
    async with scene(silence_seconds=4.0) as s:
        s.pump.want("AAPL")
        await s.clock.advance(3)
        s.vendor.line.tell()
        await s.clock.advance(3)
        assert s.ear.losses == []

        await s.clock.advance(2)

        assert s.ear.losses == ["acme has said nothing for 4 s"]
        assert s.vendor.lines[0].closed
        assert s.pump.connections == 2


async def test_a_setting_goes_before_the_silence_that_a_vendor_declares() -> None:
    limits = replace(LIMITS, silence_seconds=1.0)
    async with scene(limits=limits, silence_seconds=60.0) as s:
        s.pump.want("AAPL")
        await s.clock.advance(1)

        assert len(s.ear.losses) == 1


async def test_a_vendor_that_may_be_silent_for_hours_is_not_lost() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(3600)

        assert s.pump.connections == 1
        assert s.ear.losses == []


async def test_a_busy_connection_that_falls_silent_is_told_once_each_time() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        for expected in (1, 2):
            for _ in range(20):
                s.vendor.line.tell()
                await s.clock.advance(0.3)
            assert len(s.ear.silences) == expected - 1
            await s.clock.advance(40)
            assert len(s.ear.silences) == expected

        assert s.ear.losses == []


async def test_a_connection_that_was_never_busy_is_not_called_silent() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        for _ in range(20):
            s.vendor.line.tell()
            await s.clock.advance(15)

        assert s.ear.silences == []


@pytest.mark.parametrize("where", ["listener", "feed"])
async def test_a_defect_is_logged_and_ends_no_more_than_a_connection(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(1)
        if where == "listener":
            s.ear.fails = True
            s.vendor.line.tell(Confirmed("AAPL"))
        else:
            s.vendor.line.breaks(ZeroDivisionError())
        with caplog.at_level(logging.ERROR):
            await s.clock.advance(FIRST + STEP)

        assert [each.levelname for each in caplog.records] == ["ERROR"]
        assert s.ear.losses == ["the stream met a defect (ZeroDivisionError)"]
        assert s.pump.up
        assert s.pump.subscribed("AAPL")


async def test_subscriptions_are_sent_at_the_vendors_pace() -> None:
    async with scene(per_second=10.0) as s:
        for number in range(25):
            s.pump.want(f"S{number}")
        await s.clock.advance(5)

        begin = s.vendor.line.sent_at[0]
        assert len(s.vendor.line.sent) == len(set(s.ear.symbols)) == 25
        after = [at - begin for at in s.vendor.line.sent_at]
        assert after == [0.0] * 10 + [1.0] * 10 + [2.0] * 5


async def test_what_is_wanted_no_more_before_its_turn_is_never_sent() -> None:
    async with scene(per_second=1.0) as s:
        for symbol in ("AAPL", "TSLA", "MSFT"):
            s.pump.want(symbol)
        await s.clock.advance(0)
        s.pump.unwant("TSLA")
        await s.clock.advance(5)

        assert s.vendor.line.sent == ["+AAPL", "+MSFT"]


async def test_there_is_room_for_as_many_symbols_as_the_vendor_takes() -> None:
    async with scene(most_symbols=2) as s:
        assert s.pump.room
        s.pump.want("AAPL")
        assert s.pump.room
        s.pump.want("TSLA")
        assert not s.pump.room
        assert s.pump.wanted == 2

        s.pump.unwant("AAPL")

        assert s.pump.room


async def test_a_vendor_that_wants_beats_gets_them() -> None:
    async with scene(beat_seconds=0.01) as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        async with asyncio.timeout(5):
            while "." not in s.vendor.line.sent:
                s.clock.pass_by(0.01)
                await asyncio.sleep(0.002)

        assert s.vendor.line.sent[0] == "+AAPL"


async def test_a_clean_end_is_a_loss_like_any_other() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        s.vendor.line.breaks(
            ProviderUnavailableError("the vendor closed it", provider="acme")
        )
        await s.clock.advance(FIRST + STEP)

        assert s.ear.losses == ["the vendor closed it"]
        assert s.pump.connections == 2


async def test_a_connection_in_place_of_a_lost_one_is_a_reconnect() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        assert (s.pump.reconnects, s.pump.stale) == (0, False)

        s.vendor.line.breaks()
        await s.clock.advance(0)
        assert (s.pump.reconnects, s.pump.stale) == (0, True)
        await s.clock.advance(FIRST + STEP)

        assert (s.pump.reconnects, s.pump.stale) == (1, False)


async def test_a_connection_after_nothing_was_wanted_is_no_reconnect() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        s.vendor.line.breaks()
        s.pump.unwant("AAPL")
        await s.clock.advance(60)
        assert not s.pump.stale

        s.pump.want("AAPL")
        await s.clock.advance(60)

        assert s.pump.up
        assert s.pump.reconnects == 0


async def test_a_busy_connection_that_is_silent_is_stale_until_it_speaks() -> None:
    async with scene() as s:
        s.pump.want("AAPL")
        await s.clock.advance(0)
        for _ in range(20):
            s.vendor.line.tell()
            await s.clock.advance(0.3)
        assert not s.pump.stale

        await s.clock.advance(40)
        assert s.pump.stale
        s.vendor.line.tell()
        await s.clock.advance(0.3)

        assert not s.pump.stale
