"""What is wrong with a file, in words that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ingestion_server.domain.errors import StateUnavailableError

_ADVICE: Final = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "let the server read and write there",
    errno.EPERM: "let the server read and write there",
    errno.ENOTDIR: "move away what is in the place of a folder",
    errno.EEXIST: "move away what is in the place of a folder",
    errno.EISDIR: "move away the folder that is in its place",
}


@contextmanager
def told(verb: str, path: Path) -> Iterator[None]:
    """
    Tell in words what the system says about a file.

    Args:
        verb: what is tried, such as ``write``.
        path: with what.

    Raises:
        StateUnavailableError: That fails.

    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        raise StateUnavailableError(
            f"cannot {verb} {path}: {error.strerror or error}"
            + (f"; {advice}" if advice else "")
        ) from error


def broken(path: Path, reason: str) -> StateUnavailableError:
    """Say of a file of bars that nobody can read it."""
    return StateUnavailableError(
        f"{path} is broken, or not a file of this server ({reason}); move it away: its "
        "bars will then be asked for again"
    )
