"""Of symbols that are silent from the start, it is asked once whether they exist."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping

from ingestion_server.domain.errors import ProviderError, SymbolUnknownError
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.unheard import Unheard
from tests.ingest.live.letters import publisher
from tests.ingest.live.ticks import TEN, trade

BEGUN = 1000.0
UNKNOWN = SymbolUnknownError("never heard", provider="acme")


class Inquiry:
    """Have channels whose data came, of which nothing was heard."""

    def __init__(self, *symbols: str, known: tuple[str, ...] = ()) -> None:
        self.known = known
        self.asked: list[list[str]] = []
        self.rejected: list[str] = []
        self.work: list[Coroutine[None, None, None]] = []
        self.unheard = Unheard(
            self._unknown,
            lambda channel, _: self.rejected.append(channel.symbol),
            lambda work, _: self.work.append(work),
        )
        self.channels = [self._channel(symbol) for symbol in symbols]

    async def look(self, now: float) -> None:
        """Look, and do what is to be done."""
        self.unheard.look(now)
        await asyncio.gather(*self.work)
        self.work.clear()

    def _channel(self, symbol: str) -> Channel:
        channel = Channel(
            instrument(symbol),
            TickKind.TRADES,
            Route(("acme",)),
            publisher().partition(symbol, TickKind.TRADES),
            {"acme": symbol},
        )
        channel.since_ns, channel.begun_at = TEN, BEGUN
        self.unheard.add(channel)
        return channel

    async def _unknown(
        self, instruments: list[Instrument]
    ) -> Mapping[Instrument, ProviderError]:
        self.asked.append([each.symbol for each in instruments])
        return {each: UNKNOWN for each in instruments if each.symbol not in self.known}


async def test_who_is_silent_is_asked_about_once_and_rejected_if_nobody_knows_it() -> (
    None
):
    desk = Inquiry("QUIET", "NONE", "NONE", known=("QUIET",))

    await desk.look(BEGUN + 2.9)
    assert desk.asked == []
    await desk.look(BEGUN + 3.0)
    await desk.look(BEGUN + 60.0)

    assert desk.asked == [["QUIET", "NONE"]]
    assert desk.rejected == ["NONE", "NONE"]


async def test_who_was_heard_or_left_or_never_begun_is_not_asked_about() -> None:
    desk = Inquiry("HEARD", "LEFT", "WAITS")
    heard, left, waits = desk.channels
    heard.latest = trade()
    desk.unheard.remove(left)
    waits.since_ns = 0

    await desk.look(BEGUN + 60.0)

    assert desk.asked == []


async def test_of_many_ten_are_asked_about_every_twenty_seconds() -> None:
    symbols = [f"S{number}" for number in range(25)]
    desk = Inquiry(*symbols, known=("S0",))

    for second in range(60):
        await desk.look(BEGUN + 3.0 + second)

    assert desk.asked == [symbols[:10], symbols[10:20], symbols[20:]]
    assert desk.rejected == symbols[1:]


async def test_no_two_questions_are_under_way_at_once() -> None:
    desk = Inquiry(*[f"S{number}" for number in range(20)])
    desk.unheard.look(BEGUN + 3.0)
    desk.unheard.look(BEGUN + 60.0)
    assert len(desk.work) == 1

    await desk.look(BEGUN + 61.0)
    await desk.look(BEGUN + 62.0)

    assert [len(asked) for asked in desk.asked] == [10, 10]


async def test_who_is_heard_while_others_are_asked_about_is_not_asked_about() -> None:
    desk = Inquiry(*[f"S{number}" for number in range(20)])
    await desk.look(BEGUN + 3.0)

    for channel in desk.channels[10:]:
        channel.latest = trade()
    await desk.look(BEGUN + 60.0)

    assert len(desk.asked) == 1


async def test_who_is_heard_while_it_is_asked_stays() -> None:
    desk = Inquiry("LATE")
    desk.unheard.look(BEGUN + 3.0)
    desk.channels[0].latest = trade()
    await asyncio.gather(*desk.work)

    assert desk.asked == [["LATE"]]
    assert desk.rejected == []
