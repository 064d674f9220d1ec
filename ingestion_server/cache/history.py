"""One series: its final bars, its forming ones, and what was asked for."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, final

import numpy as np

from ingestion_server.cache.finals import (
    Block,
    Finals,
    Meeting,
    Rows,
    block_of,
    empty_block,
    in_order,
    joined,
    owned,
)
from ingestion_server.cache.remarks import Remarks
from ingestion_server.cache.saved import Saved
from ingestion_server.cache.series import Delivery, Kept, Known, Life, Terms
from ingestion_server.cache.spans import Spans, TimedSpans
from ingestion_server.domain.bars import BarSeries, BarState, ascending
from ingestion_server.domain.interval import (
    HOUR_NS,
    SECOND_NS,
    Interval,
    Times,
    label_ends,
)
from ingestion_server.domain.query import Span

LONGEST_CALL_NS: Final = HOUR_NS
"""What came this much later than now was stamped by a wrong clock."""
MOST_VOIDS: Final = 4096
"""More stretches without bars are forgotten, which means: asked for again."""
_MOST_FORMING: Final = 16
"""Stretches at the end of a series that were asked for at different times."""
_SAMPLE_BARS: Final = 5
_OVERHEAD_BYTES: Final = 3000
_EDGE_BYTES: Final = 40
_TIMED_BYTES: Final = 120


class _Basis(Enum):
    """Say whether delivered prices go with those that are known."""

    FIRST = auto()
    SAME = auto()
    UNTOLD = auto()
    """They do not meet, and there is no reason for doubt."""
    OTHER = auto()


@final
class History:
    """Remember one series."""

    def __init__(self, interval: Interval) -> None:
        """Begin with nothing known."""
        self._interval = interval
        self._begin()

    def _begin(self) -> None:
        """Know nothing, and nothing of what was saved."""
        self._finals = Finals(self._interval, {})
        self._coverage = Spans()
        # Where bars were due and none came, and where bars can still change.
        self._voids = TimedSpans()
        self._tail = TimedSpans()
        self._forming = empty_block()
        self._remarks = Remarks()
        self._terms = Terms()
        self._first_trade_ns: int | None = None
        self._day: int | None = None
        self._verified_ns = 0
        self._since_ns = 0
        self._latest_ns = 0
        self._changed: set[int] = set()
        self._anew = True
        self.dirty = False
        """Whether anything has changed since it was last saved."""
        self.oldest_forming_ns: int | None = None
        """When the oldest bar came that can still change."""

    @classmethod
    def restored(cls, interval: Interval, saved: Saved) -> History:
        """Return what was saved, as it was."""
        history = cls(interval)
        history._finals = Finals(interval, saved.blocks)
        history._coverage = saved.coverage
        history._remarks = Remarks(saved.flags)
        history._terms = saved.terms
        history._first_trade_ns = saved.first_trade_ns
        history._day = saved.day
        history._verified_ns = saved.verified_ns
        history._since_ns = saved.since_ns
        history._latest_ns = saved.latest_ns
        history._anew = False
        return history

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes."""
        return (
            _OVERHEAD_BYTES
            + self._finals.nbytes
            + self._forming.nbytes
            + self._remarks.nbytes
            + _EDGE_BYTES * len(self._coverage.edges)
            + _TIMED_BYTES * (len(self._voids) + len(self._tail))
        )

    @property
    def bars(self) -> int:
        """Return how many bars it holds."""
        return self._finals.bars + len(self._forming)

    def verified(self, day: int | None) -> bool:
        """Tell whether prices have the basis of a day."""
        return day is None or day == self._day

    def ahead(self, now_ns: int) -> bool:
        """
        Tell whether any of it was stamped by a clock that was far ahead.

        That has called bars final before they ended, and their absence as well.
        """
        return self._latest_ns > now_ns + LONGEST_CALL_NS

    def look(self, span: Span, *, now_ns: int, life: Life, day: int | None) -> Known:
        """Return what is known of a span."""
        start_ns, end_ns = span.start_ns, span.end_ns
        covered = self._coverage.within(start_ns, end_ns)
        came_ns = [self._since_ns] if len(covered) and self._since_ns else []
        youngest_ns = now_ns - round(life.forming_seconds * SECOND_NS)
        for tail in self._tail.within(start_ns, end_ns):
            if tail.at_ns > youngest_ns:
                covered.add(tail.start_ns, tail.end_ns)
                came_ns.append(tail.at_ns)
        block = self._bars(span, youngest_ns)
        absent = self._absent(covered, span, now_ns, life)
        sample = self._sample(end_ns)
        if len(block):
            came_ns = [int(block.received_ns.min())]
        return Known(
            series=block.series,
            states=block.states,
            received_at_ns=min([now_ns, *came_ns]),
            covered=list(covered),
            absent=absent,
            terms=self._terms,
            first_trade_ns=self._first_trade_ns,
            flags=self._remarks.within(start_ns, end_ns),
            verified=self.verified(day),
            sample=sample,
            anchor=None if sample is None else self._anchor(start_ns, sample.start_ns),
        )

    def stale(
        self, span: Span, *, now_ns: int, oldest_seconds: float, day: int | None
    ) -> Known | None:
        """
        Return what is known of a span if one takes what may have changed since.

        Those are bars that were forming, and prices whose basis nobody has looked at
        today; neither older than said. None if there is no more than fresh ones.
        """
        oldest_ns = now_ns - round(oldest_seconds * SECOND_NS)
        if not self.verified(day):
            if self._verified_ns < oldest_ns:
                return None
        elif not any(
            tail.at_ns >= oldest_ns
            for tail in self._tail.within(span.start_ns, span.end_ns)
        ):
            return None
        life = Life(oldest_seconds + 1 / SECOND_NS, oldest_seconds)
        return self.look(span, now_ns=now_ns, life=life, day=day)

    def keep(self, delivery: Delivery) -> Kept:
        """Add what a vendor gave; what it said last counts."""
        at_ns = delivery.received_at_ns
        overtaken = at_ns < self._latest_ns
        asked = Spans(delivery.spans)
        for tail in self._tail if overtaken else ():
            if at_ns < tail.at_ns:
                asked.cut(tail.start_ns, tail.end_ns)
        series = _inside(ascending(delivery.series), asked)
        meeting = self._finals.meet(series)
        basis = self._basis(delivery, series, meeting, asked)
        other = basis is _Basis.OTHER
        if not len(asked) or (other and overtaken):
            return Kept()
        rebased = other and self._finals.bars > 0
        if other:
            self._begin()
            meeting = self._finals.meet(series)
        if not overtaken:
            self._agree(delivery, verifies=basis is not _Basis.UNTOLD)
        self._since_ns = min(at_ns, self._since_ns or at_ns)
        final = (series.open_time_ns < delivery.settled_until_ns) | meeting.known
        change = self._finals.put(series.take(final), meeting.differ[final], at_ns)
        self._changed |= change.numbers
        self.dirty = True
        self._cover(delivery, asked, series.take(~final), overtaken=overtaken)
        self._note_absent(delivery, asked)
        self._remarks.renew(asked, delivery.flags)
        return Kept(rebased=rebased, revised=change.revised)

    def unsaved(self) -> Saved:
        """Return what has changed since the last time, which is saved from now on."""
        coverage = Spans()
        coverage.edges = self._coverage.edges.copy()
        numbers = self._finals.numbers
        saved = Saved(
            terms=self._terms,
            day=self._day,
            verified_ns=self._verified_ns,
            since_ns=self._since_ns,
            latest_ns=self._latest_ns,
            first_trade_ns=self._first_trade_ns,
            flags=tuple(self._remarks),
            coverage=coverage,
            voids=tuple(self._voids),
            numbers=numbers,
            blocks={
                number: self._finals[number]
                for number in (numbers if self._anew else self._changed)
            },
            anew=self._anew,
        )
        self._changed = set()
        self._anew = self.dirty = False
        return saved

    def save_all(self) -> None:
        """Have everything saved the next time, since nobody knows what was."""
        self._anew = self.dirty = True

    def _basis(
        self, delivery: Delivery, series: BarSeries, meeting: Meeting, asked: Spans
    ) -> _Basis:
        if not self.bars:
            return _Basis.FIRST
        if len(series) and not self._terms.mixes_with(delivery.terms):
            return _Basis.OTHER
        if delivery.day is None:
            return _Basis.UNTOLD
        if meeting.known.any():
            rescaled = self._finals.rescaled(series, meeting)
            return _Basis.OTHER if rescaled else _Basis.SAME
        # Without a price there is nothing that could have another basis, unless the
        # vendor did not repeat what it was asked to.
        doubtful = delivery.day != self._day and (
            len(series)
            or any(
                len(self._finals.within(span.start_ns, span.end_ns)) for span in asked
            )
        )
        return _Basis.OTHER if doubtful else _Basis.UNTOLD

    def _agree(self, delivery: Delivery, *, verifies: bool) -> None:
        """Take over what holds for all bars."""
        self._latest_ns = delivery.received_at_ns
        if verifies:
            self._day, self._verified_ns = delivery.day, delivery.received_at_ns
        # An empty answer does not name the unit of what is not in it.
        if not self.bars:
            self._terms = delivery.terms
        elif len(delivery.series):
            self._terms = self._terms.renewed(delivery.terms)
        if delivery.first_trade_ns is not None:
            self._first_trade_ns = delivery.first_trade_ns

    def _cover(
        self, delivery: Delivery, asked: Spans, forming: BarSeries, *, overtaken: bool
    ) -> None:
        """Note what was asked for, and keep the bars of it that can still change."""
        at_ns, settled_ns = delivery.received_at_ns, delivery.settled_until_ns
        late = Spans(asked)
        renewed = Spans()
        for span in asked:
            end_ns = min(span.end_ns, settled_ns)
            self._coverage.add(span.start_ns, end_ns)
            self._tail.cut(span.start_ns, end_ns)
            renewed.add(span.start_ns, end_ns)
            late.cut(span.start_ns, end_ns)
        if overtaken:
            for span in list(late):
                for settled in self._coverage.within(span.start_ns, span.end_ns):
                    late.cut(settled.start_ns, settled.end_ns)
        for span in late:
            self._coverage.cut(span.start_ns, span.end_ns)
            self._tail.put(span.start_ns, span.end_ns, at_ns)
            renewed.add(span.start_ns, span.end_ns)
        for timed in self._tail.forget(_MOST_FORMING):
            renewed.add(timed.start_ns, timed.end_ns)
            late.cut(timed.start_ns, timed.end_ns)
        if len(self._forming) or len(forming):
            known = self._forming
            gone = _rows_in(known.series.open_time_ns, renewed)
            fresh = forming.take(_rows_in(forming.open_time_ns, late))
            self._forming = owned(
                in_order(
                    joined(
                        [
                            known.take(~gone),
                            block_of(fresh, BarState.PARTIAL, at_ns),
                        ]
                    )
                )
            )

            received_ns = self._forming.received_ns
            self.oldest_forming_ns = (
                int(received_ns.min()) if len(received_ns) else None
            )

    def _note_absent(self, delivery: Delivery, asked: Spans) -> None:
        for span in asked:
            self._voids.cut(span.start_ns, span.end_ns)
        for absent in delivery.absent:
            for void in asked.within(absent.start_ns, absent.end_ns):
                for part in self._without_bars(void):
                    self._voids.put(part.start_ns, part.end_ns, delivery.received_at_ns)
        for timed in self._voids.forget(MOST_VOIDS):
            self._coverage.cut(timed.start_ns, timed.end_ns)
            self._tail.cut(timed.start_ns, timed.end_ns)

    def _without_bars(self, span: Span) -> Spans:
        """Return the parts of a span in which no bar is known."""
        parts = Spans([span])
        for block in (self._finals.within(span.start_ns, span.end_ns), self._forming):
            times = block.between(span.start_ns, span.end_ns).series.open_time_ns
            ends = label_ends(times, self._interval)
            for start_ns, end_ns in zip(times.tolist(), ends.tolist(), strict=True):
                parts.cut(start_ns, end_ns)
        return parts

    def _bars(self, span: Span, youngest_ns: int) -> Block:
        """Return final bars, and those that can still change and are young enough."""
        parts = self._finals.parts(span.start_ns, span.end_ns)
        if len(self._forming):
            young = self._forming.between(span.start_ns, span.end_ns)
            rows = young.received_ns > youngest_ns
            parts.append(young if rows.all() else young.take(rows))
            return in_order(joined(parts))
        return joined(parts)

    def _absent(
        self, covered: Spans, span: Span, now_ns: int, life: Life
    ) -> list[Span]:
        """Return where bars are absent; what was asked long ago is not covered."""
        voids = self._voids.within(span.start_ns, span.end_ns)
        if not voids:
            return []
        youngest_ns = now_ns - round(life.absent_seconds * SECOND_NS)
        absent = Spans()
        for void in voids:
            if void.at_ns > youngest_ns:
                for part in covered.within(void.start_ns, void.end_ns):
                    absent.add(part.start_ns, part.end_ns)
            else:
                covered.cut(void.start_ns, void.end_ns)
        return list(absent)

    def _sample(self, before_ns: int) -> Span | None:
        opens = self._finals.last(_SAMPLE_BARS, before_ns)
        if opens is None:
            opens = self._finals.first(_SAMPLE_BARS, before_ns)
        return None if opens is None else self._span_of(*opens)

    def _anchor(self, start_ns: int, before_ns: int) -> Span | None:
        opens = self._finals.first(1, start_ns)
        if opens is None or opens[0] >= before_ns:
            return None
        return self._span_of(*opens)

    def _span_of(self, first_ns: int, last_ns: int) -> Span:
        """Return the stretch of the bars that open then."""
        if self._interval is Interval.MONTH_1:
            ends = label_ends(np.array([last_ns], np.int64), self._interval)
            return Span(first_ns, int(ends[0]))
        return Span(first_ns, last_ns + self._interval.length_ns)


def _rows_in(times_ns: Times, spans: Spans) -> Rows:
    # An odd number of edges at or before a time means that it is inside.
    edges = np.array(spans.edges, np.int64)
    return np.asarray(edges.searchsorted(times_ns, side="right") % 2 == 1, np.bool_)


def _inside(series: BarSeries, spans: Spans) -> BarSeries:
    rows = _rows_in(series.open_time_ns, spans)
    return series if rows.all() else series.take(rows)
