"""Where a user's files belong, by the rules of XDG."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = "ingestion-server"


def user_state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return where this user's programs keep what must not be lost."""
    return _folder("XDG_STATE_HOME", ".local/state", environ)


def user_cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return where this user's programs keep what can be computed again."""
    return _folder("XDG_CACHE_HOME", ".cache", environ)


def _folder(variable: str, default: str, environ: Mapping[str, str] | None) -> Path:
    environ = os.environ if environ is None else environ
    # The rules say that a relative path counts as not set.
    chosen = Path(environ.get(variable, ""))
    if not chosen.is_absolute():
        home = environ.get("HOME", "")
        # A container's made-up user has no home; its working folder is all it has.
        chosen = (Path(home) if home else Path()) / default
    return chosen / _NAME
