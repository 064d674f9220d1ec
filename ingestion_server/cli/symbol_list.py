"""Lists of symbols in files, as people keep them; what cannot be read is named."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import instrument

STDIN: Final = Path("-")
MOST_SYMBOLS: Final = 10_000
"""So many fit one job."""
_MOST_BYTES: Final = 16 * 1024 * 1024
_HEADINGS: Final = frozenset({"symbol", "symbols", "ticker", "tickers"})
_OTHER_UNICODE: Final = (b"\xff\xfe", b"\xfe\xff")
_SEPARATOR: Final = re.compile(r"[,;\t#]")
_MOST_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Name a line that no symbol was taken from."""

    line: int
    """Its number, from 1."""
    text: str
    """What stands there, so far as it can be shown."""
    reason: str
    """What is wrong with it, in plain words."""


@dataclass(frozen=True, slots=True)
class SymbolList:
    """Hold the symbols of a file, each once, and what was wrong with others."""

    symbols: tuple[str, ...]
    """In our spelling, in the order of the file."""
    unreadable: tuple[Unreadable, ...]


class SymbolListError(Exception):
    """Say why nothing can be made of a file."""

    def __init__(self, message: str, unreadable: tuple[Unreadable, ...] = ()) -> None:
        super().__init__(message)
        self.unreadable = unreadable
        """Lines that hold no symbol."""


def read(path: Path) -> SymbolList:
    """
    Read one symbol per line, or those of the first column of a CSV.

    Blank lines, those that begin with ``#``, and a heading count for nothing.
    ``-`` is what is piped in.

    Raises:
        SymbolListError: The file cannot be read, or has no symbol.

    """
    try:
        if path == STDIN:
            data = _content(sys.stdin.buffer, "standard input")
        else:
            with path.open("rb") as file:
                data = _content(file, str(path))
    except OSError as error:
        told = f"{path}: {error.strerror or error}"
        raise SymbolListError(told) from error
    found = _read(data)
    if not found.symbols:
        about = "standard input" if path == STDIN else path
        told = f"{about}: there is no symbol in it"
        raise SymbolListError(told, found.unreadable)
    return found


def _content(file: BinaryIO, name: str) -> bytes:
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise SymbolListError(f"{name}: is too large for a list of symbols")
    if data.startswith(_OTHER_UNICODE):
        raise SymbolListError(f"{name}: is UTF-16; save it as UTF-8")
    return data.removeprefix(b"\xef\xbb\xbf")


def _read(data: bytes) -> SymbolList:
    symbols: dict[str, None] = {}
    unreadable: list[Unreadable] = []
    begun = False
    for number, spelled, broken in _fields(data):
        heading = not begun and spelled.casefold() in _HEADINGS
        begun = True
        if heading:
            continue
        try:
            symbol = "" if broken else instrument(spelled).symbol
        except InvalidQueryError as error:
            symbol, fault = "", error.violations[0].description
        else:
            fault = broken
        if symbol and symbol not in symbols and len(symbols) == MOST_SYMBOLS:
            symbol, fault = "", f"is one too many: a job takes {MOST_SYMBOLS:,}"
        if symbol:
            symbols[symbol] = None
        else:
            unreadable.append(Unreadable(number, _shown(spelled), fault))
    return SymbolList(tuple(symbols), tuple(unreadable))


def _fields(data: bytes) -> Iterator[tuple[int, str, str]]:
    """Yield number, first field, and what is wrong, of lines that say something."""
    for number, line in enumerate(data.splitlines(), 1):
        text = line.decode(errors="replace").strip()
        if not text or text.startswith("#"):
            continue
        # No symbol has a quote or a separator, so there is nothing to be escaped.
        spelled = _SEPARATOR.split(text, maxsplit=1)[0].strip(" \"'")
        try:
            line.decode()
        except UnicodeDecodeError:
            yield number, spelled, "is not UTF-8"
        else:
            yield number, spelled, "" if spelled else "its first column is empty"


def _shown(text: str) -> str:
    cut = text[:_MOST_SHOWN]
    shown = "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cut
    )
    return shown if len(text) <= _MOST_SHOWN else f"{shown}…"
