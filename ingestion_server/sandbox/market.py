"""One deterministic market: a function of seed, symbol and time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ingestion_server.sandbox.days import label_ns
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument
from ingestion_server.sandbox.schedule import Schedules, SessionSource, since

_HISTORIES_KEPT: Final = 64
"""Half a megabyte of days each, and some megabytes of minutes where asked."""


class Market:
    """Remember the histories of the instruments asked for last."""

    def __init__(self, seed: int, source: SessionSource) -> None:
        self._seed = seed
        self._schedules = Schedules(source)
        self._histories: OrderedDict[str, History] = OrderedDict()

    async def history(self, instrument: Instrument) -> History:
        """Return the past of an instrument."""
        symbol = instrument.symbol
        if symbol in self._histories:
            self._histories.move_to_end(symbol)
            return self._histories[symbol]
        sessions = await self._schedules.of(instrument.venue)
        listed = since(sessions, label_ns(instrument.listed))
        made = History(self._seed, instrument, listed)
        self._histories[symbol] = made
        if len(self._histories) > _HISTORIES_KEPT:
            self._histories.popitem(last=False)
        return made
