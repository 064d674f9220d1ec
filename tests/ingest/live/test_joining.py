"""Who joins is told how things stand, and then what happens, each symbol by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import ProviderUnavailableError, SymbolUnknownError
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.interval import MINUTE_NS
from ingestion_server.domain.query import BarQuery, SourcePolicy
from ingestion_server.domain.result import BarResult
from ingestion_server.domain.ticks import LiveBar, Tick, TickKind, Trade
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.confirming import BarConfirmer
from ingestion_server.ingest.live.filling import Filler
from ingestion_server.ingest.live.hub import Hub
from ingestion_server.ingest.live.joining import LiveDesk
from ingestion_server.ingest.live.publishing import Publisher
from ingestion_server.ports.live import Asked, StreamEvent, StreamEventKind, StreamQuery
from ingestion_server.ports.stream import Refused
from tests.builders import bars
from tests.clocks import ManualClock
from tests.ingest.live.letters import EPOCH, Scribe
from tests.ingest.live.test_confirming import result
from tests.ingest.live.ticks import TEN
from tests.ingest.live.vendor import LIMITS, Vendor
from tests.ingest.vendors import OneCalendar

BARS = frozenset({TickKind.BARS})
BOTH = frozenset({TickKind.BARS, TickKind.TRADES})
START = TEN - 3 * MINUTE_NS
AT_ONCE = msgspec.structs.replace(LIMITS, sorting_seconds=0.0)
"""Nothing waits to be sorted."""
_TURNS = 20


@dataclass
class Chronicler(Scribe):
    """Write so that it can be told what was written."""

    wrote: list[Tick | StreamEvent | tokens.Token | None] = field(default_factory=list)

    @override
    def ticks(self, ticks: Sequence[Tick]) -> bytes:
        return b"".join(map(self._noted, ticks))

    @override
    def event(self, event: StreamEvent) -> bytes:
        return self._noted(event)

    @override
    def token(self, token: bytes) -> bytes:
        return self._noted(tokens.read(token))

    @override
    def read(self, encoded: bytes) -> Sequence[Tick]:
        return [each for each in self.of(encoded) if isinstance(each, Trade | LiveBar)]

    def of(self, message: bytes) -> list[Tick | StreamEvent | tokens.Token | None]:
        """Return the parts of a message."""
        return [self.wrote[int(line)] for line in message.decode().splitlines()]

    def _noted(self, part: Tick | StreamEvent | tokens.Token | None) -> bytes:
        self.wrote.append(part)
        return f"{len(self.wrote) - 1}\n".encode()


@dataclass
class Past:
    """Tell the minutes before those that form, once a test lets it."""

    released: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False
    unsettled: int = 0
    """How many of the latest bars of several are not final yet."""

    async def fetch(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int
    ) -> BarResult:
        """Answer once it is let."""
        del budget_seconds, most_bars
        symbol = query.instrument.symbol
        self.asked.append(symbol)
        await self.released.setdefault(symbol, asyncio.Event()).wait()
        if self.down:
            raise ProviderUnavailableError("fell over", provider="acme")
        assert query.start_ns is not None
        assert query.end_ns is not None
        series = bars(np.arange(query.start_ns, query.end_ns, MINUTE_NS))
        states = np.full(len(series), BarState.FINAL, np.uint8)
        if self.unsettled and len(series) > 1:
            states[-self.unsettled :] = BarState.PARTIAL
        found = replace(result(), instrument=query.instrument)
        return replace(found, series=series, states=states)

    def release(self, *symbols: str) -> None:
        """Let the histories of some symbols be told."""
        for symbol in symbols:
            self.released.setdefault(symbol, asyncio.Event()).set()


class Listener:
    """Hear a stream, and remember it by what it is about."""

    def __init__(self, scribe: Chronicler) -> None:
        self.scribe = scribe
        self.heard: list[Tick | StreamEvent | tokens.Token | None] = []
        self.messages = 0

    async def read(self, messages: AsyncIterator[bytes]) -> None:
        """Hear all of it."""
        async for message in messages:
            self.messages += 1
            self.heard += self.scribe.of(message)

    def bars(self, symbol: str = "AAPL") -> list[LiveBar]:
        """Return the bars of a symbol."""
        return [
            each
            for each in self.heard
            if isinstance(each, LiveBar) and each.symbol == symbol
        ]

    def trades(self, symbol: str = "AAPL") -> list[Trade]:
        """Return the trades of a symbol."""
        return [
            each
            for each in self.heard
            if isinstance(each, Trade) and each.symbol == symbol
        ]

    def events(self, symbol: str = "AAPL") -> list[tuple[str, TickKind | None, int]]:
        """Return what happened to a symbol."""
        return [
            (each.kind.value, each.tick_kind, each.sequence)
            for each in self.heard
            if isinstance(each, StreamEvent) and each.symbol == symbol
        ]

    @property
    def token(self) -> tokens.Token | None:
        """Return the latest token."""
        found = [each for each in self.heard if isinstance(each, tokens.Token)]
        return found[-1] if found else None

    def latest(self, symbol: str = "AAPL") -> dict[int, LiveBar]:
        """Return how each bar was told last, by its minutes since ten."""
        return dict(zip(self.minutes(symbol), self.bars(symbol), strict=True))

    def minutes(self, symbol: str = "AAPL") -> list[int]:
        """Return when a symbol's bars open, in minutes since ten, in order."""
        return [(b.open_time_ns - TEN) // MINUTE_NS for b in self.bars(symbol)]


def numbers(ticks: Sequence[Tick]) -> list[int]:
    """Return the numbers of some ticks."""
    return [tick.sequence for tick in ticks]


def row(count: int, before: int) -> list[int]:
    """Return so many numbers after one."""
    return list(range(before + 1, before + count + 1))


@dataclass
class House:
    """Hold a desk, its hub, and what both depend on."""

    clock: ManualClock
    vendor: Vendor
    past: Past
    scribe: Chronicler
    hub: Hub
    desk: LiveDesk

    @asynccontextmanager
    async def listening(
        self,
        *symbols: str,
        kinds: frozenset[TickKind] = BARS,
        start_ns: int | None = None,
        token: tokens.Token | None = None,
    ) -> AsyncIterator[Listener]:
        """Listen while the block lasts."""
        query = StreamQuery(
            asked=tuple(Asked(each, instrument(each)) for each in symbols),
            kinds=kinds,
            start_ns=start_ns,
            resume_token=b"" if token is None else tokens.written(token),
        )
        async with self.desk.stream(query) as messages:
            listener = Listener(self.scribe)
            reading = asyncio.create_task(listener.read(messages))
            await self.clock.advance(0)
            try:
                yield listener
            finally:
                reading.cancel()
                await asyncio.wait([reading])

    async def trade(self, *symbols: str, price: float = 100.0) -> None:
        """Let a symbol trade now, and let all be told that is to be told."""
        now_ns = self.clock.now_ns()
        await self.clock.advance(0)
        self.vendor.line.tell(*(Trade(each, now_ns, price, 1.0) for each in symbols))
        await self.told()

    async def told(self, seconds: float = 0.5) -> None:
        """Let what has come be published, and bars be told."""
        await self.clock.advance(0)
        await self.clock.advance(seconds)
        await self.clock.advance(0)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """Have a desk with one vendor."""
    clock = ManualClock(TEN, runs=False)
    vendor = Vendor(clock)
    past = Past()
    scribe = Chronicler()
    source = Publisher(scribe, clock, epoch=EPOCH, replay_items=10_000)
    hub = Hub(
        {"acme": vendor.upstream()},
        source,
        Filler({}, clock),
        BarConfirmer(past, clock),  # type: ignore[arg-type]
        _known,
        clock,
        AT_ONCE,
    )
    desk = LiveDesk(
        hub,
        _acme,
        lambda: False,
        past,  # type: ignore[arg-type]
        OneCalendar(),
        clock,
        scribe,
    )
    async with hub.running():
        yield House(clock, vendor, past, scribe, hub, desk)


def _acme(policy: SourcePolicy) -> Sequence[str]:
    del policy
    return ["acme"]


async def _known(
    instruments: list[Instrument],
) -> Mapping[Instrument, ProviderUnavailableError]:
    del instruments
    return {}


async def until(happened: Callable[[], object]) -> None:
    """Let others run until something has happened."""
    for _ in range(_TURNS):
        if happened():
            return
        await asyncio.sleep(0)
    assert happened()


async def test_each_symbols_bars_wait_for_its_own_history_only() -> None:
    async with house() as h, h.listening("AAPL", "TSLA", start_ns=START) as told:
        await h.trade("AAPL", "TSLA")
        assert told.bars("AAPL") == told.bars("TSLA") == []

        h.past.release("AAPL")
        await until(lambda: told.bars("AAPL"))
        assert told.minutes("AAPL") == [-3, -2, -1, 0]
        await h.trade("AAPL", "TSLA")
        assert told.minutes("AAPL") == [-3, -2, -1, 0, 0]
        assert told.bars("TSLA") == []

        await h.trade("TSLA")
        h.past.release("TSLA")
        await until(lambda: told.bars("TSLA"))
        await h.trade("TSLA")
        assert told.minutes("TSLA") == [-3, -2, -1, 0, 0]
        for symbol in ("AAPL", "TSLA"):
            ((kind, of, before),) = told.events(symbol)
            assert (kind, of) == ("subscribed", TickKind.BARS)
            found = numbers(told.bars(symbol))
            assert found == row(len(found), before)


async def test_what_formed_while_history_was_awaited_is_told_as_it_stands() -> None:
    async with house() as h, h.listening("AAPL", start_ns=START) as told:
        await h.trade("AAPL", price=100.0)
        for _ in range(2):
            await h.clock.advance(60)
            await h.trade("AAPL", price=101.0)
        await h.clock.advance(3)
        await h.trade("AAPL", price=101.0)
        assert told.bars() == []

        h.past.release("AAPL")
        await until(told.bars)
        assert told.minutes() == [-3, -2, -1, 0, 1, 2]
        assert [bar.derived for bar in told.bars()] == [False] * 3 + [True] * 3
        assert told.bars()[4].state is BarState.FINAL
        assert told.bars()[5].state is BarState.PARTIAL
        await h.trade("AAPL", price=102.0)

        assert told.bars()[-1].close == 102.0
        ((_, _, before),) = told.events()
        assert numbers(told.bars()) == row(len(told.bars()), before)


async def test_a_history_that_is_old_when_it_can_be_told_is_asked_for_again() -> None:
    async with house() as h, h.listening("AAPL", start_ns=START) as told:
        await h.trade("AAPL")
        await h.clock.advance(0)
        h.clock.jump(30 * 60)
        h.past.release("AAPL")
        await h.told()

        assert h.past.asked == ["AAPL", "AAPL"]
        assert set(told.minutes()) >= set(range(-3, 30))


async def test_few_histories_of_one_subscriber_are_on_their_way_at_once() -> None:
    symbols = [f"S{number}" for number in range(30)]
    async with house() as h, h.listening(*symbols, start_ns=START) as told:
        assert len(h.past.asked) == 8
        async with h.listening("AAPL", start_ns=START):
            h.past.release("S0")
            await until(lambda: "AAPL" in h.past.asked)
            assert len(h.past.asked) == 9

        h.past.release(*symbols)
        await until(lambda: len(h.past.asked) == 31)
        await h.told()
        assert {len(told.bars(symbol)) for symbol in symbols} == {3}


async def test_a_history_that_fails_is_a_gap_and_live_bars_go_on() -> None:
    async with house() as h, h.listening("AAPL", start_ns=START) as told:
        h.past.down = True
        h.past.release("AAPL")
        await h.trade("AAPL")
        await h.trade("AAPL")

        kinds = [kind for kind, _, _ in told.events()]
        assert kinds == ["subscribed", "gap"]
        assert set(told.minutes()) == {0}


async def test_history_that_is_not_final_yet_is_told_anew_once_it_is() -> None:
    async with house() as h, h.listening("AAPL", start_ns=START) as told:
        await h.trade("AAPL")
        h.past.unsettled = 2
        h.past.release("AAPL")
        await h.told()
        states = {minute: bar.state for minute, bar in told.latest().items()}
        assert states == dict.fromkeys((-2, -1, 0), BarState.PARTIAL) | {
            -3: BarState.FINAL
        }

        await h.told(20 * 60)

        assert {told.latest()[minute].state for minute in (-2, -1)} == {BarState.FINAL}
        ((_, _, before),) = told.events()[:1]
        assert numbers(told.bars()) == row(len(told.bars()), before)


async def test_all_bars_of_a_history_that_are_not_final_become_so_by_few_calls() -> (
    None
):
    start_ns = TEN - 20 * MINUTE_NS
    async with house() as h, h.listening("AAPL", start_ns=start_ns) as told:
        h.past.unsettled = 15
        h.past.release("AAPL")
        await h.told()
        states = [bar.state for bar in told.bars()]
        assert states.count(BarState.PARTIAL) == 15

        h.past.unsettled = 0
        await h.told(20 * 60)

        assert {bar.state for bar in told.latest().values()} == {BarState.FINAL}
        # One for the history, and one for each five minutes.
        assert len(h.past.asked) <= 5


async def test_a_symbol_that_is_refused_meanwhile_is_told_with_its_history() -> None:
    async with house() as h, h.listening("AAPL", start_ns=START) as told:
        await h.trade("AAPL")
        error = SymbolUnknownError("no such symbol", provider="acme")
        h.vendor.line.tell(Refused(error, "AAPL"))
        await h.told()
        assert told.events() == []

        h.past.release("AAPL")
        await h.told()

        assert [kind for kind, _, _ in told.events()] == ["subscribed", "rejected"]
        assert told.minutes() == [-3, -2, -1, 0]
        last = told.heard[-1]
        assert isinstance(last, StreamEvent)
        assert last.kind is StreamEventKind.REJECTED


async def test_of_a_vendor_that_is_away_history_is_told_and_that() -> None:
    async with house() as h, h.listening("AAPL", start_ns=START) as told:
        await h.trade("AAPL")
        h.vendor.down = True
        h.vendor.line.breaks()
        await h.told()
        h.past.release("AAPL")
        await h.told()

        assert [kind for kind, _, _ in told.events()] == ["subscribed", "stale"]
        h.vendor.down = False
        await h.told(60)
        await h.trade("AAPL")
        ((_, _, before), *_) = told.events()
        assert numbers(told.bars()) == row(len(told.bars()), before)


async def test_trades_flow_while_history_is_awaited_and_their_tokens_say_so() -> None:
    async with house() as h, h.listening("AAPL", kinds=BOTH, start_ns=START) as told:
        await h.trade("AAPL")
        await h.trade("AAPL")
        assert len(told.trades()) == 2
        assert told.bars() == []
        assert told.token is not None
        assert told.token.history_due

        h.past.release("AAPL")
        await h.told()
        await h.trade("AAPL")
        assert len(told.bars()) == 5
        assert told.token == tokens.Token(
            EPOCH, h.hub.publisher.position, told.token.time_ns
        )


async def test_who_comes_back_by_such_a_token_gets_history_and_the_trades_between() -> (
    None
):
    async with house() as h:
        async with h.listening("AAPL", kinds=BOTH, start_ns=START) as first:
            await h.trade("AAPL")
        await h.trade("AAPL")
        h.past.release("AAPL")
        async with h.listening(
            "AAPL", kinds=BOTH, start_ns=START, token=first.token
        ) as again:
            await h.told()
            await h.trade("AAPL")

            told = numbers([*first.trades(), *again.trades()])
            assert told == row(3, told[0] - 1)
            assert again.minutes() == [-3, -2, -1, 0, 0]
            assert again.token is not None
            assert not again.token.history_due


async def test_who_comes_back_after_history_gets_only_what_came_since() -> None:
    async with house() as h:
        h.past.release("AAPL")
        async with h.listening("AAPL", kinds=BOTH, start_ns=START) as first:
            await h.trade("AAPL")
            await h.trade("AAPL")
        await h.trade("AAPL")
        async with h.listening(
            "AAPL", kinds=BOTH, start_ns=START, token=first.token
        ) as again:
            await h.told()

            for kind in (Listener.bars, Listener.trades):
                told = numbers([*kind(first), *kind(again)])
                assert told == row(len(told), told[0] - 1)
                assert kind(again)
            assert h.past.asked == ["AAPL"]


async def test_the_second_to_join_is_told_the_forming_bar_as_it_stands() -> None:
    async with house() as h, h.listening("AAPL") as first:
        await h.trade("AAPL", price=100.0)
        await h.trade("AAPL", price=103.0)
        async with h.listening("AAPL") as second:
            (bar,) = second.bars()
            assert (bar.close, bar.trade_count) == (103.0, 2)
            assert bar.state is BarState.PARTIAL
            assert second.messages == 1
            ((kind, of, before),) = second.events()
            assert (kind, of) == ("subscribed", TickKind.BARS)
            assert bar.sequence == before + 1
            assert second.token is not None
            assert second.token.position == h.hub.publisher.position

            await h.trade("AAPL", price=104.0)
            assert numbers(second.bars()) == row(2, before)
            assert second.bars()[-1] is first.bars()[-1]


async def test_of_a_symbol_that_did_not_trade_no_bar_is_told() -> None:
    async with house() as h, h.listening("AAPL"), h.listening("AAPL") as second:
        assert second.bars() == []
        assert [kind for kind, _, _ in second.events()] == ["subscribed"]


async def test_who_joins_while_the_vendor_is_away_is_told_the_bar_and_that() -> None:
    async with house() as h, h.listening("AAPL"):
        await h.trade("AAPL")
        h.vendor.down = True
        h.vendor.line.breaks()
        await h.told()
        async with h.listening("AAPL") as second:
            assert len(second.bars()) == 1
            ((kind, of, _),) = second.events()
            assert (kind, of) == ("stale", TickKind.BARS)


async def test_who_leaves_before_history_came_leaves_nothing_behind() -> None:
    async with house() as h:
        async with h.listening("AAPL", "TSLA", start_ns=START):
            await h.trade("AAPL")
        await h.clock.advance(LIMITS.linger_seconds + 1)
        await h.clock.advance(1)

        assert h.hub.counts["subscribers"] == h.hub.counts["channels"] == 0
        names = {task.get_name() for task in asyncio.all_tasks()}
        work = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        assert "live hub" in names
        assert not work & {"Historian.ask", "Mailbox.get"}


async def test_who_comes_back_while_nothing_comes_hears_that_first() -> None:
    trades = frozenset({TickKind.TRADES})
    async with house() as h:
        async with h.listening("AAPL", kinds=trades) as first:
            await h.trade("AAPL")
        await h.trade("AAPL")
        h.vendor.down = True
        h.vendor.line.breaks()
        await h.told()
        async with h.listening("AAPL", kinds=trades, token=first.token) as again:
            await h.told()

            (one,) = first.trades()
            assert again.events()[0] == ("stale", TickKind.TRADES, one.sequence)
            assert numbers(again.trades()) == [one.sequence + 1]
