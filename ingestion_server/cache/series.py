"""What a vendor has delivered of one series, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.query import Span


class SeriesKey(msgspec.Struct, frozen=True, cache_hash=True):
    """Name one series: bars that one vendor gives, all of one kind."""

    provider: str
    instrument: Instrument
    interval: Interval
    adjustment: Adjustment
    hours: TradingHours


class Terms(msgspec.Struct, frozen=True):
    """Say what holds for all bars of a series."""

    currency: str = ""
    volume_unit: str = ""
    derivation: str = ""
    feed_delay_seconds: float | None = None

    def mixes_with(self, other: Terms) -> bool:
        """Tell whether prices and volumes of both mean the same, as far as they say."""
        units = ((self.currency, other.currency), (self.volume_unit, other.volume_unit))
        return self.derivation == other.derivation and all(
            mine == theirs or "" in (mine, theirs) for mine, theirs in units
        )

    def renewed(self, later: Terms) -> Terms:
        """Return what is said later, and the units of before if that names none."""
        return msgspec.structs.replace(
            later,
            currency=later.currency or self.currency,
            volume_unit=later.volume_unit or self.volume_unit,
        )


class Life(msgspec.Struct, frozen=True):
    """Say how long things are good."""

    forming_seconds: float
    """Of bars that can still change; 0 = not at all."""
    absent_seconds: float
    """Of the knowledge that a bar that is due is not there."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Hold what a vendor gave."""

    spans: Sequence[Span]
    """What was asked for and answered in full."""
    absent: Sequence[Span]
    """Where, within the spans, bars were due and none came."""
    settled_until_ns: int
    """Bars that open before this were final when they came."""
    series: BarSeries
    """Ascending, within the spans."""
    received_at_ns: int
    terms: Terms
    day: int | None
    """The exchange's date, in days since 1970; None = prices are never adjusted."""
    first_trade_ns: int | None = None
    flags: Sequence[QualityFlag] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Hold what is known of a span."""

    series: BarSeries
    """Within the span: bars that were final, and forming ones that are young enough."""
    states: npt.NDArray[np.uint8]
    """A ``BarState`` per bar."""
    received_at_ns: int
    """When the oldest of the bars came; without bars, the oldest coverage."""
    covered: list[Span]
    """Parts of the span that need not be asked: disjoint, ascending."""
    absent: list[Span]
    """Parts of ``covered`` where the vendor, asked recently, lacked a bar."""
    terms: Terms
    first_trade_ns: int | None
    flags: list[QualityFlag]
    """About the whole series, or about a time within the span."""
    verified: bool
    """Whether the prices have today's basis."""
    sample: Span | None
    """
    The last final bars in or before the span, at most five; else the first after it.

    To ask for them again tells whether prices have another basis by now.
    """
    anchor: Span | None
    """
    The oldest final bar in the span, unless the sample begins with it or before it.

    What vendors tell late changes the bars before it, perhaps none of the sample.
    """


class Kept(msgspec.Struct, frozen=True):
    """Say what a delivery did to what was known."""

    rebased: bool = False
    """All that was known was dropped, since its prices have another basis."""
    revised: int = 0
    """Final bars that came with other values."""
