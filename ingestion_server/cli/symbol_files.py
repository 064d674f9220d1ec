"""One file per symbol, written as a whole once all its bars are there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self, assert_never
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from ingestion_server.cli.fetching import write_csv
from ingestion_server.client import Bars, Source
from ingestion_server.client.columns import NO_TRADE_COUNT, Columns

_DRAFTS: Final = ".unfinished-"
_STALE_SECONDS: Final = 86_400.0
_RESERVED: Final = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?")
"""Names that Windows has for something else, and that are symbols."""
_FLOATS: Final = ("open", "high", "low", "close", "volume")
_ROW: Final = np.dtype(
    [
        ("open_time_ns", "i8"),
        *((name, "f8") for name in (*_FLOATS, "vwap")),
        ("trade_count", "i8"),
        ("state", "i1"),
    ]
)


class Format(StrEnum):
    """Name what files are written in."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(slots=True)
class _Draft:
    """Know where the bars of a symbol lie until all are there."""

    path: Path
    bars: Bars
    """Without any, but with all that is said about them."""
    sources: list[Source] = field(default_factory=list)


class SymbolFiles:
    """
    Take bars in any order, and write them by symbol; memory holds one symbol's.

    Until it is written, what was there before stays as it is.
    """

    def __init__(self, folder: Path, form: Format) -> None:
        """
        Make the folder, and one within it for what is not finished.

        Raises:
            OSError: That is not possible.

        """
        self._folder: Final = folder
        self._form: Final = form
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        self._drafts: Final = Path(tempfile.mkdtemp(prefix=_DRAFTS, dir=folder))
        self._symbols: Final = dict[str, _Draft]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._drafts, ignore_errors=True)

    def add(self, bars: Bars) -> None:
        """
        Take bars; later ones take the place of earlier ones of the same time.

        Raises:
            OSError: They cannot be kept.

        """
        draft = self._symbols.get(bars.symbol)
        if draft is None:
            path = self._drafts / f"{len(self._symbols)}.rows"
            draft = self._symbols[bars.symbol] = _Draft(path, _emptied(bars))
        draft.sources += bars.sources
        with draft.path.open("ab") as file:
            file.write(_rows(bars.columns).tobytes())

    def write(self) -> Iterator[Path]:
        """
        Write file after file, each of them atomically, and yield where it is.

        Raises:
            OSError: One cannot be written.

        """
        for symbol, draft in sorted(self._symbols.items()):
            rows = _unique(np.fromfile(draft.path, _ROW))
            draft.path.unlink()
            bars = replace(
                draft.bars, columns=_columns(rows), sources=tuple(draft.sources)
            )
            yield self._written(symbol, bars)

    def _written(self, symbol: str, bars: Bars) -> Path:
        name = f"{file_name(symbol)}.{self._form}"
        draft = self._drafts / name
        match self._form:
            case Format.PARQUET:
                bars.to_parquet(draft)
            case Format.CSV:
                with draft.open("w", encoding="utf-8", newline="") as file:
                    write_csv(file, bars)
            case _:
                assert_never(self._form)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        return draft.replace(self._folder / name)


def file_name(symbol: str) -> str:
    """Spell a symbol as the name of a file, without its ending: ``EUR%2FUSD``."""
    name = quote(symbol, safe="^=")
    if _RESERVED.fullmatch(name):
        return f"%{ord(name[0]):02X}{name[1:]}"
    return name


def _sweep(folder: Path) -> None:
    """Remove what others left unfinished that cannot be at work any more."""
    for path in folder.glob(f"{_DRAFTS}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path)


def _emptied(bars: Bars) -> Bars:
    return replace(bars, columns=_columns(np.empty(0, _ROW)))


def _rows(columns: Columns) -> npt.NDArray[np.void]:
    rows = np.empty(len(columns.open_time_ns), _ROW)
    rows["open_time_ns"] = columns.open_time_ns
    for name in _FLOATS:
        rows[name] = getattr(columns, name)
    rows["vwap"] = np.nan if columns.vwap is None else columns.vwap
    known = columns.trade_count
    rows["trade_count"] = NO_TRADE_COUNT if known is None else known
    rows["state"] = columns.state
    return rows


def _unique(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Sort by time; of several of one time, the last is kept."""
    order = np.argsort(rows["open_time_ns"], kind="stable")
    times = rows["open_time_ns"][order]
    last = np.ones(len(rows), bool)
    last[:-1] = times[1:] != times[:-1]
    return rows.take(order[last])


def _columns(rows: npt.NDArray[np.void]) -> Columns:
    vwap, counts = rows["vwap"].copy(), rows["trade_count"].copy()
    return Columns(
        open_time_ns=rows["open_time_ns"].copy(),
        open=rows["open"].copy(),
        high=rows["high"].copy(),
        low=rows["low"].copy(),
        close=rows["close"].copy(),
        volume=rows["volume"].copy(),
        state=rows["state"].copy(),
        vwap=None if np.isnan(vwap).all() else vwap,
        trade_count=None if (counts == NO_TRADE_COUNT).all() else counts,
    )
