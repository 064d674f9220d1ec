"""Each channel has one vendor's data: the first of its route that can serve."""

from __future__ import annotations

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    SymbolUnknownError,
)
from ingestion_server.ports.stream import Confirmed, Refused
from tests.ingest.live.newsdesk import ACME, ZENITH, desk
from tests.ingest.live.vendor import LIMITS


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
