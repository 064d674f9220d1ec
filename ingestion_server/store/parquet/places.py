"""Where a series lies: one folder for each, one file for each year."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import Times
from ingestion_server.domain.query import Span
from ingestion_server.ports.jobs import Holding

BARS: Final = "bars"
REVISIONS: Final = "revisions"
SUFFIX: Final = ".parquet"
# Lower case is not among them: some file systems take "aapl" and "AAPL" for the same.
_UNSAFE: Final = re.compile(r"[^A-Z0-9.^=_-]")
_RESERVED: Final = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?")
_LONGEST: Final = 180
"""File systems take 255 bytes, and something may be said behind the symbol."""


def holding_of(holding: Holding) -> Holding:
    """Return how a series is named that others may name otherwise as well."""
    whose = holding.instrument.asset_class
    extended = holding.interval.intraday and whose is AssetClass.EQUITY
    return msgspec.structs.replace(
        holding,
        adjustment=holding.adjustment if whose.adjustable else Adjustment.RAW,
        hours=holding.hours if extended else TradingHours.REGULAR,
    )


def folder_of(holding: Holding) -> str:
    """Return the folder of a series, relative to those of bars and of revisions."""
    extended = holding.hours is TradingHours.EXTENDED
    kind = f"{holding.adjustment}-extended" if extended else holding.adjustment
    return f"{holding.interval}/{kind}/{_name(holding.instrument)}"


def year_of(time_ns: int) -> int:
    """Return the year of a moment, in UTC."""
    return int(np.datetime64(time_ns, "ns").astype("datetime64[Y]").astype(int)) + 1970


def span_of(year: int) -> Span:
    """Return a year, in UTC."""
    return Span(_new_year_ns(year), _new_year_ns(year + 1))


def years_of(times_ns: Times) -> Iterator[tuple[int, slice]]:
    """Yield the years of ascending times, and which rows each of them has."""
    first = 0
    while first < len(times_ns):
        year = year_of(int(times_ns[first]))
        end = int(times_ns.searchsorted(_new_year_ns(year + 1)))
        yield year, slice(first, end)
        first = end


def by_year(spans: Iterable[Span]) -> dict[int, list[Span]]:
    """Return the same time, each year's for itself."""
    found: dict[int, list[Span]] = {}
    for span in spans:
        start_ns = span.start_ns
        while start_ns < span.end_ns:
            year = year_of(start_ns)
            end_ns = min(span.end_ns, _new_year_ns(year + 1))
            found.setdefault(year, []).append(Span(start_ns, end_ns))
            start_ns = end_ns
    return found


def _new_year_ns(year: int) -> int:
    began = np.datetime64(year - 1970, "Y").astype("datetime64[ns]")
    return int(began.astype(np.int64))


def _name(whose: Instrument) -> str:
    """Spell an instrument as one part of a path; kind and exchange only if need be."""
    spelled = _safe(whose.symbol)
    try:
        told = instrument(whose.symbol)
        of_kind = instrument(whose.symbol, asset_class=whose.asset_class)
    except InvalidQueryError:
        return f"{spelled}@{whose.asset_class}@{whose.exchange}"
    if whose.asset_class is not told.asset_class:
        spelled += f"@{whose.asset_class}"
    if whose.exchange != of_kind.exchange:
        spelled += f"@{whose.exchange}"
    return spelled


def _safe(symbol: str) -> str:
    spelled = _UNSAFE.sub(lambda found: _escaped(found[0]), symbol)
    if _RESERVED.fullmatch(spelled) or spelled.startswith("."):
        spelled = _escaped(spelled[0]) + spelled[1:]
    if spelled.endswith("."):
        spelled = spelled[:-1] + _escaped(".")
    if len(spelled) > _LONGEST:
        digest = hashlib.sha256(symbol.encode()).hexdigest()[:32]
        spelled = f"{spelled[: _LONGEST - len(digest)]}~{digest}"
    return spelled


def _escaped(text: str) -> str:
    # Half of a surrogate pair is no character, and a name all the same.
    coded = text.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in coded)
