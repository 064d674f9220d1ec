"""Bars built from trades as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS
from ingestion_server.domain.ticks import LiveBar, TickMark, Trade
from ingestion_server.ingest.live.doubts import FOREVER_NS, Doubts
from ingestion_server.ingest.live.labels import BarLabels
from ingestion_server.ingest.live.tally import BarTally

GRACE_NS: Final = 2 * SECOND_NS
"""How long after its end a bar waits for trades that are on their way."""
_KEPT: Final = 20
"""So many intervals after its end, a bar takes late trades and can be corrected."""
_CLOCK_SET_BACK_NS: Final = MINUTE_NS
_SAMPLED: Final = int(TickMark.SAMPLED)
_DOUBTFUL: Final = int(TickMark.TIME_DOUBTFUL)


@dataclass(frozen=True, slots=True)
class Closed:
    """Be a bar that is over."""

    open_ns: int
    end_ns: int
    bar: LiveBar | None
    """FINAL if it is whole, else PARTIAL; None if no trade of it was heard."""
    whole: bool
    """Whether no trade of it is missing; else the vendor's own bar is to be asked."""


@final
class BarBuilder:
    """
    Build the bars of one symbol and one interval.

    A bar is PARTIAL until it is over and the grace has passed; then it is FINAL if
    nothing of it may be missing, and stays PARTIAL otherwise. What comes later makes
    it REVISED. It counts every trade that the vendor streams, whatever its
    conditions. A trade whose time is not believed counts for no bar.
    """

    def __init__(
        self,
        symbol: str,
        labels: BarLabels,
        *,
        since_ns: int,
        grace_ns: int = GRACE_NS,
    ) -> None:
        """
        Set up.

        Args:
            symbol: ours.
            labels: tell which bar a trade belongs to.
            since_ns: trades are heard from this vendor time on, so the bar that was
                forming then is not whole, and earlier ones are none of ours.
            grace_ns: how long after its end a bar waits for trades.

        """
        self.ignored = 0
        """How many trades counted for no bar though they are within trading hours."""
        self._symbol = symbol
        self._labels = labels
        self._grace_ns = grace_ns
        opened_ns = labels.open_ns(since_ns)
        self._begin_ns = since_ns if opened_ns is None else opened_ns
        self._closed_until_ns = self._begin_ns
        self._bars: dict[int, BarTally] = {}
        self._settled: set[int] = set()
        self._current: BarTally | None = None
        self._changed: list[BarTally] = []
        self._doubts = Doubts()
        if opened_ns is not None and opened_ns < since_ns:
            self._doubts.add(opened_ns, since_ns)

    def add(self, trade: Trade) -> LiveBar | None:
        """
        Count a trade; return the corrected bar if it comes after that was FINAL.

        One that comes too late, by 20 intervals or for the vendor's own bar, is
        ignored, and so is a late one of another vendor.
        """
        bar = self._current
        if (
            bar is None
            or not bar.open_ns <= trade.time_ns < bar.end_ns
            or trade.marks & _DOUBTFUL
        ):
            bar = self._bar_of(trade)
            if bar is None:
                return None
        if bar.closed and bar.provider != trade.provider:
            # Two vendors hear of different trades, and one may be minutes late.
            self.ignored += 1
            return None
        bar.add(trade, sampled=bool(trade.marks & _SAMPLED))
        if bar.published is not BarState.PARTIAL:
            return self._stated(bar, BarState.REVISED)
        if not bar.changed:
            bar.changed = True
            self._changed.append(bar)
        return None

    def forming(self) -> list[LiveBar]:
        """Return the bars that have changed since and are not FINAL, ascending."""
        changed, self._changed = self._changed, []
        if len(changed) > 1:
            changed.sort(key=_open_ns)
        # One that was stated in the meantime may be there twice.
        return [self._stated(bar, BarState.PARTIAL) for bar in changed if bar.changed]

    def unfinished(self) -> list[LiveBar]:
        """Return the bars that are not over, as they stand, ascending."""
        return [self._bar(bar) for bar in self._ascending() if not bar.closed]

    def known(self, from_ns: int) -> list[LiveBar]:
        """Return the bars that open from a time on, as they stand, ascending."""
        return [self._bar(bar) for bar in self._ascending() if bar.open_ns >= from_ns]

    def close(self, vendor_now_ns: int) -> list[Closed]:
        """
        Return the bars that are over by the vendor's time, each once, ascending.

        Those of which no trade was heard are told only if one may have been missed,
        and of those only the latest 20.
        """
        until_ns = vendor_now_ns - self._grace_ns
        if until_ns < self._closed_until_ns - _CLOCK_SET_BACK_NS:
            # Else no bar would form until the clock is where it has been.
            self._closed_until_ns = max(until_ns, self._begin_ns)
        if until_ns <= self._closed_until_ns:
            return []
        current = self._current
        found = []
        if current is None or len(self._bars) > 1 or current.end_ns <= until_ns:
            found = [
                self._closing(bar)
                for bar in self._ascending()
                if not bar.closed and bar.end_ns <= until_ns
            ]
        found.extend(self._passed_over(until_ns))
        self._closed_until_ns = until_ns
        if found:
            self._forget_old()
            found.sort(key=_open_ns)
        return found

    def doubt(self, from_ns: int, to_ns: int | None = None) -> list[Closed]:
        """
        Hear that trades of ``[from, to)`` may be missing; None = nobody knows the end.

        Return the bars in it of which that comes too late: those that were said to
        be FINAL, and those that were passed over since no trade of them was heard.
        The vendor's own are to be asked for.
        """
        end_ns = _end(to_ns)
        self._doubts.add(from_ns, end_ns)
        found = [
            Closed(bar.open_ns, bar.end_ns, self._bar(bar), whole=False)
            for bar in self._bars.values()
            if bar.published is not BarState.PARTIAL
            and bar.open_ns < end_ns
            and from_ns < bar.end_ns
        ]
        low_ns = max(from_ns, self._horizon_ns())
        found.extend(
            each
            for each in self._unheard(low_ns, min(end_ns, self._closed_until_ns))
            if each.end_ns <= self._closed_until_ns
        )
        return sorted(found, key=_open_ns)

    def trust(self, from_ns: int, to_ns: int | None = None) -> list[LiveBar]:
        """
        Hear that nothing is missing in ``[from, to)`` after all.

        To be called once all that was missing has been added. Return the bars that
        are over and have become FINAL.
        """
        self._doubts.remove(from_ns, _end(to_ns))
        return [
            self._stated(bar, BarState.FINAL)
            for bar in self._ascending()
            if bar.closed
            and bar.published is BarState.PARTIAL
            and self._whole(bar)
            and bar.open_ns < _end(to_ns)
            and from_ns < bar.end_ns
        ]

    def settle(self, open_ns: int) -> None:
        """Hear that the vendor's own bar is served: no trade changes it any more."""
        bar = self._bars.pop(open_ns, None)
        if bar is not None:
            bar.changed = False
        self._settled.add(open_ns)
        if self._current is not None and self._current.open_ns == open_ns:
            self._current = None

    def _bar_of(self, trade: Trade) -> BarTally | None:
        if trade.marks & _DOUBTFUL:
            self.ignored += 1
            if trade.time_ns > trade.received_at_ns:
                # It is new, so it is missing in a bar of now.
                self._doubts.add(trade.received_at_ns, trade.received_at_ns + 1)
            return None
        open_ns = self._labels.open_ns(trade.time_ns)
        if open_ns is None:
            return None
        bar = self._bars.get(open_ns)
        if bar is None:
            end_ns = self._labels.end_ns(open_ns)
            if end_ns <= self._horizon_ns() or open_ns in self._settled:
                self.ignored += 1
                return None
            bar = self._bars[open_ns] = BarTally(open_ns, end_ns, trade)
            if end_ns <= self._closed_until_ns:
                bar.closed = True
                if self._whole(bar) and not trade.marks & _SAMPLED:
                    # Nothing was said of it, which said that there is none.
                    bar.published = BarState.FINAL
        if not bar.closed and (
            self._current is None or bar.open_ns > self._current.open_ns
        ):
            self._current = bar
        return bar

    def _closing(self, bar: BarTally) -> Closed:
        bar.closed = True
        if bar is self._current:
            self._current = None
        whole = self._whole(bar)
        state = BarState.FINAL if whole else BarState.PARTIAL
        return Closed(bar.open_ns, bar.end_ns, self._stated(bar, state), whole)

    def _passed_over(self, until_ns: int) -> list[Closed]:
        """Return the bars that have ended since, and of which only doubts are known."""
        step_ns = self._labels.interval.length_ns
        low_ns = max(
            self._closed_until_ns - step_ns,
            until_ns - (_KEPT + 1) * step_ns,
            self._begin_ns,
        )
        ended = [
            each
            for each in self._unheard(low_ns, until_ns)
            if self._closed_until_ns < each.end_ns <= until_ns
        ]
        return ended[-_KEPT:]

    def _unheard(self, from_ns: int, to_ns: int) -> list[Closed]:
        """Return the bars that touch a stretch and of which only doubts are known."""
        found = []
        time_ns = self._doubts.first_within(from_ns, to_ns)
        while time_ns is not None:
            open_ns = self._labels.open_ns(time_ns)
            end_ns = self._labels.end_ns(time_ns)
            if (
                open_ns is not None
                and open_ns not in self._bars
                and open_ns not in self._settled
            ):
                found.append(Closed(open_ns, end_ns, None, whole=False))
            time_ns = self._doubts.first_within(end_ns, to_ns)
        return found

    def _whole(self, bar: BarTally) -> bool:
        return bar.whole and not self._doubts.touch(bar.open_ns, bar.end_ns)

    def _stated(self, bar: BarTally, state: BarState) -> LiveBar:
        bar.published = state
        bar.changed = False
        return self._bar(bar)

    def _bar(self, bar: BarTally) -> LiveBar:
        return bar.bar(self._symbol, self._labels.interval)

    def _ascending(self) -> list[BarTally]:
        return sorted(self._bars.values(), key=_open_ns)

    def _horizon_ns(self) -> int:
        """Return when a bar must end later to be kept."""
        kept_ns = _KEPT * self._labels.interval.length_ns
        return max(self._begin_ns, self._closed_until_ns - kept_ns)

    def _forget_old(self) -> None:
        horizon_ns = self._horizon_ns()
        self._bars = {
            o: bar for o, bar in self._bars.items() if bar.end_ns > horizon_ns
        }
        self._settled = {open_ns for open_ns in self._settled if open_ns >= horizon_ns}
        self._changed = [bar for bar in self._changed if bar.changed]
        self._doubts.forget_before(horizon_ns)


def _open_ns(bar: BarTally | Closed) -> int:
    return bar.open_ns


def _end(to_ns: int | None) -> int:
    return FOREVER_NS if to_ns is None else to_ns
