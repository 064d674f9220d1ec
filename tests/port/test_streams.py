"""StreamQuotes: who is heard, who is not, and that nothing is lost in silence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import stream_pb2

from ingestion_server.app.mode import Mode
from tests.port.house import Build, House, ordered, pinned, until
from tests.port.streaming import (
    BUSY,
    FINNHUB,
    FIRST,
    YAHOO,
    Listener,
    assert_all_arrived,
    disordered,
    facts,
    listening,
    misnumbered,
    sent,
)
from tests.replay.charts import FIRST_WEEK, keep_chart

FREE = {**FIRST, "SANDBOX__FINNHUB_PLAN": "free", "STREAM__LINGER_SECONDS": "0.05"}
MANY = [f"SBX{number:04}" for number in range(1, 56)]
QUOTES = {"kinds": ["TICK_KIND_QUOTES"]}
SOON = {"heartbeat_interval": "0.1s"}
SUBSCRIBED = stream_pb2.StreamEvent.KIND_SUBSCRIBED


@pytest.fixture
def usual() -> dict[str, str]:
    """Let something be heard all the time, of the vendor that tells all."""
    return {**BUSY, **FIRST}


async def served(listener: Listener, symbols: int) -> dict[str, str]:
    """Wait until so many symbols are answered; return who serves each, or why not."""
    await listener.until(
        lambda: (
            len(listener.named("SUBSCRIBED")) + len(listener.named("REJECTED"))
            >= symbols
        )
    )
    return {
        event.symbol: event.provider or event.reason
        for event in [*listener.named("REJECTED"), *listener.named("SUBSCRIBED")]
    }


async def test_before_anything_else_it_is_said_who_serves_a_symbol(
    home: House,
) -> None:
    async with listening(home, "AAPL", "MSFT") as listener:
        await listener.until(lambda: listener.of("AAPL") and listener.of("MSFT"))

        for symbol in ("AAPL", "MSFT"):
            first = next(each for each in listener.order if each.symbol == symbol)
            assert isinstance(first, stream_pb2.StreamEvent)
            assert first.kind == SUBSCRIBED
            assert first.provider == listener.of(symbol)[0].provider == "finnhub"
            assert not first.sampled
            assert first.time.ToDatetime(UTC) <= home.clock.now()
            assert listener.of(symbol)[0].sequence == first.sequence + 1


async def test_every_trade_that_was_sent_arrives_as_often_and_numbered(
    home: House,
) -> None:
    symbols = ("AAPL", "MSFT", "IBM")
    async with listening(home, *symbols) as listener:
        await listener.more(100)

        for symbol in symbols:
            await assert_all_arrived(home, listener, symbol)
        assert misnumbered(listener) == []
        assert disordered(listener.trades) == []
        assert not any(trade.out_of_order for trade in listener.trades)
        assert not listener.named("GAP")


async def test_a_trade_says_when_it_came_and_of_whom(home: House) -> None:
    async with listening(home, "AAPL") as listener:
        await listener.more()
        trade = listener.trades[0]

    assert trade.provider == "finnhub"
    assert trade.time.ToNanoseconds() <= trade.received_at.ToNanoseconds()
    assert trade.received_at.ToDatetime(UTC) <= home.clock.now()
    assert trade.conditions[:2] == ["1", "24"]
    assert not (trade.sampled)
    assert not (trade.time_doubtful)
    assert not (trade.backfilled)


async def test_coins_and_currencies_are_streamed_by_our_names(home: House) -> None:
    symbols = ("BTC/USD", "EUR/USD")
    async with listening(home, *symbols) as listener:
        await listener.until(lambda: all(map(listener.of, symbols)))

    assert {trade.symbol for trade in listener.trades} == set(symbols)
    assert misnumbered(listener) == []


async def test_heartbeats_come_though_nothing_trades(build: Build) -> None:
    quiet = {"SANDBOX__TRADES_PER_SECOND": "0.01"}
    async with build(settings=quiet) as home:
        async with listening(home, "AAPL", **SOON) as listener:
            await listener.until_told("HEARTBEAT", 5)

        times = [beat.time.ToMilliseconds() for beat in listener.named("HEARTBEAT")]
        assert times == sorted(times)
        assert times[4] - times[0] >= 350
        assert not listener.named("STALE")


async def test_a_symbol_that_cannot_be_read_is_rejected_beside_good_ones(
    home: House,
) -> None:
    async with listening(home, "AAPL", "no such thing!") as listener:
        await listener.more()
        (rejected,) = listener.named("REJECTED")

    assert rejected.symbol == "no such thing!"
    assert rejected.reason == "INVALID_QUERY"
    assert rejected.detail
    assert {event.symbol for event in listener.named("SUBSCRIBED")} == {"AAPL"}


async def test_a_symbol_that_its_vendor_does_not_stream_is_rejected_beside_good_ones(
    home: House,
) -> None:
    async with listening(home, "AAPL", "^GSPC", **FINNHUB) as listener:
        told = await served(listener, 2)
        await listener.more()

    assert told == {"AAPL": "finnhub", "^GSPC": "CAPABILITY_MISSING"}


async def test_a_symbol_that_no_vendor_knows_is_rejected(home: House) -> None:
    async with listening(home, "AAPL", "NONSUCH") as listener:
        await listener.until_told("REJECTED")
        (rejected,) = listener.named("REJECTED")

    assert (rejected.symbol, rejected.reason) == ("NONSUCH", "SYMBOL_UNKNOWN")


async def test_whether_a_symbol_exists_is_not_asked_of_who_has_few_calls_left(
    build: Build,
) -> None:
    tight = {"SANDBOX__ALPHA_VANTAGE_PLAN": "free"}
    async with build(settings=tight) as home:
        await home.spend("alpha_vantage", 13)
        spent = await home.calls("alpha_vantage")
        async with listening(home, "AAPL", "NONSUCH") as listener:
            await listener.until_told("REJECTED")

        assert await home.calls("alpha_vantage") == spent


async def test_a_stream_of_symbols_that_cannot_be_read_is_refused(
    home: House,
) -> None:
    async with listening(home, "no such thing!", "nor this!") as listener:
        failed = await listener.ended()

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == {"symbols[0]", "symbols[1]"}


async def test_one_symbol_in_two_spellings_is_served_once(home: House) -> None:
    async with listening(home, "aapl", "AAPL") as listener:
        await listener.more(20)
        await assert_all_arrived(home, listener, "AAPL")

    assert [event.symbol for event in listener.named("SUBSCRIBED")] == ["AAPL"]


async def test_what_one_vendor_has_no_room_for_the_next_one_streams(
    build: Build,
) -> None:
    async with build(settings=FREE) as home, listening(home, *MANY) as listener:
        told = await served(listener, len(MANY))

        assert sorted(told.values()) == ["finnhub"] * 50 + ["yahoo"] * 5
        late = next(symbol for symbol, who in told.items() if who == "yahoo")
        await listener.until(lambda: listener.of(late))
        assert all(trade.sampled for trade in listener.of(late))
        counts = await home.stats("finnhub")
        assert len(counts["open_subscriptions"]) == 50


async def test_what_a_pinned_vendor_has_no_room_for_is_rejected(build: Build) -> None:
    async with (
        build(settings=FREE) as home,
        listening(home, *MANY, **FINNHUB) as listener,
    ):
        told = await served(listener, len(MANY))
        refused = {who for who in told.values() if who != "finnhub"}

        assert sorted(told.values()).count("finnhub") == 50
        assert refused == {"ENTITLEMENT_MISSING"}
        assert all(each.detail for each in listener.named("REJECTED"))
        assert (await home.stats("yahoo"))["connections_opened"] == 0


async def test_the_room_of_those_who_left_is_given_to_others(build: Build) -> None:
    async with build(settings=FREE) as home:
        async with listening(home, *MANY[:50], **FINNHUB) as listener:
            await served(listener, 50)

        async def released() -> bool:
            return not (await home.stats("finnhub"))["open_subscriptions"]

        await until(released)
        async with listening(home, *MANY[5:], **FINNHUB) as listener:
            told = await served(listener, 50)
            await listener.more()

    assert set(told.values()) == {"finnhub"}


async def test_quotes_come_from_the_vendor_that_has_them(home: House) -> None:
    async with listening(home, "AAPL", **QUOTES) as listener:
        await listener.until(lambda: len(listener.quotes) >= 3)

    assert [event.provider for event in listener.named("SUBSCRIBED")] == ["yahoo"]
    assert not listener.trades
    for quote in listener.quotes:
        assert quote.provider == "yahoo"
        assert 0 < quote.bid < quote.ask
    assert misnumbered(listener) == []


async def test_trades_and_quotes_of_one_symbol_are_numbered_each_by_itself(
    home: House,
) -> None:
    both = {"kinds": ["TICK_KIND_TRADES", "TICK_KIND_QUOTES"]}
    async with listening(home, "AAPL", **both) as listener:
        await listener.until(lambda: len(listener.quotes) > 2 < len(listener.trades))
        await assert_all_arrived(
            home, listener, "AAPL", vendor=listener.trades[0].provider
        )

    assert misnumbered(listener) == []


async def test_a_chosen_order_is_kept(home: House) -> None:
    async with listening(
        home, "AAPL", source_policy=ordered("yahoo", "finnhub")
    ) as listener:
        await listener.more(3)

    assert [event.provider for event in listener.named("SUBSCRIBED")] == ["yahoo"]
    assert {trade.provider for trade in listener.trades} == {"yahoo"}
    assert all(trade.sampled for trade in listener.trades)
    assert listener.named("SUBSCRIBED")[0].sampled
    assert listener.named("SUBSCRIBED")[0].HasField("feed_delay")


async def test_a_sampled_stream_tells_what_its_vendor_sent(home: House) -> None:
    async with listening(home, "AAPL", **YAHOO) as listener:
        await listener.more(5)
        wanted = {(fact.time_ms, fact.price) for fact in facts(listener.trades)}

        told = {
            (each.time_ms, each.price) for each in await sent(home, "AAPL", "yahoo")
        }

    assert wanted <= told
    assert misnumbered(listener) == []


async def test_a_vendor_without_a_stream_is_asked_again_and_again(
    build: Build,
) -> None:
    async with (
        build(settings={"STREAM__POLL_SECONDS": "0.2"}) as home,
        listening(home, "AAPL", source_policy=pinned("alpha_vantage")) as listener,
    ):
        await listener.more()
        await home.until_called("alpha_vantage", 3)

    (subscribed,) = listener.named("SUBSCRIBED")
    assert subscribed.provider == "alpha_vantage"
    assert subscribed.sampled
    assert all(trade.sampled for trade in listener.trades)
    # The same trade, told again, is no news.
    assert len(facts(listener.trades)) == len(set(facts(listener.trades)))


async def test_a_deadline_ends_a_stream_as_it_would_any_call(home: House) -> None:
    async with listening(home, "AAPL", timeout=0.5) as listener:
        failed = await listener.ended()

    assert failed.code == Code.DEADLINE_EXCEEDED
    assert listener.named("SUBSCRIBED")


async def test_when_the_server_stops_streams_end_and_say_why(home: House) -> None:
    async with listening(home, "AAPL") as listener:
        await listener.more()
        home.door.close()
        failed = await listener.ended()

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "SERVER_STOPPING")


async def test_the_latest_of_what_is_live_is_known_without_a_call(
    home: House,
) -> None:
    async with listening(home, "AAPL") as listener:
        await listener.more(3)
        before = await home.calls("finnhub")

        answer = await home.quotes("AAPL", source_policy=pinned("finnhub"))
        (result,) = answer.results
        await listener.until(
            lambda: result.trade.sequence in {each.sequence for each in listener.trades}
        )

        assert result.live
        assert result.provider == "finnhub"
        assert not result.attempts
        assert result.trade in listener.trades
        assert await home.calls("finnhub") == before
        assert result.age.ToTimedelta().total_seconds() < 5


async def test_of_what_nobody_streams_the_latest_is_asked_for(home: House) -> None:
    async with listening(home, "AAPL") as listener:
        await listener.more()
        answer = await home.quotes("MSFT")

    assert not answer.results[0].live
    assert answer.results[0].attempts


async def test_items_may_be_held_back_to_share_a_message(home: House) -> None:
    async with (
        listening(home, "AAPL", max_batch_delay="0.5s") as slow,
        listening(home, "AAPL", max_batch_delay="0s") as quick,
    ):
        await slow.more(30)
        await quick.until(lambda: quick.trades[-1].sequence >= slow.trades[-1].sequence)

    def messages(listener: Listener) -> int:
        return sum(bool(message.trades) for message in listener.messages)

    assert messages(slow) < messages(quick) / 2
    assert misnumbered(slow) == misnumbered(quick) == []


async def test_streams_of_other_times_of_the_day_are_live_too(build: Build) -> None:
    opened = datetime(2024, 6, 12, 15, 0, 20, tzinfo=UTC)
    async with build(start=opened) as home, listening(home, "AAPL") as listener:
        await listener.more(20)
        await assert_all_arrived(home, listener, "AAPL")

    assert not any(trade.time_doubtful for trade in listener.trades)


async def test_recordings_hold_no_streams_and_say_so(
    build: Build, tmp_path: Path
) -> None:
    keep_chart(tmp_path, "week", FIRST_WEEK, 100.0)
    async with (
        build(mode=Mode(replay=tmp_path)) as home,
        listening(home, "AAPL") as listener,
    ):
        await listener.until_told("REJECTED")
        (rejected,) = listener.named("REJECTED")

    assert rejected.reason == "CAPABILITY_MISSING"
