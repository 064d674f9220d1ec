"""Files of a folder of recordings: which there are, and what is in them."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ingestion_server.transport import envelope

MANIFEST: Final = "MANIFEST.tsv"
"""Lists the origin of recordings, at the root of their folder."""

_LARGEST: Final = 64 * 1024 * 1024
_MOST_FILES: Final = 20_000
_GZIP: Final = ".gz"


class ReplayError(ValueError):
    """Say that a folder cannot be replayed."""


def bodies(folder: Path) -> Iterator[Path]:
    """
    List the files that may be bodies, in the order of their names.

    Raises:
        ReplayError: There are too many to be a folder of recordings.

    """
    root, count = folder.resolve(), 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name.endswith(envelope.SUFFIX):
                continue
            count += 1
            if count > _MOST_FILES:
                raise ReplayError(
                    f"{folder} holds more than {_MOST_FILES:,} files: name a folder "
                    f"of recordings"
                )
            path = Path(place, name)
            if name != MANIFEST and _readable(path, root):
                yield path


def content(path: Path) -> bytes:
    """
    Read a body; a ``.gz`` as what is in it.

    Raises:
        OSError: It cannot be read, is too large, or is no gzip.

    """
    if path.suffix != _GZIP:
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            body = file.read(_LARGEST + 1)
    except (EOFError, zlib.error) as error:
        raise OSError(f"{path} is no gzip file") from error
    if len(body) > _LARGEST:
        raise OSError(f"{path} holds more than {_LARGEST} bytes")
    return body


def envelope_of(body: Path, folder: Path) -> Path | None:
    """Return the envelope of a body, or None if it has none."""
    candidates = [body]
    if body.suffix == _GZIP:
        candidates.append(body.with_suffix(""))
    root = folder.resolve()
    for candidate in candidates:
        path = envelope.beside(candidate)
        if _readable(path, root):
            return path
    return None


def manifest(folder: Path) -> Mapping[str, tuple[str, int]]:
    """Return url and status by the name of the file, as the manifest tells them."""
    path = folder / MANIFEST
    if not _readable(path, folder.resolve()):
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = lines[0].split("\t") if lines else []
    if not {"file", "endpoint_url"} <= set(header):
        return {}
    rows = (dict(zip(header, line.split("\t"), strict=False)) for line in lines[1:])
    return {
        row["file"]: (row.get("endpoint_url", ""), _status(row.get("http_status", "")))
        for row in rows
    }


def name_of(path: Path, folder: Path) -> str:
    """Return the name as the manifest writes it."""
    return path.relative_to(folder).as_posix()


def _status(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 200


def _readable(path: Path, root: Path) -> bool:
    """Tell whether it is a file of this folder, and not too large."""
    try:
        facts = path.stat()
        inside = path.resolve().is_relative_to(root)
    except OSError:
        return False
    return inside and stat.S_ISREG(facts.st_mode) and facts.st_size <= _LARGEST
