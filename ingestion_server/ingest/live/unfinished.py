"""Bars of one line that a vendor is to be asked for, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

import msgspec

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import LiveBar
from ingestion_server.ingest.scope import SETTLING_NS

_PAUSES: Final = (0.0, 15.0, 60.0, 180.0, 300.0)
"""Seconds before each try of a bar; together not quite ten minutes."""
_TOGETHER_SECONDS: Final = 300.0
"""Bars that are over so soon after a call are asked for by the next one."""
_MOST: Final = 64
"""More than are over while a vendor settles, and while it is tried again."""


class Series(msgspec.Struct, frozen=True):
    """Name whose bars are wanted, and of whom."""

    instrument: Instrument
    interval: Interval
    hours: TradingHours
    providers: tuple[str, ...]
    """In this order; empty = any, in the usual one."""


class Word(msgspec.Struct, frozen=True):
    """Be the last word on a bar: a vendor's own, or why there is none."""

    open_ns: int
    end_ns: int
    bar: LiveBar | None = None
    reason: str = ""


class WhyNot(NamedTuple):
    """Say why a vendor's own bar is not there, and whether it will never be."""

    reason: str
    for_good: bool = False


@dataclass(slots=True)
class _Waiting:
    """Hold how a bar's tries have gone."""

    open_ns: int
    end_ns: int
    tries: int = 0
    again_at: float = 0.0
    """When the next one is due, in monotonic seconds, but for the first."""


@final
class Unfinished:
    """
    Be the bars of one series that are to be asked for.

    All that are over for long enough are asked for at once. Each has five tries in ten
    minutes, and besides it is looked for whenever others are asked for.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        """Whose bars they are."""
        self._bars: dict[int, _Waiting] = {}
        self._first_at = 0.0
        """When those are asked for that were not yet, in monotonic seconds."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._bars)

    def add(self, open_ns: int, end_ns: int) -> bool:
        """Ask for a bar as soon as it is time; False if too many wait."""
        if open_ns not in self._bars:
            if len(self._bars) >= _MOST:
                return False
            self._bars[open_ns] = _Waiting(open_ns, end_ns)
        return True

    def wait_seconds(self, now: float, now_ns: int) -> float:
        """Return how long there is nothing to ask; ``now`` is in monotonic seconds."""
        return min(
            (
                max(_unsettled_seconds(each, now_ns), self._due_at(each) - now, 0.0)
                for each in self._bars.values()
            ),
            default=0.0,
        )

    def span(self, now_ns: int) -> Span:
        """Return what holds each bar of which a last word can be expected."""
        opens_ns = [
            each.open_ns
            for each in self._bars.values()
            if not _unsettled_seconds(each, now_ns)
        ]
        # No other bar opens within a minute, and vendors may count in seconds.
        return Span(min(opens_ns), max(opens_ns) + MINUTE_NS)

    def answered(
        self,
        span: Span,
        bars: Mapping[int, LiveBar],
        why_not: Callable[[int], WhyNot],
        now: float,
    ) -> Sequence[Word]:
        """
        Hear a vendor's final bars of a span, by when they open; return the last words.

        ``why_not`` is asked for those that are not there; ``now`` is in monotonic
        seconds.
        """
        words = []
        for each in self._within(span):
            bar, why = bars.get(each.open_ns), WhyNot("")
            if bar is None:
                why = why_not(each.open_ns)
                if not why.for_good and not self._tried(each, now):
                    continue
            words.append(Word(each.open_ns, each.end_ns, bar, why.reason))
            del self._bars[each.open_ns]
        self._first_at = now + _TOGETHER_SECONDS
        return words

    def _tried(self, bar: _Waiting, now: float) -> bool:
        """Count a try, if it was due; return whether it was the last."""
        if self._due_at(bar) > now:
            return False
        bar.tries += 1
        if bar.tries == len(_PAUSES):
            return True
        bar.again_at = now + _PAUSES[bar.tries]
        return False

    def _due_at(self, bar: _Waiting) -> float:
        return bar.again_at if bar.tries else self._first_at

    def _within(self, span: Span) -> Sequence[_Waiting]:
        return [
            each
            for each in self._bars.values()
            if span.start_ns <= each.open_ns < span.end_ns
        ]


def _unsettled_seconds(bar: _Waiting, now_ns: int) -> float:
    return max(bar.end_ns + SETTLING_NS - now_ns, 0) / SECOND_NS
