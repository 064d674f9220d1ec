"""Live bars of one channel: told as they form, and when they are over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import final

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.ticks import LiveBar, Trade
from ingestion_server.ingest.live.bars import BarBuilder, Closed
from ingestion_server.ingest.live.labels import BarLabels
from ingestion_server.ingest.live.publishing import Partition, Publisher


@final
class BarLine:
    """Build bars, and publish them."""

    def __init__(  # noqa: PLR0913 - its parts
        self,
        partition: Partition,
        labels: BarLabels,
        hours: TradingHours,
        publisher: Publisher,
        confirm: Callable[[BarLine, int, int], None],
        *,
        since_ns: int,
        grace_seconds: float,
    ) -> None:
        """``confirm`` is told the bars of which a vendor's own is needed."""
        self.partition = partition
        self.labels = labels
        self.hours = hours
        self.builder = BarBuilder(
            partition.symbol,
            labels,
            since_ns=since_ns,
            grace_ns=int(grace_seconds * SECOND_NS),
        )
        self.subscribers = 0
        self.left_at: float | None = None
        """Since when nobody subscribes to it, in monotonic seconds."""
        self._publisher = publisher
        self._confirm = confirm
        self._told_at = 0.0

    @property
    def interval(self) -> Interval:
        """Return the length of its bars."""
        return self.labels.interval

    def add(self, trades: Iterable[Trade]) -> None:
        """Take trades that were published; a bar that was final is told anew."""
        revised: dict[int, LiveBar] = {}
        for trade in trades:
            bar = self.builder.add(trade)
            if bar is not None:
                revised[bar.open_time_ns] = bar
        self._publish(revised.values())

    def tell(self, now: float, every_seconds: float) -> None:
        """Tell what has changed of bars that form, but not too often."""
        if now - self._told_at < every_seconds:
            return
        self._told_at = now
        self._publish(self.builder.forming())

    def close(self, vendor_now_ns: int) -> None:
        """Tell the bars that are over by a time of the vendor's."""
        self._over(self.builder.close(vendor_now_ns))

    def doubt(self, from_ns: int, to_ns: int | None = None) -> None:
        """Hear that trades may be missing."""
        self._over(self.builder.doubt(from_ns, to_ns))

    def trust(self, from_ns: int, to_ns: int | None) -> None:
        """Hear that none are missing after all."""
        self._publish(self.builder.trust(from_ns, to_ns))

    def serve(self, bar: LiveBar) -> None:
        """Tell the vendor's own bar in place of ours."""
        self.builder.settle(bar.open_time_ns)
        bar.symbol, bar.interval = self.partition.symbol, self.interval
        self._publish([bar])

    def _over(self, closed: Iterable[Closed]) -> None:
        for each in closed:
            if each.bar is not None:
                self._publish([each.bar])
            if not each.whole:
                self._confirm(self, each.open_ns, each.end_ns)

    def _publish(self, bars: Iterable[LiveBar]) -> None:
        found = list(bars)
        if found:
            self._publisher.publish(self.partition, found)
