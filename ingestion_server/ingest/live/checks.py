"""
What is looked at before a tick is believed.

A trade or quote that cannot be true is left out, with the reason; one whose time is
odd is marked, since its price may be right all the same.
"""

from __future__ import annotations

from math import inf
from typing import Final, final

from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.ticks import Quote, TickMark, Trade

_DOUBTFUL: Final = int(TickMark.TIME_DOUBTFUL)
"""As a plain number: to combine enums takes longer than all the rest."""
_DOUBTFUL_SECONDS: Final = 60.0
_MOST_IDS: Final = 1_000

_BAD_PRICE: Final = "the price is not a number above zero"
_BAD_SIZE: Final = "the size is negative or not a number"
_BAD_TIME: Final = "the time is before 1970 or more than a day ahead"
_BAD_BID: Final = "the bid is not a number above zero"
_BAD_ASK: Final = "the ask is not a number above zero"
_NO_PRICES: Final = "there is neither a bid nor an ask"
_CROSSED: Final = "the bid is above the ask"


@final
class TickChecks:
    """Judge trades and quotes of one vendor."""

    def __init__(
        self,
        *,
        feed_delay_seconds: float = 0.0,
        doubtful_seconds: float = _DOUBTFUL_SECONDS,
    ) -> None:
        """
        Set up.

        Args:
            feed_delay_seconds: how late the vendor says its data are: so much older
                a time may be.
            doubtful_seconds: a time that is so much ahead of our clock is not
                believed; how far the two clocks may be apart.

        """
        self._ahead_ns = round(doubtful_seconds * SECOND_NS)
        # A quiet symbol's latest trade may be hours old when it is told, but what
        # took place on another day is no news.
        self._behind_ns = -DAY_NS - round(feed_delay_seconds * SECOND_NS)

    def believed_ns(self, now_ns: int) -> tuple[int, int]:
        """Return after when a time is believed, and until when."""
        return max(now_ns + self._behind_ns, 0), now_ns + self._ahead_ns

    def trade(self, trade: Trade, now_ns: int) -> str:
        """Return why a trade is left out, or ``""``, having marked a doubtful time."""
        if not 0.0 < trade.price < inf:
            return _BAD_PRICE
        size = trade.size
        if size is not None and not 0.0 <= size < inf:
            return _BAD_SIZE
        if trade.time_ns <= 0 or trade.time_ns - now_ns > DAY_NS:
            return _BAD_TIME
        after_ns, until_ns = self.believed_ns(now_ns)
        if not after_ns < trade.time_ns <= until_ns:
            trade.marks |= _DOUBTFUL
        return ""

    def quote(self, quote: Quote, now_ns: int) -> str:
        """Return why a quote is left out, or ``""``, having marked a doubtful time."""
        wrong = _wrong(quote)
        if wrong:
            return wrong
        if quote.time_ns <= 0 or quote.time_ns - now_ns > DAY_NS:
            return _BAD_TIME
        after_ns, until_ns = self.believed_ns(now_ns)
        if not after_ns < quote.time_ns <= until_ns:
            quote.marks |= _DOUBTFUL
        return ""


@final
class Duplicates:
    """
    Recognise trades that one vendor tells twice, where it gives them ids.

    Without ids equal trades are different ones: three lots of a hundred in the same
    millisecond are real.
    """

    def __init__(self, *, most_per_symbol: int = _MOST_IDS) -> None:
        """Remember at most so many of the latest trades of each symbol."""
        self._most = most_per_symbol
        self._known: dict[str, dict[tuple[int, float, float | None, str], None]] = {}

    def seen(self, trade: Trade) -> bool:
        """Tell whether the trade came before; if not, remember it."""
        if not trade.trade_id:
            return False
        known = self._known.get(trade.symbol)
        if known is None:
            known = self._known[trade.symbol] = {}
        key = (trade.time_ns, trade.price, trade.size, trade.trade_id)
        if key in known:
            return True
        known[key] = None
        if len(known) > self._most:
            del known[next(iter(known))]
        return False

    def forget(self, symbol: str) -> None:
        """Drop what is known of a symbol that nobody wants any more."""
        self._known.pop(symbol, None)


def _wrong(quote: Quote) -> str:
    bid, ask = quote.bid, quote.ask
    if bid is None and ask is None:
        return _NO_PRICES
    if bid is not None and not 0.0 < bid < inf:
        return _BAD_BID
    if ask is not None and not 0.0 < ask < inf:
        return _BAD_ASK
    if bid is not None and ask is not None and bid > ask:
        return _CROSSED
    for size in (quote.bid_size, quote.ask_size):
        if size is not None and not 0.0 <= size < inf:
            return _BAD_SIZE
    return ""
