"""One vendor's live data: its pump, what is left out of them, and whom they feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import final

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Quote, TickMark, Trade
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.checks import Duplicates, TickChecks
from ingestion_server.ingest.live.pump import Pump
from ingestion_server.ports.stream import Heard


@final
class Source:
    """Feed channels; the pump wants each symbol as long as any of them does."""

    def __init__(self, pump: Pump) -> None:
        delay_seconds = pump.upstream.declaration.feed_delay_seconds or 0.0
        self.pump = pump
        self.checks = TickChecks(feed_delay_seconds=delay_seconds)
        self.duplicates = Duplicates()
        self.fed: dict[str, tuple[Channel, ...]] = {}
        """Which channels, by the symbol as the vendor spells it."""
        self.delay_ns = int(delay_seconds * SECOND_NS)
        """How late its data are."""

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return self.pump.provider

    @property
    def channels(self) -> list[Channel]:
        """Return all that it feeds."""
        return [channel for channels in self.fed.values() for channel in channels]

    def feeds(self, channel: Channel) -> bool:
        """Return whether it feeds a channel."""
        return channel in self.fed.get(channel.spelled[self.name], ())

    def feed(self, channel: Channel) -> bool:
        """Begin to feed a channel; return whether its data come from now on."""
        symbol = channel.spelled[self.name]
        channels = self.fed.get(symbol, ())
        if channel in channels:
            return False
        self.fed[symbol] = (*channels, channel)
        self.pump.want(symbol)
        return self.pump.subscribed(symbol)

    def unfeed(self, channel: Channel) -> None:
        """Feed a channel no more."""
        symbol = channel.spelled[self.name]
        channels = self.fed.get(symbol, ())
        if channel not in channels:
            return
        self.fed[symbol] = tuple(each for each in channels if each is not channel)
        if not self.fed[symbol]:
            del self.fed[symbol]
            self.pump.unwant(symbol)
            self.duplicates.forget(symbol)

    def take(  # noqa: C901, PLR0912 - a call for each tick would cost a tenth
        self,
        said: Sequence[Heard],
        now_ns: int,
        ready: Callable[[Channel], None],
        told: Callable[[Source, Heard], None],
    ) -> int:
        """
        Let channels have the ticks that are theirs; return how many nobody may have.

        ``ready`` is called with each channel that had none before, and ``told`` with
        all that is no tick, in its place among them.
        """
        name, fed, checks = self.name, self.fed, self.checks
        after_ns, until_ns = checks.believed_ns(now_ns)
        left_out = 0
        for each in said:
            if type(each) is Trade:
                channels = fed.get(each.symbol)
                if not channels:
                    continue
                size = each.size
                # What nearly all trades are; the others are looked at more closely.
                sound = (
                    0.0 < each.price < inf
                    and (size is None or 0.0 <= size < inf)
                    and after_ns < each.time_ns <= until_ns
                )
                if (not sound and checks.trade(each, now_ns)) or (
                    each.trade_id and self.duplicates.seen(each)
                ):
                    left_out += 1
                    continue
                of_trades = True
            elif type(each) is Quote:
                channels = fed.get(each.symbol)
                if not channels:
                    continue
                if checks.quote(each, now_ns):
                    left_out += 1
                    continue
                of_trades = False
            else:
                told(self, each)
                continue
            if each.provider != name:
                each.provider = name
            first = True
            for channel in channels:
                if channel.active != name or channel.of_trades is not of_trades:
                    continue
                if each.time_ns <= channel.floor_ns:
                    continue
                tick = each if first else _copy(each)
                first = False
                if tick.symbol != channel.symbol:
                    tick.symbol = channel.symbol
                if not channel.pending:
                    ready(channel)
                channel.pending.append(tick)
        return left_out


def _copy(tick: Trade | Quote) -> Trade | Quote:
    if isinstance(tick, Trade):
        return Trade(
            tick.symbol,
            tick.time_ns,
            tick.price,
            tick.size,
            tick.conditions,
            tick.trade_id,
            tick.marks & ~TickMark.OUT_OF_ORDER,
            tick.received_at_ns,
            tick.provider,
        )
    return Quote(
        tick.symbol,
        tick.time_ns,
        tick.bid,
        tick.bid_size,
        tick.ask,
        tick.ask_size,
        tick.marks & ~TickMark.OUT_OF_ORDER,
        tick.received_at_ns,
        tick.provider,
    )
