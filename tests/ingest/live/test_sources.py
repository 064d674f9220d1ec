"""Each channel has one vendor's data, the best that can, and a loss is always told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.ticks import Quote, Tick, TickKind, Trade
from ingestion_server.ingest.live.channel import Break, Channel, Route
from ingestion_server.ingest.live.sources import Newsroom, Sources, unable
from ingestion_server.ports.stream import Confirmed, Malformed, Refused
from tests.clocks import ManualClock
from tests.ingest.live.letters import publisher
from tests.ingest.live.ticks import SECOND, TEN
from tests.ingest.live.vendor import LIMITS, Vendor

ACME, ZENITH = "acme", "zenith"
BOTH = (ACME, ZENITH)


@dataclass
class News(Newsroom):
    """Remember what becomes of channels; publish at once what has to be settled."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    stretches: list[tuple[int, int, bool]] = field(default_factory=list)

    @override
    def ready(self, channel: Channel) -> None:
        self.told.append(("ready", channel.symbol))

    @override
    def settle(self, channel: Channel) -> None:
        if channel.pending:
            self.ticks += channel.sorted_ticks()

    @override
    def begun(self, channel: Channel) -> None:
        self.told.append(("begun", channel.symbol, channel.active))

    @override
    def stale(self, channel: Channel, detail: str) -> None:
        self.told.append(("stale", channel.symbol, detail))

    @override
    def gap(
        self, channel: Channel, broken: Break, to_ns: int, *, filling: bool
    ) -> None:
        self.told.append(("gap", channel.symbol, broken.cause))
        self.stretches.append((broken.from_ns, to_ns, filling))

    @override
    def spare(self) -> None:
        self.told.append(("spare",))

    @override
    def changed(self, channel: Channel, previous: str) -> None:
        self.settle(channel)
        self.told.append(("changed", channel.symbol, previous, channel.active))

    @override
    def rejected(self, channel: Channel, error: ProviderError) -> None:
        self.told.append(("rejected", channel.symbol, error.reason))

    @override
    async def room_to_read(self) -> None:
        await asyncio.sleep(0)


@dataclass
class Desk:
    """Hold sources of two vendors."""

    clock: ManualClock
    acme: Vendor
    zenith: Vendor
    news: News
    sources: Sources

    def open(
        self,
        symbol: str = "AAPL",
        names: tuple[str, ...] = BOTH,
        kind: TickKind = TickKind.TRADES,
    ) -> Channel:
        """Subscribe to a symbol."""
        partition = publisher().partition(symbol, kind)
        channel = Channel(
            instrument(symbol),
            kind,
            Route(names),
            partition,
            dict.fromkeys(names, symbol),
        )
        self.sources.open(channel)
        return channel

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, while it is looked every so often."""
        for _ in range(round(seconds / 0.25)):
            await self.clock.advance(0.25)
            self.sources.look()
        await self.clock.advance(0)

    def now(self, symbol: str = "AAPL", price: float = 100.0) -> Trade:
        """Make a trade of this moment."""
        return Trade(symbol, self.clock.now_ns(), price)

    def of(self, *kinds: str) -> list[tuple[str, ...]]:
        """Return what was told of some kinds."""
        return [each for each in self.news.told if each[0] in kinds]

    @property
    def published(self) -> list[Tick]:
        """Return what came out."""
        return self.news.ticks


@asynccontextmanager
async def desk(
    acme: dict[str, object] | None = None, zenith: dict[str, object] | None = None
) -> AsyncIterator[Desk]:
    """Have two vendors, of which acme is the first choice."""
    clock = ManualClock(TEN, runs=False)
    vendors = {
        ACME: Vendor(clock, ACME, **(acme or {})),  # type: ignore[arg-type]
        ZENITH: Vendor(clock, ZENITH, **(zenith or {})),  # type: ignore[arg-type]
    }
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Coroutine[None, None, None], name: str) -> None:
        tasks.append(asyncio.create_task(work, name=name))

    news = News()
    sources = Sources(
        {name: vendor.upstream() for name, vendor in vendors.items()},
        news,
        spawn,
        clock,
        LIMITS,
        lambda: 1.0,
    )
    try:
        yield Desk(clock, vendors[ACME], vendors[ZENITH], news, sources)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_first_choice_serves_and_nobody_else_is_asked() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        d.acme.line.tell(d.now())
        await d.pass_by(0.25)
        d.news.settle(channel)

        assert (channel.active, channel.live) == (ACME, True)
        assert [each.provider for each in d.published] == [ACME]  # type: ignore[union-attr]
        assert d.zenith.asked_at == []
        assert d.of("begun", "stale", "gap") == [("begun", "AAPL", ACME)]


async def test_only_what_is_subscribed_and_true_is_passed_on() -> None:
    async with desk() as d:
        trades, quotes = d.open(), d.open(kind=TickKind.QUOTES)
        await d.pass_by(1)
        good, bad = d.now(), d.now(price=-1.0)
        crossed = Quote("AAPL", d.clock.now_ns(), 101.0, 1.0, 100.0, 1.0)
        quote = Quote("AAPL", d.clock.now_ns(), 99.0, 1.0, 100.0, 1.0)
        other = Quote("OTHER", d.clock.now_ns(), 99.0, 1.0, 100.0, 1.0)
        d.acme.line.tell(good, bad, d.now("OTHER"), crossed, quote, other)
        await d.pass_by(0.25)

        assert trades.pending == [good]
        assert quotes.pending == [quote]
        assert d.sources.left_out == 2
        assert d.of("ready") == [("ready", "AAPL")] * 2


async def test_what_has_an_id_is_passed_on_once() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        at = d.clock.now_ns()
        for _ in range(2):
            d.acme.line.tell(Trade("AAPL", at, 100.0, 1.0, trade_id="7"))
        await d.pass_by(0.25)

        assert len(channel.pending) == 1
        assert d.sources.left_out == 1


async def test_two_channels_of_one_symbol_have_each_their_own_ticks() -> None:
    async with desk() as d:
        one, two = d.open(), d.open(names=(ACME,))
        quotes = [
            d.open(names=names, kind=TickKind.QUOTES) for names in (BOTH, (ACME,))
        ]
        await d.pass_by(1)
        d.acme.line.tell(
            d.now(), Quote("AAPL", d.clock.now_ns(), 99.0, 1.0, 100.0, 1.0)
        )
        await d.pass_by(0.25)

        assert one.pending == two.pending
        assert one.pending[0] is not two.pending[0]
        assert quotes[0].pending == quotes[1].pending
        assert quotes[0].pending[0] is not quotes[1].pending[0]
        assert d.acme.line.sent == ["+AAPL"]


async def test_a_vendor_has_so_many_symbols_and_the_next_one_the_rest() -> None:
    async with desk({"most_symbols": 50}) as d:
        channels = [d.open(f"S{number}") for number in range(52)]
        await d.pass_by(1)

        served = [each.active for each in channels]
        assert served == [ACME] * 50 + [ZENITH] * 2
        assert len(d.acme.line.sent) == 50


async def test_what_nobody_has_room_for_is_rejected() -> None:
    async with desk({"most_symbols": 1}) as d:
        d.open("AAPL", (ACME,))
        d.open("TSLA", (ACME,))

        assert d.of("rejected") == [("rejected", "TSLA", "ENTITLEMENT_MISSING")]


async def test_what_is_closed_makes_room() -> None:
    async with desk({"most_symbols": 1}) as d:
        first = d.open("AAPL", (ACME,))
        await d.pass_by(1)
        d.sources.close(first)
        second = d.open("TSLA", (ACME,))
        await d.pass_by(1)

        assert second.live
        assert d.acme.line.sent == ["+AAPL", "-AAPL", "+TSLA"]
        assert d.sources.pumps[ACME].wanted == 1


async def test_who_found_no_room_comes_back_when_there_is_some() -> None:
    async with desk({"most_symbols": 1}) as d:
        first, second = d.open("AAPL"), d.open("TSLA")
        await d.pass_by(1)
        assert second.active == ZENITH

        d.sources.close(first)
        await d.pass_by(1)
        d.acme.line.tell()
        await d.pass_by(LIMITS.return_seconds + 1)

        assert (second.active, second.live) == (ACME, True)
        assert d.of("gap") == []


async def test_a_short_loss_is_one_gap_and_no_change() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        before = d.now()
        d.acme.line.tell(before)
        await d.pass_by(1)
        d.acme.line.breaks()
        await d.pass_by(1)
        after = d.now()
        d.acme.line.tell(after)
        await d.pass_by(0.25)

        assert d.of("stale", "gap", "changed") == [
            ("stale", "AAPL", "the connection was lost"),
            ("gap", "AAPL", "the connection was lost"),
        ]
        ((from_ns, to_ns, filling),) = d.news.stretches
        assert from_ns <= before.time_ns
        assert to_ns > after.time_ns
        assert filling
        assert channel.broken is None
        assert channel.live


async def test_the_gap_of_a_quiet_symbol_ends_without_a_tick() -> None:
    async with desk() as d:
        d.open()
        await d.pass_by(1)
        d.acme.line.breaks()
        await d.pass_by(3)

        assert len(d.of("gap")) == 1
        ((from_ns, to_ns, _),) = d.news.stretches
        assert from_ns < to_ns <= d.clock.now_ns()


async def test_a_gap_of_samples_is_not_filled() -> None:
    async with desk({"sampled": True}) as d:
        channel = d.open()
        await d.pass_by(1)
        assert channel.sampled
        d.acme.line.breaks()
        await d.pass_by(3)

        assert [filling for _, _, filling in d.news.stretches] == [False]


async def test_the_next_vendor_takes_over_and_gives_back() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        d.acme.line.tell(d.now())
        await d.pass_by(1)
        d.acme.down = True
        d.acme.line.breaks()
        await d.pass_by(LIMITS.failover_seconds - 0.5)
        assert d.of("changed") == []
        await d.pass_by(1)

        assert d.of("changed") == [("changed", "AAPL", ACME, ZENITH)]
        assert len(d.of("gap")) == 1
        assert (channel.active, channel.live) == (ZENITH, True)

        d.acme.down = False
        await d.pass_by(LIMITS.longest_pause_seconds)
        d.acme.line.tell()
        await d.pass_by(LIMITS.return_seconds + 1)

        assert d.of("changed")[1:] == [("changed", "AAPL", ZENITH, ACME)]
        assert len(d.of("gap")) == 1
        assert d.zenith.line.closed
        assert d.acme.line.sent == ["+AAPL"]


async def test_after_a_change_nothing_older_is_told_again() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        newest = d.now()
        d.acme.line.tell(newest)
        await d.pass_by(0.25)
        d.news.settle(channel)
        d.acme.down = True
        d.acme.line.breaks()
        await d.pass_by(LIMITS.failover_seconds + 1)

        d.zenith.line.tell(Trade("AAPL", newest.time_ns - SECOND, 90.0), d.now())
        await d.pass_by(0.25)

        assert [each.time_ns > newest.time_ns for each in channel.pending] == [True]


async def test_while_nobody_can_the_first_stays_and_it_is_said_that_nothing_comes() -> (
    None
):
    async with desk({"down": True}, {"down": True}) as d:
        channel = d.open()
        await d.pass_by(60)
        assert not channel.live
        assert d.of("rejected", "begun") == []
        assert d.of("stale")

        d.zenith.down = False
        await d.pass_by(LIMITS.longest_pause_seconds + 1)

        assert (channel.active, channel.live) == (ZENITH, True)


async def test_a_symbol_that_one_vendor_refuses_the_next_one_serves() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        error = SymbolUnknownError("never heard", provider=ACME)
        d.acme.line.tell(Refused(error, "AAPL"))
        await d.pass_by(1)

        assert (channel.active, channel.live) == (ZENITH, True)
        assert d.acme.line.sent == ["+AAPL", "-AAPL"]
        assert d.of("changed") == [("changed", "AAPL", ACME, ZENITH)]


async def test_a_symbol_that_all_refuse_is_rejected_for_the_last_ones_reason() -> None:
    async with desk() as d:
        d.open()
        for vendor in (d.acme, d.zenith):
            await d.pass_by(1)
            error = SymbolUnknownError("never heard", provider=vendor.name)
            vendor.line.tell(Refused(error, "AAPL"))
        await d.pass_by(1)

        assert d.of("rejected") == [("rejected", "AAPL", "SYMBOL_UNKNOWN")]


async def test_a_vendor_that_takes_no_more_loses_only_the_newest_symbol() -> None:
    async with desk() as d:
        old = d.open("AAPL")
        await d.pass_by(1)
        d.acme.line.tell(d.now())
        await d.pass_by(0.25)
        d.news.settle(old)
        new = d.open("TSLA")
        await d.pass_by(1)
        error = EntitlementMissingError("too many", provider=ACME, feature="stream")
        d.acme.line.tell(Refused(error))
        await d.pass_by(1)

        assert (old.active, new.active) == (ACME, ZENITH)


async def test_a_vendor_that_refuses_the_key_is_left_at_once() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        error = CredentialsRefusedError("no such key", provider=ACME)
        d.acme.line.tell(Refused(error), Confirmed("AAPL"))
        await d.pass_by(1)

        assert channel.active == ZENITH


async def test_who_is_switched_off_is_passed_over() -> None:
    off = CapabilityMissingError("is switched off", provider=ACME)
    async with desk({"off": off}) as d:
        channel = d.open()
        await d.pass_by(1)
        assert channel.active == ZENITH
        assert d.acme.asked_at == []

        d.open("TSLA", (ACME,))

        assert d.of("rejected") == [("rejected", "TSLA", "CAPABILITY_MISSING")]


async def test_a_message_that_cannot_be_read_is_a_gap_of_all_it_may_be_about() -> None:
    async with desk() as d:
        for symbol in ("AAPL", "TSLA"):
            d.open(symbol)
        await d.pass_by(1)
        d.acme.line.tell(d.now(), d.now("TSLA"))
        await d.pass_by(0.25)
        d.acme.line.tell(Malformed("no JSON"))
        await d.pass_by(0.25)
        assert d.of("gap") == []
        d.acme.line.tell(d.now())
        await d.pass_by(2)

        cause = "a message could not be read: no JSON"
        assert d.of("gap") == [("gap", "AAPL", cause), ("gap", "TSLA", cause)]
        assert d.sources.malformed == 1
        assert d.of("stale", "changed") == []


async def test_several_messages_that_cannot_be_read_are_one_gap() -> None:
    async with desk() as d:
        d.open()
        await d.pass_by(1)
        d.acme.line.tell(d.now())
        await d.pass_by(0.25)
        d.acme.line.tell(Malformed("no JSON"), Malformed("no price"))
        for _ in range(20):
            await d.pass_by(0.25)
            d.acme.line.tell(d.now())

        assert d.of("gap") == [("gap", "AAPL", "a message could not be read: no JSON")]


async def test_rubbish_of_some_seconds_is_one_gap_that_is_not_filled() -> None:
    async with desk() as d:
        d.open()
        await d.pass_by(1)
        for _ in range(40):
            d.acme.line.tell(d.now(), Malformed("no JSON"))
            await d.pass_by(0.25)
        for _ in range(20):
            d.acme.line.tell(d.now())
            await d.pass_by(0.25)

        ((from_ns, to_ns, filling),) = d.news.stretches
        assert to_ns - from_ns >= 9 * SECOND
        assert not filling
        assert d.sources.malformed == 40


async def test_what_waits_is_published_before_another_takes_over() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        newest = d.now()
        d.acme.line.tell(newest)
        await d.clock.advance(0)
        error = SymbolUnknownError("never heard", provider=ACME)
        d.acme.line.tell(Refused(error, "AAPL"))
        await d.pass_by(1)

        assert channel.active == ZENITH
        assert d.published == [newest]
        assert channel.floor_ns == newest.time_ns


async def test_a_connection_that_falls_silent_is_told_of_all_its_symbols() -> None:
    async with desk() as d:
        d.open()
        await d.pass_by(1)
        for _ in range(20):
            d.acme.line.tell(Confirmed("AAPL"))
            await d.pass_by(0.25)
        await d.pass_by(LIMITS.stale_seconds + 1)

        ((_, symbol, detail),) = d.of("stale")
        assert symbol == "AAPL"
        assert detail.startswith("acme has said nothing for")


@pytest.mark.parametrize("names", [(), ("nobody",)])
def test_why_nobody_streams_is_told(names: tuple[str, ...]) -> None:
    assert isinstance(unable(names, {}), CapabilityMissingError)


def test_who_is_switched_off_says_so() -> None:
    off = CapabilityMissingError("is switched off", provider=ACME)
    vendor = Vendor(ManualClock(TEN), off=off)

    assert unable([ACME], {ACME: vendor.upstream()}) is off
