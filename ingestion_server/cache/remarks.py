"""What was noticed about the bars of one series."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, final

from ingestion_server.cache.spans import Spans
from ingestion_server.domain.quality import MOST_FLAGS, FlagKind, QualityFlag

MOST_TIMED: Final = 1000
_FLAG_BYTES: Final = 200
_OMITTED: Final = QualityFlag(
    FlagKind.FLAGS_OMITTED, "not all that was noticed about earlier bars is remembered"
)


@final
class Remarks:
    """Hold flags about the whole series, and flags by the time they are about."""

    __slots__ = ("_timed", "_times_ns", "_whole", "nbytes")

    def __init__(self, flags: Iterable[QualityFlag] = ()) -> None:
        self._whole: list[QualityFlag] = []
        self._times_ns: list[int] = []
        self._timed: list[QualityFlag] = []
        self.nbytes = 0
        self.renew(Spans(), flags)

    def __iter__(self) -> Iterator[QualityFlag]:
        return iter((*self._whole, *self._timed))

    def renew(self, asked: Spans, flags: Iterable[QualityFlag]) -> None:
        """Add flags; they replace those about times that were asked for again."""
        for span in asked:
            first = bisect_left(self._times_ns, span.start_ns)
            stop = bisect_left(self._times_ns, span.end_ns)
            del self._times_ns[first:stop], self._timed[first:stop]
        fresh = list(flags)
        if fresh:
            timed = dict.fromkeys(self._timed)
            whole = dict.fromkeys(self._whole)
            for flag in fresh:
                (whole if flag.time_ns is None else timed)[flag] = None
            by_time = sorted(timed, key=_time_ns)
            if len(by_time) > MOST_TIMED:
                del by_time[:-MOST_TIMED]
                whole[_OMITTED] = None
            self._timed = by_time
            self._times_ns = [_time_ns(flag) for flag in by_time]
            self._whole = list(whole)[-MOST_FLAGS:]
        self.nbytes = sum(
            _FLAG_BYTES + len(flag.detail) for flag in (*self._whole, *self._timed)
        )

    def within(self, start_ns: int, end_ns: int) -> list[QualityFlag]:
        """Return the flags about the whole series, and those about times within."""
        if not self._timed:
            return self._whole.copy()
        first = bisect_left(self._times_ns, start_ns)
        stop = bisect_left(self._times_ns, end_ns)
        return [*self._whole, *self._timed[first:stop]]


def _time_ns(flag: QualityFlag) -> int:
    return flag.time_ns or 0
