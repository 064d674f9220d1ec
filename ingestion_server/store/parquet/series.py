"""One series, as it is kept in its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, final

import numpy as np

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.landed import LandedBars, LandedSource
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult
from ingestion_server.domain.spans import joined as joined_spans
from ingestion_server.ports.jobs import Holding, Landed
from ingestion_server.store.parquet.places import by_year, folder_of, years_of
from ingestion_server.store.parquet.placing import File, Placing
from ingestion_server.store.parquet.rows import Rows, joined, merged, met, no_rows
from ingestion_server.store.parquet.shelf import Shelf, Year
from ingestion_server.store.parquet.taking import (
    complete,
    ends_of,
    final_rows,
    rescaled,
    within,
)


class _Part(NamedTuple):
    """Be what lands of one year."""

    rows: Rows
    covered: Sequence[Span]


@final
class Series:
    """
    Keep and read the bars of a series; each method blocks.

    They raise ``StateUnavailableError``, naming the file, if one cannot be read or
    written, or is not what was written.
    """

    def __init__(self, folder: Path, placing: Placing, holding: Holding) -> None:
        """Name the folder of all series, what puts files there, and one series."""
        self._placing = placing
        self._holding = holding
        self._shelf = Shelf(folder, holding)

    def land(self, span: Span, result: BarResult, *, now_ns: int) -> Landed:
        """
        Keep what is final of an answer; nobody else may be at it.

        Args:
            span: what was asked for.
            result: what came.
            now_ns: when that was.

        """
        rows = final_rows(result, span)
        parts = _parts(rows, complete(result, span, rows, now_ns=now_ns))
        # Of several years only one is in memory, so some are read twice.
        read = lru_cache(maxsize=1)(self._shelf.read)
        factor = self._rebased(parts, read) if self._shelf.exists() else None
        if factor is not None:
            # What was complete is not so on the new basis: it must be asked for anew.
            parts = dict.fromkeys(self._shelf.years(), _Part(no_rows(), ())) | parts
        counted: list[int] = []
        files = self._files(parts, read, counted, now_ns, anew=factor is not None)
        self._placing.put(folder_of(self._holding), files)
        return Landed(len(rows), sum(counted), factor)

    def covered(self, span: Span) -> Sequence[Span]:
        """Return what of a span is complete, ascending, without overlap."""
        if not self._shelf.exists():
            return ()
        found = []
        for year, (part,) in by_year([span]).items():
            for known in self._shelf.covered(year):
                start_ns = max(known.start_ns, part.start_ns)
                found.append(Span(start_ns, min(known.end_ns, part.end_ns)))
        return joined_spans(found)

    def read(self, span: Span) -> LandedBars:
        """Return the bars of a span."""
        rows = no_rows()
        for year, (part,) in by_year([span]).items():
            if (found := self._shelf.read(year)) is not None:
                times = found.rows.open_time_ns
                first, end = times.searchsorted((part.start_ns, part.end_ns))
                rows = joined(rows, found.rows.take(slice(int(first), int(end))))
        first_price, high, low, last_price = rows.prices
        venue = self._holding.instrument.venue
        units = [rows.currency.names[code] for code in rows.currency.codes[-1:]]
        return LandedBars(
            BarSeries(
                rows.open_time_ns,
                first_price,
                high,
                low,
                last_price,
                None if np.isnan(rows.volume).all() and len(rows) else rows.volume,
            ),
            rows.states,
            _sources(rows, self._holding.interval),
            currency="".join(units),
            zone=venue.zone if venue else "UTC",
        )

    def _rebased(
        self, parts: Mapping[int, _Part], read: Callable[[int], Year | None]
    ) -> float | None:
        """Return the factor of prices that had landed before and are another's now."""
        if self._holding.adjustment is Adjustment.RAW:
            return None
        before, now = no_rows(), no_rows()
        for year, part in parts.items():
            if len(part.rows) and (known := read(year)) is not None:
                former, latter = met(known.rows, part.rows)
                # What is not complete may be of an older basis: that is known already.
                counts = within(former.open_time_ns, known.covered)
                before = joined(before, former.take(counts))
                now = joined(now, latter.take(counts))
        return rescaled(before, now)

    def _files(
        self,
        parts: Mapping[int, _Part],
        read: Callable[[int], Year | None],
        counted: list[int],
        now_ns: int,
        *,
        anew: bool,
    ) -> Iterator[File]:
        """Yield what has to be written, and count what is revised."""
        shelf = self._shelf
        for year, part in sorted(parts.items()):
            known = read(year) or Year(no_rows(), ())
            rows, replaced = merged(known.rows, part.rows, now_ns=now_ns)
            whole = part.covered if anew else [*known.covered, *part.covered]
            covered = joined_spans(whole)
            if len(replaced):
                counted.append(len(replaced))
                former = shelf.read(year, revisions=True) or Year(no_rows(), ())
                yield File(
                    shelf.place(year, revisions=True),
                    shelf.encoded(
                        year,
                        joined(former.rows, replaced.revised(now_ns)),
                        revisions=True,
                    ),
                )
            if rows is not known.rows or covered != list(known.covered):
                yield File(shelf.place(year), shelf.encoded(year, rows, covered))


def _parts(rows: Rows, covered: Sequence[Span]) -> dict[int, _Part]:
    parts = {year: _Part(no_rows(), spans) for year, spans in by_year(covered).items()}
    for year, chosen in years_of(rows.open_time_ns):
        spans = parts[year].covered if year in parts else ()
        parts[year] = _Part(rows.take(chosen), spans)
    return parts


def _sources(rows: Rows, interval: Interval) -> list[LandedSource]:
    """Return who served each stretch: runs of bars that came together."""
    if not len(rows):
        return []
    codes, received, derived = rows.provider.codes, rows.received_at_ns, rows.derived
    other = (
        (codes[1:] != codes[:-1])
        | (received[1:] != received[:-1])
        | (derived[1:] != derived[:-1])
    )
    firsts = [0, *(np.flatnonzero(other) + 1).tolist()]
    lasts = [*(first - 1 for first in firsts[1:]), len(rows) - 1]
    ends = ends_of(rows.open_time_ns[lasts], interval).tolist()
    return [
        LandedSource(
            rows.provider.names[codes[first]],
            int(rows.open_time_ns[first]),
            end_ns,
            int(received[first]),
            bool(derived[first]),
        )
        for first, end_ns in zip(firsts, ends, strict=True)
    ]
