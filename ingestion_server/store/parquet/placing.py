"""
New files in the place of old ones: all of them, or none.

A new file is written aside and has reached the disk before anything is changed. One
alone is then renamed. Several are first named in a list, which is written as carefully:
from then on they are in place, for whoever finds the list renames what is still aside.
So what was begun before the list is taken away, and what is in it is brought to an end.

Everything here blocks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Final, NamedTuple, final
from uuid import uuid4

import msgspec

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.store.parquet.telling import told

ASIDE: Final = ".landing"
_NEW: Final = ".new"
_LIST: Final = ".list"

_log: Final = logging.getLogger(__name__)


class _Move(msgspec.Struct, frozen=True):
    aside: str
    """Name of the new file."""
    place: str
    """Where it belongs, relative to the folder."""


class _Moves(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    series: str
    moves: tuple[_Move, ...]


class _List(NamedTuple):
    path: Path
    moves: _Moves


class _BrokenListError(Exception):
    """Nobody can read a list."""


class File(NamedTuple):
    """Be a file as it is to be."""

    place: str
    """Relative to the folder."""
    content: memoryview


@final
class Placing:
    """
    Put files in their places, within one folder, which is nobody else's.

    Every method raises ``StateUnavailableError``, naming the file, if that fails.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when there is something to put."""
        self._folder = folder
        self._aside = folder / ASIDE
        self._lock = Lock()
        self._ready = False
        self._begun: dict[str, list[_List]] = {}
        """What is not done, by series."""

    def ready(self) -> None:
        """Bring to an end what was begun when the process before this one ended."""
        if self._ready:
            return
        with self._lock:
            if not self._ready:
                self._recover()
                self._ready = True

    def settled(self, series: str) -> bool:
        """Return whether nothing is begun of a series."""
        return series not in self._begun

    def settle(self, series: str) -> None:
        """Bring to an end what was begun of a series; nobody else may be at it."""
        for begun in self._begun.get(series, ()):
            self._finish(begun)
        self._begun.pop(series, None)

    def put(self, series: str, files: Iterable[File]) -> None:
        """
        Put files of a series in their places; nobody else may be at it.

        Args:
            series: whose files they are.
            files: taken one after the other, so that only one is in memory.

        """
        moves: list[_Move] = []
        grown: list[Path] = []
        try:
            for file in files:
                place = self._folder / file.place
                aside = f"{uuid4().hex}{_NEW}"
                moves.append(_Move(aside, file.place))
                with told("write", place):
                    grown += [*made(self._aside), *made(place.parent)]
                    written(self._aside / aside, file.content)
            if not moves:
                return
            # After the files: most file systems have done it together with those.
            for folder in dict.fromkeys(grown):
                with told("write", folder):
                    synced(folder)
            if len(moves) == 1:
                self._replace(moves[0])
                return
            begun = self._list(_Moves(series, tuple(moves)))
        except BaseException:
            for move in moves:
                with suppress(OSError):
                    (self._aside / move.aside).unlink(missing_ok=True)
            raise
        self._begun.setdefault(series, []).append(begun)
        self.settle(series)

    def _list(self, moves: _Moves) -> _List:
        """Write down what is to be renamed: the moment from which on it counts."""
        path = self._aside / f"{uuid4().hex}{_LIST}"
        new = path.with_suffix(_NEW)
        with told("write", path), _unmade(new), _unmade(path):
            written(new, memoryview(msgspec.json.encode(moves)))
            new.rename(path)
            # The new files' names have to be there as well.
            synced(self._aside)
        return _List(path, moves)

    def _finish(self, begun: _List) -> None:
        moves = begun.moves.moves
        for move in moves:
            place = self._folder / move.place
            with told("write", place):
                if not (self._aside / move.aside).exists():
                    continue
                # Somebody may have taken the folder away since.
                for grown in made(place.parent):
                    synced(grown)
                (self._aside / move.aside).replace(place)
        for folder in {(self._folder / move.place).parent for move in moves}:
            with told("write", folder):
                synced(folder)
        with told("delete", begun.path):
            begun.path.unlink(missing_ok=True)

    def _replace(self, move: _Move) -> None:
        place = self._folder / move.place
        with told("write", place):
            (self._aside / move.aside).replace(place)
            synced(place.parent)

    def _recover(self) -> None:
        with told("look into", self._aside):
            try:
                paths = sorted(self._aside.iterdir())
            except FileNotFoundError:
                return
        try:
            # Those that wait for a disk that can be written stay.
            needed = {
                move.aside
                for path in paths
                if path.suffix == _LIST
                for move in self._resumed(path)
            }
        except _BrokenListError as error:
            # Nobody knows what it needs, so everything stays.
            _log.warning("%s", error)
            return
        for path in paths:
            if path.suffix == _NEW and path.name not in needed:
                # What cannot be taken away is in nobody's way.
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _resumed(self, path: Path) -> Sequence[_Move]:
        """Do what a list says, and return what of it is still to be done."""
        begun = _List(path, _read(path))
        try:
            self._finish(begun)
        except StateUnavailableError as error:
            # Other series are not harmed; whoever wants this one is told.
            _log.warning("%s", error.message)
            self._begun.setdefault(begun.moves.series, []).append(begun)
            return begun.moves.moves
        return ()


def written(path: Path, content: memoryview) -> None:
    """
    Write a file, and wait until it is on the disk.

    Raises:
        OSError: It is not, and there is no such file.

    """
    with _unmade(path):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            while content:
                content = content[os.write(file, content) :]
            os.fsync(file)
        finally:
            os.close(file)


def made(folder: Path) -> list[Path]:
    """
    Make a folder, and those it is in.

    Returns:
        Folders that have a new name in them, which may not be on the disk yet.

    Raises:
        OSError: It cannot be made.

    """
    try:
        folder.mkdir()
    except FileNotFoundError:
        return [*made(folder.parent), *made(folder)]
    except FileExistsError:
        if not folder.is_dir():
            raise
        return []
    return [folder.parent]


def synced(folder: Path) -> None:
    """
    Wait until the names in a folder are on the disk.

    Raises:
        OSError: They are not.

    """
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _unmade(path: Path) -> Iterator[None]:
    """Take a new file away if something fails."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def _read(path: Path) -> _Moves:
    with told("read", path):
        content = path.read_bytes()
    try:
        moves = msgspec.json.decode(content, type=_Moves)
    except msgspec.MsgspecError as error:
        raise _BrokenListError(
            f"{path} is not what this server wrote ({error}); delete it"
        ) from error
    for move in moves.moves:
        parts = (*PurePosixPath(move.place).parts, move.aside)
        if ".." in parts or any("/" in part for part in parts):
            raise _BrokenListError(f"{path} names files elsewhere; delete it")
    return moves
