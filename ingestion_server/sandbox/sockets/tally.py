"""What was sent on the streams of one vendor."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Final

from ingestion_server.sandbox.sockets.speech import Trade
from ingestion_server.sandbox.tally import OTHERS

MOST_SYMBOLS: Final = 2000
"""Symbols that are counted each by itself."""
MOST_TRADES: Final = 200_000
"""Trades of one symbol that can be looked up, the last ones."""
MOST_TRADES_OF_ALL: Final = 4_000_000
"""In a hundred megabytes."""
_SLACK: Final = MOST_TRADES // 4
"""Forgotten at once, so that few trades are moved to make room."""


class Sent:
    """Remember the last trades of one symbol, in the order they were sent."""

    def __init__(self) -> None:
        self._time_ms = array("q")
        self._price = array("d")
        self._size = array("d")

    def __len__(self) -> int:
        """Return the number of trades remembered."""
        return len(self._time_ms)

    def add(self, trade: Trade) -> None:
        """Remember one trade."""
        self._time_ms.append(trade.time_ms)
        self._price.append(trade.price)
        self._size.append(trade.size)

    def forget(self, count: int) -> None:
        """Forget so many of the oldest."""
        for column in (self._time_ms, self._price, self._size):
            del column[:count]

    def document(self) -> dict[str, object]:
        """Return the trades as they are shown."""
        return {
            "time_ms": self._time_ms[-MOST_TRADES:].tolist(),
            "price": self._price[-MOST_TRADES:].tolist(),
            "size": self._size[-MOST_TRADES:].tolist(),
        }


class StreamTally:
    """Count what came and went on the streams of one vendor."""

    def __init__(self) -> None:
        self.connections_opened = 0
        self.subscribe_messages = 0
        self.unsubscribe_messages = 0
        self._counted: Counter[str] = Counter()
        self._sent: dict[str, Sent] = {}
        self._remembered = 0

    def send(self, trades: Iterable[Trade]) -> None:
        """Count trades that were written to a connection."""
        for trade in trades:
            symbol = trade.symbol
            if symbol not in self._counted and len(self._counted) >= MOST_SYMBOLS:
                symbol = OTHERS
            self._counted[symbol] += 1
            sent = self._sent.setdefault(symbol, Sent())
            sent.add(trade)
            self._remembered += 1
            if len(sent) > MOST_TRADES + _SLACK:
                self._forget(sent, _SLACK)
        while self._remembered > MOST_TRADES_OF_ALL:
            longest = max(self._sent.values(), key=len)
            self._forget(longest, len(longest) // 2)

    def sent(self, symbol: str) -> dict[str, object]:
        """Return the last trades of a symbol, oldest first as they were sent."""
        return self._sent.get(symbol, Sent()).document()

    def document(self) -> dict[str, object]:
        """Return the counts as they are shown."""
        return {
            "connections_opened": self.connections_opened,
            "trades_sent": dict(self._counted),
            "subscribe_messages": self.subscribe_messages,
            "unsubscribe_messages": self.unsubscribe_messages,
        }

    def _forget(self, sent: Sent, count: int) -> None:
        sent.forget(count)
        self._remembered -= count
