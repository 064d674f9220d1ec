"""How live data stand at the moment, for one subscriber who has heard nothing yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.ticks import LiveBar
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.publishing import Partition
from ingestion_server.ports.live import StreamEvent, StreamEventKind

if TYPE_CHECKING:
    from ingestion_server.ingest.live.hub import Hub
    from ingestion_server.ingest.live.resuming import Missed
    from ingestion_server.ingest.live.subscriber import Subscriber


def opening(
    hub: Hub, subscriber: Subscriber, missed: Missed | None
) -> tuple[list[StreamEvent], list[LiveBar]]:
    """Return what a subscriber is told first; that it waits for more is noted."""
    before: dict[Partition, int] = {}
    bars: list[LiveBar] = []
    if missed is None and not subscriber.past_wanted:
        for each in subscriber.lines:
            forming = each.line.builder.unfinished()
            before[each.line.partition] = number(forming, each.line.partition)
            bars += forming
    events: list[StreamEvent] = []
    for channel, partition in subscriber.sources():
        if not channel.live:
            channel.awaiting[subscriber] = None
            silent = away(hub, channel, partition)
            if silent is not None:
                if missed is not None:
                    # What was missed follows it.
                    silent = replace(silent, sequence=missed.before(partition))
                events.append(silent)
        elif partition in subscriber.partitions(channel):
            event = hub.subscribed_event(channel, partition)
            sequence = before.get(partition, event.sequence)
            if missed is not None:
                sequence = missed.before(partition)
            events.append(replace(event, sequence=sequence))
    if missed is not None:
        events += missed.gaps
    return events, bars


def away(hub: Hub, channel: Channel, partition: Partition) -> StreamEvent | None:
    """Return what tells that a vendor's data do not come; None if they never have."""
    if not channel.active:
        return None
    pump = hub.sources.pumps[channel.active]
    return StreamEvent(
        kind=StreamEventKind.STALE,
        time_ns=hub.publisher.now_ns(),
        symbol=channel.symbol,
        tick_kind=partition.kind,
        sequence=partition.sequence,
        detail=pump.cause or f"{channel.active} is away",
    )


def joined(told: Sequence[LiveBar], ours: Sequence[LiveBar]) -> list[LiveBar]:
    """
    Return the bars of a history and those that we have built, each once, ascending.

    Of a bar that both have, a vendor's last word comes first, then ours if it is
    whole, then the vendor's.
    """
    bars = {bar.open_time_ns: bar for bar in told}
    for bar in ours:
        theirs = bars.get(bar.open_time_ns)
        if theirs is None or (
            theirs.state is BarState.PARTIAL and bar.state is not BarState.PARTIAL
        ):
            bars[bar.open_time_ns] = bar
    return [bars[open_ns] for open_ns in sorted(bars)]


def number(bars: Sequence[LiveBar], partition: Partition) -> int:
    """
    Number bars so that what is published next goes on from them.

    Return the number before the first of them.
    """
    before = partition.sequence - len(bars)
    for sequence, bar in enumerate(bars, start=before + 1):
        bar.symbol, bar.sequence = partition.symbol, sequence
    return before
