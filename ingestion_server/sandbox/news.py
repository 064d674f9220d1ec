"""What is learnt late of one instrument: corrections, splits and dividends."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Final, Literal, assert_never

import numpy as np

from ingestion_server.sandbox.bars import Bars
from ingestion_server.sandbox.days import MINUTE_NS, date_texts, label_ns, midnights_ns
from ingestion_server.sandbox.instrument import Instrument, Split

LARGEST_RATIO: Final = 100
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "correction": frozenset({"time", "close", "volume"}),
    "split": frozenset({"ratio"}),
    "dividend": frozenset({"amount"}),
}
_OF_ALL: Final = frozenset({"news", "symbol", "date"})
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME: Final = re.compile(r"\d{2}:\d{2}")


class NewsError(ValueError):
    """News that cannot be told, with what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Correction:
    """State what a bar that was final is found to have been."""

    label_ns: int
    """Date of the session that holds the bar."""
    minute: int | None
    """Begin of the bar in minutes after the exchange's midnight; None for the day."""
    close: float | None
    """As traded; None = as it was."""
    volume: float | None
    """In shares, coins or contracts; None = as it was."""


@dataclass(frozen=True, slots=True)
class NewSplit:
    """State a split that nobody had foreseen."""

    label_ns: int
    """First day at the new price."""
    ratio: int
    """New shares for one old share."""


@dataclass(frozen=True, slots=True)
class NewDividend:
    """State a dividend that nobody had foreseen."""

    label_ns: int
    """The ex-date."""
    amount: float
    """Per share, as shares count on that day."""


Item = Correction | NewSplit | NewDividend


@dataclass(frozen=True, slots=True)
class News:
    """Hold all that was learnt late of one instrument."""

    corrections: tuple[Correction, ...] = ()
    splits: tuple[NewSplit, ...] = ()
    dividends: tuple[NewDividend, ...] = ()

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.corrections) + len(self.splits) + len(self.dividends)

    def and_also(self, item: Item) -> News:
        """Return these news with one more item."""
        match item:
            case Correction():
                return replace(self, corrections=(*self.corrections, item))
            case NewSplit():
                return replace(self, splits=(*self.splits, item))
            case NewDividend():
                return replace(self, dividends=(*self.dividends, item))
            case _:
                assert_never(item)


def also_split(instrument: Instrument, splits: Sequence[NewSplit]) -> Instrument:
    """Return the instrument with more splits; ascending, as all are."""
    more = [
        Split(date_texts(np.array([split.label_ns]))[0], split.ratio)
        for split in splits
    ]
    if not more:
        return instrument
    ordered = sorted((*instrument.splits, *more), key=lambda split: split.date)
    return replace(instrument, splits=tuple(ordered))


def corrected(
    minutes: Bars, correction: Correction, *, zone: str, volume_unit: float
) -> Bars:
    """
    Return the minutes of one session with a correction.

    A day's close is that of its last minute, and what its volume lacked was traded
    there: prints of the closing auction that come late are why days are corrected.
    """
    row = len(minutes) - 1
    if correction.minute is not None:
        start = started_ns(correction, zone)
        row = int(np.searchsorted(minutes.start_ns, start))
        if row == len(minutes) or minutes.start_ns[row] != start:
            raise NewsError("time must be a minute of regular hours")
    high, low, close = minutes.high.copy(), minutes.low.copy(), minutes.close.copy()
    volume = minutes.volume.copy()
    if correction.close is not None:
        close[row] = correction.close
        high[row] = max(high[row], correction.close)
        low[row] = min(low[row], correction.close)
    if correction.volume is not None:
        before = int(volume[:row].sum()) if correction.minute is None else 0
        volume[row] = round(correction.volume / volume_unit) - before
        if volume[row] < 0:
            raise NewsError(f"volume must be {before * volume_unit:g} or more")
    return replace(minutes, high=high, low=low, close=close, volume=volume)


def started_ns(correction: Correction, zone: str) -> int:
    """Return when the corrected minute, or the day's date, begins."""
    midnight = int(midnights_ns(np.array([correction.label_ns]), zone)[0])
    return midnight + (correction.minute or 0) * MINUTE_NS


def parsed(document: object) -> tuple[str, Item]:
    """Read symbol and item from the JSON of a control call."""
    if not isinstance(document, dict):
        raise NewsError('the body must be a JSON object like {"news": "split"}')
    kind, symbol = document.get("news"), document.get("symbol")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise NewsError(f"there are no news {kind!r}; allowed: {', '.join(_FIELDS)}")
    known = _FIELDS[kind] | _OF_ALL
    if unknown := sorted(set(document) - known):
        raise NewsError(
            f"unknown fields {', '.join(unknown)}; allowed: {', '.join(sorted(known))}"
        )
    if not isinstance(symbol, str):
        raise NewsError("symbol must be a string")
    label = _date(document.get("date"))
    match kind:
        case "split":
            return symbol, NewSplit(label, _ratio(document.get("ratio")))
        case "dividend":
            amount = _number(document, "amount", "above")
            if amount is None:
                raise NewsError("amount must be given")
            return symbol, NewDividend(label, amount)
        case _:
            return symbol, _correction(label, document)


def _correction(label: int, document: Mapping[str, object]) -> Correction:
    close = _number(document, "close", "above")
    volume = _number(document, "volume", "from")
    if close is None and volume is None:
        raise NewsError("close or volume must be given")
    return Correction(label, _minute(document.get("time")), close, volume)


def _date(text: object) -> int:
    if isinstance(text, str) and _DATE.fullmatch(text):
        with contextlib.suppress(ValueError):
            return label_ns(date.fromisoformat(text).isoformat())
    raise NewsError("date must be like 2025-01-03")


def _minute(text: object) -> int | None:
    if text is None:
        return None
    if isinstance(text, str) and _TIME.fullmatch(text):
        with contextlib.suppress(ValueError):
            begin = time.fromisoformat(text)
            return begin.hour * 60 + begin.minute
    raise NewsError("time must be like 15:59")


def _ratio(ratio: object) -> int:
    if isinstance(ratio, bool) or not isinstance(ratio, int):
        raise NewsError("ratio must be a whole number")
    if not 1 < ratio <= LARGEST_RATIO:
        raise NewsError(f"ratio must be between 2 and {LARGEST_RATIO}")
    return ratio


def _number(
    document: Mapping[str, object], field: str, zero: Literal["above", "from"]
) -> float | None:
    value = document.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NewsError(f"{field} must be a number")
    if not math.isfinite(value) or value < 0 or (value == 0 and zero == "above"):
        raise NewsError(f"{field} must be {zero} 0")
    return float(value)
