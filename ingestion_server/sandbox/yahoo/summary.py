"""The market at this moment, in today's shares: what meta and quotes are made of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars
from ingestion_server.sandbox.days import SECOND_NS, zone_name, zone_offset_s
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind
from ingestion_server.sandbox.minutes import POST_MARKET_NS, PRE_MARKET_NS

_YEAR: Final = 252
_FX_DIGITS: Final = 6
_LAST_MINUTE_NS: Final = 60 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Period:
    """Hold one stretch of trading, epoch seconds."""

    zone: str
    start_s: int
    end_s: int

    def document(self) -> dict[str, object]:
        """Return the period as ``currentTradingPeriod`` writes it."""
        at_ns = self.start_s * SECOND_NS
        return {
            "timezone": zone_name(at_ns, self.zone),
            "start": self.start_s,
            "end": self.end_s,
            "gmtoffset": zone_offset_s(at_ns, self.zone),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Hold the last day and the year before it."""

    days: Bars
    """All days up to now, split-adjusted."""
    time_s: int
    """When the last price was made."""
    digits: int
    """Decimals of prices outside of the arrays."""

    @property
    def price(self) -> float:
        """Return the last price."""
        return self.rounded(self.days.close[-1])

    @property
    def previous_close(self) -> float:
        """Return the close of the day before."""
        return self.rounded(self.days.close[-2:][0])

    @property
    def year_high(self) -> float:
        """Return the highest price of the last year."""
        return self.rounded(self.days.high[-_YEAR:].max())

    @property
    def year_low(self) -> float:
        """Return the lowest price of the last year."""
        return self.rounded(self.days.low[-_YEAR:].min())

    def rounded(self, value: float | np.float64) -> float:
        """Return a price with the digits of the summary."""
        return round(float(value), self.digits)

    def average(self, days: int) -> float:
        """Return the mean close of so many days."""
        return self.rounded(self.days.close[-days:].mean())

    def average_volume(self, days: int) -> int:
        """Return the mean volume of so many days."""
        return int(self.days.volume[-days:].mean())


def summary_of(history: History, days: Bars, now_ns: int) -> Summary:
    """Return the market of an instrument at this moment."""
    close_ns = int(history.sessions.closes_ns[history.session_count(now_ns) - 1])
    return Summary(
        days=days,
        # Recorded: a second or two after the close.
        time_s=min(now_ns, close_ns + SECOND_NS) // SECOND_NS,
        digits=_FX_DIGITS if history.instrument.kind is Kind.CURRENCY else 3,
    )


def price_hint(instrument: Instrument) -> int:
    """Return the decimals Yahoo would show."""
    return 4 if instrument.kind is Kind.CURRENCY else 2


def yahoo_volume(instrument: Instrument, days: Bars) -> int:
    """Return the volume of the last day in Yahoo's unit."""
    volume = float(days.volume[-1]) * instrument.volume_unit
    if instrument.kind is Kind.CRYPTOCURRENCY:
        volume *= float(days.close[-1])
    return round(volume)


def trading_periods(history: History, now_ns: int) -> tuple[Period, Period, Period]:
    """Return early, regular and late trading of the current or last session."""
    lead = PRE_MARKET_NS if history.instrument.extended else 0
    begun = np.searchsorted(history.sessions.opens_ns - lead, now_ns, side="right")
    return session_periods(history, max(int(begun) - 1, 0))


def session_periods(history: History, number: int) -> tuple[Period, Period, Period]:
    """Return early, regular and late trading of a session by its number."""
    instrument, sessions = history.instrument, history.sessions
    lead, tail = (PRE_MARKET_NS, POST_MARKET_NS) if instrument.extended else (0, 0)
    open_ns, close_ns = int(sessions.opens_ns[number]), int(sessions.closes_ns[number])
    if instrument.continuous or instrument.kind is Kind.FUTURE:
        # Recorded: a day without end lasts until 23:59.
        close_ns -= _LAST_MINUTE_NS
    edges = [open_ns - lead, open_ns, close_ns, close_ns + tail]
    seconds = [edge // SECOND_NS for edge in edges]
    early, regular, late = (
        Period(sessions.zone, start, end) for start, end in pairwise(seconds)
    )
    return early, regular, late
