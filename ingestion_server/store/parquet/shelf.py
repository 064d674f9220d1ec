"""The files of one series, as they are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, final

from ingestion_server.domain.query import Span
from ingestion_server.ports.jobs import Holding
from ingestion_server.store.parquet import columns
from ingestion_server.store.parquet.columns import BrokenFileError, Head
from ingestion_server.store.parquet.places import BARS, REVISIONS, SUFFIX, folder_of
from ingestion_server.store.parquet.rows import Rows
from ingestion_server.store.parquet.telling import broken, told

_END: Final = 16 * 1024
"""Bytes at the end of a file; nearly all footers are within."""


class Year(NamedTuple):
    """Be what a file holds."""

    rows: Rows
    covered: Sequence[Span]
    """Ascending, without overlap."""


@final
class Shelf:
    """
    Read the files of a series; each method blocks.

    They raise ``StateUnavailableError``, naming the file, if one cannot be read or is
    not what was written.
    """

    def __init__(self, folder: Path, holding: Holding) -> None:
        """Name the folder of all series, and one of them."""
        self._folder = folder
        self._holding = holding
        self._name = folder_of(holding)

    def place(self, year: int, *, revisions: bool = False) -> str:
        """Return where the file of a year is, relative to the folder."""
        return f"{REVISIONS if revisions else BARS}/{self._name}/{year}{SUFFIX}"

    def exists(self) -> bool:
        """Return whether there is anything."""
        path = self._folder / BARS / self._name
        with told("look into", path):
            try:
                path.stat()
            except FileNotFoundError:
                return False
        return True

    def years(self) -> list[int]:
        """Return the years that have a file of bars, ascending."""
        path = self._folder / BARS / self._name
        with told("look into", path):
            try:
                files = [file for file in path.iterdir() if file.suffix == SUFFIX]
            except FileNotFoundError:
                return []
        return sorted(int(file.stem) for file in files if file.stem.isdecimal())

    def read(self, year: int, *, revisions: bool = False) -> Year | None:
        """Return what the file of a year holds; None if there is none."""
        path = self._folder / self.place(year, revisions=revisions)
        with told("read", path):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            head, rows = columns.decoded(content)
            self._check(head, year, revisions=revisions)
        except BrokenFileError as error:
            raise broken(path, str(error)) from error
        return Year(rows, head.covered)

    def covered(self, year: int) -> Sequence[Span]:
        """Return what of a year is complete, by the footer of its file alone."""
        path = self._folder / self.place(year)
        with told("read", path):
            try:
                stream = path.open("rb", buffering=0)
            except FileNotFoundError:
                return ()
            with stream:
                end = _end(stream.fileno(), _END)
                try:
                    length = columns.footer_length(end) + columns.FOOTER
                except BrokenFileError as error:
                    raise broken(path, str(error)) from error
                if length > len(end):
                    end = _end(stream.fileno(), length)
        try:
            head = columns.head_of(end[-length:])
            self._check(head, year, revisions=False)
        except BrokenFileError as error:
            raise broken(path, str(error)) from error
        return head.covered

    def encoded(
        self,
        year: int,
        rows: Rows,
        covered: Sequence[Span] = (),
        *,
        revisions: bool = False,
    ) -> memoryview:
        """Return the bytes that the file of a year is to have."""
        head = self._head(year, tuple(covered), revisions=revisions)
        return memoryview(columns.encoded(head, rows))

    def _check(self, head: Head, year: int, *, revisions: bool) -> None:
        if head != self._head(year, head.covered, revisions=revisions):
            whose = f"{head.instrument.symbol} {head.interval} {head.adjustment}"
            raise BrokenFileError(f"it is that of {whose} {head.year}")

    def _head(self, year: int, covered: tuple[Span, ...], *, revisions: bool) -> Head:
        holding = self._holding
        return Head(
            instrument=holding.instrument,
            interval=holding.interval,
            adjustment=holding.adjustment,
            hours=holding.hours,
            year=year,
            revisions=revisions,
            covered=covered,
        )


def _end(file: int, length: int) -> bytes:
    size = os.fstat(file).st_size
    return os.pread(file, length, max(size - length, 0))
