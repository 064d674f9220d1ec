"""One deterministic market: a function of seed, symbol and time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np

from ingestion_server.domain.sessions import Sessions
from ingestion_server.sandbox.days import MINUTE_NS, label_ns
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind
from ingestion_server.sandbox.news import (
    Correction,
    Item,
    News,
    NewsError,
    NewSplit,
    started_ns,
)
from ingestion_server.sandbox.schedule import Schedules, SessionSource, since

_HISTORIES_KEPT: Final = 64
"""Half a megabyte of days each, and some megabytes of minutes where asked."""
MOST_NEWS: Final = 1000
"""Items of news of the whole market."""
_OF_SHARES: Final = frozenset({Kind.EQUITY, Kind.ETF})
_NONE: Final = News()


class Market:
    """Remember the histories of the instruments asked for last."""

    def __init__(self, seed: int, source: SessionSource) -> None:
        self._seed = seed
        self._schedules = Schedules(source)
        self._histories: OrderedDict[str, History] = OrderedDict()
        self._news: dict[str, News] = {}

    @property
    def seed(self) -> int:
        """Return what the market is a function of, beside symbol and time."""
        return self._seed

    def news_of(self, instrument: Instrument) -> News:
        """Return what was told of an instrument; another object after each news."""
        return self._news.get(instrument.symbol, _NONE)

    async def history(self, instrument: Instrument) -> History:
        """Return the past of an instrument."""
        symbol = instrument.symbol
        if symbol in self._histories:
            self._histories.move_to_end(symbol)
            return self._histories[symbol]
        sessions = await self._sessions(instrument)
        # News that came meanwhile count as well.
        news = self._news.get(symbol, _NONE)
        made = History(self._seed, instrument, sessions, news)
        self._histories[symbol] = made
        if len(self._histories) > _HISTORIES_KEPT:
            self._histories.popitem(last=False)
        return made

    async def tell(self, instrument: Instrument, item: Item, now_ns: int) -> None:
        """
        Have news from now on.

        What the instrument cannot have raises ``NewsError`` and changes nothing.
        """
        sessions = await self._sessions(instrument)
        if sum(map(len, self._news.values())) >= MOST_NEWS:
            raise NewsError(f"there are {MOST_NEWS} news already; clear them")
        news = self._news.get(instrument.symbol, _NONE)
        known = History(self._seed, instrument, sessions, news)
        _check(known, item, now_ns)
        news = news.and_also(item)
        History(self._seed, instrument, sessions, news)
        self._news[instrument.symbol] = news
        self._histories.pop(instrument.symbol, None)

    def forget_news(self) -> None:
        """Let the market be what its seed says."""
        for symbol in self._news:
            self._histories.pop(symbol, None)
        self._news.clear()

    async def _sessions(self, instrument: Instrument) -> Sessions:
        sessions = await self._schedules.of(instrument.venue)
        return since(sessions, label_ns(instrument.listed))


def _check(history: History, item: Item, now_ns: int) -> None:
    if item.label_ns not in history.sessions.labels_ns[1:]:
        raise NewsError("date must be a session, and not the first")
    if isinstance(item, Correction):
        _check_correction(history, item, now_ns)
        return
    symbol, splits = history.instrument.symbol, history.instrument.splits
    if history.instrument.kind not in _OF_SHARES:
        raise NewsError(f"{symbol} has neither splits nor dividends")
    known = (
        [label_ns(split.date) for split in splits]
        if isinstance(item, NewSplit)
        else history.dividend_labels
    )
    if item.label_ns in known:
        raise NewsError("date has one already")


def _check_correction(history: History, item: Correction, now_ns: int) -> None:
    sessions = history.sessions
    number = int(np.searchsorted(sessions.labels_ns, item.label_ns))
    end_ns = int(sessions.closes_ns[number])
    if item.minute is not None:
        end_ns = started_ns(item, sessions.zone) + MINUTE_NS
    if end_ns > now_ns:
        raise NewsError("the bar must have ended")
    if item.volume is not None and not history.instrument.pays_volume:
        raise NewsError(f"{history.instrument.symbol} has no volume")
