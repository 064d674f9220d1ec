"""Series that are not in memory any more, and not yet in the file as they should be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, final

from ingestion_server.cache.history import History
from ingestion_server.cache.series import SeriesKey

_MOST_SERIES: Final = 10_000


@final
class Departing:
    """
    Hold series until they are written, or deleted from the file.

    If that takes too long, they are not written: what the file has of them is outdated
    and is to be deleted, which takes next to no memory.
    """

    def __init__(self, limit_bytes: int) -> None:
        """
        Begin empty.

        Args:
            limit_bytes: how much memory they may take.

        """
        self._limit_bytes = limit_bytes
        self._series: OrderedDict[SeriesKey, History | None] = OrderedDict()
        self._bytes = 0

    def __contains__(self, key: SeriesKey) -> bool:
        return key in self._series

    def __iter__(self) -> Iterator[tuple[SeriesKey, History | None]]:
        return iter(self._series.items())

    def add(self, key: SeriesKey, history: History | None) -> None:
        """Add a series that is to be written; None = to be deleted."""
        self.discard(key)
        self._series[key] = history
        if history is not None:
            self._bytes += history.nbytes
        for each, held in list(self) if self._bytes > self._limit_bytes else ():
            if held is not None and self._bytes > self._limit_bytes:
                self._bytes -= held.nbytes
                self._series[each] = None
        while len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)

    def held(self, key: SeriesKey) -> History | None:
        """Return a series that is to be written; None if there is none such."""
        return self._series.get(key)

    def discard(self, key: SeriesKey) -> None:
        """Forget a series."""
        history = self._series.pop(key, None)
        if history is not None:
            self._bytes -= history.nbytes
