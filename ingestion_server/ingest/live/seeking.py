"""
Finding a stretch of time in a vendor's list of trades, with as few calls as can be.

A list has up to millions of trades, and grows at its end while it is read. It can be
asked for places, and not for times; but it ascends, so the place of a time is found
by halving. What is wanted has most often just passed, so the end is looked at first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
)
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import Trade
from ingestion_server.ports.stream import TradePage

MOST_PAGES: Final = 8
"""So many pages of trades a gap is worth, and at most two more that hold its ends."""
_ROOM: Final = 0.9
"""Part of the last page that is known to be there; the rest is for what is new."""


class Part(msgspec.Struct, frozen=True):
    """Be some places of a list."""

    first: int
    count: int


class _Read(msgspec.Struct, frozen=True):
    """Hold a page that is there already, with its place."""

    first: int
    page: TradePage


@final
class Search:
    """Find the trades of one stretch in one list; for one use."""

    def __init__(self, span: Span, *, provider: str, page_trades: int) -> None:
        """Set up; no part is longer than ``page_trades``, two at least."""
        self._span = span
        self._provider = provider
        self._page_trades = page_trades
        self._most_trades = MOST_PAGES * page_trades
        self._total = 0
        self._places: list[int] = []
        """Whose trades are known, ascending."""
        self._known: list[Trade] = []

    def parts(self) -> Generator[Part, TradePage, Sequence[Trade]]:
        """
        Yield the parts to ask for, and return trades, all of the span among them.

        Of parts of a list they ascend; of a whole one they are as the vendor has them.

        Raises:
            MalformedPayloadError: The answers contradict each other.
            CapabilityMissingError: The span holds more trades than are worth it.

        """
        first = _Read(0, (yield from self._told(0, self._page_trades)))
        if len(first.page.trades) == self._total:
            return first.page.trades
        if first.page.trades[-1].time_ns >= self._span.start_ns:
            yield from self._check_length(self._from(self._span.start_ns))
            return (yield from self._joined(0, first))
        known = self._page_trades - 1
        place = max(known, self._total - int(self._page_trades * _ROOM))
        last = _Read(place, (yield from self._told(place, self._page_trades)))
        if place == known or last.page.trades[0].time_ns < self._span.start_ns:
            return (yield from self._joined(place, last))
        low = yield from self._place_before(known, place)
        return (yield from self._joined(low, last))

    def _place_before(self, low: int, high: int) -> Generator[Part, TradePage, int]:
        """Return a place before the span begins, so near that one page reaches it."""
        while high - low >= self._page_trades:
            # A span that begins before the second of these is too long.
            middle = max((low + high) // 2, self._ending() - self._most_trades)
            page = yield from self._told(middle, 1)
            if page.trades[0].time_ns < self._span.start_ns:
                low = middle
            else:
                high = middle
                self._refuse_if_long(high)
        yield from self._check_length(high)
        return low

    def _joined(
        self, place: int, there: _Read
    ) -> Generator[Part, TradePage, Sequence[Trade]]:
        """Return what is listed from a place on; each page begins with the last row."""
        trades: list[Trade] = []
        while True:
            if place == there.first:
                page = there.page
            else:
                # Pages overlap by one: were rows put in between, it would be another.
                count = self._page_trades
                if place < there.first:
                    count = min(count, there.first - place + 1)
                page = yield from self._told(place, count)
            trades.extend(page.trades[1:] if trades else page.trades)
            place += len(page.trades) - 1
            if place + 1 >= page.total or trades[-1].time_ns >= self._span.end_ns:
                return trades

    def _check_length(self, start: int) -> Generator[Part, TradePage, None]:
        """Refuse a span that is too long, if need be after a look at its end."""
        self._refuse_if_long(start)
        end = self._from(self._span.end_ns)
        if end - start > self._most_trades + self._page_trades:
            yield from self._told(start + self._most_trades, 1)
            self._refuse_if_long(start)

    def _refuse_if_long(self, start: int) -> None:
        """Refuse a span that is known to be too long from a place within it on."""
        if self._ending() - start >= self._most_trades:
            raise CapabilityMissingError(
                f"the gap holds more than {self._most_trades} trades",
                provider=self._provider,
            )

    def _ending(self) -> int:
        """Return the last place that is known to be before the end of the span."""
        number = bisect_left(self._known, self._span.end_ns, key=_time_ns)
        return self._places[number - 1] if number else -1

    def _from(self, time_ns: int) -> int:
        """Return the first known place of a time or later; the end if there is none."""
        number = bisect_left(self._known, time_ns, key=_time_ns)
        return self._places[number] if number < len(self._places) else self._total

    def _told(self, first: int, count: int) -> Generator[Part, TradePage, TradePage]:
        """Ask for a part, and hold it against all that is known."""
        page = yield Part(first, count)
        trades = page.trades
        if (page.first, page.count) != (first, len(trades)):
            raise self._contradiction(
                f"sent {len(trades)} trades from {first} on and calls them "
                f"{page.count} from {page.first} on"
            )
        if page.total < self._total:
            raise self._contradiction(f"counts {page.total} after {self._total}")
        if len(trades) != min(count, max(page.total - first, 0)):
            raise self._contradiction(
                f"counts {page.total} and sent {len(trades)} of {count} from {first} on"
            )
        self._total = page.total
        if len(trades) == self._total:
            # All of it is here, so nothing depends on the order.
            return page
        if any(later.time_ns < each.time_ns for each, later in pairwise(trades)):
            raise self._contradiction("are not listed by their time")
        self._keep(first, trades[0])
        self._keep(first + len(trades) - 1, trades[-1])
        return page

    def _keep(self, place: int, trade: Trade) -> None:
        number = bisect_left(self._places, place)
        if self._places[number : number + 1] == [place]:
            known = self._known[number]
            if (known.time_ns, known.price, known.size) != (
                trade.time_ns,
                trade.price,
                trade.size,
            ):
                raise self._contradiction(f"are others at {place} than before")
            return
        around = [*self._known[max(number - 1, 0) : number], trade]
        around += self._known[number : number + 1]
        if any(later.time_ns < each.time_ns for each, later in pairwise(around)):
            raise self._contradiction("are not listed by their time")
        self._places.insert(number, place)
        self._known.insert(number, trade)

    def _contradiction(self, what: str) -> MalformedPayloadError:
        return MalformedPayloadError(
            f"{self._provider} contradicts itself: its trades {what}",
            provider=self._provider,
        )


def _time_ns(trade: Trade) -> int:
    return trade.time_ns
