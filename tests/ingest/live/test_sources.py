"""Only what is true and wanted is passed on, and a loss is always told."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import SymbolUnknownError
from ingestion_server.domain.ticks import Quote, TickKind, TickMark, Trade
from ingestion_server.ports.stream import Confirmed, Malformed, Refused
from tests.ingest.live.newsdesk import ACME, BOTH, ZENITH, desk
from tests.ingest.live.ticks import SECOND
from tests.ingest.live.vendor import LIMITS


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


async def test_what_is_wanted_is_known_by_the_vendors_own_symbol() -> None:
    async with desk() as d:
        channel = d.open()

        assert d.sources.instrument_of(ACME, "AAPL") == channel.instrument
        assert d.sources.instrument_of(ACME, "TSLA") is None
        assert d.sources.instrument_of("nobody", "AAPL") is None

        d.sources.close(channel)
        assert d.sources.instrument_of(ACME, "AAPL") is None


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


@pytest.mark.parametrize("refused", [False, True])
async def test_whose_clock_is_ahead_leaves_nothing_untold_that_is_not_declared(
    *, refused: bool
) -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        took_place: list[int] = []
        d.acme.line.tell(d.now(ahead_ns=SECOND))
        await d.pass_by(0.25)
        d.news.settle(channel)
        if refused:
            error = SymbolUnknownError("never heard", provider=ACME)
            d.acme.line.tell(Refused(error, "AAPL"))
        else:
            d.acme.down = True
            d.acme.line.breaks()
        for _ in range(40):
            await d.clock.advance(0.01)
            took_place.append(d.clock.now_ns())
            if d.zenith.lines:
                d.zenith.line.tell(d.now())
            await d.pass_by(0.25)
        d.news.settle(channel)

        assert channel.active == ZENITH
        told = [each.time_ns for each in d.published]
        gaps = [(from_ns, to_ns) for from_ns, to_ns, _ in d.news.stretches]
        assert [
            at
            for at in took_place
            if at not in told and not any(low <= at < high for low, high in gaps)
        ] == []
        assert len(told) == len(set(told))
        assert not any(each.marks & TickMark.OUT_OF_ORDER for each in d.published)


async def test_a_better_vendor_is_back_while_the_others_clock_is_ahead() -> None:
    async with desk() as d:
        d.acme.down = True
        channel = d.open()
        await d.pass_by(LIMITS.failover_seconds + 1)
        assert channel.active == ZENITH
        d.acme.down = False
        took_place: list[int] = []
        for _ in range(200):
            took_place.append(d.clock.now_ns())
            d.zenith.line.tell(d.now(price=2.0, ahead_ns=SECOND))
            await d.clock.advance(0.125)
            # It tells the same a moment later.
            if d.acme.lines:
                d.acme.line.tell(Trade("AAPL", took_place[-1], 1.0))
            await d.pass_by(0.25)
            d.news.settle(channel)

        assert channel.active == ACME
        told = [
            each.time_ns - (SECOND if each.price == 2.0 else 0) for each in d.published
        ]
        gaps = [(from_ns, to_ns) for from_ns, to_ns, _ in d.news.stretches]
        assert [
            at
            for at in took_place
            if at not in told and not any(low <= at < high for low, high in gaps)
        ] == []
        assert len(told) == len(set(told))


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


async def test_rubbish_of_some_seconds_is_one_gap_that_is_filled() -> None:
    async with desk() as d:
        channel = d.open()
        await d.pass_by(1)
        for _ in range(40):
            d.acme.line.tell(d.now(), Malformed("no JSON"))
            await d.pass_by(0.25)
        broken = channel.broken
        assert broken is not None
        for _ in range(20):
            d.acme.line.tell(d.now())
            await d.pass_by(0.25)

        ((from_ns, to_ns, filling),) = d.news.stretches
        assert to_ns - from_ns >= 9 * SECOND
        assert filling
        assert d.sources.malformed == 40


async def test_rubbish_without_end_is_a_gap_every_half_minute() -> None:
    async with desk() as d:
        d.open()
        await d.pass_by(1)
        for _ in range(4 * 100):
            d.acme.line.tell(d.now(), Malformed("no JSON"))
            await d.pass_by(0.25)

        assert len(d.news.stretches) == 3
        for from_ns, to_ns, filling in d.news.stretches:
            assert 29 * SECOND <= to_ns - from_ns <= 32 * SECOND
            assert filling


async def test_a_gap_in_which_more_came_than_is_kept_is_not_filled() -> None:
    async with desk() as d:
        d.open()
        await d.pass_by(1)
        for _ in range(8):
            some = [d.now(price=100.0 + number) for number in range(3_000)]
            d.acme.line.tell(*some, Malformed("no JSON"))
            await d.pass_by(0.25)
        await d.pass_by(1)
        d.acme.line.tell(d.now())
        await d.pass_by(1)

        assert [filling for _, _, filling in d.news.stretches] == [False]


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
