"""Every trade of the market: a function of seed, symbol and time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars
from ingestion_server.sandbox.days import DAY_NS, LAST_DAY, MINUTE_NS, SECOND_NS, Int64
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.minutes import PRE_MARKET_NS
from ingestion_server.sandbox.news import News
from ingestion_server.sandbox.prints import Prints, joined, quiet_prints, traded_prints
from ingestion_server.sandbox.seeding import generator
from ingestion_server.sandbox.walk import price_decimals

_SYMBOLS_KEPT: Final = 1024
"""Some seventy kilobytes of minutes each."""
_TRADES_KEPT: Final = 4_000_000
"""In a hundred megabytes: hours of a hundred symbols at two trades a second."""
_MINUTES_AT_ONCE: Final = 60
"""After so many that had to be made, others have their turn."""
_TIME_ENDS_NS: Final = LAST_DAY * DAY_NS
_LIVELY: Final = 0.4
"""How much busier than others some minutes are, as a logarithm."""


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """Hold the minutes of one symbol from one session to the next."""

    news: News
    begin_ns: int
    end_ns: int
    bars: Bars

    def holds(self, minute_ns: int, news: News) -> bool:
        """Tell whether a minute is one of these, and nothing was told since."""
        return self.begin_ns <= minute_ns < self.end_ns and self.news is news


class Tape:
    """
    Tell each trade of an instrument, also of the time to come.

    The trades of a minute that has a bar, in regular and extended hours, add up to
    that bar. A market on tape never sleeps: in all other minutes there are small
    trades around the last close, and those are in no bar.
    """

    def __init__(self, market: Market, *, per_second: float) -> None:
        self._market = market
        self._per_minute = per_second * (MINUTE_NS / SECOND_NS)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._minutes: OrderedDict[tuple[str, int], tuple[News, Prints]] = OrderedDict()
        self.trades_kept = 0
        """Trades in memory, so that what has just been told is not made again."""

    async def prints(
        self, instrument: Instrument, start_ns: int, end_ns: int
    ) -> Prints:
        """Return the trades in ``[start_ns, end_ns)``, none before the listing."""
        parts: list[Prints] = []
        made = 0
        first_ns = start_ns // MINUTE_NS * MINUTE_NS
        for minute_ns in range(first_ns, end_ns, MINUTE_NS):
            news = self._market.news_of(instrument)
            kept = self._minutes.get((instrument.symbol, minute_ns))
            if kept is None or kept[0] is not news:
                whole = await self._make(instrument, minute_ns, news)
                made += 1
                if made % _MINUTES_AT_ONCE == 0:
                    await asyncio.sleep(0)
            else:
                whole = kept[1]
            parts.append(whole.between(start_ns, end_ns))
        return joined(parts)

    async def _make(self, instrument: Instrument, minute_ns: int, news: News) -> Prints:
        session = self._sessions.get(instrument.symbol)
        if session is None or not session.holds(minute_ns, news):
            history = await self._market.history(instrument)
            # Some milliseconds of work, and a hundred symbols may begin at once.
            await asyncio.sleep(0)
            session = _session(history, minute_ns, news)
            self._sessions[instrument.symbol] = session
            if len(self._sessions) > _SYMBOLS_KEPT:
                self._sessions.popitem(last=False)
        made = self._minute(instrument, minute_ns, session.bars)
        self._keep((instrument.symbol, minute_ns), news, made)
        return made

    def _minute(self, instrument: Instrument, minute_ns: int, bars: Bars) -> Prints:
        place = int(np.searchsorted(bars.start_ns, minute_ns, side="right")) - 1
        if place < 0:
            return joined([])
        random = generator(self._market.seed, instrument.symbol, "tape", minute_ns)
        lively = np.exp(_LIVELY * random.standard_normal() - _LIVELY**2 / 2)
        count = int(random.poisson(self._per_minute * lively))
        bar = bars.at(slice(place, place + 1))
        decimals = int(price_decimals(bar.close, instrument)[0])
        if int(bar.start_ns[0]) == minute_ns:
            return traded_prints(random, bar, count, decimals, instrument)
        close = float(bar.close[0])
        return quiet_prints(random, minute_ns, close, count, decimals, instrument)

    def _keep(self, key: tuple[str, int], news: News, made: Prints) -> None:
        replaced = self._minutes.pop(key, None)
        if replaced is not None:
            self.trades_kept -= len(replaced[1])
        self._minutes[key] = news, made
        self.trades_kept += len(made)
        while self.trades_kept > _TRADES_KEPT and len(self._minutes) > 1:
            _, (_, oldest) = self._minutes.popitem(last=False)
            self.trades_kept -= len(oldest)


def _session(history: History, minute_ns: int, news: News) -> _Session:
    lead = PRE_MARKET_NS if history.instrument.extended else 0
    begins: Int64 = history.sessions.opens_ns - lead
    number = int(np.searchsorted(begins, minute_ns, side="right")) - 1
    after = number + 1
    return _Session(
        news=news,
        begin_ns=int(begins[number]) if number >= 0 else 0,
        end_ns=int(begins[after]) if after < len(begins) else _TIME_ENDS_NS,
        bars=history.minutes(number, after, _TIME_ENDS_NS, extended=True),
    )
