"""What is known of one bar from its trades."""

from __future__ import annotations

from typing import final

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.ticks import LiveBar, Trade


@final
class BarTally:
    """
    Add up the trades of one bar, in whatever order they come.

    The bar opens with the trade that took place first and closes with the one that
    took place last, by the vendor's time; of equal times, arrival decides. A trade of
    size 0 counts for the prices like any other, because those of currencies have no
    other size; it adds nothing to the volume.
    """

    __slots__ = (
        "_close",
        "_first_ns",
        "_high",
        "_last_ns",
        "_low",
        "_mixed",
        "_open",
        "_sampled",
        "_trades",
        "_turnover",
        "_unsized",
        "_volume",
        "changed",
        "closed",
        "end_ns",
        "open_ns",
        "provider",
        "published",
    )

    def __init__(self, open_ns: int, end_ns: int, trade: Trade) -> None:
        """Begin with a trade that is still to be added."""
        self.open_ns = open_ns
        self.end_ns = end_ns
        self.closed = False
        self.changed = False
        """Whether it is to be told anew."""
        self.published = BarState.PARTIAL
        """What it was said to be last."""
        self._first_ns = trade.time_ns
        self._last_ns = trade.time_ns
        self._open = self._high = self._low = self._close = trade.price
        self.provider = trade.provider
        """Who told its latest trade."""
        self._volume = 0.0
        self._turnover = 0.0
        self._trades = 0
        self._unsized = self._sampled = self._mixed = False

    def add(self, trade: Trade, *, sampled: bool) -> None:
        """Count one trade."""
        price, time_ns, size = trade.price, trade.time_ns, trade.size
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        if time_ns >= self._last_ns:
            self._last_ns = time_ns
            self._close = price
        elif time_ns < self._first_ns:
            self._first_ns = time_ns
            self._open = price
        if size is None:
            self._unsized = True
        else:
            self._volume += size
            self._turnover += price * size
        self._trades += 1
        if sampled:
            self._sampled = True
        if trade.provider != self.provider:
            self._mixed = True
            self.provider = trade.provider

    @property
    def whole(self) -> bool:
        """Tell whether all trades are of one vendor, and that tells them all."""
        return not (self._sampled or self._mixed)

    def bar(self, symbol: str, interval: Interval) -> LiveBar:
        """Return the bar as it stands, in the state that was published last."""
        volume = None if self._unsized or self._sampled else self._volume
        return LiveBar(
            symbol,
            self.open_ns,
            self._open,
            self._high,
            self._low,
            self._close,
            interval,
            volume,
            # Rounding must not carry it out of the bar.
            min(max(self._turnover / volume, self._low), self._high)
            if volume
            else None,
            None if self._sampled else self._trades,
            self.published,
            True,  # noqa: FBT003 - by position, because names take twice as long
            self.provider,
        )
