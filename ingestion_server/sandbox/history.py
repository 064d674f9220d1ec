"""The whole past of one instrument: days, minutes, splits and dividends."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.domain.sessions import Sessions
from ingestion_server.sandbox.bars import Bars, Float64, joined
from ingestion_server.sandbox.days import DAY_NS, Int64, label_ns, month_labels_ns
from ingestion_server.sandbox.instrument import Instrument
from ingestion_server.sandbox.minutes import (
    PRE_MARKET_NS,
    Day,
    extended_minutes,
    regular_minutes,
    until,
)
from ingestion_server.sandbox.news import (
    Correction,
    NewDividend,
    News,
    NewsError,
    also_split,
    corrected,
)
from ingestion_server.sandbox.walk import day_bars, price_decimals

_SESSIONS_KEPT: Final = 40
"""Sessions of minutes kept per instrument: a trailing month, 4 MB at most."""
_DIVIDEND_MONTHS: Final = (1, 4, 7, 10)
"""February, May, August and November, counted from zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Dividends:
    """Hold what was paid per as-traded share, ascending in time."""

    label_ns: Int64
    """The ex-date at 00:00 UTC."""
    amount: Float64
    kept: Float64
    """What a dividend leaves of the last close: ``1 - amount / close``."""


class History:
    """Answer for one instrument what was known at any moment."""

    def __init__(
        self, seed: int, instrument: Instrument, sessions: Sessions, news: News
    ) -> None:
        self.instrument = also_split(instrument, news.splits)
        self.sessions = sessions
        self._seed = (seed, instrument.symbol)
        splits = self.instrument.splits
        self._split_labels = np.array(
            [label_ns(split.date) for split in splits], dtype=np.int64
        )
        self._ratios = np.array([float(split.ratio) for split in splits])
        ahead = self._split_product(sessions.labels_ns, len(self._ratios))
        # What was traded before a new split stays; what comes after it is worth less.
        ahead = ahead / math.prod(split.ratio for split in news.splits)
        self._first_told = day_bars(seed, instrument, sessions, ahead)
        self._decimals = price_decimals(self._first_told.close, instrument)
        self._dividends = self._invent_dividends()
        for dividend in news.dividends:
            self._pay(dividend)
        self._days = self._first_told
        self._minutes: OrderedDict[tuple[int, bool], Bars] = OrderedDict()
        self._corrected: dict[int, Bars] = {}
        for correction in news.corrections:
            self._correct(correction)

    def session_count(self, now_ns: int) -> int:
        """Return how many sessions have opened."""
        return int(np.searchsorted(self.sessions.opens_ns, now_ns, side="left"))

    def running(self, now_ns: int) -> bool:
        """Tell whether a session is open."""
        count = self.session_count(now_ns)
        return count > 0 and now_ns < int(self.sessions.closes_ns[count - 1])

    def days(self, now_ns: int) -> Bars:
        """Return the as-traded daily bars; the last one grows while it is open."""
        count = self.session_count(now_ns)
        if not self.running(now_ns):
            return self._days.at(slice(count))
        today = self.minutes(count - 1, count, now_ns, extended=False)
        past = self._days.at(slice(count - 1))
        return joined([past, today.grouped(today.label_ns)])

    def minutes(self, first: int, last: int, now_ns: int, *, extended: bool) -> Bars:
        """Return the as-traded minutes of sessions ``[first, last)`` by number."""
        wide = extended and self.instrument.extended
        lead = PRE_MARKET_NS if wide else 0
        begun = int(np.searchsorted(self.sessions.opens_ns - lead, now_ns, side="left"))
        parts = [
            self._session(number, wide=wide)
            for number in range(max(first, 0), min(last, begun))
        ]
        return until(joined(parts), now_ns)

    def split_factor(self, labels_ns: Int64, now_ns: int) -> Float64:
        """Return what one share of each day has become by now."""
        return self._split_product(labels_ns, self._splits_known(now_ns))

    def dividend_factor(self, labels_ns: Int64, now_ns: int) -> Float64:
        """Return what later dividends leave of the price of each day."""
        kept = self.dividends(now_ns).kept
        product = np.append(np.cumprod(kept[::-1])[::-1], 1.0)
        after = np.searchsorted(self._dividends.label_ns, labels_ns, side="right")
        return product[np.minimum(after, len(kept))]

    def splits(self, now_ns: int) -> list[tuple[int, int]]:
        """Return label and ratio of every split that has happened, ascending."""
        known = self._splits_known(now_ns)
        labels: list[int] = self._split_labels[:known].tolist()
        return [
            (label, split.ratio)
            for label, split in zip(labels, self.instrument.splits, strict=False)
        ]

    def dividends(self, now_ns: int) -> Dividends:
        """Return every dividend whose ex-date has opened."""
        paid = self._dividends
        known = int(np.searchsorted(paid.label_ns, self._today(now_ns), side="right"))
        return Dividends(paid.label_ns[:known], paid.amount[:known], paid.kept[:known])

    @property
    def dividend_labels(self) -> Int64:
        """Return all ex-dates, those to come included."""
        return self._dividends.label_ns

    def opens_ns(self, labels_ns: Int64) -> Int64:
        """Return when the sessions of these labels open."""
        index = np.searchsorted(self.sessions.labels_ns, labels_ns)
        return self.sessions.opens_ns[
            np.minimum(index, len(self.sessions.opens_ns) - 1)
        ]

    def _session(self, number: int, *, wide: bool) -> Bars:
        key = (number, wide)
        if key in self._minutes:
            self._minutes.move_to_end(key)
            return self._minutes[key]
        day = self._day(number)
        made = self._corrected.get(number)
        if made is None:
            made = regular_minutes(day)
        if wide:
            before, after = extended_minutes(day)
            made = joined([before, made, after])
        self._minutes[key] = made
        if len(self._minutes) > _SESSIONS_KEPT:
            self._minutes.popitem(last=False)
        return made

    def _day(self, number: int) -> Day:
        # A correction of one minute leaves all others as they were.
        days, sessions = self._first_told, self.sessions
        return Day(
            seed=self._seed,
            label_ns=int(sessions.labels_ns[number]),
            open_ns=int(sessions.opens_ns[number]),
            close_ns=int(sessions.closes_ns[number]),
            break_start_ns=int(sessions.break_starts_ns[number]),
            break_end_ns=int(sessions.break_ends_ns[number]),
            open=float(days.open[number]),
            high=float(days.high[number]),
            low=float(days.low[number]),
            close=float(days.close[number]),
            volume=int(days.volume[number]),
            decimals=int(self._decimals[number]),
        )

    def _today(self, now_ns: int) -> int:
        count = self.session_count(now_ns)
        return int(self.sessions.labels_ns[count - 1]) if count else -1

    def _splits_known(self, now_ns: int) -> int:
        return int(
            np.searchsorted(self._split_labels, self._today(now_ns), side="right")
        )

    def _split_product(self, labels_ns: Int64, known: int) -> Float64:
        product = np.append(np.cumprod(self._ratios[:known][::-1])[::-1], 1.0)
        after = np.searchsorted(self._split_labels[:known], labels_ns, side="right")
        return product[after]

    def _invent_dividends(self) -> Dividends:
        labels = self.sessions.labels_ns
        months = np.unique(month_labels_ns(labels))
        month = (months // DAY_NS).astype("datetime64[D]").astype("datetime64[M]")
        paying = np.isin(month.astype(np.int64) % 12, _DIVIDEND_MONTHS)
        # Ex-dividend on the first session from the 6th of the month on.
        number = np.searchsorted(labels, months[paying] + 5 * DAY_NS)
        number = number[(number > 0) & (number < len(labels))]
        number = number[labels[number] >= label_ns(self.instrument.dividends_since)]
        if not self.instrument.dividend_yield:
            number = number[:0]
        before = self._close_before(number)
        amount = np.round(before * (self.instrument.dividend_yield / 4), 4)
        return Dividends(labels[number], amount, 1 - amount / before)

    def _close_before(self, number: Int64) -> Float64:
        # On the day of a split the last close counts in the new shares.
        ahead = self._split_product(self.sessions.labels_ns, len(self._ratios))
        before: Float64 = self._first_told.close[number - 1] / (
            ahead[number - 1] / ahead[number]
        )
        return before

    def _pay(self, dividend: NewDividend) -> None:
        known = self._dividends
        number = np.searchsorted(self.sessions.labels_ns, [dividend.label_ns])
        before = float(self._close_before(number)[0])
        if dividend.amount >= before:
            raise NewsError(f"amount must be below the last close, {before:g}")
        place = int(np.searchsorted(known.label_ns, dividend.label_ns))
        self._dividends = Dividends(
            np.insert(known.label_ns, place, dividend.label_ns),
            np.insert(known.amount, place, dividend.amount),
            np.insert(known.kept, place, 1 - dividend.amount / before),
        )

    def _correct(self, correction: Correction) -> None:
        number = int(np.searchsorted(self.sessions.labels_ns, correction.label_ns))
        minutes = self._corrected.get(number)
        if minutes is None:
            minutes = regular_minutes(self._day(number))
        minutes = corrected(
            minutes,
            correction,
            zone=self.sessions.zone,
            volume_unit=self.instrument.volume_unit,
        )
        self._corrected[number] = minutes
        # The day stays the sum of its minutes.
        self._days = joined(
            [
                self._days.at(slice(number)),
                minutes.grouped(minutes.label_ns),
                self._days.at(slice(number + 1, None)),
            ]
        )
