"""
What operators changed while the server ran, in one small file.

It is written anew as a whole and put in its place in one step, so that a crash leaves
the old or the new, and never half of one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.ports.routing import Override, Overrides, OverridesError

FILE_NAME: Final = "providers.json"


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    providers: dict[str, Override]


@final
class FileOverrides(Overrides):
    """Keep them in a file of a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when there is something to keep."""
        self._path = folder / FILE_NAME

    @override
    def load(self) -> Mapping[str, Override]:
        """Return what was changed, by vendor."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise OverridesError(
                f"cannot read {self._path}: {error.strerror or error}"
            ) from error
        try:
            return msgspec.json.decode(text, type=_Document).providers
        except msgspec.MsgspecError as error:
            raise OverridesError(
                f"{self._path} is not what this server wrote ({error}); mend it, or "
                "delete it: then vendors are as the settings say"
            ) from error

    @override
    async def save(self, overrides: Mapping[str, Override]) -> None:
        """Keep what was changed instead of what was kept before."""
        document = msgspec.json.encode(_Document(dict(overrides)))
        # A disk may take its time, and everybody else's with it.
        await asyncio.to_thread(self._write, document)

    def _write(self, document: bytes) -> None:
        new = self._path.with_name(f"{FILE_NAME}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as stream:
                stream.write(msgspec.json.format(document, indent=2) + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise OverridesError(
                f"cannot write {self._path}: {error.strerror or error}"
            ) from error


@final
class NoOverrides(Overrides):
    """Keep them nowhere: for vendors that end with the process."""

    @override
    def load(self) -> Mapping[str, Override]:
        """Return nothing."""
        return {}

    @override
    async def save(self, overrides: Mapping[str, Override]) -> None:
        """Keep nothing."""
