"""Which version of the server this is."""

from __future__ import annotations

from importlib import metadata
from typing import Final

_UNKNOWN: Final = "unknown"


def version() -> str:
    """Return the version that is installed; ``unknown`` in a folder of sources."""
    try:
        return metadata.version("ingestion-server")
    except metadata.PackageNotFoundError:
        return _UNKNOWN
