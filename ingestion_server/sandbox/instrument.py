"""What the simulated market lists: instruments, their calendars and their splits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Name the kind of an instrument, in Yahoo's words (``meta.instrumentType``)."""

    EQUITY = "EQUITY"
    ETF = "ETF"
    INDEX = "INDEX"
    CURRENCY = "CURRENCY"
    CRYPTOCURRENCY = "CRYPTOCURRENCY"
    FUTURE = "FUTURE"


@dataclass(frozen=True, slots=True)
class Venue:
    """Describe where an instrument trades."""

    code: str
    """Yahoo's ``exchangeName``, for example ``NMS``."""
    name: str
    """Yahoo's ``fullExchangeName``, for example ``NasdaqGS``."""
    calendar: str
    """Name asked of the session source; ``24/5`` and ``24/7`` are built here."""
    zone: str
    """IANA time zone."""
    currency: str
    """Currency of prices; ``GBp`` is pence."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Describe one random walk of log prices around an exponential trend."""

    key: str
    """Seeds the walk, together with the seed of the market."""
    level: float
    """Price at the anchor, 2025-01-01, adjusted for every split ever listed."""
    growth: float
    """Trend per year, as a logarithm."""
    volatility: float
    """Standard deviation of one day's logarithmic step."""


@dataclass(frozen=True, slots=True)
class Split:
    """State that ``ratio`` new shares replaced one old share."""

    date: str
    """First day of trading at the new price, ``YYYY-MM-DD``."""
    ratio: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """Describe one line of the market, whatever the vendors call it."""

    symbol: str
    """The market's own spelling; seeds the bars."""
    name: str
    kind: Kind
    venue: Venue
    walk: Walk
    against: Walk | None
    """Walk of the quote currency for pairs, so that crosses agree; else None."""
    listed: str
    """First day that may have a bar, ``YYYY-MM-DD``."""
    decimals: int
    """Decimals of prices of 1 and more; below 1 there are at least four."""
    volume: float
    """Typical daily volume in shares or coins, in today's shares; 0 = none."""
    splits: tuple[Split, ...] = ()
    dividend_yield: float = 0.0
    """Paid per year in four parts, as a fraction of the price."""
    dividends_since: str = "1999-01-01"

    @property
    def pays_volume(self) -> bool:
        """Tell whether bars have a volume at all."""
        return self.volume > 0

    @property
    def volume_unit(self) -> float:
        """Return what one unit of a bar's integer volume is worth."""
        return 1e-8 if self.kind is Kind.CRYPTOCURRENCY else 1.0

    @property
    def extended(self) -> bool:
        """Tell whether there is trading before the open and after the close."""
        return self.venue.calendar == "XNYS" and self.kind in (Kind.EQUITY, Kind.ETF)

    @property
    def continuous(self) -> bool:
        """Tell whether it trades around the clock, without exchange sessions."""
        return self.kind in (Kind.CURRENCY, Kind.CRYPTOCURRENCY)
